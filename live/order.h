/* order.h - what a subscription is inside live/, and who takes orders.
 *
 * For the files of live/ only. */
#ifndef LIVE_ORDER_H
#define LIVE_ORDER_H

#include "base/list.h"
#include "live/live.h"
#include "live/sandbox.h"

/* The part that took the order embeds this as its first member. */
struct subscription {
    struct list link;                 /* in the part's list of subscribers */
    const struct live_events *events; /* borrowed, static */
    void *arg;
    void (*pause)(struct subscription *s);
    void (*resume)(struct subscription *s);
    void (*leave)(struct subscription *s); /* taken: frees it after the turn;
        no event reaches the subscriber any more */
};

/* One function a part, the signature of live_order() but for the sandbox.
 * Events never come from inside. */
MUST_USE enum err process_order(struct live_sandbox *ls,
                                const struct want_live *want,
                                const struct live_events *events, void *arg,
                                struct subscription **out);
MUST_USE enum err context_order(struct live_sandbox *ls,
                                const struct want_live *want,
                                const struct live_events *events, void *arg,
                                struct subscription **out);
MUST_USE enum err health_order(struct live_sandbox *ls,
                               const struct want_live *want,
                               const struct live_events *events, void *arg,
                               struct subscription **out);

#endif
