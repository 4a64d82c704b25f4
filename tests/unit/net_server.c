/* Connections as a whole: keeping, limits, draining, memory. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/net_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define UPGRADE \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" \
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static struct rig r;
static struct raw c;

static void hold(struct desk *d, const struct request_head *head)
{
    (void)d;
    (void)head;
}

static void finish(void)
{
    raw_close(&c);
    rig_turn(&r, NULL);
    rig_turn(&r, NULL);
    cr_expect_eq(server_connections(r.server), 0);
    cr_expect_eq(server_streams(r.server), 0);
    rig_close(&r);
}

Test(server, answers_and_keeps_the_connection)
{
    rig_open(&r, NULL, false);
    raw_connect(&c, &r);
    for (unsigned i = 1; i <= 2; i++) {
        raw_send(&c, STR("GET /a?b HTTP/1.1\r\nHost: X.y:80\r\n\r\n"));
        RIG_UNTIL(&r, &c, raw_has(&c, "GET /a?b x.y "));
        cr_expect(raw_has(&c, "HTTP/1.1 200 OK\r\n"));
        cr_expect(raw_has(&c, "Keep-Alive: timeout=600\r\n"));
        cr_expect(raw_has(&c, "Date: "));
        cr_expect(!raw_has(&c, "Connection:"));
        buf_empty(&c.got);
        cr_expect_eq(r.requests, i);
    }
    cr_expect_eq(c.end, SEEN_OPEN);
    finish();
}

Test(server, listens_on_both_families)
{
    int four, six, none;

    cr_assert_eq(listener_open(STR("127.0.0.1"), 0, &four), E_OK);
    cr_assert_eq(listener_open(STR("::1"), listener_port(four), &six), E_OK);
    cr_expect_eq(listener_port(four), listener_port(six));
    cr_expect_eq(listener_open(STR("127.0.0.1"), listener_port(four), &none),
                 E_SYSTEM);
    cr_expect_eq(listener_open(STR("no.name"), 0, &none), E_SYSTEM);
    cr_expect_eq(listener_open(STR("127.0.0.1"), 65536, &none), E_SYSTEM);
    cr_expect_eq(none, -1);
    close(four);
    close(six);
}

Test(server, says_what_a_refusal_must_say)
{
    static const struct {
        const char *request, *has;
    } rows[] = {
        {"TRACE / HTTP/1.1\r\n",
         "\r\nAllow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
         "Upgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "\r\nSec-WebSocket-Version: 13\r\n"},
        {"x\r\n", "\r\n\r\n{\"code\":400,\"message\":\"Bad Request\"}"},
    };

    rig_open(&r, NULL, false);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        raw_connect(&c, &r);
        raw_send(&c, str_of(rows[i].request));
        RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
        cr_expect(raw_has(&c, rows[i].has), "%.*s", STR_FMT(raw_got(&c)));
        cr_expect(raw_has(&c, "\r\nCache-Control: no-store\r\n"));
        cr_expect(raw_has(&c, "\r\nConnection: close\r\n"));
        raw_close(&c);
    }
    finish();
}

Test(server, writes_no_field_that_is_not_clean)
{
    struct field rows[] = {{STR("X-Evil"), STR("a\r\nSet-Cookie: b")},
                           {STR("X-Nul"), str_from("a\0b", 3)},
                           {STR("bad name"), STR("x")},
                           {STR(""), STR("x")},
                           {STR("Content-Length"), STR("9")},
                           {STR("Transfer-Encoding"), STR("chunked")},
                           {STR("Connection"), STR("close")},
                           {STR("Keep-Alive"), STR("x")},
                           {STR("Date"), STR("never")},
                           {STR("Upgrade"), STR("h2c")},
                           {STR("X-Good"), STR("\tall \xe4")}};
    struct answer_head head = {
        .status = 200, .reason = STR("O\nK"), .fields = {rows, 11, 11}};

    clock_set_wall_ms(784111777000);
    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_say_all(r.desks[0].stream, &head, STR("x"));
    RIG_UNTIL(&r, &c, r.desks[0].done);
    cr_expect(
        str_eq(raw_got(&c), STR("HTTP/1.1 200 OK\r\nX-Good: \tall \xe4\r\n"
                                "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                "Keep-Alive: timeout=600\r\n"
                                "Content-Length: 1\r\n\r\nx")));
    finish();
}

Test(server, frames_answers_by_method_and_status)
{
    static const struct {
        const char *method;
        int status;
        int64_t length;
        const char *has, *not ;
    } rows[] = {
        {"GET", 200, 2, "Content-Length: 2\r\n\r\nab", "chunked"},
        {"GET", 200, LENGTH_CHUNKED, "\r\n\r\n2\r\nab\r\n0\r\n\r\n", "Length"},
        {"GET", 200, LENGTH_CLOSE, "\r\n\r\n2\r\nab\r\n0\r\n\r\n", "Length"},
        {"GET", 200, LENGTH_NONE, "Content-Length: 0\r\n\r\n", "ab"},
        {"GET", 204, 2, "204 No Content\r\n", "Length"},
        {"GET", 204, LENGTH_CHUNKED, "204 No Content\r\n", "chunked"},
        {"GET", 304, 2, "304 Not Modified\r\n", "ab"},
        {"HEAD", 200, 2, "Content-Length: 2\r\n\r\n", "ab"},
        {"HEAD", 200, LENGTH_CHUNKED, "chunked\r\n\r\n", "ab"},
        {"HEAD", 404, LENGTH_NONE, "404 Not Found\r\n", "Length"},
    };
    char request[64];

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct answer_head head = {.status = rows[i].status,
                                   .length = rows[i].length};
        struct desk *d = &r.desks[i];

        snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: a\r\n\r\n",
                 rows[i].method);
        raw_send(&c, str_of(request));
        RIG_UNTIL(&r, &c, r.requests == i + 1);
        stream_say_head(d->stream, &head);
        stream_say(d->stream, STR("ab"));
        stream_say_end(d->stream);
        RIG_UNTIL(&r, &c, d->done);
        rig_settle(&r, &c);
        cr_expect(raw_has(&c, rows[i].has), "row %u: %.*s", i,
                  STR_FMT(raw_got(&c)));
        cr_expect(!raw_has(&c, rows[i].not ), "row %u: %.*s", i,
                  STR_FMT(raw_got(&c)));
        buf_empty(&c.got);
    }
    finish();
}

Test(server, gives_an_old_client_no_chunks)
{
    struct answer_head head = {.status = 200, .length = LENGTH_CHUNKED};

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_send(&c, STR("GET / HTTP/1.0\r\n\r\n"));
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_say_head(r.desks[0].stream, &head);
    stream_say(r.desks[0].stream, STR("abc"));
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "Connection: close\r\n\r\nabc"));
    cr_expect(!raw_has(&c, "chunked"));
    finish();
}

/* H1-22: no body is asked for, so it is not waited for either. */
Test(server, closes_after_an_answer_to_an_expectation_that_it_refused)
{
    struct answer_head head = {.status = 401};

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_send(&c, STR("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                     "Content-Length: 5\r\n\r\n"));
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_say_all(r.desks[0].stream, &head, STR("no"));
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "401 Unauthorized\r\n"));
    cr_expect(!raw_has(&c, "100 Continue"));
    finish();
}

