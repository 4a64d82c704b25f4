/* ending.c - a sandbox has ended: everything that hangs on it is told.
 *
 * State first, then the cut: the record is gone (or ending) already, because
 * clients ask at once why they were cut. */
#include "live/sandbox.h"

#include "live/call.h"
#include "live/expiry.h"
#include "live/health.h"
#include "live/root.h"

static void kick(struct live_sandbox *ls)
{
    struct list *link;

    while ((link = list_pop(&ls->passengers))) {
        struct passenger *p = LIST_OF(link, struct passenger, link);

        list_remove(&p->shown);
        p->in = NULL;
        ls->passenger_count--;
        p->on_kicked(p->arg, E_SANDBOX_GONE);
    }
}

void live_sandbox_end(struct live *l, struct str id)
{
    struct live_sandbox *ls = live_sandbox_known(l, id);

    if (!ls)
        return;
    /* From now on it is not found; what is told below cannot begin anew. */
    list_remove(&ls->link);
    l->sandbox_count--;
    ls->ended = true;
    ls->telling = true;
    expiry_forget(ls);
    kick(ls);
    process_table_end(&ls->processes, E_SANDBOX_GONE);
    context_table_end(&ls->contexts, E_SANDBOX_GONE);
    port_table_end(&ls->ports);
    live_call_end(ls, E_SANDBOX_GONE);
    health_tell(ls, E_SANDBOX_GONE);
    ls->telling = false;
    live_sandbox_settle(ls);
}
