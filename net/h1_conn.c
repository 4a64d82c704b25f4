/* h1_conn.c - see h1_conn.h.
 *
 * Every event ends in step(), which does what can be done now and then says
 * what is waited for.  Users are called from here only, never from inside
 * their own orders. */
#include "net/h1_conn.h"

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/h1_head.h"
#include "net/h1_refuse.h"
#include "net/h1_stream.h"
#include "net/io_tls.h"
#include "net/kept.h"
#include "net/peers.h"

#define CONN_MAGIC 0xc0221ec7u

/* Source: threats.md C2. */
#define DRAIN_MS 1000
#define DRAIN_BYTES 65536

/* More than the kernel holds for us (server.c). */
#define HEAR_READS 8

struct conn {
    unsigned magic;
    enum conn_state {
        CONN_HELLO,  /* TLS handshake */
        CONN_IDLE,   /* no byte of a request */
        CONN_HEAD,   /* a part of a head */
        CONN_OPEN,   /* a stream */
        CONN_SAYING, /* the last answer is on its way, nothing is read */
        CONN_DRAIN,  /* our FIN is sent, what comes is thrown away */
        CONN_DEAD    /* closed, to be buried */
    } state;
    struct io io;
    struct server *server;    /* borrowed */
    struct list link;         /* in server.connections */
    struct h1_stream *stream; /* owned together with its user */
    struct peer *counted;     /* owned: among its address's, or NULL */
    struct kept *kept;        /* owned: read and not used; NULL: nothing */
    int64_t since_ms;         /* the state began, or the tunnel had a byte
                                 of the client */
    unsigned drained_bytes;
    bool ended;  /* tunnel: the client's direction is over */
    char peer[]; /* address as text */
};

static struct conn *of(struct io *io)
{
    struct conn *c = LIST_OF(io, struct conn, io);

    assert(c->magic == CONN_MAGIC);
    return c;
}

/* ---- ends ---- */

static void bury(void *what)
{
    struct conn *c = what;

    io_clear(&c->io);
    kept_clear(&c->kept);
    c->magic = 0;
    mem_free(c);
}

static void enter(struct conn *c, enum conn_state state)
{
    if (c->state == CONN_HELLO)
        c->server->handshake_count--;
    c->state = state;
    c->since_ms = clock_ms();
}

/* The descriptor is closed: nothing but the burial follows. */
static void die(struct conn *c)
{
    struct server *server = c->server;

    enter(c, CONN_DEAD);
    list_remove(&c->link);
    server->connection_count--;
    peers_give(server->peers, &c->counted);
    loop_bury(server->loop, bury, c);
    server->on_less(server);
}

static void close_clean(struct conn *c)
{
    if (c->state != CONN_HELLO && c->io.ops != &io_plain)
        c->io.ops->shutdown(&c->io);
    io_close(&c->io);
    die(c);
}

static void close_hard(struct conn *c)
{
    io_cut(&c->io);
    die(c);
}

/* The stream is over; its user's events and argument as they were. */
struct listener_of {
    const struct stream_events *events;
    void *arg;
};

static struct listener_of end_stream(struct conn *c)
{
    struct h1_stream *hs = c->stream;
    struct listener_of who = {hs->s.events, hs->s.arg};

    c->stream = NULL;
    h1_stream_end(hs);
    return who;
}

/* The client is gone, or as good as that. */
static void lose(struct conn *c, enum err why)
{
    struct listener_of who = {NULL, NULL};

    if (c->stream)
        who = end_stream(c);
    close_hard(c);
    if (who.events)
        who.events->on_gone(who.arg, why);
}

/* ---- refusals ---- */

/* What was read is refused: one answer, and nothing more is parsed. */
static void refuse(struct conn *c, enum err why)
{
    int status = h1_status(why);
    struct server *server = c->server;

    h1_refuse(&c->io, status);
    kept_clear(&c->kept);
    enter(c, CONN_SAYING);
    server->on_refused(server->arg, str_of(c->peer), status, why);
}

