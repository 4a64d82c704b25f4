/* table.c - see table.h. */
#include "store/table.h"

#include "base/mem.h"
#include "base/random.h"

#define SLOTS_FIRST 64

enum err store_table_init(struct table *t)
{
    memset(t, 0, sizeof(*t));
    t->slots = mem_new(SLOTS_FIRST * sizeof(struct record *));
    if (!t->slots)
        return E_NOMEM;
    t->mask = SLOTS_FIRST - 1;
    random_bytes(t->hash_key, sizeof(t->hash_key));
    return E_OK;
}

/* The link to the record of that name, or the one that ends its slot. */
static struct record **seek(const struct table *t, struct str name,
                            uint64_t hash)
{
    struct record **at = &t->slots[hash & t->mask];

    while (*at && !((*at)->hash == hash && str_eq((*at)->name, name)))
        at = &(*at)->next;
    return at;
}

/* Twice the slots.  Without memory the slots grow longer, nothing else. */
static void grow(struct table *t)
{
    size_t mask = 2 * t->mask + 1;
    struct record **slots = mem_new((mask + 1) * sizeof(*slots));

    if (!slots)
        return;
    for (size_t i = 0; i <= t->mask; i++) {
        struct record *r, *next;

        for (r = t->slots[i]; r; r = next) {
            next = r->next;
            r->next = slots[r->hash & mask];
            slots[r->hash & mask] = r;
        }
    }
    mem_free(t->slots);
    t->slots = slots;
    t->mask = mask;
}

struct record *store_table_find(const struct table *t, struct str name)
{
    return *seek(t, name, str_hash(name, t->hash_key));
}

struct record *store_table_put(struct table *t, struct record *r)
{
    struct record **at, *old;

    r->hash = str_hash(r->name, t->hash_key);
    at = seek(t, r->name, r->hash);
    old = *at;
    r->next = old ? old->next : NULL;
    *at = r;
    if (!old && ++t->count > t->mask)
        grow(t);
    return old;
}

struct record *store_table_take(struct table *t, struct str name)
{
    struct record **at = seek(t, name, str_hash(name, t->hash_key));
    struct record *r = *at;

    if (!r)
        return NULL;
    *at = r->next;
    r->next = NULL;
    t->count--;
    return r;
}

struct record *store_table_next(const struct table *t, const struct record *r)
{
    size_t slot = 0;

    if (r) {
        if (r->next)
            return r->next;
        slot = (r->hash & t->mask) + 1;
    }
    while (slot <= t->mask && !t->slots[slot])
        slot++;
    return slot <= t->mask ? t->slots[slot] : NULL;
}

void store_table_empty(struct table *t)
{
    for (size_t i = 0; t->slots && i <= t->mask; i++) {
        while (t->slots[i]) {
            struct record *r = t->slots[i];

            t->slots[i] = r->next;
            store_record_free(&r);
        }
    }
    t->count = 0;
}

void store_table_clear(struct table *t)
{
    store_table_empty(t);
    mem_free(t->slots);
    t->slots = NULL;
}
