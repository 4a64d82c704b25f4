/* process_table.c - the processes of one sandbox: orders to them, and the
 * end of all. */
#include "live/process.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "live/root.h"

#define SCRATCH_MAX (128 << 20)
#define OUT_MAX (64 << 20)

/* A list or a signal that waits for the sandbox's word. */
struct process_inquiry {
    struct subscription sub;     /* first; in its table's orders */
    struct process_table *table; /* borrowed; NULL once it ended */
    struct live *live;           /* borrowed */
    struct later later;
    struct ask *ask; /* owned */
    enum live_kind kind;
    uint32_t pid;
    int signal;
    enum err refused;
    bool told;
};

/* ---- the table ---- */

MUST_USE static enum err table_of(struct live_sandbox *ls,
                                  struct process_table **out)
{
    struct process_table *t = ls->processes;

    *out = t;
    if (t)
        return E_OK;
    t = mem_new(sizeof(*t));
    if (!t)
        return E_NOMEM;
    t->ls = ls;
    list_init(&t->processes);
    list_init(&t->loose);
    list_init(&t->orders);
    buf_init(&t->out, OUT_MAX);
    if (arena_new(SCRATCH_MAX, &t->scratch)) {
        mem_free(t);
        return E_NOMEM;
    }
    *out = ls->processes = t;
    return E_OK;
}

/* The process that is meant: by pid, or the newest with that tag; one that
 * lives rather than one whose exit is kept. */
static struct process *find(const struct process_table *t, uint32_t pid,
                            struct str tag)
{
    struct process *kept = NULL;

    for (struct list *at = t->processes.prev; at != &t->processes;
         at = at->prev) {
        struct process *p = LIST_OF(at, struct process, link);
        bool fits = tag.p ? p->tag.p && str_eq(p->tag, tag) : p->pid == pid;

        if (!fits || p->state == PROCESS_STARTING)
            continue;
        if (p->state != PROCESS_KEPT)
            return p;
        if (!kept)
            kept = p;
    }
    return kept;
}

/* ---- followers ---- */

static void on_flow(struct follower *f)
{
    if (f->process)
        process_flow(f->process);
}

static void on_gone(struct follower *f)
{
    struct process *p = f->process;

    list_remove(&f->sub.link);
    f->process = NULL;
    if (p && p->state != PROCESS_DEAD)
        process_flow(p);
    process_table_settle(f->table);
}

static const struct follower_owner process_owner = {on_flow, on_gone};

static void on_refused(void *arg)
{
    struct follower *f = arg;

    follower_tell(f, f->refused, 0, f->detail);
}

static void on_connect(void *arg)
{
    struct follower *f = arg;
    struct process *p = find(f->table, f->pid, f->tag);

    /* Of a lost one no output can be given. */
    if (!p || p->state == PROCESS_LOST)
        follower_tell(f, E_NOT_FOUND, 0, STR_NONE);
    else
        process_follow(p, f);
}

static bool copy(struct str s, struct str *out)
{
    char *p = s.p ? mem_malloc(s.n + 1) : NULL;

    *out = STR_NONE;
    if (!p)
        return !s.p;
    memcpy(p, s.p, s.n);
    *out = str_from(p, s.n);
    return true;
}

MUST_USE static enum err follow(struct process_table *t,
                                const struct want_live *want,
                                const struct live_events *events, void *arg,
                                struct subscription **out)
{
    struct live *l = t->ls->live;
    struct follower *f;
    struct str why;
    enum err err = follower_new(l, &process_owner, events, arg, &f);

