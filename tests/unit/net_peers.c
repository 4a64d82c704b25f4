/* Connections by address: the counts, and what the server makes of them. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/peers.h"
#include "tests/unit/net_rig.h"

static struct address at(const char *text)
{
    struct address a;

    cr_assert(address_read(str_of(text), &a), "%s", text);
    return a;
}

static enum err take(struct peers *p, const char *text, unsigned most,
                     struct peer **out)
{
    struct address a = at(text);

    return peers_take(p, &a, most, out);
}

Test(peers, count_up_to_a_limit_by_address)
{
    struct peer *held[4], *none;
    struct peers *p;

    cr_assert_eq(peers_new(&p), E_OK);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(take(p, "192.0.2.1", 3, &held[i]), E_OK);
    cr_expect_eq(take(p, "192.0.2.1", 3, &none), E_FULL);
    cr_expect_null(none);
    cr_expect_eq(take(p, "::ffff:192.0.2.1", 3, &none), E_FULL);
    cr_expect_eq(take(p, "192.0.2.2", 3, &held[3]), E_OK);
    cr_expect_eq(peers_count(p), 2);
    peers_give(p, &held[0]);
    cr_expect_null(held[0]);
    peers_give(p, &held[0]);
    cr_expect_eq(take(p, "192.0.2.1", 3, &held[0]), E_OK);
    /* A smaller limit ends nothing, and lets nobody in. */
    cr_expect_eq(take(p, "192.0.2.1", 1, &none), E_FULL);
    for (unsigned i = 0; i < 4; i++)
        peers_give(p, &held[i]);
    cr_expect_eq(peers_count(p), 0);
    peers_free(&p);
    cr_expect_null(p);
    peers_free(&p);
}

Test(peers, of_v6_are_one_when_their_first_half_is)
{
    struct peer *one, *two, *none;
    struct peers *p;

    cr_assert_eq(peers_new(&p), E_OK);
    cr_expect_eq(take(p, "2001:db8:0:1::1", 1, &one), E_OK);
    cr_expect_eq(take(p, "2001:db8:0:1:ffff::2", 1, &none), E_FULL);
    cr_expect_eq(take(p, "2001:db8:0:2::1", 1, &two), E_OK);
    /* Not the v4 address with the same bytes. */
    peers_give(p, &two);
    cr_expect_eq(take(p, "32.1.13.184", 1, &two), E_OK);
    peers_give(p, &one);
    peers_give(p, &two);
    peers_free(&p);
}

Test(peers, are_as_many_as_there_are_connections)
{
    enum { MANY = 5000 };
    static struct peer *held[MANY];
    struct peers *p;
    char text[32];

    cr_assert_eq(peers_new(&p), E_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            snprintf(text, sizeof(text), "203.0.%d.%d", i / 256, i % 256);
            cr_assert_eq(take(p, text, 1, &held[i]), E_OK);
        }
        cr_expect_eq(peers_count(p), MANY);
        for (int i = 0; i < MANY; i++)
            peers_give(p, &held[i]);
        cr_expect_eq(peers_count(p), 0);
    }
    peers_free(&p);
}

Test(peers, do_without_memory)
{
    static struct peer *held[70];
    struct peers *p;
    char text[32];

    for (long n = 0; n < 2; n++) {
        mem_refuse(n);
        cr_expect_eq(peers_new(&p), E_NOMEM);
        cr_expect_null(p);
    }
    mem_refuse(-1);
    cr_assert_eq(peers_new(&p), E_OK);
    for (int i = 0; i < 70; i++) {
        snprintf(text, sizeof(text), "203.0.113.%d", i);
        mem_refuse(0);
        cr_expect_eq(take(p, text, 1, &held[i]), E_NOMEM);
        mem_refuse(1); /* the slots cannot grow */
        cr_expect_eq(take(p, text, 1, &held[i]), E_OK);
    }
    mem_refuse(-1);
    cr_expect_eq(peers_count(p), 70);
    for (int i = 0; i < 70; i++)
        peers_give(p, &held[i]);
    peers_free(&p);
}

/* ---- the server ---- */

#define GET "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

static struct rig r;
static struct raw c[4];

static void begin(unsigned most, bool all)
{
    rig_open(&r, NULL, false);
    r.settings.address_max = most;
    r.settings.address_all = all;
    server_set(r.server, &r.settings);
}

static void finish(void)
{
    for (int i = 0; i < 4; i++)
        if (c[i].fd > 0)
            raw_close(&c[i]);
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 0);
    rig_close(&r);
}

