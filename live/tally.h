/* tally.h - how many requests each link admitted, since the worker started.
 *
 * For the files of live/ only. */
#ifndef LIVE_TALLY_H
#define LIVE_TALLY_H

#include <stdint.h>

#include "model/link.h"
#include "store/store.h"

/* Inside struct live; zero is an empty one. */
struct tally {
    struct tally_row *rows; /* owned: a hash table */
    unsigned count, room;
};

/* One more for the link of that id ("": none); without memory it is not
 * counted.  Rows of links that the store no longer has make room. */
void tally_add(struct tally *t, struct store *store,
               const unsigned char key[16], struct str id, int64_t wall_ms);

/* Fill in requests and seen_ms. */
void tally_fill(const struct tally *t, const unsigned char key[16],
                struct link *link);

void tally_clear(struct tally *t);

#endif
