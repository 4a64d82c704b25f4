/* h1_head.h - inside net: what the lines of a scanned head mean. */
#ifndef NET_H1_HEAD_H
#define NET_H1_HEAD_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/head.h"
#include "net/h1_scan.h"

/*
 * Check what the fields say about framing, host, upgrade and expectation.
 * lines  their texts live as long as a
 * out    fields, path, query, host, length, method and the flags of upgrade,
 *        expectation and HTTP/1.0 are set; texts are of a or of lines
 * keep   the client would send another request on this connection
 * Errors: E_BAD_REQUEST, E_UNIMPLEMENTED (transfer coding), E_EXPECTATION,
 * E_PRECONDITION (version of
 * WebSocket), E_NOMEM.
 * Source: threats.md H1-01..05, 11, 12, 15, 23, 26, X-03, X-04.
 */
MUST_USE enum err h1_request(const struct h1_lines *lines, struct arena *a,
                             struct request_head *out, bool *keep);

/* The status that a refused head is answered with. */
int h1_status(enum err err);

struct h1_answer {
    struct answer_head head; /* what the user hears; fields are filtered */
    int64_t body;            /* what follows: >= 0, CHUNKED or CLOSE */
    bool keep;               /* the connection can be used again */
};

/*
 * Check what an upstream's fields say.  Hop-by-hop fields, length, Date and
 * what Connection names are taken out of lines->rows.
 * Errors: E_BACKEND_GARBAGE.  Source: threats.md U-04, U-08, H1-27.
 */
MUST_USE enum err h1_answer(struct h1_lines *lines, enum method asked,
                            struct h1_answer *out);

/* Does a 101 accept the WebSocket that was asked for with that key? */
bool h1_accepts(const struct h1_lines *lines, struct str accept);

#endif
