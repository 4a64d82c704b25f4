/* timeout.c - POST /sandboxes/{id}/timeout and /refreshes: a new end. */
#include "translate/api.h"
#include "translate/ops.h"

/* The end is now + it: it may come sooner.  Source: e2b-control-plane.md 8.8,
 * 8.9 (SDKs before 1.0). */
static const struct api_seconds timeout = {"timeout", 0, 0, -1};
static const struct api_seconds duration = {"duration", 0, 3600, 15};

static void begin(struct op *op, struct want *want)
{
    if (!api_sandbox(op))
        api_fail_sandbox(op, want, E_SANDBOX_GONE);
    else
        api_want_body(op, want);
}

static void order(struct op *op, struct str text, bool refresh,
                  struct want *want)
{
    int64_t seconds;
    json_t *body = api_read_body(op, text, refresh, want);

    if (body && api_read_seconds(op, body, refresh ? &duration : &timeout,
                                 &seconds, want)) {
        want->kind = WANT_JOB;
        want->job.kind = refresh ? JOB_EXTEND : JOB_TIMEOUT;
        want->job.id = op->in.sandbox->id;
        want->job.timeout_s = seconds;
    }
    json_decref(body);
}

static void hear(struct op *op, const struct op_event *event, bool refresh,
                 struct want *want)
{
    if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->kind == OP_CLIENT_GONE)
        api_leave(want);
    else if (event->kind == OP_BODY)
        order(op, event->bytes, refresh, want);
    else if (event->err != E_OK)
        api_fail_sandbox(op, want, event->err);
    else
        want_empty(op, want, 204);
}

void timeout_hear(struct op *op, const struct op_event *event,
                  struct want *want)
{
    hear(op, event, false, want);
}

void timeout_refresh_hear(struct op *op, const struct op_event *event,
                          struct want *want)
{
    hear(op, event, true, want);
}
