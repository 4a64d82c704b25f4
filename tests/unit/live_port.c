#include "tests/unit/live_rig.h"

#include <stdio.h>

#include "base/clock.h"

TestSuite(live_port, .init = rig_make, .fini = rig_remove);

#define FORWARD "POST /v1/sandboxes/"

struct way {
    struct port_lease *lease;
    unsigned came;
    enum err err;
    unsigned port;
    char address[64], pool[200], prefix[200];
    unsigned order;
};

static unsigned arrivals;

static void on_target(void *arg, enum err err, const struct port_target *t)
{
    struct way *f = arg;

    cr_assert_not_null(f->lease, "out is set before");
    f->came++;
    f->order = ++arrivals;
    f->err = err;
    if (err)
        return;
    f->port = t->port;
    snprintf(f->address, sizeof(f->address), "%.*s", STR_FMT(t->address));
    snprintf(f->pool, sizeof(f->pool), "%.*s", STR_FMT(t->pool));
    snprintf(f->prefix, sizeof(f->prefix), "%.*s", STR_FMT(t->prefix));
}

static void find(struct way *f, const char *id, unsigned port)
{
    memset(f, 0, sizeof(*f));
    cr_assert_eq(
        port_find(rig.live, rig_record(id), port, on_target, f, &f->lease),
        E_OK);
}

/* ---- forward ---- */

Test(live_port, asks_for_a_forward_once_and_keeps_it)
{
    struct way one, two, other;
    const char *id;

    rig_start();
    id = rig_sandbox();
    find(&one, id, 8000);
    find(&two, id, 8000);
    find(&other, id, 8001);
    cr_expect_eq(one.came, 0, "not known yet");
    UNTIL(one.came && two.came && other.came);
    cr_expect_eq(one.err, E_OK);
    cr_expect_eq(one.port, two.port);
    cr_expect_neq(one.port, other.port);
    cr_expect_str_eq(one.pool, two.pool);
    cr_expect_str_neq(one.pool, other.pool, "a port is not another port");
    cr_expect_str_eq(one.address, "127.0.0.1");
    cr_expect_str_eq(one.prefix, "");
    cr_expect_eq(fake_seen(rig.fake, FORWARD), 2);
    port_leave(&two.lease);
    find(&two, id, 8000);
    cr_expect_eq(two.came, 1, "known at once");
    port_forget(two.lease);
    port_leave(&two.lease);
    find(&two, id, 8000);
    UNTIL(two.came);
    cr_expect_eq(fake_seen(rig.fake, FORWARD), 3, "forgotten: asked again");
    port_leave(&one.lease);
    port_leave(&two.lease);
    port_leave(&other.lease);
}

/* An answer may not send clients elsewhere: threats.md U-01. */
static const struct {
    const char *text;
    int status;
    enum err err;
    bool exposed;
} answers[] = {
    {"{\"host\":\"127.0.0.1:20001\"}", 200, E_OK, false},
    {"{\"host\":\"169.254.169.254:80\"}", 200, E_OK, true},
    {"{\"host\":\"10.0.0.1:80\"}", 200, E_OK, true},
    {"{\"host\":\"0.0.0.0:80\"}", 200, E_OK, true},
    {"{\"host\":\"127.0.0.2:80\"}", 200, E_OK, true},
    {"{\"host\":\"127.0.0.1:2375\"}", 200, E_OK, true}, /* a listener */
    {"{\"host\":\"127.0.0.1:0\"}", 200, E_OK, true},
    {"{\"host\":\"127.0.0.1:99999\"}", 200, E_OK, true},
    {"{\"host\":\"127.0.0.1\"}", 200, E_OK, true},
    {"{\"host\":\"localhost:80\"}", 200, E_OK, true},
    {"{\"host\":5}", 200, E_OK, true},
    {"[]", 200, E_OK, true},
    {"{\"error\":{\"code\":\"internal\"}}", 501, E_OK, true},
    {"{\"error\":{\"cause\":\"sandbox x is at its port-forward limit of 16\"}}",
     404, E_OK, true},
    {"{\"error\":{\"cause\":\"sandbox x not found\"}}", 404, E_SANDBOX_UNKNOWN,
     false},
    {"{\"error\":{\"code\":\"internal\"}}", 500, E_BACKEND_DOWN, false},
    {"nonsense", 200, E_BACKEND_DOWN, false},
};

Test(live_port, believes_only_the_back_ends_own_address)
{
    struct conf_listener ours = {.address = STR("127.0.0.1"), .port = 2375};
    const char *id;

    rig.conf.listeners = &ours;
    rig.conf.listener_count = 1;
    rig_start();
    id = rig_sandbox();
    for (unsigned i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        struct way f;

        if (i == 8) { /* 16 forwards at most */
            struct heard h;

            rig_kill(&h, id);
            UNTIL(h.came);
            job_leave(&h.waiter);
            id = rig_sandbox();
        }
        fake_rule(rig.fake, FORWARD, FAKE_ANSWER, answers[i].status,
                  answers[i].text, 1);
        find(&f, id, 9000 + i);
        UNTIL(f.came);
        cr_expect_eq(f.err, answers[i].err, "%s: %s", answers[i].text,
                     err_name(f.err));
        cr_expect_eq(f.prefix[0] != '\0', answers[i].exposed, "%s",
                     answers[i].text);
        if (!f.err)
            cr_expect_eq(f.port, answers[i].exposed ? rig.backend.port : 20001,
                         "%s", answers[i].text);
        port_leave(&f.lease);
    }
}

