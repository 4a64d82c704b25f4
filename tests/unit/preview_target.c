#include <criterion/criterion.h>

#include "preview/target.h"

#define T "sgl1_x"

/* P-07: what the app sees of a target, and how many tokens stood in it. */
static const struct {
    const char *target, *clean;
    unsigned count;
} clean_rows[] = {
    {"/", "/", 0},
    {"/?", "/?", 0},
    {"/?a=1", "/?a=1", 0},
    {"/?token=" T, "/", 1},
    {"/?token=", "/?token=", 0},
    {"/?token", "/?token", 0},
    /* The apps' own. */
    {"/?token=A5ObJu9HXn-L", "/?token=A5ObJu9HXn-L", 0},
    {"/?token=" T "&token=A5ObJu9HXn-L", "/?token=A5ObJu9HXn-L", 1},
    {"/?token=eyJhbGciOi.eyJzIjoi.x", "/?token=eyJhbGciOi.eyJzIjoi.x", 0},
    {"/?token=eyJzIjoi", "/?token=eyJzIjoi", 0},
    {"/?token=sgl1", "/?token=sgl1", 0},
    {"/?token=SGL1_x", "/?token=SGL1_x", 0},
    {"/?token=%73gl", "/?token=%73gl", 0},
    /* Ours, however it is bent. */
    {"/?token=eyJzIjoi.x", "/", 1},
    {"/?token=eyJzIjoiYSJ9%2ex", "/", 1},
    {"/?token=%65yJzIjoi.x", "/", 1},
    {"/?token=%20sgl1_x", "/", 1},
    {"/?token=%22sgl1%5fx%22", "/", 1},
    {"/?token=%73gl1%5F", "/", 1},
    {"/?token=ssgl1_x", "/", 1},
    {"/?token=sgsgl1_x", "/", 1},
    {"/?a=1&token=" T, "/?a=1", 1},
    {"/?token=" T "&a=1", "/?a=1", 1},
    {"/?a=1&token=" T "&b=2", "/?a=1&b=2", 1},
    {"/?token=" T "&token=" T, "/", 2},
    {"/?token=" T "&a&token=" T, "/?a", 2},
    {"/?token=" T "&", "/", 1},
    {"/?&token=" T, "/", 1},
    {"/?token=" T "&&", "/?&", 1},
    {"/?&&token=" T "&&", "/?&&&", 1},
    {"/?&", "/?&", 0},
    {"/?%74oken=" T, "/", 1},
    {"/?%74%6F%6b%65%6e=" T, "/", 1},
    {"/?%2574oken=" T, "/?%2574oken=" T, 0},
    {"/?to%ken=" T, "/?to%ken=" T, 0},
    {"/?Token=" T, "/?Token=" T, 0},
    {"/?token2=" T, "/?token2=" T, 0},
    {"/?xtoken=" T, "/?xtoken=" T, 0},
    {"/?token[]=" T, "/?token[]=" T, 0},
    {"/?a=token=" T, "/?a=token=" T, 0},
    {"/?a=?token=" T, "/?a=?token=" T, 0},
    {"/?a;token=" T, "/?a;token=" T, 0},
    {"/?tok+en=" T, "/?tok+en=" T, 0},
    {"/?a=b%26token%3dx&b", "/?a=b%26token%3dx&b", 0},
    {"//a//b/?token=" T, "//a//b/", 1},
    {"/a%2Fb/../c/?q=%2f&token=" T, "/a%2Fb/../c/?q=%2f", 1},
    {"/token=" T, "/token=" T, 0},
    {"/a&token=" T, "/a&token=" T, 0},
    {"*", "*", 0},
};

Test(preview_target, loses_its_token_and_nothing_else)
{
    for (size_t i = 0; i < sizeof(clean_rows) / sizeof(*clean_rows); i++) {
        struct str query = str_of(clean_rows[i].target), values[4];
        struct buf out;

        buf_init(&out, 1024);
        preview_target_clean(query, &out);
        cr_expect(str_eq(buf_str(&out), str_of(clean_rows[i].clean)),
                  "%s: %.*s", clean_rows[i].target, STR_FMT(buf_str(&out)));
        buf_clear(&out);
        (void)str_cut(&query, '?');
        cr_expect_eq(preview_target_tokens(query, values, 4, NULL),
                     clean_rows[i].count, "%s", clean_rows[i].target);
    }
}

Test(preview_target, gives_its_tokens_raw_and_counts_what_has_no_room)
{
    struct str values[2];
    bool foreign;

    cr_expect_eq(preview_target_tokens(
                     STR("token=%20" T "&x&token&token=" T "=d&token=" T),
                     values, 2, &foreign),
                 3);
    cr_expect(str_eq(values[0], STR("%20" T)));
    cr_expect(str_eq(values[1], STR(T "=d")));
    cr_expect_not(foreign);
    cr_expect_eq(
        preview_target_tokens(STR("token=c&token=" T), values, 2, &foreign), 1);
    cr_expect(str_eq(values[0], STR(T)));
    cr_expect(foreign);
    cr_expect_eq(preview_target_tokens(STR_NONE, values, 2, &foreign), 0);
    cr_expect_not(foreign);
}

