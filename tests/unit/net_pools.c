/* Calls and the connections that they share: reuse, one retry, no cross-talk.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/net_fake.h"

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct rig r;
static struct fake fake;
static struct raw up;
static struct caller a, b;

static void begin(void)
{
    rig_open(&r, NULL, false);
    fake_open(&fake, &r);
}

static void finish(void)
{
    caller_clear(&a);
    caller_clear(&b);
    raw_close(&up);
    fake_close(&fake);
    rig_close(&r);
}

/* One good call, after which a connection waits. */
static void warm(void)
{
    struct call_request q = fake_request(&fake);

    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, STR(OK));
    RIG_UNTIL(&r, &up, a.ended);
    caller_clear(&a);
    buf_empty(&up.got);
}

Test(pools, write_a_request_as_it_was_given)
{
    struct field rows[] = {{STR("X-A"), STR("1")},
                           {STR("Connection"), STR("close")},
                           {STR("Transfer-Encoding"), STR("chunked")},
                           {STR("Content-Length"), STR("7")},
                           {STR("Host"), STR("evil")},
                           {STR("X-B"), STR("a\r\nevil: 1")},
                           {STR("bad name"), STR("x")},
                           {STR("Expect"), STR("100-continue")},
                           {STR("X-C"), STR("\xff")}};
    struct fields fields = {rows, 9, 9};
    struct call_request q;

    begin();
    q = fake_request(&fake);
    q.method = METHOD_POST;
    q.target = STR("/a?b");
    q.fields = &fields;
    q.length = 3;
    q.body = STR("xyz");
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "xyz"));
    cr_expect(
        str_eq(raw_got(&up), STR("POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n"
                                 "X-C: \xff\r\nContent-Length: 3\r\n\r\nxyz")));
    finish();
}

Test(pools, refuse_a_target_that_would_break_the_line)
{
    static const char *const targets[] = {"/a b", "/a\r\nX: y", "", "/\t"};
    struct call_request q;

    begin();
    for (int i = 0; i < 4; i++) {
        q = fake_request(&fake);
        q.target = str_of(targets[i]);
        cr_expect_eq(call_start(r.pools, &q, NULL, NULL, &a.call), E_BAD_FIELD);
        cr_expect_null(a.call);
    }
    q = fake_request(&fake);
    q.address = STR("no.such.name");
    cr_expect_eq(call_start(r.pools, &q, NULL, NULL, &a.call), E_SYSTEM);
    finish();
}

Test(pools, use_a_connection_again)
{
    struct call_request q;

    begin();
    warm();
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    cr_expect(call_facts(a.call).reused);
    raw_send(&up, STR(OK));
    RIG_UNTIL(&r, &up, a.ended);
    cr_expect(!fake_called(&fake));
    finish();
}

Test(pools, give_a_fresh_connection_when_asked)
{
    struct call_request q;

    begin();
    warm();
    q = fake_request(&fake);
    q.fresh = true;
    caller_start(&a, &fake, &q);
    cr_expect(fake_called(&fake));
    finish();
}

Test(pools, never_share_between_keys)
{
    struct call_request q;

    begin();
    warm();
    q = fake_request(&fake);
    q.pool = STR("other");
    caller_start(&a, &fake, &q);
    cr_expect(fake_called(&fake));
    finish();
}

Test(pools, drop_the_connections_of_a_key)
{
    begin();
    warm();
    pools_drop(r.pools, STR("other"));
    rig_settle(&r, &up);
    cr_expect_eq(up.end, SEEN_OPEN);
    pools_drop(r.pools, STR("b"));
    RIG_UNTIL(&r, &up, up.end == SEEN_FIN);
    finish();
}

Test(pools, close_what_waits_too_long)
{
    rig_open(&r, NULL, false);
    pools_free(&r.pools);
    cr_assert_eq(pools_new(r.loop, 8, 20, &r.pools), E_OK);
    fake_open(&fake, &r);
    warm();
    RIG_UNTIL(&r, &up, up.end == SEEN_FIN);
    finish();
}

/* U-05: what an upstream says without being asked reaches nobody. */
Test(pools, destroy_a_connection_that_speaks_unasked)
{
    struct call_request q;

    begin();
    warm();
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    rig_settle(&r, NULL);
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    cr_expect(fake_called(&fake));
    cr_expect_eq(a.status, 0);
    finish();
}

