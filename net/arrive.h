/* arrive.h - inside net: an accepted connection up to its first byte of TLS
 * or HTTP: whose it is, and whether it may stay. */
#ifndef NET_ARRIVE_H
#define NET_ARRIVE_H

#include "model/address.h"
#include "net/serving.h"
#include "net/tls.h"

struct arrival {
    int fd;          /* taken; non-blocking */
    struct tls *tls; /* borrowed for the call; NULL: plain */
    bool direct;     /* see listener_new() */
    bool known;      /* from is the socket's peer; else it has none */
    struct address from;
    bool greets; /* a header of the PROXY protocol is looked for: */
    bool listed; /* it must be there; else it must not */
};

/* Serve it, or close it. */
void arrive(struct server *s, const struct arrival *a);

/* Close what has not begun to speak. */
void arrive_drop_all(struct server *s);

#endif
