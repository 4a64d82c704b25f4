/* What a team may have and make: threats.md K-08. */
#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/mem.h"
#include "live/allowance.h"
#include "live/backend.h"
#include "live/expiry.h"

TestSuite(live_allowance, .init = rig_make, .fini = rig_remove);

#define FORK "POST /v1/fork"
#define DELETE "DELETE /v1/sandboxes/"

static enum err create(void)
{
    struct heard h;

    rig_create(&h);
    UNTIL(h.came);
    job_leave(&h.waiter);
    return h.err;
}

static enum err kill_it(const char *id)
{
    struct heard h;

    rig_kill(&h, id);
    UNTIL(h.came);
    job_leave(&h.waiter);
    return h.err;
}

/* ---- sandboxes at a time ---- */

Test(live_allowance, has_a_place_for_each_sandbox_and_no_more)
{
    const char *id;

    rig.conf.team_sandboxes = 3;
    rig_start();
    id = rig_sandbox();
    rig_sandbox();
    cr_expect_eq(create(), E_OK, "at the limit");
    cr_expect_eq(create(), E_TEAM_FULL, "limit + 1");
    cr_expect_eq(rig_records(), 3);
    cr_expect_eq(fake_seen(rig.fake, FORK), 3, "nothing was asked for");
    cr_expect_eq(kill_it(id), E_OK);
    cr_expect_eq(create(), E_OK, "its place");
    cr_expect_eq(create(), E_TEAM_FULL);
    rig_agrees();
}

Test(live_allowance, gives_the_last_place_to_one_of_many_at_once)
{
    struct heard h[5];
    unsigned won = 0;

    rig.conf.team_sandboxes = 2;
    rig_start();
    rig_sandbox();
    for (int i = 0; i < 5; i++)
        rig_create(&h[i]);
    UNTIL(h[0].came && h[1].came && h[2].came && h[3].came && h[4].came);
    for (int i = 0; i < 5; i++) {
        won += h[i].err == E_OK;
        cr_expect(h[i].err == E_OK || h[i].err == E_TEAM_FULL);
        job_leave(&h[i].waiter);
    }
    cr_expect_eq(won, 1);
    cr_expect_eq(rig_records(), 2);
    rig_agrees();
}

/* At every step of a create its place is taken, and one that fails leaves
 * none. */
Test(live_allowance, counts_a_create_at_each_of_its_steps)
{
    static const char *const steps[] = {FORK, "POST /sandbox.v1.Sandbox/Stat",
                                        DELETE};

    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        struct heard h;

        rig.conf.team_sandboxes = 1;
        rig_start();
        if (i == 2)
            fake_rule(rig.fake, FORK, FAKE_DO_ANSWER, 200, "no", 1);
        fake_rule(rig.fake, steps[i], FAKE_HOLD, 0, NULL, 1);
        rig_create(&h);
        cr_expect_eq(create(), E_TEAM_FULL, "%s: before the intent", steps[i]);
        UNTIL(fake_open(rig.fake) == 1);
        cr_expect_eq(create(), E_TEAM_FULL, "%s", steps[i]);
        fake_release(rig.fake);
        UNTIL(h.came);
        job_leave(&h.waiter);
        cr_expect_eq(h.err, i == 2 ? E_BACKEND_GARBAGE : E_OK);
        cr_expect_eq(create(), i == 2 ? E_OK : E_TEAM_FULL, "%s", steps[i]);
        rig_stop();
        rig_remove();
        rig_make();
    }
}

Test(live_allowance, gives_the_place_of_a_create_that_failed_back)
{
    rig.conf.team_sandboxes = 1;
    rig_start();
    for (int i = 0; i < 3; i++) {
        fake_rule(rig.fake, FORK, FAKE_ANSWER, 503, "{}", 1);
        cr_expect_eq(create(), E_BACKEND_BUSY);
    }
    cr_expect_eq(create(), E_OK);
    cr_expect_eq(create(), E_TEAM_FULL);
    rig_agrees();
}

