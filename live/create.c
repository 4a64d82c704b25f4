/* create.c - see create.h.
 *
 *   INTENT    the record is written as an intent, with the idempotency row
 *   PROBE     of an id that a client chose: is it free at the back end?  A
 *             second fork of an id would take the place of the first
 *   FORK      the back end is asked for the sandbox
 *   TEMPLATE  it did not know the template: made, then FORK once more
 *   STAT      asked until the sandbox answers
 *   RECORD    the record is written as running
 *   DELETE    it failed: what may be there is removed
 *   DROP      ... and the intent with it
 *
 * Who was waiting may have left: the job goes on.  When it is not known
 * whether the back end has made the sandbox, the intent stays and
 * reconcile.c finds out. */
#include "live/create.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "live/expiry.h"
#include "live/intent.h"
#include "live/rest.h"
#include "live/template.h"
#include "translate/fault.h"

#include <inttypes.h>
#include <stdio.h>

#define STAT_MS 5000      /* one asking */
#define STAT_AGAIN_MS 100 /* between two */
#define DELETE_MS 10000
#define LATE_FORK_MS \
    60000           /* a fork that was sent has ended by then: 4 s and \
                       a restore, mitos-sandbox-server.md 1.3 */
#define KEY_MAX 255 /* e2b-control-plane.md 3.5 */

enum create_step {
    CREATE_INTENT,
    CREATE_PROBE,
    CREATE_FORK,
    CREATE_TEMPLATE,
    CREATE_STAT,
    CREATE_RECORD,
    CREATE_DELETE,
    CREATE_DROP
};

struct create {
    struct job job;
    enum create_step step;
    bool registered; /* the template was made for this create */
    bool late;       /* the time limit has passed */
    bool native;     /* by a native client */
    bool pause_source;
    size_t source_n; /* 0: from the template */
    char source[SANDBOX_NATIVE_ID_MAX];
    enum err why; /* DELETE, DROP: what the waiters are told */
    int64_t timeout_s;
    struct backend *backend;      /* borrowed */
    const struct sandbox *record; /* counted: the intent, then running */
    struct rest *rest;            /* owned; NULL when none is under way */
    struct timer deadline;        /* of the whole create */
    struct timer again;           /* the next STAT */
    size_t key_n;                 /* 0: no Idempotency-Key */
    char key[KEY_MAX];
    unsigned char hash[32];
};

int64_t create_grace_ms(const struct live *l)
{
    return l->conf->create_timeout_s * 1000 + LATE_FORK_MS;
}

static struct create *of(void *arg)
{
    return arg;
}

/* ---- ends ---- */

static void finish(struct create *c, enum err err)
{
    job_answer(&c->job, err, err ? NULL : c->record, false);
    job_end(&c->job);
}

/* What the back end did is not known: the intent stays. */
static void leave(struct create *c, enum err why)
{
    log_say(LOG_WARN, "create of %.*s: outcome unknown (%s)",
            STR_FMT(c->record->id), err_text(why));
    backend_doubt(c->backend);
    c->job.effect = true;
    finish(c, why);
}

static enum err of_store(enum err err)
{
    return err == E_NOMEM ? E_NOMEM : E_STORE;
}

static struct idempotency row_of(const struct create *c, bool done)
{
    struct idempotency row = {.team = c->record->team,
                              .key = str_from(c->key, c->key_n),
                              .sandbox = c->record->id,
                              .at_ms = clock_wall_ms(),
                              .done = done};

    memcpy(row.request, c->hash, sizeof(row.request));
    return row;
}

static void on_dropped(void *arg, enum err err)
{
    struct create *c = arg;

    c->job.commit = NULL;
    if (err) {
        leave(c, c->why);
        return;
    }
    finish(c, c->why);
}

/* Nothing is at the back end: take the intent back. */
static void drop(struct create *c, enum err why)
{
    struct idempotency row = row_of(c, false);
    struct change changes[2] = {
        {.kind = CHANGE_DROP_SANDBOX,
         .sandbox = c->record,
         .condition = IF_STATE,
         .if_state = SANDBOX_INTENT,
         .if_life = c->record->life},
        {.kind = CHANGE_DROP_IDEMPOTENCY, .idempotency = &row}};

    c->step = CREATE_DROP;
    c->why = why;
    if (job_commit(&c->job, changes, c->key_n ? 2 : 1, on_dropped))
        leave(c, why);
}

