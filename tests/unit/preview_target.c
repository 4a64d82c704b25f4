#include <criterion/criterion.h>

#include "preview/target.h"

/* P-07: what the app sees of a target, and how many tokens stood in it. */
static const struct {
    const char *target, *clean;
    unsigned count;
} clean_rows[] = {
    {"/", "/", 0},
    {"/?", "/?", 0},
    {"/?a=1", "/?a=1", 0},
    {"/?token=x", "/", 1},
    {"/?token=", "/", 1},
    {"/?token", "/", 1},
    {"/?a=1&token=x", "/?a=1", 1},
    {"/?token=x&a=1", "/?a=1", 1},
    {"/?a=1&token=x&b=2", "/?a=1&b=2", 1},
    {"/?token=x&token=y", "/", 2},
    {"/?token=x&a&token=y", "/?a", 2},
    {"/?token=x&", "/", 1},
    {"/?&token=x", "/", 1},
    {"/?token=x&&", "/?&", 1},
    {"/?&&token=x&&", "/?&&&", 1},
    {"/?&", "/?&", 0},
    {"/?%74oken=x", "/", 1},
    {"/?%74%6F%6b%65%6e=x", "/", 1},
    {"/?%2574oken=x", "/?%2574oken=x", 0},
    {"/?to%ken=x", "/?to%ken=x", 0},
    {"/?Token=x", "/?Token=x", 0},
    {"/?token2=x", "/?token2=x", 0},
    {"/?xtoken=x", "/?xtoken=x", 0},
    {"/?token[]=x", "/?token[]=x", 0},
    {"/?a=token=x", "/?a=token=x", 0},
    {"/?a=?token=x", "/?a=?token=x", 0},
    {"/?a;token=x", "/?a;token=x", 0},
    {"/?tok+en=x", "/?tok+en=x", 0},
    {"/?a=b%26token%3dx&b", "/?a=b%26token%3dx&b", 0},
    {"//a//b/?token=x", "//a//b/", 1},
    {"/a%2Fb/../c/?q=%2f&token=x", "/a%2Fb/../c/?q=%2f", 1},
    {"/token=x", "/token=x", 0},
    {"/a&token=x", "/a&token=x", 0},
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
        cr_expect_eq(preview_target_tokens(query, values, 4),
                     clean_rows[i].count, "%s", clean_rows[i].target);
    }
}

Test(preview_target, gives_its_tokens_raw_and_counts_what_has_no_room)
{
    struct str values[2];

    cr_expect_eq(
        preview_target_tokens(STR("token=a%20b&x&token&token=c=d"), values, 2),
        3);
    cr_expect(str_eq(values[0], STR("a%20b")));
    cr_expect(str_eq(values[1], STR("")));
    cr_expect_eq(preview_target_tokens(STR("token=c=d"), values, 2), 1);
    cr_expect(str_eq(values[0], STR("c=d")));
    cr_expect_eq(preview_target_tokens(STR_NONE, values, 2), 0);
}

/* P-08 */
static const struct {
    const char *target, *location; /* NULL: 400 */
} location_rows[] = {
    {"/", "/"},
    {"/?token=x", "/"},
    {"/a/b?c=d&token=x", "/a/b?c=d"},
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
        {"https://a.p.example/?token=x", "https://a.p.example/"},
        {"https://a.p.example/b?c&token=x#d", "https://a.p.example/b?c#d"},
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
