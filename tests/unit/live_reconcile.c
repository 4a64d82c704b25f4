#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/clock.h"
#include "live/backend.h"
#include "live/expiry.h"

TestSuite(live_reconcile, .init = rig_make, .fini = rig_remove);

#define LIST "GET /v1/sandboxes"
#define DELETE "DELETE /v1/sandboxes/"

/* Look again, as after a call that broke off. */
static void look(int64_t at_ms)
{
    unsigned lists = fake_seen(rig.fake, LIST);

    rig_later(at_ms);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(fake_seen(rig.fake, LIST) > lists);
    rig_settle();
}

/* The table of reconcile.c: what an earlier life left, what becomes of it. */
static const struct {
    const char *name;
    bool recorded;
    enum sandbox_state state;
    bool there;
    bool adopt;
    int64_t age_ms;
    bool left_record, left_there;
} rows[] = {
    {"intent, there", true, SANDBOX_INTENT, true, false, 0, false, false},
    {"young intent, not there", true, SANDBOX_INTENT, false, false, 0, true,
     false},
    {"old intent, not there", true, SANDBOX_INTENT, false, false, 120000, false,
     false},
    {"running, there", true, SANDBOX_RUNNING, true, false, 0, true, true},
    {"running, not there", true, SANDBOX_RUNNING, false, false, 0, false,
     false},
    {"ending, there", true, SANDBOX_ENDING, true, false, 0, false, false},
    {"ending, not there", true, SANDBOX_ENDING, false, false, 0, false, false},
    {"no record: reported", false, SANDBOX_RUNNING, true, false, 0, false,
     true},
    {"no record: removed", false, SANDBOX_RUNNING, true, true, 0, false, false},
};

Test(live_reconcile, makes_records_and_back_end_agree_at_start)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        rig_later(0);
        rig.backend.adopt = rows[i].adopt;
        if (rows[i].recorded)
            rig_put("iold", rows[i].state, 500000);
        if (rows[i].there)
            fake_add(rig.fake, "iold");
        rig_later(rows[i].age_ms);
        rig_start();
        UNTIL((rig_records() == 1) == rows[i].left_record &&
              fake_has(rig.fake, "iold") == rows[i].left_there);
        rig_settle();
        cr_expect_eq(rig_records() == 1, rows[i].left_record, "%s",
                     rows[i].name);
        rig_stop();
        rig_remove();
        rig_make();
    }
}

Test(live_reconcile, proves_nothing_by_a_list_that_is_nonsense)
{
    static const char *const texts[] = {"",
                                        "<html>",
                                        "{}",
                                        "{\"sandboxes\":[]}",
                                        "[1]",
                                        "null",
                                        "[{}]",
                                        "[{\"id\":5}]",
                                        "[{\"id\":\"../x\"}]",
                                        "[{\"id\":\"\"}]"};

    rig_put("iold", SANDBOX_RUNNING, 500000);
    fake_add(rig.fake, "iold");
    rig_start();
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        fake_rule(rig.fake, LIST, FAKE_ANSWER, 200, texts[i], 1);
        look((int64_t)i * 10000 + 10000);
        cr_expect(rig_is("iold", SANDBOX_RUNNING), "%s", texts[i]);
    }
    fake_rule(rig.fake, LIST, FAKE_ANSWER, 500, "[]", 1);
    look(500000);
    cr_expect(rig_is("iold", SANDBOX_RUNNING), "500");
    fake_rule(rig.fake, LIST, FAKE_RESET, 0, NULL, 2);
    look(600000);
    cr_expect(rig_is("iold", SANDBOX_RUNNING), "RST");
}

