/* Endings are facts, never mixed: each one from the client's side, plain and
 * through TLS. */
#include <criterion/criterion.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "tests/unit/net_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
#define UPGRADE \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" \
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static struct certificate_files files;
static struct tls *tls;
static struct rig r;
static struct raw c;

/* Leave the answer to the test. */
static void hold(struct desk *d, const struct request_head *head)
{
    (void)d;
    (void)head;
}

static void nothing(struct desk *d)
{
    (void)d;
}

static void begin(bool with_tls, const char *request)
{
    if (with_tls) {
        certificate_make(&files, "DNS:a");
        tls = certificate_tls(&files, 1);
    }
    rig_open(&r, tls, false);
    r.on_request = hold;
    r.on_end = nothing;
    if (with_tls)
        cr_assert(raw_connect_tls(&c, &r, "a", NULL));
    else
        raw_connect(&c, &r);
    raw_send(&c, str_of(request));
    RIG_UNTIL(&r, &c, r.requests == 1);
}

static void finish(void)
{
    raw_close(&c);
    rig_turn(&r, NULL);
    rig_turn(&r, NULL);
    cr_expect_eq(server_connections(r.server), 0);
    cr_expect_eq(server_streams(r.server), 0);
    rig_close(&r);
    if (tls) {
        tls_unref(&tls);
        certificate_remove(&files);
    }
}

static void say_head(int status, int64_t length)
{
    struct answer_head head = {.status = status, .length = length};

    stream_say_head(r.desks[0].stream, &head);
}

static void say(const char *text)
{
    stream_say(r.desks[0].stream, str_of(text));
}

/* The clean end of a connection, as this transport has it. */
static bool is_clean(void)
{
    return c.end == (tls ? SEEN_NOTIFY : SEEN_FIN);
}