/* Does that connection get an answer?  Else it must end without one. */
static bool is_served(struct raw *raw)
{
    raw_send(raw, STR(GET));
    RIG_UNTIL(&r, raw, raw->end != SEEN_OPEN || raw_has(raw, "GET /x a"));
    if (raw->end != SEEN_OPEN)
        cr_expect_eq(raw_got(raw).n, 0);
    return raw->end == SEEN_OPEN;
}

Test(peers, have_so_many_connections_and_the_next_one_is_closed)
{
    begin(2, true);
    for (int i = 0; i < 2; i++) {
        raw_connect(&c[i], &r);
        cr_expect(is_served(&c[i]));
    }
    raw_connect(&c[2], &r);
    cr_expect_not(is_served(&c[2]));
    raw_close(&c[2]);
    cr_expect_eq(server_connections(r.server), 2);
    cr_expect_eq(server_counts(r.server).crowded, 1);
    cr_expect(is_served(&c[0]), "open ones go on");
    raw_close(&c[1]);
    RIG_UNTIL(&r, NULL, server_connections(r.server) == 1);
    raw_connect(&c[1], &r);
    cr_expect(is_served(&c[1]));
    finish();
}

Test(peers, are_closed_before_tls)
{
    struct certificate_files files;
    struct tls *tls;

    certificate_make(&files, "DNS:a.test");
    tls = certificate_tls(&files, 1);
    rig_open(&r, tls, false);
    tls_unref(&tls);
    r.settings.address_max = 1;
    r.settings.address_all = true;
    server_set(r.server, &r.settings);
    raw_connect(&c[0], &r);
    rig_settle(&r, &c[0]);
    cr_expect_not(raw_connect_tls(&c[1], &r, "a.test", NULL));
    cr_expect_eq(c[1].alert, 0);
    cr_expect_eq(server_counts(r.server).crowded, 1);
    raw_close(&c[0]);
    rig_settle(&r, NULL);
    raw_close(&c[1]);
    cr_expect(raw_connect_tls(&c[1], &r, "a.test", NULL));
    finish();
    certificate_remove(&files);
}

Test(peers, of_private_addresses_are_not_counted_unless_asked)
{
    static const struct address_block here = {.bits = 8, .bytes = {127}};

    begin(1, false);
    for (int i = 0; i < 3; i++) {
        raw_connect(&c[i], &r);
        cr_expect(is_served(&c[i]));
    }
    finish();
    begin(0, true);
    for (int i = 0; i < 3; i++) {
        raw_connect(&c[i], &r);
        cr_expect(is_served(&c[i]));
    }
    finish();
    /* Nor those of trusted proxies. */
    begin(1, true);
    r.settings.trusted = &here;
    r.settings.trusted_count = 1;
    server_set(r.server, &r.settings);
    for (int i = 0; i < 3; i++) {
        raw_connect(&c[i], &r);
        cr_expect(is_served(&c[i]));
    }
    finish();
}

/* Behind a balancer: whose the header says, and not the balancer's. */
Test(peers, are_those_that_a_proxy_header_names)
{
    static const struct address_block here = {.bits = 8, .bytes = {127}};
    static const struct {
        const char *header;
        bool served;
    } rows[] = {
        {"PROXY TCP4 203.0.113.1 192.0.2.1 1 2\r\n", true},
        {"PROXY TCP4 203.0.113.1 192.0.2.1 1 2\r\n", false},
        {"PROXY TCP4 203.0.113.2 192.0.2.1 1 2\r\n", true},
        {"PROXY UNKNOWN\r\n", true},
    };

    begin(1, false);
    cr_assert_eq(listener_expect_proxy(r.listener, &here, 1), E_OK);
    for (int i = 0; i < 4; i++) {
        raw_connect(&c[i], &r);
        raw_send(&c[i], str_of(rows[i].header));
        cr_expect_eq(is_served(&c[i]), rows[i].served, "row %d", i);
    }
    cr_expect_eq(server_counts(r.server).crowded, 1);
    cr_expect_eq(server_counts(r.server).greetings, 0);
    finish();
}

/* One who is not listed is counted before its first byte. */
Test(peers, are_counted_before_they_speak)
{
    static const struct address_block other = {.bits = 8, .bytes = {10}};

    begin(1, true);
    cr_assert_eq(listener_expect_proxy(r.listener, &other, 1), E_OK);
    raw_connect(&c[0], &r);
    rig_settle(&r, &c[0]);
    raw_connect(&c[1], &r);
    cr_expect_not(is_served(&c[1]));
    cr_expect(is_served(&c[0]));
    raw_close(&c[0]);
    rig_settle(&r, NULL);
    raw_close(&c[1]);
    raw_connect(&c[1], &r);
    cr_expect(is_served(&c[1]));
    finish();
}