Test(live_reconcile, drops_what_a_restarted_back_end_has_lost)
{
    const char *one, *two;

    rig_start();
    one = rig_sandbox();
    two = rig_sandbox();
    fake_down(rig.fake, true);
    rig_later(2000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(!live_ready(rig.live));
    rig_settle();
    cr_expect(rig_is(one, SANDBOX_RUNNING), "down proves nothing");
    cr_expect(rig_is(two, SANDBOX_RUNNING));
    fake_restart(rig.fake);
    fake_down(rig.fake, false);
    UNTIL(rig_records() == 0);
    cr_expect(live_ready(rig.live));
    /* Its templates are made anew. */
    UNTIL(fake_seen(rig.fake, "POST /v1/templates") == 2);
    rig_sandbox();
    rig_agrees();
}

Test(live_reconcile, makes_a_lost_template_when_a_create_needs_it)
{
    rig_start();
    fake_restart(rig.fake);
    rig_sandbox();
    cr_expect_eq(fake_seen(rig.fake, "POST /v1/fork"), 2);
    cr_expect_str_eq(fake_body(rig.fake, "POST /v1/templates"),
                     "{\"id\":\"t\"}");
}

Test(live_reconcile, registers_each_template_once_and_again_after_a_failure)
{
    fake_rule(rig.fake, "POST /v1/templates", FAKE_ANSWER, 500, "{}", 1);
    rig_start();
    UNTIL(fake_seen(rig.fake, "POST /v1/templates") == 2);
    rig_settle();
    cr_expect_eq(fake_seen(rig.fake, "POST /v1/templates"), 2);
}

Test(live_reconcile, leaves_alone_what_began_or_ended_meanwhile)
{
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    /* A list from before the create and the kill that happen meanwhile. */
    fake_rule(rig.fake, LIST, FAKE_HOLD, 0, NULL, 1);
    rig_later(2000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(fake_open(rig.fake) == 1);
    rig_kill(&h, id);
    UNTIL(h.came);
    job_leave(&h.waiter);
    id = rig_sandbox();
    fake_release(rig.fake);
    rig_settle();
    cr_expect(rig_is(id, SANDBOX_RUNNING));
    rig_agrees();
}

Test(live_reconcile, does_not_judge_a_create_that_is_under_way)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, "POST /v1/fork", FAKE_HOLD, 0, NULL, 1);
    rig_create(&h);
    UNTIL(fake_open(rig.fake) == 1);
    look(150000); /* the intent is not a young one */
    UNTIL(list_empty(&rig.live->commits));
    cr_expect_eq(rig_records(), 1);
    fake_release(rig.fake);
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    job_leave(&h.waiter);
    rig_agrees();
}

Test(live_reconcile, does_not_judge_a_create_that_ended_meanwhile)
{
    struct heard h;

    rig_start();
    fake_rule(rig.fake, "POST /v1/fork", FAKE_HOLD, 0, NULL, 1);
    rig_create(&h);
    UNTIL(fake_open(rig.fake) == 1);
    /* The intent is remembered; when the list comes it is running. */
    fake_rule(rig.fake, LIST, FAKE_HOLD, 0, NULL, 1);
    rig_later(2000);
    backend_doubt(backend_find(rig.live, STR("main")));
    UNTIL(fake_open(rig.fake) == 2);
    fake_release_one(rig.fake, "POST /v1/fork");
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    job_leave(&h.waiter);
    fake_release(rig.fake);
    UNTIL(fake_open(rig.fake) == 0);
    rig_settle();
    cr_expect_eq(fake_seen(rig.fake, DELETE), 0);
    rig_agrees();
}

Test(live_reconcile, works_off_many_rows)
{
    char id[16];

    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof(id), "iold%d", i);
        rig_put(id, i % 2 ? SANDBOX_RUNNING : SANDBOX_ENDING, 500000);
        if (i % 4 < 2)
            fake_add(rig.fake, id);
    }
    rig_start();
    UNTIL(rig_records() == 15);
    UNTIL(fake_count(rig.fake) == 15);
    rig_agrees();
}

Test(live_reconcile, knows_a_back_end_only_when_it_has_answered)
{
    fake_down(rig.fake, true);
    rig_begin();
    cr_expect_not(live_ready(rig.live), "not asked yet");
    rig_settle();
    cr_expect_not(live_ready(rig.live), "down");
    fake_down(rig.fake, false);
    UNTIL(live_ready(rig.live));
}

Test(live_reconcile, takes_a_new_configuration)
{
    struct conf_backend two[2] = {rig.backend, rig.backend};
    struct conf conf = rig.conf;

    rig_start();
    two[1].name = STR("second");
    two[1].port = 1; /* nobody listens there */
    conf.backends = two;
    conf.backend_count = 2;
    live_set_conf(rig.live, &conf);
    cr_expect_not(live_ready(rig.live));
    live_set_conf(rig.live, &rig.conf);
    cr_expect(live_ready(rig.live), "what is not configured does not count");
    rig_sandbox();
}

Test(live_reconcile, takes_up_the_end_of_a_record_that_came_from_elsewhere)
{
    rig_start();
    rig_later(0);
    rig_put("iold", SANDBOX_RUNNING, 10000);
    fake_add(rig.fake, "iold");
    look(2000);
    rig_later(10000);
    expiry_look(rig.live);
    UNTIL(rig_records() == 0 && fake_count(rig.fake) == 0);
}
