/* daemon.c - what 49983 answers about itself: health, environment. */
#include "base/json.h"
#include "translate/ops.h"

void envd_health_hear(struct op *op, const struct op_event *event,
                      struct want *want)
{
    struct fields fields = {0};

    if (event->kind == OP_BEGIN) {
        want->kind = WANT_LIVE;
        want->live.kind = LIVE_HEALTH;
    } else if (event->kind != OP_RESULT || event->err) {
        want_fail(want, event->err ? event->err : E_SANDBOX_UNKNOWN, STR_NONE);
    } else if (fields_add(&fields, op->arena, STR("Cache-Control"),
                          STR("no-store")) ||
               fields_add(&fields, op->arena, STR("Content-Type"), STR(""))) {
        want_fail(want, E_NOMEM, STR_NONE);
    } else {
        want_answer(op, want, 204, &fields, STR_NONE);
    }
}

static void put_member(json_t *object, const char *name, struct str value)
{
    /* Without memory the object stays short: seen below. */
    (void)json_object_set_new(object, name, json_stringn(value.p, value.n));
}

void envd_envs_hear(struct op *op, const struct op_event *event,
                    struct want *want)
{
    const struct sandbox *s = op->in.sandbox;
    struct str body = STR_NONE;
    json_t *object;
    struct buf b;

    (void)event;
    if (json_read(s->envs, &json_limits_api, &object)) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    put_member(object, "E2B_SANDBOX", STR("true"));
    put_member(object, "E2B_SANDBOX_ID", s->id);
    put_member(object, "E2B_TEMPLATE_ID", s->template_id);
    buf_init(&b, 1 << 20);
    json_write(&b, object);
    buf_byte(&b, '\n');
    if (!b.failed && json_object_get(object, "E2B_TEMPLATE_ID"))
        body = arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    json_decref(object);
    if (body.p)
        want_json(op, want, 200, body);
    else
        want_fail(want, E_NOMEM, STR_NONE);
}

/* The sandbox server's figures lack the processor and the disk: half an
 * answer would be believed. */
void envd_metrics_hear(struct op *op, const struct op_event *event,
                       struct want *want)
{
    (void)op;
    (void)event;
    want_fail(want, E_UNIMPLEMENTED,
              STR("metrics are not served by this gateway yet"));
}
