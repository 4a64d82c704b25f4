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

/* Source: e2b-data-plane.md 4.5 (with vectors).  now_s is wall time. */
enum signature_verdict auth_signature_check(const struct signature_claim *claim,
                                            const char *envd_token,
                                            int64_t now_s);

#endif
