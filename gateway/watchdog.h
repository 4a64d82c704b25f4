/* watchdog.h - ends the process when its event loop turns no more, whether it
 * spins or waits for something that does not come.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_WATCHDOG_H
#define GATEWAY_WATCHDOG_H

#include <signal.h>
#include <time.h>

#include "net/loop.h"

struct watchdog {
    struct timer tick; /* the loop turns */
    timer_t alarm;     /* it has not for long */
    bool armed;        /* alarm was made */
    int64_t first_ms, again_ms;
    volatile sig_atomic_t warned; /* first_ms are over */
};

/*
 * Without a turn of the loop for first_ms, and then for again_ms, a line goes
 * to standard error and the process aborts.  Two steps, because a process
 * that was stopped for long (SIGSTOP, a frozen machine) finds the first one
 * over when it goes on.  Takes SIGALRM.  Turns are looked at every second, or
 * more often if first_ms is short.
 * Errors: E_NOMEM, E_SYSTEM; w can be stopped all the same.
 * Source: threats.md Z-02.
 */
MUST_USE enum err watchdog_start(struct watchdog *w, struct loop *loop,
                                 int64_t first_ms, int64_t again_ms);
void watchdog_stop(struct watchdog *w);

#endif
