/* native_sandbox.c - the sandbox server's REST: what there is, and how a
 * sandbox comes to be and ends. */
#include "base/clock.h"
#include "base/json.h"
#include "translate/api.h"
#include "translate/native.h"
#include "translate/ops.h"

#define LIST_MAX (256 << 20)
#define OBJECT_MAX (64 << 10)
#define KEY_MAX 255

static const char bad_id[] = "invalid id: must be 1-64 characters of "
                             "[a-zA-Z0-9_-], starting with a letter or digit";

/* ---- objects ---- */

/* Where the client found us. */
static void put_endpoint(struct buf *b, const struct request_head *head)
{
    struct str host = fields_get(&head->fields, STR("host"));

    native_put(b, ",\"endpoint\":", STR(""));
    b->n--;
    buf_put(b, head->tls ? STR("https://") : STR("http://"));
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] > ' ' && host.p[i] != '"' && host.p[i] != '\\')
            buf_byte(b, host.p[i]);
    buf_byte(b, '"');
}

/* What holds a sandbox, or a template, in. */
static void put_network(struct buf *b, const struct conf_backend *backend)
{
    buf_text(b, ",\"network\":{\"egress\":\"%s\",\"inbound\":\"deny\"}}",
             backend && backend->egress ? "allow" : "deny");
}

static void put_sandbox(struct buf *b, const struct op *op,
                        const struct sandbox *s, int64_t fork_ms)
{
    char moment[25];

    clock_text(s->started_ms, moment);
    native_put(b, "{\"id\":", s->id);
    native_put(b, ",\"template_id\":", s->alias.n ? s->alias : s->template_id);
    put_endpoint(b, op->in.head);
    buf_text(b, ",\"created_at\":\"%s\",\"fork_time_ms\":%lld", moment,
             (long long)fork_ms);
    put_network(b, conf_backend(op->in.conf, s->backend));
}

static void put_template(struct buf *b, const struct conf *conf,
                         const struct conf_template *t, struct str name)
{
    native_put(b, "{\"id\":", name);
    buf_put(b, STR(",\"ready\":true,"
                   "\"created_at\":\"1970-01-01T00:00:00.000Z\","
                   "\"creation_time_ms\":0"));
    put_network(b, conf_backend(conf, t->backend));
}

/* ---- GET /v1/sandboxes and /v1/health ---- */

static void say_list(struct op *op, const struct op_result *result,
                     struct want *want)
{
    struct buf b;
    unsigned count = 0;
    bool list = op->row->variant == 1;

    buf_init(&b, LIST_MAX);
    if (list)
        buf_byte(&b, '[');
    for (unsigned i = 0; i < result->count; i++) {
        if (result->list[i]->state != SANDBOX_RUNNING)
            continue;
        if (count++ && list)
            buf_byte(&b, ',');
        if (list)
            put_sandbox(&b, op, result->list[i], 0);
    }
    if (list)
        buf_byte(&b, ']');
    else
        buf_text(&b,
                 "{\"mock\":false,\"sandboxes\":%u,\"status\":\"ok\","
                 "\"templates\":%u}",
                 count, op->in.conf->template_count);
    native_answer(op, want, 200, &b);
}

void native_list_hear(struct op *op, const struct op_event *event,
                      struct want *want)
{
    if (event->kind == OP_BEGIN)
        want->kind = WANT_RECORDS;
    else if (event->err != E_OK)
        want_fail(want, event->err, STR_NONE);
    else
        say_list(op, event->result, want);
}

/* ---- /v1/templates ---- */

void native_templates_hear(struct op *op, const struct op_event *event,
                           struct want *want)
{
    const struct conf *conf = op->in.conf;
    struct buf b;

    (void)event;
    buf_init(&b, LIST_MAX);
    buf_byte(&b, '[');
    for (unsigned i = 0; i < conf->template_count; i++) {
        const struct conf_template *t = &conf->templates[i];

        if (i)
            buf_byte(&b, ',');
        put_template(&b, conf, t, t->name_count ? t->names[0] : t->id);
    }
    buf_byte(&b, ']');
    native_answer(op, want, 200, &b);
}

/* A template of the configuration is there; others are not made: what is in
 * them is the operator's to say. */
