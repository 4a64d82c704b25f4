/* context.c - the code context of a sandbox: one run at a time.
 *
 * A run enters, does its calls, and leaves; until then the others wait in
 * the order in which they came.  Who stops waiting is forgotten, so its code
 * never runs.  The counter of executions and what is known of the kernel
 * live as long as the sandbox. */
#include <stdio.h>

#include "base/mem.h"
#include "live/ask.h"
#include "live/later.h"
#include "live/order.h"
#include "live/root.h"

struct context_table {
    struct live_sandbox *ls; /* borrowed; NULL once it ended */
    struct list waiting;     /* struct context_order: runs, first come first */
    struct list others;      /* of leaves and interrupts */
    bool taken;              /* a run is in */
    struct context_order *holder; /* borrowed: its subscription is the turn */
    uint64_t executions;
    bool warm;    /* the kernel has been prepared */
    uint32_t pid; /* of the kernel; 0 unknown */
};

struct context_order {
    struct subscription sub;     /* first; in one of its table's lists */
    struct context_table *table; /* borrowed; NULL: told, or ended */
    struct live *live;           /* borrowed */
    struct later later;
    struct ask *ask; /* owned: an interrupt under way */
    enum err result;
};

/* ---- one order ---- */

static void bury_order(void *what)
{
    mem_free(what);
}

static void nothing(struct subscription *s)
{
    (void)s;
}

static void detach(struct context_order *o)
{
    later_undo(&o->later);
    ask_free(&o->ask);
    list_remove(&o->sub.link);
}

static void tell(struct context_order *o, enum err err)
{
    struct context_table *t = o->table;
    struct op_result result = {0};

    if (t)
        result = (struct op_result){.executions = t->executions,
                                    .fresh_kernel = !t->warm,
                                    .pid = t->pid};
    detach(o);
    if (t && t->holder != o)
        o->table = NULL;
    o->sub.events->on_result(o->sub.arg, err, &result);
}

static void on_told(void *arg)
{
    struct context_order *o = arg;

    tell(o, o->result);
}

/* ---- turns ---- */

static void admit(struct context_table *t)
{
    struct list *link;

    if (t->taken || !(link = list_pop(&t->waiting)))
        return;
    t->taken = true;
    t->holder = (struct context_order *)(void *)LIST_OF(
        link, struct subscription, link);
    later_do(t->ls->live, &t->holder->later, on_told, t->holder);
}

static void release(struct context_table *t)
{
    if (t->holder)
        t->holder->table = NULL;
    t->holder = NULL;
    t->taken = false;
    admit(t);
}

static void leave(struct subscription *s)
{
    struct context_order *o = (struct context_order *)(void *)s;
    struct context_table *t = o->table;

    detach(o);
    /* Without a LEAVE before it: the run was torn.  The back end itself runs
     * one cell at a time, so the next one may come. */
    if (t && t->holder == o)
        release(t);
    o->table = NULL;
    loop_bury(o->live->loop, bury_order, o);
}

static void take_leave(struct context_table *t, const struct want_live *want)
{
    t->executions += want->kernel_used;
    if (want->pid)
        t->pid = want->pid;
    t->warm = (t->warm || want->pid) && !want->kernel_dead;
    if (want->kernel_dead)
        t->pid = 0;
    release(t);
}

/* ---- interrupts ---- */

static void on_signalled(void *arg, enum err err, struct str text)
{
    (void)err;
    (void)text;
    tell(arg, E_OK);
}

/* SIGINT to the kernel's process; the prelude told its pid. */
MUST_USE static enum err interrupt(struct context_order *o,
                                   const struct want_live *want)
{
    struct context_table *t = o->table;
    uint32_t pid = want->pid ? want->pid : t->pid;
    struct ask_request request = {.method = "Signal"};
    char body[64];

    if (!pid) {
        later_do(o->live, &o->later, on_told, o);
        return E_OK;
    }
    snprintf(body, sizeof(body), "{\"pid\":%u,\"signal\":2}", pid);
    request.body = str_of(body);
    return ask_start(t->ls, &request, on_signalled, o, &o->ask);
}

/* ---- orders ---- */

MUST_USE static enum err table_of(struct live_sandbox *ls,
                                  struct context_table **out)
{
    struct context_table *t = ls->contexts;

    *out = t;
    if (t)
        return E_OK;
    t = mem_new(sizeof(*t));
    if (!t)
        return E_NOMEM;
    t->ls = ls;
    list_init(&t->waiting);
    list_init(&t->others);
    *out = ls->contexts = t;
    return E_OK;
}

enum err context_order(struct live_sandbox *ls, const struct want_live *want,
                       const struct live_events *events, void *arg,
                       struct subscription **out)
{
    struct context_order *o = mem_new(sizeof(*o));
    struct context_table *t = NULL;
    enum err err = o ? table_of(ls, &t) : E_NOMEM;

    *out = NULL;
    if (err) {
        mem_free(o);
        return err;
    }
    o->sub = (struct subscription){.events = events,
                                   .arg = arg,
                                   .pause = nothing,
                                   .resume = nothing,
                                   .leave = leave};
    o->table = t;
    o->live = ls->live;
    if (want->kind == LIVE_CONTEXT_ENTER) {
        list_push(&t->waiting, &o->sub.link);
        admit(t);
        *out = &o->sub;
        return E_OK;
    }
    list_push(&t->others, &o->sub.link);
    if (want->kind == LIVE_CONTEXT_LEAVE) {
        take_leave(t, want);
        later_do(o->live, &o->later, on_told, o);
    } else {
        err = interrupt(o, want);
    }
    if (err) {
        detach(o);
        mem_free(o);
        return err;
    }
    *out = &o->sub;
    return E_OK;
}

static void bury_table(void *what)
{
    mem_free(what);
}

void context_table_end(struct context_table **table, enum err why)
{
    struct context_table *t = *table;
    struct loop *loop;
    struct list *link;

    *table = NULL;
    if (!t)
        return;
    loop = t->ls->live->loop;
    /* A run that is in has a call, which is cut on its own; one that was let
     * in but not told yet is told now. */
    if (t->holder && list_linked(&t->holder->later.link))
        list_push(&t->waiting, &t->holder->sub.link);
    else if (t->holder)
        t->holder->table = NULL;
    t->holder = NULL;
    t->taken = true; /* nobody is let in by what is told below */
    while ((link = t->waiting.next) != &t->waiting ||
           (link = t->others.next) != &t->others)
        tell((struct context_order *)(void *)LIST_OF(link, struct subscription,
                                                     link),
             why);
    loop_bury(loop, bury_table, t);
}
