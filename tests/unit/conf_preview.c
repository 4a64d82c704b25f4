#include <criterion/criterion.h>

#include "tests/unit/conf_file.h"

#define LEAST \
    "domain: sandgate.localhost\n" \
    "secret_file: secret.key\n" \
    "store: db\n" \
    "listeners: [{address: 127.0.0.1, port: 0, tls: false}]\n" \
    "backends: [{name: box, url: 'http://127.0.0.1:8090', ports: expose}]\n" \
    "templates: [{id: base, backend: box}]\n"

TestSuite(conf_preview, .init = conf_file_start, .fini = conf_file_stop);

Test(conf_preview, is_off_when_it_is_not_there)
{
    struct conf *c;

    cr_assert_eq(conf_file_load(STR(LEAST), &c), E_OK);
    cr_expect_not(conf_previews(c));
    cr_expect_eq(c->preview.key_count, 0);
    cr_expect_eq(c->preview.mitos_secret_bytes, 0);
    conf_unref(&c);
}

Test(conf_preview, needs_no_more_than_its_domain)
{
    struct conf *c, *again;
    unsigned char none[32] = {0};

    cr_assert_eq(
        conf_file_load(STR(LEAST "preview: {domain: p.example}\n"), &c), E_OK);
    cr_expect(conf_previews(c));
    cr_expect_eq(c->preview.port, 443);
    cr_expect_eq(c->preview.ttl_default_s, 3600);
    cr_expect_eq(c->preview.ttl_max_s, 86400);
    cr_expect(c->preview.noindex);
    cr_assert_eq(c->preview.key_count, 1);
    cr_expect(str_eq(c->preview.keys[0].id, STR("k0")));
    cr_expect_neq(memcmp(c->preview.keys[0].secret, none, 32), 0);
    cr_expect_neq(memcmp(c->preview.keys[0].secret, c->secret, 32), 0);
    cr_assert_eq(
        conf_file_load(STR(LEAST "preview: {domain: q.example}\n"), &again),
        E_OK);
    cr_expect_eq(
        memcmp(c->preview.keys[0].secret, again->preview.keys[0].secret, 32),
        0);
    cr_expect_eq(buf_len(&conf_file_warned), 0);
    conf_unref(&c);
    conf_unref(&again);
}

Test(conf_preview, makes_no_link_invalid_by_its_first_key)
{
    struct conf *before, *after, *named;

    cr_assert_eq(
        conf_file_load(STR(LEAST "preview: {domain: p.example}\n"), &before),
        E_OK);
    cr_assert_eq(
        conf_file_load(STR(LEAST "preview: {domain: p.example, keys: [{id: k1, "
                                 "secret_file: preview.key}]}\n"),
                       &after),
        E_OK);
    cr_assert_eq(after->preview.key_count, 2);
    cr_expect(str_eq(after->preview.keys[0].id, STR("k1")), "signs");
    cr_expect(str_eq(after->preview.keys[1].id, STR("k0")), "verifies");
    cr_expect_eq(memcmp(after->preview.keys[1].secret,
                        before->preview.keys[0].secret, 32),
                 0);
    cr_assert_eq(
        conf_file_load(STR(LEAST "preview: {domain: p.example, keys: [{id: k0, "
                                 "secret_file: preview.key}]}\n"),
                       &named),
        E_OK);
    cr_assert_eq(named->preview.key_count, 1, "k0 of one's own");
    cr_expect_neq(memcmp(named->preview.keys[0].secret,
                         before->preview.keys[0].secret, 32),
                  0);
    conf_unref(&before);
    conf_unref(&after);
    conf_unref(&named);
}

