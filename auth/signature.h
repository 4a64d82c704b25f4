/* signature.h - E2B's signed file URLs. */
#ifndef AUTH_SIGNATURE_H
#define AUTH_SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum signature_verdict {
    SIGNATURE_OK,
    SIGNATURE_MISSING,
    SIGNATURE_WRONG,
    SIGNATURE_EXPIRED
};

struct signature_claim {
    struct str path;       /* query value, decoded; "" if absent */
    bool write;            /* POST, else GET */
    struct str username;   /* query value, decoded; "" if absent */
    struct str signature;  /* query value, decoded; absent if absent */
    struct str expiration; /* decimal text; absent if absent */
};

/* Is it a decimal number of seconds, as a claim must have it?  The caller
 * answers 400 when it is not; auth_signature_check() says WRONG. */
bool auth_signature_expiration_ok(struct str expiration);

/*
 * Is the signature right for the claim and not yet expired?  In this order:
 * missing, wrong, expired.  A user name with a colon, another alphabet and
 * padding are wrong; so is everything when there is no token: whether one is
 * asked for at all is the caller's to know.
 *
 * envd_token  of the sandbox, auth_token_envd(); may be NULL
 * now_s       wall time; a signature is good up to and in that second
 *
 * Source: e2b-data-plane.md 4.5 (with vectors).
 */
enum signature_verdict auth_signature_check(const struct signature_claim *claim,
                                            const char *envd_token,
                                            int64_t now_s);

#endif
