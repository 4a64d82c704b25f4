/* The PROXY protocol: its headers as texts and bytes, whole and cut; and the
 * connections that begin with one. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/proxy.h"
#include "tests/unit/net_rig.h"

#define SIGN "\r\n\r\n\0\r\nQUIT\n"
#define A4 \
    "\xc0\x00\x02\x01" \
    "\xc0\x00\x02\x02"
#define A6 \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"
#define MAPPED \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\7" \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1"
#define PORTS "\xdc\x04\x01\xbb"
#define LINE "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
/* 19 and the rest of the longest line. */
#define ADDRESS_39 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
#define TEN "0123456789"
#define NINETY TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct vector_row {
    const char *name;
    struct str bytes;
    enum proxy_got got;
    const char *from; /* NULL: the socket's */
    size_t left;      /* bytes behind the header */
} rows[] = {
    {"nothing", STR(""), PROXY_MORE, NULL, 0},
    {"v1 TCP4", STR(LINE), PROXY_DONE, "192.0.2.1", 0},
    {"v1 TCP4 and a request", STR(LINE "GET"), PROXY_DONE, "192.0.2.1", 3},
    {"v1 TCP4 and another line", STR(LINE LINE), PROXY_DONE, "192.0.2.1", 42},
    {"v1 TCP6", STR("PROXY TCP6 2001:DB8::1 2001:db8::2 1 2\r\n"), PROXY_DONE,
     "2001:db8::1", 0},
    {"v1 TCP6 of v4", STR("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"),
     PROXY_DONE, "192.0.2.7", 0},
    {"v1 the longest TCP6",
     STR("PROXY TCP6 " ADDRESS_39 " " ADDRESS_39 " 65535 65535\r\n"),
     PROXY_DONE, ADDRESS_39, 0},
    {"v1 UNKNOWN", STR("PROXY UNKNOWN\r\n"), PROXY_DONE, NULL, 0},
    {"v1 UNKNOWN with words",
     STR("PROXY UNKNOWN ffff:: what ever \r it is\r\nx"), PROXY_DONE, NULL, 1},
    {"v1 of 107 bytes", STR("PROXY UNKNOWN " NINETY "1\r\n"), PROXY_DONE, NULL,
     0},
    {"v1 of 108 bytes", STR("PROXY UNKNOWN " NINETY "12\r\n"), PROXY_BAD, NULL,
     0},
    {"v1 of 107 bytes so far", STR("PROXY UNKNOWN " NINETY "123"), PROXY_BAD,
     NULL, 0},
    {"v1 of 106 bytes so far", STR("PROXY UNKNOWN " NINETY "12"), PROXY_MORE,
     NULL, 0},
    {"v1 with a bare LF", STR("PROXY UNKNOWN\n"), PROXY_BAD, NULL, 0},
    {"v1 with LF at once", STR("PROXY \n"), PROXY_BAD, NULL, 0},
    {"v1 without a family", STR("PROXY \r\n"), PROXY_BAD, NULL, 0},
    {"v1 with its CR", STR("PROXY UNKNOWN\r"), PROXY_MORE, NULL, 0},
    {"v1 in small letters", STR("proxy UNKNOWN\r\n"), PROXY_NONE, NULL, 0},
    {"v1 without a space", STR("PROXY\r\n"), PROXY_NONE, NULL, 0},
    {"v1 small family", STR("PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 UDP", STR("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL,
     0},
    {"v1 two spaces", STR("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD,
     NULL, 0},
    {"v1 a tab", STR("PROXY TCP4\t192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD,
     NULL, 0},
    {"v1 space at its end", STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 a word more", STR("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 a word less", STR("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), PROXY_BAD,
     NULL, 0},
    {"v1 no word", STR("PROXY TCP4\r\n"), PROXY_BAD, NULL, 0},
    {"v1 v6 in TCP4", STR("PROXY TCP4 ::1 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL,
     0},
    {"v1 v6 as where to", STR("PROXY TCP4 192.0.2.2 ::1 1 2\r\n"), PROXY_BAD,
     NULL, 0},
    {"v1 v4 in TCP6", STR("PROXY TCP6 192.0.2.2 ::1 1 2\r\n"), PROXY_BAD, NULL,
     0},
    {"v1 short address", STR("PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n"), PROXY_BAD,
     NULL, 0},
    {"v1 octal address", STR("PROXY TCP4 192.0.02.1 192.0.2.2 1 2\r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 zone", STR("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), PROXY_BAD, NULL, 0},
    {"v1 name", STR("PROXY TCP4 localhost 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL,
     0},
    {"v1 NUL in an address", STR("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 port 65535", STR("PROXY TCP4 192.0.2.1 192.0.2.2 65535 0\r\n"),
     PROXY_DONE, "192.0.2.1", 0},
    {"v1 port 65536", STR("PROXY TCP4 192.0.2.1 192.0.2.2 65536 0\r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 port with a zero", STR("PROXY TCP4 192.0.2.1 192.0.2.2 080 0\r\n"),
     PROXY_BAD, NULL, 0},
    {"v1 port with a sign", STR("PROXY TCP4 192.0.2.1 192.0.2.2 +80 0\r\n"),
     PROXY_BAD, NULL, 0},
    {"v2 TCP4", STR(SIGN "\x21\x11\0\x0c" A4 PORTS), PROXY_DONE, "192.0.2.1",
     0},
    {"v2 TCP4 and a hello", STR(SIGN "\x21\x11\0\x0c" A4 PORTS "\x16\x03\x01"),
     PROXY_DONE, "192.0.2.1", 3},
    {"v2 TCP4 with values",
     STR(SIGN "\x21\x11\0\x13" A4 PORTS "\x02\0\1a\x04\0\0"), PROXY_DONE,
     "192.0.2.1", 0},
    {"v2 TCP6", STR(SIGN "\x21\x21\0\x24" A6 PORTS), PROXY_DONE, "2001:db8::1",
     0},
    {"v2 TCP6 of v4", STR(SIGN "\x21\x21\0\x24" MAPPED PORTS), PROXY_DONE,
     "192.0.2.7", 0},
    {"v2 LOCAL", STR(SIGN "\x20\0\0\0G"), PROXY_DONE, NULL, 1},
    {"v2 LOCAL with addresses", STR(SIGN "\x20\x11\0\x0c" A4 PORTS), PROXY_DONE,
     NULL, 0},
    {"v2 LOCAL with anything", STR(SIGN "\x20\xff\0\1x"), PROXY_DONE, NULL, 0},
    {"v2 unknown family", STR(SIGN "\x21\0\0\2xy"), PROXY_DONE, NULL, 0},
    {"v2 version 1", STR(SIGN "\x11\x11\0\x0c" A4 PORTS), PROXY_BAD, NULL, 0},
    {"v2 version 3", STR(SIGN "\x31"), PROXY_BAD, NULL, 0},
    {"v2 command 2", STR(SIGN "\x22\x11\0\x0c" A4 PORTS), PROXY_BAD, NULL, 0},
    {"v2 UDP over v4", STR(SIGN "\x21\x12\0\x0c" A4 PORTS), PROXY_BAD, NULL, 0},
    {"v2 UDP over v6", STR(SIGN "\x21\x22\0\x24" A6 PORTS), PROXY_BAD, NULL, 0},
    {"v2 unix", STR(SIGN "\x21\x31\0\2xy"), PROXY_BAD, NULL, 0},
    {"v2 family 4", STR(SIGN "\x21\x41\0\x0c" A4 PORTS), PROXY_BAD, NULL, 0},
    {"v2 TCP4 too short", STR(SIGN "\x21\x11\0\x0b" A4 PORTS), PROXY_BAD, NULL,
     0},
    {"v2 TCP6 too short", STR(SIGN "\x21\x21\0\x23" A6 PORTS), PROXY_BAD, NULL,
     0},
    {"v2 TCP4 in the length of none", STR(SIGN "\x21\x11\0\0"), PROXY_BAD, NULL,
     0},
    {"v2 half a value", STR(SIGN "\x21\x11\0\x0e" A4 PORTS "\2\0"), PROXY_BAD,
     NULL, 0},
    {"v2 a value over the end", STR(SIGN "\x21\x11\0\x10" A4 PORTS "\x02\0\2a"),
     PROXY_BAD, NULL, 0},
    {"v2 over the limit", STR(SIGN "\x21\x11\x0f\xf1"), PROXY_BAD, NULL, 0},
    {"v2 of 64 KiB", STR(SIGN "\x20\0\xff\xff"), PROXY_BAD, NULL, 0},
    {"v2 at the limit, so far", STR(SIGN "\x21\x11\x0f\xf0"), PROXY_MORE, NULL,
     0},
    {"v2 without its last byte", STR(SIGN "\x21\x11\0\x0c" A4 "\1\2\3"),
     PROXY_MORE, NULL, 0},
    {"v2 signature so far", STR("\r\n\r\n\0\r\nQUI"), PROXY_MORE, NULL, 0},
    {"v2 wrong signature", STR("\r\n\r\n\0\r\nQUIT\r"), PROXY_NONE, NULL, 0},
    {"HTTP", STR("GET / HTTP/1.1\r\n"), PROXY_NONE, NULL, 0},
    {"HTTP with P", STR("POST / HTTP/1.1\r\n"), PROXY_NONE, NULL, 0},
    {"HTTP with an empty line", STR("\r\nGET"), PROXY_NONE, NULL, 0},
    {"TLS", STR("\x16\x03\x01"), PROXY_NONE, NULL, 0},
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static void check_row(const struct vector_row *row, enum proxy_got got,
                      const struct proxy_header *h)
{
    char text[ADDRESS_TEXT_BYTES];

    cr_expect_eq(got, row->got, "%s: %d", row->name, (int)got);
    if (got != PROXY_DONE || row->got != PROXY_DONE)
        return;
    cr_expect_eq(h->bytes, row->bytes.n - row->left, "%s: %zu bytes", row->name,
                 h->bytes);
    cr_expect_eq(h->known, row->from != NULL, "%s", row->name);
    if (h->known && row->from)
        cr_expect_str_eq(address_text(&h->from, text).p, row->from, "%s",
                         row->name);
}

Test(proxy, headers_are_read_or_refused_however_they_are_cut)
{
    for (size_t i = 0; i < ROWS; i++) {
        struct proxy_header h;
        enum proxy_got got = proxy_read(rows[i].bytes, &h);

        check_row(&rows[i], got, &h);
        got = PROXY_MORE;
        for (size_t n = 1; n <= rows[i].bytes.n && got == PROXY_MORE; n++) {
            /* In memory of its own, so that a byte too many is seen. */
            char *copy = mem_malloc(n);

            memcpy(copy, rows[i].bytes.p, n);
            got = proxy_read(str_from(copy, n), &h);
            mem_free(copy);
        }
        check_row(&rows[i], got, &h);
    }
}

Test(proxy, takes_the_longest_header_and_no_longer_one)
{
    static char bytes[PROXY_MAX_BYTES + 1] = SIGN "\x21\x11\x0f\xf0" A4 PORTS;
    struct proxy_header h;

    /* One value up to the end. */
    memcpy(bytes + 28, "\x04\x0f\xe1", 3);
    cr_expect_eq(proxy_read(str_from(bytes, PROXY_MAX_BYTES - 1), &h),
                 PROXY_MORE);
    cr_expect_eq(proxy_read(str_from(bytes, PROXY_MAX_BYTES), &h), PROXY_DONE);
    cr_expect_eq(h.bytes, PROXY_MAX_BYTES);
    cr_expect_eq(proxy_read(str_from(bytes, PROXY_MAX_BYTES + 1), &h),
                 PROXY_DONE);
    bytes[15] = '\xf1';
    cr_expect_eq(proxy_read(str_from(bytes, PROXY_MAX_BYTES + 1), &h),
                 PROXY_BAD);
}

/* ---- connections ---- */

#define GET "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

static struct rig r;
static struct raw c;
static struct certificate_files files;

static void expect_from(const char *block)
{
    struct address_block b;

    cr_assert_null(address_block_read(str_of(block), &b));
    cr_assert_eq(listener_expect_proxy(r.listener, &b, 1), E_OK);
}

static void finish(void)
{
    raw_close(&c);
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 0);
    rig_close(&r);
}

Test(proxy, says_whose_a_connection_is)
{
    rig_open(&r, NULL, false);
    expect_from("127.0.0.0/8");
    for (size_t i = 0; i < ROWS; i++) {
        unsigned before = r.requests;

        if (rows[i].got != PROXY_DONE || rows[i].left)
            continue;
        raw_connect(&c, &r);
        raw_send(&c, rows[i].bytes);
        raw_send(&c, STR(GET));
        RIG_UNTIL(&r, &c, raw_has(&c, "GET /x a "));
        cr_expect_str_eq(r.desks[before % RIG_DESKS].peer,
                         rows[i].from ? rows[i].from : "127.0.0.1", "%s",
                         rows[i].name);
        raw_close(&c);
    }
    cr_expect_eq(server_counts(r.server).greetings, 0);
    finish();
}

Test(proxy, header_may_come_byte_by_byte)
{
    struct str bytes = STR(SIGN "\x21\x21\0\x24" A6 PORTS GET);

    rig_open(&r, NULL, false);
    expect_from("127.0.0.1");
    raw_connect(&c, &r);
    for (size_t i = 0; i < bytes.n; i++) {
        raw_send(&c, str_from(bytes.p + i, 1));
        rig_settle(&r, &c);
    }
    RIG_UNTIL(&r, &c, raw_has(&c, "GET /x a "));
    cr_expect_str_eq(r.desks[0].peer, "2001:db8::1");
    finish();
}

static void begin_tls(void)
{
    struct tls *tls;

    certificate_make(&files, "DNS:a.test");
    tls = certificate_tls(&files, 1);
    rig_open(&r, tls, false);
    tls_unref(&tls);
}

static void finish_tls(void)
{
    finish();
    certificate_remove(&files);
}

Test(proxy, comes_before_tls)
{
    begin_tls();
    expect_from("127.0.0.1");
    r.greeting = STR(LINE);
    cr_assert(raw_connect_tls(&c, &r, "a.test", "http/1.1"));
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, raw_has(&c, "GET /x a "));
    cr_expect_str_eq(r.desks[0].peer, "192.0.2.1");
    cr_expect_str_eq(r.desks[0].sni, "a.test");
    finish_tls();
}

/* The bytes are sent, nothing comes back, and the connection ends. */
static void expect_silence(struct str bytes, const char *name)
{
    raw_connect(&c, &r);
    raw_send(&c, bytes);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(raw_got(&c).n, 0, "%s", name);
    cr_expect_eq(r.requests, 0, "%s", name);
    cr_expect_eq(r.refused, 0, "%s", name);
    raw_close(&c);
}

Test(proxy, closes_without_a_word_what_is_no_header)
{
    unsigned sent = 0;

    rig_open(&r, NULL, false);
    expect_from("127.0.0.1");
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].got == PROXY_DONE || rows[i].got == PROXY_MORE)
            continue;
        expect_silence(rows[i].bytes, rows[i].name);
        sent++;
    }
    expect_silence(STR(GET), "a request without a header");
    cr_expect_eq(server_counts(r.server).greetings, sent + 1);
    finish();
}

Test(proxy, is_not_for_those_who_are_not_listed)
{
    unsigned sent = 0;

    rig_open(&r, NULL, false);
    expect_from("192.0.2.0/24");
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].got != PROXY_DONE && rows[i].got != PROXY_BAD)
            continue;
        expect_silence(rows[i].bytes, rows[i].name);
        sent++;
    }
    cr_expect_eq(server_counts(r.server).greetings, sent);
    finish();
    begin_tls();
    expect_from("192.0.2.0/24");
    expect_silence(STR(LINE), "before TLS");
    expect_silence(STR("POST / HTTP/1.1\r\n\r\n"), "plain HTTP");
    finish_tls();
}

Test(proxy, leaves_those_alone_who_are_not_listed_and_do_not_use_it)
{
    struct str post = STR("POST /y HTTP/1.1\r\nHost: a\r\n"
                          "Content-Length: 1\r\n\r\nz");

    rig_open(&r, NULL, false);
    expect_from("192.0.2.0/24");
    raw_connect(&c, &r);
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, raw_has(&c, "GET /x a "));
    cr_expect_str_eq(r.desks[0].peer, "127.0.0.1");
    raw_close(&c);
    /* What begins as a header does, up to its second byte. */
    raw_connect(&c, &r);
    for (size_t i = 0; i < post.n; i++) {
        raw_send(&c, str_from(post.p + i, 1));
        rig_settle(&r, &c);
    }
    RIG_UNTIL(&r, &c, raw_has(&c, "POST /y a z"));
    finish();
    begin_tls();
    expect_from("192.0.2.0/24");
    cr_assert(raw_connect_tls(&c, &r, "a.test", "http/1.1"));
    raw_send(&c, STR(GET));
    RIG_UNTIL(&r, &c, raw_has(&c, "GET /x a "));
    finish_tls();
}

Test(proxy, header_has_its_time_and_no_more)
{
    rig_open(&r, NULL, false);
    r.settings.greeting_ms = 30;
    server_set(r.server, &r.settings);
    expect_from("127.0.0.1");
    expect_silence(STR("PROXY TCP4 "), "half a header");
    expect_silence(STR(""), "not a byte");
    expect_from("192.0.2.0/24");
    expect_silence(STR("PROXY"), "half a header of one who is not listed");
    cr_expect_eq(server_counts(r.server).greetings, 3);
    finish();
}

Test(proxy, connections_without_a_header_are_counted_and_end_with_the_server)
{
    rig_open(&r, NULL, false);
    expect_from("127.0.0.1");
    r.settings.connections_max = 1;
    server_set(r.server, &r.settings);
    raw_connect(&c, &r);
    raw_send(&c, STR("PROXY"));
    rig_settle(&r, &c);
    cr_expect_eq(server_connections(r.server), 1);
    shutdown(c.fd, SHUT_WR);
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect_eq(server_connections(r.server), 0);
    raw_close(&c);
    raw_connect(&c, &r);
    rig_settle(&r, &c);
    cr_expect_eq(server_connections(r.server), 1);
    rig_close(&r);
    raw_close(&c);
}

Test(proxy, is_not_served_without_memory)
{
    rig_open(&r, NULL, false);
    expect_from("127.0.0.1");
    for (long n = 0; n < 12; n++) {
        raw_connect(&c, &r);
        raw_send(&c, STR(LINE GET));
        mem_refuse(n);
        rig_settle(&r, NULL);
        mem_refuse(-1);
        for (int i = 0; i < 50 && c.end == SEEN_OPEN; i++)
            rig_turn(&r, &c);
        raw_close(&c);
        rig_settle(&r, NULL);
        cr_expect_eq(server_connections(r.server), 0);
    }
    finish();
}
