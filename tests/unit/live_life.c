#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/clock.h"
#include "live/backend.h"
#include "live/expiry.h"

TestSuite(live_life, .init = rig_make, .fini = rig_remove);

#define DELETE "DELETE /v1/sandboxes/"

static void limit(struct heard *h, enum job_kind kind, const char *id,
                  int64_t timeout_s)
{
    struct want_job want = {
        .kind = kind, .id = str_of(id), .timeout_s = timeout_s};

    rig_job(h, &want);
    UNTIL(h->came);
    job_leave(&h->waiter);
}

/* ---- kill ---- */

struct traveller {
    struct passenger p;
    unsigned kicked;
    bool state_first; /* the record said so when the cut came */
    char id[64];
};

static void on_kicked(void *arg, enum err why)
{
    struct traveller *t = arg;

    cr_expect_eq(why, E_SANDBOX_GONE);
    t->kicked++;
    t->state_first = !rig_is(t->id, SANDBOX_RUNNING);
}

Test(live_life, kills_state_first_then_the_cut_then_the_back_end)
{
    struct traveller t = {.p = {.on_kicked = on_kicked, .arg = &t}};
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    snprintf(t.id, sizeof(t.id), "%s", id);
    cr_assert_eq(passenger_board(rig.live, rig_record(id), &t.p), E_OK);
    fake_rule(rig.fake, DELETE, FAKE_HOLD, 0, NULL, 1);
    rig_kill(&h, id);
    UNTIL(t.kicked);
    cr_expect(t.state_first);
    cr_expect_not(h.came);
    UNTIL(fake_open(rig.fake) == 1);
    cr_expect(rig_is(id, SANDBOX_ENDING));
    fake_release(rig.fake);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    cr_expect_eq(rig_records(), 0);
    cr_expect_eq(fake_count(rig.fake), 0);
    cr_expect_eq(t.kicked, 1);
    passenger_leave(rig.live, &t.p);
    job_leave(&h.waiter);
}

/* Who may not, and what was never there. */
Test(live_life, says_gone_of_what_is_not_there_and_of_another_teams_alike)
{
    struct want_job want = {.kind = JOB_KILL};
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    rig_kill(&h, "inosuch");
    UNTIL(h.came);
    cr_expect_eq(h.err, E_SANDBOX_GONE);
    job_leave(&h.waiter);
    want.id = str_of(id);
    for (int kind = JOB_KILL; kind <= JOB_EXTEND; kind++) {
        want.kind = (enum job_kind)kind;
        want.timeout_s = 10;
        rig_job_of("blue", &h, &want);
        UNTIL(h.came);
        cr_expect_eq(h.err, E_SANDBOX_GONE);
        job_leave(&h.waiter);
    }
    cr_expect(rig_is(id, SANDBOX_RUNNING));
}

Test(live_life, kills_once_however_many_ask_at_once)
{
    struct heard h[4];
    unsigned ok = 0, gone = 0;
    const char *id;

    rig_start();
    id = rig_sandbox();
    fake_rule(rig.fake, DELETE, FAKE_HOLD, 0, NULL, 1);
    for (int i = 0; i < 4; i++)
        rig_kill(&h[i], id);
    /* The others do not wait for the back end. */
    UNTIL(h[1].came && h[2].came && h[3].came && fake_open(rig.fake) == 1);
    cr_expect_not(h[0].came);
    fake_release(rig.fake);
    UNTIL(h[0].came);
    for (int i = 0; i < 4; i++) {
        ok += h[i].err == E_OK;
        gone += h[i].err == E_SANDBOX_GONE;
        job_leave(&h[i].waiter);
    }
    cr_expect_eq(ok, 1);
    cr_expect_eq(gone, 3);
    cr_expect_eq(fake_seen(rig.fake, DELETE), 1);
    rig_kill(&h[0], id);
    UNTIL(h[0].came);
    cr_expect_eq(h[0].err, E_SANDBOX_GONE);
    job_leave(&h[0].waiter);
}

Test(live_life, lets_a_limit_that_came_before_the_kill_pass_first)
{
    struct want_job want = {.kind = JOB_TIMEOUT, .timeout_s = 60};
    struct heard one, two, three;
    const char *id;

    rig_start();
    id = rig_sandbox();
    want.id = str_of(id);
    rig_job(&one, &want);
    rig_kill(&two, id);
    rig_job(&three, &want);
    UNTIL(one.came && two.came && three.came);
    cr_expect_eq(one.err, E_OK);
    cr_expect_eq(two.err, E_OK);
    cr_expect_eq(three.err, E_SANDBOX_GONE);
    job_leave(&one.waiter);
    job_leave(&two.waiter);
    job_leave(&three.waiter);
    rig_agrees();
}

