/* loop.h - the event loop: descriptors, timers, burials. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ticks.h"

struct loop;

/* out  given: loop_free().  Errors: E_NOMEM, E_SYSTEM. */
MUST_USE enum err loop_new(struct loop **out);

/* Until loop_stop(). */
void loop_run(struct loop *l);

/* One turn: wait at most until the next event or timer; for tests. */
void loop_turn(struct loop *l, bool wait);

/* loop_run() returns after this turn. */
void loop_stop(struct loop *l);

/* Taken; everything that was made on it must be gone.  *l becomes NULL. */
void loop_free(struct loop **l);

/*
 * Free something after this turn: nothing is freed inside an event, since
 * events of the same turn may still name it.
 * bury  called once with what, after all events of the turn
 * Never fails: the entry is made of memory that the loop keeps ready, and if
 * that fails the burial is done at the next turn's end.
 */
void loop_bury(struct loop *l, void (*bury)(void *what), void *what);

/* One timer, inside other structs: as long as it is set it must stay where it
 * is. */
struct timer {
    struct tick tick;
    struct loop *loop; /* borrowed */
    void (*on_time)(void *arg);
    void *arg;
};

/* Not set yet; on_time is called from the loop's events. */
void timer_init(struct timer *t, struct loop *l, void (*on_time)(void *arg),
                void *arg);

/* Fire once in ms (>= 0) from now; an earlier setting is forgotten.  Needs no
 * memory. */
void timer_set(struct timer *t, int64_t ms);
void timer_stop(struct timer *t);
bool timer_pending(const struct timer *t);
void timer_clear(struct timer *t);

/* A descriptor that is watched for reading as long as the watch lives (the
 * store's, a signalfd, ...). */
struct watch;
/* out  given: watch_free().  Errors: E_NOMEM, E_SYSTEM. */
MUST_USE enum err watch_new(struct loop *l, int fd, void (*on_ready)(void *arg),
                            void *arg, struct watch **out);
void watch_free(struct watch **w);

#endif
