/* buf.h - a growing, bounded writer whose error is asked once. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* Inside other structs.  Bytes [at, n) of p are what was put and not yet
 * dropped.  After failed every put does nothing. */
struct buf {
    char *p;     /* owned, but see fixed */
    size_t at;   /* first byte not dropped */
    size_t n;    /* end of what was put */
    size_t room; /* bytes behind p */
    size_t max;  /* most bytes it may hold at once */
    bool failed; /* over max, or no memory */
    bool fixed;  /* p is the caller's: buf_init_at() */
};

/* Empty, holds no memory until the first put; max is a must. */
void buf_init(struct buf *b, size_t max);

/* Empty, in the caller's memory of size bytes: holds one byte less and never
 * asks for more.  buf_clear() lets go of it. */
void buf_init_at(struct buf *b, char *memory, size_t size);

/* Append bytes, one byte, or printf's text (its NUL not among them). */
void buf_put(struct buf *b, struct str s);
void buf_byte(struct buf *b, char c);
__attribute__((format(printf, 2, 3))) void buf_text(struct buf *b,
                                                    const char *format, ...);

/* Room for n more bytes at the returned place, or NULL (and failed); what
 * was written there is made part of it by buf_grew(). */
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

/* What it holds; valid until the next put. */
static inline struct str buf_str(const struct buf *b)
{
    return str_from(b->p ? b->p + b->at : "", b->n - b->at);
}

/* Bytes it holds. */
static inline size_t buf_len(const struct buf *b)
{
    return b->n - b->at;
}

/* Forget the first n bytes; n is at most what it holds. */
void buf_drop(struct buf *b, size_t n);

/* Forget all, failed included; memory stays. */
void buf_empty(struct buf *b);

/* Give the memory back; the buffer can be used again. */
void buf_clear(struct buf *b);

#endif
