/* io.h - inside net: one connection's bytes, plain or through TLS.
 *
 * Reads and writes are ours, libevent only tells when.  A write is tried at
 * once; what the socket does not take waits in out.  Small writes of one
 * event are gathered in the loop's cork and go out together at its end. */
#ifndef NET_IO_H
#define NET_IO_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/turn.h"

struct io;

enum io_got {
    IO_GOT,   /* n bytes */
    IO_AGAIN, /* nothing now */
    IO_END,   /* the other side ended its direction: FIN or close_notify */
    IO_LOST   /* reset, or a TLS alert: no clean end */
};

struct io_ops {
    /* Up to room bytes into p. */
    enum io_got (*read)(struct io *io, char *p, size_t room, size_t *n);
    /* All of it is taken; what the socket does not take goes into out. */
    void (*write)(struct io *io, const struct iovec *v, int count);
    /* A clean end of our direction. */
    void (*shutdown)(struct io *io);
    /* Give back what the way of writing holds, without a word to the other
     * side. */
    void (*close)(struct io *io);
    /* See io_holds(); NULL: never. */
    bool (*holds)(const struct io *io);
    /* Pieces up to that size are copied behind what is in the cork, larger
     * ones are written from where they are. */
    size_t copy_bytes;
};

extern const struct io_ops io_plain;

/* What on_io is told; a set. */
#define IO_READABLE 1  /* read now */
#define IO_CLOSED 2    /* FIN seen while nothing is read */
#define IO_STEP 4      /* something was asked for or written: look again */
#define IO_DUE 8       /* the time given to io_due() has come */
#define IO_WRITABLE 16 /* while nothing is read: connected, or room again */

#define IO_NEVER INT64_MAX

/* Reading through TLS can make us write, so who does not read what was
 * written is not read either while more than that waits for the socket. */
#define IO_UNREAD_BYTES 131072

struct io {
    struct loop *loop;        /* borrowed */
    const struct io_ops *ops; /* static */
    void *ssl;                /* owned: SSL, or NULL */
    /* May close the connection, and may not free it. */
    void (*on_io)(struct io *io, unsigned what);
    struct post post;     /* IO_STEP after the present event */
    struct event event;   /* the descriptor's */
    struct tick alarm;    /* looks at due_ms */
    int64_t due_ms;       /* IO_NEVER: no limit */
    int64_t alarm_ms;     /* when the alarm looks next */
    uint64_t sent_bytes;  /* what the socket took */
    int64_t progress_ms;  /* last time the socket took bytes of out */
    struct buf out;       /* what the socket did not take */
    int fd;               /* -1 when closed */
    bool reads;           /* reading is wanted */
    bool failed;          /* broken: nothing more will be written or read */
    bool more : 1;        /* what is written now is not the end of it */
    bool dry : 1;         /* TLS: nothing more without the socket */
    bool drained : 1;     /* TLS: the socket had less than was asked for */
    enum io_got held : 8; /* TLS: an end that is told by the next read */
};

/* Begin on fd (taken, non-blocking).
 * reads  bytes are watched for; else only IO_WRITABLE, which tells when a
 *        socket is connected
 * Errors: E_NOMEM; fd is still the caller's then. */
MUST_USE enum err io_init(struct io *io, struct loop *l, int fd, bool reads,
                          void (*on_io)(struct io *io, unsigned what));

/* Undo io_init(): the descriptor is the caller's again. */
void io_release(struct io *io);

/* Watch for what is wanted: bytes if reads, else only for a closing. */
void io_watch(struct io *io, bool reads);

/* Look again at the end of this event. */
static inline void io_step(struct io *io)
{
    turn_post(io->loop, &io->post);
}

/* IO_DUE at at_ms of clock_ms(), IO_NEVER: not at all.  Costs nothing as long
 * as the time only moves on. */
void io_due(struct io *io, int64_t at_ms);

/* Room for n bytes in the cork, which is io's from now on; NULL when that
 * many never fit.  What was written there is made part of it by io_grew(). */
char *io_room(struct io *io, size_t n);
void io_grew(struct io *io, size_t n);

/* Write; borrowed for the call, all of it is taken. */
void io_say(struct io *io, struct str bytes);

/* The same for a piece of what has left_bytes to follow it.  In a bulk the
 * kernel may keep a part of a packet back until the next piece fills it, or
 * something is acknowledged, or for 200 ms: fewer packets, and fewer times
 * that somebody is woken. */
void io_say_on(struct io *io, struct str bytes, uint64_t left_bytes);

/* The same with a line before and one behind it. */
void io_say_framed(struct io *io, struct str before, struct str bytes,
                   struct str after);

/* Give the socket now what waits in the cork. */
void io_push(struct io *io);

/* Bytes that the socket has not taken yet. */
size_t io_pending(const struct io *io);

/* Are there bytes that were read from the socket and not yet by us?  No event
 * will tell of them: go on reading. */
bool io_holds(const struct io *io);

/* End: clean, after what was said (io_pending() must be 0). */
void io_close(struct io *io);

/* End: RST, nothing more is written. */
void io_cut(struct io *io);

/* After io_close() or io_cut(), or instead of them: memory. */
void io_clear(struct io *io);

/* For the tables: it is broken; IO_STEP follows. */
void io_fail(struct io *io);

/* For the tables: give io->out to the socket as far as it goes. */
void io_flush(struct io *io);

/* For the tables: send bytes, keep what the socket does not take. */
void io_send(struct io *io, const struct iovec *v, int count);

#endif
