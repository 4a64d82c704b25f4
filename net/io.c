/* io.c - see io.h.  The table for plain sockets is at the end, the one for TLS
 * in io_tls.c. */
#include "net/io.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* Masks of the descriptor's event. */
#define READS (EV_READ | EV_PERSIST)
#define READS_WRITES (EV_READ | EV_WRITE | EV_PERSIST)
#define WRITES (EV_WRITE | EV_PERSIST)
/* While nothing is read: a FIN is EV_CLOSED.  A reset comes as EV_WRITE (so
 * libevent tells EPOLLERR), edge-triggered since a socket is nearly always
 * writable. */
#define RESTS (EV_CLOSED | EV_WRITE | EV_ET | EV_PERSIST)
#define RESTS_ENDED (EV_WRITE | EV_ET | EV_PERSIST)

/* Chunks up to that size wait for the end of the event: the sandbox server's
 * frames of output are 43 KiB at most, and one read brings one or two. */
#define GATHER_BYTES ((size_t)44 << 10)
/* Pieces of that size are part of a bulk. */
#define BULK_BYTES ((size_t)16 << 10)
/* Most that waits for a socket; far above the high mark, because a whole
 * answer may be said at once. */
#define OUT_MAX_BYTES ((size_t)256 << 20)

void io_fail(struct io *io)
{
    io->failed = true;
    buf_clear(&io->out);
    if (io->loop->cork_owner == io) {
        io->loop->cork_owner = NULL;
        io->loop->cork_n = 0;
    }
    /* Whoever puts off what follows would be told of it without end. */
    event_del(&io->event);
    io_step(io);
}

/* ---- events ---- */

static void on_event(evutil_socket_t fd, short what, void *arg);

static void set_mask(struct io *io, short mask)
{
    if (io->event.ev_events == mask)
        return;
    event_del(&io->event);
    event_assign(&io->event, io->loop->base, io->fd, mask, on_event, io);
    if (event_add(&io->event, NULL) < 0)
        io_fail(io);
}

static void set_watch(struct io *io)
{
    bool ended = io->event.ev_events == RESTS_ENDED;

    if (io->fd < 0 || io->failed)
        return;
    if (!io->reads)
        set_mask(io, ended ? RESTS_ENDED : RESTS);
    else if (io->ssl && buf_len(&io->out) > IO_UNREAD_BYTES)
        set_mask(io, WRITES);
    else
        set_mask(io, buf_len(&io->out) ? READS_WRITES : READS);
}

/* The error that waits at the socket, if there is one. */
static bool broken(const struct io *io)
{
    int code = 0;
    socklen_t n = sizeof(code);

    return getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &code, &n) < 0 || code;
}

/* An event that came while nothing is read. */
static unsigned on_rest(struct io *io, short what)
{
    if (what & EV_READ) {
        /* The mask of reading was left in place until it mattered. */
        set_watch(io);
        return 0;
    }
    if (what & EV_CLOSED) {
        set_mask(io, RESTS_ENDED);
        return broken(io) ? io_fail(io), 0 : IO_CLOSED;
    }
    if (broken(io)) {
        io_fail(io);
        return 0;
    }
    return IO_WRITABLE;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct io *io = arg;
    struct loop *l = io->loop;
    unsigned told = 0;

    (void)fd;
    if (what & EV_WRITE && buf_len(&io->out)) {
        io_flush(io);
        told |= IO_STEP;
    }
    if (!io->failed && !io->reads)
        told |= on_rest(io, what);
    else if (what & EV_READ)
        told |= IO_READABLE;
    if (told || io->failed)
        io->on_io(io, told ? told : IO_STEP);
    turn_settle(l);
}

static void on_post(struct post *p)
{
    struct io *io = LIST_OF(p, struct io, post);

    io->on_io(io, IO_STEP);
}

static void set_alarm(struct io *io, int64_t now_ms)
{
    io->alarm_ms = io->due_ms;
    if (io->due_ms == IO_NEVER)
        list_remove(&io->alarm.link);
    else
        turn_tick(io->loop, &io->alarm, io->due_ms - now_ms);
}

