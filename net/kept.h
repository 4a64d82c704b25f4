/* kept.h - inside net: bytes of a client that cannot be used yet.
 *
 * Nearly always there are none, so a connection holds a pointer only, which is
 * NULL then. */
#ifndef NET_KEPT_H
#define NET_KEPT_H

#include "base/buf.h"
#include "net/h1_scan.h"

struct kept {
    struct buf bytes;
    struct h1_scan scan; /* of the head that begins there, if one does */
};

/* The bytes; valid until something is put or dropped. */
static inline struct str kept_str(const struct kept *k)
{
    return k ? buf_str(&k->bytes) : STR("");
}

/* Made if there is none; NULL: no memory. */
struct kept *kept_make(struct kept **k);

/* Bytes behind the others; false: no memory, or too many. */
bool kept_put(struct kept **k, struct str bytes);

/* Forget the first n bytes; with the last one the memory goes. */
void kept_drop(struct kept **k, size_t n);

/* All of it; *k becomes NULL. */
void kept_clear(struct kept **k);

#endif
