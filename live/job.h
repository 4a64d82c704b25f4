/* job.h - a change of a sandbox's life: who waits, whose turn it is.
 *
 * A job belongs to the worker.  Of one sandbox's jobs the first runs, the
 * others wait for it and look at the record anew when their turn comes. */
#ifndef LIVE_JOB_H
#define LIVE_JOB_H

#include "live/commit.h"
#include "live/later.h"
#include "live/sandbox.h"

/* First member of what the kinds of jobs need. */
struct job {
    struct list link;        /* in live's jobs */
    struct list turn;        /* in its sandbox's jobs */
    struct live *live;       /* borrowed */
    struct live_sandbox *ls; /* borrowed: the job hangs on it; or NULL */
    struct list waiters;     /* struct waiter */
    struct later later;
    struct commit *commit;          /* borrowed; NULL when none is under way */
    enum err failed;                /* of an answer in the next turn */
    bool effect;                    /* a failure may have changed something at
                                       the back end: told with it */
    unsigned retry_s;               /* likewise, told with a failure; 0 */
    void (*start)(struct job *job); /* its turn has come */
    void (*clear)(struct job *job); /* drop what the kind owns; may be NULL */
};

/*
 * Set up a job of size bytes (the kind's struct), zeroed, in live's jobs.
 * out  given: job_end()
 * Errors: E_NOMEM.
 */
MUST_USE enum err job_new(struct live *l, size_t size,
                          void (*start)(struct job *job), struct job **out);

/* Put it behind the sandbox's other jobs; start() is called from the loop
 * when it is the first. */
void job_queue(struct job *job, struct live_sandbox *ls);

/* Tell every waiter, once; from the loop only.  record may be NULL. */
void job_answer(struct job *job, enum err err, const struct sandbox *record,
                bool replayed);

/* The same with all that a job can bring; result is borrowed. */
void job_tell(struct job *job, enum err err, const struct op_result *result);

/* Answer from the loop, in the next turn, and end. */
void job_fail_later(struct job *job, enum err err);

/* Commit something for the job: done runs with the job unless it was
 * cleared meanwhile.  Errors: as commit_start(). */
MUST_USE enum err job_commit(struct job *job, const struct change *changes,
                             unsigned count, store_done *done);

/* Taken: freed after the turn; the sandbox's next job gets its turn.  Who
 * still waits is told E_INTERNAL: that does not happen. */
void job_end(struct job *job);

/* Somebody waits for it.  out  given: job_leave().  Errors: E_NOMEM. */
MUST_USE enum err job_wait(struct job *job,
                           void (*on_result)(void *arg, enum err err,
                                             const struct op_result *result),
                           void *arg, struct waiter **out);

/* live.c's: all jobs are dropped where they are. */
void job_clear(struct live *l);

#endif
