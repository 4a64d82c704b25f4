/* census.h - how many sandboxes each team has.
 *
 * For store.c only: the rows are many, and a create must not count them. */
#ifndef STORE_CENSUS_H
#define STORE_CENSUS_H

#include <stdbool.h>

#include "base/list.h"
#include "base/str.h"

#define CENSUS_BUCKETS 256

/* Inside other structs. */
struct census {
    struct list buckets[CENSUS_BUCKETS]; /* owned: a row of each team */
    unsigned char hash_key[16];
    bool lost; /* there was no memory for a row: the counts are wrong until
                  store_census_clear() */
};

void store_census_init(struct census *c);

/* One more, one less. */
void store_census_add(struct census *c, struct str team);
void store_census_drop(struct census *c, struct str team);

/* How many; false: it is not known. */
bool store_census_count(const struct census *c, struct str team,
                        unsigned *count);

/* None of any team. */
void store_census_clear(struct census *c);

#endif
