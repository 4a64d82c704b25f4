/* h1_conn.h - inside net: a client's HTTP/1 connection. */
#ifndef NET_H1_CONN_H
#define NET_H1_CONN_H

#include "base/err.h"
#include "base/str.h"
#include "net/serving.h"
#include "net/tls.h"

struct peer;

struct h1_conn_opening {
    int fd;               /* taken when it succeeds; non-blocking */
    struct tls *tls;      /* NULL: plain; else counted */
    bool direct;          /* see listener_new() */
    struct str peer;      /* copied */
    struct peer *counted; /* taken when it succeeds; may be NULL */
    struct str first;     /* copied: what was read already, of a plain one */
};

/* Begin to serve.  Errors: E_NOMEM. */
MUST_USE enum err h1_conn_open(struct server *server,
                               const struct h1_conn_opening *opening);

/* The server drains or is held: end it if it is idle. */
void h1_conn_drain(struct list *serving_link);

/* End it by RST; no event follows. */
void h1_conn_cut(struct list *serving_link);

#endif
