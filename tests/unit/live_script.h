/* live_script.h - one live sandbox whose calls and timers are in the test's
 * hands: no socket, no clock.  The program is linked with --wrap for the
 * functions below, which are the real ones until script_open(). */
#ifndef TESTS_UNIT_LIVE_SCRIPT_H
#define TESTS_UNIT_LIVE_SCRIPT_H

#include <criterion/criterion.h>

#include "base/buf.h"
#include "live/order.h"

/* A call that was begun. */
struct script_call {
    char method[32];
    struct buf body;
    const struct call_events *events;
    void *arg;
    unsigned paused; /* set of reasons */
    bool freed;
};

void script_open(void);
void script_close(void);
struct live_sandbox *script_sandbox(void);

/* Number of calls of that method; the newest one. */
unsigned script_count(const char *method);
struct script_call *script_call(const char *method);
/* Refuse the next call with err instead of beginning it; E_OK: no more. */
void script_refuse(enum err err);

/* What the back end says. */
void script_frame(struct script_call *c, unsigned flags, const char *payload);
void script_raw(struct script_call *c, struct str bytes);
void script_end(struct script_call *c);
void script_cut(struct script_call *c, enum err why);
/* A unary answer, whole. */
void script_answer(struct script_call *c, int status, const char *body);

/* What is to be done in the next turn. */
void script_turn(void);
/* Fire the timers that were set to that many ms; how many there were. */
unsigned script_time(int64_t ms);

/* A subscriber that writes down what it hears. */
struct ear {
    struct subscription *sub;
    unsigned results, ends, cuts;
    enum err err, why;
    uint32_t pid;
    uint64_t executions;
    bool fresh;
    char detail[256];
    struct buf heard; /* the payloads of frames, each ended by LF */
    uint64_t bytes;   /* of everything */
    bool pauses;      /* at every piece */
};

void ear_open(struct ear *e);
void ear_close(struct ear *e);
extern const struct live_events ear_events;

#endif
