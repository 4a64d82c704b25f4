/* run.h - the driver: does what an operation wants, tells what came of it.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_RUN_H
#define GATEWAY_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "gateway/state.h"
#include "live/live.h"
#include "translate/op.h"

struct exchange;

/* Where the one call of the moment stands. */
enum run_call {
    RUN_NO_CALL,
    RUN_CALL_SENT,  /* no head yet */
    RUN_CALL_HEAD,  /* the head is to be told */
    RUN_CALL_OPEN,  /* pieces come */
    RUN_CALL_ENDED, /* its end is to be told: why E_OK, or its cut */
};

/* Events that are owed to the operation. */
enum owe {
    OWE_BEGIN = 1 << 0,
    OWE_GONE = 1 << 1,
    OWE_RESULT = 1 << 2,
    OWE_ROOM = 1 << 3,
    OWE_TIME = 1 << 4,
    OWE_DONE = 1 << 5, /* not an event: a whole answer was said */
    OWE_CLIENT_END = 1 << 6
};

/* What must have room before the sources are read on. */
enum wait {
    WAIT_SAY = 1 << 0, /* the client */
    WAIT_SEND = 1 << 1 /* the call's request body */
};

/* Inside the exchange; zero when it begins. */
struct run {
    struct op op;
    unsigned from;    /* enum op_from: sources that are heard */
    unsigned blocked; /* set of enum wait */
    unsigned owed;    /* set of enum owe */
    int64_t wake_ms;  /* OP_TIME is wanted then; 0 not */
    int64_t armed_ms; /* when the timer looks; 0 not armed */
    struct str piece; /* a piece to be told now; absent if none */
    enum op_from piece_from;

    struct live_call *call; /* owned */
    enum run_call call_state;
    enum err call_err;
    bool call_collects; /* one OP_ANSWER */
    bool call_paused;
    int call_status;
    struct fields call_fields; /* of the head that is to be told */
    struct arena *call_arena;  /* owned: holds them; recycled */
    struct buf answer;         /* of a collected call */

    struct subscription *sub;   /* owned: process, place in a context */
    struct subscription *order; /* owned: any other order */
    bool sub_waits;             /* its result has not come */
    bool sub_ended;             /* its end is to be told */
    bool sub_paused;
    enum err sub_err;

    struct waiter *waiter;          /* owned: the job */
    enum err result_err;            /* OWE_RESULT */
    const struct op_result *result; /* borrowed for the event */
    struct op_result records;       /* of WANT_RECORDS */

    bool collecting; /* WANT_BODY */
    bool too_big;    /* over its limit: thrown away up to its end */
    uint64_t dropped_bytes;
    struct buf body;
};

/* X_RUN: the next event to the operation, and what it wants done. */
enum state run_step(struct exchange *x);

/* Before the first run_step(). */
void run_begin(struct exchange *x);

/* What the client does. */
void run_client_piece(struct exchange *x, struct str piece);
void run_client_gone(struct exchange *x, enum err why);
void run_client_room(struct exchange *x);

/* The exchange's timer. */
void run_time(struct exchange *x);

/* Pause and resume the sources as the operation wants it now.  True: one was
 * resumed and may have told something from inside; ask again. */
bool run_settle(struct exchange *x);

/* Give back calls, orders and jobs (which go on). */
void run_release(struct exchange *x);

/* Give back the recycled memory. */
void run_clear(struct run *r);

#endif
