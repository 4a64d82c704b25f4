/* run.c - see run.h.
 *
 * Events are noted by the functions that hear them and told to the operation
 * one at a time by run_step(); what it wants next is done before the next one
 * is told.  So an order that answers at once, or from inside, never re-enters
 * the operation. */
#include "gateway/run.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "gateway/admit.h"
#include "gateway/exchange.h"
#include "gateway/run_call.h"
#include "gateway/worker.h"

/* Memory that a recycled exchange keeps. */
#define KEEP_BYTES 65536
/* Of a body that is too big so much is read and thrown away before that is
 * told: a client that still sends does not read the answer. */
#define DROP_MAX ((uint64_t)1 << 20)
/* A body of the control plane must come this fast.  Source: threats.md E-02. */
#define BODY_FIRST_MS 15000
#define BODY_RATE 1024 /* bytes a second */

/* ---- live objects and jobs ---- */

/* A result is borrowed: it is told before this returns. */
static void tell_result(struct exchange *x, enum err err,
                        const struct op_result *result)
{
    struct run *r = &x->run;

    r->result_err = err;
    r->result = result;
    r->owed |= OWE_RESULT;
    exchange_advance(x);
    r->result = NULL;
}

static void on_live_result(void *arg, enum err err,
                           const struct op_result *result)
{
    struct exchange *x = arg;

    x->run.sub_waits = false;
    tell_result(x, err, result);
}

static void on_order_result(void *arg, enum err err,
                            const struct op_result *result)
{
    tell_result(arg, err, result);
}

static void on_live_piece(void *arg, struct str piece)
{
    struct exchange *x = arg;

    x->run.piece = piece;
    x->run.piece_from = FROM_LIVE;
    exchange_advance(x);
    x->run.piece = STR_NONE;
}

static void end_live(struct exchange *x, enum err why)
{
    x->run.sub_ended = true;
    x->run.sub_err = why;
    exchange_advance(x);
}

static void on_live_end(void *arg)
{
    end_live(arg, E_OK);
}

static void on_live_cut(void *arg, enum err why)
{
    end_live(arg, why);
}

static const struct live_events live_events = {on_live_result, on_live_piece,
                                               on_live_end, on_live_cut};

/* Other orders than those that are held say their result and no more. */
static void on_order_piece(void *arg, struct str piece)
{
    (void)arg;
    (void)piece;
}

static void on_order_end(void *arg)
{
    (void)arg;
}

static void on_order_cut(void *arg, enum err why)
{
    (void)arg;
    (void)why;
}

static const struct live_events order_events = {on_order_result, on_order_piece,
                                                on_order_end, on_order_cut};

/* Is it something that lasts: a process' stream, a place in a context? */
static bool is_held(enum live_kind kind)
{
    return kind == LIVE_PROCESS_START || kind == LIVE_PROCESS_CONNECT ||
           kind == LIVE_CONTEXT_ENTER;
}

static enum state do_live(struct exchange *x, const struct want *w)
{
    struct run *r = &x->run;
    bool held = is_held(w->live.kind);
    struct subscription **place = held ? &r->sub : &r->order;
    enum err err;

    subscription_free(place);
    if (held) {
        r->sub_waits = true;
        r->sub_ended = false;
        r->sub_paused = false;
    }
    r->from = w->from;
    err = live_order(x->worker->live, x->record, &w->live,
                     held ? &live_events : &order_events, x, place);
    if (err) {
        r->result_err = err;
        r->result = NULL;
        r->owed |= OWE_RESULT;
    }
    return X_RUN;
}

/* The tokens of the record that a job brings.  A create had none of its own;
 * of any other call it is a newer version of the same life. */
static void add_tokens(struct exchange *x, struct op_result *result)
{
    if (!x->record)
        x->record = sandbox_ref(result->sandbox);
    exchange_make_tokens(x);
    result->envd_token = x->envd_token;
    if (x->record->private_traffic)
        result->traffic_token = x->traffic_token;
}

static void on_job_result(void *arg, enum err err,
                          const struct op_result *result)
{
    struct exchange *x = arg;
    struct op_result whole = result ? *result : (struct op_result){0};

    job_leave(&x->run.waiter);
    /* Only the job knows whether it had come to the back end. */
    if (err && (!result || result->effect))
        x->facts |= FACT_EFFECT;
    if (whole.sandbox)
        add_tokens(x, &whole);
    tell_result(x, err, &whole);
}

static enum state do_job(struct exchange *x, const struct want *w)
{
    struct run *r = &x->run;
    enum err err;

    job_leave(&r->waiter);
    r->from = w->from;
    err = job_begin(x->worker->live, str_of(x->key.team), &w->job,
                    on_job_result, x, &r->waiter);
    if (err) {
        r->result_err = err;
        r->result = NULL;
        r->owed |= OWE_RESULT;
    }
    return X_RUN;
}

