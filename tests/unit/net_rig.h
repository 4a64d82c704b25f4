/* net_rig.h - for the tests of net/: a server, its clients and an upstream,
 * all in one thread, without waiting for clocks. */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include <stdbool.h>

#include "base/buf.h"
#include "net/client.h"
#include "net/server.h"

/* What a client sees of the end of its connection. */
enum seen_end { SEEN_OPEN, SEEN_FIN, SEEN_NOTIFY, SEEN_RST };

/* A raw client; also the far side of an upstream connection. */
struct raw {
    int fd;
    void *ssl;         /* SSL, or NULL */
    void *context;     /* SSL_CTX */
    struct buf got;    /* all that came */
    bool stalled;      /* do not read */
    enum seen_end end; /* what followed it */
};

/* One request as its user sees it. */
struct desk {
    struct rig *rig;
    struct stream *stream; /* NULL once freed */
    struct buf body;
    unsigned pieces;
    bool ended, done, gone, room;
    bool keep_stream; /* do not free it at on_gone, on_done */
    enum err why;
    char head[9000]; /* METHOD target host */
};

#define RIG_DESKS 64

struct rig {
    struct loop *loop;
    struct server *server;
    struct listener *listener;
    struct pools *pools;
    struct tls *tls;
    int fd;
    unsigned port;
    struct server_settings settings;
    /* Called for each request after the desk owns it; NULL: the body is
     * collected, and at its end echoed by desk_echo(). */
    void (*on_request)(struct desk *d, const struct request_head *head);
    void (*on_piece)(struct desk *d, struct str piece);
    void (*on_end)(struct desk *d);
    struct desk desks[RIG_DESKS];
    unsigned requests;
    int refused_status; /* of the last refused head */
    enum err refused_why;
    unsigned refused;
};

/* A rig with a plain or TLS listener on a free port of 127.0.0.1. */
void rig_open(struct rig *r, struct tls *tls, bool direct);
void rig_close(struct rig *r);

/* Turns of the loop, the raw side (or NULL) reading between them, until the
 * condition holds; fails the test when it does not within seconds. */
#define RIG_UNTIL(r, raw, condition) \
    do { \
        for (unsigned i_ = 0; !(condition) && i_ < 20000; i_++) \
            rig_turn(r, raw); \
        cr_assert(condition); \
    } while (0)

/* A turn, and what came at the raw side. */
void rig_turn(struct rig *r, struct raw *raw);

/* Turns until nothing has happened for some of them. */
void rig_settle(struct rig *r, struct raw *raw);

/* Answer with "METHOD target host body". */
void desk_echo(struct desk *d);

/* Connect to the rig's listener; plain. */
void raw_connect(struct raw *raw, struct rig *r);

/* A socket pair: the raw side, and the server's as one more connection. */
void raw_pair(struct raw *raw, struct rig *r);

void raw_send(struct raw *raw, struct str bytes);
void raw_read(struct raw *raw);
void raw_close(struct raw *raw);

struct str raw_got(const struct raw *raw);

#endif