/* The bytes are there before the loop has seen them. */
Test(pools, look_before_a_request_that_cannot_be_repeated)
{
    struct call_request q;

    begin();
    warm();
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    q = fake_request(&fake);
    q.method = METHOD_POST;
    q.idempotent = false;
    q.length = 0;
    caller_start(&a, &fake, &q);
    cr_expect(fake_called(&fake));
    cr_expect_eq(a.status, 0);
    finish();
}

/* U-11. */
Test(pools, repeat_once_what_died_on_a_used_connection)
{
    struct call_request q;
    struct raw second;

    begin();
    warm();
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_close(&up);
    fake_accept(&fake, &second);
    RIG_UNTIL(&r, &second, raw_has(&second, "GET / HTTP/1.1\r\n"));
    cr_expect(!call_facts(a.call).reused);
    raw_close(&second);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect_eq(a.why, E_CUT);
    cr_expect(!fake_called(&fake));
    finish();
}

Test(pools, do_not_repeat_what_may_have_been_done)
{
    struct call_request q;

    begin();
    warm();
    q = fake_request(&fake);
    q.idempotent = false;
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_close(&up);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect_eq(a.why, E_CUT);
    cr_expect(call_facts(a.call).sent && call_facts(a.call).connected);
    cr_expect(call_facts(a.call).reused && !call_facts(a.call).answered);
    cr_expect(!fake_called(&fake));
    finish();
}

Test(pools, do_not_repeat_what_was_answered)
{
    struct call_request q;

    begin();
    warm();
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, STR("HTTP/1.1 2"));
    rig_settle(&r, NULL);
    raw_close(&up);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect(call_facts(a.call).answered);
    cr_expect(!fake_called(&fake));
    finish();
}

Test(pools, do_not_repeat_a_body_that_was_not_kept)
{
    struct call_request q;

    begin();
    warm();
    q = fake_request(&fake);
    q.method = METHOD_PUT;
    q.length = 4;
    caller_start(&a, &fake, &q);
    call_say(a.call, STR("ab"));
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\nab"));
    raw_close(&up);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect(!fake_called(&fake));
    finish();
}

Test(pools, say_that_nobody_listens)
{
    struct call_request q;
    int fd;

    begin();
    cr_assert_eq(listener_open(STR("127.0.0.1"), 0, &fd), E_OK);
    q = fake_request(&fake);
    q.address = STR("127.0.0.1");
    q.port = listener_port(fd);
    close(fd);
    caller_start(&a, &fake, &q);
    cr_expect(!a.cut, "an event from inside call_start()");
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect_eq(a.why, E_BACKEND_DOWN);
    cr_expect(!call_facts(a.call).connected && !call_facts(a.call).sent);
    /* A Unix socket refuses inside connect(). */
    q = fake_request(&fake);
    q.address = STR("/tmp/nobody/is/here");
    caller_start(&b, &fake, &q);
    cr_expect(!b.cut);
    RIG_UNTIL(&r, NULL, b.cut);
    cr_expect_eq(b.why, E_BACKEND_DOWN);
    finish();
}

/* U-13: a full queue drops what would connect, as a black hole does. */
Test(pools, keep_to_the_time_for_a_connection)
{
    struct sockaddr_in full = {.sin_family = AF_INET,
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(full);
    int fd = socket(AF_INET, SOCK_STREAM, 0), fill[8];
    struct call_request q;

    begin();
    cr_assert_eq(bind(fd, (struct sockaddr *)&full, n), 0);
    cr_assert_eq(listen(fd, 0), 0);
    getsockname(fd, (struct sockaddr *)&full, &n);
    for (int i = 0; i < 8; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fill[i], (struct sockaddr *)&full, n);
    }
    q = fake_request(&fake);
    q.address = STR("127.0.0.1");
    q.port = ntohs(full.sin_port);
    q.connect_ms = 30;
    caller_start(&b, &fake, &q);
    RIG_UNTIL(&r, NULL, b.cut);
    cr_expect_eq(b.why, E_BACKEND_DOWN);
    cr_expect(!call_facts(b.call).connected);
    for (int i = 0; i < 8; i++)
        close(fill[i]);
    close(fd);
    finish();
}

Test(pools, keep_to_the_time_for_a_head)
{
    struct call_request q;

    begin();
    q = fake_request(&fake);
    q.head_ms = 20;
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, a.cut);
    cr_expect_eq(a.why, E_UPSTREAM_DEADLINE);
    cr_expect(call_facts(a.call).sent);
    RIG_UNTIL(&r, &up, up.end != SEEN_OPEN);
    finish();
}

