#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/limiter.h"
#include "base/mem.h"

#define HOME STR("192.0.2.1")

static struct auth_limiter *make(unsigned places)
{
    static const unsigned char hash_key[16] = {7};
    struct auth_limiter *l;

    cr_assert_eq(auth_limiter_new(places, hash_key, &l), E_OK);
    return l;
}

static void fail_times(struct auth_limiter *l, struct str peer, int64_t now_ms,
                       unsigned times)
{
    while (times-- > 0)
        auth_limiter_fail(l, peer, now_ms);
}

Test(auth_limiter, refuses_after_twenty_failures_in_a_minute)
{
    struct auth_limiter *l = make(4);
    unsigned retry_s = 99;

    cr_expect(auth_limiter_allow(l, HOME, 0, &retry_s), "no failure");
    cr_expect_eq(retry_s, 0);
    fail_times(l, HOME, 500, 19);
    cr_expect(auth_limiter_allow(l, HOME, 500, &retry_s), "limit - 1");
    fail_times(l, HOME, 1000, 1);
    cr_expect_not(auth_limiter_allow(l, HOME, 1000, &retry_s), "limit");
    cr_expect_eq(retry_s, 60);
    cr_expect_not(auth_limiter_allow(l, HOME, 1000, NULL));
    cr_expect_not(auth_limiter_allow(l, HOME, 60499, &retry_s), "just before");
    cr_expect_eq(retry_s, 1);
    cr_expect(auth_limiter_allow(l, HOME, 60500, &retry_s), "nineteen left");
    cr_expect_eq(retry_s, 0);
    auth_limiter_free(&l);
    cr_expect_null(l);
    auth_limiter_free(&l);
}

Test(auth_limiter, counts_over_every_minute_not_over_clock_minutes)
{
    struct auth_limiter *l = make(4);

    fail_times(l, HOME, 0, 1);
    fail_times(l, HOME, 59000, 19);
    cr_expect_not(auth_limiter_allow(l, HOME, 59999, NULL));
    cr_expect(auth_limiter_allow(l, HOME, 60000, NULL));
    fail_times(l, HOME, 60001, 1);
    cr_expect_not(auth_limiter_allow(l, HOME, 60001, NULL), "20 in 1.001 s");
    cr_expect_not(auth_limiter_allow(l, HOME, 118999, NULL));
    cr_expect(auth_limiter_allow(l, HOME, 119000, NULL));
    auth_limiter_free(&l);
}

Test(auth_limiter, forgets_an_address_after_49_days_without_wrapping)
{
    struct auth_limiter *l = make(4);

    fail_times(l, HOME, 5000, 20);
    cr_expect(auth_limiter_allow(l, HOME, 5000 + (1LL << 32), NULL));
    fail_times(l, HOME, (1LL << 32) - 10, 10);
    fail_times(l, HOME, (1LL << 32) + 10, 9);
    cr_expect(auth_limiter_allow(l, HOME, (1LL << 32) + 10, NULL));
    fail_times(l, HOME, (1LL << 32) + 10, 1);
    cr_expect_not(auth_limiter_allow(l, HOME, (1LL << 32) + 10, NULL));
    auth_limiter_free(&l);
}

static const struct {
    const char *name;
    struct str guesser, other;
    bool same;
} peers[] = {
    {"the same", STR("192.0.2.1"), STR("192.0.2.1"), true},
    {"next IPv4", STR("192.0.2.1"), STR("192.0.2.2"), false},
    {"one /64", STR("2001:db8::1"), STR("2001:db8::ffff:0:0:1"), true},
    {"next /64", STR("2001:db8::1"), STR("2001:db8:0:1::1"), false},
    {"spelling", STR("2001:db8::1"), STR("2001:0DB8:0:0::2"), true},
    {"mapped", STR("::ffff:192.0.2.1"), STR("192.0.2.1"), true},
    {"mapped, other", STR("::ffff:192.0.2.1"), STR("::ffff:192.0.2.2"), false},
    {"zone", STR("fe80::1%eth0"), STR("fe80::1"), true},
    {"IPv4 and the /64 of its bytes", STR("32.1.13.184"), STR("2001:db8::1"),
     false},
    {"what is no address", STR("here"), STR("192.0.2.1.1"), true},
    {"absent", STR_NONE, STR(""), true},
    {"very long", STR("1111111111111111111111111111111111111111111111111111"),
     STR("x"), true},
    {"no address and 0.0.0.0", STR("here"), STR("0.0.0.0"), false},
};