Test(conf_preview, reads_every_key_of_it)
{
    struct conf *c;
    const struct conf_preview *p;

    conf_file_write("mitos.key", STR("secret-of-16-bytes\r\n"), 0600);
    cr_assert_eq(
        conf_file_load(
            STR(LEAST
                "preview:\n"
                "  domain: p.example\n"
                "  port: 8443\n"
                "  keys:\n"
                "    - {id: k2, secret_file: secret.key}\n"
                "    - {id: k1, secret_file: preview.key}\n"
                "  mitos_secret_file: mitos.key\n"
                "  ttl_default: 10m\n"
                "  ttl_max: 7d\n"
                "  hosts: [{host: demo.example.org, target: iabc, port: 80}]\n"
                "  forward_auth: {url: 'http://[::1]:4180/a?b', headers: "
                "[X-User], timeout: 1s}\n"
                "  noindex: false\n"),
            &c),
        E_OK, "%.*s", STR_FMT(buf_str(&conf_file_said)));
    p = &c->preview;
    cr_expect_eq(p->port, 8443);
    cr_assert_eq(p->key_count, 3);
    cr_expect(str_eq(p->keys[1].id, STR("k1")));
    cr_expect_eq(memcmp(p->keys[0].secret, c->secret, 32), 0);
    cr_expect_neq(memcmp(p->keys[1].secret, c->secret, 32), 0);
    cr_expect_eq(p->mitos_secret_bytes, 18);
    cr_expect_eq(memcmp(p->mitos_secret, "secret-of-16-bytes", 18), 0);
    cr_expect_eq(p->ttl_default_s, 600);
    cr_expect_eq(p->ttl_max_s, 604800);
    cr_assert_eq(p->host_count, 1);
    cr_expect(str_eq(p->hosts[0].host, STR("demo.example.org")));
    cr_expect(str_eq(p->hosts[0].target, STR("iabc")));
    cr_expect_eq(p->hosts[0].port, 80);
    cr_expect(str_eq(p->forward_auth.address, STR("::1")));
    cr_expect_eq(p->forward_auth.port, 4180);
    cr_expect(str_eq(p->forward_auth.path, STR("/a?b")));
    cr_expect_eq(p->forward_auth.header_count, 1);
    cr_expect_eq(p->forward_auth.timeout_s, 1);
    cr_expect_not(p->noindex);
    conf_unref(&c);
}

