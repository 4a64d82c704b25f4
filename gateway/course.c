/* course.c - see course.h. */
#include "gateway/course.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/access.h"
#include "gateway/admit.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/forwarded.h"
#include "gateway/orphan.h"
#include "gateway/worker.h"

#define MAGIC 0x58434847u /* "XCHG" */

/* The store is asked again so often, and for so long.  Source:
 * architecture.md 3. */
#define LOOKUP_AGAIN_MS 50
#define LOOKUP_MS 1000

/* ---- the steps ---- */

static enum state fail(struct exchange *x, enum err why)
{
    if (!x->why)
        x->why = why;
    return X_FAIL;
}

static enum state say_preflight(struct exchange *x)
{
    struct answer_head head;
    struct str body;

    answer_preflight(x->head, x->route.class, x->arena, &head, &body);
    exchange_note_head(x, head.status);
    x->told = TOLD_ALL;
    stream_say_all(x->stream, &head, body);
    return X_END;
}

static enum state route(struct exchange *x)
{
    struct op_found found;
    enum err err = route_find(x->head, x->conf, &x->route);

    x->dialect = x->route.native ? DIALECT_PROXY
                                 : answer_dialect(x->route.class, x->head);
    if (err)
        return fail(x, err);
    if (exchange_is_passed(x))
        return x->worker->tight ? fail(x, E_TIGHT) : X_LOOKUP;
    if (x->route.preflight)
        return say_preflight(x);
    x->row_err = op_find(x->route.class, x->head->method, x->head->path,
                         x->arena, &found);
    x->row = found.row;
    memcpy(x->params, found.params, sizeof(x->params));
    x->allow = found.allow;
    if (x->row)
        x->dialect = x->row->dialect;
    if (x->worker->tight)
        return fail(x, E_TIGHT);
    /* In a sandbox even a path that is not there needs the token. */
    if (x->row_err &&
        (x->route.class == CLASS_API || x->route.class == CLASS_NATIVE))
        return fail(x, x->row_err);
    return X_LOOKUP;
}

static enum state lookup(struct exchange *x)
{
    int64_t now_ms;

    switch (admit_lookup(x)) {
    case FOUND:
        return X_AUTH;
    case ABSENT:
        return fail(x, E_SANDBOX_GONE);
    case UNKNOWN:
        break;
    }
    now_ms = clock_ms();
    if (!x->lookup_until_ms)
        x->lookup_until_ms = now_ms + LOOKUP_MS;
    if (now_ms >= x->lookup_until_ms)
        return fail(x, x->route.class == CLASS_API ||
                               x->route.class == CLASS_NATIVE
                           ? E_STORE
                           : E_SANDBOX_UNKNOWN);
    timer_set(&x->timer, LOOKUP_AGAIN_MS);
    return X_WAIT;
}

static void on_kicked(void *arg, enum err why)
{
    exchange_fail(arg, why);
}

/* Among those that are told when the sandbox ends. */
MUST_USE static enum err board(struct exchange *x)
{
    enum err err;

    if (x->route.class == CLASS_API || x->route.class == CLASS_NATIVE)
        return E_OK;
    x->passenger.on_kicked = on_kicked;
    x->passenger.arg = x;
    err = passenger_board(x->worker->live, x->record, &x->passenger);
    if (err == E_OK)
        x->facts |= FACT_ABOARD;
    if (err == E_OK && x->visit)
        passenger_show(x->worker->live, &x->passenger, &x->visit->link);
    return err;
}

static enum state authenticate(struct exchange *x)
{
    enum state next =
        x->route.class == CLASS_LINK ? preview_gate_step(x) : X_RUN;
    enum err err;

    if (next != X_RUN)
        return next;
    err = admit_check(x);
    if (err == E_OK && x->key_found == FOUND)
        err = quota_take(&x->worker->quota, x->key.number, &x->quota);
    if (err == E_OK)
        err = x->row_err;
    if (err == E_OK)
        err = board(x);
    if (err)
        return fail(x, err);
    if (x->row)
        run_begin(x);
    return X_RUN;
}

