#include <criterion/criterion.h>

#include "base/mem.h"
#include "preview/cookie.h"
#include "tests/unit/preview_make.h"

#define HOST "3000-i0abc.p.example"

/* P-07: what a browser is sent. */
Test(preview_cookie, has_every_attribute_and_lives_as_long_as_the_link)
{
    struct link link = preview_make_link();
    struct buf set;
    struct str rest;

    buf_init(&set, 1024);
    cr_assert_eq(preview_cookie_mint(preview_make_conf(), &link, STR(HOST),
                                     NOW_S + 600, &set),
                 E_OK);
    rest = buf_str(&set);
    cr_expect(str_starts(rest, STR("__Host-sandgate-preview=")));
    (void)str_cut(&rest, ';');
    cr_expect(str_eq(rest, STR(" Path=/; HttpOnly; Secure; SameSite=Lax; "
                               "Max-Age=3000")),
              "%.*s", STR_FMT(rest));
    buf_empty(&set);
    cr_expect_eq(preview_cookie_mint(preview_make_conf(), &link, STR(HOST),
                                     link.expires_s, &set),
                 E_RANGE);
    cr_expect_eq(
        preview_cookie_mint(preview_make_conf(), &link, STR(""), NOW_S, &set),
        E_RANGE);
    buf_empty(&set);
    preview_cookie_expire(&set);
    cr_expect(str_eq(buf_str(&set),
                     STR("__Host-sandgate-preview=; Path=/; HttpOnly; Secure; "
                         "SameSite=Lax; Max-Age=0")));
    buf_clear(&set);
}

Test(preview_cookie, is_believed_on_its_host_until_the_link_ends)
{
    static const struct {
        const char *host;
        int64_t now_s;
        enum err err;
    } rows[] = {
        {HOST, NOW_S, E_OK},
        {HOST, NOW_S + 3599, E_OK},
        {HOST, NOW_S + 3600, E_TOKEN_EXPIRED},
        {HOST, NOW_S + 3600 - LINK_TTL_MAX_S - 1, E_TOKEN_INVALID},
        {"3000-i0abd.p.example", NOW_S, E_TOKEN_INVALID},
        {"3000-i0abc.p.exampl", NOW_S, E_TOKEN_INVALID},
        {"", NOW_S, E_TOKEN_INVALID},
    };
    struct link link = preview_make_link(), out;
    struct buf value = preview_make_cookie(preview_make_conf(), &link, HOST);

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        enum err err =
            preview_cookie_verify(preview_make_conf(), buf_str(&value),
                                  str_of(rows[i].host), rows[i].now_s, &out);

        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, err_name(err));
        if (err == E_OK) {
            cr_expect_str_eq(out.id, LINK_ID);
            cr_expect_eq(out.life, 7);
            cr_expect_eq(out.port, 3000);
        }
    }
    buf_clear(&value);
}

Test(preview_cookie, has_one_spelling)
{
    static const char *const behind[] = {"=", "A", ".", " ", "\""};
    struct link link = preview_make_link(), out;
    struct buf value = preview_make_cookie(preview_make_conf(), &link, HOST);
    struct str whole = buf_str(&value);

    for (size_t i = 0; i < sizeof(behind) / sizeof(*behind); i++) {
        struct buf longer;

        buf_init(&longer, 1024);
        buf_put(&longer, whole);
        buf_put(&longer, str_of(behind[i]));
        cr_expect_eq(preview_cookie_verify(preview_make_conf(),
                                           buf_str(&longer), STR(HOST), NOW_S,
                                           &out),
                     E_TOKEN_INVALID, "%s", behind[i]);
        buf_clear(&longer);
    }
    for (size_t n = 0; n < whole.n; n++)
        cr_expect_eq(preview_cookie_verify(preview_make_conf(),
                                           str_from(whole.p, n), STR(HOST),
                                           NOW_S, &out),
                     E_TOKEN_INVALID);
    for (size_t i = 0; i < whole.n * 8; i++) {
        value.p[i / 8] ^= (char)(1 << i % 8);
        cr_expect_eq(preview_cookie_verify(preview_make_conf(), whole,
                                           STR(HOST), NOW_S, &out),
                     E_TOKEN_INVALID);
        value.p[i / 8] ^= (char)(1 << i % 8);
    }
    buf_clear(&value);
}

