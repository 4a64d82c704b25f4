/* h1_write.h - inside net: the one serializer of heads.
 *
 * Whatever the caller gives, no CR, LF or NUL and no second framing goes out:
 * a field that is not clean, or that is net's own, is left out. */
#ifndef NET_H1_WRITE_H
#define NET_H1_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/head.h"

/* Written with an answer beside its fields. */
struct h1_answer_extra {
    bool http10;           /* of the request: no chunks */
    bool keep;             /* another request may follow */
    unsigned keep_alive_s; /* told when it may */
    struct str date;       /* value of Date */
};

/* Bytes that are enough for the head. */
size_t h1_answer_bound(const struct answer_head *head);

/* Write the head at p, which has room for h1_answer_bound() bytes; returns
 * how many were written. */
size_t h1_write_answer(char *p, const struct answer_head *head,
                       const struct h1_answer_extra *extra);

struct h1_request_head {
    enum method method;
    struct str target, host;
    const struct fields *fields;
    int64_t length; /* >= 0, LENGTH_CHUNKED, or LENGTH_NONE */
    bool upgrade;
};

/* As above, for a request.  0 when the target or host cannot be written. */
size_t h1_request_bound(const struct h1_request_head *head);
size_t h1_write_request(char *p, const struct h1_request_head *head);

/* The size line of a chunk of n bytes, at most 18 bytes. */
#define H1_SIZE_BYTES 18
size_t h1_write_size(char *p, size_t n);

/* The standard reason of a status; static. */
struct str h1_reason(int status);

/* wall_ms as in the field Date into out; returns it.  Source: RFC 9110
 * 5.6.7. */
struct str h1_date(int64_t wall_ms, char out[30]);

#endif
