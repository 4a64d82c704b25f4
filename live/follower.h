/* follower.h - who listens to a process: what is told, what waits.
 *
 * Events go out from the loop, never from inside an order.  A follower that
 * is paused has a queue; what was put is told before the end.
 * For the files of live/ only. */
#ifndef LIVE_FOLLOWER_H
#define LIVE_FOLLOWER_H

#include "base/buf.h"
#include "live/later.h"
#include "live/order.h"

struct process;
struct follower;

/* Bytes that one of several may be behind before all wait for it. */
#define FOLLOWER_BEHIND_BYTES (1 << 20)

/* What the part that owns it does about it. */
struct follower_owner {
    /* It was paused, resumed, or has told what waited: look whether the
     * process may go on. */
    void (*on_flow)(struct follower *f);
    /* The subscriber leaves, or was told the last: take it off the lists. */
    void (*on_gone)(struct follower *f);
};

struct follower {
    struct subscription sub; /* first; sub.link in its owner's list */
    const struct follower_owner *owner;
    struct live *live;           /* borrowed */
    struct process_table *table; /* borrowed */
    struct process *process;     /* borrowed; NULL: follows nothing now */
    struct later later;          /* the owner's, until it follows */
    struct buf queue;            /* whole frames that wait */
    struct timer slow;           /* too far behind for too long */
    uint32_t pid;                /* of a connect; 0: by tag */
    struct str tag;              /* owned; absent: by pid */
    enum err refused;            /* known before it began: told in a turn */
    struct str detail;           /* owned; of that */
    bool paused;
    bool ended; /* the end is told when the queue is empty */
    bool over;  /* the last event was told, or it left */
};

/* out  given to its subscriber.  Errors: E_NOMEM. */
MUST_USE enum err follower_new(struct live *l, const struct follower_owner *o,
                               const struct live_events *events, void *arg,
                               struct follower **out);

/* The first result. */
void follower_tell(struct follower *f, enum err err, uint32_t pid,
                   struct str detail);

/* Frames: told at once, or kept.  Out of memory: it is cut. */
void follower_put(struct follower *f, struct str frames);

/* The end, after what waits. */
void follower_end(struct follower *f);

/* The other end, at once. */
void follower_cut(struct follower *f, enum err why);

/* How far behind it is. */
static inline size_t follower_behind(const struct follower *f)
{
    return buf_len(&f->queue);
}

/* It is one of several and too far behind, or no more: start or stop the 10 s
 * after which it is told E_EXHAUSTED. */
void follower_hurry(struct follower *f, bool hurry);

#endif
