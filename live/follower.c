/* follower.c - see follower.h. */
#include "live/follower.h"

#include "base/mem.h"
#include "translate/envelope.h"

#define SLOW_MS 10000
#define PORTION_BYTES 65536 /* told at once */

/* A queue takes one more batch of frames after it is full. */
#define QUEUE_MAX (FOLLOWER_BEHIND_BYTES + (32 << 20))

static void bury(void *what)
{
    struct follower *f = what;

    buf_clear(&f->queue);
    timer_clear(&f->slow);
    mem_free((void *)(uintptr_t)f->tag.p);
    mem_free((void *)(uintptr_t)f->detail.p);
    mem_free(f);
}

/* No event comes after this; who subscribed still has to free it. */
static void finish(struct follower *f)
{
    f->over = true;
    later_undo(&f->later);
    timer_stop(&f->slow);
    f->owner->on_gone(f);
    f->process = NULL;
}

static void leave(struct subscription *s)
{
    struct follower *f = (struct follower *)(void *)s;

    if (!f->over)
        finish(f);
    loop_bury(f->live->loop, bury, f);
}

/* The first frames of the queue, at least one, at most about a portion. */
static struct str portion(const struct follower *f)
{
    struct str all = buf_str(&f->queue);
    size_t n = 0;

    while (n < all.n) {
        const unsigned char *p = (const unsigned char *)all.p + n;
        size_t frame =
            ENVELOPE_HEAD + ((size_t)p[1] << 24 | (size_t)p[2] << 16 |
                             (size_t)p[3] << 8 | p[4]);

        if (n && n + frame > PORTION_BYTES)
            break;
        n += frame;
    }
    return str_from(all.p, n);
}

/* Tell what waits, as far as it is listened to. */
static void pump(struct follower *f)
{
    while (!f->over && !f->paused && buf_len(&f->queue)) {
        struct str told = portion(f);

        f->sub.events->on_piece(f->sub.arg, told);
        buf_drop(&f->queue, told.n);
    }
    if (f->over)
        return;
    if (buf_len(&f->queue) == 0)
        buf_clear(&f->queue);
    if (!f->paused && f->ended && buf_len(&f->queue) == 0) {
        finish(f);
        f->sub.events->on_end(f->sub.arg);
    }
}

static void pause(struct subscription *s)
{
    struct follower *f = (struct follower *)(void *)s;

    f->paused = true;
    if (!f->over)
        f->owner->on_flow(f);
}

static void on_resumed(void *arg)
{
    struct follower *f = arg;

    pump(f);
    if (!f->over)
        f->owner->on_flow(f);
}

static void resume(struct subscription *s)
{
    struct follower *f = (struct follower *)(void *)s;

    f->paused = false;
    if (f->over)
        return;
    /* Never from inside: the subscriber is in the middle of something. */
    if (buf_len(&f->queue) || f->ended)
        later_do(f->live, &f->later, on_resumed, f);
    else
        f->owner->on_flow(f);
}

static void on_slow(void *arg)
{
    follower_cut(arg, E_EXHAUSTED);
}

enum err follower_new(struct live *l, const struct follower_owner *o,
                      const struct live_events *events, void *arg,
                      struct follower **out)
{
    struct follower *f = mem_new(sizeof(*f));

    *out = NULL;
    if (!f)
        return E_NOMEM;
    f->sub = (struct subscription){.events = events,
                                   .arg = arg,
                                   .pause = pause,
                                   .resume = resume,
                                   .leave = leave};
    f->owner = o;
    f->live = l;
    f->tag = f->detail = STR_NONE;
    buf_init(&f->queue, QUEUE_MAX);
    timer_init(&f->slow, l->loop, on_slow, f);
    *out = f;
    return E_OK;
}

void follower_tell(struct follower *f, enum err err, uint32_t pid,
                   struct str detail)
{
    struct op_result result = {.pid = pid, .detail = detail};

    if (err)
        finish(f);
    f->sub.events->on_result(f->sub.arg, err, &result);
}

void follower_put(struct follower *f, struct str frames)
{
    if (f->over || frames.n == 0)
        return;
    if (!f->paused && buf_len(&f->queue) == 0) {
        f->sub.events->on_piece(f->sub.arg, frames);
        return;
    }
    buf_put(&f->queue, frames);
    if (f->queue.failed)
        follower_cut(f, E_NOMEM);
}

void follower_end(struct follower *f)
{
    f->ended = true;
    f->process = NULL;
    if (!list_linked(&f->later.link))
        pump(f);
}

void follower_cut(struct follower *f, enum err why)
{
    if (f->over)
        return;
    finish(f);
    f->sub.events->on_cut(f->sub.arg, why);
}

void follower_hurry(struct follower *f, bool hurry)
{
    if (!hurry)
        timer_stop(&f->slow);
    else if (!timer_pending(&f->slow))
        timer_set(&f->slow, SLOW_MS);
}
