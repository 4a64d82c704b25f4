/* state.h - the states of an exchange.  For the files of gateway/ only. */
#ifndef GATEWAY_STATE_H
#define GATEWAY_STATE_H

/* In the order a request meets them; logs and tests use the names. */
enum state {
    X_ROUTE,
    X_LOOKUP,
    X_AUTH,
    X_RUN,
    X_CARRY,
    X_END,
    X_WAIT, /* answers of a step, never a state: an event is missing */
    X_FAIL  /* x->why says why */
};

#endif
