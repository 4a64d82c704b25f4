/* net_vector.h - vectors of bytes in files of tests/data/h1. */
#ifndef TESTS_UNIT_NET_VECTOR_H
#define TESTS_UNIT_NET_VECTOR_H

#include "base/buf.h"

struct vector {
    char name[128];
    char ask[64];      /* of the line that begins with ? */
    struct buf bytes;  /* to be fed */
    struct buf expect; /* the lines that begin with >, each with a \n */
};

/* Call on_vector for each vector of the file; returns how many. */
unsigned vector_each(const char *path,
                     void (*on_vector)(struct vector *v, void *arg), void *arg);

/* Call feed with pieces of the vector's bytes: whole (at 0), byte by byte (at
 * 1), or cut in two at offset at - 1.  Returns false when there is no such
 * way.  Of long vectors only some offsets are tried. */
bool vector_feed(const struct vector *v, size_t at,
                 void (*feed)(struct str piece, void *arg), void *arg);

#endif
