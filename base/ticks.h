/* ticks.h - what waits for a time, in the order of the times.
 *
 * A radix heap.  What waits hangs in the list of the highest bit in which its
 * time differs from the time that was reached; when that is due to move on,
 * one list is dealt out to those below it.  So to set or to forget one is a
 * matter of two links: it asks for no memory and cannot fail, and in all its
 * waiting one is moved once for every bit of its wait at most. */
#ifndef BASE_TICKS_H
#define BASE_TICKS_H

#include <stdint.h>

#include "base/list.h"

#define TICKS_NEVER INT64_MAX

/* A time has 63 bits, and may differ in none. */
#define TICKS_LISTS 64

/* Inside other structs.  Who forgets one takes it out by
 * list_remove(&tick.link). */
struct tick {
    struct list link; /* borrowed: in a list of ticks, or in none */
    int64_t at_ms;
    void (*run)(struct tick *t);
};

struct ticks {
    int64_t reached_ms;             /* all that waits is due at it or later */
    struct list lists[TICKS_LISTS]; /* by the highest bit that differs */
};

/* Nothing waits; now_ms (>= 0) and all times are of one clock. */
void ticks_init(struct ticks *h, int64_t now_ms);

/* t->run is due at at_ms; what has passed is due at once.  An earlier setting
 * is forgotten. */
void ticks_set(struct ticks *h, struct tick *t, int64_t at_ms);

/* Move all that is due at now_ms behind due, in the order of their times. */
void ticks_take_due(struct ticks *h, int64_t now_ms, struct list *due);

/* When to look again: when the first one is due, or before that; TICKS_NEVER:
 * nothing waits. */
int64_t ticks_next(const struct ticks *h);

#endif
