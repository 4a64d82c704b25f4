/* native_rest.c - the sandbox server's REST: calls that name their sandbox in
 * the body, and what is not served.
 *
 * Of an unknown id set_timeout, pause and resume say that all is well, as the
 * server does; so they do of another team's. */
#include "base/json.h"
#include "translate/api.h"
#include "translate/native.h"
#include "translate/ops.h"

#define OBJECT_MAX (64 << 10)
#define FLAG_MS 10000

/* ---- POST /v1/set_timeout ---- */

/* Above the ceiling: told by numbers. */
static void refuse_timeout(struct op *op, const struct native_body *body,
                           struct want *want)
{
    long long asked = (long long)body->timeout_s;
    long long most = (long long)op->in.conf->timeout_max_s;
    struct buf b;

    buf_init(&b, OBJECT_MAX);
    buf_text(&b,
             "{\"error\":{\"code\":\"timeout_too_large\",\"message\":"
             "\"The timeout is above the ceiling\",\"cause\":\"%lld s were "
             "asked for, %lld s are the most\",\"remediation\":\"Ask for at "
             "most max_timeout_s.\",\"context\":{\"max_timeout_s\":%lld,"
             "\"requested_s\":%lld",
             asked, most, most, asked);
    native_put(&b, ",\"sandbox\":", body->sandbox.p ? body->sandbox : STR(""));
    buf_put(&b, STR("}}}"));
    native_answer(op, want, 400, &b);
}

static void order_timeout(struct op *op, struct str text, struct want *want)
{
    struct native_body *body = arena_new_zero(op->arena, sizeof(*body));
    const char *wrong;

    op->state = body;
    if (!body) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    wrong = native_read(text, op->arena, body);
    if (!wrong && body->timeout_s <= 0)
        wrong = "timeout_seconds must be a positive number of seconds";
    if (wrong) {
        native_fail(want, wrong);
    } else if (body->timeout_s > op->in.conf->timeout_max_s) {
        refuse_timeout(op, body, want);
    } else {
        want->kind = WANT_JOB;
        want->job.kind = JOB_TIMEOUT;
        want->job.id = body->sandbox.p ? body->sandbox : STR("");
        want->job.timeout_s = body->timeout_s;
    }
}

static void say_timeout(struct op *op, const struct op_event *event,
                        struct want *want)
{
    const struct native_body *body = op->state;
    int64_t end_ms = event->wall_ms + body->timeout_s * 1000;
    struct buf b;

    if (event->err != E_OK && event->err != E_SANDBOX_GONE) {
        want_fail(want, event->err, STR_NONE);
        return;
    }
    if (event->err == E_OK && event->result->sandbox)
        end_ms = event->result->sandbox->end_ms;
    buf_init(&b, OBJECT_MAX);
    buf_text(&b,
             "{\"deadline_unix\":%lld,\"status\":\"ok\","
             "\"timeout_seconds\":%lld}",
             (long long)(end_ms / 1000), (long long)body->timeout_s);
    native_answer(op, want, 200, &b);
}

void native_timeout_hear(struct op *op, const struct op_event *event,
                         struct want *want)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(want);
    else if (event->kind == OP_BEGIN)
        want->kind = WANT_BODY;
    else if (event->kind == OP_BODY)
        order_timeout(op, event->bytes, want);
    else
        say_timeout(op, event, want);
}

/* ---- POST /v1/pause and /v1/resume ---- */

static void say_flag(struct op *op, struct want *want)
{
    struct buf b;

    buf_init(&b, OBJECT_MAX);
    buf_text(&b, "{\"status\":\"%s\"}",
             op->row->variant == 1 ? "running" : "paused");
    native_answer(op, want, 200, &b);
}

/* The record's id, and nothing else of the client's body. */
static void call_flag(struct op *op, struct want *want)
{
    struct str body = arena_text(op->arena, "{\"sandbox\":\"%.*s\"}",
                                 STR_FMT(op->in.sandbox->id));

    if (!body.p) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    want->kind = WANT_CALL;
    want->call.path =
        op->row->variant == 1 ? STR("/v1/resume") : STR("/v1/pause");
    want->call.body = body;
    want->call.collect = true;
    want->call.limit = OBJECT_MAX;
    want->call.deadline_ms = FLAG_MS;
}

static void find(struct op *op, struct str text, struct want *want)
{
    struct native_body body;
    const char *wrong = native_read(text, op->arena, &body);

    if (wrong) {
        native_fail(want, wrong);
        return;
    }
    want->kind = WANT_RECORD;
    want->record = body.sandbox.p ? body.sandbox : STR("");
}

