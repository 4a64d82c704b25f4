/* preview_fields.h - header fields between browsers and apps on preview
 * hosts.  Pure.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_PREVIEW_FIELDS_H
#define GATEWAY_PREVIEW_FIELDS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fields.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/head.h"

/*
 * Take out of a request's fields, in place, what is between the browser and
 * us: our cookie, the token in Referer, in Authorization or
 * E2b-Traffic-Access-Token, and among the offered subprotocols.
 * ours  set: the browser offered our subprotocol's name
 * Errors: E_NOMEM.  Source: threats.md P-07, X-06
 */
MUST_USE enum err preview_fields_clean(struct fields *fields, struct arena *a,
                                       bool *ours);

/* Take out the fields that only the forward-auth service may set: its listed
 * ones and every X-Auth-Request-*.  Nothing when there is none. */
void preview_fields_unname(struct fields *fields,
                           const struct conf_forward_auth *auth);

/* At most one field of each that browsers want to see once: of several
 * Access-Control-Allow-Origin the one that names origin (absent: none came),
 * else the first. */
void preview_fields_single(struct fields *fields, struct str origin);

/*
 * The answer of an app: noindex where it is wanted, and our subprotocol where
 * it was offered and the app chose none.
 * Errors: E_NOMEM.
 */
MUST_USE enum err preview_fields_answer(struct fields *fields, struct arena *a,
                                        bool noindex, bool ours);

/* The target without the token; in the arena, or the same.  Errors:
 * E_NOMEM. */
MUST_USE enum err preview_fields_target(struct str target, struct arena *a,
                                        struct str *out);

/* Does a browser go to a page?  Then it may be sent elsewhere. */
bool preview_fields_navigates(const struct request_head *head);

#endif
