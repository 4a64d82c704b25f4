/* buf.c - see buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define LEAST_BYTES 256

void buf_init(struct buf *b, size_t max)
{
    /* More cannot be had, and sums of two such sizes do not overflow. */
    *b = (struct buf){.max = max < SIZE_MAX / 4 ? max : SIZE_MAX / 4};
}

void buf_init_at(struct buf *b, char *memory, size_t size)
{
    *b = (struct buf){
        .p = memory, .room = size - 1, .max = size - 1, .fixed = true};
}

static void slide(struct buf *b)
{
    memmove(b->p, b->p + b->at, b->n - b->at);
    b->n -= b->at;
    b->at = 0;
}

/* How large the memory becomes so that need bytes fit: doubled, at most max;
 * at most half more when what was dropped stands in the way. */
static size_t next_room(const struct buf *b, size_t need)
{
    size_t most = need <= b->max ? b->max : b->max + b->max / 2;
    size_t room = b->room < LEAST_BYTES ? LEAST_BYTES : b->room;

    while (room < need)
        room *= 2;
    return room < most ? room : most;
}

/* Memory for what it holds and n more; a full buffer that is used as a queue
 * slides its bytes only after a third of its memory was dropped, so that each
 * byte is moved a few times at most. */
static bool make_room(struct buf *b, size_t n)
{
    size_t held = buf_len(b), room;
    char *p;

    if (b->at && (b->at >= held || b->n + n > b->max + b->max / 2 || b->fixed))
        slide(b);
    if (b->p && n <= b->room - b->n)
        return true;
    room = next_room(b, b->n + n);
    p = mem_realloc(b->p, room + 1); /* buf_text() writes a NUL behind */
    if (!p)
        return false;
    b->p = p;
    b->room = room;
    return true;
}

char *buf_room(struct buf *b, size_t n)
{
    if (b->failed || n > b->max - buf_len(b))
        b->failed = true;
    else if ((b->p && n <= b->room - b->n) || make_room(b, n))
        return b->p + b->n;
    else
        b->failed = true;
    return NULL;
}

void buf_grew(struct buf *b, size_t n)
{
    assert(n <= b->room - b->n);
    b->n += n;
}

void buf_put(struct buf *b, struct str s)
{
    char *p = s.n ? buf_room(b, s.n) : NULL;

    if (!p)
        return;
    memcpy(p, s.p, s.n);
    b->n += s.n;
}

void buf_byte(struct buf *b, char c)
{
    char *p = buf_room(b, 1);

    if (!p)
        return;
    *p = c;
    b->n++;
}

void buf_text(struct buf *b, const char *format, ...)
{
    va_list args;
    char *p;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    p = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (!p) {
        b->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
    assert(n <= buf_len(b));
    b->at += n;
    if (b->at == b->n)
        b->at = b->n = 0;
}

void buf_empty(struct buf *b)
{
    b->at = b->n = 0;
    b->failed = false;
}

void buf_clear(struct buf *b)
{
    if (!b->fixed)
        mem_free(b->p);
    buf_init(b, b->max);
}
