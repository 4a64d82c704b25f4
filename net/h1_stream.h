/* h1_stream.h - inside net: a stream on an HTTP/1 connection.
 *
 * What its user orders is written here; when the connection has to do
 * something about it, it finds out at IO_STEP. */
#ifndef NET_H1_STREAM_H
#define NET_H1_STREAM_H

#include "net/h1_body.h"
#include "net/io.h"
#include "net/serving.h"

struct h1_lines;

struct h1_stream {
    struct stream s;       /* first */
    struct server *server; /* borrowed */
    struct io *io;         /* borrowed; NULL when the stream is over */
    struct h1_body body;   /* of the request */
    size_t at_hand;        /* unread bytes that were read from the socket */
    enum answer_state {
        ANSWER_NONE, /* no head yet */
        ANSWER_BODY, /* the head is said */
        ANSWER_SAID, /* whole */
        ANSWER_CUT   /* to be cut by the connection */
    } answer;
    int64_t left;    /* of the answer, with a length; or LENGTH_CHUNKED */
    int64_t said_ms; /* tunnel: when it was last written to */
    bool mute;       /* the answer has no body: HEAD, 204, 304 */
    bool plain;      /* HTTP/1.0 or tunnel: no chunks */
    bool keep;       /* the connection goes on after the answer */
    bool tunnel;     /* after 101 */
    bool told_end;   /* on_end was called */
    bool full;       /* false was answered: on_room is due */
    bool shut;       /* tunnel: our direction was shut down */
};

/* A stream for a head of those lines, whose texts are copied.
 * keep   the client would go on
 * Errors: E_NOMEM and those of h1_request(). */
MUST_USE enum err h1_stream_new(struct server *server, struct io *io,
                                struct h1_lines *lines, const char *bytes,
                                struct h1_stream **out);

/* Over: the connection does not know it any more.  It is used again when the
 * user has left, too. */
void h1_stream_end(struct h1_stream *hs);

/* Free one that waits in server.spare. */
void h1_stream_free_spare(struct list *link);

/* The value of Date, kept for a second. */
struct str h1_stream_date(struct loop *l);

#endif