static enum state do_records(struct exchange *x)
{
    struct run *r = &x->run;
    enum found found;

    r->records = (struct op_result){0};
    found = store_list_sandboxes(x->worker->store, str_of(x->key.team),
                                 x->worker->scratch, &r->records.list,
                                 &r->records.count);
    r->result_err = found == FOUND ? E_OK : E_STORE;
    r->result = &r->records;
    r->owed |= OWE_RESULT;
    return X_RUN;
}

/* A call that names its sandbox in its body, or the like. */
static enum state do_record(struct exchange *x, const struct want *w)
{
    struct run *r = &x->run;
    enum found found = x->record ? FOUND : admit_find(x, w->record);

    r->result_err = found == UNKNOWN ? E_STORE : E_OK;
    r->result = NULL;
    r->op.in.sandbox = x->record;
    r->owed |= OWE_RESULT;
    return X_RUN;
}

/* ---- the client ---- */

static enum state do_body(struct exchange *x)
{
    struct run *r = &x->run;
    size_t max = x->row->body_limit;

    if (max == 0)
        max = (size_t)x->conf->api_body_max_bytes;
    r->from = 0;
    r->collecting = true;
    r->body.max = max;
    if (x->route.class == CLASS_API || x->route.class == CLASS_NATIVE)
        stream_limit_body(x->stream, BODY_FIRST_MS, BODY_RATE);
    if (x->head->length <= 0 || (uint64_t)x->head->length <= max)
        return X_RUN;
    if (!(x->facts & FACT_CONTINUED) ||
        (uint64_t)x->head->length > max + DROP_MAX) {
        x->why = E_TOO_BIG;
        return X_FAIL;
    }
    r->too_big = true;
    return X_RUN;
}

/* The whole answer in one write where it is one. */
static enum state do_say_all(struct exchange *x, const struct want *w)
{
    enum err err = exchange_say_all(x, w->say.head,
                                    w->say.piece.p ? w->say.piece : STR(""));

    if (err) {
        x->why = err;
        return X_FAIL;
    }
    return X_END;
}

static enum state do_say(struct exchange *x, const struct want *w)
{
    struct run *r = &x->run;
    const struct answer_head *head = w->say.head;
    enum err err = E_OK;

    if (head && r->op.answered && x->told == TOLD_NOTHING &&
        (head->length == LENGTH_NONE ||
         head->length == (int64_t)w->say.piece.n))
        return do_say_all(x, w);
    /* From now on the client's end is its half of the tunnel. */
    if (head && head->status == 101)
        x->facts &= ~(unsigned)FACT_BODY_ENDED;
    if (head && x->told == TOLD_NOTHING)
        err = exchange_say_head(x, head);
    if (err) {
        x->why = err;
        return X_FAIL;
    }
    r->from = w->from;
    if (w->from == 0)
        r->owed |= OWE_ROOM;
    if (w->say.piece.n && !(x->facts & FACT_GONE) &&
        !stream_say(x->stream, w->say.piece))
        r->blocked |= WAIT_SAY;
    return X_RUN;
}

static enum state do_done(struct exchange *x)
{
    if (x->told == TOLD_NOTHING) {
        /* Done without an answer: only to somebody who has left. */
        x->why = x->facts & FACT_GONE ? E_GONE_CLIENT : E_INTERNAL;
        return X_FAIL;
    }
    if (x->told == TOLD_HEAD) {
        x->told = TOLD_ALL;
        if (!(x->facts & FACT_GONE))
            stream_say_end(x->stream);
    }
    return X_END;
}

static enum state do_fail(struct exchange *x, const struct want *w)
{
    x->detail = arena_copy(x->arena, w->detail);
    x->error_code = arena_copy(x->arena, w->error_code);
    x->retry_s = w->retry_s;
    x->why = w->err ? w->err : E_INTERNAL;
    return X_FAIL;
}

/* ---- what is wanted ---- */

/* The timer looks when the first of all wishes so far was due; a later wish
 * costs nothing until then. */
static void arm(struct exchange *x, int64_t wake_ms, int64_t now_ms)
{
    struct run *r = &x->run;

    r->wake_ms = wake_ms;
    if (!wake_ms || (r->armed_ms && r->armed_ms <= wake_ms))
        return;
    r->armed_ms = wake_ms;
    timer_set(&x->timer, wake_ms > now_ms ? wake_ms - now_ms : 0);
}

void run_time(struct exchange *x)
{
    struct run *r = &x->run;
    int64_t now_ms = clock_ms();

    r->armed_ms = 0;
    if (!r->wake_ms)
        return;
    if (r->wake_ms > now_ms) {
        arm(x, r->wake_ms, now_ms);
        return;
    }
    r->wake_ms = 0;
    r->owed |= OWE_TIME;
    exchange_advance(x);
}