/* ---- Cookie ---- */

#define OURS "__Host-sandgate-preview"

static const struct {
    const char *value;
    unsigned count;
    const char *found; /* NULL: none */
    const char *rest;
} cookie_rows[] = {
    {"", 0, NULL, ""},
    {"a=b", 0, NULL, "a=b"},
    {OURS "=x", 1, "x", ""},
    {OURS "=x; a=b", 1, "x", "a=b"},
    {"a=b; " OURS "=x", 1, "x", "a=b"},
    {"a=b; " OURS "=x; c=d", 1, "x", "a=b; c=d"},
    {"a=b;" OURS "=x;c=d", 1, "x", "a=b;c=d"},
    {"a=b;  c=d ;e", 0, NULL, "a=b;  c=d ;e"},
    {"a=b; " OURS "=x; " OURS "=y; c=d", 2, NULL, "a=b; c=d"},
    {OURS "=x; " OURS "=x", 2, NULL, ""},
    {"  " OURS " = x ; a=b", 1, "x", "a=b"},
    {OURS, 1, "", ""},
    {OURS "=", 1, "", ""},
    {OURS "=a=b", 1, "a=b", ""},
    {"x" OURS "=x", 0, NULL, "x" OURS "=x"},
    {OURS "x=x", 0, NULL, OURS "x=x"},
    {"a=\"" OURS "=x\"", 0, NULL, "a=\"" OURS "=x\""},
    {"a=\"; " OURS "=x; \"", 1, "x", "a=\"; \""},
    {";;", 0, NULL, ";;"},
    {"; " OURS "=x", 1, "x", ""},
    {"=" OURS "=x", 0, NULL, "=" OURS "=x"},
};

Test(preview_cookie, is_found_and_taken_out_of_what_apps_get)
{
    for (size_t i = 0; i < sizeof(cookie_rows) / sizeof(*cookie_rows); i++) {
        struct field at[] = {{STR("cookie"), str_of(cookie_rows[i].value)}};
        struct fields fields = {at, 1, 1};
        struct str value;
        struct buf rest;

        buf_init(&rest, 1024);
        cr_expect_eq(preview_cookie_find(&fields, &value), cookie_rows[i].count,
                     "%s", cookie_rows[i].value);
        cr_expect_eq(value.p != NULL, cookie_rows[i].found != NULL, "%s",
                     cookie_rows[i].value);
        if (cookie_rows[i].found)
            cr_expect(str_eq(value, str_of(cookie_rows[i].found)), "%s",
                      cookie_rows[i].value);
        cr_expect_eq(preview_cookie_strip(str_of(cookie_rows[i].value), &rest),
                     cookie_rows[i].count, "%s", cookie_rows[i].value);
        cr_expect(str_eq(buf_str(&rest), str_of(cookie_rows[i].rest)),
                  "%s: %.*s", cookie_rows[i].value, STR_FMT(buf_str(&rest)));
        buf_clear(&rest);
    }
}

Test(preview_cookie, is_counted_over_all_cookie_fields)
{
    struct field at[] = {{STR("Cookie"), STR("a=b; " OURS "=x")},
                         {STR("X"), STR(OURS "=y")},
                         {STR("COOKIE"), STR(OURS "=z")}};
    struct fields fields = {at, 2, 3};
    struct str value;

    cr_expect_eq(preview_cookie_find(&fields, &value), 1);
    cr_expect(str_eq(value, STR("x")));
    fields.count = 3;
    cr_expect_eq(preview_cookie_find(&fields, &value), 2);
    cr_expect_null(value.p);
}