/* The rest of the request is broken or too slow. */
static void refuse_body(struct conn *c, enum err why)
{
    bool silent = c->stream->answer == ANSWER_NONE;
    struct listener_of who = {NULL, NULL};

    if (!silent) {
        lose(c, why);
        return;
    }
    who = end_stream(c);
    h1_refuse(&c->io, h1_status(why));
    kept_clear(&c->kept);
    enter(c, CONN_SAYING);
    if (who.events)
        who.events->on_gone(who.arg, why);
}

/* ---- what came ---- */

/* A head is not whole yet.  No byte of it is used; the caller keeps them. */
static size_t put_off(struct conn *c, const struct h1_scan *begun)
{
    if (!kept_make(&c->kept)) {
        lose(c, E_NOMEM);
        return 0;
    }
    c->kept->scan = *begun;
    if (c->state == CONN_IDLE)
        enter(c, CONN_HEAD);
    return 0;
}

/* A whole head, or a part of one; how many bytes were used. */
static size_t take_head(struct conn *c, struct str bytes)
{
    struct loop *l = c->server->loop;
    struct h1_lines lines = {.rows = l->rows};
    struct h1_stream *hs;
    struct h1_scan begun = c->kept ? c->kept->scan : (struct h1_scan){.at = 0};
    bool again = begun.at > 0, done;
    enum err err = h1_scan_request(&begun, bytes, &lines, &done);

    if (err == E_OK && done && again) {
        /* Its first lines were seen by an earlier call. */
        begun = (struct h1_scan){.at = 0};
        err = h1_scan_request(&begun, bytes, &lines, &done);
    }
    if (err == E_OK && !done)
        return put_off(c, &begun);
    if (c->kept)
        c->kept->scan = (struct h1_scan){.at = 0};
    if (err == E_OK)
        err = h1_stream_new(c->server, &c->io, &lines, bytes.p, &hs);
    if (err != E_OK) {
        refuse(c, err);
        return bytes.n;
    }
    c->stream = hs;
    c->state = CONN_OPEN;
    hs->at_hand = bytes.n - lines.bytes;
    hs->s.head.tls = c->io.ssl != NULL;
    /* Copies: the head outlives a connection that goes before the user. */
    hs->s.head.peer = arena_copy(hs->s.arena, str_of(c->peer));
    hs->s.head.sni = arena_copy(hs->s.arena, str_of(io_tls_name(&c->io)));
    c->server->on_request(c->server->arg, &hs->s, &hs->s.head);
    return lines.bytes;
}

/* May the user be given more of the body, or its end? */
static bool wants_body(const struct conn *c)
{
    const struct h1_stream *hs = c->stream;

    return c->state == CONN_OPEN && hs->s.events && !hs->s.pauses &&
           !hs->told_end && hs->answer != ANSWER_CUT &&
           (hs->tunnel || hs->answer != ANSWER_SAID);
}

/* The next piece of the body; how many bytes were used.  *more is false when
 * there is nothing to do with the rest. */
static size_t take_body(struct conn *c, struct str bytes, bool *more)
{
    struct h1_stream *hs = c->stream;
    struct str piece;
    size_t used = 0;
    enum h1_body_got got = h1_body_next(&hs->body, bytes, &used, &piece);

    hs->at_hand = bytes.n - used;
    *more = got == BODY_PIECE;
    if (got == BODY_PIECE) {
        hs->s.bytes_in += piece.n;
        hs->s.events->on_piece(hs->s.arg, piece);
    } else if (got == BODY_END) {
        hs->told_end = true;
        hs->s.events->on_end(hs->s.arg);
    } else if (got == BODY_BAD) {
        refuse_body(c, hs->body.why);
        return bytes.n;
    }
    return used;
}

/* Use bytes as far as they can be used now. */
static size_t feed(struct conn *c, struct str bytes)
{
    size_t at = 0;
    bool more = true;

    while (more) {
        struct str rest = str_after(bytes, at);
        size_t used = 0;

        if (wants_body(c)) {
            used = take_body(c, rest, &more);
        } else if (c->state == CONN_IDLE || c->state == CONN_HEAD) {
            used = rest.n ? take_head(c, rest) : 0;
            more = used > 0;
        } else {
            more = false;
        }
        at += used;
    }
    return c->state >= CONN_SAYING ? bytes.n : at;
}

