/* api.h - what the operations of the control plane share: how a request is
 * read and how a sandbox is named.  For the files of translate/ only. */
#ifndef TRANSLATE_API_H
#define TRANSLATE_API_H

#include <jansson.h>

#include "translate/op.h"

/* The record that {id} names, if the team has it and it runs; else NULL.  A
 * record that is being made or ended is as absent as an unknown one. */
const struct sandbox *api_sandbox(const struct op *op);

/* Fail with what a look or a job brought: E_SANDBOX_GONE is told of the {id}
 * in E2B's words, which do not say whether another team has it. */
void api_fail_sandbox(struct op *op, struct want *w, enum err err);

/* Fail with what a create brought: a limit of the team is named, and when
 * there is a place again. */
void api_fail_create(struct op *op, const struct op_event *event,
                     struct want *w);

/*
 * BEGIN of an operation with a JSON body: its media type and coding are
 * looked at, then it is collected (WANT_BODY); or *w fails.  What has no body
 * is not judged.  Source: e2b-control-plane.md 3.2, threats.md L-04.
 */
void api_want_body(struct op *op, struct want *w);

/*
 * The body of OP_BODY as a JSON object; an empty one is {} when it is
 * optional.  Returns NULL when *w fails; else given: json_decref().
 */
json_t *api_read_body(struct op *op, struct str body, bool optional,
                      struct want *w);

/* Fail with E_BAD_FIELD, or E_NOT_KEPT: "<field>: <what>". */
void api_fail_field(struct op *op, struct want *w, const char *field,
                    const char *what);
void api_fail_promise(struct op *op, struct want *w, const char *field);

/* A member that is a number of seconds. */
struct api_seconds {
    const char *name;
    int64_t least;
    int64_t most;     /* 0: the configuration's timeout_max_s */
    int64_t fallback; /* when it is absent; negative: it is required */
};

/* false when *w fails. */
bool api_read_seconds(struct op *op, const json_t *body,
                      const struct api_seconds *member, int64_t *out,
                      struct want *w);

/* Member `name` as a boolean, fallback if absent; false when *w fails. */
bool api_read_bool(struct op *op, const json_t *body, const char *name,
                   bool fallback, bool *out, struct want *w);

/* A boolean member that may only say what is kept; false when *w fails. */
bool api_keep_bool(struct op *op, const json_t *body, const char *name,
                   bool kept, struct want *w);

/* The client left: its operation is over, what it began goes on. */
void api_leave(struct want *w);

#endif