#define BOTH(name) \
    static void name##_check(bool with_tls); \
    Test(endings, name) \
    { \
        name##_check(false); \
    } \
    Test(endings, name##_tls) \
    { \
        name##_check(true); \
    } \
    static void name##_check(bool with_tls)

BOTH(a_length_that_is_reached_ends_clean)
{
    begin(with_tls, GET);
    stream_close_after(r.desks[0].stream);
    say_head(200, 5);
    say("hello");
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect(is_clean());
    cr_expect(r.desks[0].done);
    cr_expect(raw_has(&c, "Connection: close\r\n"));
    cr_expect(raw_has(&c, "\r\n\r\nhello"));
    finish();
}

BOTH(a_last_chunk_ends_clean_and_keeps_the_connection)
{
    begin(with_tls, GET);
    say_head(200, LENGTH_CHUNKED);
    say("hello");
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, raw_has(&c, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    cr_expect_eq(c.end, SEEN_OPEN);
    cr_expect(r.desks[0].done);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, r.requests == 2);
    finish();
}

BOTH(a_cut_never_looks_like_an_end)
{
    begin(with_tls, GET);
    say_head(200, LENGTH_CHUNKED);
    say("hello");
    RIG_UNTIL(&r, &c, raw_has(&c, "hello\r\n"));
    stream_cut(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    cr_expect(!raw_has(&c, "0\r\n\r\n"));
    cr_expect(!r.desks[0].done && !r.desks[0].gone);
    stream_free(&r.desks[0].stream);
    finish();
}

BOTH(an_answer_that_is_left_is_cut)
{
    begin(with_tls, GET);
    say_head(200, 100);
    say("hello");
    RIG_UNTIL(&r, &c, raw_has(&c, "hello"));
    stream_free(&r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    finish();
}

BOTH(less_than_the_length_is_cut)
{
    begin(with_tls, GET);
    say_head(200, 100);
    say("hello");
    RIG_UNTIL(&r, &c, raw_has(&c, "hello"));
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    cr_expect(!r.desks[0].done);
    finish();
}

BOTH(more_than_the_length_never_goes_out)
{
    begin(with_tls, GET);
    say_head(200, 5);
    say("hello world");
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, raw_has(&c, "hello"));
    rig_settle(&r, &c);
    cr_expect(!raw_has(&c, "hello "));
    finish();
}

BOTH(no_answer_at_all_is_cut)
{
    begin(with_tls, GET);
    stream_free(&r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    cr_expect_eq(raw_got(&c).n, 0);
    finish();
}

BOTH(a_client_that_closes_is_gone)
{
    begin(with_tls, GET);
    raw_close(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_GONE_CLIENT);
    finish();
}

BOTH(a_client_that_half_closes_is_gone)
{
    begin(with_tls, GET);
    shutdown(c.fd, SHUT_WR);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_GONE_CLIENT);
    finish();
}

BOTH(a_client_that_resets_is_gone)
{
    begin(with_tls, GET);
    raw_reset(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_GONE_CLIENT);
    finish();
}

Test(endings, a_client_that_says_close_notify_is_gone)
{
    begin(true, GET);
    SSL_shutdown(c.ssl);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    finish();
}

/* Bytes that wait behind a pause must not hide that the client left. */
static void pause_with_bytes(bool with_tls)
{
    static char bytes[50000];

    begin(with_tls, POST);
    raw_send(&c, str_from(bytes, sizeof(bytes)));
    rig_settle(&r, NULL);
    cr_expect_eq(r.desks[0].pieces, 0);
}

BOTH(a_close_is_heard_while_nothing_is_read)
{
    pause_with_bytes(with_tls);
    raw_close(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_GONE_CLIENT);
    cr_expect_eq(r.desks[0].pieces, 0);
    finish();
}

BOTH(a_reset_is_heard_while_nothing_is_read)
{
    pause_with_bytes(with_tls);
    raw_reset(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.desks[0].pieces, 0);
    finish();
}

BOTH(a_reset_is_heard_behind_the_next_request)
{
    begin(with_tls, GET GET);
    raw_send(&c, STR(GET));
    rig_settle(&r, NULL);
    raw_reset(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect_eq(r.requests, 1);
    finish();
}

BOTH(a_body_that_ends_early_is_gone)
{
    begin(with_tls, POST);
    stream_resume(r.desks[0].stream, PAUSE_WAIT);
    raw_send(&c, STR("abc"));
    RIG_UNTIL(&r, NULL, r.desks[0].pieces > 0);
    raw_close(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect(!r.desks[0].ended);
    finish();
}

BOTH(a_broken_body_after_the_head_is_cut)
{
    begin(with_tls, "POST / HTTP/1.1\r\nHost: a\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    stream_resume(r.desks[0].stream, PAUSE_WAIT);
    say_head(200, LENGTH_CHUNKED);
    say("x");
    RIG_UNTIL(&r, &c, raw_has(&c, "x\r\n"));
    raw_send(&c, STR("zz\r\n"));
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    cr_expect(r.desks[0].gone);
    cr_expect_eq(r.desks[0].why, E_BAD_REQUEST);
    cr_expect(!raw_has(&c, "400"));
    finish();
}

BOTH(an_early_answer_survives_the_rest_of_the_body)
{
    static char bytes[40000];
    struct answer_head head = {.status = 403};

    begin(with_tls, POST);
    raw_send(&c, str_from(bytes, sizeof(bytes)));
    stream_say_all(r.desks[0].stream, &head, STR("no"));
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect(is_clean());
    cr_expect(raw_has(&c, "Connection: close\r\n"));
    cr_expect(raw_has(&c, "\r\n\r\nno"));
    cr_expect(r.desks[0].done);
    finish();
}

/* ---- tunnels ---- */

static void tunnel(bool with_tls)
{
    begin(with_tls, UPGRADE);
    say_head(101, LENGTH_NONE);
    stream_resume(r.desks[0].stream, PAUSE_WAIT);
    RIG_UNTIL(&r, &c, raw_has(&c, "\r\n\r\n"));
    cr_expect(raw_has(&c, "101 Switching Protocols\r\n"));
    cr_expect(raw_has(&c, "Connection: Upgrade\r\n"));
    cr_expect(!raw_has(&c, "Keep-Alive"));
    buf_empty(&c.got);
}

static void half_close(void)
{
    if (tls)
        SSL_shutdown(c.ssl);
    shutdown(c.fd, SHUT_WR);
}

BOTH(a_tunnel_carries_raw_bytes)
{
    tunnel(with_tls);
    say("down");
    RIG_UNTIL(&r, &c, raw_has(&c, "down"));
    cr_expect_eq(raw_got(&c).n, 4);
    raw_send(&c, STR("up"));
    RIG_UNTIL(&r, &c, str_eq(buf_str(&r.desks[0].body), STR("up")));
    raw_reset(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    finish();
}

BOTH(a_tunnel_half_closed_by_the_client_goes_on)
{
    tunnel(with_tls);
    raw_send(&c, STR("up"));
    half_close();
    RIG_UNTIL(&r, NULL, r.desks[0].ended);
    cr_expect(str_eq(buf_str(&r.desks[0].body), STR("up")));
    cr_expect(!r.desks[0].gone);
    say("down");
    RIG_UNTIL(&r, &c, raw_has(&c, "down"));
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect(is_clean());
    cr_expect(r.desks[0].done);
    finish();
}

BOTH(a_tunnel_half_closed_by_us_goes_on)
{
    tunnel(with_tls);
    say("down");
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect(is_clean());
    cr_expect(!r.desks[0].done && !r.desks[0].gone);
    raw_send(&c, STR("up"));
    RIG_UNTIL(&r, NULL, str_eq(buf_str(&r.desks[0].body), STR("up")));
    half_close();
    RIG_UNTIL(&r, NULL, r.desks[0].done);
    finish();
}

/* Nobody wants what the client still says: it is thrown away, and the client
 * that leaves is seen. */
BOTH(a_tunnel_that_is_closed_after_our_end_waits_for_nobody)
{
    tunnel(with_tls);
    stream_pause(r.desks[0].stream, PAUSE_FULL);
    raw_send(&c, STR("up"));
    say("down");
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    stream_close_after(r.desks[0].stream);
    RIG_UNTIL(&r, NULL, r.desks[0].done);
    cr_expect(is_clean());
    cr_expect(raw_has(&c, "down"));
    cr_expect(!buf_len(&r.desks[0].body));
    cr_expect_eq(server_connections(r.server), 1);
    raw_close(&c);
    RIG_UNTIL(&r, NULL, server_connections(r.server) == 0);
    finish();
}

BOTH(a_tunnel_is_cut_by_rst)
{
    tunnel(with_tls);
    stream_cut(r.desks[0].stream);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(c.end, SEEN_RST);
    stream_free(&r.desks[0].stream);
    finish();
}

BOTH(a_tunnel_reset_by_the_client_is_gone)
{
    tunnel(with_tls);
    raw_reset(&c);
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect(!r.desks[0].ended);
    finish();
}

/* What it had said before our writing broke on its closed socket. */
BOTH(the_last_words_of_a_tunnels_client_are_heard)
{
    tunnel(with_tls);
    raw_send(&c, STR("last words"));
    raw_reset(&c);
    say("more");
    RIG_UNTIL(&r, NULL, r.desks[0].gone);
    cr_expect(str_eq(buf_str(&r.desks[0].body), STR("last words")));
    cr_expect(!r.desks[0].ended);
    finish();
}

BOTH(a_paused_tunnel_keeps_what_came_before_the_half_close)
{
    tunnel(with_tls);
    stream_pause(r.desks[0].stream, PAUSE_FULL);
    raw_send(&c, STR("up"));
    half_close();
    rig_settle(&r, NULL);
    rig_settle(&r, NULL);
    cr_expect(!r.desks[0].ended && !r.desks[0].gone);
    stream_resume(r.desks[0].stream, PAUSE_FULL);
    RIG_UNTIL(&r, NULL, r.desks[0].ended);
    cr_expect(str_eq(buf_str(&r.desks[0].body), STR("up")));
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, r.desks[0].done);
    finish();
}