void native_flag_hear(struct op *op, const struct op_event *event,
                      struct want *want)
{
    if (event->kind == OP_BEGIN)
        want->kind = WANT_BODY;
    else if (event->kind == OP_BODY)
        find(op, event->bytes, want);
    else if (event->err == E_SANDBOX_GONE)
        say_flag(op, want);
    else if (event->err != E_OK)
        want_fail(want, event->err, STR_NONE);
    else if (event->kind == OP_RESULT && op->in.sandbox)
        call_flag(op, want);
    else if (event->kind == OP_ANSWER && event->status != 200)
        want_fail(want, E_BACKEND_REFUSED, STR_NONE);
    else
        say_flag(op, want);
}

/* ---- POST /v1/preview ---- */

static void say_no_previews(struct op *op, struct want *want)
{
    struct buf b;

    buf_init(&b, OBJECT_MAX);
    buf_put(&b,
            STR("{\"error\":{\"code\":\"internal\",\"message\":\"Preview URLs "
                "are not enabled\",\"cause\":\"preview URLs are not enabled on "
                "this server: preview.domain is not configured\","
                "\"remediation\":\"Ask whoever runs this gateway.\"}}"));
    native_answer(op, want, 501, &b);
}

/* What the answer needs again. */
struct preview {
    struct native_body body;
    struct link link;
};

static void order_link(struct op *op, struct str text, struct want *want)
{
    const struct conf_preview *conf = &op->in.conf->preview;
    struct preview *p = arena_new_zero(op->arena, sizeof(*p));
    const char *wrong;

    op->state = p;
    if (!p) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    wrong = native_read(text, op->arena, &p->body);
    if (!wrong && p->body.sandbox.n == 0)
        wrong = "sandbox is required";
    if (!wrong && (p->body.port < 1 || p->body.port > 65535))
        wrong = "port must be 1-65535";
    if (wrong) {
        native_fail(want, wrong);
        return;
    }
    p->link.port = (unsigned)p->body.port;
    p->link.opaque = !sandbox_fits_host(p->body.sandbox);
    link_scopes_all(&p->link.scopes);
    want->kind = WANT_JOB;
    want->job.kind = JOB_LINK_CREATE;
    want->job.id = p->body.sandbox;
    want->job.timeout_s = conf->ttl_default_s;
    want->job.link = &p->link;
    want->job.mitos = conf->mitos_secret_bytes && !p->link.opaque;
}

static void say_link(struct op *op, const struct op_event *event,
                     struct want *want)
{
    const struct preview *p = op->state;
    struct buf b;

    if (event->err == E_UNIMPLEMENTED) {
        say_no_previews(op, want);
    } else if (event->err == E_SANDBOX_GONE) {
        native_fail_unknown(op, want, p->body.sandbox);
    } else if (event->err != E_OK) {
        want_fail(want, event->err, STR_NONE);
    } else {
        buf_init(&b, OBJECT_MAX);
        buf_text(&b, "{\"expires_unix\":%lld",
                 (long long)event->result->links[0].expires_s);
        native_put(&b, ",\"url\":", event->result->link_url);
        buf_byte(&b, '}');
        native_answer(op, want, 200, &b);
    }
}

void native_preview_hear(struct op *op, const struct op_event *event,
                         struct want *want)
{
    if (event->kind == OP_BEGIN && !conf_previews(op->in.conf))
        say_no_previews(op, want);
    else if (event->kind == OP_BEGIN)
        want->kind = WANT_BODY;
    else if (event->kind == OP_BODY)
        order_link(op, event->bytes, want);
    else
        say_link(op, event, want);
}

/* ---- what is not served ---- */

/* Whatever the id: it would open a port on the sandbox server's own loopback,
 * where no client of ours is. */
void native_forward_hear(struct op *op, const struct op_event *event,
                         struct want *want)
{
    (void)op;
    (void)event;
    want_fail(want, E_UNIMPLEMENTED,
              STR("forward opens a port on the sandbox server's loopback; use "
                  "/v1/sandboxes/<id>/expose/<port>"));
}

void native_unkept_hear(struct op *op, const struct op_event *event,
                        struct want *want)
{
    (void)event;
    want_fail(want, E_UNIMPLEMENTED,
              op->row->variant == 1
                  ? STR("this stream needs both ways at once: use ExecStream, "
                        "RunCodeStream, or the WebSocket of Exec")
                  : STR("the sandbox server does not implement this"));
}