Test(server, keeps_the_connection_when_the_unread_body_is_here)
{
    struct answer_head head = {.status = 401};

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_send(&c, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
                     "hello" GET));
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_say_all(r.desks[0].stream, &head, STR("no"));
    RIG_UNTIL(&r, &c, r.requests == 2);
    cr_expect(!raw_has(&c, "Connection: close"));
    stream_say_all(r.desks[1].stream, &head, STR("no"));
    RIG_UNTIL(&r, &c, r.desks[1].done);
    finish();
}

Test(server, drains_not_for_ever)
{
    static char bytes[65536];
    struct answer_head head = {.status = 403};
    unsigned sent = 0;

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    raw_send(&c, STR("POST / HTTP/1.1\r\nHost: a\r\n"
                     "Content-Length: 100000000\r\n\r\n"));
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_say_all(r.desks[0].stream, &head, STR("no"));
    while (server_connections(r.server) && sent++ < 1000) {
        raw_send(&c, str_from(bytes, sizeof(bytes)));
        rig_turn(&r, NULL);
    }
    cr_expect_lt(sent, 20);
    cr_expect_eq(server_connections(r.server), 0);
    finish();
}

/* ---- times ---- */

static void nothing(struct desk *d)
{
    (void)d;
}

static void begin_timed(const char *request)
{
    rig_open(&r, NULL, false);
    r.settings.head_ms = r.settings.idle_ms = r.settings.stall_ms = 30;
    r.settings.tunnel_idle_ms = r.settings.half_open_ms = 30;
    server_set(r.server, &r.settings);
    r.on_request = hold;
    r.on_end = nothing;
    raw_connect(&c, &r);
    raw_send(&c, str_of(request));
}