    if (err)
        return err;
    f->table = t;
    list_push(&t->loose, &f->sub.link);
    if (want->kind == LIVE_PROCESS_CONNECT) {
        f->pid = want->pid;
        if (!copy(want->tag, &f->tag))
            goto fail;
        later_do(l, &f->later, on_connect, f);
    } else {
        list_remove(&f->sub.link);
        err = process_start(t, want, f, &why);
        if (err) {
            list_push(&t->loose, &f->sub.link);
            f->refused = err;
            if (!copy(why, &f->detail))
                goto fail;
            later_do(l, &f->later, on_refused, f);
        }
        arena_reset(t->scratch);
    }
    *out = &f->sub;
    return E_OK;
fail:
    f->sub.leave(&f->sub);
    return E_NOMEM;
}

/* ---- lists and signals ---- */

static void bury_inquiry(void *what)
{
    mem_free(what);
}

static void nothing(struct subscription *s)
{
    (void)s;
}

/* Off its table; no event comes after this. */
static void detach(struct process_inquiry *q)
{
    struct process_table *t = q->table;

    later_undo(&q->later);
    ask_free(&q->ask);
    list_remove(&q->sub.link);
    q->table = NULL;
    if (t)
        process_table_settle(t);
}

static void leave(struct subscription *s)
{
    struct process_inquiry *q = (struct process_inquiry *)(void *)s;

    detach(q);
    loop_bury(q->live->loop, bury_inquiry, q);
}

static void tell(struct process_inquiry *q, enum err err,
                 const struct op_result *result)
{
    static const struct op_result none;

    detach(q);
    q->sub.events->on_result(q->sub.arg, err, result ? result : &none);
}

/* Is that pid in the back end's list, and no zombie? */
static bool alive(const json_t *list, uint32_t pid)
{
    const json_t *rows = json_object_get(list, "processes");

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        if (json_integer_value(json_object_get(row, "pid")) == pid)
            return !str_eq(json_str(row, "state"), STR("Z"));
    }
    return false;
}

/* Lost processes that have ended meanwhile go. */
static void sift(struct process_table *t, struct str text)
{
    struct list *at = t->processes.next;
    json_t *list;

    if (json_read(text, &json_limits_list, &list))
        return;
    while (at != &t->processes) {
        struct process *p = LIST_OF(at, struct process, link);

        at = at->next;
        if (p->state == PROCESS_LOST && !alive(list, p->pid))
            process_drop(p);
    }
    json_decref(list);
}

static bool is_listed(const struct process *p)
{
    return p->state == PROCESS_RUNNING || p->state == PROCESS_LOST;
}

static void tell_list(struct process_inquiry *q)
{
    struct process_table *t = q->table;
    struct op_result result = {0};
    struct live_process *rows;
    unsigned count = 0;

    for (struct list *at = t->processes.next; at != &t->processes;
         at = at->next)
        count += is_listed(LIST_OF(at, struct process, link));
    rows = mem_malloc((count + 1) * sizeof(*rows));
    if (!rows) {
        tell(q, E_NOMEM, NULL);
        return;
    }
    for (struct list *at = t->processes.next; at != &t->processes;
         at = at->next) {
        struct process *p = LIST_OF(at, struct process, link);

        if (is_listed(p))
            rows[result.count++] =
                (struct live_process){p->pid, p->config, p->tag};
    }
    result.processes = rows;
    tell(q, E_OK, &result);
    mem_free(rows);
}

static void on_processes(void *arg, enum err err, struct str text)
{
    struct process_inquiry *q = arg;

    if (!err)
        sift(q->table, text);
    tell_list(q);
}

static void on_signalled(void *arg, enum err err, struct str text)
{
    struct process_inquiry *q = arg;
    struct process *p = find(q->table, q->pid, STR_NONE);

    (void)text;
    if (!err && p)
        process_signalled(p, q->signal);
    /* The guest's other words are no answer to a caller. */
    if (err == E_INVALID || err == E_PERMISSION)
        err = E_INTERNAL;
    tell(q, err, NULL);
}

