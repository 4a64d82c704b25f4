/* health.c - see health.h and order.h.
 *
 * The back end is asked at most once a second per sandbox, however many
 * wait.  "Gone" is told only when it is known: a back end that says it has
 * no such sandbox is asked for its list first (live_sandbox_suspect()). */
#include "live/health.h"

#include "base/clock.h"
#include "base/mem.h"
#include "live/backend.h"
#include "live/later.h"
#include "live/order.h"
#include "live/rest.h"
#include "translate/fault.h"

#define FRESH_MS 1000
#define ASK_MS 5000
/* "Cannot tell" is doubted sooner once the back end answers again. */
#define DOUBT_MS 100

struct asker {
    struct subscription sub; /* in its sandbox's health_waiting */
    struct live_sandbox *ls; /* borrowed: it hangs on it while it waits */
    struct live *live;
    struct later later;
    enum err result;
};

static void bury(void *what)
{
    mem_free(what);
}

static void nothing(struct subscription *s)
{
    (void)s;
}

static void leave(struct subscription *s)
{
    struct asker *a = (struct asker *)(void *)s;
    struct live_sandbox *ls = a->ls;

    later_undo(&a->later);
    list_remove(&s->link);
    loop_bury(a->live->loop, bury, a);
    if (ls)
        live_sandbox_settle(ls);
}

static void on_known(void *arg)
{
    struct asker *a = arg;

    a->sub.events->on_result(a->sub.arg, a->result, NULL);
}

/* The answer goes out in the next turn: askers may do anything then. */
static void tell(struct asker *a, enum err what)
{
    a->result = what;
    a->ls = NULL;
    later_do(a->live, &a->later, on_known, a);
}

void health_tell(struct live_sandbox *ls, enum err what)
{
    struct list *link;

    rest_free(&ls->health_call);
    ls->health = what;
    ls->health_ms = clock_ms();
    while ((link = list_pop(&ls->health_waiting)))
        tell((struct asker *)(void *)LIST_OF(link, struct subscription, link),
             what);
    live_sandbox_settle(ls);
}

static void on_stat(void *arg, const struct rest_answer *a)
{
    struct live_sandbox *ls = arg;

    rest_free(&ls->health_call);
    if (a->status && fault_of_answer(a->status, a->body) == E_SANDBOX_GONE) {
        /* Told when the list has been seen. */
        live_sandbox_suspect(ls);
        if (ls->suspect)
            return;
    }
    health_tell(ls, a->err == E_OK ? E_OK : E_SANDBOX_UNKNOWN);
}

MUST_USE static enum err ask(struct live_sandbox *ls)
{
    struct backend *b = backend_find(ls->live, ls->record->backend);

    if (ls->health_call || ls->suspect)
        return E_OK;
    if (!b)
        return E_BACKEND_DOWN;
    return rest_stat(b, ls->record->id, ASK_MS, on_stat, ls, &ls->health_call);
}

/* May what was told last be told again? */
static bool is_fresh(const struct live_sandbox *ls)
{
    struct backend *b = backend_find(ls->live, ls->record->backend);
    bool doubt =
        ls->health == E_SANDBOX_UNKNOWN && b && b->health == BACKEND_UP;

    return ls->health_ms &&
           clock_ms() - ls->health_ms < (doubt ? DOUBT_MS : FRESH_MS);
}

enum err health_order(struct live_sandbox *ls, const struct want_live *want,
                      const struct live_events *events, void *arg,
                      struct subscription **out)
{
    struct asker *a = mem_new(sizeof(*a));

    (void)want;
    *out = NULL;
    if (!a)
        return E_NOMEM;
    a->sub = (struct subscription){.events = events,
                                   .arg = arg,
                                   .pause = nothing,
                                   .resume = nothing,
                                   .leave = leave};
    a->live = ls->live;
    *out = &a->sub;
    if (is_fresh(ls)) {
        tell(a, ls->health);
        return E_OK;
    }
    if (ask(ls)) {
        tell(a, E_SANDBOX_UNKNOWN);
        return E_OK;
    }
    a->ls = ls;
    list_push(&ls->health_waiting, &a->sub.link);
    return E_OK;
}
