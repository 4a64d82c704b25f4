#include "tests/unit/live_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "live/backend.h"

TestSuite(live_crash, .init = rig_make, .fini = rig_remove);

/* As kill -9: what the disk has now is what the next life finds. */
static void crash(void)
{
    char command[512], image[80];

    snprintf(image, sizeof(image), "%s.image", rig.dir);
    /* Once more when a file of the store is renamed meanwhile. */
    snprintf(command, sizeof(command),
             "cp -a %s %s 2>/dev/null || { rm -rf %s && cp -a %s %s; }",
             rig.dir, image, image, rig.dir, image);
    cr_assert_eq(system(command), 0);
    rig_stop();
    snprintf(command, sizeof(command), "rm -rf %s && mv %s %s", rig.dir, image,
             rig.dir);
    cr_assert_eq(system(command), 0);
}

/* No sandbox without a record, no record without a sandbox. */
static bool agreed(void)
{
    struct arena *a;
    unsigned count;
    const struct sandbox **rows;
    bool same;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    cr_assert_eq(store_list_sandboxes(rig.store, STR_NONE, a, &rows, &count),
                 FOUND);
    same = count == fake_count(rig.fake);
    for (unsigned i = 0; i < count; i++) {
        char id[64];

        snprintf(id, sizeof(id), "%.*s", STR_FMT(rows[i]->id));
        same =
            same && rows[i]->state == SANDBOX_RUNNING && fake_has(rig.fake, id);
    }
    arena_free(&a);
    return same;
}

static void recover(void)
{
    rig_later(200000); /* an intent that is not there is old by then */
    rig_start();
    UNTIL(agreed());
}

/* One create, killed after so many turns of the loop; true when it had come
 * to its end before. */
static bool create_and_crash(unsigned turns)
{
    struct heard h;
    bool told;

    rig_start();
    rig_create(&h);
    for (unsigned i = 0; i < turns && !h.came; i++)
        rig_turn();
    told = h.came;
    job_leave(&h.waiter);
    crash();
    recover();
    if (told)
        cr_expect(rig_is(h.id, SANDBOX_RUNNING), "acknowledged: kept");
    return told;
}

Test(live_crash, loses_nothing_of_a_create_at_any_turn)
{
    bool done = false;

    for (unsigned turns = 0; turns < 60 && !done; turns++) {
        done = create_and_crash(turns);
        rig_remove();
        rig_make();
    }
    cr_expect(done);
}

static bool kill_and_crash(unsigned turns)
{
    struct heard h;
    bool told;
    const char *id;

    rig_start();
    id = rig_sandbox();
    rig_sandbox();
    rig_kill(&h, id);
    for (unsigned i = 0; i < turns && !h.came; i++)
        rig_turn();
    told = h.came;
    job_leave(&h.waiter);
    crash();
    recover();
    if (told)
        cr_expect_null(rig_record(id), "acknowledged: gone");
    cr_expect_geq(rig_records(), 1);
    return told;
}

Test(live_crash, loses_nothing_of_a_kill_at_any_turn)
{
    bool done = false;

    for (unsigned turns = 0; turns < 60 && !done; turns++) {
        done = kill_and_crash(turns);
        rig_remove();
        rig_make();
    }
    cr_expect(done);
}

/* The fork of a killed gateway reaches the back end after its successor has
 * asked for the list. */
