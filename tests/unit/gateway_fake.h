/* gateway_fake.h - net, store, live and the operations as the exchange sees
 * them, faked: each order is a line of a transcript, each event a call. */
#ifndef TESTS_UNIT_GATEWAY_FAKE_H
#define TESTS_UNIT_GATEWAY_FAKE_H

#include <stdbool.h>

#include "base/str.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "live/live.h"
#include "net/client.h"
#include "net/server.h"
#include "translate/op.h"

#define FAKE_ID "i0abcdefghij01234567"
#define FAKE_KEY "e2b_0123456789abcdef0123456789abcdef01234567"

struct fake {
    struct worker worker;
    struct conf conf;

    /* What the store says. */
    enum found sandbox_found, key_found;
    struct sandbox *sandbox;
    struct key key;
    enum found link_found;
    struct link link;
    int64_t before_ms;        /* links without a record are revoked */
    const struct link *shown; /* of passenger_show() */
    enum err use_err;         /* store_use_link() */

    /* What is the operation: fills the want; the event is in the transcript
     * already. */
    void (*hear)(struct op *op, const struct op_event *event,
                 struct want *want);
    struct op_row row;
    enum err find_err;

    /* Answers of orders. */
    bool full;          /* stream_say() */
    bool call_full;     /* call_say(), live_call_say() */
    enum err call_err;  /* call_start(), live_call_start() */
    enum err port_err;  /* told by port_find() */
    enum err board_err; /* passenger_board() */
    struct str prefix;  /* of port_find()'s target */
    struct call_facts facts;
    bool show_fields;  /* of errors, too */
    bool done_at_once; /* on_done follows every whole answer at once */

    /* Who hears. */
    struct stream *stream;
    const struct call_events *call_events;
    void *call_arg;
    const struct live_events *live_events;
    void *live_arg;
    void (*on_result)(void *arg, enum err err, const struct op_result *result);
    void *result_arg;
    struct passenger *passenger;
    struct timer *timer;
    int64_t timer_ms;
};

extern struct fake fake;

/* A new world; time stands still. */
void fake_start(void);
void fake_stop(void);

/* A request of one text: "GET host /path\nname: value\n...".  length: body. */
void fake_request(const char *text, int64_t length);

/* The transcript so far, and forget it; lines end in "; ". */
const char *fake_said(void);

/* Events. */
void fake_client(const char *piece);
void fake_client_end(void);
void fake_gone(void);
void fake_lost(enum err why); /* the body was too slow, or is broken */
void fake_room(void);
void fake_done(void);
void fake_call_head(int status, int64_t length);
void fake_call(const char *piece);
void fake_call_end(void);
void fake_call_cut(enum err why);
void fake_result(enum err err, const struct op_result *result);
void fake_live(const char *piece);
void fake_time(int64_t now_ms);

/* Bury what waits for it, as the loop does after each turn. */
void fake_turn(void);

#endif
