/* Creates of native clients: their own ids, copies, their kind of keys. */
#include "tests/unit/live_rig.h"

#include <stdio.h>

TestSuite(live_native, .init = rig_make, .fini = rig_remove);

#define FORK "POST /v1/fork"
#define STAT "POST /sandbox.v1.Sandbox/Stat"

static struct want_job fork_of(const char *id, const char *source,
                               const char *key)
{
    struct want_job want = {.kind = JOB_CREATE,
                            .id = str_of(id),
                            .native = true,
                            .secure = true,
                            .timeout_s = 300,
                            .alias = STR("base")};

    if (source)
        want.source = str_of(source);
    else
        want.template = &rig.template;
    if (key)
        want.idempotency_key = str_of(key);
    return want;
}

/* The job's end; the id that it told. */
static enum err made(struct heard *h, const char *team, const char *id,
                     const char *source, const char *key)
{
    struct want_job want = fork_of(id, source, key);

    rig_job_of(team, h, &want);
    UNTIL(h->came);
    job_leave(&h->waiter);
    return h->err;
}

Test(live_native, has_the_id_that_the_client_chose)
{
    struct heard h;
    const struct sandbox *s;

    rig_start();
    cr_assert_eq(made(&h, "red", "sandbox-Ab_1", NULL, NULL), E_OK);
    cr_expect_str_eq(h.id, "sandbox-Ab_1");
    s = rig_record("sandbox-Ab_1");
    cr_assert(s);
    cr_expect(s->native);
    cr_expect(s->secure);
    cr_expect(s->private_traffic, "nobody is told a token of its hosts");
    cr_expect(fake_has(rig.fake, "sandbox-Ab_1"));
    cr_expect_eq(fake_seen(rig.fake, STAT), 2, "free before, there after");
    cr_expect(
        strstr(fake_head(rig.fake, FORK), "Idempotency-Key: sandbox-Ab_1-"),
        "our own: a client's key could name another team's sandbox");
    rig_agrees();
}

Test(live_native, does_not_take_an_id_that_somebody_has)
{
    struct heard h;

    rig_start();
    cr_assert_eq(made(&h, "red", "sandbox-1", NULL, NULL), E_OK);
    cr_expect_eq(made(&h, "blue", "sandbox-1", NULL, NULL), E_ALREADY_EXISTS);
    cr_expect_eq(made(&h, "red", "sandbox-1", NULL, NULL), E_ALREADY_EXISTS);
    cr_expect_eq(fake_seen(rig.fake, FORK), 1);
    /* One without a record: a fork would take its place. */
    fake_add(rig.fake, "sandbox-2");
    cr_expect_eq(made(&h, "red", "sandbox-2", NULL, NULL), E_ALREADY_EXISTS);
    cr_expect_eq(fake_seen(rig.fake, FORK), 1);
    cr_expect(fake_has(rig.fake, "sandbox-2"));
    cr_expect_eq(rig_records(), 1);
    fake_remove(rig.fake, "sandbox-2");
    rig_agrees();
}

Test(live_native, of_two_at_once_one_gets_the_id)
{
    struct want_job want = fork_of("sandbox-1", NULL, NULL);
    struct heard one, two;

    rig_start();
    rig_job_of("red", &one, &want);
    rig_job_of("blue", &two, &want);
    UNTIL(one.came && two.came);
    cr_expect_eq(one.err, E_OK);
    cr_expect_eq(two.err, E_ALREADY_EXISTS);
    job_leave(&one.waiter);
    job_leave(&two.waiter);
    cr_expect(str_eq(rig_record("sandbox-1")->team, STR("red")));
    rig_agrees();
}

Test(live_native, an_id_is_free_again_after_the_end)
{
    struct heard h;

    rig_start();
    cr_assert_eq(made(&h, "red", "sandbox-1", NULL, NULL), E_OK);
    rig_kill(&h, "sandbox-1");
    UNTIL(h.came);
    cr_assert_eq(h.err, E_OK);
    job_leave(&h.waiter);
    cr_expect_eq(made(&h, "blue", "sandbox-1", NULL, NULL), E_OK);
    rig_agrees();
}

Test(live_native, a_back_end_that_is_down_is_told_so)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, STAT, FAKE_ANSWER, 503, "{}", 1);
    cr_expect_eq(made(&h, "red", "sandbox-1", NULL, NULL), E_BACKEND_BUSY);
    cr_expect_eq(rig_records(), 0);
    cr_expect_eq(fake_seen(rig.fake, FORK), 0);
}

Test(live_native, a_copy_has_what_its_source_has)
{
    const struct sandbox *s;
    const char *source;
    struct want_job want;
    struct heard h;
    char path[96];

    rig_start();
    source = rig_sandbox();
    want = fork_of("copy-1", source, NULL);
    want.pause_source = true;
    rig_job_of("red", &h, &want);
    UNTIL(h.came);
    cr_assert_eq(h.err, E_OK);
    job_leave(&h.waiter);
    s = rig_record("copy-1");
    cr_assert(s);
    cr_expect(s->native);
    cr_expect(str_eq(s->metadata, rig_record(source)->metadata));
    cr_expect(str_eq(s->template_id, rig_record(source)->template_id));
    cr_expect(s->life != rig_record(source)->life);
    snprintf(path, sizeof(path), "POST /v1/sandboxes/%s/fork", source);
    cr_expect_str_eq(fake_body(rig.fake, path),
                     "{\"id\":\"copy-1\",\"pause_source\":true}");
    rig_agrees();
}

Test(live_native, a_copy_of_what_is_not_the_teams_is_none)
{
    const char *source;
    struct heard h;

    rig_start();
    source = rig_sandbox();
    cr_expect_eq(made(&h, "blue", "copy-1", source, NULL), E_SANDBOX_GONE);
    cr_expect_eq(made(&h, "red", "copy-1", "nosuch", NULL), E_SANDBOX_GONE);
    /* The back end has lost it. */
    fake_remove(rig.fake, source);
    cr_expect_eq(made(&h, "red", "copy-1", source, NULL), E_SANDBOX_GONE);
    cr_expect_null(rig_record("copy-1"));
}

Test(live_native, a_key_brings_the_first_one_while_it_lives)
{
    struct heard h;

    rig_start();
    cr_assert_eq(made(&h, "red", "sandbox-1", NULL, "Key 1"), E_OK);
    cr_assert_eq(made(&h, "red", "sandbox-2", NULL, "Key 1"), E_OK);
    cr_expect(h.replayed);
    cr_expect_str_eq(h.id, "sandbox-1");
    cr_assert_eq(made(&h, "blue", "sandbox-2", NULL, "Key 1"), E_OK);
    cr_expect_str_eq(h.id, "sandbox-2", "keys are each team's own");
    rig_kill(&h, "sandbox-1");
    UNTIL(h.came);
    job_leave(&h.waiter);
    cr_assert_eq(made(&h, "red", "sandbox-3", NULL, "Key 1"), E_OK);
    cr_expect_not(h.replayed);
    cr_expect_str_eq(h.id, "sandbox-3");
    cr_assert_eq(made(&h, "red", "sandbox-4", NULL, "Key 1"), E_OK);
    cr_expect_str_eq(h.id, "sandbox-3");
    rig_agrees();
}