Test(live_port, never_takes_the_back_ends_own_door_for_a_port)
{
    char text[64];
    struct way f;
    const char *id;

    rig_start();
    id = rig_sandbox();
    snprintf(text, sizeof(text), "{\"host\":\"127.0.0.1:%u\"}",
             rig.backend.port);
    fake_rule(rig.fake, FORWARD, FAKE_ANSWER, 200, text, 1);
    find(&f, id, 8000);
    UNTIL(f.came);
    cr_expect_str_neq(f.prefix, "", "over expose instead");
    port_leave(&f.lease);
}

Test(live_port, goes_over_expose_when_sixteen_forwards_are_open)
{
    static struct way f[17];
    const char *id;

    rig_start();
    id = rig_sandbox();
    for (unsigned i = 0; i < 17; i++) {
        find(&f[i], id, 8000 + i);
        UNTIL(f[i].came);
        cr_expect_eq(f[i].prefix[0] != '\0', i == 16, "%u", i);
    }
    cr_expect_eq(fake_seen(rig.fake, FORWARD), 16);
    for (unsigned i = 0; i < 17; i++)
        port_leave(&f[i].lease);
}

Test(live_port, tells_those_who_wait_when_the_sandbox_is_killed)
{
    struct way f, after;
    struct heard h;
    const struct sandbox *s;
    const char *id;

    rig_start();
    id = rig_sandbox();
    s = sandbox_ref(rig_record(id));
    fake_rule(rig.fake, FORWARD, FAKE_HOLD, 0, NULL, 1);
    find(&f, id, 8000);
    UNTIL(fake_open(rig.fake) == 1);
    rig_kill(&h, id);
    UNTIL(h.came && f.came);
    cr_expect_eq(f.err, E_SANDBOX_GONE);
    job_leave(&h.waiter);
    memset(&after, 0, sizeof(after));
    cr_assert_eq(port_find(rig.live, s, 8000, on_target, &after, &after.lease),
                 E_OK);
    UNTIL(after.came);
    cr_expect_eq(after.err, E_SANDBOX_GONE);
    port_leave(&after.lease);
    port_leave(&f.lease);
    sandbox_unref(&s);
}

/* ---- expose ---- */

Test(live_port, gives_fifteen_places_and_the_rest_in_order)
{
    static struct way f[20];
    const char *id;

    rig.backend.ports = PORTS_EXPOSE;
    rig_start();
    id = rig_sandbox();
    for (int i = 0; i < 20; i++) {
        find(&f[i], id, 8000);
        cr_expect_eq(f[i].came, i < 15, "%d", i);
    }
    cr_expect(strstr(f[0].prefix, "/v1/sandboxes/i") == f[0].prefix);
    cr_expect(strstr(f[0].prefix, "/expose/8000"));
    cr_expect_eq(f[0].port, rig.backend.port);
    port_leave(&f[17].lease); /* out of the queue */
    for (int i = 0; i < 4; i++)
        port_leave(&f[i].lease);
    UNTIL(f[15].came && f[16].came && f[18].came && f[19].came);
    cr_expect(f[15].order < f[16].order);
    cr_expect(f[16].order < f[18].order);
    cr_expect(f[18].order < f[19].order);
    cr_expect_eq(f[17].came, 0);
    /* Nobody waits: a place is there at once again. */
    for (int i = 4; i < 20; i++)
        port_leave(&f[i].lease);
    find(&f[0], id, 8000);
    cr_expect_eq(f[0].came, 1);
    port_leave(&f[0].lease);
}

Test(live_port, lets_nobody_wait_longer_than_ten_seconds)
{
    static struct way f[17];
    const char *id;

    rig.backend.ports = PORTS_EXPOSE;
    rig_start();
    rig_later(0);
    id = rig_sandbox();
    for (int i = 0; i < 16; i++)
        find(&f[i], id, 8000);
    rig_later(9999);
    find(&f[16], id, 8000);
    port_leave(&f[0].lease);
    UNTIL(f[15].came);
    cr_expect_eq(f[15].err, E_OK, "9,999 ms are not too long");
    rig_later(9999 + 10000);
    port_leave(&f[17 - 1].lease);
    find(&f[16], id, 8000);
    rig_later(9999 + 20000);
    /* The timer looks at the clock: another asking sets it anew. */
    {
        struct way late;

        find(&late, id, 8001);
        UNTIL(f[16].came);
        cr_expect_eq(f[16].err, E_RATE_LIMITED);
        cr_expect_eq(late.came, 0);
        port_leave(&late.lease);
    }
    for (int i = 1; i < 17; i++)
        port_leave(&f[i].lease);
}

Test(live_port, tells_the_queue_when_the_sandbox_is_killed)
{
    static struct way f[16];
    struct heard h;
    const char *id;

    rig.backend.ports = PORTS_EXPOSE;
    rig_start();
    id = rig_sandbox();
    for (int i = 0; i < 16; i++)
        find(&f[i], id, 8000);
    rig_kill(&h, id);
    UNTIL(h.came && f[15].came);
    cr_expect_eq(f[15].err, E_SANDBOX_GONE);
    job_leave(&h.waiter);
    for (int i = 0; i < 16; i++)
        port_leave(&f[i].lease);
}
