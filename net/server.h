/* server.h - the side of the clients: listeners, connections, streams.
 *
 * A stream is one request and its answer; HTTP/1.1 has at most one at a time
 * on a connection, HTTP/2 will have many: users see streams only.  Five
 * events tell what the client does, orders say what it gets.  Nothing is
 * freed inside an event: stream_free() ends the user's hold, the rest goes
 * after the turn. */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/address.h"
#include "model/head.h"
#include "net/loop.h"
#include "net/tls.h"

struct server;
struct listener;
struct stream;

/* Why a source is not read: a set, never a counter. */
enum pause_reason {
    PAUSE_USER = 1 << 0, /* the user is not ready for pieces */
    PAUSE_FULL = 1 << 1, /* the other side has no room */
    PAUSE_WAIT = 1 << 2, /* the head is not decided on yet */
    PAUSE_TLS = 1 << 3   /* net's own */
};

/* What the client does.  arg is what stream_own() was given. */
struct stream_events {
    /* Bytes of the body (after 101: of the tunnel), at least 1; borrowed for
     * the call.  Never while any pause reason is set, and never more than 64
     * KiB at once.  The user takes all. */
    void (*on_piece)(void *arg, struct str piece);
    /* The body is complete; after 101: the client half-closed. */
    void (*on_end)(void *arg);
    /* The client is gone: FIN, RST or close_notify while the stream is open
     * (before 101), a broken body (E_BAD_REQUEST: net has answered 400 or
     * cut), a limit (E_SLOW), or the connection failed.  Noticed within 100
     * ms also while reading is paused.  Comes once; no other event follows. */
    void (*on_gone)(void *arg, enum err why);
    /* After an order answered "full": there is room again. */
    void (*on_room)(void *arg);
    /* The answer was written to the socket whole and the stream is over.
     * No other event follows. */
    void (*on_done)(void *arg);
};

struct server_settings {
    int64_t head_ms;          /* from the first byte to a whole head; 10 s */
    int64_t idle_ms;          /* keep-alive; 620 s */
    int64_t stall_ms;         /* no progress of a write; 60 s, then RST */
    int64_t tunnel_idle_ms;   /* silence after 101; 3,600 s */
    int64_t body_idle_ms;     /* silence while a body is awaited; 3,600 s, 0:
                                 any */
    int64_t half_open_ms;     /* after one side of a tunnel ended; 60 s */
    unsigned connections_max; /* accept pauses at it */
    unsigned keep_alive_s;    /* told in Keep-Alive: timeout=; 600 */
    int64_t handshake_ms;     /* from accept to Finished; 0: 10 s */
    /* Connections of one address (of v6: of one /64); 0: any.  Only public
     * addresses are counted unless all is set, and never those of trusted,
     * which is borrowed until the next settings. */
    unsigned address_max;
    bool address_all;
    const struct address_block *trusted;
    unsigned trusted_count;
    int64_t greeting_ms; /* from accept to the end of a PROXY header; 0:
                            5 s */
};

/* Told of every new request; must call stream_own() before it returns. */
typedef void server_on_request(void *arg, struct stream *s,
                               const struct request_head *head);

/* Told of every head that net refused by itself (400, 408, 414, 417, 431,
 * 501, 505): for the access log.  status 0: closed in silence. */
typedef void server_on_refused(void *arg, struct str peer, int status,
                               enum err why);

/* A server without listeners; arg is borrowed for the two.
 * out  given: server_free().  Errors: E_NOMEM. */
MUST_USE enum err server_new(struct loop *l,
                             const struct server_settings *settings,
                             server_on_request *on_request,
                             server_on_refused *on_refused, void *arg,
                             struct server **out);

struct server_counts {
    uint64_t crowded;   /* connections closed at once: address_max */
    uint64_t greetings; /* connections closed for their PROXY header: one that
                           was malformed, late, missing or not allowed */
};

/* Since the start. */
struct server_counts server_counts(const struct server *s);

/* New settings for what comes from now on (reload). */
void server_set(struct server *s, const struct server_settings *settings);

/* Open streams / connections at this moment. */
unsigned server_streams(const struct server *s);
unsigned server_connections(const struct server *s);

/* While on: no new connections, and idle ones are closed, now and as soon as
 * they are idle; open streams go on.  Called again it closes those that came
 * by meanwhile. */