static void on_alarm(struct tick *t)
{
    struct io *io = LIST_OF(t, struct io, alarm);
    int64_t now_ms = clock_ms();
    bool due = now_ms >= io->due_ms;

    if (due)
        io->due_ms = IO_NEVER;
    set_alarm(io, now_ms);
    if (due)
        io->on_io(io, IO_DUE);
}

bool io_holds(const struct io *io)
{
    return io->ops->holds && io->ops->holds(io);
}

void io_due(struct io *io, int64_t at_ms)
{
    io->due_ms = at_ms;
    if (at_ms < io->alarm_ms && io->fd >= 0)
        set_alarm(io, clock_ms());
}

static void uncork(struct loop *l)
{
    struct io *io = l->cork_owner;

    io_push(io);
    io_step(io);
}

enum err io_init(struct io *io, struct loop *l, int fd, bool reads,
                 void (*on_io)(struct io *io, unsigned what))
{
    *io = (struct io){.loop = l,
                      .ops = &io_plain,
                      .on_io = on_io,
                      .fd = fd,
                      .held = IO_AGAIN};
    io->post = (struct post){.run = on_post};
    io->alarm.run = on_alarm;
    io->due_ms = io->alarm_ms = IO_NEVER;
    buf_init(&io->out, OUT_MAX_BYTES);
    l->uncork = uncork;
    io->reads = reads;
    if (event_assign(&io->event, l->base, fd, reads ? READS : RESTS, on_event,
                     io) < 0 ||
        event_add(&io->event, NULL) < 0)
        return E_NOMEM;
    return E_OK;
}

void io_release(struct io *io)
{
    event_del(&io->event);
    list_remove(&io->alarm.link);
    list_remove(&io->post.link);
    io->fd = -1;
}

void io_watch(struct io *io, bool reads)
{
    io->reads = reads;
    /* A pause takes the mask away when the next event comes, if one does. */
    if (reads)
        set_watch(io);
}

/* ---- writing ---- */

void io_send(struct io *io, const struct iovec *v, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)v,
                             .msg_iovlen = (size_t)count};
    size_t sent = 0;

    if (buf_len(&io->out) == 0) {
        int how = MSG_NOSIGNAL | (io->more ? MSG_MORE : 0);
        ssize_t n = count == 1 ? send(io->fd, v->iov_base, v->iov_len, how)
                               : sendmsg(io->fd, &message, how);

        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            io_fail(io);
            return;
        }
        sent = n < 0 ? 0 : (size_t)n;
        io->sent_bytes += sent;
        io->progress_ms = -1; /* a new wait begins: see below */
    }
    for (int i = 0; i < count; i++) {
        size_t part = sent < v[i].iov_len ? sent : v[i].iov_len;

        sent -= part;
        buf_put(&io->out, str_from((const char *)v[i].iov_base + part,
                                   v[i].iov_len - part));
    }
    if (io->out.failed) {
        io_fail(io);
    } else if (buf_len(&io->out)) {
        if (io->progress_ms < 0) {
            io->progress_ms = clock_ms();
            io_step(io); /* its owner has a limit for the wait */
        }
        set_watch(io);
    }
}

void io_flush(struct io *io)
{
    struct str rest = buf_str(&io->out);
    ssize_t n;

    if (!rest.n || io->failed || io->fd < 0)
        return;
    n = send(io->fd, rest.p, rest.n, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            io_fail(io);
        return;
    }
    io->progress_ms = clock_ms();
    io->sent_bytes += (uint64_t)n;
    buf_drop(&io->out, (size_t)n);
    if (!buf_len(&io->out))
        buf_clear(&io->out);
    set_watch(io);
}

char *io_room(struct io *io, size_t n)
{
    struct loop *l = io->loop;

    if (l->cork_owner && l->cork_owner != io)
        l->uncork(l);
    if (l->cork_owner == io && n > sizeof(l->cork) - l->cork_n)
        io_push(io);
    if (n > sizeof(l->cork))
        return NULL;
    l->cork_owner = io;
    return l->cork + l->cork_n;
}

