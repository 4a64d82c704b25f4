/* reconcile.c - see reconcile.h.
 *
 *   the record was   listed at the back end      not listed
 *   INTENT           DELETE, drop                drop (later, when young)
 *   RUNNING          (as it should be)           drop, end it: known gone
 *   ENDING           DELETE, drop                drop
 *   none             told to the log; removed
 *                    when adopt says so
 *
 * "Was": before the list was asked for, and still is, with no job at work on
 * it: what began or ended meanwhile is not judged by a list that may be
 * older.  A back end that does not answer, or answers nonsense, proves
 * nothing. */
#include "live/reconcile.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "live/commit.h"
#include "live/create.h"
#include "live/expiry.h"
#include "live/health.h"
#include "live/intent.h"
#include "live/link.h"
#include "live/rest.h"
#include "live/sandbox.h"

#define PROBE_MS 5000
#define LIST_MS 20000
#define DELETE_MS 10000
#define APART_MS 1000  /* between two looks */
#define ROUND_MS 60000 /* a look all the same */
#define BACK_OFF_MS 250
#define BACK_OFF_MAX_MS 3000
#define YOUNG_MS 5000 /* until a young intent is looked at again */
#define AT_ONCE 16    /* rows that are worked on */
#define TOLD_MAX 20   /* sandboxes without a record named in the log */
#define ROWS_BYTES (64u << 20)

enum step { RECONCILE_IDLE, RECONCILE_PROBE, RECONCILE_LIST, RECONCILE_WORK };

/* A record as it was, or a sandbox that has none. */
struct row {
    struct reconcile *of;
    char id[65]; /* a back end's ids have at most 64 */
    uint64_t life;
    enum sandbox_state state;
    bool native;
    bool orphan; /* no record: life and state mean nothing */
    bool listed;
    struct rest *rest;
    struct commit *commit;
};

struct reconcile {
    struct backend *backend;
    enum step step;
    bool wanted; /* look again when this is over */
    bool missed; /* something is left to do */
    bool young;  /* an intent is too young to be judged */
    bool pumping;
    int64_t last_ms; /* when the last look began; 0 never */
    int64_t back_off_ms;
    struct timer timer;
    struct rest *rest;
    struct row *rows; /* owned */
    unsigned count, room, next, busy;
    unsigned dropped, deleted, orphans;
};

static void pump(struct reconcile *r);

/* ---- the end of a look ---- */

static void sleep_for(struct reconcile *r, int64_t ms)
{
    timer_set(&r->timer, ms > 0 ? ms : 0);
}

/* Those who asked whether a sandbox is gone: it was not proved. */
static void answer_suspects(struct reconcile *r)
{
    struct live *l = r->backend->live;

    for (unsigned i = 0; i < l->bucket_count; i++)
        for (struct list *link = l->buckets[i].next, *after;
             link != &l->buckets[i]; link = after) {
            struct live_sandbox *ls = LIST_OF(link, struct live_sandbox, link);

            after = link->next;
            if (!ls->suspect || !str_eq(ls->record->backend, r->backend->name))
                continue;
            ls->suspect = false;
            health_tell(ls, E_SANDBOX_UNKNOWN);
        }
}

static void over(struct reconcile *r, bool failed)
{
    mem_free(r->rows);
    r->rows = NULL;
    r->count = r->room = r->next = 0;
    r->step = RECONCILE_IDLE;
    if (r->dropped || r->deleted)
        log_say(LOG_INFO, "back end %.*s: %u records dropped, %u deleted",
                STR_FMT(r->backend->name), r->dropped, r->deleted);
    answer_suspects(r);
    if (!r->backend->configured) {
        sleep_for(r, ROUND_MS);
        return;
    }
    if (failed || r->missed) {
        sleep_for(r, r->back_off_ms);
        r->back_off_ms *= 2;
        if (r->back_off_ms > BACK_OFF_MAX_MS)
            r->back_off_ms = BACK_OFF_MAX_MS;
        return;
    }
    r->back_off_ms = BACK_OFF_MS;
    if (r->wanted)
        sleep_for(r, APART_MS);
    else
        sleep_for(r, r->young ? YOUNG_MS : ROUND_MS);
}

/* ---- one row ---- */

static void row_done(struct row *w, bool done)
{
    struct reconcile *r = w->of;

    if (!done)
        r->missed = true;
    r->busy--;
    pump(r);
}

static void on_dropped(void *arg, enum err err)
{
    struct row *w = arg;
    struct live *l = w->of->backend->live;

    w->commit = NULL;
    if (!err) {
        w->of->dropped++;
        if (w->state == SANDBOX_RUNNING)
            log_say(LOG_WARN, "sandbox %s is gone: back end %.*s has lost it",
                    w->id, STR_FMT(w->of->backend->name));
        live_sandbox_end(l, str_of(w->id));
    }
    row_done(w, !err || err == E_CONFLICT);
}