/* What DELETE may answer; the kill is done in each case. */
static const struct {
    const char *name;
    enum fake_act act;
    int status;
} deletes[] = {{"404", FAKE_ANSWER, 404},
               {"500", FAKE_ANSWER, 500},
               {"no JSON", FAKE_ANSWER, 200},
               {"RST", FAKE_RESET, 0},
               {"RST, done", FAKE_DO_RESET, 0}};

Test(live_life, is_done_when_ending_is_durable_and_the_rest_is_worked_off)
{
    rig_start();
    for (size_t i = 0; i < sizeof(deletes) / sizeof(*deletes); i++) {
        struct heard h;
        const char *id = rig_sandbox();

        rig_later((int64_t)i * 5000);
        fake_rule(rig.fake, DELETE, deletes[i].act, deletes[i].status,
                  "not json", deletes[i].status ? 1 : 2);
        rig_kill(&h, id);
        UNTIL(h.came);
        cr_expect_eq(h.err, E_OK, "%s", deletes[i].name);
        cr_expect_not(rig_is(id, SANDBOX_RUNNING));
        job_leave(&h.waiter);
        rig_later((int64_t)i * 5000 + 2000);
        if (deletes[i].status == 404)
            fake_remove(rig.fake, id);
        else
            backend_doubt(backend_find(rig.live, STR("main")));
        UNTIL(rig_records() == 0);
        cr_expect_eq(fake_count(rig.fake), 0, "%s", deletes[i].name);
    }
}

Test(live_life, kills_while_the_back_end_is_down_and_deletes_when_it_is_back)
{
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    rig_later(2000);
    fake_down(rig.fake, true);
    rig_kill(&h, id);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    cr_expect(rig_is(id, SANDBOX_ENDING));
    job_leave(&h.waiter);
    rig_settle();
    cr_expect(fake_has(rig.fake, id));
    fake_down(rig.fake, false);
    UNTIL(rig_records() == 0);
    cr_expect_eq(fake_count(rig.fake), 0);
}

Test(live_life, goes_on_with_a_kill_whose_client_left)
{
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    rig_kill(&h, id);
    job_leave(&h.waiter);
    UNTIL(rig_records() == 0);
    cr_expect_eq(fake_count(rig.fake), 0);
    cr_expect_not(h.came);
}

/* ---- time limits ---- */

Test(live_life, sets_extends_and_never_shortens_by_extending)
{
    struct heard h;
    const char *id;

    rig_start();
    rig_later(0);
    id = rig_sandbox();
    limit(&h, JOB_TIMEOUT, id, 60);
    cr_expect_eq(h.err, E_OK);
    cr_expect_eq(h.end_ms, rig.wall_ms + 60000);
    cr_expect_eq(rig_record(id)->end_ms, h.end_ms);
    limit(&h, JOB_EXTEND, id, 30);
    cr_expect_eq(h.end_ms, rig.wall_ms + 60000, "not shortened");
    limit(&h, JOB_EXTEND, id, 90);
    cr_expect_eq(h.end_ms, rig.wall_ms + 90000);
    limit(&h, JOB_TIMEOUT, id, 1);
    cr_expect_eq(h.end_ms, rig.wall_ms + 1000);
    limit(&h, JOB_TIMEOUT, id, 0);
    cr_expect_eq(h.err, E_OK);
    cr_expect_eq(rig_records(), 0, "0 ends it at once");
    limit(&h, JOB_TIMEOUT, id, 60);
    cr_expect_eq(h.err, E_SANDBOX_GONE);
    cr_expect_eq(fake_seen(rig.fake, DELETE), 1);
}

/* ---- expiry ---- */

Test(live_life, ends_a_sandbox_at_its_end_and_not_before)
{
    const char *one, *two;

    rig_start();
    rig_later(0);
    one = rig_sandbox();
    rig_later(1000);
    two = rig_sandbox();
    rig_later(299999);
    expiry_look(rig.live);
    rig_settle();
    cr_expect_eq(rig_records(), 2);
    rig_later(300000);
    expiry_look(rig.live);
    UNTIL(rig_records() == 1);
    cr_expect_not(fake_has(rig.fake, one));
    cr_expect(rig_is(two, SANDBOX_RUNNING));
    rig_later(301000);
    expiry_look(rig.live);
    UNTIL(rig_records() == 0 && fake_count(rig.fake) == 0);
}

