/* exchange.h - one request and its answer, moved step by step.
 *
 * For the files of gateway/ only: admit, run and carry each do one of its
 * states and know its struct; only course.c moves it. */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/token.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "conf/conf.h"
#include "gateway/carry.h"
#include "gateway/preview_gate.h"
#include "gateway/route.h"
#include "gateway/run.h"
#include "gateway/state.h"
#include "live/live.h"
#include "model/head.h"
#include "model/key.h"
#include "net/loop.h"
#include "net/server.h"
#include "store/store.h"
#include "translate/op.h"

struct worker;

/* What became of the answer. */
enum told {
    TOLD_NOTHING,
    TOLD_HEAD, /* the head is out; pieces may follow */
    TOLD_ALL,  /* and its clean end */
    TOLD_CUT   /* it ended short */
};

/* What is so from now on. */
enum fact {
    FACT_GONE = 1 << 0,       /* the client left */
    FACT_WRITTEN = 1 << 1,    /* the answer is in the socket, the stream over */
    FACT_BODY_ENDED = 1 << 2, /* the client's body is complete */
    FACT_CONTINUED = 1 << 3,  /* 100 Continue was said, or is not awaited */
    FACT_EFFECT = 1 << 4,     /* something may have been changed */
    FACT_ABOARD = 1 << 5,     /* passenger is among the sandbox's */
    FACT_TOKENS = 1 << 6,     /* the tokens are derived */
    FACT_FINISHED = 1 << 7,   /* all but the stream is given back */
    FACT_BURIED = 1 << 8      /* after this turn it is a spare one */
};

#define REQUEST_ID_MAX 64

struct exchange {
    unsigned magic;
    enum state state;
    enum err why; /* first failure wins; E_OK while all is well */
    enum told told;
    void (*advance)(struct exchange *x); /* the mover: course.c's */
    bool advancing;                      /* inside exchange_advance() */
    bool again;                          /* an event came meanwhile */
    unsigned facts;                      /* set of enum fact */
    struct worker *worker;               /* borrowed */
    struct list link;                    /* worker's open or spare */
    struct stream *stream;               /* owned: the client's */
    unsigned paused;                     /* why it is not read; 0: it is */
    const struct request_head *head;     /* borrowed from stream, or arena */
    struct str chain;                    /* arena: X-Forwarded-For of listed
                                            proxies, or absent */
    struct conf *conf;                   /* counted */
    struct arena *arena;                 /* owned, recycled */
    struct timer timer;                  /* recycled: lookup, then run */
    int64_t lookup_until_ms;             /* 0: it has not begun to wait */

    struct route route;
    const struct op_row *row; /* static; NULL: none fits, or bytes are
                                 passed */
    struct str params[OP_PARAMS_MAX];
    enum err row_err;  /* why there is none; told after the credentials */
    const char *allow; /* arena: Allow of E_METHOD */
    enum dialect dialect;

    const struct sandbox *record; /* counted; NULL: none */
    enum found key_found;
    struct key key;          /* of key_found FOUND */
    struct quota_row *quota; /* owned: counted among its key's; or NULL */
    char envd_token[AUTH_TOKEN_LENGTH + 1];
    char traffic_token[AUTH_TOKEN_LENGTH + 1];
    struct passenger passenger;
    struct visit *visit; /* arena: of CLASS_LINK from its lookup on */
    struct fields back;  /* for the client, whatever it is answered */

    struct str detail;     /* arena or static: text of the failure */
    struct str error_code; /* the same: for api */
    unsigned retry_s;      /* Retry-After; 0: the table's */

    struct run run;
    struct carry carry;

    /* For the access line. */
    char id[REQUEST_ID_MAX + 1];
    int status; /* of what was said; 0 nothing */
    int64_t began_ms, head_ms, wall_ms;
    uint64_t bytes_in, bytes_out;
};

/* Run steps until it waits for an event or has ended.  Every event notes what
 * came and then calls this; orders given inside may call back. */
void exchange_advance(struct exchange *x);

/* Note a failure (the first wins) and advance. */
void exchange_fail(struct exchange *x, enum err why);

/* Read the client's body from now on, or not.  A 100 Continue is said the
 * first time.  Pieces may come from inside. */
void exchange_listen(struct exchange *x, bool on);

/* The head of the answer to the client, with our own fields added. */
MUST_USE enum err exchange_say_head(struct exchange *x,
                                    const struct answer_head *head);
/* The whole of it. */
MUST_USE enum err exchange_say_all(struct exchange *x,
                                   const struct answer_head *head,
                                   struct str body);

/* Envd and traffic token of its record, derived once. */
void exchange_make_tokens(struct exchange *x);

/* Name of the state it is in; static storage. */
const char *exchange_state_name(const struct exchange *x);

/* The head of an answer goes out now with this status. */
void exchange_note_head(struct exchange *x, int status);

/* Is it for an app, and no operation? */
bool exchange_is_passed(const struct exchange *x);

#endif
