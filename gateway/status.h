/* status.h - /healthz, /readyz and /metrics, on a server of their own.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_STATUS_H
#define GATEWAY_STATUS_H

#include <stdbool.h>

#include "base/err.h"
#include "gateway/metrics.h"
#include "net/server.h"

/* What is asked for each answer. */
struct status_source {
    const struct metrics *metrics; /* borrowed */
    /* Facts of this moment. */
    struct metrics_now (*now)(void *arg);
    void *arg;
};

struct status;

/*
 * GET and HEAD only; no secret, no id, no other path.  Source: threats.md
 * F-04.
 * fd   borrowed, listening
 * out  given: status_free()
 * Errors: E_NOMEM, E_SYSTEM.
 */
MUST_USE enum err status_new(struct loop *loop, int fd,
                             const struct status_source *source,
                             struct status **out);
void status_free(struct status **s);

#endif
