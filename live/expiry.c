/* expiry.c - see expiry.h. */
#include "live/expiry.h"

#include "base/clock.h"
#include "base/mem.h"

#define ROOM_FIRST 64
#define SLEEP_MAX_MS 3600000 /* far ends are looked at once an hour */

/* ---- the heap: the earliest end is first ---- */

static void place(struct live *l, unsigned i, struct live_sandbox *ls)
{
    l->due[i] = ls;
    ls->due_at = i + 1;
}

static void rise(struct live *l, unsigned i)
{
    struct live_sandbox *ls = l->due[i];

    while (i > 0 && l->due[(i - 1) / 2]->due_ms > ls->due_ms) {
        place(l, i, l->due[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(l, i, ls);
}

static void sink(struct live *l, unsigned i)
{
    struct live_sandbox *ls = l->due[i];
    unsigned child;

    while ((child = 2 * i + 1) < l->due_count) {
        if (child + 1 < l->due_count &&
            l->due[child + 1]->due_ms < l->due[child]->due_ms)
            child++;
        if (l->due[child]->due_ms >= ls->due_ms)
            break;
        place(l, i, l->due[child]);
        i = child;
    }
    place(l, i, ls);
}

/* Its end has changed. */
static void settle(struct live *l, struct live_sandbox *ls)
{
    rise(l, ls->due_at - 1);
    sink(l, ls->due_at - 1);
}

MUST_USE static enum err add(struct live *l, struct live_sandbox *ls)
{
    if (l->due_count == l->due_room) {
        unsigned room = l->due_room ? 2 * l->due_room : ROOM_FIRST;
        void *more = mem_realloc(l->due, room * sizeof(struct live_sandbox *));

        if (!more)
            return E_NOMEM;
        l->due = more;
        l->due_room = room;
    }
    place(l, l->due_count++, ls);
    return E_OK;
}

/* ---- the timer ---- */

static void arm(struct live *l)
{
    int64_t wait_ms;

    if (!l->due_count) {
        timer_stop(&l->due_timer);
        return;
    }
    wait_ms = l->due[0]->due_ms - clock_ms();
    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms > SLEEP_MAX_MS)
        wait_ms = SLEEP_MAX_MS;
    timer_set(&l->due_timer, wait_ms);
}

void expiry_look(struct live *l)
{
    int64_t now_ms = clock_ms();

    while (l->due_count && l->due[0]->due_ms <= now_ms) {
        struct live_sandbox *ls = l->due[0];

        /* Out of the heap first: what is due may set it again. */
        expiry_forget(ls);
        l->on_due(ls);
    }
    arm(l);
}

static void on_time(void *arg)
{
    expiry_look(arg);
}

enum err expiry_set(struct live_sandbox *ls)
{
    struct live *l = ls->live;
    enum err err;

    ls->due_ms = clock_ms() + (ls->record->end_ms - clock_wall_ms());
    if (!ls->due_at) {
        err = add(l, ls);
        if (err)
            return err;
    }
    settle(l, ls);
    arm(l);
    return E_OK;
}

void expiry_again(struct live_sandbox *ls, int64_t ms)
{
    struct live *l = ls->live;

    ls->due_ms = clock_ms() + ms;
    /* There was room for it a moment ago. */
    if (!ls->due_at && add(l, ls))
        return;
    settle(l, ls);
    arm(l);
}

void expiry_forget(struct live_sandbox *ls)
{
    struct live *l = ls->live;
    unsigned i = ls->due_at;
    struct live_sandbox *last;

    if (!i)
        return;
    ls->due_at = 0;
    last = l->due[--l->due_count];
    if (last == ls)
        return;
    place(l, i - 1, last);
    settle(l, last);
}

/* ---- the beginning and the end ---- */

void expiry_init(struct live *l)
{
    timer_init(&l->due_timer, l->loop, on_time, l);
}

enum err expiry_load(struct live *l)
{
    const struct sandbox **rows;
    struct arena *a;
    unsigned count;
    enum err err = arena_new(64u << 20, &a);

    if (err)
        return err;
    if (store_list_sandboxes(l->store, STR_NONE, a, &rows, &count) == UNKNOWN)
        count = 0;
    for (unsigned i = 0; i < count && !err; i++) {
        struct live_sandbox *ls;

        if (rows[i]->state != SANDBOX_RUNNING)
            continue;
        ls = live_sandbox_find(l, rows[i]);
        err = ls ? expiry_set(ls) : E_NOMEM;
    }
    arena_free(&a);
    return err;
}

void expiry_clear(struct live *l)
{
    while (l->due_count)
        expiry_forget(l->due[0]);
    timer_clear(&l->due_timer);
    mem_free(l->due);
    l->due = NULL;
    l->due_room = 0;
}
