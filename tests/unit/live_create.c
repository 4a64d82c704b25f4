#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/clock.h"
#include "live/backend.h"

TestSuite(live_create, .init = rig_make, .fini = rig_remove);

#define FORK "POST /v1/fork"
#define STAT "POST /sandbox.v1.Sandbox/Stat"

Test(live_create, writes_the_intent_forks_asks_and_writes_the_record)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, FORK, FAKE_HOLD, 0, NULL, 1);
    rig_create(&h);
    UNTIL(fake_open(rig.fake) == 1);
    cr_expect_eq(rig_records(), 1, "the intent is durable before the fork");
    cr_expect_not(h.came);
    rig_later(3000);
    fake_release(rig.fake);
    UNTIL(h.came);
    cr_assert_eq(h.err, E_OK);
    cr_expect(rig_is(h.id, SANDBOX_RUNNING));
    cr_expect(fake_has(rig.fake, h.id));
    cr_expect_eq(h.end_ms, rig.wall_ms + 303000, "counted from readiness");
    cr_expect_eq(h.started_ms, rig.wall_ms + 3000);
    cr_expect_eq(fake_seen(rig.fake, STAT), 1);
    cr_expect(strstr(fake_head(rig.fake, FORK), "Idempotency-Key: i"));
    cr_expect(strstr(fake_head(rig.fake, STAT), "X-Sandbox-Id: i"));
    rig_agrees();
    job_leave(&h.waiter);
}

/* What the back end may do, and what is left of the create then. */
enum left { LEFT_NOTHING, LEFT_SANDBOX, LEFT_INTENT };

static const struct fault {
    const char *name;
    const char *begins;
    enum fake_act act;
    int status;
    const char *text;
    unsigned times;
    enum err err;
    enum left left;
} faults[] = {
    {"fork 500", FORK, FAKE_ANSWER, 500, "{\"error\":{\"code\":\"internal\"}}",
     1, E_BACKEND_DOWN, LEFT_NOTHING},
    {"fork 500 without JSON", FORK, FAKE_ANSWER, 500, "oh", 1, E_BACKEND_DOWN,
     LEFT_NOTHING},
    {"fork 503", FORK, FAKE_ANSWER, 503, "{}", 1, E_BACKEND_BUSY, LEFT_NOTHING},
    {"fork 429", FORK, FAKE_ANSWER, 429, "{}", 1, E_BACKEND_BUSY, LEFT_NOTHING},
    {"fork 400", FORK, FAKE_ANSWER, 400, "{}", 1, E_BACKEND_REFUSED,
     LEFT_NOTHING},
    {"fork 404 for ever", FORK, FAKE_ANSWER, 404, "{}", 9, E_BACKEND_REFUSED,
     LEFT_NOTHING},
    {"fork 204", FORK, FAKE_DO_ANSWER, 204, "", 1, E_BACKEND_GARBAGE,
     LEFT_NOTHING},
    {"not JSON", FORK, FAKE_DO_ANSWER, 200, "<html>", 1, E_BACKEND_GARBAGE,
     LEFT_NOTHING},
    {"an array", FORK, FAKE_DO_ANSWER, 200, "[1]", 1, E_BACKEND_GARBAGE,
     LEFT_NOTHING},
    {"id is a number", FORK, FAKE_DO_ANSWER, 200,
     "{\"id\":5,\"template_id\":\"t\"}", 1, E_BACKEND_GARBAGE, LEFT_NOTHING},
    {"another id", FORK, FAKE_DO_ANSWER, 200,
     "{\"id\":\"iother\",\"template_id\":\"t\"}", 1, E_BACKEND_GARBAGE,
     LEFT_NOTHING},
    {"fork in progress", FORK, FAKE_ANSWER, 500,
     "{\"error\":{\"cause\":\"a create with this Idempotency-Key is already "
     "in progress; retry shortly\"}}",
     1, E_BACKEND_BUSY, LEFT_INTENT},
    /* Twice: net asks again when a kept connection dies. */
    {"RST, nothing done", FORK, FAKE_RESET, 0, NULL, 2, E_BACKEND_DOWN,
     LEFT_INTENT},
    {"RST, but done", FORK, FAKE_DO_RESET, 0, NULL, 2, E_BACKEND_DOWN,
     LEFT_NOTHING},
    {"broken HTTP", FORK, FAKE_RAW, 0, "SMTP 220 hello there, you\r\n\r\n", 1,
     E_BACKEND_GARBAGE, LEFT_INTENT},
    {"template unknown, made", FORK, FAKE_ANSWER, 404, "{}", 1, E_OK,
     LEFT_SANDBOX},
    {"Stat: gone", STAT, FAKE_ANSWER, 500,
     "{\"code\":\"internal\",\"message\":\"x has no stream path\"}", 1,
     E_BACKEND_GARBAGE, LEFT_NOTHING},
    {"Stat: not yet", STAT, FAKE_ANSWER, 500,
     "{\"code\":\"internal\",\"message\":\"code = Unavailable\"}", 2, E_OK,
     LEFT_SANDBOX},
};