/* What may be at the back end counts until it is known not to be. */
Test(live_allowance, counts_what_is_not_known_as_alive)
{
    const char *id;

    rig.conf.team_sandboxes = 2;
    rig_start();
    fake_rule(rig.fake, FORK, FAKE_RESET, 0, NULL, 2);
    cr_expect_eq(create(), E_BACKEND_DOWN, "its outcome is not known");
    id = rig_sandbox();
    cr_expect_eq(create(), E_TEAM_FULL);
    rig_later(2000);
    fake_down(rig.fake, true);
    cr_expect_eq(kill_it(id), E_OK, "it will be deleted");
    cr_expect(rig_is(id, SANDBOX_ENDING));
    cr_expect_eq(create(), E_TEAM_FULL, "ending, and the back end is away");
    fake_down(rig.fake, false);
    rig_later(200000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(rig_records() == 0);
    rig_sandbox();
    rig_sandbox();
    cr_expect_eq(create(), E_TEAM_FULL);
    rig_agrees();
}

Test(live_allowance, frees_the_place_of_a_sandbox_whose_end_has_come)
{
    rig.conf.team_sandboxes = 1;
    rig_start();
    rig_sandbox();
    cr_expect_eq(create(), E_TEAM_FULL);
    rig_later(301000);
    expiry_look(rig.live);
    UNTIL(rig_records() == 0);
    cr_expect_eq(create(), E_OK);
}

Test(live_allowance, counts_the_records_after_a_restart)
{
    rig.conf.team_sandboxes = 2;
    rig_start();
    rig_sandbox();
    rig_sandbox();
    rig_restart();
    cr_expect_eq(create(), E_TEAM_FULL);
    /* Before the back end has been looked at, too. */
    rig_stop();
    rig_begin();
    cr_expect_eq(create(), E_TEAM_FULL);
}

Test(live_allowance, keeps_teams_apart_and_gives_each_its_own)
{
    struct conf_team teams[] = {{STR("blue"), 2, 0}, {STR("free"), 0, 0}};
    struct want_job want = {
        .kind = JOB_CREATE, .timeout_s = 300, .template = &rig.template};
    static const struct {
        const char *team;
        enum err err;
    } rows[] = {{"red", E_OK},         {"red", E_TEAM_FULL},  {"blue", E_OK},
                {"blue", E_OK},        {"blue", E_TEAM_FULL}, {"free", E_OK},
                {"free", E_OK},        {"free", E_OK},        {"green", E_OK},
                {"green", E_TEAM_FULL}};

    rig.conf.team_sandboxes = 1;
    rig.conf.teams = teams;
    rig.conf.team_count = 2;
    rig_start();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct heard h;

        rig_job_of(rows[i].team, &h, &want);
        UNTIL(h.came);
        cr_expect_eq(h.err, rows[i].err, "%zu: %s", i, rows[i].team);
        job_leave(&h.waiter);
    }
}

Test(live_allowance, counts_copies_and_native_creates_too)
{
    struct want_job want = {.kind = JOB_CREATE,
                            .native = true,
                            .timeout_s = 300,
                            .id = STR("chosen"),
                            .template = &rig.template,
                            .alias = STR("base")};
    struct heard h;
    const char *id;

    rig.conf.team_sandboxes = 2;
    rig_start();
    id = rig_sandbox();
    rig_job(&h, &want);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    job_leave(&h.waiter);
    want.id = STR("copy");
    want.source = str_of(id);
    want.template = NULL;
    rig_job(&h, &want);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_TEAM_FULL);
    job_leave(&h.waiter);
}

Test(live_allowance, takes_no_place_for_the_repeat_of_a_key)
{
    struct want_job want = {.kind = JOB_CREATE,
                            .timeout_s = 300,
                            .template = &rig.template,
                            .idempotency_key = STR("k")};

    rig.conf.team_sandboxes = 1;
    rig.conf.team_creates = 1;
    rig_start();
    for (int i = 0; i < 2; i++) {
        struct heard h;

        rig_job(&h, &want);
        UNTIL(h.came);
        cr_expect_eq(h.err, E_OK);
        cr_expect_eq(h.replayed, i == 1);
        job_leave(&h.waiter);
    }
}

