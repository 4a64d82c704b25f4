/* life.c - see life.h, and job_begin() of live.h.
 *
 * A kill: the record is written as ending (from then on it is gone for
 * every client), what hangs on the sandbox is cut, the back end is told, the
 * record is dropped.  The waiter hears E_OK when ENDING is durable and the
 * back end has deleted it, or will: a record that stays ENDING is worked
 * off by reconcile.c. */
#include "live/life.h"

#include "base/clock.h"
#include "base/log.h"
#include "live/create.h"
#include "live/expiry.h"
#include "live/job.h"
#include "live/link.h"
#include "live/rest.h"

#define DELETE_MS 5000 /* the client waits that long at most */
#define AGAIN_MS 1000  /* an expiry that the store did not take */
/* Questions to a back end at once.  Of a thousand ends at the same moment the
 * rest is left to reconcile.c. */
#define DELETES_MAX 64

struct life {
    struct job job;
    enum job_kind kind;
    bool expiry; /* a KILL by the clock: nobody waits */
    int64_t timeout_s;
    const struct sandbox *record; /* counted: the version being written */
    struct rest *rest;            /* owned */
};

static struct life *of(void *arg)
{
    return arg;
}

static void clear(struct job *job)
{
    struct life *f = of(job);

    rest_free(&f->rest);
    sandbox_unref(&f->record);
}

static void finish(struct life *f, enum err err)
{
    job_answer(&f->job, err, err ? NULL : f->record, false);
    job_end(&f->job);
}

/* The clock's kill could not be done: it is not forgotten. */
static void again(struct life *f)
{
    if (f->expiry && !f->job.ls->ended)
        expiry_again(f->job.ls, AGAIN_MS);
}

/* ---- what the records say ---- */

/* Errors: E_SANDBOX_GONE, E_STORE. */
MUST_USE static enum err find(struct live *l, struct str id,
                              const struct sandbox **out)
{
    *out = NULL;
    switch (store_find_sandbox(l->store, id, out)) {
    case FOUND:
        return (*out)->state == SANDBOX_RUNNING ? E_OK : E_SANDBOX_GONE;
    case ABSENT:
        return E_SANDBOX_GONE;
    case UNKNOWN:
        break;
    }
    return E_STORE;
}

/* What a commit's failure means. */
static enum err of_commit(enum err err)
{
    if (err == E_CONFLICT)
        return E_SANDBOX_GONE;
    return err == E_NOMEM ? E_NOMEM : E_STORE;
}

/* Write a new version of a running record. */
MUST_USE static enum err put(struct life *f, const struct sandbox *model,
                             store_done *done)
{
    struct sandbox *fresh;
    struct change change = {.kind = CHANGE_PUT_SANDBOX,
                            .condition = IF_STATE,
                            .if_state = SANDBOX_RUNNING,
                            .if_life = model->life};
    enum err err = sandbox_new(model, &fresh);

    if (err)
        return err;
    sandbox_unref(&f->record);
    f->record = fresh;
    change.sandbox = fresh;
    return job_commit(&f->job, &change, 1, done);
}

/* ---- kill ---- */

static void on_dropped(void *arg, enum err err)
{
    struct life *f = arg;
    struct backend *b = backend_find(f->job.live, f->record->backend);

    f->job.commit = NULL;
    if (err && b)
        backend_doubt(b); /* reconcile.c drops it */
    finish(f, E_OK);
}

static void drop(struct life *f)
{
    struct change change = {.kind = CHANGE_DROP_SANDBOX,
                            .sandbox = f->record,
                            .condition = IF_STATE,
                            .if_state = SANDBOX_ENDING,
                            .if_life = f->record->life};
    struct change all[2];
    struct link before;
    unsigned n =
        link_drop_changes(f->job.live, f->record, &change, &before, all);

    if (job_commit(&f->job, all, n, on_dropped))
        on_dropped(f, E_STORE);
}

static void on_deleted(void *arg, const struct rest_answer *a)
{
    struct life *f = arg;
    struct backend *b = backend_find(f->job.live, f->record->backend);

    rest_free(&f->rest);
    if (a->err == E_OK || a->err == E_NOT_FOUND) {
        drop(f);
        return;
    }
    log_say(LOG_WARN, "sandbox %.*s is ending, back end: %s; asked again",
            STR_FMT(f->record->id), err_text(a->err));
    if (b)
        backend_doubt(b);
    finish(f, E_OK);
}

/* Those behind must not wait for the back end: it is gone for them. */
static void hurry(struct life *f)
{
    struct list *turns = &f->job.ls->jobs;

    while (turns->next->next != turns) {
        struct job *job = LIST_OF(turns->next->next, struct job, turn);

        job_answer(job, E_SANDBOX_GONE, NULL, false);
        job_end(job);
    }
}