static void drop(struct row *w)
{
    struct live *l = w->of->backend->live;
    struct sandbox key = {
        .id = str_of(w->id), .life = w->life, .native = w->native};
    struct change change = {.kind = CHANGE_DROP_SANDBOX,
                            .sandbox = &key,
                            .condition = IF_STATE,
                            .if_state = w->state,
                            .if_life = w->life};
    struct change all[2];
    struct link before;
    unsigned n = link_drop_changes(l, &key, &change, &before, all);

    if (commit_start(l, all, n, on_dropped, w, &w->commit))
        row_done(w, false);
}

static void on_deleted(void *arg, const struct rest_answer *a)
{
    struct row *w = arg;
    bool done = a->err == E_OK || a->err == E_NOT_FOUND;

    rest_free(&w->rest);
    w->of->deleted += a->err == E_OK;
    if (done && !w->orphan)
        drop(w);
    else
        row_done(w, done);
}

static void erase(struct row *w)
{
    if (rest_delete(w->of->backend, str_of(w->id), DELETE_MS, on_deleted, w,
                    &w->rest))
        row_done(w, false);
}

/* Is the record what it was, with nobody at work on it? */
static bool unchanged(struct row *w)
{
    struct live *l = w->of->backend->live;
    struct live_sandbox *ls = live_sandbox_known(l, str_of(w->id));
    const struct sandbox *now;

    if (ls && !list_empty(&ls->jobs))
        return false;
    return store_find_sandbox(l->store, str_of(w->id), &now) == FOUND &&
           now->life == w->life && now->state == w->state;
}

/* A fork may still be on its way to the back end. */
static bool is_young(struct row *w)
{
    struct live *l = w->of->backend->live;
    const struct sandbox *now;
    int64_t age_ms;

    if (store_find_sandbox(l->store, str_of(w->id), &now) != FOUND)
        return false;
    age_ms = clock_wall_ms() - now->started_ms;
    return age_ms > -create_grace_ms(l) && age_ms < create_grace_ms(l);
}

/* All is well; but a record that the store could not tell of at the start
 * has no end in live's heap yet. */
static bool watch_end(struct row *w)
{
    struct live *l = w->of->backend->live;
    const struct sandbox *now;
    struct live_sandbox *ls;

    if (store_find_sandbox(l->store, str_of(w->id), &now) != FOUND)
        return true;
    ls = live_sandbox_find(l, now);
    return ls && (ls->due_at || expiry_set(ls) == E_OK);
}

static void work(struct row *w)
{
    struct reconcile *r = w->of;

    r->busy++;
    if (w->orphan) {
        /* A native client may have chosen its id meanwhile. */
        if (intent_id_free(r->backend->live, str_of(w->id)) == E_OK)
            erase(w);
        else
            row_done(w, true);
    } else if (!unchanged(w)) {
        row_done(w, true);
    } else if (w->state == SANDBOX_RUNNING && w->listed) {
        row_done(w, watch_end(w));
    } else if (w->listed) {
        erase(w);
    } else if (w->state == SANDBOX_INTENT && is_young(w)) {
        r->young = true;
        row_done(w, true);
    } else {
        drop(w);
    }
}

/* Begin as many rows as may be under way.  Called again by each that ends,
 * from inside too: the loop below is then the outer one's. */
static void pump(struct reconcile *r)
{
    if (r->step != RECONCILE_WORK || r->pumping)
        return;
    r->pumping = true;
    while (r->next < r->count && r->busy < AT_ONCE)
        work(&r->rows[r->next++]);
    r->pumping = false;
    if (r->next == r->count && !r->busy)
        over(r, false);
}

/* ---- the list ---- */

MUST_USE static struct row *add(struct reconcile *r, struct str id)
{
    struct row *w;

    if (r->count == r->room) {
        unsigned room = r->room ? 2 * r->room : 64;
        struct row *more = mem_realloc(r->rows, room * sizeof(*more));

        if (!more)
            return NULL;
        r->rows = more;
        r->room = room;
    }
    w = &r->rows[r->count++];
    memset(w, 0, sizeof(*w));
    w->of = r;
    memcpy(w->id, id.p, id.n);
    return w;
}

/* The records of this back end, as they are before it is asked. */
MUST_USE static bool remember(struct reconcile *r)
{
    const struct sandbox **all;
    struct arena *a;
    unsigned count;
    bool done = true;

    if (arena_new(ROWS_BYTES, &a))
        return false;
    if (store_list_sandboxes(r->backend->live->store, STR_NONE, a, &all,
                             &count) != FOUND) {
        arena_free(&a);
        return false;
    }
    for (unsigned i = 0; i < count && done; i++) {
        struct row *w;

        if (!str_eq(all[i]->backend, r->backend->name) ||
            all[i]->id.n >= sizeof(w->id))
            continue;
        w = add(r, all[i]->id);
        done = w != NULL;
        if (w) {
            w->life = all[i]->life;
            w->native = all[i]->native;
            w->state = all[i]->state;
        }
    }
    arena_free(&a);
    return done;
}

