/* loop.c - see loop.h and turn.h.
 *
 * A turn: wait, run the events that came (after each one what waits for its
 * end), bury what died. */
#include "net/loop.h"

#include "base/mem.h"
#include "net/turn.h"

#define GRAVES_LEAST 256

struct grave {
    void (*bury)(void *what);
    void *what; /* owned: given by loop_bury() */
};

struct watch {
    struct loop *loop;   /* borrowed */
    struct event *event; /* owned */
    void (*on_ready)(void *arg);
    void *arg; /* borrowed */
};

/* ---- the loop ---- */

/* What libevent would print is told by our own errors. */
static void hush(int severity, const char *text)
{
    (void)severity;
    (void)text;
}

static struct event_base *open_base(void)
{
    struct event_config *config;
    struct event_base *base = NULL;

    event_set_mem_functions(mem_malloc, mem_realloc, mem_free);
    event_set_log_callback(hush);
    config = event_config_new();
    if (!config)
        return NULL;
    /* Not EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST: libevent 2.1.12 leaves a
     * descriptor edge-triggered that was so and is not any more. */
    event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1 |
                                              EV_FEATURE_EARLY_CLOSE);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

enum err loop_new(struct loop **out)
{
    struct loop *l = *out = mem_new(sizeof(*l));
    unsigned long failures = mem_failures();

    if (!l)
        return E_NOMEM;
    list_init(&l->posts);
    list_init(&l->later);
    l->date_s = -1;
    l->graves = mem_malloc(GRAVES_LEAST * sizeof(*l->graves));
    l->grave_room = l->graves ? GRAVES_LEAST : 0;
    l->base = l->graves ? open_base() : NULL;
    if (l->base)
        return E_OK;
    loop_free(out);
    return mem_failures() != failures ? E_NOMEM : E_SYSTEM;
}

static void bury_all(struct loop *l)
{
    /* A burial may ask for another one. */
    for (unsigned i = 0; i < l->grave_count; i++) {
        struct grave grave = l->graves[i];

        grave.bury(grave.what);
    }
    l->grave_count = 0;
}

/* What was put off to this turn; what is put off meanwhile waits again. */
static void run_later(struct loop *l)
{
    struct list now;
    struct list *link;

    if (list_empty(&l->later))
        return;
    list_init(&now);
    while ((link = list_pop(&l->later)))
        list_push(&now, link);
    while ((link = list_pop(&now))) {
        struct post *p = LIST_OF(link, struct post, link);

        p->run(p->arg);
        turn_settle(l);
    }
}

void loop_turn(struct loop *l, bool wait)
{
    int how = EVLOOP_ONCE;

    turn_settle(l);
    run_later(l);
    /* Who was put off once more, or is to be buried, must not wait. */
    if (!wait || l->stopping || l->grave_count || !list_empty(&l->later))
        how |= EVLOOP_NONBLOCK;
    event_base_loop(l->base, how);
    turn_settle(l);
    bury_all(l);
}

