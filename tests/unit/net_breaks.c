/* What an upstream had said when our writing to it failed. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net_fake.h"

static struct rig r;
static struct fake fake;
static struct raw up;
static struct caller a;
static char piece[65536];

/* A request that is answered; over TCP, where an error is told once and an
 * end after it. */
static void begin(struct call_request *q, const char *answer)
{
    int listener;

    rig_open(&r, NULL, false);
    fake_open(&fake, &r);
    cr_assert_eq(listener_open(STR("127.0.0.1"), 0, &listener), E_OK);
    q->pool = STR("b");
    q->address = STR("127.0.0.1");
    q->port = listener_port(listener);
    q->target = STR("/");
    q->host = STR("h");
    caller_start(&a, &fake, q);
    up = (struct raw){.fd = -1};
    buf_init(&up.got, 1 << 20);
    RIG_UNTIL(&r, NULL,
              up.fd >= 0 || (up.fd = accept(listener, NULL, NULL)) >= 0);
    close(listener);
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, str_of(answer));
    RIG_UNTIL(&r, &up, a.status);
}

static void begin_upload(const char *answer)
{
    static const struct fields none;
    struct call_request q = {
        .method = METHOD_POST, .fields = &none, .length = 1 << 20};

    begin(&q, answer);
}

static void begin_tunnel(void)
{
    struct field rows[] = {
        {STR("Sec-WebSocket-Key"), STR("dGhlIHNhbXBsZSBub25jZQ==")}};
    struct fields fields = {rows, 1, 1};
    struct call_request q = {.method = METHOD_GET,
                             .fields = &fields,
                             .length = LENGTH_NONE,
                             .upgrade = true};

    begin(&q, "HTTP/1.1 101 Switching Protocols\r\n"
              "Upgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
}

static void finish(void)
{
    caller_clear(&a);
    raw_close(&up);
    fake_close(&fake);
    rig_close(&r);
}

/* It says something, resets, and our next bytes break on that. */
static void break_off(const char *words)
{
    raw_send(&up, str_of(words));
    raw_reset(&up);
    call_say(a.call, str_from(piece, sizeof(piece)));
}

/* A body that only a FIN ends has not ended by a reset. */
Test(breaks, are_no_end_of_a_body)
{
    begin_upload("HTTP/1.1 200 OK\r\n\r\n");
    break_off("a part");
    RIG_UNTIL(&r, NULL, a.ended || a.cut);
    cr_expect(!a.ended && a.cut);
    cr_expect(str_eq(buf_str(&a.body), STR("a part")));
    finish();
}

Test(breaks, leave_an_answer_that_came_whole)
{
    begin_upload("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\n");
    break_off("no");
    RIG_UNTIL(&r, NULL, a.ended || a.cut);
    cr_expect(a.ended && !a.cut);
    finish();
}

/* An app tells why it ends the tunnel. */
Test(breaks, leave_the_last_words_of_a_tunnel)
{
    begin_tunnel();
    break_off("last words");
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect(!a.ended);
    cr_expect(str_eq(buf_str(&a.body), STR("last words")));
    finish();
}

Test(breaks, leave_last_words_until_a_pause_is_over)
{
    begin_tunnel();
    call_pause(a.call, PAUSE_FULL);
    break_off("last words");
    rig_settle(&r, NULL);
    cr_expect(!a.cut && !a.pieces);
    call_resume(a.call, PAUSE_FULL);
    RIG_UNTIL(&r, NULL, a.cut);
    cr_expect(str_eq(buf_str(&a.body), STR("last words")));
    finish();
}
