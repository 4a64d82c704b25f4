/* live.c - the root of live/: made, dispatched, taken down.  See live.h. */
#include "live/live.h"

#include "base/mem.h"
#include "live/call.h"
#include "live/commit.h"
#include "live/expiry.h"
#include "live/health.h"
#include "live/job.h"
#include "live/later.h"
#include "live/life.h"
#include "live/link.h"
#include "live/order.h"
#include "live/reconcile.h"
#include "live/root.h"
#include "live/template.h"

/* ---- what goes up, by hooks ---- */

static void on_health(struct backend *b)
{
    if (b->health == BACKEND_UP)
        template_register(b);
    reconcile_want(b);
}

static void watch_all(struct live *l)
{
    for (struct list *link = l->backends.next; link != &l->backends;
         link = link->next) {
        struct backend *b = LIST_OF(link, struct backend, link);

        reconcile_want(b);
        if (b->health == BACKEND_UP)
            template_register(b);
    }
}

/* ---- beginning and end ---- */

MUST_USE static enum err set_up(struct live *l)
{
    enum err err = live_sandbox_init(l);

    later_init(l);
    expiry_init(l);
    link_init(l);
    if (!err)
        err = backend_configure(l);
    if (!err)
        err = expiry_load(l);
    return err;
}

enum err live_new(struct loop *loop, struct pools *pools, struct store *store,
                  struct conf *conf, struct live **out)
{
    struct live *l = mem_new(sizeof(*l));
    enum err err;

    *out = NULL;
    if (!l)
        return E_NOMEM;
    l->loop = loop;
    l->pools = pools;
    l->store = store;
    l->conf = conf_ref(conf);
    l->on_due = life_expire;
    l->on_health = on_health;
    l->on_doubt = reconcile_want;
    list_init(&l->backends);
    list_init(&l->laters);
    list_init(&l->commits);
    list_init(&l->jobs);
    list_init(&l->shown);
    allowance_init(&l->allowance, l->hash_key);
    err = set_up(l);
    if (err) {
        live_free(&l);
        return err;
    }
    watch_all(l);
    *out = l;
    return E_OK;
}

void live_set_conf(struct live *l, struct conf *conf)
{
    struct conf *old = l->conf;

    l->conf = conf_ref(conf);
    conf_unref(&old);
    /* Without memory the old back ends stay as they are. */
    (void)!backend_configure(l);
    watch_all(l);
}

bool live_ready(const struct live *l)
{
    for (const struct list *link = l->backends.next; link != &l->backends;
         link = link->next) {
        const struct backend *b =
            LIST_OF((struct list *)(uintptr_t)link, struct backend, link);

        if (b->configured && b->health != BACKEND_UP)
            return false;
    }
    return true;
}

/* Nothing is told any more, nothing is killed. */
static void let_go(struct live_sandbox *ls)
{
    struct list *link;

    while ((link = list_pop(&ls->passengers))) {
        list_remove(&LIST_OF(link, struct passenger, link)->shown);
        LIST_OF(link, struct passenger, link)->in = NULL;
    }
    ls->passenger_count = 0;
    process_table_end(&ls->processes, E_CUT);
    context_table_end(&ls->contexts, E_CUT);
    port_table_end(&ls->ports);
    live_call_end(ls, E_CUT);
    health_tell(ls, E_SANDBOX_UNKNOWN);
    live_sandbox_settle(ls);
}

static void let_all_go(struct live *l)
{
    struct list *link;

    for (unsigned i = 0; i < l->bucket_count; i++)
        while ((link = list_pop(&l->buckets[i])))
            let_go(LIST_OF(link, struct live_sandbox, link));
}

static void bury(void *what)
{
    mem_free(what);
}

void live_free(struct live **lp)
{
    struct live *l = *lp;

    *lp = NULL;
    if (!l)
        return;
    for (struct list *link = l->backends.next; link != &l->backends;
         link = link->next) {
        reconcile_clear(LIST_OF(link, struct backend, link));
        template_clear(LIST_OF(link, struct backend, link));
    }
    job_clear(l);
    expiry_clear(l);
    link_clear(l);
    let_all_go(l);
    commit_clear(l);
    later_clear(l);
    live_sandbox_clear(l);
    allowance_clear(&l->allowance);
    backend_clear(l);
    conf_unref(&l->conf);
    loop_bury(l->loop, bury, l);
}

/* ---- orders ---- */

/* An order to a sandbox that ended since its record was looked up. */
struct refusal {
    struct subscription sub;
    struct live *live;
    struct later later;
    enum err why;
};

static void nothing(struct subscription *s)
{
    (void)s;
}

static void leave(struct subscription *s)
{
    struct refusal *r = (struct refusal *)(void *)s;

    later_undo(&r->later);
    loop_bury(r->live->loop, bury, r);
}

static void on_refused(void *arg)
{
    struct refusal *r = arg;

    r->sub.events->on_result(r->sub.arg, r->why, NULL);
}

MUST_USE static enum err refuse(struct live *l, enum err why,
                                const struct live_events *events, void *arg,
                                struct subscription **out)
{
    struct refusal *r = mem_new(sizeof(*r));

    *out = NULL;
    if (!r)
        return E_NOMEM;
    r->sub = (struct subscription){.events = events,
                                   .arg = arg,
                                   .pause = nothing,
                                   .resume = nothing,
                                   .leave = leave};
    r->live = l;
    r->why = why;
    later_do(l, &r->later, on_refused, r);
    *out = &r->sub;
    return E_OK;
}

enum err live_order(struct live *l, const struct sandbox *s,
                    const struct want_live *want,
                    const struct live_events *events, void *arg,
                    struct subscription **out)
{
    struct live_sandbox *ls;
    enum err err;

    if (!live_sandbox_alive(l, s))
        return refuse(l, E_SANDBOX_GONE, events, arg, out);
    ls = live_sandbox_find(l, s);
    if (!ls)
        return E_NOMEM;
    switch (want->kind) {
    case LIVE_HEALTH:
        err = health_order(ls, want, events, arg, out);
        break;
    case LIVE_CONTEXT_ENTER:
    case LIVE_CONTEXT_INTERRUPT:
    case LIVE_CONTEXT_LEAVE:
        err = context_order(ls, want, events, arg, out);
        break;
    case LIVE_PROCESS_START:
    case LIVE_PROCESS_CONNECT:
    case LIVE_PROCESS_LIST:
    case LIVE_PROCESS_SIGNAL:
    default:
        err = process_order(ls, want, events, arg, out);
        break;
    }
    if (err)
        live_sandbox_settle(ls);
    return err;
}