static enum state run(struct exchange *x)
{
    return exchange_is_passed(x) ? X_CARRY : run_step(x);
}

#define TO(state) (1U << (state))

/* Which moves exist.  Only run may follow itself. */
static const struct {
    enum state (*step)(struct exchange *x);
    unsigned moves;
} steps[] = {
    [X_ROUTE] = {route, TO(X_LOOKUP) | TO(X_END)},
    [X_LOOKUP] = {lookup, TO(X_AUTH) | TO(X_END)},
    [X_AUTH] = {authenticate, TO(X_RUN) | TO(X_END)},
    [X_RUN] = {run, TO(X_RUN) | TO(X_CARRY) | TO(X_END)},
    [X_CARRY] = {carry_step, TO(X_END)},
    [X_END] = {NULL, 0},
};
_Static_assert(sizeof(steps) / sizeof(*steps) == X_END + 1, "a row per state");

/* ---- the end ---- */

/* A host that names a link only shows no more to whom it does not admit. */
static bool is_opaque(const struct exchange *x)
{
    return x->route.link.p && !(x->visit && x->visit->admitted);
}

static void answer_failure(struct exchange *x)
{
    struct answer_request r = {
        .err = x->why,
        .dialect = x->dialect,
        .page = answer_for_browser(&x->head->fields),
        .cors = !exchange_is_passed(x),
        .effect = x->facts & FACT_EFFECT,
        .sandbox_id = is_opaque(x) ? STR_NONE : x->route.id,
        .port = is_opaque(x) ? 0 : x->route.port,
        .host = x->head->host,
        .id = str_of(x->id),
        .back = &x->back,
        .path = x->head->path,
        .detail = x->detail,
        .error_code = x->error_code,
        .allow = x->allow,
        .retry_s = x->retry_s,
    };
    struct answer_head head;
    struct str body;
    enum err named;

    answer_build(&r, x->arena, &head, &body);
    /* For who asks the operator why; without memory it goes without. */
    named =
        fields_add(&head.fields, x->arena, STR("X-Request-Id"), str_of(x->id));
    (void)named;
    exchange_note_head(x, head.status);
    x->told = TOLD_ALL;
    stream_say_all(x->stream, &head, body);
}

static void bury(void *what);

/* After the last event: the line, and back to the spare ones. */
static void leave(struct exchange *x)
{
    struct metrics *m = &x->worker->metrics;

    if (x->facts & FACT_BURIED)
        return;
    x->facts |= FACT_BURIED;
    quota_give(&x->quota);
    x->bytes_in = stream_bytes_in(x->stream);
    x->bytes_out = stream_bytes_out(x->stream);
    m->requests[x->route.class][x->status / 100]++;
    m->bytes_in += x->bytes_in;
    m->bytes_out += x->bytes_out;
    m->cut += x->told == TOLD_CUT;
    m->gone += (x->facts & FACT_GONE) != 0;
    metrics_count_limit(m, x->why);
    if (x->head_ms)
        metrics_count_head(m, x->head_ms - x->began_ms);
    access_say(x);
    stream_free(&x->stream);
    list_remove(&x->link);
    loop_bury(x->worker->loop, bury, x);
}

/* The answer that is owed, or a cut. */
static void end_answer(struct exchange *x)
{
    if (x->why && x->told == TOLD_HEAD) {
        x->told = TOLD_CUT;
        stream_cut(x->stream);
        return;
    }
    /* The connection was made for another host (threats.md T-02), or costs
     * memory that is short. */
    if (x->why == E_MISDIRECTED || x->why == E_TIGHT)
        stream_close_after(x->stream);
    if (x->told == TOLD_NOTHING)
        answer_failure(x);
}

/* Answer or cut, give back all but the stream; the stream's own end follows
 * as an event, or has come. */
