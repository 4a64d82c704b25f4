/* sandbox.c - see sandbox.h. */
#include "live/sandbox.h"

#include "base/mem.h"
#include "base/random.h"
#include "live/backend.h"
#include "live/root.h"

#define BUCKETS_FIRST 64

static struct list *bucket(const struct live *l, struct str id)
{
    uint64_t hash = str_hash(id, l->hash_key);

    return &l->buckets[hash & (l->bucket_count - 1)];
}

struct live_sandbox *live_sandbox_known(struct live *l, struct str id)
{
    struct list *head = bucket(l, id);

    for (struct list *link = head->next; link != head; link = link->next) {
        struct live_sandbox *ls = LIST_OF(link, struct live_sandbox, link);

        if (str_eq(ls->record->id, id))
            return ls;
    }
    return NULL;
}

/* Twice the buckets; without memory the lists just get longer. */
static void grow(struct live *l)
{
    unsigned count = l->bucket_count, more = 2 * count;
    struct list *old = l->buckets;
    struct list *fresh = mem_malloc(more * sizeof(*fresh));
    struct list *link;

    if (!fresh)
        return;
    for (unsigned i = 0; i < more; i++)
        list_init(&fresh[i]);
    l->buckets = fresh;
    l->bucket_count = more;
    for (unsigned i = 0; i < count; i++)
        while ((link = list_pop(&old[i]))) {
            struct live_sandbox *ls = LIST_OF(link, struct live_sandbox, link);

            list_push(bucket(l, ls->record->id), link);
        }
    mem_free(old);
}

struct live_sandbox *live_sandbox_find(struct live *l, const struct sandbox *s)
{
    struct live_sandbox *ls = live_sandbox_known(l, s->id);

    if (ls && ls->record->life == s->life)
        return ls;
    ls = mem_new(sizeof(*ls));
    if (!ls)
        return NULL;
    ls->live = l;
    ls->record = sandbox_ref(s);
    ls->health = E_SANDBOX_UNKNOWN;
    list_init(&ls->calls);
    list_init(&ls->passengers);
    list_init(&ls->jobs);
    list_init(&ls->health_waiting);
    if (++l->sandbox_count > l->bucket_count)
        grow(l);
    list_push(bucket(l, s->id), &ls->link);
    return ls;
}

bool live_sandbox_alive(struct live *l, const struct sandbox *s)
{
    const struct sandbox *now;

    switch (store_find_sandbox(l->store, s->id, &now)) {
    case FOUND:
        return now->life == s->life && now->state != SANDBOX_ENDING;
    case ABSENT:
        return false;
    case UNKNOWN:
        break;
    }
    return true;
}

void live_sandbox_renew(struct live_sandbox *ls, const struct sandbox *record)
{
    const struct sandbox *old = ls->record;

    ls->record = sandbox_ref(record);
    sandbox_unref(&old);
}

static void bury(void *what)
{
    struct live_sandbox *ls = what;

    sandbox_unref(&ls->record);
    mem_free(ls);
}

void live_sandbox_settle(struct live_sandbox *ls)
{
    if (ls->telling || ls->streams_used || !list_empty(&ls->calls) ||
        !list_empty(&ls->passengers) || !list_empty(&ls->jobs) ||
        !list_empty(&ls->health_waiting) || ls->health_call || ls->processes ||
        ls->contexts || ls->ports || ls->due_at || !ls->live)
        return;
    if (list_linked(&ls->link)) {
        list_remove(&ls->link);
        ls->live->sandbox_count--;
    }
    loop_bury(ls->live->loop, bury, ls);
    ls->live = NULL; /* in its grave: not a second time */
}

void live_sandbox_suspect(struct live_sandbox *ls)
{
    struct backend *b = backend_find(ls->live, ls->record->backend);

    if (ls->suspect || ls->ended || !b)
        return;
    ls->suspect = true;
    b->live->on_doubt(b);
}

enum err live_sandbox_init(struct live *l)
{
    random_bytes(l->hash_key, sizeof(l->hash_key));
    l->buckets = mem_malloc(BUCKETS_FIRST * sizeof(*l->buckets));
    if (!l->buckets)
        return E_NOMEM;
    l->bucket_count = BUCKETS_FIRST;
    for (unsigned i = 0; i < l->bucket_count; i++)
        list_init(&l->buckets[i]);
    return E_OK;
}

void live_sandbox_clear(struct live *l)
{
    mem_free(l->buckets);
    l->buckets = NULL;
    l->bucket_count = 0;
}