static void take(struct conn *c, struct str bytes)
{
    bool first = !kept_str(c->kept).n, good = true;
    size_t used;

    if (first)
        used = feed(c, bytes);
    else if ((good = kept_put(&c->kept, bytes)))
        used = feed(c, kept_str(c->kept));
    if (good && (c->state == CONN_DEAD || c->state == CONN_SAYING))
        return;
    if (first)
        good = kept_put(&c->kept, str_after(bytes, used));
    else if (good)
        kept_drop(&c->kept, used);
    if (!good)
        lose(c, E_NOMEM);
}

/* The kept bytes again, since a pause ended or an answer was given. */
static bool feed_kept(struct conn *c)
{
    size_t used = feed(c, kept_str(c->kept));

    if (c->state == CONN_DEAD || c->state == CONN_SAYING)
        return true;
    kept_drop(&c->kept, used);
    return used > 0;
}

static void on_eof(struct conn *c)
{
    if (c->state != CONN_OPEN) {
        io_close(&c->io);
        die(c);
    } else if (!c->stream->tunnel) {
        lose(c, E_GONE_CLIENT);
    } else {
        c->ended = true;
        c->since_ms = clock_ms();
        c->stream->told_end = true;
        if (c->stream->s.events)
            c->stream->s.events->on_end(c->stream->s.arg);
    }
}

/* Throw away what comes behind our FIN, so that the answer is not lost by a
 * reset; not for ever. */
static void drain(struct conn *c, size_t n)
{
    c->drained_bytes += (unsigned)n;
    if (c->drained_bytes > DRAIN_BYTES) {
        io_close(&c->io);
        die(c);
    }
}

static void on_readable(struct conn *c)
{
    size_t n = 0;
    char *p = c->io.loop->read;
    enum io_got got = c->io.ops->read(&c->io, p, TURN_READ_BYTES, &n);

    if (got == IO_LOST) {
        lose(c, E_GONE_CLIENT);
    } else if (got == IO_END) {
        on_eof(c);
    } else if (got == IO_GOT && c->state == CONN_DRAIN) {
        drain(c, n);
    } else if (got == IO_GOT) {
        if (c->state == CONN_OPEN)
            c->stream->s.heard_ms = c->since_ms = clock_ms();
        take(c, str_from(p, n));
    }
}

/* Writing failed.  What a tunnel's client said before that is still heard; an
 * end that follows is none (a socket tells of a reset once). */
static void hear_out(struct conn *c)
{
    struct io *io = &c->io;
    enum io_got got = IO_GOT;
    size_t n;

    for (int i = 0; i < HEAR_READS && got == IO_GOT && c->state == CONN_OPEN &&
                    c->stream->tunnel && wants_body(c);
         i++) {
        got = io->ops->read(io, io->loop->read, TURN_READ_BYTES, &n);
        if (got == IO_GOT)
            take(c, str_from(io->loop->read, n));
    }
    if (c->state != CONN_DEAD)
        lose(c, E_GONE_CLIENT);
}

static void shake_hands(struct conn *c)
{
    enum io_got got = io_tls_hello(&c->io);

    if (got == IO_GOT) {
        enter(c, CONN_IDLE);
        c->server->on_less(c->server);
    } else if (got != IO_AGAIN) {
        io_close(&c->io);
        die(c);
    }
}

/* ---- what is due ---- */

/* Silence of both sides. */
static int64_t tunnel_due(const struct conn *c)
{
    const struct server_settings *set = &c->server->settings;
    int64_t said_ms = c->stream->said_ms;
    bool half = c->ended || c->stream->shut;

    return (said_ms > c->since_ms ? said_ms : c->since_ms) +
           (half ? set->half_open_ms : set->tunnel_idle_ms);
}

