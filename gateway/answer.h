/* answer.h - what a client is told, by error and dialect.  See answer.def. */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "gateway/route.h"
#include "model/head.h"
#include "translate/op.h"

/* The form that an answer's body has. */
enum answer_form {
    FORM_API,     /* {"code":N,"message":".."} */
    FORM_EDGE,    /* {"sandboxId":"..","message":"..","code":N} */
    FORM_CONNECT, /* {"code":"word","message":".."} */
    FORM_END,     /* an end frame with that */
    FORM_ENVD,    /* {"code":N,"message":".."} LF */
    FORM_CONTROL, /* {"message":"..","path":"..","code":N} */
    FORM_TEXT,    /* the text alone */
    FORM_ROUTER,  /* "404 page not found" LF */
    FORM_DETAIL,  /* {"detail":".."} */
    FORM_SCHEMA,  /* {"detail":[{..}]} */
    FORM_PAGE,    /* HTML */
    FORM_NATIVE,  /* {"error":{"code","message","cause","remediation"}} LF */
    FORM_EMPTY    /* no body at all */
};

/* A cell of the table. */
struct answer {
    int status; /* 200..599 */
    enum answer_form form;
    const char *word;       /* Connect's; for FORM_CONNECT and FORM_END */
    const char *text;       /* for the client; static */
    unsigned retry_s;       /* Retry-After; 0 none */
    const char *error_code; /* api; NULL none */
};

/* The cell for err in this dialect. */
struct answer answer_find(enum err err, enum dialect dialect);

/* What an answer is made of.  Texts are borrowed. */
struct answer_request {
    enum err err;
    enum dialect dialect;
    bool page;             /* a browser navigates: HTML where it may be */
    bool cors;             /* Access-Control-Allow-Origin: * */
    bool effect;           /* the call may have had an effect: do not repeat */
    struct str sandbox_id; /* absent when it is not known */
    unsigned port;
    struct str host;           /* pages */
    struct str id;             /* of the request: pages */
    struct str path;           /* FORM_CONTROL */
    struct str detail;         /* instead of the table's text; may be absent */
    struct str error_code;     /* api; may be absent */
    const char *allow;         /* Allow field; NULL none */
    const struct fields *back; /* more fields; NULL none */
    unsigned retry_s;          /* instead of the table's; 0 none */
};

/*
 * Head and body of the answer, in the arena; without memory a static 503.
 * Nothing that the client sent stands in it but the ids of sandbox and request
 * that passed their grammar, the host and the path of FORM_CONTROL.
 */
void answer_build(const struct answer_request *r, struct arena *a,
                  struct answer_head *head, struct str *body);

/* The answer to a CORS preflight in the manner of that class.  Source:
 * e2b-control-plane.md 3.6, e2b-data-plane.md A.8, 5.2. */
void answer_preflight(const struct request_head *request, enum op_class class,
                      struct arena *a, struct answer_head *head,
                      struct str *body);

/*
 * Value of Should-Retry for an api answer with this status, or NULL for none.
 * "true" only when the call certainly had no effect and a repeat could fare
 * better (429, 502, 503, 504).
 * Source: e2b-control-plane.md 3.5.
 */
const char *answer_should_retry(int status, bool effect);

/* Does a browser navigate?  Then it is shown a page.  Source:
 * e2b-data-plane.md 6.2. */
bool answer_for_browser(const struct fields *fields);

/* The dialect before an operation is known, by class, path and content
 * type. */
enum dialect answer_dialect(enum op_class class,
                            const struct request_head *head);

/* Fields that every answer of our own to these classes carries; exposed
 * fields only when the request has an Origin. */
MUST_USE enum err answer_add_cors(struct fields *fields, struct arena *a,
                                  enum op_class class, bool origin);

#endif
