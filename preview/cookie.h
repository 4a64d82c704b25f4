/* cookie.h - the cookie that a link is exchanged for, and other people's
 * cookies on their way. */
#ifndef PREVIEW_COOKIE_H
#define PREVIEW_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fields.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/link.h"

#define PREVIEW_COOKIE "__Host-sandgate-preview"

/*
 * Append the value of Set-Cookie: the link sealed for that host, `Path=/;
 * Max-Age=..; HttpOnly; Secure; SameSite=Lax`.  Max-Age is what is left of the
 * link.
 *
 * link  as preview_check() gave it, life and port filled in
 * host  of the request: lower case, without port
 *
 * Errors: E_RANGE (it has expired, or a value is wrong), E_UNIMPLEMENTED,
 * E_NOMEM.
 */
MUST_USE enum err preview_cookie_mint(const struct conf_preview *conf,
                                      const struct link *link, struct str host,
                                      int64_t now_s, struct buf *out);

/* Append the value of Set-Cookie that makes a browser forget ours. */
void preview_cookie_expire(struct buf *out);

/*
 * Believe the cookie's value, sent to that host.
 * Errors: E_TOKEN_INVALID, E_TOKEN_EXPIRED, E_NOMEM; out as of
 * preview_token_verify().
 */
MUST_USE enum err preview_cookie_verify(const struct conf_preview *conf,
                                        struct str value, struct str host,
                                        int64_t now_s, struct link *out);

/*
 * Our cookie among all Cookie fields: how many there are; two are none, for
 * one of them is not ours (threats.md P-09).
 * value  borrowed: of the only one, else absent
 */
unsigned preview_cookie_find(const struct fields *fields, struct str *value);

/*
 * Append the value of one Cookie field without cookies of our names; nothing
 * when none is left.  What is kept is kept byte for byte.
 * Returns how many were taken out.
 */
unsigned preview_cookie_strip(struct str value, struct buf *out);

/* Is a value of Set-Cookie for a cookie of one of our names (P-09)? */
bool preview_cookie_ours(struct str value);

/*
 * Append the value of an app's Set-Cookie as a browser may have it: Domain
 * taken out; the rest byte for byte.  false, and nothing: it is one
 * of our names (P-09), or has control characters.
 */
bool preview_cookie_rewrite(struct str value, struct buf *out);

#endif
