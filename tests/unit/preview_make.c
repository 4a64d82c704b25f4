#include "tests/unit/preview_make.h"

#include <criterion/criterion.h>

#include "preview/cookie.h"
#include "preview/token.h"

const struct conf_preview *preview_make_conf(void)
{
    static struct conf_preview_key keys[] = {{.id = STR("k2"), .secret = {2}},
                                             {.id = STR("k1"), .secret = {1}}};
    static struct conf_preview_host hosts[] = {
        {STR("demo.example.org"), STR("i0abc"), 8000},
        {STR("link.example.org"), STR(LINK_ID), 0}};
    static const struct conf_preview conf = {
        .domain = STR("p.example"),
        .port = 443,
        .keys = keys,
        .key_count = 2,
        .mitos_secret = "secret-of-16-bytes",
        .mitos_secret_bytes = 18,
        .ttl_default_s = 3600,
        .ttl_max_s = LINK_TTL_MAX_S,
        .hosts = hosts,
        .host_count = 2,
    };

    return &conf;
}

struct link preview_make_link(void)
{
    struct link link = {.id = LINK_ID,
                        .team = "t",
                        .sandbox = "i0abc",
                        .life = 7,
                        .port = 3000,
                        .created_ms = NOW_S * 1000,
                        .expires_s = NOW_S + 3600};

    link_scopes_all(&link.scopes);
    return link;
}

struct buf preview_make_token(const struct conf_preview *conf,
                              const struct link *link)
{
    struct buf b;

    buf_init(&b, PREVIEW_TOKEN_MAX);
    cr_assert_eq(preview_token_mint(conf, link, &b), E_OK);
    return b;
}

struct buf preview_make_mitos(const struct conf_preview *conf,
                              const struct link *link)
{
    struct buf b;

    buf_init(&b, PREVIEW_TOKEN_MAX);
    cr_assert_eq(preview_token_mint_mitos(conf, link, &b), E_OK);
    return b;
}

struct buf preview_make_cookie(const struct conf_preview *conf,
                               const struct link *link, const char *host)
{
    struct buf set, value;
    struct str rest;

    buf_init(&set, 1024);
    buf_init(&value, 1024);
    cr_assert_eq(preview_cookie_mint(conf, link, str_of(host), NOW_S, &set),
                 E_OK);
    rest = str_after(buf_str(&set), sizeof(PREVIEW_COOKIE));
    buf_put(&value, str_cut(&rest, ';'));
    buf_clear(&set);
    return value;
}