static void on_deleted(void *arg, const struct rest_answer *a)
{
    struct create *c = arg;

    rest_free(&c->rest);
    if (a->err == E_OK || a->err == E_NOT_FOUND)
        drop(c, c->why);
    else
        leave(c, c->why);
}

/* Something may be at the back end, and nothing is on its way there. */
static void undo(struct create *c, enum err why)
{
    c->step = CREATE_DELETE;
    c->job.effect = true;
    c->why = why;
    if (rest_delete(c->backend, c->record->id, DELETE_MS, on_deleted, c,
                    &c->rest))
        leave(c, why);
}

/* ---- the record ---- */

static void on_recorded(void *arg, enum err err)
{
    struct create *c = arg;

    c->job.commit = NULL;
    if (err) {
        expiry_forget(c->job.ls);
        undo(c, of_store(err));
        return;
    }
    finish(c, E_OK);
}

/* The life time is counted from here: the sandbox answers. */
static void record(struct create *c)
{
    struct idempotency row = row_of(c, true);
    struct sandbox model = *c->record;
    struct sandbox *running;
    struct change changes[2] = {{.kind = CHANGE_PUT_SANDBOX,
                                 .condition = IF_STATE,
                                 .if_state = SANDBOX_INTENT,
                                 .if_life = model.life},
                                {.kind = CHANGE_PUT_IDEMPOTENCY}};
    enum err err;

    c->step = CREATE_RECORD;
    model.state = SANDBOX_RUNNING;
    model.started_ms = clock_wall_ms();
    model.end_ms = model.started_ms + c->timeout_s * 1000;
    err = sandbox_new(&model, &running);
    if (err) {
        undo(c, err);
        return;
    }
    row.team = running->team;
    row.sandbox = running->id;
    sandbox_unref(&c->record);
    c->record = running;
    live_sandbox_renew(c->job.ls, running);
    changes[0].sandbox = running;
    changes[1].idempotency = &row;
    /* Before the commit: a sandbox that never ends must not come to be. */
    err = expiry_set(c->job.ls);
    if (!err)
        err = job_commit(&c->job, changes, c->key_n ? 2 : 1, on_recorded);
    if (err) {
        expiry_forget(c->job.ls);
        undo(c, of_store(err));
    }
}

/* ---- the sandbox ---- */

static void stat(struct create *c);

static void on_stat(void *arg, const struct rest_answer *a)
{
    struct create *c = arg;
    bool gone =
        a->status && fault_of_answer(a->status, a->body) == E_SANDBOX_GONE;

    rest_free(&c->rest);
    if (a->err == E_OK)
        record(c);
    else if (gone)
        undo(c, E_BACKEND_GARBAGE);
    else if (!a->status && a->err == E_BACKEND_DOWN)
        undo(c, E_BACKEND_DOWN);
    else
        timer_set(&c->again, STAT_AGAIN_MS);
}

static void on_again(void *arg)
{
    stat(arg);
}

static void stat(struct create *c)
{
    enum err err =
        rest_stat(c->backend, c->record->id, STAT_MS, on_stat, c, &c->rest);

    c->step = CREATE_STAT;
    if (err)
        undo(c, err);
}

static void fork_it(struct create *c);

static void on_template(void *arg, const struct rest_answer *a)
{
    struct create *c = arg;

    rest_free(&c->rest);
    if (a->err == E_OK)
        fork_it(c);
    else
        drop(c, a->err == E_NOT_FOUND ? E_BACKEND_REFUSED : a->err);
}

static void template(struct create *c)
{
    enum err err;

    c->step = CREATE_TEMPLATE;
    c->registered = true;
    err = template_post(c->backend, c->record->backend_template, on_template, c,
                        &c->rest);
    if (err)
        drop(c, err);
}

