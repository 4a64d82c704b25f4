/* rest.c - see rest.h. */
#include "live/rest.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>

#define ANSWER_MAX (4u << 20) /* threats.md L-12 */
#define FIELDS_MAX 6

struct rest {
    struct list link; /* in its back end's rests */
    struct backend *backend;
    struct call *call; /* owned; NULL once it is over */
    struct timer deadline;
    struct buf body;
    int status;
    void (*on_answer)(void *arg, const struct rest_answer *a);
    void *arg;
};

/* The one way out: after this nothing is heard of it. */
static void answer(struct rest *r, enum err err, bool sent)
{
    struct rest_answer a = {
        .err = err, .status = r->status, .sent = sent || r->status};
    json_t *json = NULL;

    timer_stop(&r->deadline);
    call_free(&r->call);
    if (r->status) {
        a.body = buf_str(&r->body);
        if (json_read(a.body, &json_limits_list, &json))
            json = NULL;
        a.json = json;
        if (err == E_OK && !json)
            a.err = E_BACKEND_GARBAGE;
    }
    r->on_answer(r->arg, &a);
    json_decref(json);
}

static enum err judge(int status)
{
    if (status == 200)
        return E_OK;
    if (status == 404)
        return E_NOT_FOUND;
    if (status == 429 || status == 503)
        return E_BACKEND_BUSY;
    if (status >= 500)
        return E_BACKEND_DOWN;
    return status >= 400 ? E_BACKEND_REFUSED : E_BACKEND_GARBAGE;
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct rest *r = arg;

    r->status = head->status;
    backend_heard(r->backend, BACKEND_UP);
}

static void on_piece(void *arg, struct str piece)
{
    struct rest *r = arg;

    buf_put(&r->body, piece);
    if (!r->body.failed)
        return;
    buf_empty(&r->body);
    answer(r, E_BACKEND_GARBAGE, true);
}

static void on_end(void *arg)
{
    struct rest *r = arg;
    enum err err = judge(r->status);

    /* A refusal need not be JSON to be understood. */
    answer(r, err, true);
}

static void on_cut(void *arg, enum err why)
{
    struct rest *r = arg;
    struct call_facts facts = call_facts(r->call);

    r->status = 0;
    if (why == E_BACKEND_DOWN)
        backend_heard(r->backend, BACKEND_DOWN);
    else
        backend_doubt(r->backend);
    answer(r, why == E_CUT ? E_BACKEND_DOWN : why, facts.sent);
}

static void on_room(void *arg)
{
    (void)arg;
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

static void on_deadline(void *arg)
{
    struct rest *r = arg;
    struct call_facts facts = call_facts(r->call);

    r->status = 0;
    backend_doubt(r->backend);
    answer(r, E_UPSTREAM_DEADLINE, facts.sent);
}

/* Rows on the caller's stack: no memory is needed for them. */
static void put(struct fields *f, struct str name, struct str value)
{
    if (value.p)
        f->at[f->count++] = (struct field){name, value};
}

MUST_USE static enum err call(struct rest *r, const struct rest_request *want)
{
    struct field rows[FIELDS_MAX];
    struct fields fields = {rows, 0, FIELDS_MAX};
    struct call_request req = {
        .method = want->method,
        .target = want->target,
        .fields = &fields,
        .length = want->body.p ? (int64_t)want->body.n : LENGTH_NONE,
        .body = want->body,
        .idempotent = want->idempotent,
    };

    backend_request(r->backend, &req);
    put(&fields, STR("X-Sandbox-Id"), want->sandbox);
    put(&fields, STR("Idempotency-Key"), want->idempotency_key);
    if (want->body.p)
        put(&fields, STR("Content-Type"), STR("application/json"));
    if (want->sandbox.p)
        put(&fields, STR("Connect-Protocol-Version"), STR("1"));
    put(&fields, STR("Accept-Encoding"), STR("identity"));
    return call_start(r->backend->live->pools, &req, &events, r, &r->call);
}

enum err rest_start(struct backend *b, const struct rest_request *want,
                    void (*on_answer)(void *arg, const struct rest_answer *a),
                    void *arg, struct rest **out)
{
    struct rest *r = mem_new(sizeof(*r));
    enum err err;

    *out = NULL;
    if (!r)
        return E_NOMEM;
    r->backend = b;
    r->on_answer = on_answer;
    r->arg = arg;
    buf_init(&r->body, ANSWER_MAX);
    timer_init(&r->deadline, b->live->loop, on_deadline, r);
    err = call(r, want);
    if (err) {
        timer_clear(&r->deadline);
        mem_free(r);
        return err;
    }
    if (want->deadline_ms > 0)
        timer_set(&r->deadline, want->deadline_ms);
    list_push(&b->rests, &r->link);
    b->rest_count++;
    *out = r;
    return E_OK;
}

static void bury(void *what)
{
    struct rest *r = what;

    buf_clear(&r->body);
    mem_free(r);
}

void rest_free(struct rest **rp)
{
    struct rest *r = *rp;

    *rp = NULL;
    if (!r)
        return;
    list_remove(&r->link);
    r->backend->rest_count--;
    call_free(&r->call);
    timer_clear(&r->deadline);
    loop_bury(r->backend->live->loop, bury, r);
}

enum err rest_stat(struct backend *b, struct str sandbox, int64_t deadline_ms,
                   void (*on_answer)(void *arg, const struct rest_answer *a),
                   void *arg, struct rest **out)
{
    struct rest_request want = {
        .method = METHOD_POST,
        .target = STR("/sandbox.v1.Sandbox/Stat"),
        .body = STR("{\"path\":\"/\"}"),
        .sandbox = sandbox,
        .idempotent = true,
        .deadline_ms = deadline_ms,
    };

    return rest_start(b, &want, on_answer, arg, out);
}

enum err rest_delete(struct backend *b, struct str sandbox, int64_t deadline_ms,
                     void (*on_answer)(void *arg, const struct rest_answer *a),
                     void *arg, struct rest **out)
{
    char target[96];
    int n = snprintf(target, sizeof(target), "/v1/sandboxes/%.*s",
                     STR_FMT(sandbox));
    struct rest_request want = {
        .method = METHOD_DELETE,
        .target = str_from(target, (size_t)n),
        .idempotent = true,
        .deadline_ms = deadline_ms,
    };

    return rest_start(b, &want, on_answer, arg, out);
}
