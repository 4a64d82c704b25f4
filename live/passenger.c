/* passenger.c - exchanges that carry a sandbox's bytes, so that its end can
 * close them.  See live.h. */
#include "live/live.h"

#include "live/root.h"
#include "live/sandbox.h"

enum err passenger_board(struct live *l, const struct sandbox *s,
                         struct passenger *p)
{
    struct live_sandbox *ls;

    if (!live_sandbox_alive(l, s))
        return E_SANDBOX_GONE;
    ls = live_sandbox_find(l, s);
    if (!ls)
        return E_NOMEM;
    if (ls->passenger_count >= PASSENGERS_MAX)
        return E_CROWDED;
    ls->passenger_count++;
    list_push(&ls->passengers, &p->link);
    p->in = ls;
    return E_OK;
}

void passenger_leave(struct live *l, struct passenger *p)
{
    struct live_sandbox *ls = p->in;

    (void)l;
    if (!ls)
        return;
    list_remove(&p->link);
    list_remove(&p->shown);
    p->in = NULL;
    ls->passenger_count--;
    live_sandbox_settle(ls);
}