static enum state perform(struct exchange *x, const struct want *w)
{
    switch (w->kind) {
    case WANT_NEXT:
        x->run.from = w->from;
        return X_RUN;
    case WANT_BODY:
        return do_body(x);
    case WANT_CALL:
        return run_call_begin(x, w);
    case WANT_SEND:
        return run_call_send(x, w);
    case WANT_JOB:
        return do_job(x, w);
    case WANT_LIVE:
        return do_live(x, w);
    case WANT_RECORDS:
        return do_records(x);
    case WANT_RECORD:
        return do_record(x, w);
    case WANT_SAY:
        return do_say(x, w);
    case WANT_DONE:
        return do_done(x);
    case WANT_FAIL:
        return do_fail(x, w);
    }
    x->why = E_INTERNAL;
    return X_FAIL;
}

/* ---- which event is next ---- */

/* Is the source heard now?  A result is awaited with open ears: the call's
 * head, a job's and an order's come whatever `from` says. */
static bool hears(const struct run *r, unsigned from)
{
    bool apart = from == FROM_CLIENT && r->from & FROM_APART;

    if ((r->blocked & WAIT_SAY && !apart) || r->owed & OWE_ROOM)
        return false;
    return r->from & from;
}

static bool take_owed(struct run *r, unsigned what)
{
    bool is = r->owed & what;

    r->owed &= ~what;
    return is;
}

/* A collected call that is over, or a streamed one that has got its head. */
static bool pick_call(struct run *r, struct op_event *e)
{
    e->err = r->call_err;
    e->status = r->call_status;
    e->fields = &r->call_fields;
    e->from = FROM_CALL;
    if (r->call_state == RUN_CALL_HEAD) {
        e->kind = OP_HEAD;
        e->err = E_OK;
        r->call_state = RUN_CALL_OPEN;
        return true;
    }
    if (r->call_state != RUN_CALL_ENDED)
        return false;
    if (r->call_collects) {
        e->kind = OP_ANSWER;
        e->bytes = buf_str(&r->answer);
    } else if (r->from & FROM_CALL && !(r->blocked & WAIT_SAY)) {
        e->kind = r->call_err ? OP_CUT : OP_END;
    } else if (r->call_status == 0 || r->from == 0) {
        /* It never got a head, or nothing else could ever come. */
        if (r->blocked || r->owed)
            return false;
        e->kind = r->call_err ? OP_CUT : OP_END;
    } else {
        return false;
    }
    r->call_state = RUN_NO_CALL;
    return true;
}

static bool pick_client(struct exchange *x, struct op_event *e)
{
    struct run *r = &x->run;

    if (!(x->facts & FACT_BODY_ENDED))
        return false;
    if (r->collecting) {
        r->collecting = false;
        r->owed &= ~(unsigned)OWE_CLIENT_END;
        e->kind = OP_BODY;
        e->bytes = buf_str(&r->body);
        return true;
    }
    if (!hears(r, FROM_CLIENT) || r->blocked & WAIT_SEND ||
        !take_owed(r, OWE_CLIENT_END))
        return false;
    e->kind = OP_CLIENT_END;
    e->from = FROM_CLIENT;
    return true;
}

static bool pick_live(struct run *r, struct op_event *e)
{
    if (!r->sub_ended || !(r->from & FROM_LIVE) || r->blocked & WAIT_SAY)
        return false;
    r->sub_ended = false;
    e->kind = r->sub_err ? OP_CUT : OP_END;
    e->err = r->sub_err;
    e->from = FROM_LIVE;
    return true;
}

static bool pick(struct exchange *x, struct op_event *e)
{
    struct run *r = &x->run;

    memset(e, 0, sizeof(*e));
    if (take_owed(r, OWE_BEGIN)) {
        e->kind = OP_BEGIN;
    } else if (take_owed(r, OWE_GONE)) {
        e->kind = OP_CLIENT_GONE;
        e->err = E_GONE_CLIENT;
    } else if (take_owed(r, OWE_RESULT)) {
        static const struct op_result none;

        e->kind = OP_RESULT;
        e->err = r->result_err;
        e->result = r->result ? r->result : &none;
    } else if (r->piece.p) {
        e->kind = r->piece_from == FROM_CLIENT ? OP_CLIENT_PIECE : OP_PIECE;
        e->from = r->piece_from;
        e->bytes = r->piece;
        r->piece = STR_NONE;
    } else if (!r->blocked && take_owed(r, OWE_ROOM)) {
        e->kind = OP_ROOM;
    } else if (take_owed(r, OWE_TIME)) {
        e->kind = OP_TIME;
    } else {
        return pick_call(r, e) || pick_client(x, e) || pick_live(r, e);
    }
    return true;
}

