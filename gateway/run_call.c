/* run_call.c - see run_call.h. */
#include "gateway/run_call.h"

#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"

/* Header fields of a call's answer. */
#define CALL_ARENA_MAX ((size_t)256 << 10)

void run_call_drop(struct run *r)
{
    live_call_free(&r->call);
    r->call_state = RUN_NO_CALL;
    r->call_paused = false;
    r->blocked &= ~(unsigned)WAIT_SEND;
}

static void on_call_head(void *arg, const struct answer_head *head)
{
    struct exchange *x = arg;
    struct run *r = &x->run;
    enum err err = E_OK;

    r->call_status = head->status;
    r->call_fields = (struct fields){0};
    arena_reset(r->call_arena);
    for (unsigned i = 0; i < head->fields.count && err == E_OK; i++)
        err = fields_add(&r->call_fields, r->call_arena,
                         arena_copy(r->call_arena, head->fields.at[i].name),
                         arena_copy(r->call_arena, head->fields.at[i].value));
    if (err) {
        exchange_fail(x, err);
        return;
    }
    r->call_state = r->call_collects ? RUN_CALL_OPEN : RUN_CALL_HEAD;
    exchange_advance(x);
}

static void end_call(struct exchange *x, enum err why)
{
    struct run *r = &x->run;

    live_call_free(&r->call);
    r->call_paused = false;
    r->call_err = why;
    r->call_state = RUN_CALL_ENDED;
    r->blocked &= ~(unsigned)WAIT_SEND;
    exchange_advance(x);
}

static void on_call_piece(void *arg, struct str piece)
{
    struct exchange *x = arg;
    struct run *r = &x->run;

    if (r->call_collects) {
        mem_fill(piece.n);
        buf_put(&r->answer, piece);
        if (r->answer.failed)
            end_call(x, E_TOO_BIG);
        return;
    }
    r->piece = piece;
    r->piece_from = FROM_CALL;
    exchange_advance(x);
    r->piece = STR_NONE;
}

static void on_call_end(void *arg)
{
    end_call(arg, E_OK);
}

static void on_call_cut(void *arg, enum err why)
{
    end_call(arg, why);
}

static void on_call_room(void *arg)
{
    struct exchange *x = arg;

    x->run.blocked &= ~(unsigned)WAIT_SEND;
    exchange_advance(x);
}

static const struct call_events call_events = {
    on_call_head, on_call_piece, on_call_end, on_call_cut, on_call_room};

enum state run_call_begin(struct exchange *x, const struct want *w)
{
    struct run *r = &x->run;
    enum err err = E_OK;

    run_call_drop(r);
    r->call_collects = w->call.collect;
    buf_empty(&r->answer);
    r->answer.max = w->call.limit;
    r->from = w->from;
    if (!r->call_arena)
        err = arena_new(CALL_ARENA_MAX, &r->call_arena);
    if (err == E_OK)
        err = live_call_start(x->worker->live, x->record, &w->call,
                              &call_events, x, &r->call);
    r->call_state = err ? RUN_CALL_ENDED : RUN_CALL_SENT;
    r->call_err = err;
    /* There is room for the first WANT_SEND. */
    if (w->call.send && w->from == 0 && !err)
        r->owed |= OWE_ROOM;
    return X_RUN;
}

enum state run_call_send(struct exchange *x, const struct want *w)
{
    struct run *r = &x->run;

    r->from = w->from;
    if (w->from == 0)
        r->owed |= OWE_ROOM;
    if (!r->call) {
        r->from |= FROM_CALL; /* it has ended: nothing else can come */
        return X_RUN;
    }
    if (w->send.n && !live_call_say(r->call, w->send))
        r->blocked |= WAIT_SEND;
    if (w->send_end)
        live_call_say_end(r->call);
    return X_RUN;
}
