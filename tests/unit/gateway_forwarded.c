/* The client behind listed proxies. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/mem.h"
#include "gateway/forwarded.h"

static struct arena *arena;
static struct address_block blocks[3];
static struct conf conf = {.trusted_proxies = blocks, .trusted_proxy_count = 3};

static void start(void)
{
    cr_assert_eq(arena_new(1 << 20, &arena), E_OK);
    cr_assert_null(address_block_read(STR("10.0.0.0/8"), &blocks[0]));
    cr_assert_null(address_block_read(STR("2001:db8::/32"), &blocks[1]));
    cr_assert_null(address_block_read(STR("198.51.100.7"), &blocks[2]));
}

static void stop(void)
{
    arena_free(&arena);
}

TestSuite(forwarded, .init = start, .fini = stop);

/* Up to three fields of that name, cut at |. */
static void set_head(struct request_head *head, const char *peer,
                     const char *values, struct field at[4])
{
    struct str rest = str_of(values);

    *head = (struct request_head){.peer = str_of(peer), .fields = {at, 0, 4}};
    at[head->fields.count++] = (struct field){STR("Host"), STR("h")};
    while (rest.p)
        at[head->fields.count++] =
            (struct field){STR("X-FORWARDED-for"), str_cut(&rest, '|')};
}

