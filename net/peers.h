/* peers.h - inside net: how many connections each address has. */
#ifndef NET_PEERS_H
#define NET_PEERS_H

#include "base/err.h"
#include "model/address.h"

struct peers;

/* One address and its count; of v6 the first half only, since whoever has an
 * address there has 2^64 of them.  Lives as long as its count. */
struct peer;

/* out  given: peers_free().  Errors: E_NOMEM. */
MUST_USE enum err peers_new(struct peers **out);

/*
 * One connection more of that address, unless it has most already.
 * out  given: peers_give(); NULL on error
 * Errors: E_FULL, E_NOMEM.
 */
MUST_USE enum err peers_take(struct peers *p, const struct address *a,
                             unsigned most, struct peer **out);

/* Taken: one less; *peer becomes NULL and may be it. */
void peers_give(struct peers *p, struct peer **peer);

/* Addresses that have any. */
unsigned peers_count(const struct peers *p);

/* Taken; nothing must be counted any more. */
void peers_free(struct peers **p);

#endif
