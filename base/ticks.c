/* ticks.c - see ticks.h. */
#include "base/ticks.h"

void ticks_init(struct ticks *h, int64_t now_ms)
{
    h->reached_ms = now_ms;
    for (unsigned i = 0; i < TICKS_LISTS; i++)
        list_init(&h->lists[i]);
}

void ticks_set(struct ticks *h, struct tick *t, int64_t at_ms)
{
    uint64_t bits;

    list_remove(&t->link);
    t->at_ms = at_ms > h->reached_ms ? at_ms : h->reached_ms;
    bits = (uint64_t)(t->at_ms ^ h->reached_ms);
    list_push(&h->lists[bits ? 64 - __builtin_clzll(bits) : 0], &t->link);
}

/* The first list that holds something, or TICKS_LISTS. */
static unsigned first(const struct ticks *h)
{
    unsigned i = 0;

    while (i < TICKS_LISTS && list_empty(&h->lists[i]))
        i++;
    return i;
}

/* The earliest time that can be in that list: the bits above are those of the
 * time reached, which has a 0 where they begin to differ. */
static int64_t begin_of(const struct ticks *h, unsigned i)
{
    return i ? (h->reached_ms >> (i - 1) | 1) << (i - 1) : h->reached_ms;
}

void ticks_take_due(struct ticks *h, int64_t now_ms, struct list *due)
{
    for (;;) {
        unsigned i = first(h);
        struct list *link;

        if (i == TICKS_LISTS || begin_of(h, i) > now_ms)
            return;
        h->reached_ms = begin_of(h, i);
        while ((link = list_pop(&h->lists[i]))) {
            struct tick *t = LIST_OF(link, struct tick, link);

            if (i)
                ticks_set(h, t, t->at_ms);
            else
                list_push(due, link);
        }
    }
}

int64_t ticks_next(const struct ticks *h)
{
    unsigned i = first(h);

    return i < TICKS_LISTS ? begin_of(h, i) : TICKS_NEVER;
}
