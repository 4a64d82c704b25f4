/* h1_stream.c - see h1_stream.h. */
#include "net/h1_stream.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/h1_head.h"
#include "net/h1_write.h"

/* A head, its rows and what is made of it. */
#define ARENA_BYTES (2 * H1_HEAD_BYTES)

/* Streams that wait to be used again. */
#define SPARE_MAX 64

static struct h1_stream *of(struct stream *s)
{
    return (struct h1_stream *)(void *)s;
}

struct str h1_stream_date(struct loop *l)
{
    int64_t now_ms = clock_wall_ms();

    if (now_ms / 1000 != l->date_s) {
        l->date_s = now_ms / 1000;
        h1_date(now_ms, l->date);
    }
    return str_from(l->date, 29);
}

/* ---- orders ---- */

/* Will all of the request have been read when the answer is written?  What is
 * not read would be taken for the next request. */
static bool is_read(const struct h1_stream *hs)
{
    return hs->body.ended || (hs->body.left >= 0 && !hs->s.head.expects &&
                              (uint64_t)hs->body.left <= hs->at_hand);
}

/* How the body is framed. */
static void frame(struct h1_stream *hs, struct answer_head *head)
{
    bool none = head->status == 204 || head->status == 304;

    hs->tunnel = head->status == 101;
    hs->mute = none || hs->s.head.method == METHOD_HEAD;
    hs->plain = hs->tunnel || hs->s.head.http10;
    if (none || hs->tunnel)
        head->length = LENGTH_NONE;
    else if (head->length == LENGTH_CLOSE)
        head->length = LENGTH_CHUNKED;
    else if (head->length == LENGTH_NONE && !hs->mute)
        head->length = 0;
    hs->left = hs->tunnel ? LENGTH_CHUNKED : head->length;
}

static void say_head(struct stream *s, const struct answer_head *said)
{
    struct h1_stream *hs = of(s);
    struct answer_head head = *said;
    struct h1_answer_extra extra;
    char *room;

    if (!hs->io || hs->answer != ANSWER_NONE)
        return;
    frame(hs, &head);
    hs->keep = hs->keep && !s->close_after && !hs->server->draining &&
               !hs->server->held && is_read(hs) &&
               (!s->head.upgrade || hs->tunnel) &&
               !(hs->plain && head.length == LENGTH_CHUNKED);
    extra = (struct h1_answer_extra){.http10 = s->head.http10,
                                     .keep = hs->keep,
                                     .keep_alive_s =
                                         hs->server->settings.keep_alive_s,
                                     .date = h1_stream_date(hs->io->loop)};
    room = io_room(hs->io, h1_answer_bound(&head));
    hs->answer = room ? ANSWER_BODY : ANSWER_CUT;
    if (room)
        io_grew(hs->io, h1_write_answer(room, &head, &extra));
    if (hs->tunnel) {
        hs->said_ms = clock_ms();
        h1_body_begin(&hs->body, LENGTH_CLOSE);
        hs->told_end = false;
    }
    io_step(hs->io);
}

static void say_chunk(struct io *io, struct str piece)
{
    char size[H1_SIZE_BYTES];
    struct str line = str_from(size, h1_write_size(size, piece.n));

    io_say_framed(io, line, piece, STR("\r\n"));
}

static bool say(struct stream *s, struct str piece)
{
    struct h1_stream *hs = of(s);

    if (!hs->io || hs->answer != ANSWER_BODY || hs->mute || !piece.n)
        return true;
    /* More than was promised is our mistake and never goes out. */
    if (hs->left >= 0 && piece.n > (uint64_t)hs->left)
        piece.n = (size_t)hs->left;
    s->bytes_out += piece.n;
    if (hs->tunnel)
        hs->said_ms = clock_ms();
    if (hs->left == LENGTH_CHUNKED && !hs->plain) {
        say_chunk(hs->io, piece);
    } else {
        if (hs->left >= 0)
            hs->left -= (int64_t)piece.n;
        io_say_on(hs->io, piece, hs->left > 0 ? (uint64_t)hs->left : 0);
    }
    hs->full = buf_len(&hs->io->out) > 0;
    return !hs->full;
}

