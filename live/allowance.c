/* allowance.c - see allowance.h. */
#include "live/allowance.h"

#include "base/mem.h"
#include "model/identity.h"

struct allowance_row {
    struct list link;
    int64_t last_s;                     /* of the newest count */
    uint32_t counts[ALLOWANCE_SECONDS]; /* by the second, modulo */
    size_t n;
    char team[TEAM_MAX];
};

void allowance_init(struct allowance *a, const unsigned char hash_key[16])
{
    for (unsigned i = 0; i < ALLOWANCE_BUCKETS; i++)
        list_init(&a->buckets[i]);
    a->hash_key = hash_key;
}

void allowance_clear(struct allowance *a)
{
    struct list *link;

    for (unsigned i = 0; i < ALLOWANCE_BUCKETS; i++)
        while (a->hash_key && (link = list_pop(&a->buckets[i])))
            mem_free(LIST_OF(link, struct allowance_row, link));
}

/* The place of a second, which may be up to a minute before the clock's 0. */
static unsigned slot(int64_t second)
{
    return (unsigned)((second + ALLOWANCE_SECONDS) % ALLOWANCE_SECONDS);
}

/* The row of the team, or NULL; rows on the way that say nothing any more
 * go. */
static struct allowance_row *find(struct list *bucket, struct str team,
                                  int64_t now_s)
{
    struct allowance_row *found = NULL;

    for (struct list *at = bucket->next, *after; at != bucket; at = after) {
        struct allowance_row *row = LIST_OF(at, struct allowance_row, link);

        after = at->next;
        if (str_eq(str_from(row->team, row->n), team)) {
            found = row;
        } else if (now_s - row->last_s >= ALLOWANCE_SECONDS) {
            list_remove(at);
            mem_free(row);
        }
    }
    return found;
}

/* The seconds since the last count had none. */
static void move_on(struct allowance_row *row, int64_t now_s)
{
    int64_t passed = now_s - row->last_s;

    if (passed > ALLOWANCE_SECONDS)
        passed = ALLOWANCE_SECONDS;
    for (int64_t i = 0; i < passed; i++)
        row->counts[slot(now_s - i)] = 0;
    row->last_s = now_s;
}

/* Its count; *retry_s: when there is a place, if it is the limit or more. */
static int64_t sum(const struct allowance_row *row, int64_t most,
                   unsigned *retry_s)
{
    int64_t all = 0, newest = 0;

    for (unsigned i = 0; i < ALLOWANCE_SECONDS; i++)
        all += row->counts[i];
    /* From now back: the second that fills the limit must have passed. */
    for (unsigned age = 0; age < ALLOWANCE_SECONDS; age++) {
        newest += row->counts[slot(row->last_s - age)];
        if (newest >= most) {
            *retry_s = ALLOWANCE_SECONDS - age;
            break;
        }
    }
    return all;
}

enum err allowance_take(struct allowance *a, struct str team, int64_t most,
                        int64_t now_ms, unsigned *retry_s)
{
    uint64_t at = str_hash(team, a->hash_key) % ALLOWANCE_BUCKETS;
    int64_t now_s = now_ms / 1000;
    struct allowance_row *row = find(&a->buckets[at], team, now_s);

    if (!row) {
        row = team.n <= TEAM_MAX ? mem_new(sizeof(*row)) : NULL;
        if (!row)
            return E_NOMEM;
        row->last_s = now_s;
        row->n = team.n;
        memcpy(row->team, team.p, team.n);
        list_push(&a->buckets[at], &row->link);
    }
    move_on(row, now_s);
    if (sum(row, most, retry_s) >= most)
        return E_TEAM_FAST;
    row->counts[slot(now_s)]++;
    return E_OK;
}