Test(auth_limiter, counts_by_address_or_prefix)
{
    for (size_t i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
        struct auth_limiter *l = make(4);

        fail_times(l, peers[i].guesser, 0, 20);
        cr_expect_eq(auth_limiter_allow(l, peers[i].other, 1, NULL),
                     !peers[i].same, "%s", peers[i].name);
        auth_limiter_free(&l);
    }
}

Test(auth_limiter, gives_the_place_of_the_one_that_failed_longest_ago)
{
    struct auth_limiter *l = make(3);

    fail_times(l, STR("10.0.0.1"), 1, 20);
    fail_times(l, STR("10.0.0.2"), 2, 20);
    fail_times(l, STR("10.0.0.3"), 3, 20);
    fail_times(l, STR("10.0.0.1"), 4, 1);
    fail_times(l, STR("10.0.0.4"), 5, 1);
    cr_expect_eq(auth_limiter_count(l), 3);
    cr_expect_not(auth_limiter_allow(l, STR("10.0.0.1"), 6, NULL));
    cr_expect(auth_limiter_allow(l, STR("10.0.0.2"), 6, NULL), "gave way");
    cr_expect_not(auth_limiter_allow(l, STR("10.0.0.3"), 6, NULL));
    auth_limiter_free(&l);
}

Test(auth_limiter, never_remembers_more_than_its_places)
{
    struct auth_limiter *l = make(AUTH_LIMITER_PLACES);
    char peer[32];

    for (unsigned i = 0; i < 3 * AUTH_LIMITER_PLACES; i++) {
        snprintf(peer, sizeof(peer), "10.%u.%u.%u", i >> 16 & 255, i >> 8 & 255,
                 i & 255);
        auth_limiter_fail(l, str_of(peer), i);
    }
    cr_expect_eq(auth_limiter_count(l), AUTH_LIMITER_PLACES);
    auth_limiter_free(&l);
}

Test(auth_limiter, refuses_a_senseless_number_of_places)
{
    static const unsigned char hash_key[16];
    struct auth_limiter *l;

    cr_expect_eq(auth_limiter_new(0, hash_key, &l), E_RANGE);
    cr_expect_null(l);
    cr_expect_eq(auth_limiter_new(AUTH_LIMITER_PLACES + 1, hash_key, &l),
                 E_RANGE);
    cr_expect_null(l);
}

Test(auth_limiter, survives_every_refused_allocation)
{
    static const unsigned char hash_key[16];
    struct auth_limiter *l;
    long n = 0;

    while (mem_refuse(n), auth_limiter_new(4, hash_key, &l) != E_OK) {
        cr_assert_null(l);
        cr_assert_lt(n++, 10);
    }
    cr_expect_eq(n, 2);
    mem_refuse(0);
    auth_limiter_fail(l, HOME, 0);
    cr_expect_eq(auth_limiter_count(l), 0, "not counted");
    mem_refuse(-1);
    auth_limiter_fail(l, HOME, 0);
    mem_refuse(0);
    auth_limiter_fail(l, STR("10.0.0.1"), 0);
    mem_refuse(-1);
    cr_expect_eq(auth_limiter_count(l), 1, "took the oldest place");
    auth_limiter_free(&l);
}

Test(limiter, counts_public_addresses_only)
{
    static const struct {
        const char *peer;
        bool counts;
    } rows[] = {
        {"127.0.0.1", false},     {"::1", false},
        {"10.1.2.3", false},      {"172.15.0.1", true},
        {"172.16.0.1", false},    {"172.31.255.255", false},
        {"172.32.0.1", true},     {"192.168.0.1", false},
        {"192.167.0.1", true},    {"169.254.1.1", false},
        {"100.64.0.1", false},    {"100.128.0.1", true},
        {"8.8.8.8", true},        {"::ffff:10.0.0.1", false},
        {"::ffff:8.8.8.8", true}, {"fd00::1", false},
        {"fe80::1%eth0", false},  {"2001:db8::1", true},
        {"nonsense", true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(auth_limiter_counts(str_of(rows[i].peer)), rows[i].counts,
                     "row \"%s\"", rows[i].peer);
}