/* Another asking with the same key is on its way: net asked again on a fresh
 * connection while the first asking lives on. */
static bool in_progress(const struct rest_answer *a)
{
    struct str cause = json_str(json_member(a->json, "error"), "cause");

    return cause.p && str_find_str(cause, STR("in progress")) < cause.n;
}

static void refused(struct create *c, const struct rest_answer *a)
{
    if (a->err == E_NOT_FOUND && c->source_n)
        drop(c, E_SANDBOX_GONE);
    else if (a->err == E_NOT_FOUND && !c->registered)
        template(c);
    else if (a->err == E_NOT_FOUND || a->err == E_BACKEND_REFUSED)
        drop(c, E_BACKEND_REFUSED);
    else if (in_progress(a))
        leave(c, E_BACKEND_BUSY);
    else
        undo(c, a->err);
}

static void on_fork(void *arg, const struct rest_answer *a)
{
    struct create *c = arg;
    const struct sandbox *s = c->record;

    rest_free(&c->rest);
    if (!a->sent)
        drop(c, a->err);
    else if (!a->status)
        leave(c, a->err);
    else if (a->err)
        refused(c, a);
    else if (!str_eq(json_str(a->json, "id"), s->id) ||
             !str_eq(json_str(a->json, "template_id"), s->backend_template))
        undo(c, E_BACKEND_GARBAGE);
    else
        stat(c);
}

static void put_fork(const struct create *c, struct buf *body)
{
    buf_put(body, STR("{\"id\":"));
    json_write_text(body, c->record->id, false, false);
    if (c->source_n) {
        buf_text(body, ",\"pause_source\":%s",
                 c->pause_source ? "true" : "false");
    } else {
        buf_put(body, STR(",\"template\":"));
        json_write_text(body, c->record->backend_template, false, false);
    }
    buf_byte(body, '}');
}

static void fork_it(struct create *c)
{
    struct rest_request want = {
        .method = METHOD_POST, .target = STR("/v1/fork"), .idempotent = true};
    char key[SANDBOX_NATIVE_ID_MAX + 24], target[SANDBOX_NATIVE_ID_MAX + 24];
    struct buf body;
    enum err err = E_NOMEM;

    c->step = CREATE_FORK;
    if (c->source_n) {
        snprintf(target, sizeof(target), "/v1/sandboxes/%.*s/fork",
                 (int)c->source_n, c->source);
        want.target = str_of(target);
    }
    snprintf(key, sizeof(key), "%.*s-%016" PRIx64, STR_FMT(c->record->id),
             c->record->life);
    want.idempotency_key = str_of(key);
    buf_init(&body, 4096);
    put_fork(c, &body);
    want.body = buf_str(&body);
    if (!body.failed)
        err = rest_start(c->backend, &want, on_fork, c, &c->rest);
    buf_clear(&body);
    if (err)
        drop(c, err);
}

static void on_probe(void *arg, const struct rest_answer *a)
{
    struct create *c = arg;
    bool unknown =
        a->status && fault_of_answer(a->status, a->body) == E_SANDBOX_GONE;

    rest_free(&c->rest);
    if (unknown)
        fork_it(c);
    else
        drop(c, a->err ? a->err : E_ALREADY_EXISTS);
}

static void probe(struct create *c)
{
    enum err err =
        rest_stat(c->backend, c->record->id, STAT_MS, on_probe, c, &c->rest);

    c->step = CREATE_PROBE;
    if (err)
        drop(c, err);
}

/* ---- the time limit ---- */

static void on_deadline(void *arg)
{
    struct create *c = arg;

    c->late = true;
    timer_stop(&c->again);
    switch (c->step) {
    case CREATE_INTENT: /* the store speaks soon; then it is taken back */
    case CREATE_RECORD: /* likewise; then it is there after all */
        break;
    case CREATE_FORK:
        rest_free(&c->rest);
        leave(c, E_UPSTREAM_DEADLINE);
        break;
    case CREATE_PROBE:
    case CREATE_TEMPLATE:
        rest_free(&c->rest);
        drop(c, E_UPSTREAM_DEADLINE);
        break;
    case CREATE_STAT:
        rest_free(&c->rest);
        c->job.effect = true; /* until it is undone */
        job_answer(&c->job, E_UPSTREAM_DEADLINE, NULL, false);
        undo(c, E_UPSTREAM_DEADLINE);
        break;
    case CREATE_DELETE:
    case CREATE_DROP:
        c->job.effect = true; /* until it is undone */
        job_answer(&c->job, c->why, NULL, false);
        break;
    }
}

