#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/clock.h"

TestSuite(live_health, .init = rig_make, .fini = rig_remove);

#define STAT "POST /sandbox.v1.Sandbox/Stat"

struct asked {
    struct subscription *sub;
    unsigned came;
    enum err err;
    bool frees;
};

static void on_result(void *arg, enum err err, const struct op_result *result)
{
    struct asked *a = arg;

    (void)result;
    a->came++;
    a->err = err;
    if (a->frees)
        subscription_free(&a->sub);
}

static const struct live_events events = {.on_result = on_result};

static void ask(struct asked *a, const struct sandbox *s)
{
    struct want_live want = {.kind = LIVE_HEALTH};

    memset(a, 0, sizeof(*a));
    cr_assert_eq(live_order(rig.live, s, &want, &events, a, &a->sub), E_OK);
    cr_expect_eq(a->came, 0, "told from inside");
}

static enum err health(const char *id)
{
    struct asked a;

    ask(&a, rig_record(id));
    UNTIL(a.came);
    subscription_free(&a.sub);
    cr_expect_eq(a.came, 1);
    return a.err;
}

Test(live_health, asks_the_back_end_once_a_second_however_many_wait)
{
    static struct asked a[20];
    const char *id;
    unsigned before;

    rig_start();
    rig_later(0);
    id = rig_sandbox();
    before = fake_seen(rig.fake, STAT);
    for (int i = 0; i < 20; i++)
        ask(&a[i], rig_record(id));
    subscription_free(&a[3].sub);
    a[5].frees = true;
    UNTIL(a[19].came);
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(a[i].came, i != 3);
        cr_expect_eq(a[i].err, E_OK);
        subscription_free(&a[i].sub);
    }
    cr_expect_eq(fake_seen(rig.fake, STAT), before + 1);
    rig_later(999);
    cr_expect_eq(health(id), E_OK);
    cr_expect_eq(fake_seen(rig.fake, STAT), before + 1);
    rig_later(1000);
    cr_expect_eq(health(id), E_OK);
    cr_expect_eq(fake_seen(rig.fake, STAT), before + 2);
}

/* Gone only when it is known. */
static const struct {
    const char *name;
    enum fake_act act;
    int status;
    const char *text;
    enum err err;
} rows[] = {
    {"500", FAKE_ANSWER, 500, "{}", E_SANDBOX_UNKNOWN},
    {"404", FAKE_ANSWER, 404, "404 page not found", E_SANDBOX_UNKNOWN},
    {"garbage", FAKE_ANSWER, 200, "<html>", E_SANDBOX_UNKNOWN},
    {"RST", FAKE_RESET, 0, NULL, E_SANDBOX_UNKNOWN},
    {"no route, but in the list", FAKE_ANSWER, 500,
     "{\"code\":\"internal\",\"message\":\"sandbox x has no stream path\"}",
     E_SANDBOX_UNKNOWN},
    {"agent does not answer", FAKE_ANSWER, 500,
     "{\"code\":\"internal\",\"message\":\"code = Unavailable\"}",
     E_SANDBOX_UNKNOWN},
};

Test(live_health, says_unknown_when_it_is_not_known)
{
    const char *id;

    rig_start();
    rig_later(0);
    id = rig_sandbox();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        rig_later((int64_t)i * 10000 + 10000);
        fake_rule(rig.fake, STAT, rows[i].act, rows[i].status, rows[i].text,
                  rows[i].act == FAKE_RESET ? 2 : 1);
        cr_expect_eq(health(id), rows[i].err, "%s", rows[i].name);
        cr_expect(rig_is(id, SANDBOX_RUNNING), "%s", rows[i].name);
    }
    fake_down(rig.fake, true);
    rig_later(500000);
    cr_expect_eq(health(id), E_SANDBOX_UNKNOWN, "down");
}

Test(live_health, says_gone_when_the_list_does_not_have_it)
{
    const char *id;

    rig_start();
    rig_later(0);
    id = rig_sandbox();
    rig_later(5000);
    fake_restart(rig.fake);
    cr_expect_eq(health(id), E_SANDBOX_GONE);
    cr_expect_null(rig_record(id));
}

Test(live_health, says_gone_after_a_kill_and_to_those_who_wait_meanwhile)
{
    struct asked a, after;
    const struct sandbox *s;
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    s = sandbox_ref(rig_record(id));
    fake_rule(rig.fake, STAT, FAKE_HOLD, 0, NULL, 1);
    ask(&a, s);
    UNTIL(fake_open(rig.fake) == 1);
    rig_kill(&h, id);
    UNTIL(a.came);
    cr_expect_eq(a.err, E_SANDBOX_GONE);
    subscription_pause(a.sub);
    subscription_resume(a.sub);
    subscription_free(&a.sub);
    ask(&after, s);
    UNTIL(after.came && h.came);
    cr_expect_eq(after.err, E_SANDBOX_GONE);
    subscription_free(&after.sub);
    job_leave(&h.waiter);
    sandbox_unref(&s);
}
