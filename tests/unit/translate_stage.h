/* translate_stage.h - an operation on a stage of its own: events in, wants
 * out, and a configuration with two back ends. */
#ifndef TESTS_UNIT_TRANSLATE_STAGE_H
#define TESTS_UNIT_TRANSLATE_STAGE_H

#include <criterion/criterion.h>

#include "translate/op.h"

struct stage {
    struct op op;
    struct want want;
    struct conf conf;
    struct conf_backend backends[2];   /* "open" has a way out, "shut" not */
    struct conf_template templates[2]; /* base on shut, code-.. on open */
    struct str names[3];
    struct request_head head;
    struct sandbox sandbox;
    struct op_result result;
    enum err found;  /* of op_find() */
    int64_t wall_ms; /* of the events */
};

/* Names and values in turn; NULL ends. */
void stage_open(struct stage *s, enum op_class class, enum method method,
                const char *target, const char *const *headers);

/* The record that the team has: id "i0"; none without this call.  Before the
 * first event. */
void stage_have(struct stage *s);

/* Tell an event; s->want is the answer. */
void stage_tell(struct stage *s, enum op_event_kind kind, const char *bytes);
void stage_tell_bytes(struct stage *s, enum op_event_kind kind,
                      struct str bytes);

/* BEGIN, and the body when it is wanted. */
void stage_send(struct stage *s, const char *body);

/* OP_RESULT: err, or s->result. */
void stage_result(struct stage *s, enum err err);

void stage_close(struct stage *s);

/* What the operation wants, as one line for tables:
 *   fail NAME: detail
 *   say STATUS body
 *   job KIND id timeout
 *   ... */
const char *stage_line(struct stage *s);

#endif
