/* Calls that speak TLS to their upstream: the rig's own server is it. */
#include <criterion/criterion.h>

#include "tests/unit/net_fake.h"

static struct certificate_files files;
static struct tls *tls;
static struct rig r;
static struct fake fake;
static struct caller a;

static void begin(void)
{
    certificate_make(&files, "DNS:*.test");
    tls = certificate_tls(&files, 1);
    rig_open(&r, tls, false);
    fake_open(&fake, &r);
}

static void finish(void)
{
    caller_clear(&a);
    fake_close(&fake);
    rig_close(&r);
    tls_unref(&tls);
    certificate_remove(&files);
}

static struct call_request to_server(const char *host)
{
    struct call_request q = fake_request(&fake);

    q.address = STR("127.0.0.1");
    q.port = r.port;
    q.host = str_of(host);
    q.tls = true;
    return q;
}

Test(dial, speaks_tls_and_uses_the_connection_again)
{
    begin();
    for (int i = 0; i < 3; i++) {
        struct call_request q = to_server("app.test:8443");

        caller_start(&a, &fake, &q);
        RIG_UNTIL(&r, NULL, a.ended || a.cut);
        cr_assert(a.ended, "%s", err_name(a.why));
        cr_expect_eq(a.status, 200);
        cr_expect_eq(call_facts(a.call).reused, i > 0);
        caller_clear(&a);
    }
    cr_expect_eq(server_connections(r.server), 1);
    finish();
}

Test(dial, sends_a_body_that_came_before_the_handshake)
{
    struct call_request q;
    static char piece[65536];

    begin();
    q = to_server("app.test");
    q.method = METHOD_POST;
    q.length = LENGTH_CHUNKED;
    caller_start(&a, &fake, &q);
    memset(piece, 'x', sizeof(piece));
    call_say(a.call, str_from(piece, sizeof(piece)));
    RIG_UNTIL(&r, NULL, a.room);
    call_say(a.call, str_from(piece, sizeof(piece)));
    call_say_end(a.call);
    RIG_UNTIL(&r, NULL, a.ended || a.cut);
    cr_expect_eq(a.status, 200);
    cr_expect_gt(buf_len(&a.body), 2 * sizeof(piece));
    finish();
}

/* A name that its certificates do not have ends the handshake with an alert:
 * the port is open, and nothing was sent. */
Test(dial, tells_a_handshake_that_failed)
{
    struct call_request q;

    begin();
    q = to_server("app.other");
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect_eq(a.why, E_CUT);
    cr_expect(call_facts(a.call).connected);
    cr_expect_not(call_facts(a.call).sent || call_facts(a.call).answered);
    finish();
}

/* TLS to what never says a word. */
Test(dial, waits_for_a_handshake_as_long_as_for_a_connection)
{
    struct call_request q;
    struct raw up;

    begin();
    q = fake_request(&fake);
    q.tls = true;
    q.connect_ms = 20;
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, a.cut);
    cr_expect_eq(a.why, E_UPSTREAM_DEADLINE);
    raw_close(&up);
    finish();
}

/* Plain and TLS calls of one key never share a connection. */
Test(dial, keeps_plain_calls_apart)
{
    struct call_request q;

    begin();
    q = to_server("app.test");
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, NULL, a.ended);
    caller_clear(&a);
    q.tls = false;
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect_not(call_facts(a.call).reused);
    finish();
}

/* An answer of that size, its body longer than one read. */
static size_t answer_bytes;

static void answer_long(struct desk *d)
{
    static char body[3 << 16];
    struct answer_head head = {.status = 200};

    memset(body, 'x', sizeof(body));
    stream_say_all(d->stream, &head, str_from(body, answer_bytes));
}

/* What one read leaves inside OpenSSL is in no socket, and no event tells of
 * it. */
Test(dial, reads_what_one_read_left_inside)
{
    begin();
    r.on_end = answer_long;
    for (answer_bytes = 65000; answer_bytes < 84000; answer_bytes += 257) {
        struct call_request q = to_server("app.test");

        caller_start(&a, &fake, &q);
        RIG_UNTIL(&r, NULL, a.ended || a.cut);
        cr_assert_eq(buf_len(&a.body), answer_bytes);
        caller_clear(&a);
    }
    finish();
}

/* The same when the reader paused meanwhile. */
Test(dial, reads_what_a_pause_left_inside)
{
    struct call_request q;

    begin();
    r.on_end = answer_long;
    for (answer_bytes = 65000; answer_bytes < 84000; answer_bytes += 1021) {
        q = to_server("app.test");
        a.pause = true;
        caller_start(&a, &fake, &q);
        RIG_UNTIL(&r, NULL, a.status);
        rig_settle(&r, NULL);
        call_resume(a.call, PAUSE_USER);
        RIG_UNTIL(&r, NULL, a.ended || a.cut);
        cr_assert_eq(buf_len(&a.body), answer_bytes);
        caller_clear(&a);
    }
    finish();
}
