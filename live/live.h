/* live.h - what outlives a request: the root of live/, calls, passengers. */
#ifndef LIVE_LIVE_H
#define LIVE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/sandbox.h"
#include "net/client.h"
#include "net/loop.h"
#include "preview/check.h"
#include "store/store.h"
#include "translate/op.h"

struct live;

/*
 * Owns jobs, live objects, back ends' health and slots, expiry.
 * loop, pools, store  borrowed, longer-lived
 * conf                counted
 * Starts: registers the templates at each back end, reconciles records with
 * it (again after it came back from being down), arms expiry.
 * out  given: live_free().  Errors: E_NOMEM.
 */
MUST_USE enum err live_new(struct loop *loop, struct pools *pools,
                           struct store *store, struct conf *conf,
                           struct live **out);

/* New configuration (reload): used by what begins from now on. */
void live_set_conf(struct live *l, struct conf *conf);

/* Is every configured back end known to answer?  For /readyz. */
bool live_ready(const struct live *l);

/* Taken: everything is cut, nothing is killed in the sandboxes.  Calls,
 * subscriptions, leases and passengers must have been given back. */
void live_free(struct live **l);

/* ---- calls ---- */

/* A call to the sandbox server of a sandbox: its slot, its upstream call. */
struct live_call;

/*
 * Begin what an operation wants.  Events are net's; on_cut also tells
 * E_SLOTS (no stream free: nothing was sent) and E_SANDBOX_GONE (killed
 * meanwhile), and E_UPSTREAM_DEADLINE.  Never from inside this function.
 * out  given: live_call_free()
 * Errors: E_NOMEM, E_SYSTEM.
 */
MUST_USE enum err live_call_start(struct live *l, const struct sandbox *s,
                                  const struct want_call *want,
                                  const struct call_events *events, void *arg,
                                  struct live_call **out);
bool live_call_say(struct live_call *c, struct str piece);
void live_call_say_end(struct live_call *c);
void live_call_pause(struct live_call *c, enum pause_reason why);
void live_call_resume(struct live_call *c, enum pause_reason why);
/* Taken; cut when it is not complete; the slot is given back. */
void live_call_free(struct live_call **c);

/* ---- passengers ---- */

struct live_sandbox;

/* An exchange that carries a sandbox's bytes; inside other structs, zeroed
 * before its first use. */
struct passenger {
    struct list link;                           /* live's own */
    struct live_sandbox *in;                    /* live's own */
    void (*on_kicked)(void *arg, enum err why); /* the sandbox ended
        (E_SANDBOX_GONE: the record is gone already), or the link was revoked
        (E_TOKEN_REVOKED) or is over (E_TOKEN_EXPIRED, only who is lasting);
        cut.  May call passenger_leave(). */
    void *arg;
    bool lasting; /* set by its owner: has no end of its own (a WebSocket, a
        stream of events), so that the link's end is its end */
    struct list shown; /* live's own: among those that a link admitted */
    struct link by;    /* live's own: that link */
};

#define PASSENGERS_MAX 1000 /* of one sandbox: threats.md E-05 */

/* Errors: E_NOMEM; E_CROWDED (more than PASSENGERS_MAX); E_SANDBOX_GONE
 * (it ended since its record was looked up). */
MUST_USE enum err passenger_board(struct live *l, const struct sandbox *s,
                                  struct passenger *p);
/* It is aboard, and that link admitted it: it is kicked when the link is
 * revoked (at once when this process did it, within 1 s when another), or
 * within a second of the link's expiry. */
void passenger_show(struct live *l, struct passenger *p,
                    const struct link *link);
/* Harmless when it is not aboard. */
void passenger_leave(struct live *l, struct passenger *p);

/* ---- orders and jobs ---- */

/* What a live object tells its subscriber: net's five events and the first
 * result. */
struct live_events {
    /* Once, before all others; result is borrowed. */
    void (*on_result)(void *arg, enum err err, const struct op_result *result);
    void (*on_piece)(void *arg, struct str piece); /* whole E2B frames */
    void (*on_end)(void *arg);
    void (*on_cut)(void *arg, enum err why);
};

struct subscription;

/*
 * Give an order to a live object of the sandbox, or subscribe to it.  Events
 * come from the loop, never from inside this function.
 * want  borrowed during the call: what is kept is copied
 * out   given: subscription_free(), at any time (the process goes on)
 * Errors: E_NOMEM.
 */
MUST_USE enum err live_order(struct live *l, const struct sandbox *s,
                             const struct want_live *want,
                             const struct live_events *events, void *arg,
                             struct subscription **out);
/* Back-pressure: of a lone subscriber it reaches the process. */
void subscription_pause(struct subscription *s);
void subscription_resume(struct subscription *s);
void subscription_free(struct subscription **s);

/* Somebody who waits for a job. */
struct waiter;

/*
 * Do a job.  It belongs to the worker: it goes on when the waiter has left.
 * on_result comes once from the loop: E_OK with the record, or E_SANDBOX_
 * GONE, E_BACKEND_DOWN, E_BACKEND_BUSY, E_BACKEND_REFUSED (a 4xx to what we
 * asked), E_BACKEND_GARBAGE, E_UPSTREAM_DEADLINE, E_STORE, E_IDEMPOTENCY_*,
 * E_NOMEM; a create also E_TEAM_FULL and E_TEAM_FAST.
 * A kill is E_OK when "ending" is durable (from then on the sandbox is gone
 * for every client) and the back end has deleted it, or cannot be asked now
 * and will be: it is asked again until it has.  A create is E_OK when the
 * sandbox answers; after an error nothing of it is left, but for one whose
 * outcome is not known: that is found out and removed later.
 * want  borrowed during the call
 * out   given: job_leave()
 */
MUST_USE enum err job_begin(struct live *l, struct str team,
                            const struct want_job *want,
                            void (*on_result)(void *arg, enum err err,
                                              const struct op_result *result),
                            void *arg, struct waiter **out);
void job_leave(struct waiter **w);

/* ---- links ---- */

/*
 * What the records say of a link: for preview_check().
 * arg  struct live
 * Of a token without a record it is only known when it expires: it is taken
 * as revoked when it could have been made before the time before which all
 * links of its sandbox are.
 */
enum preview_standing live_link_ask(void *arg, const struct link *link,
                                    enum preview_source source);

/* ---- ports ---- */

/* Where to connect for a port of a sandbox. */
struct port_target {
    struct str address; /* IP literal */
    unsigned port;
    struct str pool;   /* pool key: backend and sandbox life */
    struct str prefix; /* expose: put before the path; absent for forward */
};

struct port_lease; /* expose: one of the 15 places; forward: the address */

/*
 * Find the way to a port: the cached forward, or a new one, or a place among
 * the requests over expose (in order, at most 10 s, then E_RATE_LIMITED).
 * on_target comes once, maybe from inside this function when the way is
 * known; target is valid until port_leave().
 * Errors by on_target: E_SANDBOX_GONE, E_SANDBOX_UNKNOWN, E_BACKEND_DOWN,
 * E_RATE_LIMITED, E_NOMEM.
 * out  given: port_leave(); set before on_target runs
 */
MUST_USE enum err port_find(struct live *l, const struct sandbox *s,
                            unsigned port,
                            void (*on_target)(void *arg, enum err err,
                                              const struct port_target *t),
                            void *arg, struct port_lease **out);
/* The way did not work (connection refused): forget the cached forward. */
void port_forget(struct port_lease *p);
void port_leave(struct port_lease **p);

#endif
