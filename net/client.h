/* client.h - the side of the upstreams: calls over pooled connections. */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/head.h"
#include "net/loop.h"
#include "net/server.h" /* enum pause_reason */

struct pools; /* idle upstream connections by key */
struct call;  /* one request to an upstream and its answer */

/* What the upstream does.  After on_end or on_cut no event follows. */
struct call_events {
    /* The head; borrowed for the call.  1xx other than 101 never come.
     * Fields are without what belongs to that hop or is net's own (length,
     * Date, Connection and what it names), so they can be said on as they
     * are; length is what the client may be told (a HEAD's, too). */
    void (*on_head)(void *arg, const struct answer_head *head);
    void (*on_piece)(void *arg, struct str piece);
    /* Complete: length reached, last chunk, close-delimited FIN; after 101:
     * the upstream half-closed (call_say() and call_say_end() are still
     * possible, and on_room and on_cut may still come). */
    void (*on_end)(void *arg);
    /* E_BACKEND_DOWN: no connection (refused, unreachable, connect time
     * over); E_CUT: it died (see call_facts()); E_BACKEND_GARBAGE: its
     * answer broke the protocol (threats.md U-04, U-06, U-08);
     * E_UPSTREAM_DEADLINE: head_ms passed. */
    void (*on_cut)(void *arg, enum err why);
    void (*on_room)(void *arg);
};

struct call_request {
    struct str pool;    /* pool key: backend, or backend and sandbox life */
    struct str address; /* IP literal, or the path of a Unix socket (/...) */
    unsigned port;      /* 0 with a path */
    enum method method;
    struct str target;           /* raw, checked by the caller */
    struct str host;             /* Host field */
    const struct fields *fields; /* without hop-by-hop, Host, length */
    int64_t length;     /* body: >= 0, LENGTH_CHUNKED, or LENGTH_NONE */
    struct str body;    /* sent with the head when all of it is here */
    bool tls;           /* speak TLS, and look at no certificate; the name
                           for SNI is that of host */
    bool upgrade;       /* WebSocket: Connection: Upgrade is added */
    bool fresh;         /* never a connection that has served before */
    bool idempotent;    /* may be sent again once: threats.md U-11 */
    int64_t connect_ms; /* 3,000 */
    int64_t head_ms;    /* wait for the head; 0 = for ever */
};

/* Pools without a connection yet; what waits longer than idle_ms is closed.
 * out  given: pools_free().  Errors: E_NOMEM. */
MUST_USE enum err pools_new(struct loop *l, unsigned idle_max_per_key,
                            int64_t idle_ms, struct pools **out);
/* Close every idle connection of that key (a sandbox ended). */
void pools_drop(struct pools *p, struct str key);

/* Taken; idle connections are closed, calls may outlive it. */
void pools_free(struct pools **p);

/*
 * Begin.  Texts and fields are borrowed for the call of this function only.
 * Events come from the loop, never from inside this function.  A request on
 * a reused connection that dies before any byte of an answer is sent again
 * once on a fresh one when idempotent, or when no byte of it was sent.
 * Never half-closes (a FIN cancels the call at the sandbox server).
 *
 * out  given: call_free()
 * Errors: E_NOMEM, E_SYSTEM (no socket, or no such form of address),
 * E_BAD_FIELD (target or host cannot be written).
 */
MUST_USE enum err call_start(struct pools *p, const struct call_request *r,
                             const struct call_events *events, void *arg,
                             struct call **out);

/* A piece of the request's body (after 101: of the tunnel); taken whole.
 * false: full, wait for on_room. */
bool call_say(struct call *c, struct str piece);

/* The request's body is complete; after 101: shutdown(SHUT_WR). */
void call_say_end(struct call *c);

/* Why pieces are not given, and no longer. */
void call_pause(struct call *c, enum pause_reason why);
void call_resume(struct call *c, enum pause_reason why);

/* What is known of it; for "may it be sent again" and closed ports. */
struct call_facts {
    bool connected; /* the TCP connection stood */
    bool sent;      /* a byte of the request went out */
    bool answered;  /* a byte of an answer came */
    bool reused;    /* the connection had served before */
};
/* What is known now; after on_end and on_cut, too. */
struct call_facts call_facts(const struct call *c);

/* Taken; *c becomes NULL.  A call that is not complete is cut (RST); a
 * complete one gives its connection back to the pool. */
void call_free(struct call **c);

#endif