/* ---- the beginning ---- */

static void on_intent(void *arg, enum err err)
{
    struct create *c = arg;

    c->job.commit = NULL;
    if (err == E_CONFLICT && c->native)
        finish(c, E_ALREADY_EXISTS);
    else if (err)
        finish(c, of_store(err));
    else if (c->late)
        drop(c, E_UPSTREAM_DEADLINE);
    else if (c->native)
        probe(c);
    else
        fork_it(c);
}

static void start(struct job *job)
{
    struct create *c = of(job);
    struct idempotency row = row_of(c, false);
    struct change changes[2] = {
        {.kind = CHANGE_PUT_SANDBOX,
         .sandbox = c->record,
         .condition = IF_ABSENT},
        {.kind = CHANGE_PUT_IDEMPOTENCY, .idempotency = &row}};
    enum err err = job_commit(job, changes, c->key_n ? 2 : 1, on_intent);

    if (err)
        finish(c, of_store(err));
}

static void clear(struct job *job)
{
    struct create *c = of(job);

    rest_free(&c->rest);
    if (c->deadline.loop)
        timer_clear(&c->deadline);
    if (c->again.loop)
        timer_clear(&c->again);
    sandbox_unref(&c->record);
}

/* ---- Idempotency-Key ---- */

/* A create of the same team with the same key that is under way. */
static struct create *running(const struct live *l, struct str team,
                              struct str key)
{
    for (struct list *link = l->jobs.next; link != &l->jobs;
         link = link->next) {
        struct job *job = LIST_OF(link, struct job, link);
        struct create *c = of(job);

        if (job->start == start && str_eq(c->record->team, team) && c->key_n &&
            str_eq(str_from(c->key, c->key_n), key))
            return c;
    }
    return NULL;
}

/* A sandbox that was made and has ended since: what the first answer said,
 * by a record of no store. */
MUST_USE static enum err rebuild(struct create *c, struct str id)
{
    struct sandbox model = *c->record;
    struct sandbox *record;
    enum err err;

    model.id = id;
    model.state = SANDBOX_ENDING;
    err = sandbox_new(&model, &record);
    if (err)
        return err;
    sandbox_unref(&c->record);
    c->record = record;
    return E_OK;
}

static void on_replay(void *arg)
{
    struct create *c = arg;

    job_answer(&c->job, E_OK, c->record, true);
    job_end(&c->job);
}

/* The row stands for a create that is over.  *replay: c->record is its
 * sandbox.  E_OK without it: known to have failed, begin anew. */
MUST_USE static enum err look_back(struct create *c,
                                   const struct idempotency *row, bool *replay)
{
    const struct sandbox *s;

    switch (store_find_sandbox(c->job.live->store, row->sandbox, &s)) {
    case FOUND:
        if (s->state == SANDBOX_INTENT)
            return E_IDEMPOTENCY_UNKNOWN;
        /* The server makes a new one when the first has ended. */
        if (c->native && s->state == SANDBOX_ENDING)
            return E_OK;
        sandbox_unref(&c->record);
        c->record = sandbox_ref(s);
        *replay = true;
        return E_OK;
    case ABSENT:
        *replay = row->done && !c->native;
        return *replay ? rebuild(c, row->sandbox) : E_OK;
    case UNKNOWN:
        break;
    }
    return E_STORE;
}

