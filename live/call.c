/* call.c - calls to a sandbox's server: a slot, an upstream call, its end.
 *
 * The way of every byte of output: net's pieces go to the caller as they
 * come.  What is looked at is the very beginning of an error, for the text
 * that says that the back end does not have the sandbox. */
#include "live/call.h"

#include "base/buf.h"
#include "base/mem.h"
#include "live/backend.h"
#include "live/later.h"
#include "live/root.h"

#include <stdio.h>

/* The server frees the stream of a client that left within 10 ms (measured);
 * the slot is kept for a little longer. */
#define COOL_MS 15
#define LOOK_MAX 1024 /* bytes of an error that are looked at */
#define TARGET_MAX 96

enum call_state {
    CALL_OPEN,    /* under way */
    CALL_OVER,    /* told its end or its cut */
    CALL_COOLING, /* its owner is gone, its slot not yet */
    CALL_DEAD     /* in its grave */
};

struct live_call {
    struct list link;        /* in its sandbox's calls, until it is dead */
    struct live_sandbox *ls; /* borrowed: it hangs on it */
    struct backend *backend; /* borrowed; NULL: none of that name */
    const struct call_events *events; /* borrowed, static */
    void *arg;
    struct call *call;  /* owned; NULL once it is over */
    struct timer timer; /* deadline, then cooling */
    struct later later; /* a cut that is known before it began */
    enum err refused;
    enum call_state state;
    bool timed;   /* timer was set up */
    bool slotted; /* counted in its sandbox's streams */
    bool stream;
    bool looking; /* an error may have begun: keep its first bytes */
    struct buf seen;
};

/* ---- endings ---- */

static void unslot(struct live_call *c)
{
    if (c->slotted)
        c->ls->streams_used--;
    c->slotted = false;
}

static void bury(void *what)
{
    struct live_call *c = what;

    buf_clear(&c->seen);
    mem_free(c);
}

static void drop(struct live_call *c)
{
    struct live_sandbox *ls = c->ls;

    c->state = CALL_DEAD;
    unslot(c);
    list_remove(&c->link);
    if (c->timed)
        timer_clear(&c->timer);
    loop_bury(ls->live->loop, bury, c);
    live_sandbox_settle(ls);
}

/* No event of net's comes after this. */
static void over(struct live_call *c)
{
    c->state = CALL_OVER;
    call_free(&c->call);
    later_undo(&c->later);
    if (c->timed)
        timer_stop(&c->timer);
}

/* Cut with a reason; the caller may free it in the event. */
static void cut(struct live_call *c, enum err why)
{
    over(c);
    unslot(c);
    c->events->on_cut(c->arg, why);
}

static void on_refused(void *arg)
{
    struct live_call *c = arg;

    cut(c, c->refused);
}

static void on_timer(void *arg)
{
    struct live_call *c = arg;

    if (c->state == CALL_COOLING) {
        drop(c);
        return;
    }
    if (c->backend && !c->stream)
        backend_doubt(c->backend);
    cut(c, E_UPSTREAM_DEADLINE);
}

void live_call_end(struct live_sandbox *ls, enum err why)
{
    struct list told, *link;

    list_init(&told);
    while ((link = list_pop(&ls->calls))) {
        struct live_call *c = LIST_OF(link, struct live_call, link);

        list_push(&told, link);
        if (c->state == CALL_OPEN)
            cut(c, why);
        else if (c->state == CALL_COOLING)
            drop(c);
    }
    while ((link = list_pop(&told)))
        list_push(&ls->calls, link);
}

/* ---- events ---- */

/* A stream says so in its very first frame, the end frame; a unary answer in
 * a body that is not 200. */
static void look(struct live_call *c, struct str piece)
{
    if (c->stream && !buf_len(&c->seen) && !(piece.p[0] & 0x02)) {
        c->looking = false;
        return;
    }
    buf_put(&c->seen,
            str_from(piece.p, piece.n < LOOK_MAX ? piece.n : LOOK_MAX));
    if (str_find_str(buf_str(&c->seen), STR("has no stream path")) <
        buf_len(&c->seen)) {
        live_sandbox_suspect(c->ls);
        c->looking = false;
    } else if (c->seen.failed || buf_len(&c->seen) >= LOOK_MAX) {
        c->looking = false;
    }
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct live_call *c = arg;

    c->looking = c->stream ? head->status == 200 : head->status != 200;
    backend_heard(c->backend, BACKEND_UP);
    c->events->on_head(c->arg, head);
}

static void on_piece(void *arg, struct str piece)
{
    struct live_call *c = arg;

    if (c->looking && piece.n)
        look(c, piece);
    c->events->on_piece(c->arg, piece);
}

static void on_end(void *arg)
{
    struct live_call *c = arg;

    over(c);
    unslot(c);
    c->events->on_end(c->arg);
}

static void on_cut(void *arg, enum err why)
{
    struct live_call *c = arg;

    if (why == E_BACKEND_DOWN)
        backend_heard(c->backend, BACKEND_DOWN);
    else
        backend_doubt(c->backend);
    cut(c, why);
}

