/* worker.h - what every exchange of a worker shares.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/limiter.h"
#include "base/arena.h"
#include "base/list.h"
#include "conf/conf.h"
#include "gateway/metrics.h"
#include "gateway/quota.h"
#include "live/live.h"
#include "net/client.h"
#include "net/loop.h"
#include "store/store.h"

/* Exchanges kept for the next requests, and what each may take of memory. */
#define WORKER_SPARE_MAX 256
#define WORKER_ARENA_MAX ((size_t)48 << 20)
#define WORKER_SCRATCH_MAX ((size_t)96 << 20)

struct worker {
    struct loop *loop;            /* borrowed */
    struct store *store;          /* borrowed */
    struct pools *pools;          /* borrowed */
    struct live *live;            /* borrowed */
    struct conf *conf;            /* counted: the newest snapshot */
    struct auth_limiter *limiter; /* owned */
    struct arena *scratch;        /* owned: emptied after each want */
    struct list open;             /* struct exchange */
    struct list spare;            /* struct exchange, for the next requests */
    unsigned spare_count;
    uint32_t boot;      /* random: first half of the request ids */
    uint32_t count;     /* requests since the start: the second half */
    bool tight;         /* memory is short: nothing new is begun */
    bool leaving;       /* answers end their connection */
    struct quota quota; /* open requests by key */
    struct metrics metrics;
};

/*
 * loop, store, pools, live  borrowed, longer-lived; live may be set later
 * conf                      counted
 * Errors: E_NOMEM; w can be cleared all the same.
 */
MUST_USE enum err worker_init(struct worker *w, struct loop *loop,
                              struct store *store, struct pools *pools,
                              struct conf *conf);

/* A newer snapshot, for what begins from now on. */
void worker_set_conf(struct worker *w, struct conf *conf);

/* Every exchange must have ended. */
void worker_clear(struct worker *w);

#endif