void io_grew(struct io *io, size_t n)
{
    io->loop->cork_n += n;
}

void io_push(struct io *io)
{
    struct loop *l = io->loop;
    struct iovec v = {l->cork, l->cork_n};

    if (l->cork_owner != io)
        return;
    l->cork_owner = NULL;
    l->cork_n = 0;
    if (v.iov_len && io->fd >= 0 && !io->failed)
        io->ops->write(io, &v, 1);
}

static bool copy(struct io *io, struct str bytes)
{
    char *room = io_room(io, bytes.n);

    if (!room)
        return false;
    memcpy(room, bytes.p, bytes.n);
    io_grew(io, bytes.n);
    return true;
}

static struct iovec vector(struct str bytes)
{
    return (struct iovec){(void *)(uintptr_t)bytes.p, bytes.n};
}

void io_say_framed(struct io *io, struct str before, struct str bytes,
                   struct str after)
{
    struct loop *l = io->loop;
    struct iovec v[4];
    size_t most = io->ssl ? TURN_READ_BYTES : GATHER_BYTES;
    int count = 0;

    if (io->fd < 0 || io->failed || !bytes.n)
        return;
    /* Through TLS the parts of a frame would be records of their own, which
     * matters only where there are few.  Frames of one event go out together:
     * a write wakes the other side, and costs more than the copy. */
    if (bytes.n <= io->ops->copy_bytes || (before.n && bytes.n <= most)) {
        if (!copy(io, before) || !copy(io, bytes) || !copy(io, after))
            io_fail(io);
        else if (bytes.n > GATHER_BYTES)
            io_push(io);
        return;
    }
    if (l->cork_owner == io) {
        v[count++] = (struct iovec){l->cork, l->cork_n};
        l->cork_owner = NULL;
        l->cork_n = 0;
    }
    if (before.n)
        v[count++] = vector(before);
    v[count++] = vector(bytes);
    if (after.n)
        v[count++] = vector(after);
    io->ops->write(io, v, count);
}

void io_say(struct io *io, struct str bytes)
{
    io_say_framed(io, STR(""), bytes, STR(""));
}

void io_say_on(struct io *io, struct str bytes, uint64_t left_bytes)
{
    io->more = bytes.n >= BULK_BYTES && left_bytes >= BULK_BYTES;
    io_say(io, bytes);
    io->more = false;
}

size_t io_pending(const struct io *io)
{
    return buf_len(&io->out) +
           (io->loop->cork_owner == io ? io->loop->cork_n : 0);
}

/* ---- ends ---- */

static void drop(struct io *io)
{
    if (io->loop->cork_owner == io) {
        io->loop->cork_owner = NULL;
        io->loop->cork_n = 0;
    }
    if (io->fd < 0)
        return;
    io->ops->close(io);
    event_del(&io->event);
    list_remove(&io->alarm.link);
    close(io->fd);
    io->fd = -1;
}

void io_close(struct io *io)
{
    drop(io);
}

void io_cut(struct io *io)
{
    struct linger now = {1, 0};

    if (io->fd >= 0)
        setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    drop(io);
}

void io_clear(struct io *io)
{
    drop(io);
    list_remove(&io->post.link);
    buf_clear(&io->out);
}

/* ---- plain ---- */

static enum io_got plain_read(struct io *io, char *p, size_t room, size_t *n)
{
    ssize_t got = recv(io->fd, p, room, 0);

    *n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return IO_GOT;
    if (got == 0)
        return IO_END;
    return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_LOST;
}

static void plain_write(struct io *io, const struct iovec *v, int count)
{
    io_send(io, v, count);
}

static void plain_shutdown(struct io *io)
{
    shutdown(io->fd, SHUT_WR);
}

static void plain_close(struct io *io)
{
    (void)io;
}

const struct io_ops io_plain = {plain_read,  plain_write, plain_shutdown,
                                plain_close, NULL,        2048};
