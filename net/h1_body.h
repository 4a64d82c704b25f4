/* h1_body.h - inside net: where a body ends, of requests and answers. */
#ifndef NET_H1_BODY_H
#define NET_H1_BODY_H

#include <llhttp/llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* The strict scan of chunked framing; llhttp gets only what it let through.
 * Source: threats.md H1-08, 18..21. */
struct h1_chunks {
    enum h1_chunks_state {
        CHUNKS_SIZE,
        CHUNKS_EXT,
        CHUNKS_SIZE_LF,
        CHUNKS_DATA,
        CHUNKS_DATA_CR,
        CHUNKS_DATA_LF,
        CHUNKS_NAME, /* trailers: begin of a line, or in a name */
        CHUNKS_VALUE,
        CHUNKS_LINE_LF,
        CHUNKS_LAST_LF,
        CHUNKS_OVER
    } state;
    unsigned digits;     /* of the size */
    unsigned line_bytes; /* of the extensions of a line, or of a name */
    unsigned trailer_bytes;
    uint64_t left;       /* of the chunk's data */
    uint64_t data_bytes; /* of all chunks */
    uint64_t ext_bytes;  /* of all extensions */
};

/* Look through the next bytes.  *framed of them belong to chunks, *used of
 * them to the body (its trailers included).
 * Errors: E_BAD_REQUEST, E_HEAD_TOO_BIG (trailers). */
MUST_USE enum err h1_chunks_scan(struct h1_chunks *c, struct str bytes,
                                 size_t *framed, size_t *used);

enum h1_body_got {
    BODY_MORE,  /* all bytes are used up */
    BODY_PIECE, /* a piece; there may be more in the rest */
    BODY_END,   /* complete */
    BODY_BAD    /* broken framing: see h1_body.why */
};

struct h1_body {
    int64_t left; /* a length, or LENGTH_CHUNKED, LENGTH_CLOSE */
    bool ended;
    enum err why;     /* of BODY_BAD */
    size_t framed;    /* bytes that the scan has let through to llhttp */
    size_t scanned;   /* bytes that the scan has seen */
    struct str piece; /* what llhttp found */
    struct h1_chunks chunks;
    llhttp_t parser;
};

/* Begin; length >= 0, LENGTH_CHUNKED or LENGTH_CLOSE (a tunnel, too). */
void h1_body_begin(struct h1_body *b, int64_t length);

/*
 * The next piece of the body.  bytes is what was not used yet; the same bytes
 * may be shown again with more behind them.
 * used   how many of them are done with; the piece lies among them
 */
enum h1_body_got h1_body_next(struct h1_body *b, struct str bytes, size_t *used,
                              struct str *piece);

#endif
