#include "tests/unit/live_script.h"

#include <stdio.h>

#include "base/mem.h"
#include "live/later.h"
#include "live/root.h"
#include "translate/envelope.h"

#define CALLS 64
#define TIMERS 64

struct slot_of_time {
    struct timer *timer; /* NULL: free */
    int64_t ms;
};

static struct {
    bool on;
    struct live live;
    struct conf conf;
    struct conf_template template;
    struct sandbox record;
    struct live_sandbox *ls;
    struct script_call calls[CALLS];
    unsigned call_count;
    struct slot_of_time timers[TIMERS];
    enum err refuse;
} script;

/* ---- calls ---- */

enum err __real_live_call_start(struct live *l, const struct sandbox *s,
                                const struct want_call *want,
                                const struct call_events *events, void *arg,
                                struct live_call **out);
enum err __wrap_live_call_start(struct live *l, const struct sandbox *s,
                                const struct want_call *want,
                                const struct call_events *events, void *arg,
                                struct live_call **out);
void __real_live_call_free(struct live_call **c);
void __wrap_live_call_free(struct live_call **c);
void __real_live_call_pause(struct live_call *c, enum pause_reason why);
void __wrap_live_call_pause(struct live_call *c, enum pause_reason why);
void __real_live_call_resume(struct live_call *c, enum pause_reason why);
void __wrap_live_call_resume(struct live_call *c, enum pause_reason why);

enum err __wrap_live_call_start(struct live *l, const struct sandbox *s,
                                const struct want_call *want,
                                const struct call_events *events, void *arg,
                                struct live_call **out)
{
    struct script_call *c;
    enum err err = script.refuse;

    if (!script.on)
        return __real_live_call_start(l, s, want, events, arg, out);
    *out = NULL;
    script.refuse = E_OK;
    if (err)
        return err;
    cr_assert_lt(script.call_count, CALLS);
    c = &script.calls[script.call_count++];
    snprintf(c->method, sizeof(c->method), "%.*s", STR_FMT(want->method));
    buf_init(&c->body, 64 << 20);
    buf_put(&c->body, want->body);
    c->events = events;
    c->arg = arg;
    *out = (struct live_call *)(void *)c;
    return E_OK;
}

static struct script_call *of(struct live_call *c)
{
    return (struct script_call *)(void *)c;
}

void __wrap_live_call_free(struct live_call **c)
{
    if (!script.on) {
        __real_live_call_free(c);
        return;
    }
    if (*c)
        of(*c)->freed = true;
    *c = NULL;
}

void __wrap_live_call_pause(struct live_call *c, enum pause_reason why)
{
    if (script.on)
        of(c)->paused |= why;
    else
        __real_live_call_pause(c, why);
}

void __wrap_live_call_resume(struct live_call *c, enum pause_reason why)
{
    if (script.on)
        of(c)->paused &= ~(unsigned)why;
    else
        __real_live_call_resume(c, why);
}

unsigned script_count(const char *method)
{
    unsigned n = 0;

    for (unsigned i = 0; i < script.call_count; i++)
        n += strcmp(script.calls[i].method, method) == 0;
    return n;
}

struct script_call *script_call(const char *method)
{
    for (unsigned i = script.call_count; i > 0; i--)
        if (strcmp(script.calls[i - 1].method, method) == 0)
            return &script.calls[i - 1];
    cr_assert_fail("no call %s", method);
    return NULL;
}

void script_refuse(enum err err)
{
    script.refuse = err;
}

static void say_head(struct script_call *c, int status)
{
    struct answer_head head = {.status = status};

    c->events->on_head(c->arg, &head);
}

void script_raw(struct script_call *c, struct str bytes)
{
    cr_assert(!c->freed && !c->paused, "%s is not read", c->method);
    c->events->on_piece(c->arg, bytes);
}

void script_frame(struct script_call *c, unsigned flags, const char *payload)
{
    struct buf b;

    buf_init(&b, 64 << 20);
    envelope_put(&b, flags, str_of(payload));
    script_raw(c, buf_str(&b));
    buf_clear(&b);
}

void script_end(struct script_call *c)
{
    cr_assert(!c->freed);
    c->events->on_end(c->arg);
}

void script_cut(struct script_call *c, enum err why)
{
    cr_assert(!c->freed);
    c->events->on_cut(c->arg, why);
}

void script_answer(struct script_call *c, int status, const char *body)
{
    cr_assert(!c->freed);
    say_head(c, status);
    c->events->on_piece(c->arg, str_of(body));
    c->events->on_end(c->arg);
}

/* ---- time ---- */

void __real_timer_set(struct timer *t, int64_t ms);
void __wrap_timer_set(struct timer *t, int64_t ms);
void __real_timer_stop(struct timer *t);
void __wrap_timer_stop(struct timer *t);
bool __real_timer_pending(const struct timer *t);
bool __wrap_timer_pending(const struct timer *t);
void __real_timer_clear(struct timer *t);
void __wrap_timer_clear(struct timer *t);