Test(forwarded, client_is_the_last_one_that_a_listed_proxy_vouches_for)
{
    static const struct {
        const char *name, *peer, *values, *client, *chain;
    } rows[] = {
        {"not listed", "192.0.2.1", "203.0.113.5", NULL, NULL},
        {"beside a block", "198.51.100.8", "203.0.113.5", NULL, NULL},
        {"no address", "local", "203.0.113.5", NULL, NULL},
        {"one proxy", "10.0.0.1", "203.0.113.5", "203.0.113.5",
         "203.0.113.5, 10.0.0.1"},
        {"a single address that is listed", "198.51.100.7", "203.0.113.5",
         "203.0.113.5", "203.0.113.5, 198.51.100.7"},
        {"nothing is said", "10.0.0.1", NULL, "10.0.0.1", "10.0.0.1"},
        {"forged by the client", "10.0.0.1", "6.6.6.6, 203.0.113.5",
         "203.0.113.5", "203.0.113.5, 10.0.0.1"},
        {"a listed one forged by the client", "10.0.0.1",
         "6.6.6.6, 10.0.0.9, 203.0.113.5", "203.0.113.5",
         "203.0.113.5, 10.0.0.1"},
        {"two proxies", "10.0.0.1", "6.6.6.6, 203.0.113.5, 10.2.0.1",
         "203.0.113.5", "203.0.113.5, 10.2.0.1, 10.0.0.1"},
        {"two families", "2001:db8::1", "203.0.113.5,2001:db8::2",
         "203.0.113.5", "203.0.113.5, 2001:db8::2, 2001:db8::1"},
        {"two fields", "10.0.0.1", "6.6.6.6|203.0.113.5, 10.2.0.1|10.3.0.1",
         "203.0.113.5", "203.0.113.5, 10.2.0.1, 10.3.0.1, 10.0.0.1"},
        {"a client of v6", "10.0.0.1", "2001:DB9:0:0::5", "2001:db9::5",
         "2001:db9::5, 10.0.0.1"},
        {"v4 in v6", "::ffff:10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5",
         "203.0.113.5, 10.0.0.1"},
        {"with a port", "10.0.0.1", "203.0.113.5:8080", "203.0.113.5",
         "203.0.113.5, 10.0.0.1"},
        {"v6 with a port", "10.0.0.1", "[2001:db9::5]:8080", "2001:db9::5",
         "2001:db9::5, 10.0.0.1"},
        {"v6 in brackets", "10.0.0.1", "[2001:db9::5]", "2001:db9::5",
         "2001:db9::5, 10.0.0.1"},
        {"v4 in brackets", "10.0.0.1", "[203.0.113.5]", "10.0.0.1", "10.0.0.1"},
        {"half a bracket", "10.0.0.1", "[2001:db9::5", "10.0.0.1", "10.0.0.1"},
        {"behind the bracket", "10.0.0.1", "[2001:db9::5]x", "10.0.0.1",
         "10.0.0.1"},
        {"a word", "10.0.0.1", "203.0.113.5, unknown", "10.0.0.1", "10.0.0.1"},
        {"a word on the way", "10.0.0.1", "203.0.113.5, x, 10.2.0.1",
         "10.2.0.1", "10.2.0.1, 10.0.0.1"},
        {"empty entries", "10.0.0.1", ",, 203.0.113.5 ,\t,10.2.0.1,",
         "203.0.113.5", "203.0.113.5, 10.2.0.1, 10.0.0.1"},
        {"empty fields", "10.0.0.1", "|203.0.113.5|", "203.0.113.5",
         "203.0.113.5, 10.0.0.1"},
        {"all of them listed", "10.0.0.1", "10.3.0.1, 10.2.0.1", "10.3.0.1",
         "10.3.0.1, 10.2.0.1, 10.0.0.1"},
        {"a zone", "10.0.0.1", "fe80::1%eth0", "10.0.0.1", "10.0.0.1"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct request_head head;
        struct forwarded f;
        struct field at[4];

        set_head(&head, rows[i].peer, rows[i].values, at);
        cr_assert_eq(forwarded_read(&head, &conf, arena, &f), E_OK);
        cr_expect_eq(f.trusted, rows[i].client != NULL, "%s", rows[i].name);
        if (!f.trusted || !rows[i].client)
            continue;
        cr_expect(str_eq(f.client, str_of(rows[i].client)), "%s: %.*s",
                  rows[i].name, STR_FMT(f.client));
        cr_expect(str_eq(f.chain, str_of(rows[i].chain)), "%s: %.*s",
                  rows[i].name, STR_FMT(f.chain));
    }
}

Test(forwarded, looks_through_so_many_proxies_and_no_more)
{
    char values[FORWARDED_MAX * 64];

    for (int extra = -1; extra <= 1; extra++) {
        struct request_head head;
        struct forwarded f;
        struct field at[4];
        size_t n = (size_t)snprintf(values, sizeof(values), "203.0.113.5");

        /* With the client and the peer as many as there may be, and extra. */
        for (int i = 0; i < FORWARDED_MAX - 2 + extra; i++)
            n += (size_t)snprintf(
                values + n, sizeof(values) - n,
                ", 2001:db8:ffff:ffff:ffff:ffff:255.255.255.255");
        set_head(&head, "10.0.0.1", values, at);
        cr_assert_eq(forwarded_read(&head, &conf, arena, &f), E_OK);
        cr_expect_eq(str_eq(f.client, STR("203.0.113.5")), extra <= 0);
        cr_expect(str_ends(f.chain, STR(", 10.0.0.1")));
    }
}

Test(forwarded, believes_https_of_listed_proxies)
{
    static const struct {
        const char *peer, *one, *two;
        bool https;
    } rows[] = {
        {"10.0.0.1", "https", NULL, true},
        {"10.0.0.1", "HTTPS", NULL, true},
        {"10.0.0.1", "http", NULL, false},
        {"10.0.0.1", "https, http", NULL, false},
        {"10.0.0.1", "https", "http", false},
        {"10.0.0.1", "", NULL, false},
        {"192.0.2.1", "https", NULL, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct field at[2] = {{STR("X-Forwarded-Proto"), str_of(rows[i].one)},
                              {STR("x-forwarded-proto"), str_of(rows[i].two)}};
        struct request_head head = {.peer = str_of(rows[i].peer),
                                    .fields = {at, rows[i].two ? 2 : 1, 2}};
        struct forwarded f;

        cr_assert_eq(forwarded_read(&head, &conf, arena, &f), E_OK);
        cr_expect_eq(f.https, rows[i].https, "row %zu", i);
    }
}

Test(forwarded, trusts_nobody_who_is_not_configured)
{
    static const struct conf none;
    struct request_head head;
    struct forwarded f;
    struct field at[4];

    set_head(&head, "10.0.0.1", "203.0.113.5", at);
    cr_assert_eq(forwarded_read(&head, &none, arena, &f), E_OK);
    cr_expect_not(f.trusted);
}