static void say_end(struct stream *s)
{
    struct h1_stream *hs = of(s);

    if (!hs->io || hs->answer == ANSWER_SAID || hs->answer == ANSWER_CUT)
        return;
    if (hs->answer == ANSWER_BODY && !hs->mute && !hs->plain &&
        hs->left == LENGTH_CHUNKED)
        io_say(hs->io, STR("0\r\n\r\n"));
    /* Less than was promised is no clean end, nor is no answer at all. */
    hs->answer = hs->answer == ANSWER_NONE || (hs->left > 0 && !hs->mute)
                     ? ANSWER_CUT
                     : ANSWER_SAID;
    io_step(hs->io);
}

static void go_on(struct stream *s)
{
    struct h1_stream *hs = of(s);

    if (hs->io && hs->answer == ANSWER_NONE)
        io_say(hs->io, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void look(struct stream *s)
{
    struct h1_stream *hs = of(s);

    if (hs->io)
        io_step(hs->io);
}

static void cut(struct stream *s)
{
    struct h1_stream *hs = of(s);

    if (!hs->io)
        return;
    hs->answer = ANSWER_CUT;
    io_step(hs->io);
}

/* ---- life ---- */

static void release(struct h1_stream *hs)
{
    struct server *server = hs->server;

    hs->s.magic = 0;
    if (server->spare_count < SPARE_MAX && !server->dying) {
        arena_reset(hs->s.arena);
        list_push(&server->spare, &hs->s.link);
        server->spare_count++;
    } else {
        arena_free(&hs->s.arena);
        mem_free(hs);
    }
    if (--server->alive == 0 && server->dying)
        server->on_less(server);
}

static void leave(struct stream *s)
{
    struct h1_stream *hs = of(s);

    if (!hs->io) {
        release(hs);
        return;
    }
    if (hs->answer != ANSWER_SAID)
        hs->answer = ANSWER_CUT;
    io_step(hs->io);
}

static const struct stream_ops ops = {say_head, say, say_end, go_on,
                                      look,     cut, leave};

void h1_stream_end(struct h1_stream *hs)
{
    hs->io = NULL;
    hs->server->stream_count--;
    if (!hs->s.events)
        release(hs);
}

void h1_stream_free_spare(struct list *link)
{
    struct h1_stream *hs = of(LIST_OF(link, struct stream, link));

    arena_free(&hs->s.arena);
    mem_free(hs);
}

static struct h1_stream *spare(struct server *server)
{
    struct list *link = list_pop(&server->spare);
    struct stream *s;
    struct h1_stream *hs;

    if (link) {
        server->spare_count--;
        s = LIST_OF(link, struct stream, link);
        return of(s);
    }
    hs = mem_new(sizeof(*hs));
    if (hs && arena_new(ARENA_BYTES, &hs->s.arena) != E_OK) {
        mem_free(hs);
        hs = NULL;
    }
    return hs;
}

/* Move the texts of the lines to a copy of the bytes that they point into. */
static void move(struct str *s, const char *from, const char *to)
{
    s->p = to + (s->p - from);
}

static bool keep_lines(struct h1_lines *lines, const char *bytes,
                       struct arena *a)
{
    struct str copy = arena_copy(a, str_from(bytes, lines->bytes));

    if (!copy.p)
        return false;
    move(&lines->method, bytes, copy.p);
    move(&lines->target, bytes, copy.p);
    for (unsigned i = 0; i < lines->count; i++) {
        move(&lines->rows[i].name, bytes, copy.p);
        move(&lines->rows[i].value, bytes, copy.p);
    }
    return true;
}

enum err h1_stream_new(struct server *server, struct io *io,
                       struct h1_lines *lines, const char *bytes,
                       struct h1_stream **out)
{
    struct h1_stream *hs = spare(server);
    enum err err = E_NOMEM;
    struct arena *a;
    bool keep = false;

    *out = NULL;
    if (!hs)
        return E_NOMEM;
    a = hs->s.arena;
    hs->s = (struct stream){
        .magic = STREAM_MAGIC, .ops = &ops, .arena = a, .pauses = PAUSE_WAIT};
    hs->server = server;
    hs->io = io;
    hs->answer = ANSWER_NONE;
    hs->at_hand = 0;
    hs->said_ms = 0;
    hs->tunnel = hs->told_end = hs->full = hs->shut = false;
    server->stream_count++;
    server->alive++;
    if (keep_lines(lines, bytes, a))
        err = h1_request(lines, a, &hs->s.head, &keep);
    hs->keep = keep;
    if (err != E_OK) {
        h1_stream_end(hs);
        return err;
    }
    h1_body_begin(&hs->body, hs->s.head.length);
    *out = hs;
    return E_OK;
}
