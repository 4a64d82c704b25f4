/* detail.c - GET /sandboxes/{id}: one sandbox in full. */
#include "translate/api.h"
#include "translate/ops.h"
#include "translate/record.h"

#define DETAIL_MAX (1 << 20)

void detail_hear(struct op *op, const struct op_event *event, struct want *want)
{
    const struct sandbox *s = api_sandbox(op);
    struct buf b;

    (void)event;
    if (!s) {
        api_fail_sandbox(op, want, E_SANDBOX_GONE);
        return;
    }
    buf_init(&b, DETAIL_MAX);
    record_put_detail(&b, s, op->in.conf, op->in.envd_token);
    record_answer(op, want, 200, &b);
}