Test(pools, stream_a_chunked_body)
{
    struct call_request q;

    begin();
    q = fake_request(&fake);
    q.method = METHOD_POST;
    q.length = LENGTH_CHUNKED;
    caller_start(&a, &fake, &q);
    /* Before the connection stands: taken, and no more is wanted. */
    cr_expect(!call_say(a.call, STR("first")));
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "5\r\nfirst\r\n"));
    cr_expect(a.room);
    cr_expect(call_say(a.call, STR("second piece")));
    call_say_end(a.call);
    RIG_UNTIL(&r, &up, raw_has(&up, "c\r\nsecond piece\r\n0\r\n\r\n"));
    raw_send(&up, STR(OK));
    RIG_UNTIL(&r, &up, a.ended);
    cr_expect_eq(up.end, SEEN_OPEN);
    finish();
}

/* U-12: an answer before the request is complete. */
Test(pools, hear_an_early_answer_and_close)
{
    struct call_request q;

    begin();
    q = fake_request(&fake);
    q.method = METHOD_POST;
    q.length = 100;
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, STR("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"));
    RIG_UNTIL(&r, &up, a.ended);
    cr_expect_eq(a.status, 413);
    cr_expect(call_say(a.call, STR("more")));
    RIG_UNTIL(&r, &up, up.end != SEEN_OPEN);
    finish();
}

/* The upstream answers, closes, and our body breaks on it. */
Test(pools, hear_an_answer_although_writing_failed)
{
    static char piece[65536];
    struct call_request q;

    begin();
    q = fake_request(&fake);
    q.method = METHOD_POST;
    q.length = 1 << 20;
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, STR("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno"));
    raw_close(&up);
    call_say(a.call, str_from(piece, sizeof(piece)));
    RIG_UNTIL(&r, NULL, a.ended || a.cut);
    cr_expect_eq(a.status, 413);
    cr_expect(a.ended && !a.cut);
    finish();
}

Test(pools, cut_a_call_that_is_left)
{
    struct call_request q;

    begin();
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    call_free(&a.call);
    RIG_UNTIL(&r, &up, up.end != SEEN_OPEN);
    cr_expect(!a.cut && !a.ended);
    finish();
}

Test(pools, hold_pieces_while_paused)
{
    struct call_request q;

    begin();
    a.pause = true;
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, STR(OK));
    RIG_UNTIL(&r, &up, a.status == 200);
    rig_settle(&r, &up);
    cr_expect(!a.pieces && !a.ended);
    call_resume(a.call, PAUSE_USER);
    RIG_UNTIL(&r, &up, a.ended);
    cr_expect(str_eq(buf_str(&a.body), STR("ok")));
    finish();
}

Test(pools, hear_a_reset_while_paused)
{
    struct call_request q;

    begin();
    a.pause = true;
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    rig_settle(&r, NULL);
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"));
    RIG_UNTIL(&r, NULL, a.status == 200);
    raw_send(&up, STR("more"));
    rig_settle(&r, NULL);
    close(up.fd); /* with the request unread: a reset */
    up.fd = -1;
    RIG_UNTIL(&r, NULL, a.cut);
    finish();
}

Test(pools, drop_trailers_and_fields_of_the_hop)
{
    struct call_request q;

    begin();
    q = fake_request(&fake);
    caller_start(&a, &fake, &q);
    fake_accept(&fake, &up);
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\n"
                      "X-Hop: 1\r\nKeep-Alive: timeout=5\r\nDate: now\r\n"
                      "Trailer: X\r\nUpgrade: h2c\r\nX-Kept: 1\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n"));
    RIG_UNTIL(&r, &up, a.ended);
    cr_expect_eq(a.fields, 1);
    cr_expect_eq(a.length, LENGTH_CHUNKED);
    finish();
}

Test(pools, give_everything_back_when_memory_is_refused)
{
    struct call_request q;
    bool good = false;

    begin();
    for (long n = 0; !good && n < 100; n++) {
        enum err err;

        q = fake_request(&fake);
        mem_refuse(n);
        err = call_start(r.pools, &q, NULL, NULL, &a.call);
        mem_refuse(-1);
        good = err == E_OK;
        cr_expect(good || err == E_NOMEM || err == E_SYSTEM, "%s",
                  err_name(err));
        call_free(&a.call);
        rig_turn(&r, NULL);
    }
    cr_expect(good);
    finish();
}
