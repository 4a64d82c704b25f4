/* kept.c - see kept.h. */
#include "net/kept.h"

#include "base/mem.h"
#include "net/turn.h"

/* One read behind what is not a whole head. */
#define MAX_BYTES (H1_HEAD_BYTES + TURN_READ_BYTES)

struct kept *kept_make(struct kept **k)
{
    if (!*k && (*k = mem_new(sizeof(**k))))
        buf_init(&(*k)->bytes, MAX_BYTES);
    return *k;
}

bool kept_put(struct kept **k, struct str bytes)
{
    if (!bytes.n)
        return true;
    if (!kept_make(k))
        return false;
    buf_put(&(*k)->bytes, bytes);
    return !(*k)->bytes.failed;
}

void kept_drop(struct kept **k, size_t n)
{
    if (!*k)
        return;
    buf_drop(&(*k)->bytes, n);
    if (!buf_len(&(*k)->bytes))
        kept_clear(k);
}

void kept_clear(struct kept **k)
{
    if (*k)
        buf_clear(&(*k)->bytes);
    mem_free(*k);
    *k = NULL;
}
