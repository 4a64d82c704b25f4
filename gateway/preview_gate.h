/* preview_gate.h - who gets through to the app of a preview host.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_PREVIEW_GATE_H
#define GATEWAY_PREVIEW_GATE_H

#include <stdbool.h>

#include "base/err.h"
#include "gateway/forward_auth.h"
#include "gateway/state.h"
#include "model/link.h"
#include "store/store.h"

struct exchange;

/* What is known of the visit of a preview host; in the exchange's arena. */
struct visit {
    bool admitted;    /* by its link; the forward-auth service comes then */
    struct link link; /* E_OK: what admitted it */
    struct forward_auth auth;
};

/* The records of the host's sandbox, or of its link's.  UNKNOWN: ask again
 * later. */
enum found preview_gate_lookup(struct exchange *x);

/* X_AUTH of such a host: X_RUN, X_WAIT, X_END (it was sent elsewhere), or
 * X_FAIL with x->why. */
enum state preview_gate_step(struct exchange *x);

/* Give back the call to the forward-auth service. */
void preview_gate_release(struct exchange *x);

#endif
