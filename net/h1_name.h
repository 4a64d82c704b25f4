/* h1_name.h - inside net: the field names that mean something to HTTP/1. */
#ifndef NET_H1_NAME_H
#define NET_H1_NAME_H

#include <stdbool.h>

#include "base/fields.h"
#include "base/str.h"

enum h1_name {
    H1_OTHER,
    H1_HOST,
    H1_CONTENT_LENGTH,
    H1_TRANSFER_ENCODING,
    H1_CONNECTION,
    H1_EXPECT,
    H1_UPGRADE,
    H1_DATE,
    H1_WS_KEY,     /* Sec-WebSocket-Key */
    H1_WS_VERSION, /* Sec-WebSocket-Version */
    H1_WS_ACCEPT,  /* Sec-WebSocket-Accept */
    H1_HOP /* Keep-Alive, Proxy-Connection, TE, Trailer, Proxy: of this hop */
};

enum h1_name h1_name(struct str name);

/* May a Connection field not nominate it, and may no variant with _ for -
 * stand beside it?  Source: threats.md. */
bool h1_is_protected(struct str name);

/* Is it one with _ that reads as a protected one? */
bool h1_is_disguised(struct str name);

#endif
