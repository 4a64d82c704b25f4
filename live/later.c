/* later.c - see later.h. */
#include "live/later.h"

void later_do(struct live *l, struct later *x, void (*on_later)(void *arg),
              void *arg)
{
    x->on_later = on_later;
    x->arg = arg;
    if (list_linked(&x->link))
        return;
    list_push(&l->laters, &x->link);
    if (!timer_pending(&l->later_timer))
        timer_set(&l->later_timer, 0);
}

void later_undo(struct later *x)
{
    list_remove(&x->link);
}

/* What is asked for by these calls waits for the next turn. */
static void on_time(void *arg)
{
    struct live *l = arg;
    struct list now, *link;

    list_init(&now);
    while ((link = list_pop(&l->laters)))
        list_push(&now, link);
    while ((link = list_pop(&now))) {
        struct later *x = LIST_OF(link, struct later, link);

        x->on_later(x->arg);
    }
}

void later_init(struct live *l)
{
    list_init(&l->laters);
    timer_init(&l->later_timer, l->loop, on_time, l);
}

void later_clear(struct live *l)
{
    while (list_pop(&l->laters))
        ;
    timer_clear(&l->later_timer);
}
