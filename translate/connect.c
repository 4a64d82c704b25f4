/* connect.c - POST /sandboxes/{id}/connect, v1 and v2: a running sandbox
 * whose end may come later, never sooner. */
#include "translate/api.h"
#include "translate/ops.h"
#include "translate/record.h"

#define SANDBOX_MAX (64 << 10)

/* Source: e2b-control-plane.md 8.6.  v1 asks for the timeout, v2 for nothing
 * at all. */
static void order(struct op *op, struct str text, struct want *want)
{
    bool v2 = op->row->variant == 2;
    struct api_seconds timeout = {"timeout", 0, 0,
                                  v2 ? op->in.conf->timeout_default_s : -1};
    int64_t seconds;
    json_t *body = api_read_body(op, text, v2, want);

    if (body && api_read_seconds(op, body, &timeout, &seconds, want) &&
        api_keep_bool(op, body, "memory", true, want)) {
        want->kind = WANT_JOB;
        want->job.kind = JOB_EXTEND;
        want->job.id = op->in.sandbox->id;
        want->job.timeout_s = seconds;
    }
    json_decref(body);
}

static void answer(struct op *op, const struct op_result *result,
                   struct want *want)
{
    struct buf b;

    buf_init(&b, SANDBOX_MAX);
    record_put_sandbox(&b, result->sandbox, result->envd_token,
                       result->traffic_token);
    record_answer(op, want, 200, &b);
}

void connect_hear(struct op *op, const struct op_event *event,
                  struct want *want)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(want);
    else if (event->kind == OP_BEGIN && !api_sandbox(op))
        api_fail_sandbox(op, want, E_SANDBOX_GONE);
    else if (event->kind == OP_BEGIN)
        api_want_body(op, want);
    else if (event->kind == OP_BODY)
        order(op, event->bytes, want);
    else if (event->err != E_OK)
        api_fail_sandbox(op, want, event->err);
    else
        answer(op, event->result, want);
}
