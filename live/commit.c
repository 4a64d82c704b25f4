/* commit.c - see commit.h. */
#include "live/commit.h"

#include "base/log.h"
#include "base/mem.h"

#define CLEAR_MS 2000

struct commit {
    struct list link; /* in live's commits */
    store_done *done; /* NULL: forgotten */
    void *arg;
};

/* Freed here and now: only the store knew of it. */
static void on_done(void *arg, enum err err)
{
    struct commit *c = arg;
    store_done *done = c->done;
    void *for_whom = c->arg;

    list_remove(&c->link);
    mem_free(c);
    if (done)
        done(for_whom, err);
}

enum err commit_start(struct live *l, const struct change *changes,
                      unsigned count, store_done *done, void *arg,
                      struct commit **out)
{
    struct commit *c = mem_new(sizeof(*c));
    enum err err;

    if (out)
        *out = NULL;
    if (!c)
        return E_NOMEM;
    c->done = done;
    c->arg = arg;
    err = store_commit(l->store, changes, count, on_done, c);
    if (err) {
        mem_free(c);
        return err;
    }
    list_push(&l->commits, &c->link);
    if (out)
        *out = c;
    return E_OK;
}

void commit_forget(struct commit **c)
{
    if (*c)
        (*c)->done = NULL;
    *c = NULL;
}

void commit_clear(struct live *l)
{
    struct list *link;

    for (link = l->commits.next; link != &l->commits; link = link->next)
        LIST_OF(link, struct commit, link)->done = NULL;
    if (list_empty(&l->commits))
        return;
    if (store_flush(l->store, CLEAR_MS))
        log_say(LOG_ERROR, "the store did not write what was queued");
    /* What is still under way keeps its memory: the store names it. */
    while (list_pop(&l->commits))
        ;
}