Test(server, answers_408_to_a_slow_head)
{
    begin_timed("GET / HTTP/1.1\r\nHo");
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "HTTP/1.1 408 "));
    cr_expect_eq(r.refused_status, 408);
    cr_expect_eq(r.refused_why, E_SLOW);
    finish();
}

Test(server, closes_in_silence_who_says_nothing)
{
    begin_timed("");
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect_eq(raw_got(&c).n, 0);
    cr_expect_eq(r.refused, 0);
    finish();
}

Test(server, closes_a_kept_connection_in_silence)
{
    begin_timed(GET);
    RIG_UNTIL(&r, &c, r.requests == 1);
    desk_echo(&r.desks[0]);
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(!raw_has(&c, "408"));
    finish();
}

Test(server, answers_408_to_a_slow_body)
{
    begin_timed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_resume(r.desks[0].stream, PAUSE_WAIT);
    stream_limit_body(r.desks[0].stream, 20, 1000);
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "HTTP/1.1 408 "));
    cr_expect_eq(r.desks[0].why, E_SLOW);
    finish();
}

#define POST_9 "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"

static void begin_silent_body(int64_t idle_ms)
{
    begin_timed(POST_9 "ab");
    r.settings.body_idle_ms = idle_ms;
    server_set(r.server, &r.settings);
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_resume(r.desks[0].stream, PAUSE_WAIT);
    RIG_UNTIL(&r, &c, buf_len(&r.desks[0].body) == 2);
}

Test(server, answers_408_to_a_silent_body)
{
    begin_silent_body(30);
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "HTTP/1.1 408 "));
    cr_expect_eq(r.desks[0].why, E_SLOW);
    finish();
}

Test(server, cuts_a_silent_body_that_is_answered_already)
{
    struct answer_head head = {.status = 200, .length = LENGTH_CHUNKED};

    begin_silent_body(30);
    stream_say_head(r.desks[0].stream, &head);
    stream_say(r.desks[0].stream, STR("x"));
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    cr_expect(!raw_has(&c, "\r\n0\r\n"));
    cr_expect_eq(r.desks[0].why, E_SLOW);
    finish();
}

/* Each byte begins a new silence, and a pause of ours is none of theirs. */
Test(server, waits_for_a_body_that_is_slow_and_not_silent)
{
    int64_t until_ms;

    begin_silent_body(200);
    for (int i = 0; i < 5; i++) {
        until_ms = clock_ms() + 60;
        while (clock_ms() < until_ms)
            rig_turn(&r, &c);
        raw_send(&c, STR("c"));
        RIG_UNTIL(&r, &c, buf_len(&r.desks[0].body) == 3u + (unsigned)i);
    }
    stream_pause(r.desks[0].stream, PAUSE_FULL);
    until_ms = clock_ms() + 250;
    while (clock_ms() < until_ms)
        rig_turn(&r, &c);
    cr_expect_eq(c.end, SEEN_OPEN);
    stream_resume(r.desks[0].stream, PAUSE_FULL);
    rig_settle(&r, &c);
    cr_expect_eq(c.end, SEEN_OPEN);
    raw_send(&c, STR("cc"));
    RIG_UNTIL(&r, &c, r.desks[0].ended);
    finish();
}

Test(server, resets_who_does_not_read)
{
    static char bytes[65536];
    struct answer_head head = {.status = 200, .length = LENGTH_CHUNKED};

    begin_timed(GET);
    RIG_UNTIL(&r, NULL, r.requests == 1);
    stream_say_head(r.desks[0].stream, &head);
    while (stream_say(r.desks[0].stream, str_from(bytes, sizeof(bytes))))
        rig_turn(&r, NULL);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_SLOW);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    finish();
}