static struct slot_of_time *find(const struct timer *t)
{
    for (unsigned i = 0; i < TIMERS; i++)
        if (script.timers[i].timer == t)
            return &script.timers[i];
    return NULL;
}

static void forget(const struct timer *t)
{
    struct slot_of_time *slot = find(t);

    if (slot)
        *slot = (struct slot_of_time){NULL, 0};
}

void __wrap_timer_set(struct timer *t, int64_t ms)
{
    struct slot_of_time *slot;

    if (!script.on || ms == 0) {
        __real_timer_set(t, ms);
        return;
    }
    forget(t);
    slot = find(NULL);
    cr_assert_not_null(slot);
    *slot = (struct slot_of_time){t, ms};
}

void __wrap_timer_stop(struct timer *t)
{
    if (script.on)
        forget(t);
    __real_timer_stop(t);
}

bool __wrap_timer_pending(const struct timer *t)
{
    return (script.on && find(t)) || __real_timer_pending(t);
}

void __wrap_timer_clear(struct timer *t)
{
    if (script.on)
        forget(t);
    __real_timer_clear(t);
}

unsigned script_time(int64_t ms)
{
    struct timer *due[TIMERS];
    unsigned n = 0;

    for (unsigned i = 0; i < TIMERS; i++)
        if (script.timers[i].timer && script.timers[i].ms == ms) {
            due[n++] = script.timers[i].timer;
            script.timers[i] = (struct slot_of_time){NULL, 0};
        }
    for (unsigned i = 0; i < n; i++)
        due[i]->on_time(due[i]->arg);
    return n;
}

void script_turn(void)
{
    for (int i = 0; i < 4; i++)
        loop_turn(script.live.loop, false);
}

/* ---- the sandbox ---- */

struct live_sandbox *script_sandbox(void)
{
    return script.ls;
}

void script_open(void)
{
    memset(&script, 0, sizeof(script));
    script.on = true;
    script.template = (struct conf_template){
        .id = STR("base"), .user = STR("user"), .workdir = STR("")};
    script.conf = (struct conf){
        .refs = 1, .templates = &script.template, .template_count = 1};
    script.record = (struct sandbox){.refs = 1,
                                     .id = STR("i1"),
                                     .template_id = STR("base"),
                                     .backend = STR("none"),
                                     .envs = STR("{}"),
                                     .life = 7};
    cr_assert_eq(loop_new(&script.live.loop), E_OK);
    script.live.conf = &script.conf;
    list_init(&script.live.backends);
    later_init(&script.live);
    cr_assert_eq(live_sandbox_init(&script.live), E_OK);
    script.ls = live_sandbox_find(&script.live, &script.record);
    cr_assert_not_null(script.ls);
    script.ls->due_at = 1; /* its expiry hangs on it */
}

void script_close(void)
{
    process_table_end(&script.ls->processes, E_CUT);
    context_table_end(&script.ls->contexts, E_CUT);
    script.ls->due_at = 0;
    live_sandbox_settle(script.ls);
    script_turn();
    for (unsigned i = 0; i < script.call_count; i++) {
        cr_expect(script.calls[i].freed, "call %u is left", i);
        buf_clear(&script.calls[i].body);
    }
    for (unsigned i = 0; i < TIMERS; i++)
        cr_expect_null(script.timers[i].timer, "a timer is left");
    later_clear(&script.live);
    live_sandbox_clear(&script.live);
    loop_free(&script.live.loop);
    script.on = false;
}

/* ---- subscribers ---- */

static void on_result(void *arg, enum err err, const struct op_result *result)
{
    struct ear *e = arg;

    e->results++;
    e->err = err;
    e->pid = result->pid;
    e->executions = result->executions;
    e->fresh = result->fresh_kernel;
    snprintf(e->detail, sizeof(e->detail), "%.*s", STR_FMT(result->detail));
}

static void on_piece(void *arg, struct str piece)
{
    struct ear *e = arg;
    struct envelope_reader r;
    struct str payload;
    unsigned flags;
    bool whole = true;

    e->bytes += piece.n;
    cr_expect_eq(e->results, 1, "a piece before the result");
    envelope_init(&r, 64 << 20);
    while (whole) {
        cr_assert_eq(envelope_next(&r, &piece, &whole, &flags, &payload), E_OK);
        if (!whole)
            break;
        buf_put(&e->heard, payload);
        buf_byte(&e->heard, '\n');
    }
    cr_expect_not(envelope_partial(&r), "frames are told whole");
    envelope_clear(&r);
    if (e->pauses)
        subscription_pause(e->sub);
}

static void on_end(void *arg)
{
    struct ear *e = arg;

    e->ends++;
}

static void on_cut(void *arg, enum err why)
{
    struct ear *e = arg;

    e->cuts++;
    e->why = why;
}

const struct live_events ear_events = {on_result, on_piece, on_end, on_cut};

void ear_open(struct ear *e)
{
    memset(e, 0, sizeof(*e));
    buf_init(&e->heard, 64 << 20);
}

void ear_close(struct ear *e)
{
    subscription_free(&e->sub);
    buf_clear(&e->heard);
}