/* P-08 */
static const struct {
    const char *target, *location; /* NULL: 400 */
} location_rows[] = {
    {"/", "/"},
    {"/?token=" T, "/"},
    {"/a/b?c=d&token=" T, "/a/b?c=d"},
    {"/a?token=x&token=" T, "/a?token=x"},
    {"/a//b/", "/a//b/"},
    {"/%2F%2Fevil", "/%2F%2Fevil"},
    {"/%0d%0aSet-Cookie:x", "/%0d%0aSet-Cookie:x"},
    {"/@evil", "/@evil"},
    {"/?u=//evil", "/?u=//evil"},
    {"//evil", NULL},
    {"//evil/?token=x", NULL},
    {"/\\evil", NULL},
    {"/a\\b", NULL},
    {"\\\\evil", NULL},
    {"https://evil/", NULL},
    {"evil", NULL},
    {"*", NULL},
    {"", NULL},
    {"/\tevil", NULL},
    {"/\r\nSet-Cookie: x=y", NULL},
    {"/ evil", NULL},
    {"/#x", NULL},
    {"/\xc3\xa9", NULL},
    {"/\x7f", NULL},
};

Test(preview_target, leads_nowhere_but_to_a_path_of_this_host)
{
    for (size_t i = 0; i < sizeof(location_rows) / sizeof(*location_rows);
         i++) {
        struct buf out;
        enum err err;

        buf_init(&out, 1024);
        err = preview_target_location(str_of(location_rows[i].target), &out);
        cr_expect_eq(err, location_rows[i].location ? E_OK : E_BAD_REQUEST,
                     "%s", location_rows[i].target);
        if (location_rows[i].location)
            cr_expect(str_eq(buf_str(&out), str_of(location_rows[i].location)),
                      "%s: %.*s", location_rows[i].target,
                      STR_FMT(buf_str(&out)));
        buf_clear(&out);
    }
}

Test(preview_target, says_no_memory)
{
    struct buf out;

    buf_init(&out, 2);
    cr_expect_eq(preview_target_location(STR("/abc"), &out), E_NOMEM);
    buf_clear(&out);
}

Test(preview_target, takes_the_token_out_of_a_referer)
{
    static const struct {
        const char *value, *out;
    } rows[] = {
        {"https://a.p.example/?token=" T, "https://a.p.example/"},
        {"https://a.p.example/b?c&token=" T "#d", "https://a.p.example/b?c#d"},
        {"https://a.p.example/?token=x", "https://a.p.example/?token=x"},
        {"https://a.p.example/b#?token=x", "https://a.p.example/b#?token=x"},
        {"https://a.p.example", "https://a.p.example"},
        {"about:blank", "about:blank"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out;

        buf_init(&out, 1024);
        preview_target_referer(str_of(rows[i].value), &out);
        cr_expect(str_eq(buf_str(&out), str_of(rows[i].out)), "%s: %.*s",
                  rows[i].value, STR_FMT(buf_str(&out)));
        buf_clear(&out);
    }
}

Test(preview_target, takes_our_entries_out_of_subprotocols)
{
    static const struct {
        const char *value, *out;
        unsigned count;
        bool ours;
    } rows[] = {
        {"vite-hmr", "vite-hmr", 0, false},
        {"sandgate", "", 0, true},
        {"sandgate-token.x", "", 1, false},
        {"sandgate, sandgate-token.x", "", 1, true},
        {"a, sandgate-token.x,b", "a, b", 1, false},
        {" a ,, b ", "a, b", 0, false},
        {"sandgate-token.x, sandgate-token.y", "", 2, false},
        {"sandgate-token.", "", 1, false},
        {"sandgate-tokens.x, Sandgate", "sandgate-tokens.x, Sandgate", 0,
         false},
        {"", "", 0, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct str values[2];
        struct buf out;
        bool ours;

        buf_init(&out, 1024);
        preview_target_protocols(str_of(rows[i].value), &out, &ours);
        cr_expect(str_eq(buf_str(&out), str_of(rows[i].out)), "%s: %.*s",
                  rows[i].value, STR_FMT(buf_str(&out)));
        cr_expect_eq(ours, rows[i].ours, "%s", rows[i].value);
        cr_expect_eq(
            preview_target_protocol_tokens(str_of(rows[i].value), values, 2),
            rows[i].count, "%s", rows[i].value);
        buf_clear(&out);
    }
}
