/* quota.c - see quota.h.  Numbers of keys are given by us, one after the
 * other: they need no secret hash. */
#include "gateway/quota.h"

#include "base/mem.h"

struct quota_row {
    struct list link;
    uint64_t key;
    unsigned open;
};

void quota_init(struct quota *q)
{
    for (unsigned i = 0; i < QUOTA_BUCKETS; i++)
        list_init(&q->buckets[i]);
}

static struct quota_row *find(struct list *bucket, uint64_t key)
{
    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct quota_row *row = LIST_OF(at, struct quota_row, link);

        if (row->key == key)
            return row;
    }
    return NULL;
}

enum err quota_take(struct quota *q, uint64_t key, struct quota_row **out)
{
    struct list *bucket = &q->buckets[key % QUOTA_BUCKETS];
    struct quota_row *row = find(bucket, key);

    *out = NULL;
    if (row && row->open >= QUOTA_OPEN_MAX)
        return E_QUOTA;
    if (!row) {
        row = mem_new(sizeof(*row));
        if (!row)
            return E_NOMEM;
        row->key = key;
        list_push(bucket, &row->link);
    }
    row->open++;
    *out = row;
    return E_OK;
}

void quota_give(struct quota_row **rowp)
{
    struct quota_row *row = *rowp;

    *rowp = NULL;
    if (!row || --row->open > 0)
        return;
    list_remove(&row->link);
    mem_free(row);
}
