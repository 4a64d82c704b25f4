/* forwarded.h - the client behind proxies of the operator's own, by what
 * these say in X-Forwarded-For.  Pure.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_FORWARDED_H
#define GATEWAY_FORWARDED_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "model/head.h"

/* Proxies in a row that are looked through. */
#define FORWARDED_MAX 32

struct forwarded {
    bool trusted;      /* the peer is a listed proxy: the rest is known */
    bool https;        /* it was asked through TLS, it says */
    struct str client; /* address as text: the last one, from the right, that
                          a listed proxy vouches for */
    struct str chain;  /* that one and the proxies up to the peer: the value of
                          X-Forwarded-For.  What stands left of it anybody may
                          have written */
};

/* Texts in the arena, borrowed from the head or static.  Errors: E_NOMEM.
 * Source: threats.md X-01. */
MUST_USE enum err forwarded_read(const struct request_head *head,
                                 const struct conf *conf, struct arena *a,
                                 struct forwarded *out);

#endif