static void find_template(struct op *op, struct str text, struct want *want)
{
    struct native_body body;
    const char *wrong = native_read(text, op->arena, &body);
    const struct conf_template *t;
    struct buf b;

    if (!wrong && body.id.n == 0)
        wrong = "id is required";
    if (wrong) {
        native_fail(want, wrong);
        return;
    }
    t = conf_template(op->in.conf, body.id);
    if (!t) {
        want_fail(want, E_FORBIDDEN,
                  arena_text(op->arena,
                             "template \"%.*s\" is not one of this gateway's "
                             "configuration",
                             STR_FMT(body.id)));
        return;
    }
    if (body.asks) {
        want_fail(want, E_NOT_KEPT,
                  arena_text(op->arena,
                             "%s: the configuration says what template "
                             "\"%.*s\" has",
                             body.asks, STR_FMT(body.id)));
        return;
    }
    buf_init(&b, OBJECT_MAX);
    put_template(&b, op->in.conf, t, body.id);
    native_answer(op, want, 200, &b);
}

void native_template_hear(struct op *op, const struct op_event *event,
                          struct want *want)
{
    if (event->kind == OP_BEGIN)
        want->kind = WANT_BODY;
    else
        find_template(op, event->bytes, want);
}

/* ---- forks ---- */

struct fork {
    struct str id;
    int64_t began_ms;
};

/* An empty one is none.  Another body with it brings the first sandbox all the
 * same.  Source: mitos-sandbox-server.md 1.4 */
static bool take_key(struct op *op, struct want_job *job)
{
    struct str key = fields_get(&op->in.head->fields, STR("idempotency-key"));

    if (key.n == 0)
        return true;
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] < 0x20 || key.p[i] > 0x7e)
            return false;
    job->idempotency_key = key;
    job->request_hash[0] = 'n';
    return key.n <= KEY_MAX;
}

static void order(struct op *op, const struct op_event *event,
                  struct want *want)
{
    struct want_job job = {.kind = JOB_CREATE,
                           .native = true,
                           .secure = true,
                           .timeout_s = op->in.conf->timeout_max_s};
    struct fork *f = op->state = arena_new_zero(op->arena, sizeof(*f));
    struct native_body body;
    const char *wrong = native_read(event->bytes, op->arena, &body);

    if (!wrong && !sandbox_native_id_ok(body.id))
        wrong = body.id.n ? bad_id : "id is required";
    if (!wrong && !take_key(op, &job))
        wrong = "Idempotency-Key must be 1 to 255 printable characters";
    if (wrong || !f) {
        if (f)
            native_fail(want, wrong);
        else
            want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    job.id = f->id = body.id;
    f->began_ms = event->now_ms;
    if (op->row->variant == 1) {
        job.source = op->in.params[0];
        job.pause_source = body.pause_source;
    } else {
        job.template = conf_template(op->in.conf, body.template);
        job.alias = body.template;
        if (!job.template) {
            want_fail(want, E_TEMPLATE_UNKNOWN,
                      arena_text(op->arena, "template \"%.*s\" not found",
                                 STR_FMT(body.template)));
            return;
        }
    }
    want->kind = WANT_JOB;
    want->job = job;
}

static void say_fork(struct op *op, const struct op_event *event,
                     struct want *want)
{
    const struct fork *f = op->state;
    struct buf b;

    if (event->err == E_SANDBOX_GONE && op->row->variant == 1) {
        native_fail_unknown(op, want, op->in.params[0]);
    } else if (event->err == E_ALREADY_EXISTS) {
        want_fail(
            want, event->err,
            arena_text(op->arena, "id \"%.*s\" is in use", STR_FMT(f->id)));
    } else if (event->err != E_OK) {
        api_fail_create(op, event, want);
    } else {
        buf_init(&b, OBJECT_MAX);
        put_sandbox(&b, op, event->result->sandbox,
                    event->now_ms - f->began_ms);
        native_answer(op, want, 200, &b);
    }
}

void native_fork_hear(struct op *op, const struct op_event *event,
                      struct want *want)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(want);
    else if (event->kind == OP_BEGIN)
        want->kind = WANT_BODY;
    else if (event->kind == OP_BODY)
        order(op, event, want);
    else
        say_fork(op, event, want);
}

/* ---- DELETE /v1/sandboxes/{sandbox} ---- */

void native_kill_hear(struct op *op, const struct op_event *event,
                      struct want *want)
{
    struct buf b;

    if (event->kind == OP_CLIENT_GONE) {
        api_leave(want);
    } else if (event->kind == OP_BEGIN) {
        want->kind = WANT_JOB;
        want->job.kind = JOB_KILL;
        want->job.id = op->in.params[0];
    } else if (event->err == E_SANDBOX_GONE) {
        native_fail_unknown(op, want, op->in.params[0]);
    } else if (event->err != E_OK) {
        want_fail(want, event->err, STR_NONE);
    } else {
        buf_init(&b, OBJECT_MAX);
        native_put(&b, "{\"id\":", op->in.params[0]);
        buf_put(&b, STR(",\"status\":\"terminated\"}"));
        native_answer(op, want, 200, &b);
    }
}
