/* proxy.h - inside net: the header of the PROXY protocol.  Pure.
 *
 * Source: the PROXY protocol, versions 1 and 2, haproxy.org
 * proxy-protocol.txt. */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "model/address.h"

/* A longer one is refused: addresses and what balancers add to them (names,
 * ids, a client's certificate) are less. */
#define PROXY_MAX_BYTES 4096

/* Version 1, with its CR LF. */
#define PROXY_LINE_BYTES 107

enum proxy_got {
    PROXY_MORE, /* a part of one: all of the bytes belong to it */
    PROXY_DONE,
    PROXY_NONE, /* what stands there does not begin as one does */
    PROXY_BAD   /* malformed, of a kind that is not served, or too long */
};

struct proxy_header {
    size_t bytes; /* of the header: what follows is the client's */
    bool known;   /* from is the client; else (LOCAL, UNKNOWN) the socket's
                     own address stands */
    struct address from;
};

/* What bytes begin with; *out is filled for PROXY_DONE.  Asked with no bytes
 * the answer is PROXY_MORE. */
enum proxy_got proxy_read(struct str bytes, struct proxy_header *out);

#endif
