/* carry.h - bytes both ways between a client and a port of a sandbox.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_CARRY_H
#define GATEWAY_CARRY_H

#include <stdbool.h>

#include "base/buf.h"
#include "gateway/state.h"
#include "live/live.h"
#include "model/head.h"
#include "net/client.h"

struct exchange;

/* Inside the exchange; zero when it begins. */
struct carry {
    struct port_lease *lease;  /* owned */
    struct port_target target; /* texts borrowed from lease */
    struct str asked;          /* the request's target, without a token */
    bool named;        /* the client offered our subprotocol, for its token */
    bool aimed;        /* target is known */
    struct call *call; /* owned */
    bool exposed;      /* over the back end's HTTP proxy, not a raw forward */
    bool retried;      /* a forward did not answer and was asked for anew */
    bool tunnel;       /* after 101 */
    bool upstream_ended;
    bool client_told; /* the upstream knows that the client's side ended */
    bool full;        /* the client reads more slowly than the app writes */
    int64_t heard_ms; /* tunnel whose client ended: when the app last spoke */
    /* A 502 of the proxy whose body must be seen first. */
    struct answer_head *held; /* arena; NULL none */
    struct buf seen;
};

/* X_CARRY. */
enum state carry_step(struct exchange *x);

/* What the client does. */
void carry_client_piece(struct exchange *x, struct str piece);
void carry_client_room(struct exchange *x);

/* Give back the call (cut when it is not complete) and the lease. */
void carry_release(struct exchange *x);

#endif