Test(live_life, ends_by_its_own_timer)
{
    rig_put("iold", SANDBOX_RUNNING, 50);
    fake_add(rig.fake, "iold");
    rig_start();
    UNTIL(rig_records() == 0 && fake_count(rig.fake) == 0);
}

Test(live_life, keeps_an_end_that_was_extended_at_the_last_moment)
{
    struct want_job want = {.kind = JOB_TIMEOUT, .timeout_s = 100};
    struct heard h;
    const char *id;

    rig_start();
    rig_later(0);
    id = rig_sandbox();
    want.id = str_of(id);
    rig_later(300000);
    /* Asked for before the end is seen, durable after it was. */
    rig_job(&h, &want);
    expiry_look(rig.live);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    job_leave(&h.waiter);
    UNTIL(list_empty(&rig.live->jobs));
    cr_expect(rig_is(id, SANDBOX_RUNNING));
    rig_later(400000);
    expiry_look(rig.live);
    UNTIL(rig_records() == 0);
}

Test(live_life, ends_nothing_because_the_wall_clock_was_set)
{
    rig_start();
    rig_later(0);
    rig_sandbox();
    clock_set_wall_ms(rig.wall_ms + INT64_C(315360000000));
    expiry_look(rig.live);
    rig_settle();
    cr_expect_eq(rig_records(), 1);
    clock_set_wall_ms(1);
    clock_set_ms(rig.ms + 300000);
    expiry_look(rig.live);
    UNTIL(rig_records() == 0);
}

Test(live_life, ends_at_start_what_expired_while_nobody_ran)
{
    const char *one, *two;

    rig_start();
    rig_later(0);
    one = rig_sandbox();
    rig_later(200000);
    two = rig_sandbox();
    rig_stop();
    rig_later(300000);
    rig_start();
    UNTIL(rig_records() == 1);
    cr_expect_not(fake_has(rig.fake, one));
    cr_expect(fake_has(rig.fake, two));
    rig_agrees();
}

Test(live_life, ends_many_at_once_without_a_flood_at_the_back_end)
{
    char id[16];
    unsigned most = 0;

    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "iold%d", i);
        rig_put(id, SANDBOX_RUNNING, -1000);
        fake_add(rig.fake, id);
    }
    rig_begin();
    UNTIL(fake_seen(rig.fake, DELETE) > 60);
    rig_later(5000);
    rig_patience("the end of all");
    while (rig_records() || fake_count(rig.fake)) {
        unsigned now = backend_find(rig.live, STR("main"))->rest_count;

        most = now > most ? now : most;
        rig_turn();
    }
    cr_expect_leq(most, 64 + 16 + 2, "%u", most);
    cr_expect_geq(most, 16);
}

Test(live_life, keeps_a_hundred_ends_in_order)
{
    const char *id;

    rig_start();
    rig_later(0);
    for (int i = 0; i < 20; i++) {
        struct heard h;

        id = rig_sandbox();
        limit(&h, JOB_TIMEOUT, id, 100 + (i * 7) % 20);
        limit(&h, JOB_TIMEOUT, id, 1000 + (i * 7) % 20);
    }
    for (int i = 0; i < 20; i++) {
        rig_later(1000000 + i * 1000);
        expiry_look(rig.live);
        UNTIL(rig_records() == (unsigned)(19 - i));
    }
}

/* ---- passengers ---- */

static void on_nothing(void *arg, enum err why)
{
    (void)arg;
    (void)why;
}

Test(live_life, carries_a_thousand_passengers_of_a_sandbox)
{
    static struct passenger p[1001];
    const struct sandbox *s;
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    s = sandbox_ref(rig_record(id));
    for (int i = 0; i < 1000; i++) {
        p[i].on_kicked = on_nothing;
        cr_assert_eq(passenger_board(rig.live, s, &p[i]), E_OK);
    }
    cr_expect_eq(passenger_board(rig.live, s, &p[1000]), E_CROWDED);
    passenger_leave(rig.live, &p[1000]);
    passenger_leave(rig.live, &p[17]);
    passenger_leave(rig.live, &p[17]);
    cr_expect_eq(passenger_board(rig.live, s, &p[17]), E_OK);
    rig_kill(&h, id);
    UNTIL(h.came);
    job_leave(&h.waiter);
    cr_expect_eq(passenger_board(rig.live, s, &p[1000]), E_SANDBOX_GONE);
    sandbox_unref(&s);
}