static void begin_tunnel(void)
{
    struct answer_head head = {.status = 101, .length = LENGTH_NONE};

    begin_timed(UPGRADE);
    RIG_UNTIL(&r, &c, r.requests == 1);
    stream_say_head(r.desks[0].stream, &head);
    stream_resume(r.desks[0].stream, PAUSE_WAIT);
    RIG_UNTIL(&r, &c, raw_has(&c, "101 "));
}

Test(server, ends_a_silent_tunnel)
{
    begin_tunnel();
    RIG_UNTIL(&r, &c, r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_SLOW);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    finish();
}

/* An app that only speaks keeps its tunnel, whole or half; the clock stands
 * but for what the test moves it. */
static void speaks_alone(bool half)
{
    struct desk *d = &r.desks[0];
    int64_t now_ms = 100000;

    clock_set_ms(now_ms);
    begin_tunnel();
    if (half) {
        shutdown(c.fd, SHUT_WR);
        RIG_UNTIL(&r, &c, d->ended);
    }
    for (int i = 0; i < 5; i++) {
        clock_set_ms(now_ms += 20);
        stream_say(d->stream, STR("tick"));
        for (int turn = 0; turn < 40; turn++) {
            rig_turn(&r, &c);
            poll(NULL, 0, 1);
        }
        cr_assert(!d->gone);
    }
    clock_set_ms(now_ms + 31);
    RIG_UNTIL(&r, &c, d->gone);
    finish();
}

Test(server, keeps_a_tunnel_whose_app_speaks)
{
    speaks_alone(false);
}

Test(server, keeps_a_half_open_tunnel_whose_app_speaks)
{
    speaks_alone(true);
}

Test(server, ends_a_tunnel_that_stays_half_open)
{
    begin_tunnel();
    r.settings.tunnel_idle_ms = 3600000;
    server_set(r.server, &r.settings);
    shutdown(c.fd, SHUT_WR);
    RIG_UNTIL(&r, &c, r.desks[0].gone);
    cr_expect(r.desks[0].ended);
    cr_expect_eq(r.desks[0].why, E_SLOW);
    finish();
}

/* Whoever vanishes without a word is looked for. */
Test(server, has_the_kernel_look_for_silent_peers)
{
    socklen_t n = sizeof(int);
    int on = 0, idle_s = 0, fd;

    rig_open(&r, NULL, false);
    listener_free(&r.listener);
    raw_connect(&c, &r);
    fd = accept(r.fd, NULL, NULL);
    cr_assert_geq(fd, 0);
    cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &n), 0);
    cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &n), 0);
    cr_expect(on);
    cr_expect_eq(idle_s, 60);
    close(fd);
    raw_close(&c);
    rig_close(&r);
}

/* ---- room ---- */

Test(server, accepts_no_more_than_its_limit_and_goes_on_later)
{
    struct raw two, three;

    rig_open(&r, NULL, false);
    r.settings.connections_max = 2;
    server_set(r.server, &r.settings);
    raw_connect(&c, &r);
    raw_connect(&two, &r);
    raw_connect(&three, &r);
    raw_send(&three, STR(GET));
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 2);
    cr_expect_eq(r.requests, 0);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, raw_has(&c, "GET / a"));
    raw_close(&two);
    RIG_UNTIL(&r, &three, raw_has(&three, "GET / a"));
    raw_close(&three);
    RIG_UNTIL(&r, NULL, server_connections(r.server) == 1);
    finish();
}

Test(server, waits_when_the_system_has_no_descriptor)
{
    struct rlimit was, now;
    int fds[64];
    unsigned n = 0;

    rig_open(&r, NULL, false);
    raw_connect(&c, &r);
    getrlimit(RLIMIT_NOFILE, &was);
    now = was;
    now.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &now);
    while (n < 64 && (fds[n] = dup(0)) >= 0)
        n++;
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 0);
    while (n)
        close(fds[--n]);
    setrlimit(RLIMIT_NOFILE, &was);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, raw_has(&c, "GET / a"));
    finish();
}

