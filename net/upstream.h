/* upstream.h - inside net: connections to upstreams and where they wait. */
#ifndef NET_UPSTREAM_H
#define NET_UPSTREAM_H

#include "base/list.h"
#include "net/client.h"
#include "net/h1_scan.h"
#include "net/io.h"

struct pool; /* the idle connections of one key and address; counted */

struct up {
    unsigned magic;
    bool served; /* a request before this one */
    bool dead;
    struct io io;
    struct pool *pool; /* counted */
    struct list link;  /* while it waits: in pool's list */
    struct buf in;     /* read and not used */
    struct h1_scan scan;
    /* What its user wants to hear; NULL while it waits. */
    void (*on_io)(void *user, unsigned what);
    void *user; /* borrowed */
};

/* What its connections begin TLS with; NULL: they are plain.  Borrowed. */
struct tls *pool_tls(const struct pool *pool);

/* The pool that a request goes to; given: pool_unref().  Errors: E_NOMEM. */
MUST_USE enum err pool_find(struct pools *p, const struct call_request *r,
                            struct pool **out);
void pool_unref(struct pool **pool);

struct loop *pool_loop(const struct pool *pool);

/* A connection that waited, or NULL.  sure: it must be seen to be alive now
 * (the request may not be sent twice). */
struct up *up_take(struct pool *pool, bool sure);

/* A new connection, being connected: IO_WRITABLE tells when it stands.
 * Errors: E_NOMEM, E_BACKEND_DOWN (refused at once), E_SYSTEM (no socket). */
MUST_USE enum err up_connect(struct pool *pool, struct up **out);

/* Taken: it waits for the next request; closed when there are enough. */
void up_give(struct up **up);

/* Taken: it is closed, nothing is left to be said. */
void up_close(struct up **up);

/* Taken: it ends by RST. */
void up_cut(struct up **up);

#endif