static void on_room(void *arg)
{
    struct live_call *c = arg;

    c->events->on_room(c->arg);
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

/* ---- beginning ---- */

/* One stream is kept free of commands, for signals and files. */
static bool has_slot(const struct live_call *c, enum slot slot)
{
    unsigned all = c->backend->streams;
    unsigned mine = slot == SLOT_EXEC && all > 1 ? all - 1 : all;

    return slot == SLOT_NONE || all == 0 || c->ls->streams_used < mine;
}

/* Reads, that may be asked again when a kept connection turned out dead. */
static bool only_reads(struct str method)
{
    return str_eq(method, STR("Stat")) || str_eq(method, STR("List")) ||
           str_eq(method, STR("ReadFile")) || str_eq(method, STR("Processes"));
}

/* The fields of the request: the operation's, or ours. */
static void put_fields(const struct live_call *c, const struct want_call *want,
                       struct fields *out)
{
    struct field own[] = {
        {STR("Connect-Protocol-Version"), STR("1")},
        {STR("Content-Type"), want->stream ? STR("application/connect+json")
                                           : STR("application/json")},
    };
    const struct fields mine = {own, 2, 2};
    const struct fields *given = want->fields ? want->fields : &mine;

    out->at[out->count++] =
        (struct field){STR("X-Sandbox-Id"), c->ls->record->id};
    out->at[out->count++] =
        (struct field){STR("Accept-Encoding"), STR("identity")};
    for (unsigned i = 0; i < given->count && i < OP_CALL_FIELDS_MAX; i++)
        out->at[out->count++] = given->at[i];
}

static int64_t length_of(const struct want_call *want)
{
    if (want->upgrade)
        return LENGTH_NONE;
    return want->send ? LENGTH_CHUNKED : (int64_t)want->body.n;
}

MUST_USE static enum err call_up(struct live_call *c,
                                 const struct want_call *want)
{
    char target[TARGET_MAX];
    int n = snprintf(target, sizeof(target), "/sandbox.v1.Sandbox/%.*s",
                     STR_FMT(want->method));
    struct field rows[OP_CALL_FIELDS_MAX + 2];
    struct fields fields = {rows, 0, OP_CALL_FIELDS_MAX + 2};
    struct call_request r = {
        .method = want->upgrade ? METHOD_GET : METHOD_POST,
        .target = want->path.p ? want->path : str_from(target, (size_t)n),
        .fields = &fields,
        .length = length_of(want),
        .body = want->body,
        .upgrade = want->upgrade,
        .fresh = want->upgrade,
        .idempotent = !want->send && only_reads(want->method),
    };

    put_fields(c, want, &fields);
    backend_request(c->backend, &r);
    return call_start(c->ls->live->pools, &r, &events, c, &c->call);
}

/* What is wrong before anything is sent; E_OK if nothing is. */
static enum err refusal(const struct live_call *c, const struct sandbox *s,
                        enum slot slot)
{
    if (c->ls->ended || !live_sandbox_alive(c->ls->live, s))
        return E_SANDBOX_GONE;
    if (!c->backend)
        return E_BACKEND_DOWN;
    return has_slot(c, slot) ? E_OK : E_SLOTS;
}

MUST_USE static enum err begin(struct live_call *c, const struct sandbox *s,
                               const struct want_call *want)
{
    struct live *l = c->ls->live;
    enum err err;

    c->refused = refusal(c, s, want->slot);
    if (c->refused) {
        later_do(l, &c->later, on_refused, c);
        return E_OK;
    }
    if (want->deadline_ms > 0 || want->slot != SLOT_NONE) {
        timer_init(&c->timer, l->loop, on_timer, c);
        c->timed = true;
    }
    err = call_up(c, want);
    if (err)
        return err;
    if (want->deadline_ms > 0)
        timer_set(&c->timer, want->deadline_ms);
    c->slotted = want->slot != SLOT_NONE;
    if (c->slotted)
        c->ls->streams_used++;
    return E_OK;
}

enum err live_call_start(struct live *l, const struct sandbox *s,
                         const struct want_call *want,
                         const struct call_events *caller, void *arg,
                         struct live_call **out)
{
    struct live_call *c = mem_new(sizeof(*c));
    struct live_sandbox *ls = c ? live_sandbox_find(l, s) : NULL;
    enum err err;

    *out = NULL;
    if (!ls) {
        mem_free(c);
        return E_NOMEM;
    }
    c->ls = ls;
    c->backend = backend_find(l, s->backend);
    c->events = caller;
    c->arg = arg;
    c->stream = want->stream;
    buf_init(&c->seen, LOOK_MAX);
    list_push(&ls->calls, &c->link);
    err = begin(c, s, want);
    if (err) {
        drop(c);
        return err;
    }
    *out = c;
    return E_OK;
}

/* ---- orders ---- */

bool live_call_say(struct live_call *c, struct str piece)
{
    return c->call ? call_say(c->call, piece) : true;
}

void live_call_say_end(struct live_call *c)
{
    if (c->call)
        call_say_end(c->call);
}

void live_call_pause(struct live_call *c, enum pause_reason why)
{
    if (c->call)
        call_pause(c->call, why);
}

void live_call_resume(struct live_call *c, enum pause_reason why)
{
    if (c->call)
        call_resume(c->call, why);
}

void live_call_free(struct live_call **cp)
{
    struct live_call *c = *cp;
    bool cuts;

    *cp = NULL;
    if (!c)
        return;
    cuts = c->state == CALL_OPEN && c->slotted;
    over(c);
    if (cuts) {
        c->state = CALL_COOLING;
        timer_set(&c->timer, COOL_MS);
        return;
    }
    drop(c);
}
