/* limiter.h - how often an address may guess. */
#ifndef AUTH_LIMITER_H
#define AUTH_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Failed guesses that one IPv4 address, or one IPv6 /64, has in any 60 s.
 * Source: threats.md K-03 */
#define AUTH_LIMITER_FAILURES 20
#define AUTH_LIMITER_WINDOW_MS 60000

/* Places for addresses; the one that failed longest ago makes room. */
#define AUTH_LIMITER_PLACES 65536

struct auth_limiter;

/*
 * A limiter that remembers at most that many addresses (some 130 bytes each,
 * taken when an address fails first).
 *
 * places    1 .. AUTH_LIMITER_PLACES
 * hash_key  random bytes, so that nobody can choose colliding addresses
 * out       given: auth_limiter_free(); NULL on error
 *
 * Errors: E_NOMEM, E_RANGE (places).
 */
MUST_USE enum err auth_limiter_new(unsigned places,
                                   const unsigned char hash_key[16],
                                   struct auth_limiter **out);

/*
 * Is this address one that guesses are counted for?  Not loopback, link-local
 * and private ones: behind them stand whole sites and proxies, and keys of 160
 * bits are not found by guessing anyway (threats.md E-05 has the same line).
 */
bool auth_limiter_counts(struct str peer);

/*
 * May this address go on guessing?  Asked when a credential was wrong: a
 * right one is never refused, so that nobody can lock others of the same
 * address out.
 *
 * peer     IP address as text; a zone (%eth0) is ignored, ::ffff:1.2.3.4 is
 *          1.2.3.4, and all that is no address shares one place
 * now_ms   monotonic
 * retry_s  may be NULL; when refused: seconds, 1 or more, for Retry-After
 */
bool auth_limiter_allow(struct auth_limiter *l, struct str peer, int64_t now_ms,
                        unsigned *retry_s);

/* A guess of this address was wrong.  peer and now_ms as above. */
void auth_limiter_fail(struct auth_limiter *l, struct str peer, int64_t now_ms);

/* Addresses remembered, for tests and metrics. */
unsigned auth_limiter_count(const struct auth_limiter *l);

/* Taken: free and set *l to NULL; *l may be NULL. */
void auth_limiter_free(struct auth_limiter **l);

#endif