MUST_USE static enum err check_key(struct create *c, struct str team,
                                   const struct want_job *want, bool *replay)
{
    const struct create *other =
        running(c->job.live, team, want->idempotency_key);
    const struct idempotency *row;

    if (other)
        return memcmp(other->hash, want->request_hash, sizeof(c->hash)) == 0
                   ? E_IDEMPOTENCY_RUNNING
                   : E_IDEMPOTENCY_MISMATCH;
    switch (store_find_idempotency(c->job.live->store, team,
                                   want->idempotency_key, &row)) {
    case FOUND:
        if (memcmp(row->request, want->request_hash, sizeof(c->hash)) != 0)
            return E_IDEMPOTENCY_MISMATCH;
        return look_back(c, row, replay);
    case ABSENT:
        return E_OK;
    case UNKNOWN:
        break;
    }
    return E_STORE;
}

/* ---- what the team may have ---- */

/* Creates of the team that are no records yet. */
static unsigned begun(const struct live *l, struct str team)
{
    unsigned n = 0;

    for (struct list *link = l->jobs.next; link != &l->jobs;
         link = link->next) {
        struct job *job = LIST_OF(link, struct job, link);

        n += job->start == start && job->ls && of(job)->step == CREATE_INTENT &&
             str_eq(of(job)->record->team, team);
    }
    return n;
}

/* A record counts whatever its state is: what was not deleted for certain may
 * be there.
 * Errors: E_TEAM_FULL, E_TEAM_FAST, E_STORE, E_NOMEM. */
MUST_USE static enum err check_team(struct create *c, struct str team)
{
    struct live *l = c->job.live;
    struct conf_team may = conf_team(l->conf, team);
    unsigned have;

    if (may.sandboxes) {
        if (store_count_sandboxes(l->store, team, &have) != FOUND)
            return E_STORE;
        if (have + begun(l, team) >= may.sandboxes)
            return E_TEAM_FULL;
    }
    if (!may.creates)
        return E_OK;
    return allowance_take(&l->allowance, team, may.creates, clock_ms(),
                          &c->job.retry_s);
}

/* ---- */

MUST_USE static enum err set_up(struct create *c)
{
    struct live *l = c->job.live;
    struct live_sandbox *ls;

    timer_init(&c->deadline, l->loop, on_deadline, c);
    timer_init(&c->again, l->loop, on_again, c);
    ls = live_sandbox_find(l, c->record);
    if (!ls)
        return E_NOMEM;
    timer_set(&c->deadline, l->conf->create_timeout_s * 1000);
    job_queue(&c->job, ls);
    return E_OK;
}

/* Errors of here are the caller's to end the job with. */
MUST_USE static enum err prepare(struct create *c, struct str team,
                                 const struct want_job *want)
{
    bool replay = false;
    enum err err = intent_new(c->job.live, team, want, &c->record);

    if (err)
        return err;
    c->timeout_s = want->timeout_s;
    c->native = want->native;
    c->pause_source = want->pause_source;
    if (want->source.p) {
        /* It is the id of a record: intent_new() has found it. */
        c->source_n = want->source.n;
        memcpy(c->source, want->source.p, want->source.n);
    }
    c->backend = backend_find(c->job.live, c->record->backend);
    if (want->idempotency_key.p) {
        err = want->idempotency_key.n <= KEY_MAX
                  ? check_key(c, team, want, &replay)
                  : E_BAD_FIELD;
        if (err)
            return err;
        c->key_n = want->idempotency_key.n;
        memcpy(c->key, want->idempotency_key.p, c->key_n);
        memcpy(c->hash, want->request_hash, sizeof(c->hash));
    }
    if (replay) {
        c->key_n = 0; /* not one that runs */
        later_do(c->job.live, &c->job.later, on_replay, c);
        return E_OK;
    }
    if (c->native)
        err = intent_id_free(c->job.live, c->record->id);
    if (!err && !c->backend)
        err = E_BACKEND_DOWN;
    if (!err)
        err = check_team(c, team);
    return err ? err : set_up(c);
}

enum err create_begin(struct live *l, struct str team,
                      const struct want_job *want, struct job **out)
{
    enum err err = job_new(l, sizeof(struct create), start, out);

    if (err)
        return err;
    (*out)->clear = clear;
    err = prepare(of(*out), team, want);
    if (err)
        job_fail_later(*out, err);
    return E_OK;
}