void server_hold(struct server *s, bool on);

/* No new connections; answers say Connection: close; idle connections are
 * closed at once; on_idle runs when the last one has ended. */
void server_drain(struct server *s, void (*on_idle)(void *arg), void *arg);

/* Taken: cuts what is open (RST), frees after the turn.  The users of its
 * streams hear nothing more, and still call stream_free(). */
void server_free(struct server **s);

/* A bound, listening, non-blocking socket (SO_REUSEADDR; IPv6 only for
 * addresses with a colon).  port 0: any.  Errors: E_SYSTEM (errno). */
MUST_USE enum err listener_open(struct str address, unsigned port, int *fd);

/* The port that fd is bound to. */
unsigned listener_port(int fd);

/* Accept on fd (borrowed: the caller closes it after listener_free()).
 * tls     NULL: plain HTTP; else counted
 * direct  a client without SNI gets the default certificate */
MUST_USE enum err listener_new(struct server *s, int fd, struct tls *tls,
                               bool direct, struct listener **out);
/* New certificates for connections accepted from now on. */
void listener_set_tls(struct listener *n, struct tls *tls);
/*
 * From now on connections from those blocks must begin with a header of the
 * PROXY protocol, which says whose they are, and others must not: they are
 * closed without a word otherwise.  count 0: none is looked for.
 * blocks  copied.  Errors: E_NOMEM; nothing has changed then.
 */
MUST_USE enum err listener_expect_proxy(struct listener *n,
                                        const struct address_block *blocks,
                                        unsigned count);
void listener_free(struct listener **n);

/* ---- one stream ---- */

/* Who hears the events from now on.  Reading begins paused with PAUSE_WAIT:
 * stream_resume() it when the body is wanted. */
void stream_own(struct stream *s, const struct stream_events *events,
                void *arg);

/* The head; valid until stream_free(). */
const struct request_head *stream_head(const struct stream *s);

/* Why pieces are not given, and no longer; a set of reasons. */
void stream_pause(struct stream *s, enum pause_reason why);
void stream_resume(struct stream *s, enum pause_reason why);

/* E-02: the body must come with at least rate bytes a second (0: any) after
 * the first first_ms from now, else net answers 408 or cuts, and on_gone tells
 * E_SLOW.  While a pause is set nothing is counted against the client. */
void stream_limit_body(struct stream *s, int64_t first_ms, uint64_t rate);

/* 100 Continue, once, if the client expects it and nothing was said yet. */
void stream_continue(struct stream *s);

/*
 * The head of the answer.  Fields are borrowed for the call; hop-by-hop
 * fields, Content-Length, Date and Keep-Alive are net's own and must not be
 * among them.  Every byte is checked as it is written (no CR, LF or NUL gets
 * through: such a field is our mistake and is left out).
 * head->length: >= 0, LENGTH_CHUNKED, or LENGTH_NONE (204, 304).  With 101
 * the stream is a tunnel afterwards, and fields carry Upgrade and
 * Sec-WebSocket-*.
 */
void stream_say_head(struct stream *s, const struct answer_head *head);

/* A piece of the answer; borrowed for the call.  false: full, wait for
 * on_room before the next one (this one was taken all the same). */
bool stream_say(struct stream *s, struct str piece);

/* A clean end: last chunk, length reached; after 101 shutdown(SHUT_WR) (or
 * close_notify).  on_done follows. */
void stream_say_end(struct stream *s);

/* One whole answer in one write: head (length is set from body), body, end. */
void stream_say_all(struct stream *s, const struct answer_head *head,
                    struct str body);

/* The connection is closed after this answer (Connection: close), with the
 * unread rest of the request drained for at most 64 KiB or 1 s.  In a tunnel:
 * after our end, whatever the client still says. */
void stream_close_after(struct stream *s);

/* Never a clean end: no last chunk, no close_notify, RST.  No event follows
 * but the user still calls stream_free(). */
void stream_cut(struct stream *s);

/* Bytes of the answer's body said so far, and of the request's received. */
uint64_t stream_bytes_out(const struct stream *s);
uint64_t stream_bytes_in(const struct stream *s);

/* Taken: the user's hold ends, *s becomes NULL.  An answer that is not
 * complete is cut.  The head is invalid from now on. */
void stream_free(struct stream **s);

#endif
