/* check.h - may this request see this port?  The rules of signed links. */
#ifndef PREVIEW_CHECK_H
#define PREVIEW_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/head.h"
#include "model/link.h"

/* Where a token stood, in the order in which one is preferred. */
enum preview_source {
    PREVIEW_QUERY,    /* ?token= */
    PREVIEW_BEARER,   /* Authorization: Bearer */
    PREVIEW_HEADER,   /* E2b-Traffic-Access-Token */
    PREVIEW_OFFERED,  /* Sec-WebSocket-Protocol: sandgate-token.<token> */
    PREVIEW_OF_COOKIE /* the cookie that a link was exchanged for */
};

/* What the records say of a link. */
enum preview_standing {
    PREVIEW_STANDS,
    PREVIEW_REVOKED, /* itself, all of before a time, or no record */
    PREVIEW_USED_UP, /* uses_max is reached */
    PREVIEW_UNKNOWN  /* the records cannot tell: 503 */
};

/* Asked for each believed token; link is borrowed.  source tells whether it
 * would be a use: PREVIEW_USED_UP is never an answer for a cookie. */
typedef enum preview_standing preview_ask(void *arg, const struct link *link,
                                          enum preview_source source);

/* The request and where it is aimed.  All borrowed. */
struct preview_request {
    const struct request_head *head; /* method, path, query, host, fields,
                                        upgrade, tls, peer */
    struct str sandbox;              /* the target's id */
    uint64_t life;                   /* of its record */
    unsigned port;    /* 0: the host names none: the token does */
    struct str link;  /* the host names a link: only its token fits; absent
                         otherwise */
    bool sibling;     /* its Origin is that of another port of the sandbox */
    int64_t now_s;    /* wall */
    preview_ask *ask; /* the records */
    void *arg;
};

struct preview_verdict {
    enum err err;
    enum preview_source source; /* of what admitted it, or was refused */
    struct link link; /* E_OK: what admitted it; life and port filled in */
    bool use;         /* E_OK: count one use of link.id before it is answered
                         (the token itself came, and has a limit) */
    bool expire;      /* send preview_cookie_expire(): a cookie is stale, wrong
                         or there twice */
    const char *text; /* for the client: what the token lacks; NULL: the
                         table's text */
};

/*
 * Decide.  Pure but for ask.
 *
 * Every token that is there must be good: the first bad one in the order of
 * the sources is the answer (threats.md P-06).  In the headers, which apps use
 * too, only what looks like a token of ours counts, unless nothing else
 * came.
 *
 * verdict->err: E_OK; E_TOKEN_MISSING, E_TOKEN_INVALID, E_TOKEN_EXPIRED,
 * E_TOKEN_REVOKED (401); E_TOKEN_WRONG_TARGET (403: sandbox, port, link or
 * scope); E_ORIGIN (403); E_STORE (503), E_NOMEM.
 */
void preview_check(const struct preview_request *request,
                   const struct conf_preview *conf,
                   struct preview_verdict *verdict);

/*
 * The host of an Origin that is reached as the request's own is: over TLS
 * too, and by the same port; absent for any other.  Borrowed.
 */
struct str preview_check_origin(const struct request_head *head,
                                struct str origin);

/* Does the value of Authorization (with its Bearer) or of E2b-Traffic-Access-
 * Token carry a token of ours?  Then it is not for the app. */
bool preview_check_ours(struct str value);

#endif
