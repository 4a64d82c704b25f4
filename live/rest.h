/* rest.h - a question to a back end: one call, its answer collected. */
#ifndef LIVE_REST_H
#define LIVE_REST_H

#include <jansson.h>

#include "live/backend.h"

struct rest;

struct rest_request {
    enum method method;
    struct str target;          /* path, parts of it checked */
    struct str body;            /* JSON; absent: no body */
    struct str sandbox;         /* X-Sandbox-Id; absent: none */
    struct str idempotency_key; /* absent: none */
    bool idempotent;            /* may be sent again by net, once */
    int64_t deadline_ms;        /* relative; 0: none */
};

/* Borrowed for the event. */
struct rest_answer {
    /* E_OK: 200 and JSON.  E_NOT_FOUND: 404.  E_BACKEND_REFUSED: another
     * 4xx.  E_BACKEND_BUSY: 429, 503.  E_BACKEND_DOWN: another 5xx, no
     * connection, a cut.  E_BACKEND_GARBAGE: 200 but not JSON, over 4 MiB,
     * another status, broken HTTP.  E_UPSTREAM_DEADLINE.  E_NOMEM. */
    enum err err;
    int status;      /* 0: no answer came */
    struct str body; /* as it came; never for a client's eyes */
    json_t *json;    /* NULL if the body is not JSON */
    bool sent;       /* false: not a byte of the request went out */
};

/*
 * Ask.  Texts are borrowed during the call.
 * on_answer  once from the loop, never from inside; may call rest_free()
 * out        given: rest_free()
 * Errors: E_NOMEM, E_SYSTEM.
 */
MUST_USE enum err rest_start(struct backend *b, const struct rest_request *r,
                             void (*on_answer)(void *arg,
                                               const struct rest_answer *a),
                             void *arg, struct rest **out);

/* Taken: *r becomes NULL; no event follows; what is under way is cut. */
void rest_free(struct rest **r);

/* POST /sandbox.v1.Sandbox/Stat of "/": does the sandbox answer? */
MUST_USE enum err
rest_stat(struct backend *b, struct str sandbox, int64_t deadline_ms,
          void (*on_answer)(void *arg, const struct rest_answer *a), void *arg,
          struct rest **out);

/* DELETE /v1/sandboxes/<id>. */
MUST_USE enum err
rest_delete(struct backend *b, struct str sandbox, int64_t deadline_ms,
            void (*on_answer)(void *arg, const struct rest_answer *a),
            void *arg, struct rest **out);

#endif