static const char *name_of_intent(char id[64])
{
    struct arena *a;
    const struct sandbox **rows;
    unsigned count;

    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    cr_assert_eq(store_list_sandboxes(rig.store, STR_NONE, a, &rows, &count),
                 FOUND);
    snprintf(id, 64, "%.*s", count ? (int)rows[0]->id.n : 0,
             count ? rows[0]->id.p : "");
    arena_free(&a);
    return id;
}

static void check_fault(const struct fault *f)
{
    struct heard h;
    char id[64];

    fake_rule(rig.fake, f->begins, f->act, f->status, f->text, f->times);
    rig_create(&h);
    UNTIL(h.came);
    cr_expect_eq(h.err, f->err, "%s: %s", f->name, err_name(h.err));
    job_leave(&h.waiter);
    fake_rule(rig.fake, f->begins, FAKE_ANSWER, 0, NULL, 0);
    if (f->left == LEFT_INTENT) {
        rig_settle();
        cr_expect(rig_is(name_of_intent(id), SANDBOX_INTENT), "%s", f->name);
        cr_expect_eq(fake_count(rig.fake), 0, "%s", f->name);
        return;
    }
    UNTIL(rig_records() == (f->left == LEFT_SANDBOX));
    rig_agrees();
}

Test(live_create, leaves_nothing_half_made_whatever_the_back_end_does)
{
    rig_start();
    for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
        struct heard h;
        char id[64];

        rig_later((int64_t)i * 3000); /* the last look is long ago */
        check_fault(&faults[i]);
        /* A clean table for the next row. */
        name_of_intent(id);
        if (faults[i].left == LEFT_SANDBOX) {
            rig_kill(&h, id);
            UNTIL(h.came);
            job_leave(&h.waiter);
        } else if (faults[i].left == LEFT_INTENT) {
            rig_stop();
            rig_remove();
            rig_make();
            rig_start();
        }
    }
}

Test(live_create, says_down_and_takes_the_intent_back_when_nobody_listens)
{
    struct heard h;

    rig_start();
    rig_later(2000); /* the last look is long ago */
    fake_down(rig.fake, true);
    rig_create(&h);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_BACKEND_DOWN, "%s", err_name(h.err));
    UNTIL(rig_records() == 0);
    cr_expect_not(live_ready(rig.live));
    job_leave(&h.waiter);
    fake_down(rig.fake, false);
    UNTIL(live_ready(rig.live));
    rig_sandbox();
    rig_agrees();
}

/* The time limit at each step, of three creates at once: each waiter hears
 * it, and only what is unknown is left. */
Test(live_create, is_bounded_by_its_time_limit_at_every_step)
{
    static struct heard fork, template, stat;

    rig.conf.create_timeout_s = 1;
    rig_start();
    fake_rule(rig.fake, FORK, FAKE_HOLD, 0, NULL, 1);
    rig_create(&fork);
    UNTIL(fake_open(rig.fake) == 1);
    fake_rule(rig.fake, FORK, FAKE_ANSWER, 404, "{}", 1);
    fake_rule(rig.fake, "POST /v1/templates", FAKE_HOLD, 0, NULL, 1);
    rig_create(&template);
    UNTIL(fake_open(rig.fake) == 2);
    fake_rule(rig.fake, STAT, FAKE_HOLD, 0, NULL, 1);
    rig_create(&stat);
    UNTIL(fake_open(rig.fake) == 3);
    cr_expect_eq(rig_records(), 3);
    cr_expect_eq(fake_count(rig.fake), 1);
    UNTIL(fork.came && template.came && stat.came);
    cr_expect_eq(fork.err, E_UPSTREAM_DEADLINE);
    cr_expect_eq(template.err, E_UPSTREAM_DEADLINE);
    cr_expect_eq(stat.err, E_UPSTREAM_DEADLINE);
    job_leave(&fork.waiter);
    job_leave(&template.waiter);
    job_leave(&stat.waiter);
    UNTIL(list_empty(&rig.live->jobs));
    cr_expect_eq(rig_records(), 1, "the fork's outcome is not known");
    cr_expect_eq(fake_count(rig.fake), 0);
}

Test(live_create, removes_what_a_late_fork_makes_after_all)
{
    struct heard h;

    rig.conf.create_timeout_s = 1;
    rig_start();
    rig_later(2000);
    fake_rule(rig.fake, FORK, FAKE_DO_RESET, 0, NULL, 2);
    fake_rule(rig.fake, "GET /v1/sandboxes", FAKE_ANSWER, 200, "[]", 1);
    rig_create(&h);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_BACKEND_DOWN);
    job_leave(&h.waiter);
    /* The first list does not have it yet: a young intent is not dropped. */
    UNTIL(fake_seen(rig.fake, "GET /v1/sandboxes") == 2);
    rig_settle();
    cr_expect_eq(rig_records(), 1);
    /* The next one has. */
    rig_later(7000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(rig_records() == 0);
    cr_expect_eq(fake_count(rig.fake), 0);
}

