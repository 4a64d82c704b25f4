/* orphan.c - see orphan.h. */
#include "gateway/orphan.h"

static void on_piece(void *arg, struct str piece)
{
    (void)arg;
    (void)piece;
}

static void on_event(void *arg)
{
    (void)arg;
}

static void on_done(void *arg)
{
    struct stream *s = arg;

    stream_free(&s);
}

static void on_gone(void *arg, enum err why)
{
    (void)why;
    on_done(arg);
}

static const struct stream_events events = {on_piece, on_event, on_gone,
                                            on_event, on_done};

void orphan_own(struct stream *s)
{
    stream_own(s, &events, s);
}