/* A sibling may be able to set one that differs in case: it is neither ours
 * nor an app's. */
Test(preview_cookie, of_another_case_is_nobodys)
{
    struct str both = STR("__host-SANDGATE-preview=x; a=b; " OURS "=y");
    struct field at[] = {{STR("Cookie"), both}};
    struct fields fields = {at, 1, 1};
    struct str value;
    struct buf rest;

    cr_expect_eq(preview_cookie_find(&fields, &value), 1);
    cr_expect(str_eq(value, STR("y")));
    buf_init(&rest, 1024);
    cr_expect_eq(preview_cookie_strip(both, &rest), 2);
    cr_expect(str_eq(buf_str(&rest), STR("a=b")));
    buf_clear(&rest);
}

/* ---- Set-Cookie: X-09, P-09 ---- */

static const struct {
    const char *value, *out; /* NULL: dropped */
} set_rows[] = {
    {"a=b", "a=b"},
    {"a=b; Path=/; Secure", "a=b; Path=/; Secure"},
    {"a=b; Domain=p.example", "a=b"},
    {"a=b; Domain=p.example; Path=/x", "a=b; Path=/x"},
    {"a=b;domain=.p.example;HttpOnly", "a=b;HttpOnly"},
    {"a=b; DOMAIN = p.example ; Max-Age=5", "a=b; Max-Age=5"},
    {"a=b; Domain; Path=/", "a=b; Path=/"},
    {"a=b; Domain=x; Domain=y", "a=b"},
    {"a=b; \tdomain=x", "a=b"},
    {"domain=x; Path=/", "domain=x; Path=/"},
    {"a=Domain=x", "a=Domain=x"},
    {"a=b; X-Domain=x", "a=b; X-Domain=x"},
    {"", ""},
    {"=b", "=b"},
    {OURS "=x; Path=/; Secure", NULL},
    {" " OURS " =x", NULL},
    {"__HOST-sandgate-preview=x", NULL},
    {OURS, NULL},
    {"=" OURS "=x; Path=/", NULL},
    {" = " OURS "=x", NULL},
    {"a=" OURS "=x", "a=" OURS "=x"},
    {"__Host-other=x; Secure; Path=/", "__Host-other=x; Secure; Path=/"},
    {"a=b\r\nSet-Cookie: c=d", NULL},
    {"a=b\x7f", NULL},
    {"a=\xc3\xa9; Domain=x", "a=\xc3\xa9"},
};

Test(preview_cookie, of_an_app_stays_on_its_host_and_is_never_ours)
{
    for (size_t i = 0; i < sizeof(set_rows) / sizeof(*set_rows); i++) {
        struct buf out;

        buf_init(&out, 1024);
        cr_expect_eq(preview_cookie_rewrite(str_of(set_rows[i].value), &out),
                     set_rows[i].out != NULL, "%s", set_rows[i].value);
        cr_expect(str_eq(buf_str(&out),
                         set_rows[i].out ? str_of(set_rows[i].out) : STR("")),
                  "%s: %.*s", set_rows[i].value, STR_FMT(buf_str(&out)));
        buf_clear(&out);
    }
}

Test(preview_cookie, says_no_memory_for_every_refused_allocation)
{
    struct link link = preview_make_link(), out;
    struct buf value = preview_make_cookie(preview_make_conf(), &link, HOST);
    enum err err = E_NOMEM;

    for (long n = 0; err == E_NOMEM; n++) {
        struct buf set;

        cr_assert_lt(n, 50);
        buf_init(&set, 1024);
        mem_refuse(n);
        err = preview_cookie_mint(preview_make_conf(), &link, STR(HOST), NOW_S,
                                  &set);
        if (err == E_OK)
            err = preview_cookie_verify(preview_make_conf(), buf_str(&value),
                                        STR(HOST), NOW_S, &out);
        mem_refuse(-1);
        buf_clear(&set);
    }
    cr_expect_eq(err, E_OK);
    buf_clear(&value);
}