static void finish(struct exchange *x)
{
    if (x->facts & FACT_FINISHED)
        return;
    x->facts |= FACT_FINISHED;
    timer_stop(&x->timer);
    run_release(x);
    carry_release(x);
    preview_gate_release(x);
    if (x->facts & FACT_ABOARD)
        passenger_leave(x->worker->live, &x->passenger);
    x->facts &= ~(unsigned)FACT_ABOARD;
    if (!(x->facts & FACT_GONE))
        end_answer(x);
    if (x->facts & (FACT_WRITTEN | FACT_GONE) || x->told == TOLD_CUT)
        leave(x);
}

/* Move as far as the present facts go. */
static void move(struct exchange *x)
{
    enum state next;

    x->advancing = true;
    while (x->state != X_END) {
        x->again = false;
        next = x->why ? X_FAIL : steps[x->state].step(x);
        if (next == X_WAIT) {
            if (x->again)
                continue;
            break;
        }
        if (next == X_FAIL)
            next = X_END;
        assert(steps[x->state].moves & TO(next)); /* our mistake */
        x->state = next;
    }
    x->advancing = false;
}

static void advance(struct exchange *x)
{
    bool was_over = x->state == X_END;

    if (x->advancing) {
        x->again = true;
        return;
    }
    if (was_over) {
        if (x->facts & (FACT_WRITTEN | FACT_GONE))
            leave(x);
        return;
    }
    do {
        move(x);
    } while (x->state == X_RUN && run_settle(x) && x->state == X_RUN);
    if (x->state == X_END)
        finish(x);
}

/* ---- the client's events ---- */

static void on_piece(void *arg, struct str piece)
{
    struct exchange *x = arg;

    assert(x->magic == MAGIC);
    if (x->state == X_RUN)
        run_client_piece(x, piece);
    else if (x->state == X_CARRY)
        carry_client_piece(x, piece);
}

static void on_end(void *arg)
{
    struct exchange *x = arg;

    x->facts |= FACT_BODY_ENDED;
    exchange_advance(x);
}

static void on_gone(void *arg, enum err why)
{
    struct exchange *x = arg;

    x->facts |= FACT_GONE;
    if (why != E_SLOW && why != E_BAD_REQUEST)
        why = E_GONE_CLIENT;
    else if (x->told == TOLD_NOTHING)
        x->status = why == E_SLOW ? 408 : 400; /* net has said it */
    if (x->state == X_RUN && x->row && x->row->gone == GONE_TELL)
        run_client_gone(x, why);
    else
        exchange_fail(x, why);
}

static void on_room(void *arg)
{
    struct exchange *x = arg;

    if (x->state == X_RUN)
        run_client_room(x);
    else if (x->state == X_CARRY)
        carry_client_room(x);
}

static void on_done(void *arg)
{
    struct exchange *x = arg;

    x->facts |= FACT_WRITTEN;
    exchange_advance(x);
}

static const struct stream_events events = {on_piece, on_end, on_gone, on_room,
                                            on_done};

static void on_time(void *arg)
{
    struct exchange *x = arg;

    if (x->state == X_RUN)
        run_time(x);
    else
        exchange_advance(x);
}

/* ---- making and keeping ---- */

static void destroy(struct exchange *x)
{
    run_clear(&x->run);
    timer_clear(&x->timer);
    arena_free(&x->arena);
    x->magic = 0;
    mem_free(x);
}

/* Everything back but what is recycled: memory, timer, buffers. */
static void empty(struct exchange *x)
{
    struct exchange old = *x;

    sandbox_unref(&old.record);
    conf_unref(&old.conf);
    arena_reset(old.arena);
    memset(x, 0, sizeof(*x));
    x->magic = MAGIC;
    x->worker = old.worker;
    x->arena = old.arena;
    x->timer = old.timer;
    x->run.call_arena = old.run.call_arena;
    x->run.answer = old.run.answer;
    x->run.body = old.run.body;
}

static void bury(void *what)
{
    struct exchange *x = what;
    struct worker *w = x->worker;

    empty(x);
    if (w->spare_count >= WORKER_SPARE_MAX) {
        destroy(x);
        return;
    }
    w->spare_count++;
    list_push(&w->spare, &x->link);
}

