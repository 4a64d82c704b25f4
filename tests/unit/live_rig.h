/* live_rig.h - loop, pools, store, configuration, fake back end and live,
 * put together for the tests of live/. */
#ifndef TESTS_UNIT_LIVE_RIG_H
#define TESTS_UNIT_LIVE_RIG_H

#include <criterion/criterion.h>

#include "live/live.h"
#include "live/root.h"
#include "live/sandbox.h"
#include "tests/unit/live_fake.h"

struct rig {
    struct loop *loop;
    struct pools *pools;
    struct store *store;
    struct watch *watch;
    struct live *live;
    struct fake *fake;
    struct conf conf;
    struct conf_backend backend;
    struct conf_template template;
    struct timer guard;
    int64_t wall_ms, ms; /* the clocks when the rig was made */
    char dir[64];
};

/* Result of a job, as its waiter hears it. */
struct heard {
    bool came;
    enum err err;
    bool replayed;
    char id[64];
    int64_t end_ms, started_ms;
    unsigned retry_s;
    struct waiter *waiter;
};

extern struct rig rig;

/* The parts but for live; the back end is made, the store is empty. */
void rig_make(void);
void rig_remove(void);

/* Begin live; it has looked at the back end when this returns. */
void rig_start(void);
/* Begin it, and do not wait. */
void rig_begin(void);
/* End it, and the store, as if the process had been killed. */
void rig_stop(void);
/* rig_stop() and rig_start(). */
void rig_restart(void);

/* Turns of the loop until it is so; 5 s fail the test. */
#define UNTIL(what) \
    do { \
        rig_patience(#what); \
        while (!(what)) \
            rig_turn(); \
    } while (0)
void rig_patience(const char *what);
void rig_turn(void);
/* What is ready now, without waiting for anything. */
void rig_settle(void);

/* Both clocks stand at now + ms from here on. */
void rig_later(int64_t ms);

void rig_job(struct heard *h, const struct want_job *want);
void rig_job_of(const char *team, struct heard *h, const struct want_job *want);
/* It may fail for want of memory. */
enum err rig_try(struct heard *h, const struct want_job *want);
void rig_create(struct heard *h);
void rig_kill(struct heard *h, const char *id);
/* A running sandbox; its id stays valid for the test. */
const char *rig_sandbox(void);

/* The record, or NULL; with its state. */
const struct sandbox *rig_record(const char *id);
unsigned rig_records(void);
bool rig_is(const char *id, enum sandbox_state state);

/* Put a record into the store as an earlier life would have left it. */
void rig_put(const char *id, enum sandbox_state state, int64_t end_in_ms);

/* No sandbox without a record, no record without a sandbox. */
void rig_agrees(void);

#endif