void loop_run(struct loop *l)
{
    l->stopping = false;
    while (!l->stopping)
        loop_turn(l, true);
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void loop_free(struct loop **out)
{
    struct loop *l = *out;

    if (!l)
        return;
    if (l->base) {
        turn_settle(l);
        bury_all(l);
        event_base_free(l->base);
    }
    mem_free(l->graves);
    mem_free(l);
    *out = NULL;
}

/* Room for one more grave; asked for early, so that a refusal does no harm as
 * long as memory comes back within the next hundred burials. */
static bool grave_ready(struct loop *l)
{
    struct grave *more;
    unsigned room = l->grave_room * 2;

    if (l->grave_count < l->grave_room / 2)
        return true;
    more = mem_realloc(l->graves, room * sizeof(*more));
    if (more) {
        l->graves = more;
        l->grave_room = room;
    }
    return l->grave_count < l->grave_room;
}

void loop_bury(struct loop *l, void (*bury)(void *what), void *what)
{
    /* With no memory for hundreds of burials in one turn, what would be freed
     * too early is better never freed. */
    if (grave_ready(l))
        l->graves[l->grave_count++] = (struct grave){bury, what};
}

void turn_post(struct loop *l, struct post *p)
{
    if (!list_linked(&p->link))
        list_push(&l->posts, &p->link);
}

void turn_later(struct loop *l, struct post *p)
{
    if (!list_linked(&p->link))
        list_push(&l->later, &p->link);
}

void turn_settle(struct loop *l)
{
    for (;;) {
        struct list *link;
        struct post *p;

        if (l->cork_owner) {
            l->uncork(l);
            continue;
        }
        link = list_pop(&l->posts);
        if (!link)
            return;
        p = LIST_OF(link, struct post, link);
        p->run(p->arg);
    }
}

/* ---- timers ---- */

/* A timer that is not set stands a year ahead: it keeps its place among
 * libevent's timers, so that setting it needs no memory and cannot fail. */
static const struct timeval far = {365 * 86400, 0};

struct timer_event {
    struct event *event; /* owned */
    bool set;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    struct loop *l = t->loop;
    struct timer_event *te = t->event;

    (void)fd;
    (void)what;
    evtimer_add(te->event, &far);
    if (te->set) {
        te->set = false;
        t->on_time(t->arg); /* may clear t: touch nothing of it below */
    }
    turn_settle(l);
}

enum err timer_init(struct timer *t, struct loop *l, void (*on_time)(void *arg),
                    void *arg)
{
    struct timer_event *te = mem_new(sizeof(*te));

    *t = (struct timer){l, NULL, on_time, arg};
    if (!te)
        return E_NOMEM;
    te->event = evtimer_new(l->base, on_timer, t);
    if (!te->event || evtimer_add(te->event, &far) < 0) {
        if (te->event)
            event_free(te->event);
        mem_free(te);
        return E_NOMEM;
    }
    t->event = te;
    return E_OK;
}

void timer_set(struct timer *t, int64_t ms)
{
    struct timer_event *te = t->event;
    struct timeval in;

    if (ms < 0)
        ms = 0;
    if (ms > (int64_t)far.tv_sec * 1000)
        ms = (int64_t)far.tv_sec * 1000;
    in = (struct timeval){ms / 1000, ms % 1000 * 1000};
    te->set = evtimer_add(te->event, &in) == 0;
}

void timer_stop(struct timer *t)
{
    struct timer_event *te = t->event;

    if (te && te->set) {
        te->set = false;
        evtimer_add(te->event, &far);
    }
}

bool timer_pending(const struct timer *t)
{
    const struct timer_event *te = t->event;

    return te && te->set;
}

void timer_clear(struct timer *t)
{
    struct timer_event *te = t->event;

    if (!te)
        return;
    event_free(te->event);
    mem_free(te);
    t->event = NULL;
}

/* ---- watches ---- */

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    struct loop *l = w->loop;

    (void)fd;
    (void)what;
    w->on_ready(w->arg); /* may free w */
    turn_settle(l);
}

enum err watch_new(struct loop *l, int fd, void (*on_ready)(void *arg),
                   void *arg, struct watch **out)
{
    struct watch *w = *out = mem_new(sizeof(*w));
    unsigned long failures = mem_failures();

    if (!w)
        return E_NOMEM;
    *w = (struct watch){l, NULL, on_ready, arg};
    w->event = event_new(l->base, fd, EV_READ | EV_PERSIST, on_watch, w);
    if (w->event && event_add(w->event, NULL) == 0)
        return E_OK;
    watch_free(out);
    return mem_failures() != failures ? E_NOMEM : E_SYSTEM;
}

static void bury_watch(void *what)
{
    mem_free(what);
}

void watch_free(struct watch **out)
{
    struct watch *w = *out;

    if (!w)
        return;
    if (w->event)
        event_free(w->event);
    w->event = NULL;
    loop_bury(w->loop, bury_watch, w);
    *out = NULL;
}