MUST_USE static enum err make(struct worker *w, struct exchange **out)
{
    struct exchange *x;
    enum err err;

    *out = NULL;
    if (w->spare_count) {
        w->spare_count--;
        *out = LIST_OF(list_pop(&w->spare), struct exchange, link);
        return E_OK;
    }
    x = mem_new(sizeof(*x));
    if (!x)
        return E_NOMEM;
    x->magic = MAGIC;
    x->worker = w;
    timer_init(&x->timer, w->loop, on_time, x);
    err = arena_new(WORKER_ARENA_MAX, &x->arena);
    if (err) {
        mem_free(x);
        return err;
    }
    *out = x;
    return E_OK;
}

void course_drop_open(struct worker *w)
{
    while (!list_empty(&w->open)) {
        struct exchange *x = LIST_OF(w->open.next, struct exchange, link);

        x->facts |= FACT_GONE;
        exchange_fail(x, E_CUT);
    }
}

void course_drop_spare(struct worker *w)
{
    struct list *link;

    while ((link = list_pop(&w->spare)))
        destroy(LIST_OF(link, struct exchange, link));
    w->spare_count = 0;
}

/* Eight hex digits. */
static void put_hex(char *out, uint32_t number)
{
    for (int i = 7; i >= 0; i--, number >>= 4)
        out[i] = "0123456789abcdef"[number & 15];
}

/* The client's own id when it is harmless, else one of ours.  Source:
 * threats.md X-08. */
static void name_request(struct exchange *x)
{
    struct str given = fields_get(&x->head->fields, STR("x-request-id"));
    bool ok = given.n > 0 && given.n <= REQUEST_ID_MAX;

    for (size_t i = 0; ok && i < given.n; i++) {
        char c = given.p[i];

        ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
             (c >= 'A' && c <= 'Z') || c == '-';
    }
    x->worker->count++;
    if (ok)
        memcpy(x->id, given.p, given.n);
    if (ok)
        return;
    put_hex(x->id, x->worker->boot);
    put_hex(x->id + 8, x->worker->count);
}

/* A stream that nobody could take. */
static void refuse(struct stream *s)
{
    struct field rows[] = {
        {STR("Content-Type"), STR("application/json")},
        {STR("Should-Retry"), STR("true")},
        {STR("Retry-After"), STR("1")},
    };
    struct answer_head head = {.status = 503, .fields = {rows, 3, 3}};

    orphan_own(s);
    stream_close_after(s);
    stream_say_all(s, &head,
                   STR("{\"code\":503,\"message\":\"The gateway has no "
                       "memory left\"}"));
}

/* Behind a listed proxy the client is the one that it says. */
MUST_USE static enum err look_behind(struct exchange *x)
{
    struct forwarded f;
    struct request_head *head;
    enum err err = forwarded_read(x->head, x->conf, x->arena, &f);

    if (err || !f.trusted)
        return err;
    head = arena_alloc(x->arena, sizeof(*head));
    if (!head)
        return E_NOMEM;
    *head = *x->head;
    head->peer = f.client;
    head->tls = head->tls || f.https;
    x->head = head;
    x->chain = f.chain;
    return E_OK;
}

void course_begin(struct worker *w, struct stream *s,
                  const struct request_head *head)
{
    struct exchange *x;

    if (make(w, &x)) {
        refuse(s);
        return;
    }
    x->advance = advance;
    x->stream = s;
    x->head = head;
    x->paused = PAUSE_WAIT;
    x->key_found = ABSENT;
    x->conf = conf_ref(w->conf);
    x->began_ms = clock_ms();
    x->wall_ms = clock_wall_ms();
    x->facts = (head->length == 0 ? FACT_BODY_ENDED : 0) |
               (head->expects ? 0 : FACT_CONTINUED);
    name_request(x);
    list_push(&w->open, &x->link);
    stream_own(s, &events, x);
    x->why = look_behind(x);
    exchange_advance(x);
}