/* The rest of a body, unless we are the ones who do not read it. */
static int64_t body_due(const struct conn *c)
{
    int64_t idle_ms = c->server->settings.body_idle_ms, due_ms = IO_NEVER;
    const struct stream *s = &c->stream->s;
    uint64_t earned_ms;

    if (c->stream->body.ended || s->pauses)
        return IO_NEVER;
    if (idle_ms)
        due_ms = s->heard_ms + idle_ms;
    if (!s->body_first_ms)
        return due_ms;
    earned_ms = s->body_rate ? s->bytes_in * 1000 / s->body_rate : 0;
    earned_ms += (uint64_t)(s->begun_ms + s->body_first_ms);
    return (int64_t)earned_ms < due_ms ? (int64_t)earned_ms : due_ms;
}

static int64_t open_due(const struct conn *c)
{
    const struct server_settings *set = &c->server->settings;

    if (buf_len(&c->io.out))
        return c->io.progress_ms + set->stall_ms;
    if (c->stream->tunnel)
        return tunnel_due(c);
    return body_due(c);
}

static int64_t due(const struct conn *c)
{
    const struct server_settings *set = &c->server->settings;

    switch (c->state) {
    case CONN_HELLO:
        return c->since_ms + server_handshake_ms(c->server);
    case CONN_IDLE:
        return c->since_ms + set->idle_ms;
    case CONN_HEAD:
        return c->since_ms + set->head_ms;
    case CONN_OPEN:
        return open_due(c);
    case CONN_SAYING:
        return (buf_len(&c->io.out) ? c->io.progress_ms : c->since_ms) +
               set->stall_ms;
    case CONN_DRAIN:
        return c->since_ms + DRAIN_MS;
    case CONN_DEAD:
        break;
    }
    return IO_NEVER;
}

static void on_due(struct conn *c)
{
    if (clock_ms() < due(c))
        return; /* it has moved on since */
    if (c->state == CONN_HEAD) {
        refuse(c, E_SLOW);
    } else if (c->state == CONN_IDLE) {
        close_clean(c);
    } else if (c->state == CONN_OPEN && !buf_len(&c->io.out) &&
               !c->stream->tunnel) {
        refuse_body(c, E_SLOW);
    } else if (c->state == CONN_OPEN || c->state == CONN_SAYING) {
        lose(c, E_SLOW);
    } else {
        io_close(&c->io);
        die(c);
    }
}

/* ---- steps ---- */

/* The rest of a request that nobody wanted, as far as it is here. */
static bool skip_rest(struct conn *c, struct h1_stream *hs)
{
    enum h1_body_got got;
    struct str piece;
    size_t used;

    do {
        got = h1_body_next(&hs->body, kept_str(c->kept), &used, &piece);
        kept_drop(&c->kept, used);
    } while (got == BODY_PIECE);
    return got == BODY_END;
}

/* All of the answer is with the socket. */
static void finish(struct conn *c)
{
    struct h1_stream *hs = c->stream;
    bool keep = hs->keep && !hs->tunnel && skip_rest(c, hs);
    struct listener_of who = end_stream(c);

    if (keep) {
        enter(c, CONN_IDLE);
    } else {
        kept_clear(&c->kept);
        enter(c, CONN_SAYING);
    }
    if (who.events)
        who.events->on_done(who.arg);
}

/* A tunnel's user has said its end, or the client, or both. */
static bool step_tunnel(struct conn *c)
{
    struct h1_stream *hs = c->stream;
    struct listener_of who;

    if (hs->answer == ANSWER_SAID && !hs->shut && !io_pending(&c->io)) {
        hs->shut = true;
        c->since_ms = clock_ms();
        c->io.ops->shutdown(&c->io);
        return true;
    }
    if (!hs->shut || (!c->ended && !hs->s.close_after))
        return false;
    who = end_stream(c);
    kept_clear(&c->kept);
    enter(c, CONN_DRAIN);
    if (c->ended) {
        io_close(&c->io);
        die(c);
    }
    if (who.events)
        who.events->on_done(who.arg);
    return true;
}

/* One move of an open stream; false: none can be made. */
static bool step_open(struct conn *c)
{
    struct h1_stream *hs = c->stream;

    if (hs->answer == ANSWER_CUT) {
        end_stream(c);
        close_hard(c);
        return true;
    }
    if (hs->full && !buf_len(&c->io.out)) {
        hs->full = false;
        if (hs->s.events)
            hs->s.events->on_room(hs->s.arg);
        return true;
    }
    if (hs->tunnel && step_tunnel(c))
        return true;
    if (!hs->tunnel && hs->answer == ANSWER_SAID && !io_pending(&c->io)) {
        finish(c);
        return true;
    }
    if (wants_body(c) && (c->kept || hs->body.ended))
        return feed_kept(c) || hs != c->stream || hs->told_end;
    return false;
}