Test(live_create, drops_an_old_intent_that_is_not_at_the_back_end)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, FORK, FAKE_RESET, 0, NULL, 2);
    rig_create(&h);
    UNTIL(h.came);
    job_leave(&h.waiter);
    rig_settle();
    cr_expect_eq(rig_records(), 1);
    rig_later(116000); /* time limit of a create, and a minute */
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(rig_records() == 0);
}

/* ---- the waiter leaves ---- */

static const char *const steps[] = {"at once", FORK, "POST /v1/templates", STAT,
                                    "DELETE /v1/sandboxes/"};

Test(live_create, goes_on_when_its_client_leaves_at_any_step)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        struct heard h;

        rig_start();
        if (i == 2)
            fake_restart(rig.fake);
        if (i == 4)
            fake_rule(rig.fake, FORK, FAKE_DO_ANSWER, 200, "no", 1);
        if (i)
            fake_rule(rig.fake, steps[i], FAKE_HOLD, 0, NULL, 1);
        rig_create(&h);
        if (i)
            UNTIL(fake_open(rig.fake) == 1);
        job_leave(&h.waiter);
        fake_release(rig.fake);
        if (i == 4)
            UNTIL(rig_records() == 0);
        else
            UNTIL(rig_records() == 1 && list_empty(&rig.live->jobs));
        cr_expect_not(h.came, "%s", steps[i]);
        rig_agrees();
        rig_stop();
        rig_remove();
        rig_make();
    }
}

/* ---- Idempotency-Key ---- */

static void create_with(struct heard *h, const char *key, unsigned char hash)
{
    struct want_job want = {.kind = JOB_CREATE,
                            .timeout_s = 300,
                            .template = &rig.template,
                            .idempotency_key = str_of(key)};

    memset(want.request_hash, hash, sizeof(want.request_hash));
    rig_job(h, &want);
}

Test(live_create, answers_a_repeated_key_with_the_first_sandbox)
{
    struct heard first, h;

    rig_start();
    create_with(&first, "k", 1);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_IDEMPOTENCY_RUNNING, "before the row is written");
    job_leave(&h.waiter);
    create_with(&h, "k", 2);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_IDEMPOTENCY_MISMATCH);
    job_leave(&h.waiter);
    UNTIL(first.came);
    cr_assert_eq(first.err, E_OK);
    job_leave(&first.waiter);
    cr_expect_not(first.replayed);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    cr_expect(h.replayed);
    cr_expect_str_eq(h.id, first.id);
    job_leave(&h.waiter);
    create_with(&h, "k", 2);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_IDEMPOTENCY_MISMATCH);
    job_leave(&h.waiter);
    create_with(&h, "other", 1);
    UNTIL(h.came);
    cr_expect_str_neq(h.id, first.id);
    job_leave(&h.waiter);
    /* Over a restart, and after its sandbox has ended. */
    rig_restart();
    rig_kill(&h, first.id);
    UNTIL(h.came);
    job_leave(&h.waiter);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    cr_expect(h.replayed);
    cr_expect_str_eq(h.id, first.id);
    cr_expect_eq(fake_count(rig.fake), 1, "not made again");
    job_leave(&h.waiter);
}

Test(live_create, frees_the_key_of_a_create_that_is_known_to_have_failed)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, FORK, FAKE_ANSWER, 503, "{}", 1);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_BACKEND_BUSY);
    job_leave(&h.waiter);
    create_with(&h, "k", 2);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK, "another body may use it now");
    cr_expect_not(h.replayed);
    job_leave(&h.waiter);
    rig_agrees();
}

Test(live_create, says_unknown_only_while_the_outcome_is_unknown)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, FORK, FAKE_RESET, 0, NULL, 2);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_BACKEND_DOWN);
    job_leave(&h.waiter);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_IDEMPOTENCY_UNKNOWN);
    job_leave(&h.waiter);
    rig_later(200000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(rig_records() == 0);
    create_with(&h, "k", 1);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK, "known by now: it was not made");
    job_leave(&h.waiter);
    rig_agrees();
}

Test(live_create, keeps_the_keys_of_teams_apart)
{
    struct want_job want = {.kind = JOB_CREATE,
                            .timeout_s = 300,
                            .template = &rig.template,
                            .idempotency_key = STR("k")};
    struct heard h;

    rig_start();
    create_with(&h, "k", 1);
    UNTIL(h.came);
    job_leave(&h.waiter);
    rig_job_of("blue", &h, &want);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    cr_expect_not(h.replayed);
    job_leave(&h.waiter);
    cr_expect_eq(rig_records(), 2);
}
