/* job.c - see job.h. */
#include "live/job.h"

#include "base/mem.h"
#include "live/root.h"

struct waiter {
    struct list link;  /* in its job's waiters; in none when it was told */
    struct loop *loop; /* borrowed: outlives live */
    void (*on_result)(void *arg, enum err err, const struct op_result *result);
    void *arg;
};

enum err job_new(struct live *l, size_t size, void (*start)(struct job *job),
                 struct job **out)
{
    struct job *job = mem_new(size);

    *out = job;
    if (!job)
        return E_NOMEM;
    job->live = l;
    job->start = start;
    list_init(&job->waiters);
    list_push(&l->jobs, &job->link);
    return E_OK;
}

static void on_turn(void *arg)
{
    struct job *job = arg;

    job->start(job);
}

void job_queue(struct job *job, struct live_sandbox *ls)
{
    bool first = list_empty(&ls->jobs);

    job->ls = ls;
    list_push(&ls->jobs, &job->turn);
    if (first)
        later_do(job->live, &job->later, on_turn, job);
}

void job_answer(struct job *job, enum err err, const struct sandbox *record,
                bool replayed)
{
    struct op_result result = {.sandbox = record,
                               .replayed = replayed,
                               .effect = err && job->effect,
                               .retry_s = err ? job->retry_s : 0};

    job_tell(job, err, &result);
}

void job_tell(struct job *job, enum err err, const struct op_result *result)
{
    struct list *link;

    while ((link = list_pop(&job->waiters))) {
        struct waiter *w = LIST_OF(link, struct waiter, link);

        w->on_result(w->arg, err, result);
    }
}

enum err job_commit(struct job *job, const struct change *changes,
                    unsigned count, store_done *done)
{
    return commit_start(job->live, changes, count, done, job, &job->commit);
}

static void bury(void *what)
{
    mem_free(what);
}

/* Take it out of everything it stands in. */
static void drop(struct job *job)
{
    struct live_sandbox *ls = job->ls;
    bool first = ls && ls->jobs.next == &job->turn;

    later_undo(&job->later);
    commit_forget(&job->commit);
    if (job->clear)
        job->clear(job);
    list_remove(&job->link);
    list_remove(&job->turn);
    loop_bury(job->live->loop, bury, job);
    if (first && !list_empty(&ls->jobs)) {
        struct job *next = LIST_OF(ls->jobs.next, struct job, turn);

        later_do(next->live, &next->later, on_turn, next);
    }
    if (ls)
        live_sandbox_settle(ls);
}

void job_end(struct job *job)
{
    job_answer(job, E_INTERNAL, NULL, false);
    drop(job);
}

static void on_failed(void *arg)
{
    struct job *job = arg;

    job_answer(job, job->failed, NULL, false);
    drop(job);
}

void job_fail_later(struct job *job, enum err err)
{
    job->failed = err;
    later_do(job->live, &job->later, on_failed, job);
}

enum err job_wait(struct job *job,
                  void (*on_result)(void *arg, enum err err,
                                    const struct op_result *result),
                  void *arg, struct waiter **out)
{
    struct waiter *w = mem_new(sizeof(*w));

    *out = w;
    if (!w)
        return E_NOMEM;
    w->loop = job->live->loop;
    w->on_result = on_result;
    w->arg = arg;
    list_push(&job->waiters, &w->link);
    return E_OK;
}

void job_leave(struct waiter **wp)
{
    struct waiter *w = *wp;

    *wp = NULL;
    if (!w)
        return;
    list_remove(&w->link);
    loop_bury(w->loop, bury, w);
}

void job_clear(struct live *l)
{
    while (!list_empty(&l->jobs)) {
        struct job *job = LIST_OF(l->jobs.next, struct job, link);

        while (list_pop(&job->waiters))
            ;
        drop(job);
    }
}