Test(conf_preview, tells_each_mistake)
{
    static const struct {
        const char *name, *text, *said;
    } rows[] = {
        {"no domain", "{ttl_max: 1h, ttl_default: 1m}", "domain is missing"},
        {"the API's domain", "{domain: sandgate.localhost}", "the API's own"},
        {"a week and more", "{domain: p.example, ttl_max: 8d}", "ttl_max"},
        {"default over most", "{domain: p.example, ttl_max: 1m}",
         "ttl_default: is more"},
        {"no time at all", "{domain: p.example, ttl_max: 0s}", "ttl_max"},
        {"empty keys", "{domain: p.example, keys: []}", "keys: between 1"},
        {"a key without a file", "{domain: p.example, keys: [{id: k1}]}",
         "secret_file is missing"},
        {"the same id twice",
         "{domain: p.example, keys: [{id: k, secret_file: secret.key}, {id: "
         "k, secret_file: preview.key}]}",
         "the same id"},
        {"an id of 17 bytes",
         "{domain: p.example, keys: [{id: k2345678901234567, secret_file: "
         "secret.key}]}",
         "too long"},
        {"a short key",
         "{domain: p.example, keys: [{id: k, secret_file: short.key}]}",
         "too short"},
        {"a key for all to read",
         "{domain: p.example, keys: [{id: k, secret_file: open.key}]}",
         "chmod 600"},
        {"a shared secret of 15 bytes",
         "{domain: p.example, mitos_secret_file: short.key}", "at least 16"},
        {"a shared secret for all to read",
         "{domain: p.example, mitos_secret_file: open.key}", "chmod 600"},
        {"a shared secret that is long",
         "{domain: p.example, mitos_secret_file: long.key}", "256 bytes"},
        {"a host under the domain",
         "{domain: p.example, hosts: [{host: a.p.example, target: i}]}",
         "served here"},
        {"a host of the API",
         "{domain: p.example, hosts: [{host: a.sandgate.localhost, target: "
         "i}]}",
         "served here"},
        {"a host twice",
         "{domain: p.example, hosts: [{host: a.org, target: i}, {host: a.org, "
         "target: j}]}",
         "twice"},
        {"whom to ask by name",
         "{domain: p.example, forward_auth: {url: 'http://auth:1/x'}}",
         "an IP address"},
        {"whom to ask by TLS",
         "{domain: p.example, forward_auth: {url: 'https://127.0.0.1:1/x'}}",
         "http://"},
        {"whom to ask is missing",
         "{domain: p.example, forward_auth: {timeout: 1s}}", "url is missing"},
        {"a domain above the API's", "{domain: localhost}",
         "would be previews"},
        {"a host of the API's", "{domain: api.sandgate.localhost}",
         "would be previews"},
        {"the other one", "{domain: sandbox.sandgate.localhost}",
         "would be previews"},
#define ASKS "{domain: p.example, forward_auth: {url: 'http://127.0.0.1:1/x', "
        {"a length to be set", ASKS "headers: [X-A, Content-Length]}}",
         "headers: Content-Length is not"},
        {"a host to be set", ASKS "headers: [host]}}", "headers: host is not"},
        {"a way to be set", ASKS "headers: [X-Forwarded-For]}}",
         "headers: X-Forwarded-For is not"},
        {"a name of ours", ASKS "headers: [x-sandgate-hop]}}",
         "headers: x-sandgate-hop is not"},
        {"no field name",
         "{domain: p.example, forward_auth: {url: 'http://127.0.0.1:1/x', "
         "headers: ['a b']}}",
         "header field"},
    };
    static char much[257];

    memset(much, 'x', sizeof(much));
    conf_file_write("short.key", STR("123456789012345\n"), 0600);
    conf_file_write("open.key", STR("0123456789abcdef0123456789abcdef"), 0640);
    conf_file_write("long.key", str_from(much, sizeof(much)), 0600);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf text;
        struct conf *c;

        buf_init(&text, 1 << 14);
        buf_text(&text, LEAST "preview: %s\n", rows[i].text);
        cr_expect_eq(conf_file_load(buf_str(&text), &c), E_BAD_FIELD, "%s",
                     rows[i].name);
        cr_expect_lt(
            str_find_str(buf_str(&conf_file_said), str_of(rows[i].said)),
            buf_len(&conf_file_said), "%s: %.*s", rows[i].name,
            STR_FMT(buf_str(&conf_file_said)));
        conf_unref(&c);
        buf_clear(&text);
    }
}

/* threats.md P-13 */
Test(conf_preview, warns_of_a_domain_beside_the_api_and_takes_it)
{
    static const struct {
        const char *domain;
        bool warns;
    } rows[] = {
        {"p.sandgate.localhost", true},
        {"preview.localhost", false},
        {"x.api.sandgate.localhost", true},
        {"a.b.preview.localhost", false},
        {"example.org", false},
        {"sandgate.example.org", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf text;
        struct conf *c;

        buf_init(&text, 1 << 12);
        buf_text(&text, LEAST "preview: {domain: %s}\n", rows[i].domain);
        cr_expect_eq(conf_file_load(buf_str(&text), &c), E_OK);
        cr_expect_eq(buf_len(&conf_file_warned) > 0, rows[i].warns, "%s: %.*s",
                     rows[i].domain, STR_FMT(buf_str(&conf_file_warned)));
        conf_unref(&c);
        buf_clear(&text);
    }
}

Test(conf_preview, is_no_mistake_of_a_mistake_elsewhere)
{
    struct conf *c;

    cr_expect_eq(
        conf_file_load(STR(LEAST "preview: {domain: p.sandgate.localhost}\n"
                                 "x: 1\n"),
                       &c),
        E_BAD_FIELD);
    cr_expect(str_eq(buf_str(&conf_file_said), STR("8:1: unknown key x\n")),
              "%.*s", STR_FMT(buf_str(&conf_file_said)));
    conf_unref(&c);
}