/* What the back end may call a sandbox: it goes into a path. */
static bool id_ok(struct str id)
{
    if (!id.p || id.n < 1 || id.n > 64)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* The ids of the answer as the keys of an object; NULL: not a list. */
static json_t *ids_of(const json_t *list)
{
    json_t *ids = json_is_array(list) ? json_object() : NULL;

    for (size_t i = 0; ids && i < json_array_size(list); i++) {
        struct str id = json_str(json_array_get(list, i), "id");

        if (!id_ok(id) || json_object_set_new(ids, id.p, json_true())) {
            json_decref(ids);
            return NULL;
        }
    }
    return ids;
}

static void orphan(struct reconcile *r, struct str id)
{
    const struct sandbox *now;
    struct backend *b = r->backend;
    struct row *w;

    if (store_find_sandbox(b->live->store, id, &now) != ABSENT)
        return;
    if (r->orphans++ < TOLD_MAX)
        log_say(LOG_WARN, "back end %.*s has sandbox %.*s without a record%s",
                STR_FMT(b->name), STR_FMT(id),
                b->adopt ? ": it is removed" : "");
    if (!b->adopt)
        return;
    w = add(r, id);
    if (w)
        w->orphan = true;
    else
        r->missed = true;
}

static void compare(struct reconcile *r, json_t *ids)
{
    const char *id;
    json_t *value;

    for (unsigned i = 0; i < r->count; i++) {
        r->rows[i].listed = json_object_get(ids, r->rows[i].id) != NULL;
        json_object_del(ids, r->rows[i].id);
    }
    r->orphans = 0;
    json_object_foreach(ids, id, value) orphan(r, str_of(id));
    if (r->orphans > TOLD_MAX)
        log_say(LOG_WARN, "back end %.*s has %u sandboxes without a record",
                STR_FMT(r->backend->name), r->orphans);
}

static void on_list(void *arg, const struct rest_answer *a)
{
    struct reconcile *r = arg;
    json_t *ids = a->err == E_OK ? ids_of(a->json) : NULL;

    rest_free(&r->rest);
    if (!ids) {
        if (a->err == E_OK || a->err == E_BACKEND_GARBAGE)
            log_say(LOG_WARN, "back end %.*s: its list is not to be understood",
                    STR_FMT(r->backend->name));
        over(r, true);
        return;
    }
    compare(r, ids);
    json_decref(ids);
    r->step = RECONCILE_WORK;
    pump(r);
}

static void list(struct reconcile *r)
{
    struct rest_request want = {.method = METHOD_GET,
                                .target = STR("/v1/sandboxes"),
                                .idempotent = true,
                                .deadline_ms = LIST_MS};

    r->step = RECONCILE_LIST;
    r->wanted = r->missed = r->young = false;
    r->dropped = r->deleted = 0;
    r->count = r->next = 0;
    r->backend->doubted = false;
    if (!remember(r) || rest_start(r->backend, &want, on_list, r, &r->rest))
        over(r, true);
}

/* ---- probe and timer ---- */

static void on_probe(void *arg, const struct rest_answer *a)
{
    struct reconcile *r = arg;
    enum err err = a->err;

    rest_free(&r->rest);
    /* It took the connection and says nothing: that is down, too. */
    if (err == E_UPSTREAM_DEADLINE)
        backend_heard(r->backend, BACKEND_DOWN);
    if (err)
        over(r, true);
    else
        list(r);
}

static void probe(struct reconcile *r)
{
    struct rest_request want = {.method = METHOD_GET,
                                .target = STR("/v1/health"),
                                .idempotent = true,
                                .deadline_ms = PROBE_MS};

    r->step = RECONCILE_PROBE;
    if (rest_start(r->backend, &want, on_probe, r, &r->rest))
        over(r, true);
}

static void on_time(void *arg)
{
    struct reconcile *r = arg;

    r->last_ms = clock_ms();
    r->wanted = false;
    if (r->backend->health != BACKEND_UP || r->backend->doubted)
        probe(r);
    else
        list(r);
}

void reconcile_want(struct backend *b)
{
    struct reconcile *r = b->reconcile;
    int64_t since_ms;

    if (!r) {
        r = mem_new(sizeof(*r));
        if (!r) {
            log_say(LOG_ERROR, "no memory to look after a back end");
            return;
        }
        timer_init(&r->timer, b->live->loop, on_time, r);
        r->backend = b;
        r->back_off_ms = BACK_OFF_MS;
        b->reconcile = r;
    }
    r->wanted = true;
    if (r->step != RECONCILE_IDLE)
        return;
    since_ms = clock_ms() - r->last_ms;
    if (!r->last_ms || since_ms >= APART_MS)
        sleep_for(r, 0);
    else
        sleep_for(r, APART_MS - since_ms);
}

static void bury(void *what)
{
    mem_free(what);
}

void reconcile_clear(struct backend *b)
{
    struct reconcile *r = b->reconcile;

    b->reconcile = NULL;
    if (!r)
        return;
    rest_free(&r->rest);
    for (unsigned i = 0; i < r->count; i++) {
        rest_free(&r->rows[i].rest);
        commit_forget(&r->rows[i].commit);
    }
    timer_clear(&r->timer);
    mem_free(r->rows);
    loop_bury(b->live->loop, bury, r);
}
