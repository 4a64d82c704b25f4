/* tally.c - see tally.h. */
#include "live/tally.h"

#include "base/mem.h"

#define LEAST_ROOM 64
#define MOST_ROOM (1U << 20) /* 48 MiB: half of it are used */

struct tally_row {
    char id[LINK_ID_LENGTH + 1]; /* "" while it is free */
    uint64_t requests;
    int64_t seen_ms;
};

/* Its row, or the free one where it belongs; there is room. */
static struct tally_row *row_of(const struct tally *t,
                                const unsigned char key[16], struct str id)
{
    unsigned at = (unsigned)str_hash(id, key) & (t->room - 1);

    while (t->rows[at].id[0] && !str_eq(str_of(t->rows[at].id), id))
        at = (at + 1) & (t->room - 1);
    return &t->rows[at];
}

/* A table twice as large, of those whose link is still there. */
static void grow(struct tally *t, struct store *store,
                 const unsigned char key[16])
{
    unsigned room = t->room ? t->room * 2 : LEAST_ROOM;
    struct tally fresh = {.room = room};
    struct link link;

    if (room > MOST_ROOM)
        return;
    fresh.rows = mem_new(room * sizeof(*fresh.rows));
    if (!fresh.rows)
        return;
    for (unsigned i = 0; i < t->room; i++) {
        struct str id = str_of(t->rows[i].id);

        if (!id.n || store_find_link(store, id, &link) == ABSENT)
            continue;
        *row_of(&fresh, key, id) = t->rows[i];
        fresh.count++;
    }
    mem_free(t->rows);
    *t = fresh;
}

void tally_add(struct tally *t, struct store *store,
               const unsigned char key[16], struct str id, int64_t wall_ms)
{
    struct tally_row *row;

    if (id.n == 0 || id.n > LINK_ID_LENGTH)
        return;
    if (t->count * 2 >= t->room)
        grow(t, store, key);
    if (t->count * 2 >= t->room)
        return;
    row = row_of(t, key, id);
    if (!row->id[0]) {
        memcpy(row->id, id.p, id.n);
        t->count++;
    }
    row->requests++;
    row->seen_ms = wall_ms;
}

void tally_fill(const struct tally *t, const unsigned char key[16],
                struct link *link)
{
    const struct tally_row *row;

    link->requests = 0;
    link->seen_ms = 0;
    if (!t->room || !link->id[0])
        return;
    row = row_of(t, key, str_of(link->id));
    link->requests = row->requests;
    link->seen_ms = row->seen_ms;
}

void tally_clear(struct tally *t)
{
    mem_free(t->rows);
    *t = (struct tally){0};
}
