/* admit.h - may this request be served?  Keys, tokens, signatures, limits.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_ADMIT_H
#define GATEWAY_ADMIT_H

#include "base/err.h"
#include "store/store.h"

struct exchange;

/*
 * Look up what the credentials and the route name: x->key_found and x->key
 * for calls with a key, x->record (counted) for calls to a sandbox.
 * Returns UNKNOWN when the store cannot tell (ask again), ABSENT when the
 * sandbox of the host is not there, else FOUND.
 */
enum found admit_lookup(struct exchange *x);

/* The running sandbox of that id as x->record (counted), if the team of x->key
 * has it: else ABSENT, or UNKNOWN. */
enum found admit_find(struct exchange *x, struct str id);

/*
 * Check the credentials of what was looked up; counts failures.  On error
 * x->detail and x->retry_s may say more.
 * Errors: E_KEY_MISSING, E_KEY_UNKNOWN, E_BAD_REQUEST (two keys),
 * E_RATE_LIMITED, E_TOKEN_WRONG, E_SIGNATURE, E_TRAFFIC_TOKEN, E_NOMEM;
 * E_SANDBOX_GONE (the way to a port by key: not one of the team's).
 * Source: e2b-control-plane.md 4, e2b-data-plane.md 1.13, 4.5, 6.3.
 */
MUST_USE enum err admit_check(struct exchange *x);

#endif