static void on_ending(void *arg, enum err err)
{
    struct life *f = arg;
    struct live *l = f->job.live;
    struct backend *b;

    f->job.commit = NULL;
    if (err) {
        if (err != E_CONFLICT)
            again(f);
        finish(f, of_commit(err));
        return;
    }
    hurry(f);
    live_sandbox_end(l, f->record->id);
    b = backend_find(l, f->record->backend);
    if (b && b->rest_count < DELETES_MAX &&
        !rest_delete(b, f->record->id, DELETE_MS, on_deleted, f, &f->rest))
        return;
    if (b)
        backend_doubt(b);
    finish(f, E_OK);
}

static void kill_it(struct life *f, const struct sandbox *now)
{
    struct sandbox model = *now;
    enum err err;

    model.state = SANDBOX_ENDING;
    err = put(f, &model, on_ending);
    if (!err)
        return;
    again(f);
    finish(f, of_commit(err));
}

/* ---- time limits ---- */

static void on_extended(void *arg, enum err err)
{
    struct life *f = arg;

    f->job.commit = NULL;
    if (err) {
        finish(f, of_commit(err));
        return;
    }
    if (!f->job.ls->ended) {
        live_sandbox_renew(f->job.ls, f->record);
        /* It stood in the heap, or did until its end came: there is room. */
        if (expiry_set(f->job.ls))
            log_say(LOG_ERROR, "no memory for the end of a sandbox");
    }
    finish(f, E_OK);
}

static void limit(struct life *f, const struct sandbox *now)
{
    struct sandbox model = *now;
    enum err err;

    model.end_ms = clock_wall_ms() + f->timeout_s * 1000;
    if (f->kind == JOB_EXTEND && model.end_ms <= now->end_ms) {
        f->record = sandbox_ref(now);
        finish(f, E_OK);
        return;
    }
    err = put(f, &model, on_extended);
    if (err)
        finish(f, of_commit(err));
}

/* ---- turns ---- */

static void start(struct job *job)
{
    struct life *f = of(job);
    const struct sandbox *now;
    enum err err = find(job->live, job->ls->record->id, &now);

    if (!err && now->life != job->ls->record->life)
        err = E_SANDBOX_GONE;
    if (!err && f->expiry && job->ls->due_at)
        err = E_CONFLICT; /* it was given more time meanwhile */
    if (err == E_STORE)
        again(f);
    if (err)
        finish(f, err);
    else if (f->kind == JOB_KILL)
        kill_it(f, now);
    else
        limit(f, now);
}

void life_expire(struct live_sandbox *ls)
{
    struct job *job;

    if (job_new(ls->live, sizeof(struct life), start, &job)) {
        expiry_again(ls, AGAIN_MS);
        return;
    }
    job->clear = clear;
    of(job)->kind = JOB_KILL;
    of(job)->expiry = true;
    job_queue(job, ls);
}

/* ---- the door ---- */

MUST_USE static enum err change_begin(struct live *l, struct str team,
                                      const struct want_job *want,
                                      struct job **out)
{
    const struct sandbox *now;
    struct live_sandbox *ls;
    enum err err = job_new(l, sizeof(struct life), start, out);

    if (err)
        return err;
    (*out)->clear = clear;
    of(*out)->kind = want->kind;
    of(*out)->timeout_s = want->timeout_s;
    if (want->kind == JOB_TIMEOUT && want->timeout_s == 0)
        of(*out)->kind = JOB_KILL;
    err = find(l, want->id, &now);
    if (!err && !str_eq(now->team, team))
        err = E_SANDBOX_GONE; /* exactly as unknown */
    if (err) {
        job_fail_later(*out, err);
        return E_OK;
    }
    ls = live_sandbox_find(l, now);
    if (ls)
        job_queue(*out, ls);
    else
        job_fail_later(*out, E_NOMEM);
    return E_OK;
}

enum err job_begin(struct live *l, struct str team, const struct want_job *want,
                   void (*on_result)(void *arg, enum err err,
                                     const struct op_result *result),
                   void *arg, struct waiter **out)
{
    struct job *job;
    enum err err;

    if (want->kind == JOB_CREATE)
        err = create_begin(l, team, want, &job);
    else if (want->kind >= JOB_LINK_CREATE)
        err = link_begin(l, team, want, &job);
    else
        err = change_begin(l, team, want, &job);
    *out = NULL;
    if (err)
        return err;
    /* What was begun goes on; but nobody would hear of it. */
    err = job_wait(job, on_result, arg, out);
    if (err)
        job_end(job);
    return err;
}
