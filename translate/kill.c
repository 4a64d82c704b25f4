/* kill.c - DELETE /sandboxes/{id}: the sandbox ends. */
#include "translate/api.h"
#include "translate/ops.h"

static void begin(struct op *op, struct want *want)
{
    if (!api_sandbox(op)) {
        api_fail_sandbox(op, want, E_SANDBOX_GONE);
        return;
    }
    want->kind = WANT_JOB;
    want->job.kind = JOB_KILL;
    want->job.id = op->in.sandbox->id;
}

void kill_hear(struct op *op, const struct op_event *event, struct want *want)
{
    if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->kind == OP_CLIENT_GONE)
        api_leave(want);
    else if (event->err != E_OK)
        api_fail_sandbox(op, want, event->err);
    else
        want_empty(op, want, 204);
}
