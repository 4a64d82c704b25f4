/* pressure.h - how much memory the worker uses, and what follows from it.
 *
 * For the files of gateway/ only.  Source: threats.md E-07. */
#ifndef GATEWAY_PRESSURE_H
#define GATEWAY_PRESSURE_H

#include <stdint.h>

#include "net/loop.h"

enum pressure_level {
    PRESSURE_EASY,
    PRESSURE_TIGHT, /* above 80 %: nothing new is begun */
    PRESSURE_FULL   /* above 90 %: what is idle goes */
};

/* Inside other structs. */
struct pressure {
    struct timer timer;
    int64_t max_bytes; /* 0: there is no limit */
    int64_t used_bytes;
    enum pressure_level level;
    int64_t trim_ms; /* when free memory may be given back again */
    /* After each look while it is not EASY, and once when it is again. */
    void (*on_level)(void *arg, enum pressure_level level);
    void *arg; /* borrowed */
};

/* The level after one more measuring; it falls some way below where it
 * rises.  max_bytes  0: always EASY */
enum pressure_level pressure_judge(enum pressure_level now, int64_t used_bytes,
                                   int64_t max_bytes);

/* Memory of this process that is resident, as top shows it; -1 when it cannot
 * be measured. */
int64_t pressure_measure(void);

/* on_level runs in the loop. */
void pressure_init(struct pressure *p, struct loop *loop,
                   void (*on_level)(void *arg, enum pressure_level level),
                   void *arg);

/* The limit from now on, of this thread's memory too; 0: none. */
void pressure_set(struct pressure *p, int64_t max_bytes);

/* Look now; the timer does it four times a second while there is a limit. */
void pressure_look(struct pressure *p);

/* Harmless before pressure_init(). */
void pressure_clear(struct pressure *p);

#endif