/* ---- creates in a minute ---- */

Test(live_allowance, tells_when_a_create_of_the_next_minute_may_come)
{
    struct heard h;

    rig.conf.team_creates = 2;
    rig_start();
    rig_later(0); /* from here on no second passes by itself */
    rig_sandbox();
    rig_later(20000);
    rig_sandbox();
    rig_later(30000);
    rig_create(&h);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_TEAM_FAST);
    cr_expect_geq(h.retry_s, 30);
    cr_expect_leq(h.retry_s, 31);
    job_leave(&h.waiter);
    rig_later(30000 + (int64_t)h.retry_s * 1000);
    cr_expect_eq(create(), E_OK, "then there is one place");
    cr_expect_eq(create(), E_TEAM_FAST);
}

static struct allowance a;
static const unsigned char hash_key[16];

static unsigned taken(const char *team, int64_t most, int64_t now_ms,
                      unsigned times)
{
    unsigned n = 0, retry_s;

    for (unsigned i = 0; i < times; i++)
        n += allowance_take(&a, str_of(team), most, now_ms, &retry_s) == E_OK;
    return n;
}

Test(allowance, has_no_60_s_with_more_than_the_limit)
{
    int64_t at[4000];
    unsigned n = 0;

    allowance_init(&a, hash_key);
    /* Someone who tries every 97 ms for five minutes. */
    for (int64_t ms = 123456; ms < 423456; ms += 97)
        if (taken("red", 50, ms, 1))
            at[n++] = ms;
    for (unsigned i = 50; i < n; i++)
        cr_expect_gt(at[i] - at[i - 50], 60000, "%u", i);
    cr_expect_geq(n, 5 * 49, "%u", n);
    allowance_clear(&a);
}

Test(allowance, says_when_there_is_a_place_and_then_there_is)
{
    static const int64_t begins[] = {0, 1, 999, 1000, 60000, 61000, 987654321};

    for (size_t i = 0; i < sizeof(begins) / sizeof(*begins); i++) {
        int64_t ms = begins[i];
        unsigned retry_s = 0;

        allowance_init(&a, hash_key);
        cr_expect_eq(taken("red", 5, ms, 3), 3);
        cr_expect_eq(taken("red", 5, ms + 7000, 3), 2);
        cr_expect_eq(allowance_take(&a, STR("red"), 5, ms + 9000, &retry_s),
                     E_TEAM_FAST);
        cr_expect_eq(taken("red", 5, ms + 9000 + (retry_s - 1) * 1000LL, 1), 0);
        cr_expect_eq(taken("red", 5, ms + 9000 + retry_s * 1000LL, 4), 3);
        /* A limit that became lower while more were made. */
        cr_expect_eq(taken("red", 1, ms + 80000, 1), 0);
        cr_expect_eq(taken("red", 1, ms + 200000, 2), 1);
        allowance_clear(&a);
    }
}

Test(allowance, forgets_teams_that_make_none)
{
    char team[32];
    unsigned rows = 0;

    allowance_init(&a, hash_key);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            snprintf(team, sizeof(team), "t%d-%d", round, i);
            cr_expect_eq(taken(team, 1, round * 100000, 2), 1);
        }
    }
    for (unsigned i = 0; i < ALLOWANCE_BUCKETS; i++)
        for (struct list *at = a.buckets[i].next; at != &a.buckets[i];
             at = at->next)
            rows++;
    cr_expect_leq(rows, 1000, "%u", rows);
    mem_refuse(0);
    cr_expect_eq(taken("another", 1, 200000, 1), 0);
    mem_refuse(-1);
    cr_expect_eq(taken("another", 1, 200000, 1), 1);
    allowance_clear(&a);
}
