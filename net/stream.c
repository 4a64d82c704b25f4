/* stream.c - the orders of server.h that do not depend on the version of
 * HTTP; what does goes through the stream's table. */
#include <assert.h>

#include "base/clock.h"
#include "net/serving.h"

void stream_own(struct stream *s, const struct stream_events *events, void *arg)
{
    assert(s->magic == STREAM_MAGIC);
    s->events = events;
    s->arg = arg;
}

const struct request_head *stream_head(const struct stream *s)
{
    return &s->head;
}

void stream_pause(struct stream *s, enum pause_reason why)
{
    s->pauses |= why;
}

void stream_resume(struct stream *s, enum pause_reason why)
{
    unsigned before = s->pauses;

    s->pauses &= ~(unsigned)why;
    if (!before || s->pauses)
        return;
    s->heard_ms = clock_ms();
    s->ops->look(s);
}

void stream_limit_body(struct stream *s, int64_t first_ms, uint64_t rate)
{
    s->body_first_ms = first_ms;
    s->body_rate = rate;
    s->begun_ms = clock_ms();
    s->ops->look(s);
}

void stream_continue(struct stream *s)
{
    if (s->head.expects)
        s->ops->go_on(s);
    s->head.expects = false;
}

void stream_say_head(struct stream *s, const struct answer_head *head)
{
    s->ops->say_head(s, head);
}

bool stream_say(struct stream *s, struct str piece)
{
    return s->ops->say(s, piece);
}

void stream_say_end(struct stream *s)
{
    s->ops->say_end(s);
}

void stream_say_all(struct stream *s, const struct answer_head *head,
                    struct str body)
{
    struct answer_head whole = *head;

    whole.length = (int64_t)body.n;
    s->ops->say_head(s, &whole);
    if (body.n)
        s->ops->say(s, body);
    s->ops->say_end(s);
}

void stream_close_after(struct stream *s)
{
    s->close_after = true;
    s->ops->look(s);
}

void stream_cut(struct stream *s)
{
    s->ops->cut(s);
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

void stream_free(struct stream **out)
{
    struct stream *s = *out;

    if (!s)
        return;
    assert(s->magic == STREAM_MAGIC);
    *out = NULL;
    s->events = NULL;
    s->ops->leave(s);
}
