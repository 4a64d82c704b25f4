/* loop.c - see loop.h and turn.h.
 *
 * A turn: wait, run the events that came (after each one what waits for its
 * end), bury what died. */
#include "net/loop.h"

#include <time.h>

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

/* ---- the alarm ---- */

/* Nothing waits for longer.  The alarm stands there when nothing waits at all:
 * it keeps its place among libevent's timers, so that setting it needs no
 * memory and cannot fail. */
#define FAR_MS ((int64_t)365 * 86400 * 1000)

/* Not clock_ms(): that stands still in tests, which wait all the same. */
static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool set_alarm(struct loop *l, int64_t at_ms, int64_t in_ms)
{
    struct timeval in = {in_ms / 1000, in_ms % 1000 * 1000};

    l->alarm_ms = at_ms;
    return evtimer_add(l->alarm, &in) == 0;
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct loop *l = arg;
    int64_t at_ms = now_ms(), next_ms;
    struct list due, *link;

    (void)fd;
    (void)what;
    list_init(&due);
    ticks_take_due(&l->ticks, at_ms, &due);
    /* First, since what runs below may set it to be earlier. */
    next_ms = ticks_next(&l->ticks);
    if (next_ms > at_ms + FAR_MS)
        next_ms = at_ms + FAR_MS;
    set_alarm(l, next_ms, next_ms - at_ms);
    while ((link = list_pop(&due))) {
        struct tick *t = LIST_OF(link, struct tick, link);

        t->run(t); /* may be the end of t */
        turn_settle(l);
    }
}

static bool open_alarm(struct loop *l)
{
    int64_t at_ms = now_ms();

    ticks_init(&l->ticks, at_ms);
    l->alarm = evtimer_new(l->base, on_alarm, l);
    return l->alarm && set_alarm(l, at_ms + FAR_MS, FAR_MS);
}

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
    if (l->base && open_alarm(l))
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

        p->run(p);
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
        if (l->alarm)
            event_free(l->alarm);
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
        p->run(p);
    }
}

/* ---- timers ---- */

void turn_tick(struct loop *l, struct tick *t, int64_t in_ms)
{
    int64_t wait_ms = in_ms < 0 ? 0 : in_ms < FAR_MS ? in_ms : FAR_MS;
    int64_t at_ms = now_ms() + wait_ms;

    ticks_set(&l->ticks, t, at_ms);
    if (at_ms < l->alarm_ms)
        set_alarm(l, at_ms, wait_ms);
}

static void on_timer(struct tick *tick)
{
    struct timer *t = LIST_OF(tick, struct timer, tick);

    t->on_time(t->arg); /* may be the end of t */
}

void timer_init(struct timer *t, struct loop *l, void (*on_time)(void *arg),
                void *arg)
{
    *t = (struct timer){
        .tick.run = on_timer, .loop = l, .on_time = on_time, .arg = arg};
}

void timer_set(struct timer *t, int64_t ms)
{
    turn_tick(t->loop, &t->tick, ms);
}

void timer_stop(struct timer *t)
{
    list_remove(&t->tick.link);
}

bool timer_pending(const struct timer *t)
{
    return list_linked(&t->tick.link);
}

void timer_clear(struct timer *t)
{
    timer_stop(t);
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
