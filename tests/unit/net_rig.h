/* net_rig.h - for the tests of net/: a server, its clients and an upstream,
 * all in one thread, without waiting for clocks. */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include <poll.h>
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
    int alert;         /* TLS: that the server sent, or 0 */
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
    char sni[64], peer[64];
};

#define RIG_DESKS 64

/* A key and a self-signed certificate for those names, as files. */
struct certificate_files {
    char folder[64], cert[80], key[80];
};
void certificate_make(struct certificate_files *c, const char *names);
void certificate_remove(struct certificate_files *c);

/* Server side of it. */
struct tls *certificate_tls(const struct certificate_files *c, unsigned count);

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
    struct str greeting; /* sent before TLS */
};

/* A rig with a plain or TLS listener on a free port of 127.0.0.1. */
void rig_open(struct rig *r, struct tls *tls, bool direct);
void rig_close(struct rig *r);

/* Turns of the loop, the raw side (or NULL) reading between them, until the
 * condition holds; fails the test when it does not within seconds. */
#define RIG_UNTIL(r, raw, condition) \
    do { \
        for (unsigned i_ = 0; !(condition) && i_ < 6000; i_++) { \
            rig_turn(r, raw); \
            if (i_ > 1000) /* something really takes time */ \
                poll(NULL, 0, 1); \
        } \
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

/* The same through TLS, with a handshake; sni and alpn (one name) may be NULL.
 * False: the handshake failed, see raw->alert and raw->end. */
bool raw_connect_tls(struct raw *raw, struct rig *r, const char *sni,
                     const char *alpn);

/* The handshake of raw->ssl, which has its descriptor. */
bool raw_shake_hands(struct raw *raw, struct rig *r);

/* A socket pair: the raw side, and the server's as one more connection. */
void raw_pair(struct raw *raw, struct rig *r);

void raw_send(struct raw *raw, struct str bytes);
void raw_read(struct raw *raw);

/* Up to n bytes, at most left; what TLS took, or 0. */
int raw_push_tls(struct raw *raw, const char *p, size_t n, uint64_t left);
void raw_close(struct raw *raw);

/* Close by RST; the TLS side says nothing. */
void raw_reset(struct raw *raw);

/* Has this text come? */
bool raw_has(const struct raw *raw, const char *text);

struct str raw_got(const struct raw *raw);

#endif
