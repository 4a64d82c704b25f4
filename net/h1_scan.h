/* h1_scan.h - inside net: the strict scan of an HTTP/1 head's bytes.
 *
 * Every line must end in CRLF, every name be a token, every value free of
 * control bytes; no folding.  What the scan lets through has one reading
 * only.  What fields mean is h1_head's business. */
#ifndef NET_H1_SCAN_H
#define NET_H1_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fields.h"
#include "base/str.h"

/* Source: threats.md C6. */
#define H1_LINE_BYTES 8192   /* target of a request */
#define H1_FIELD_BYTES 16384 /* one line of a field */
#define H1_HEAD_BYTES 32768
#define H1_FIELDS 100
#define H1_ANSWER_BYTES 65536 /* head of an upstream's answer */
#define H1_ANSWER_FIELDS 256

/* How far a head that comes in parts was looked through; zero to begin. */
struct h1_scan {
    size_t at;       /* begin of the first line not looked at */
    size_t seen;     /* bytes known to hold no line end behind at */
    unsigned fields; /* lines of fields so far */
    bool started;    /* the first line was good */
    bool blank;      /* an empty line stood before it */
};

/* The parts of a whole head; texts point into the scanned bytes. */
struct h1_lines {
    struct str method, target; /* request */
    struct str reason;         /* answer */
    int status;                /* answer */
    unsigned minor;            /* of HTTP/1.x */
    struct field *rows; /* borrowed: room for H1_FIELDS or H1_ANSWER_FIELDS */
    unsigned count;
    size_t bytes; /* length of the head with its empty line */
};

/*
 * Go on scanning bytes, which hold the head from its first byte on (also
 * what earlier calls saw).
 * out   out->rows is set by the caller; whole only when the scan began and
 *       ended in this call
 * done  the head is whole
 * Errors: E_BAD_REQUEST, E_URI_TOO_LONG, E_HEAD_TOO_BIG, E_VERSION, E_METHOD,
 * E_METHOD_UNKNOWN.  Source: threats.md H1-06..10, 13..17, 28.
 */
MUST_USE enum err h1_scan_request(struct h1_scan *s, struct str bytes,
                                  struct h1_lines *out, bool *done);

/* The same for an upstream's answer.  Errors: E_BACKEND_GARBAGE. */
MUST_USE enum err h1_scan_answer(struct h1_scan *s, struct str bytes,
                                 struct h1_lines *out, bool *done);

/* Is it a token (RFC 9110 5.6.2), and not empty? */
bool h1_is_token(struct str s);

/* Is it free of control bytes but TAB? */
bool h1_is_value(struct str s);

#endif
