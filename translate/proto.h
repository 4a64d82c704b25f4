/* proto.h - Connect requests as the sandbox's daemon takes them: their heads
 * and their proto-JSON.
 *
 * An operation calls proto_head() at OP_BEGIN and wants WANT_BODY; at OP_BODY
 * it calls proto_open(), reads members (the first fault sticks) and ends with
 * proto_close().  Each that returns false has filled *want with the answer.
 * Source: e2b-data-plane.md 1.2, 1.3, 1.10, 1.13. */
#ifndef TRANSLATE_PROTO_H
#define TRANSLATE_PROTO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "translate/op.h"

/* What the head says. */
struct proto_head {
    bool stream;          /* application/connect+json: envelopes */
    struct str user;      /* Linux user; never absent */
    int64_t timeout_ms;   /* Connect-Timeout-Ms; 0: no limit */
    int64_t keepalive_ms; /* between keepalive frames; 1 s .. 1 day */
};

/*
 * Read the head of a call: content type and codings, protocol version,
 * deadline (one that has passed is E_DEADLINE), user, keepalive interval.
 * out  texts are borrowed from the head and the configuration, or arena
 */
bool proto_head(struct op *op, bool stream, struct proto_head *out,
                struct want *want);

/* One message that is being read. */
struct proto {
    struct op *op;    /* borrowed */
    json_t *message;  /* owned */
    struct str fault; /* arena or static: what is wrong; absent: nothing */
};

/*
 * Begin with the body of a call: JSON, or for a stream exactly one envelope
 * (an empty one is an empty message).
 * p  given: proto_close(), when true was returned
 */
bool proto_open(struct op *op, bool stream, struct str body, struct proto *p,
                struct want *want);

/* Taken: give the message back.  false: a member was wrong, *want tells it.
 * Texts that members gave stay: they are copies in the operation's arena. */
bool proto_close(struct proto *p, struct want *want);

/*
 * Members of object (p->message or one of its objects; NULL reads as empty).
 * name is camelCase; snake_case is found too; absent and null are unset: the
 * zero value, with *set (may be NULL) false.
 */
struct str proto_text(struct proto *p, const json_t *object, const char *name,
                      bool *set); /* never absent */
uint32_t proto_u32(struct proto *p, const json_t *object, const char *name,
                   bool *set);
bool proto_bool(struct proto *p, const json_t *object, const char *name,
                bool *set);
struct str proto_bytes(struct proto *p, const json_t *object, const char *name,
                       bool *set); /* decoded */

/* A message, NULL if unset; borrowed from p. */
const json_t *proto_object(struct proto *p, const json_t *object,
                           const char *name);

/* An array of texts: its length, rows in the arena. */
unsigned proto_texts(struct proto *p, const json_t *object, const char *name,
                     struct str **rows);

/* A map of texts: its length, both in the arena, in order. */
unsigned proto_map(struct proto *p, const json_t *object, const char *name,
                   struct str **names, struct str **values);

/* An enum: its number by the table of names (NULL ends it, index = number);
 * 0 for a name that is not there; a number as it is. */
int proto_enum(struct proto *p, const json_t *object, const char *name,
               const char *const *names);

/* Say what is wrong, unless something was already. */
__attribute__((format(printf, 2, 3))) void proto_wrong(struct proto *p,
                                                       const char *format, ...);

/* The template of the operation's sandbox as configured now; NULL if it is
 * not there any more. */
const struct conf_template *proto_template(const struct op *op);

/* The head of a stream's answer: 200, application/connect+json; static. */
const struct answer_head *proto_stream_head(void);

/* Append a unary error's body: {"code":"..","message":".."}. */
void proto_put_error(struct buf *b, const char *code, struct str message);

#endif
