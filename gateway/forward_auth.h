/* forward_auth.h - a further rule of access: the operator's own service is
 * asked before a request reaches the app of a link.
 *
 * For the files of gateway/ only.  It knows no exchange: it is given what it
 * asks with and says what came of it. */
#ifndef GATEWAY_FORWARD_AUTH_H
#define GATEWAY_FORWARD_AUTH_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/fields.h"
#include "conf/conf.h"
#include "model/head.h"
#include "net/client.h"

enum forward_auth_state {
    FORWARD_AUTH_IDLE,  /* not asked */
    FORWARD_AUTH_ASKED, /* no answer yet */
    FORWARD_AUTH_PASS,  /* 2xx */
    FORWARD_AUTH_DENY,  /* 401, 403, or a redirect with a Location */
    FORWARD_AUTH_FAILED /* no answer, or none that means something */
};

/* What is asked about.  Texts are borrowed. */
struct forward_auth_request {
    const struct request_head *head;
    struct str target; /* without the token */
    struct str host;   /* as the client wrote it, with its port */
};

/* Inside others; zero when it begins. */
struct forward_auth {
    enum forward_auth_state state;
    enum forward_auth_state heard; /* of a head whose end is awaited */
    struct call *call;             /* owned */
    struct arena *arena;           /* borrowed */
    const struct conf_forward_auth *conf;
    void (*on_told)(void *arg); /* from the loop, once */
    void *arg;
    int status;             /* what it answered; 0 nothing */
    enum err why;           /* FAILED without an answer */
    struct fields identity; /* PASS: the listed ones, for the app */
    struct fields back;     /* PASS: its Set-Cookie; DENY: also Location and
                               WWW-Authenticate; for the client */
};

/*
 * Ask.  A GET without a body: Cookie (without ours), Authorization, Accept,
 * User-Agent and X-Requested-With of the client; X-Forwarded-Method, -Proto,
 * -Host, -Uri and -For.
 *
 * f     zeroed but for arena, conf, on_told and arg
 * Errors: E_NOMEM, E_SYSTEM, E_BAD_FIELD: it was not asked (state FAILED).
 */
MUST_USE enum err forward_auth_ask(struct forward_auth *f, struct pools *pools,
                                   const struct forward_auth_request *r);

/* Give the call back; nothing is told any more. */
void forward_auth_release(struct forward_auth *f);

#endif