/* One move; false: something must happen first. */
static bool move(struct conn *c)
{
    if (c->state == CONN_DEAD)
        return false;
    if (c->io.failed) {
        hear_out(c);
        return false;
    }
    switch (c->state) {
    case CONN_OPEN:
        return step_open(c);
    case CONN_IDLE:
        if ((c->server->draining || c->server->held) && !c->kept) {
            close_clean(c);
            return false;
        }
        return c->kept && feed_kept(c);
    case CONN_SAYING:
        if (io_pending(&c->io))
            return false;
        c->io.ops->shutdown(&c->io);
        enter(c, CONN_DRAIN);
        return true;
    case CONN_HELLO:
    case CONN_HEAD:
    case CONN_DRAIN:
    case CONN_DEAD:
        break;
    }
    return false;
}

/* Is the socket to be read? */
static bool wants_bytes(const struct conn *c)
{
    if (c->state != CONN_OPEN)
        return c->state != CONN_SAYING;
    if (c->kept || c->ended)
        return false;
    /* A whole request: what comes is the next one, or the client's FIN. */
    return c->stream->told_end || c->stream->body.ended || wants_body(c);
}

static void step(struct conn *c)
{
    bool reads;

    while (move(c))
        ;
    if (c->state == CONN_DEAD)
        return;
    reads = wants_bytes(c);
    io_watch(&c->io, reads);
    io_due(&c->io, due(c));
    if (reads && io_holds(&c->io))
        turn_later(c->io.loop, &c->io.post);
}

static void on_io(struct io *io, unsigned what)
{
    struct conn *c = of(io);

    if (c->state == CONN_DEAD)
        return;
    if (c->state == CONN_HELLO && !io->failed && !(what & IO_DUE))
        shake_hands(c);
    else if (what & IO_DUE)
        on_due(c);
    else if (what & IO_READABLE || (io->reads && io_holds(io)))
        on_readable(c);
    else if (what & IO_CLOSED && c->state == CONN_OPEN && !c->stream->tunnel)
        lose(c, E_GONE_CLIENT);
    step(c);
}

/* ---- life ---- */

/* Before it was anybody's. */
static enum err abandon(struct conn *c)
{
    kept_clear(&c->kept);
    mem_free(c);
    return E_NOMEM;
}

enum err h1_conn_open(struct server *server,
                      const struct h1_conn_opening *opening)
{
    struct str peer = opening->peer;
    struct conn *c = mem_new(offsetof(struct conn, peer) + peer.n + 1);

    if (!c)
        return E_NOMEM;
    c->magic = CONN_MAGIC;
    c->server = server;
    c->since_ms = clock_ms();
    memcpy(c->peer, peer.p, peer.n);
    if (!kept_put(&c->kept, opening->first) ||
        io_init(&c->io, server->loop, opening->fd, true, on_io) != E_OK)
        return abandon(c);
    c->state = CONN_IDLE;
    if (opening->tls) {
        if (io_tls_begin(&c->io, opening->tls, opening->direct) != E_OK) {
            io_release(&c->io);
            return abandon(c);
        }
        c->state = CONN_HELLO;
        server->handshake_count++;
    }
    if (c->kept)
        io_step(&c->io);
    c->counted = opening->counted;
    list_push(&server->connections, &c->link);
    server->connection_count++;
    io_due(&c->io, due(c));
    return E_OK;
}

void h1_conn_drain(struct list *serving_link)
{
    struct conn *c = LIST_OF(serving_link, struct conn, link);

    if (c->state == CONN_IDLE)
        io_step(&c->io);
}

void h1_conn_cut(struct list *serving_link)
{
    struct conn *c = LIST_OF(serving_link, struct conn, link);

    if (c->stream)
        end_stream(c);
    close_hard(c);
}
