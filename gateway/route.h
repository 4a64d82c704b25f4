/* route.h - where a request is aimed, by its host, path and headers. */
#ifndef GATEWAY_ROUTE_H
#define GATEWAY_ROUTE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/head.h"
#include "translate/op.h"

#define ROUTE_PORT_ENVD 49983
#define ROUTE_PORT_CODE 49999

/* Texts are borrowed from the head. */
struct route {
    enum op_class class; /* what the request is, also when it failed */
    struct str id;       /* sandbox id of the host, header or path; absent if
                            none or malformed */
    struct str link;     /* id of the link that the host names, or absent */
    unsigned port;       /* of the sandbox; 0 for CLASS_API, and where the
                            link says it */
    bool by_header;      /* header routing: sandbox.<domain>, direct hosts */
    bool preflight;      /* a CORS preflight: answered before all else */
    bool native;         /* CLASS_PORT by the sandbox server's own path, with a
                            key */
    struct str path;     /* native: the app's part of the path, raw */
};

/*
 * Pure.  Forms served: api.<domain>; <port>-<id>[-<ignored>].<domain>;
 * sandbox.<domain> and the configured direct hosts, where API paths are API
 * calls and others are sandbox calls by E2b-Sandbox-Id and -Port; hosts of
 * previews (preview/host.h).  On api. and direct hosts the sandbox server's
 * own paths are CLASS_NATIVE, and /v1/sandboxes/<id>/expose/<port> is
 * CLASS_PORT.
 *
 * out  always filled as far as it is known: the dialect of the answer to an
 *      error is chosen by out->class
 *
 * Errors: E_MISDIRECTED, E_BAD_REQUEST (host, or a routing header twice),
 * E_BAD_SANDBOX_ID, E_BAD_PORT, E_HALF_ROUTED, E_PORT_BLOCKED (control
 * paths of port 49983), E_ROUTE_UNKNOWN (reserved labels of the preview
 * domain), E_FORBIDDEN (ports that no link opens).
 * Source: threats.md 2.6, T-02; e2b-control-plane.md 1.2.
 */
MUST_USE enum err route_find(const struct request_head *head,
                             const struct conf *conf, struct route *out);

/*
 * Is the host a name that is served through TLS: api., sandbox. and those of
 * sandboxes below the domain, and those of previews?  Pure.  Direct hosts are
 * not, they may be anything.
 * preview  set: it is one of previews
 */
bool route_is_name(const struct conf *conf, struct str host, bool *preview);

/*
 * Is the raw path one of envd's control paths, which nobody outside reaches?
 * E_OK: no.  E_PORT_BLOCKED: it is, read in one way.  E_BAD_REQUEST: it is
 * only when read in another way (double encoding, encoded separators).
 * Source: threats.md R-10.
 */
enum err route_check_control(struct str path);

#endif
