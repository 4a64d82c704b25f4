/* serving.h - inside net: what listeners, connections and streams share. */
#ifndef NET_SERVING_H
#define NET_SERVING_H

#include "base/arena.h"
#include "base/list.h"
#include "net/server.h"
#include "net/turn.h"

struct server {
    struct loop *loop; /* borrowed */
    struct server_settings settings;
    server_on_request *on_request;
    server_on_refused *on_refused;
    void *arg;               /* borrowed: for the two */
    struct list listeners;   /* borrowed: struct listener */
    struct list connections; /* owned: whose serving_link it is */
    struct list greetings;   /* owned: arrive.c's, counted as connections */
    struct list spare;       /* owned: struct stream, to be used again */
    unsigned spare_count;
    unsigned alive; /* streams that are in use or held by their user */
    unsigned connection_count, stream_count, handshake_count;
    struct server_counts counts;
    struct peers *peers; /* owned */
    bool draining, dying, buried;
    bool held;                  /* server_hold() */
    struct post change;         /* looks what the end of something means */
    void (*on_idle)(void *arg); /* after server_drain() */
    void *idle_arg;             /* borrowed */
    /* A connection, a handshake or a stream ended: accept again, be idle, or
     * be freed. */
    void (*on_less)(struct server *s);
};

/* From accept to the end of the handshake.  Source: threats.md T-06. */
static inline int64_t server_handshake_ms(const struct server *s)
{
    return s->settings.handshake_ms ? s->settings.handshake_ms : 10000;
}

/* The orders of a stream, by the version of HTTP that carries it. */
struct stream_ops {
    void (*say_head)(struct stream *s, const struct answer_head *head);
    bool (*say)(struct stream *s, struct str piece);
    void (*say_end)(struct stream *s);
    void (*go_on)(struct stream *s); /* 100 Continue */
    void (*look)(struct stream *s);  /* a pause or a limit has changed */
    void (*cut)(struct stream *s);
    void (*leave)(struct stream *s); /* the user's hold has ended */
};

#define STREAM_MAGIC 0x5742ea11u

/* The part of a stream that all versions share; first in their own. */
struct stream {
    unsigned magic;
    unsigned pauses;                    /* enum pause_reason */
    const struct stream_ops *ops;       /* static */
    const struct stream_events *events; /* borrowed; NULL: nobody listens */
    void *arg;                          /* borrowed: for events */
    struct arena *arena;                /* owned: the head's texts and rows */
    struct request_head head;           /* of arena */
    uint64_t bytes_in, bytes_out;
    int64_t heard_ms;      /* a byte came, or the last pause ended */
    int64_t begun_ms;      /* the limit of the body began */
    int64_t body_first_ms; /* E-02: silence that is allowed, 0: any */
    uint64_t body_rate;    /* bytes a second after it */
    bool close_after;
    struct list link; /* in server.spare */
};

#endif
