/* later.h - something to be done in the loop's next turn. */
#ifndef LIVE_LATER_H
#define LIVE_LATER_H

#include "base/list.h"
#include "live/root.h"

/* Inside other structs; zero is "nothing waits". */
struct later {
    struct list link; /* in live's laters */
    void (*on_later)(void *arg);
    void *arg;
};

/* Call on_later(arg) from the loop, once, in the order of asking.  Asking
 * again while it waits changes what is called. */
void later_do(struct live *l, struct later *x, void (*on_later)(void *arg),
              void *arg);

/* Not any more; harmless when nothing waits. */
void later_undo(struct later *x);

/* live.c's: set up and take down. */
void later_init(struct live *l);
void later_clear(struct live *l);

#endif
