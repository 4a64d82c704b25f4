/* host.h - hosts of the preview domain: what they name, how they are made. */
#ifndef PREVIEW_HOST_H
#define PREVIEW_HOST_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/link.h"

/* What a host names.  Texts are borrowed. */
struct preview_host {
    struct str sandbox; /* absent where link is there */
    struct str link;    /* <link id>.<domain>, or a mapped host: its record
                           says sandbox and port.  One that is not there may
                           be a sandbox of that name */
    unsigned port;      /* 0: the link's or the token's */
    bool mapped;        /* a host of the configuration */
};

/*
 * Read a host: <sandbox>.<domain>, <port>-<sandbox>.<domain>,
 * <link id>.<domain>, or one of preview.hosts.
 * host  lower case, without port and trailing dot
 * Errors: E_MISDIRECTED (not of previews), E_BAD_REQUEST (bytes, one label
 * too many), E_BAD_PORT, E_BAD_SANDBOX_ID, E_ROUTE_UNKNOWN (a reserved label,
 * or the domain itself: 404, threats.md R-11).
 */
MUST_USE enum err preview_host_find(const struct conf_preview *conf,
                                    struct str host, struct preview_host *out);

/* Is it the preview domain, below it, or mapped?  Whatever it names. */
bool preview_host_ours(const struct conf_preview *conf, struct str host);

/* Does <sandbox>.<domain> name that sandbox?  Not of an id that begins like a
 * port, is reserved, or looks like a link's. */
bool preview_host_stands(struct str sandbox);

/*
 * Append the URL of a link: https://<host>[:port]/?token=<token>; the path is
 * the link's prefix where it has one.
 * The host is <id>.<domain> of an opaque link, <sandbox>.<domain> when id is
 * "", else <port>-<sandbox>.<domain>.
 */
void preview_host_url(const struct conf_preview *conf, const struct link *link,
                      struct str token, struct buf *out);

#endif