Test(live_crash, finds_the_sandbox_of_a_fork_that_comes_late)
{
    struct heard h;

    rig_start();
    rig_later(0);
    fake_rule(rig.fake, "POST /v1/fork", FAKE_HOLD, 0, NULL, 1);
    rig_create(&h);
    UNTIL(fake_open(rig.fake) == 1);
    job_leave(&h.waiter);
    crash();
    rig_start();
    rig_settle();
    cr_expect_eq(rig_records(), 1, "too young to be judged");
    {
        struct arena *a;
        const struct sandbox **rows;
        unsigned count;
        char id[64];

        cr_assert_eq(arena_new(1 << 16, &a), E_OK);
        cr_assert_eq(
            store_list_sandboxes(rig.store, STR_NONE, a, &rows, &count), FOUND);
        snprintf(id, sizeof(id), "%.*s", STR_FMT(rows[0]->id));
        fake_add(rig.fake, id);
        arena_free(&a);
    }
    rig_later(6000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(agreed());
    cr_expect_eq(rig_records(), 0);
}

/* ---- memory ---- */

/* Begun and ended with the n-th allocation refused; true when there was one
 * that many. */
static bool create_without(long n)
{
    char key[24];
    struct want_job want = {
        .kind = JOB_CREATE, .timeout_s = 300, .template = &rig.template};
    struct heard h;
    enum err err;
    bool refused;

    snprintf(key, sizeof(key), "k%ld", n);
    want.idempotency_key = str_of(key);
    mem_refuse(n);
    err = rig_try(&h, &want);
    for (int i = 0; i < 100 && !err && !h.came; i++)
        rig_turn();
    refused = mem_refuse(-1) > n;
    cr_expect(err || h.came, "%ld: nobody was told", n);
    job_leave(&h.waiter);
    UNTIL(list_empty(&rig.live->jobs) && list_empty(&rig.live->commits));
    if (!err && h.err == E_OK)
        cr_expect(rig_is(h.id, SANDBOX_RUNNING), "%ld", n);
    return refused;
}

Test(live_crash, survives_every_refused_allocation_of_a_create)
{
    rig_start();
    rig_later(0);
    for (long n = 0; create_without(n); n++)
        cr_assert_lt(n, 1000);
    /* What was left half made is found. */
    rig_later(200000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(agreed());
}

Test(live_crash, survives_every_refused_allocation_of_its_beginning)
{
    enum err err = E_NOMEM;

    for (long n = 0; err; n++) {
        mem_refuse(n);
        err = live_new(rig.loop, rig.pools, rig.store, &rig.conf, &rig.live);
        mem_refuse(-1);
        cr_assert(err == E_OK || err == E_NOMEM);
        cr_assert_lt(n, 1000);
    }
    rig_later(10000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(live_ready(rig.live));
    rig_sandbox();
    rig_agrees();
}

/* ---- memory: the rest ---- */

static unsigned told;

static void on_any(void *arg, enum err err, const struct op_result *result)
{
    (void)arg;
    (void)err;
    (void)result;
    told++;
}

static void on_way(void *arg, enum err err, const struct port_target *t)
{
    (void)arg;
    (void)err;
    (void)t;
    told++;
}

static void on_head(void *arg, const struct answer_head *head)
{
    (void)arg;
    (void)head;
}

static void on_piece(void *arg, struct str piece)
{
    (void)arg;
    (void)piece;
}

static void on_end(void *arg)
{
    (void)arg;
    told++;
}

static void on_cut(void *arg, enum err why)
{
    (void)arg;
    (void)why;
    told++;
}

static const struct call_events call_events = {on_head, on_piece, on_end,
                                               on_cut, on_end};
static const struct live_events live_events = {.on_result = on_any};

/* Everything that can be asked of a sandbox, with the n-th allocation
 * refused; what was begun is told of, or was an error at once. */
static bool ask_without(const struct sandbox *s, long n)
{
    struct want_call call = {.method = STR("Stat"),
                             .body = STR("{}"),
                             .slot = SLOT_FILE,
                             .deadline_ms = 1000};
    struct want_live health = {.kind = LIVE_HEALTH};
    struct want_job limit = {
        .kind = JOB_TIMEOUT, .id = s->id, .timeout_s = 400};
    struct passenger p = {.on_kicked = on_cut};
    struct live_call *c;
    struct subscription *sub;
    struct port_lease *lease;
    struct heard h;
    unsigned begun = 0;
    bool refused, job;

    told = 0;
    mem_refuse(n);
    begun += !live_call_start(rig.live, s, &call, &call_events, NULL, &c);
    begun += !live_order(rig.live, s, &health, &live_events, NULL, &sub);
    begun += !port_find(rig.live, s, 8000, on_way, NULL, &lease);
    job = !rig_try(&h, &limit);
    (void)!passenger_board(rig.live, s, &p);
    for (int i = 0; i < 100 && (told < begun || (job && !h.came)); i++)
        rig_turn();
    refused = mem_refuse(-1) > n;
    cr_expect_eq(told, begun, "%ld", n);
    cr_expect(!job || h.came, "%ld", n);
    live_call_free(&c);
    subscription_free(&sub);
    port_leave(&lease);
    job_leave(&h.waiter);
    passenger_leave(rig.live, &p);
    rig_settle();
    return refused;
}

Test(live_crash, survives_every_refused_allocation_of_what_is_asked)
{
    bool more = true;

    for (long n = 0; more; n++) {
        char id[32];

        snprintf(id, sizeof(id), "iold%ld", n);
        rig_put(id, SANDBOX_RUNNING, 300000);
        fake_add(rig.fake, id);
        if (!n)
            rig_start();
        more = ask_without(rig_record(id), n);
        cr_assert_lt(n, 200);
    }
    rig_agrees();
}
