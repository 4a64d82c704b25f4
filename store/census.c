/* census.c - see census.h. */
#include "store/census.h"

#include "base/mem.h"
#include "base/random.h"

struct census_row {
    struct list link;
    unsigned count; /* at least 1 */
    size_t n;
    char team[]; /* n bytes */
};

void store_census_init(struct census *c)
{
    for (unsigned i = 0; i < CENSUS_BUCKETS; i++)
        list_init(&c->buckets[i]);
    random_bytes(c->hash_key, sizeof(c->hash_key));
    c->lost = false;
}

static unsigned place(const struct census *c, struct str team)
{
    return (unsigned)str_hash(team, c->hash_key) % CENSUS_BUCKETS;
}

static struct census_row *find(const struct census *c, struct str team)
{
    const struct list *bucket = &c->buckets[place(c, team)];

    for (struct list *at = bucket->next; at != bucket; at = at->next) {
        struct census_row *row = LIST_OF(at, struct census_row, link);

        if (str_eq(str_from(row->team, row->n), team))
            return row;
    }
    return NULL;
}

void store_census_add(struct census *c, struct str team)
{
    struct census_row *row = find(c, team);

    if (!row) {
        row = mem_new(sizeof(*row) + team.n);
        if (!row) {
            c->lost = true;
            return;
        }
        row->n = team.n;
        memcpy(row->team, team.p, team.n);
        list_push(&c->buckets[place(c, team)], &row->link);
    }
    row->count++;
}

void store_census_drop(struct census *c, struct str team)
{
    struct census_row *row = find(c, team);

    if (!row || --row->count > 0)
        return;
    list_remove(&row->link);
    mem_free(row);
}

bool store_census_count(const struct census *c, struct str team,
                        unsigned *count)
{
    const struct census_row *row = find(c, team);

    *count = row ? row->count : 0;
    return !c->lost;
}

void store_census_clear(struct census *c)
{
    struct list *link;

    for (unsigned i = 0; i < CENSUS_BUCKETS; i++)
        while ((link = list_pop(&c->buckets[i])))
            mem_free(LIST_OF(link, struct census_row, link));
    c->lost = false;
}
