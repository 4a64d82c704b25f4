/* address.h - IP addresses and blocks of them. */
#ifndef MODEL_ADDRESS_H
#define MODEL_ADDRESS_H

#include <stdbool.h>

#include "base/str.h"

/* ::ffff:a.b.c.d is never one of v6: it is a.b.c.d. */
struct address {
    bool v6;
    unsigned char bytes[16]; /* network order; of v4 the first four */
};

struct address_block {
    bool v6;
    unsigned char bits;      /* of the prefix: 0..32, 0..128 */
    unsigned char bytes[16]; /* network order; 0 behind the prefix */
};

/* Bytes that the text of any address has room in, with its NUL. */
#define ADDRESS_TEXT_BYTES 46

/* Of 4 or 16 bytes in network order. */
void address_set(struct address *a, bool v6, const unsigned char *bytes);

/* An address as text, without a zone or a port; false when it is none. */
bool address_read(struct str text, struct address *out);

/* Its shortest text, in out. */
struct str address_text(const struct address *a, char out[ADDRESS_TEXT_BYTES]);

/*
 * Is it neither of this machine, of its link, nor of a private network?
 * Behind the others stand whole sites and proxies.  Source: threats.md E-05.
 */
bool address_is_public(const struct address *a);

/* An address, or a block such as 192.0.2.0/24.  NULL, or what is wrong with
 * the text (static). */
const char *address_block_read(struct str text, struct address_block *out);

/* Is its prefix no longer than an address, and are the bits behind it 0? */
bool address_block_ok(const struct address_block *b);

/* Is it in the block? */
bool address_block_holds(const struct address_block *b,
                         const struct address *a);

/* Is it in one of those blocks? */
bool address_is_among(const struct address *a,
                      const struct address_block *blocks, unsigned count);

#endif
