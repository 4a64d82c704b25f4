/* json.h - the one door to jansson: bounded reading, compact writing. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Limits that are counted linearly before jansson sees the text (threats.md
 * L-01, C6: depth 32, 10,000 values). */
struct json_limits {
    size_t max_bytes;
    unsigned max_depth;
    unsigned max_values;
};

extern const struct json_limits json_limits_api;  /* 256 KiB, 32, 10,000 */
extern const struct json_limits json_limits_rpc;  /* 16 MiB, 32, 10,000 */
extern const struct json_limits json_limits_list; /* 4 MiB, 32, 1,000,000 */

/*
 * Read one JSON text; duplicate keys, NUL, bad UTF-8, a BOM, trailing text
 * and NaN are refused.
 * A scalar at the top is refused too.
 * out  given: json_decref(); NULL on error.
 * Errors: E_BAD_JSON, E_TOO_BIG (bytes), E_NOMEM.
 */
MUST_USE enum err json_read(struct str text, const struct json_limits *limits,
                            json_t **out);

/*
 * The first JSON value of a text, as a forgiving server reads it: of a name
 * that comes twice the last one counts, what follows the value is left alone,
 * and it may be a scalar.  Never for what somebody else reads again: write it
 * anew.  Otherwise as json_read().
 */
MUST_USE enum err json_read_first(struct str text,
                                  const struct json_limits *limits,
                                  json_t **out);

/* Append value, compact, UTF-8. */
void json_write(struct buf *b, const json_t *value);

/* Append value, compact, ASCII only (\uXXXX). */
void json_write_ascii(struct buf *b, const json_t *value);

/* Append s as a JSON string with quotes; invalid UTF-8 becomes U+FFFD.
 * ascii: everything above 0x7f as \uXXXX.  html: < > & and U+2028, U+2029
 * as \u003c ... */
void json_write_text(struct buf *b, struct str s, bool ascii, bool html);

/* Member that is a string: its text (borrowed from object); absent if there
 * is no such member, or null, or another type. */
struct str json_str(const json_t *object, const char *name);

/* json_object_get(), with null the same as absent (NULL). */
json_t *json_member(const json_t *object, const char *name);

/* Have jansson use base/mem and draw its hash seed.  Call once, first thing
 * in main(). */
void json_start(void);

#endif