enum state run_step(struct exchange *x)
{
    struct run *r = &x->run;
    struct op_event event;
    struct want want;
    enum state next;

    if (r->too_big && x->facts & FACT_BODY_ENDED) {
        x->why = E_TOO_BIG;
        return X_FAIL;
    }
    if (!pick(x, &event))
        return X_WAIT;
    event.now_ms = clock_ms();
    event.wall_ms = clock_wall_ms();
    op_hear(&r->op, &event, &want);
    arm(x, want.wake_ms, event.now_ms);
    next = perform(x, &want);
    if (want.kind != WANT_RECORDS)
        arena_reset(x->worker->scratch);
    return next;
}

/* ---- beginning ---- */

void run_begin(struct exchange *x)
{
    struct run *r = &x->run;
    struct op_input *in = &r->op.in;

    r->op.row = x->row;
    r->op.arena = x->arena;
    r->op.scratch = x->worker->scratch;
    in->head = x->head;
    memcpy(in->params, x->params, sizeof(in->params));
    in->identity = (struct identity){str_of(x->key.team), x->key.number};
    in->sandbox = x->record;
    in->conf = x->conf;
    in->trace = x->worker->count;
    random_bytes(in->random, sizeof(in->random));
    if (x->record) {
        exchange_make_tokens(x);
        in->envd_token = x->envd_token;
        if (x->record->private_traffic)
            in->traffic_token = x->traffic_token;
    }
    buf_empty(&r->body);
    r->owed = OWE_BEGIN | OWE_CLIENT_END;
}

/* ---- the client's events ---- */

void run_client_piece(struct exchange *x, struct str piece)
{
    struct run *r = &x->run;

    if (!r->collecting) {
        r->piece = piece;
        r->piece_from = FROM_CLIENT;
        exchange_advance(x);
        r->piece = STR_NONE;
        return;
    }
    if (mem_short()) {
        exchange_fail(x, E_TIGHT);
        return;
    }
    mem_fill(piece.n);
    if (!r->too_big) {
        buf_put(&r->body, piece);
        if (!r->body.failed)
            return;
        if (buf_len(&r->body) + piece.n <= r->body.max) {
            exchange_fail(x, E_NOMEM);
            return;
        }
        r->too_big = true;
        buf_clear(&r->body);
    }
    r->dropped_bytes += piece.n;
    if (r->dropped_bytes > DROP_MAX)
        exchange_fail(x, E_TOO_BIG);
}

void run_client_gone(struct exchange *x, enum err why)
{
    struct run *r = &x->run;

    r->owed |= OWE_GONE;
    r->blocked &= ~(unsigned)WAIT_SAY;
    /* A body that will not be complete is not waited for. */
    if (r->collecting && !(x->facts & FACT_BODY_ENDED))
        exchange_fail(x, why);
    else
        exchange_advance(x);
}

void run_client_room(struct exchange *x)
{
    x->run.blocked &= ~(unsigned)WAIT_SAY;
    exchange_advance(x);
}

/* ---- sources ---- */

bool run_settle(struct exchange *x)
{
    struct run *r = &x->run;
    bool client =
        r->collecting || (hears(r, FROM_CLIENT) && !(r->blocked & WAIT_SEND));
    bool call = r->call_collects || r->call_state == RUN_CALL_SENT ||
                hears(r, FROM_CALL);
    bool live = r->sub_waits || hears(r, FROM_LIVE);

    if (r->call && call != !r->call_paused) {
        r->call_paused = !call;
        if (!call) {
            live_call_pause(r->call, PAUSE_USER);
        } else {
            live_call_resume(r->call, PAUSE_USER);
            return true;
        }
    }
    if (r->sub && live != !r->sub_paused) {
        r->sub_paused = !live;
        if (!live) {
            subscription_pause(r->sub);
        } else {
            subscription_resume(r->sub);
            return true;
        }
    }
    if (client != !x->paused && !(x->facts & (FACT_GONE | FACT_BODY_ENDED))) {
        exchange_listen(x, client);
        return client;
    }
    return false;
}

void run_release(struct exchange *x)
{
    struct run *r = &x->run;

    if (r->op.row)
        op_end(&r->op);
    r->op.row = NULL;
    run_call_drop(r);
    subscription_free(&r->order);
    subscription_free(&r->sub);
    job_leave(&r->waiter);
    if (r->answer.room > KEEP_BYTES)
        buf_clear(&r->answer);
    if (r->body.room > KEEP_BYTES)
        buf_clear(&r->body);
}

void run_clear(struct run *r)
{
    arena_free(&r->call_arena);
    buf_clear(&r->answer);
    buf_clear(&r->body);
}
