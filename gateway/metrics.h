/* metrics.h - what is counted, and its text for Prometheus.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_METRICS_H
#define GATEWAY_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "translate/op.h"

#define METRICS_BUCKETS 8
#define METRICS_LIMITS 5

/* Counters since the start.  Labels are few and fixed: nothing that a tenant
 * chooses.  Source: threats.md G-04. */
struct metrics {
    uint64_t requests[CLASS_LINK + 1][6]; /* by class and hundreds of status;
                                             0: no answer was told */
    uint64_t refused[6];              /* heads that net refused, by hundreds */
    uint64_t limited[METRICS_LIMITS]; /* refused for a limit, by which */
    uint64_t redirects;               /* to https, from listeners without TLS */
    uint64_t failed_keys;             /* 401 of the control plane */
    uint64_t cut;                     /* answers that ended short */
    uint64_t gone;                    /* clients that left before the end */
    uint64_t bytes_in;                /* of request bodies */
    uint64_t bytes_out;               /* of answers' bodies */
    uint64_t head_ms[METRICS_BUCKETS + 1]; /* time to the head, by bucket */
    uint64_t head_ms_sum;
    uint64_t reloads, reload_failures;
};

/* One exchange is over. */
void metrics_count_head(struct metrics *m, int64_t head_ms);

/* One exchange failed so: does a limit show by it? */
void metrics_count_limit(struct metrics *m, enum err why);

/* What else is shown: facts of this moment. */
struct metrics_now {
    unsigned connections, streams;
    uint64_t crowded, greetings; /* server_counts */
    bool ready, draining;
    bool tight; /* memory is short */
    int64_t memory_bytes, memory_max_bytes;
    int64_t uptime_s;
};

/* Append the whole text.  Source: Prometheus text format 0.0.4. */
void metrics_write(const struct metrics *m, const struct metrics_now *now,
                   struct buf *b);

#endif
