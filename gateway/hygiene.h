/* hygiene.h - which header fields pass between a client and a port of a
 * sandbox, and which do not.  Pure.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_HYGIENE_H
#define GATEWAY_HYGIENE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fields.h"
#include "base/str.h"
#include "model/head.h"

/* A request on its way to the sandbox. */
struct hygiene {
    const struct request_head *head;
    struct str host;  /* X-Forwarded-Host */
    bool encoding;    /* add Accept-Encoding: identity when there is none */
    struct str id;    /* X-Request-Id, if the client has sent one */
    struct str chain; /* X-Forwarded-For; absent: the client's address */
    /* Is this value a secret of ours?  Asked of values that have the form of
     * one only. */
    bool (*is_secret)(void *arg, struct str value);
    void *arg;
};

/*
 * The fields to send, in the arena: without hop-by-hop, routing and
 * forwarding fields, and without our secrets by value; X-Forwarded-For, -Host
 * and -Proto and the count of its ways through here set anew.
 * Errors: E_BAD_REQUEST (Connection names a protected field; a name with _
 * that would be read as a protected one), E_LOOP, E_NOMEM.
 * Source: threats.md 2.7.
 */
MUST_USE enum err hygiene_request(const struct hygiene *h, struct arena *a,
                                  struct fields *out);

/*
 * The fields of the sandbox's answer that may reach the client: without
 * hop-by-hop fields and what reaches beyond its host; Set-Cookie without
 * Domain, and none of our names.  With 101 Upgrade is kept.
 * Errors: E_NOMEM.  Source: threats.md.
 */
MUST_USE enum err hygiene_answer(const struct answer_head *head,
                                 struct arena *a, struct fields *out);

/*
 * The raw path made fit for the back end's HTTP proxy, which redirects what
 * is not clean: empty segments, . and .. are percent-encoded.
 * out  borrowed from path or in the arena
 * Errors: E_UNIMPLEMENTED (an escape that the proxy would decode: the app
 * would see another path), E_BAD_REQUEST (half an escape), E_NOMEM.
 * Source: mitos-sandbox-server.md 1.9.
 */
MUST_USE enum err hygiene_path(struct str path, struct arena *a,
                               struct str *out);

#endif
