/* inflate.c - see inflate.h. */
#include "translate/inflate.h"

#include <zlib.h>

#include "base/mem.h"

#define PIECE (64U << 10)
/* Small bodies may unpack further: a page of zeros is no bomb. */
#define RATIO_FREE (1U << 20)

struct inflate {
    z_stream z;
    uint64_t in, out; /* bytes so far */
    bool complete;    /* a member has ended, and nothing stands behind it */
};

static voidpf allocate(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return mem_malloc((size_t)items * size);
}

static void release(voidpf opaque, voidpf p)
{
    (void)opaque;
    mem_free(p);
}

enum err inflate_new(struct inflate **out)
{
    struct inflate *z = mem_new(sizeof(*z));

    *out = NULL;
    if (!z)
        return E_NOMEM;
    z->z.zalloc = allocate;
    z->z.zfree = release;
    /* 31: gzip only, the largest window.  Source: zlib.h inflateInit2(). */
    if (inflateInit2(&z->z, 31) != Z_OK) {
        mem_free(z);
        return E_NOMEM;
    }
    *out = z;
    return E_OK;
}

enum err inflate_next(struct inflate *z, struct str *in, struct buf *out)
{
    char *room = buf_room(out, PIECE);
    int code = Z_OK;
    size_t made;

    if (!room)
        return E_NOMEM;
    if (z->complete && in->n) {
        z->complete = false;
        if (inflateReset(&z->z) != Z_OK)
            return E_NOMEM;
    }
    z->z.next_in = (z_const Bytef *)(uintptr_t)in->p;
    z->z.avail_in = (uInt)in->n;
    z->z.next_out = (Bytef *)room;
    z->z.avail_out = PIECE;
    if (in->n)
        code = inflate(&z->z, Z_NO_FLUSH);
    made = PIECE - z->z.avail_out;
    z->in += in->n - z->z.avail_in;
    z->out += made;
    *in = str_after(*in, in->n - z->z.avail_in);
    buf_grew(out, made);
    if (code == Z_STREAM_END)
        z->complete = true;
    else if (code == Z_MEM_ERROR)
        return E_NOMEM;
    else if (code != Z_OK && code != Z_BUF_ERROR)
        return E_BAD_REQUEST;
    if (z->out > RATIO_FREE && z->out / 100 > z->in)
        return E_TOO_BIG;
    return E_OK;
}

bool inflate_complete(const struct inflate *z)
{
    return z->complete;
}

void inflate_free(struct inflate **z)
{
    if (!*z)
        return;
    inflateEnd(&(*z)->z);
    mem_free(*z);
    *z = NULL;
}
