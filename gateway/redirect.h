/* redirect.h - where a request that came without TLS is sent.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_REDIRECT_H
#define GATEWAY_REDIRECT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "model/head.h"

/*
 * The URL to which a request is sent: its own, with https.  Pure.
 * port  of the names of conf->domain; those of previews have their own
 * Errors: E_BAD_REQUEST (a host that is not served, another method than GET
 * and HEAD, a body, an upgrade, anything that looks like a credential: it
 * has been seen by others then, and must not come again unnoticed), E_NOMEM.
 * Source: threats.md T-08.
 */
MUST_USE enum err redirect_find(const struct request_head *head,
                                const struct conf *conf, unsigned port,
                                struct buf *out);

#endif