static void on_list(void *arg)
{
    const struct ask_request request = {.method = "Processes",
                                        .body = STR("{}")};
    struct process_inquiry *q = arg;

    for (struct list *at = q->table->processes.next; at != &q->table->processes;
         at = at->next)
        if (LIST_OF(at, struct process, link)->state == PROCESS_LOST) {
            if (ask_start(q->table->ls, &request, on_processes, q, &q->ask))
                tell(q, E_NOMEM, NULL);
            return;
        }
    tell_list(q);
}

static void on_refused_inquiry(void *arg)
{
    struct process_inquiry *q = arg;

    tell(q, q->refused, NULL);
}

/* signal 0: only whether it is there. */
static void begin_signal(struct process_inquiry *q,
                         const struct want_live *want)
{
    struct process *p = find(q->table, want->pid, want->tag);
    struct ask_request request = {.method = "Signal"};
    char body[64];

    if (!p || !is_listed(p))
        q->refused = E_NOT_FOUND;
    if (!p || q->refused || want->signal == 0) {
        later_do(q->live, &q->later, on_refused_inquiry, q);
        return;
    }
    q->pid = p->pid;
    q->signal = want->signal;
    snprintf(body, sizeof(body), "{\"pid\":%u,\"signal\":%d}", p->pid,
             want->signal);
    request.body = str_of(body);
    q->refused = ask_start(q->table->ls, &request, on_signalled, q, &q->ask);
    if (q->refused)
        later_do(q->live, &q->later, on_refused_inquiry, q);
}

MUST_USE static enum err inquire(struct process_table *t,
                                 const struct want_live *want,
                                 const struct live_events *events, void *arg,
                                 struct subscription **out)
{
    struct process_inquiry *q = mem_new(sizeof(*q));

    if (!q)
        return E_NOMEM;
    q->sub = (struct subscription){.events = events,
                                   .arg = arg,
                                   .pause = nothing,
                                   .resume = nothing,
                                   .leave = leave};
    q->table = t;
    q->live = t->ls->live;
    q->kind = want->kind;
    list_push(&t->orders, &q->sub.link);
    if (want->kind == LIVE_PROCESS_SIGNAL)
        begin_signal(q, want);
    else
        later_do(q->live, &q->later, on_list, q);
    *out = &q->sub;
    return E_OK;
}

/* ---- orders ---- */

enum err process_order(struct live_sandbox *ls, const struct want_live *want,
                       const struct live_events *events, void *arg,
                       struct subscription **out)
{
    struct process_table *t;
    enum err err = table_of(ls, &t);

    *out = NULL;
    if (err)
        return err;
    if (want->kind == LIVE_PROCESS_START || want->kind == LIVE_PROCESS_CONNECT)
        err = follow(t, want, events, arg, out);
    else
        err = inquire(t, want, events, arg, out);
    if (err)
        process_table_settle(t);
    return err;
}

void process_table_end(struct process_table **table, enum err why)
{
    struct process_table *t = *table;
    struct list *link;

    *table = NULL;
    if (!t)
        return;
    while ((link = t->processes.next) != &t->processes) {
        struct process *p = LIST_OF(link, struct process, link);

        while ((link = p->followers.next) != &p->followers) {
            struct follower *f = (struct follower *)(void *)LIST_OF(
                link, struct subscription, link);

            if (p->state == PROCESS_STARTING)
                follower_tell(f, why, 0, STR_NONE);
            else
                follower_cut(f, why);
        }
        process_drop(p);
    }
    while ((link = t->loose.next) != &t->loose) {
        struct follower *f =
            (struct follower *)(void *)LIST_OF(link, struct subscription, link);

        /* One that has not heard its first result. */
        if (list_linked(&f->later.link) && !f->ended)
            follower_tell(f, why, 0, STR_NONE);
        else
            follower_cut(f, why);
    }
    while ((link = t->orders.next) != &t->orders)
        tell((struct process_inquiry *)(void *)LIST_OF(
                 link, struct subscription, link),
             why, NULL);
    process_table_settle(t);
}