static bool idle;

static void on_idle(void *arg)
{
    (void)arg;
    idle = true;
}

Test(server, holds_and_goes_on)
{
    struct raw quiet, late;

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_connect(&quiet, &r);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, NULL, r.requests == 1 && server_connections(r.server) == 2);
    server_hold(r.server, true);
    RIG_UNTIL(&r, &quiet, quiet.end == SEEN_FIN);
    raw_connect(&late, &r);
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 1, "the open one");
    server_hold(r.server, true);
    desk_echo(&r.desks[0]);
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "Connection: close\r\n"));
    r.on_request = NULL;
    server_hold(r.server, false);
    raw_send(&late, STR(GET));
    RIG_UNTIL(&r, &late, raw_has(&late, "GET / a"));
    cr_expect(!raw_has(&late, "Connection: close"));
    raw_close(&c);
    raw_close(&quiet);
    raw_close(&late);
    finish();
}

Test(server, drains)
{
    struct raw quiet, late;

    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_connect(&quiet, &r);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, NULL, r.requests == 1 && server_connections(r.server) == 2);
    server_drain(r.server, on_idle, NULL);
    RIG_UNTIL(&r, &quiet, quiet.end == SEEN_FIN);
    raw_connect(&late, &r);
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 1);
    cr_expect(!idle);
    desk_echo(&r.desks[0]);
    RIG_UNTIL(&r, &c, c.end == SEEN_FIN);
    cr_expect(raw_has(&c, "Connection: close\r\n"));
    raw_close(&c);
    RIG_UNTIL(&r, NULL, idle);
    raw_close(&quiet);
    raw_close(&late);
    finish();
}

Test(server, cuts_what_is_open_when_it_is_freed)
{
    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, NULL, r.requests == 1);
    listener_free(&r.listener);
    server_free(&r.server);
    RIG_UNTIL(&r, &c, c.end == SEEN_RST);
    raw_close(&c);
    rig_close(&r); /* frees the stream, after its server */
}

/* ---- memory ---- */

Test(server, survives_every_refused_allocation)
{
    bool good = false;
    long n;

    rig_open(&r, NULL, false);
    for (n = 0; !good && n < 200; n++) {
        raw_pair(&c, &r);
        raw_send(&c, STR("POST / HTTP/1.1\r\nHo"));
        mem_refuse(n);
        for (int i = 0; i < 4; i++)
            loop_turn(r.loop, false);
        raw_send(&c, STR("st: a\r\nContent-Length: 2\r\n\r\na"));
        for (int i = 0; i < 4; i++)
            loop_turn(r.loop, false);
        raw_send(&c, STR("b"));
        for (int i = 0; i < 4; i++)
            loop_turn(r.loop, false);
        mem_refuse(-1);
        raw_read(&c);
        good = raw_has(&c, "POST / a ab");
        cr_expect(good || c.end != SEEN_OPEN || raw_has(&c, "503") ||
                      raw_has(&c, "POST / a "),
                  "allocation %ld: %.*s", n, STR_FMT(raw_got(&c)));
        raw_close(&c);
        for (int i = 0; i < 4; i++)
            loop_turn(r.loop, false);
        cr_expect_eq(server_connections(r.server), 0);
        cr_expect_eq(server_streams(r.server), 0);
    }
    cr_expect(good);
    cr_expect_gt(n, 3);
    rig_close(&r);
}

Test(server, asks_for_no_memory_on_a_warm_connection)
{
    rig_open(&r, NULL, false);
    r.on_request = hold;
    raw_connect(&c, &r);
    for (unsigned i = 0; i < 6; i++) {
        struct answer_head head = {.status = 200};
        long asked;

        raw_send(&c, STR(GET));
        mem_refuse(-1);
        for (int k = 0; k < 100 && r.requests <= i; k++)
            loop_turn(r.loop, false);
        stream_say_all(r.desks[i].stream, &head, STR("hello"));
        loop_turn(r.loop, false);
        asked = mem_refuse(-1);
        cr_expect(i == 0 || asked == 0, "%ld allocations", asked);
        cr_expect(r.desks[i].done);
    }
    finish();
}
