#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/clock.h"
#include "live/backend.h"

TestSuite(live_call, .init = rig_make, .fini = rig_remove);

/* What a call told. */
struct told {
    struct live_call *call;
    unsigned heads, pieces, ends, cuts;
    int status;
    enum err why;
    bool frees; /* give it back inside the event */
    char text[512];
};

static void on_head(void *arg, const struct answer_head *head)
{
    struct told *t = arg;

    t->heads++;
    t->status = head->status;
}

static void on_piece(void *arg, struct str piece)
{
    struct told *t = arg;

    t->pieces++;
    snprintf(t->text, sizeof(t->text), "%.*s", STR_FMT(piece));
}

static void on_end(void *arg)
{
    struct told *t = arg;

    t->ends++;
    if (t->frees)
        live_call_free(&t->call);
}

static void on_cut(void *arg, enum err why)
{
    struct told *t = arg;

    t->cuts++;
    t->why = why;
    if (t->frees)
        live_call_free(&t->call);
}

static void on_room(void *arg)
{
    (void)arg;
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

static void call(struct told *t, const char *id, const char *method,
                 enum slot slot, int64_t deadline_ms)
{
    bool stream = strcmp(method, "Stat") != 0;
    struct want_call want = {.method = str_of(method),
                             .stream = stream,
                             .body = stream ? str_from("\0\0\0\0\2{}", 7)
                                            : STR("{\"path\":\"/\"}"),
                             .slot = slot,
                             .deadline_ms = deadline_ms};

    memset(t, 0, sizeof(*t));
    cr_assert_eq(
        live_call_start(rig.live, rig_record(id), &want, &events, t, &t->call),
        E_OK);
    cr_expect_eq(t->heads + t->cuts, 0, "told from inside");
}

Test(live_call, asks_in_the_sandbox_servers_words)
{
    struct told t;
    const char *id, *head;

    rig_start();
    id = rig_sandbox();
    call(&t, id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(t.pieces);
    head = fake_head(rig.fake, "POST /sandbox.v1.Sandbox/ExecStream");
    cr_expect(strstr(head, "\r\nConnect-Protocol-Version: 1\r\n"));
    cr_expect(strstr(head, "\r\nContent-Type: application/connect+json\r\n"));
    cr_expect(strstr(head, "\r\nAccept-Encoding: identity\r\n"));
    cr_expect(strstr(head, "\r\nHost: 127.0.0.1:"));
    cr_expect(strstr(head, id));
    fake_finish(rig.fake);
    UNTIL(t.ends);
    cr_expect_eq(t.status, 200);
    live_call_free(&t.call);
    call(&t, id, "Stat", SLOT_NONE, 0);
    UNTIL(t.ends);
    head = fake_head(rig.fake, "POST /sandbox.v1.Sandbox/Stat");
    cr_expect(strstr(head, "\r\nContent-Type: application/json\r\n"));
    live_call_free(&t.call);
    live_call_free(&t.call);
}

/* ---- slots ---- */

Test(live_call, keeps_one_stream_free_of_commands)
{
    static struct told exec[15], over, file, more;
    const char *id;

    rig_start();
    id = rig_sandbox();
    for (int i = 0; i < 14; i++)
        call(&exec[i], id, "ExecStream", SLOT_EXEC, 0);
    call(&exec[14], id, "ExecStream", SLOT_EXEC, 0); /* limit - 1 */
    UNTIL(fake_open(rig.fake) == 15);
    call(&over, id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(over.cuts);
    cr_expect_eq(over.why, E_SLOTS);
    call(&file, id, "ExecStream", SLOT_FILE, 0); /* limit */
    UNTIL(file.pieces);
    call(&more, id, "ExecStream", SLOT_FILE, 0); /* limit + 1 */
    UNTIL(more.cuts);
    cr_expect_eq(more.why, E_SLOTS);
    cr_expect_eq(fake_seen(rig.fake, "POST /sandbox.v1.Sandbox/ExecStream"), 16,
                 "nothing was sent for those");
    live_call_free(&over.call);
    live_call_free(&more.call);
    /* What needs no stream is not counted. */
    call(&more, id, "Stat", SLOT_NONE, 0);
    UNTIL(more.ends);
    live_call_free(&more.call);
    /* An end gives the place back at once. */
    fake_finish(rig.fake);
    UNTIL(file.ends);
    for (int i = 0; i < 15; i++) {
        UNTIL(exec[i].ends);
        live_call_free(&exec[i].call);
    }
    live_call_free(&file.call);
    cr_expect_eq(live_sandbox_known(rig.live, str_of(id))->streams_used, 0);
}

Test(live_call, gives_the_place_of_a_call_it_cut_back_a_little_later)
{
    struct live_sandbox *ls;
    struct told t;
    const char *id;

    rig.backend.streams = 2;
    rig_start();
    id = rig_sandbox();
    call(&t, id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(t.pieces);
    live_call_free(&t.call);
    ls = live_sandbox_known(rig.live, str_of(id));
    cr_expect_eq(ls->streams_used, 1);
    call(&t, id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(t.cuts);
    cr_expect_eq(t.why, E_SLOTS);
    live_call_free(&t.call);
    UNTIL(ls->streams_used == 0);
}

Test(live_call, counts_nothing_when_the_back_end_has_no_limit)
{
    static struct told t[40];
    const char *id;

    rig.backend.streams = 0;
    rig_start();
    id = rig_sandbox();
    for (int i = 0; i < 40; i++)
        call(&t[i], id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(fake_open(rig.fake) == 40);
    for (int i = 0; i < 40; i++)
        live_call_free(&t[i].call);
}

Test(live_call, lets_one_stream_be_used_where_there_is_only_one)
{
    struct told t, over;
    const char *id;

    rig.backend.streams = 1;
    rig_start();
    id = rig_sandbox();
    call(&t, id, "ExecStream", SLOT_EXEC, 0);
    call(&over, id, "ExecStream", SLOT_FILE, 0);
    UNTIL(t.pieces && over.cuts);
    cr_expect_eq(over.why, E_SLOTS);
    live_call_free(&t.call);
    live_call_free(&over.call);
}

/* ---- ends ---- */

Test(live_call, is_cut_at_its_deadline)
{
    struct told t;
    const char *id;

    rig_start();
    id = rig_sandbox();
    call(&t, id, "ExecStream", SLOT_EXEC, 100);
    UNTIL(t.cuts);
    cr_expect_eq(t.why, E_UPSTREAM_DEADLINE);
    cr_expect_eq(t.heads, 1);
    live_call_free(&t.call);
}

Test(live_call, is_cut_with_gone_when_its_sandbox_is_killed)
{
    static struct told t[3];
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    for (int i = 0; i < 3; i++) {
        call(&t[i], id, "ExecStream", SLOT_EXEC, 0);
        UNTIL(t[i].pieces);
    }
    t[1].frees = true;
    rig_kill(&h, id);
    UNTIL(h.came);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(t[i].cuts, 1);
        cr_expect_eq(t[i].why, E_SANDBOX_GONE);
        live_call_free(&t[i].call);
    }
    job_leave(&h.waiter);
}

Test(live_call, says_gone_to_a_record_that_was_looked_up_before_the_kill)
{
    struct want_call want = {.method = STR("Stat"), .body = STR("{}")};
    const struct sandbox *s;
    struct told t = {0};
    struct heard h;
    const char *id;

    rig_start();
    id = rig_sandbox();
    s = sandbox_ref(rig_record(id));
    rig_kill(&h, id);
    UNTIL(h.came);
    job_leave(&h.waiter);
    cr_assert_eq(live_call_start(rig.live, s, &want, &events, &t, &t.call),
                 E_OK);
    UNTIL(t.cuts);
    cr_expect_eq(t.why, E_SANDBOX_GONE);
    cr_expect_eq(fake_seen(rig.fake, "POST /sandbox.v1.Sandbox/Stat"), 1,
                 "the create's own");
    live_call_free(&t.call);
    sandbox_unref(&s);
}

Test(live_call, says_down_when_the_back_end_is_not_there)
{
    struct told t;
    const char *id;

    rig_start();
    id = rig_sandbox();
    call(&t, id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(t.pieces);
    fake_down(rig.fake, true);
    UNTIL(t.cuts);
    cr_expect_eq(t.why, E_CUT, "never a clean end");
    cr_expect_eq(t.ends, 0);
    live_call_free(&t.call);
    call(&t, id, "Stat", SLOT_NONE, 0);
    UNTIL(t.cuts);
    cr_expect_eq(t.why, E_BACKEND_DOWN);
    live_call_free(&t.call);
    cr_expect_not(live_ready(rig.live));
    cr_expect(rig_is(id, SANDBOX_RUNNING), "down is not gone");
}

Test(live_call, may_be_given_back_at_any_moment)
{
    struct told t;
    const char *id;

    rig_start();
    id = rig_sandbox();
    call(&t, id, "ExecStream", SLOT_EXEC, 50);
    live_call_free(&t.call);
    call(&t, id, "ExecStream", SLOT_EXEC, 0);
    UNTIL(t.heads);
    live_call_pause(t.call, PAUSE_USER);
    live_call_resume(t.call, PAUSE_USER);
    live_call_free(&t.call);
    rig_settle();
}

/* ---- a back end that lost the sandbox ---- */

Test(live_call, has_a_lost_sandbox_looked_for_before_it_is_gone)
{
    static const char *const methods[] = {"Stat", "ExecStream"};

    rig_start();
    for (int i = 0; i < 2; i++) {
        struct told t;
        const char *id = rig_sandbox();

        rig_later(10000 * i + 5000);
        fake_remove(rig.fake, id);
        call(&t, id, methods[i], SLOT_NONE, 0);
        UNTIL(t.ends);
        cr_expect(strstr(t.text, "has no stream path") || i, "%s", t.text);
        live_call_free(&t.call);
        UNTIL(!rig_record(id));
    }
}

Test(live_call, keeps_a_sandbox_that_is_still_in_the_list)
{
    struct told t;
    unsigned lists;
    const char *id;

    rig_start();
    id = rig_sandbox();
    rig_later(5000);
    lists = fake_seen(rig.fake, "GET /v1/sandboxes");
    fake_rule(rig.fake, "POST /sandbox.v1.Sandbox/Stat", FAKE_ANSWER, 500,
              "{\"message\":\"has no stream path\"}", 1);
    call(&t, id, "Stat", SLOT_NONE, 0);
    UNTIL(t.ends);
    live_call_free(&t.call);
    UNTIL(fake_seen(rig.fake, "GET /v1/sandboxes") > lists);
    rig_settle();
    cr_expect(rig_is(id, SANDBOX_RUNNING));
    cr_expect_not(live_sandbox_known(rig.live, str_of(id))->suspect);
}
