/* T-08: who is sent on from a listener without TLS, and where to. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/redirect.h"

#define ID "i0abcdefghij01234567"
#define KEY "e2b_0123456789abcdef0123456789abcdef01234567"

static struct conf_preview_host own = {.host = STR("demo.example.org"),
                                       .target = STR(ID)};
static struct str direct[] = {STR("localhost"), STR("127.0.0.1")};
static const struct conf conf = {.domain = STR("sandgate.test"),
                                 .direct_hosts = direct,
                                 .direct_host_count = 2,
                                 .preview = {.domain = STR("p.example"),
                                             .port = 9443,
                                             .hosts = &own,
                                             .host_count = 1}};

/* The URL, or what is wrong. */
static const char *find(enum method method, const char *host,
                        const char *target, struct fields fields)
{
    static char said[512];
    struct str query = str_of(target), path = str_cut(&query, '?');
    struct request_head head = {.method = method,
                                .target = str_of(target),
                                .path = path,
                                .query = query,
                                .host = str_of(host),
                                .fields = fields};
    struct buf url;
    enum err err;

    buf_init(&url, sizeof(said) - 1);
    err = redirect_find(&head, &conf, 8443, &url);
    snprintf(said, sizeof(said), "%.*s",
             STR_FMT(err ? str_of(err_name(err)) : buf_str(&url)));
    buf_clear(&url);
    return said;
}

Test(redirect, sends_to_names_of_ours_only)
{
    static const struct {
        const char *host, *target, *url;
    } rows[] = {
        {"api.sandgate.test", "/", "https://api.sandgate.test:8443/"},
        {"sandbox.sandgate.test", "/a?b=c",
         "https://sandbox.sandgate.test:8443/a?b=c"},
        {"3000-" ID ".sandgate.test", "/a%2f/../b?c=%0d%0a",
         "https://3000-" ID ".sandgate.test:8443/a%2f/../b?c=%0d%0a"},
        {"3000-" ID ".sandgate.test", "//evil.test/",
         "https://3000-" ID ".sandgate.test:8443//evil.test/"},
        {"3000-" ID ".p.example", "/x", "https://3000-" ID ".p.example:9443/x"},
        {"demo.example.org", "/", "https://demo.example.org:9443/"},
        {"evil.test", "/", "BAD_REQUEST"},
        {"api.sandgate.test.evil.test", "/", "BAD_REQUEST"},
        {"api.sandgate.test@evil.test", "/", "BAD_REQUEST"},
        {"xapi.sandgate.test", "/", "BAD_REQUEST"},
        {"sandgate.test", "/", "BAD_REQUEST"},
        {"a.b.sandgate.test", "/", "BAD_REQUEST"},
        {"0-" ID ".sandgate.test", "/", "BAD_REQUEST"},
        {"3000-I0.sandgate.test", "/", "BAD_REQUEST"},
        {"3000-.sandgate.test", "/", "BAD_REQUEST"},
        {"p.example", "/", "BAD_REQUEST"},
        {"3000-" ID ".a.p.example", "/", "BAD_REQUEST"},
        {"49983-" ID ".p.example", "/", "BAD_REQUEST"},
        {"localhost", "/", "BAD_REQUEST"},
        {"127.0.0.1", "/", "BAD_REQUEST"},
        {"", "/", "BAD_REQUEST"},
        {"api.sandgate.test", "*", "BAD_REQUEST"},
        {"api.sandgate.test", "", "BAD_REQUEST"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_str_eq(
            find(METHOD_GET, rows[i].host, rows[i].target, (struct fields){0}),
            rows[i].url, "%s%s", rows[i].host, rows[i].target);
}

Test(redirect, sends_nobody_on_who_showed_a_credential)
{
    static const char *const queries[] = {
        "/?token=a",
        "/?a=b&TOKEN=",
        "/?signature=v1_x",
        "/?api_key=x",
        "/?%74oken=a",
        "/?a=" KEY,
        "/?key",
        "/?secret=1",
        "/?a&password",
        "/?access_token=x",
    };
    static const char *const names[] = {
        "Authorization",       "cookie",
        "X-API-Key",           "X-Access-Token",
        "Proxy-Authorization", "E2b-Traffic-Access-Token",
    };
    struct field row = {STR("Accept"), STR("*/*")};
    struct fields fields = {&row, 1, 1};

    cr_expect_str_eq(
        find(METHOD_GET, "api.sandgate.test", "/?tokens=1&k=v", fields),
        "https://api.sandgate.test:8443/?tokens=1&k=v");
    for (size_t i = 0; i < sizeof(queries) / sizeof(*queries); i++)
        cr_expect_str_eq(
            find(METHOD_GET, "api.sandgate.test", queries[i], fields),
            "BAD_REQUEST", "%s", queries[i]);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        row = (struct field){str_of(names[i]), STR("")};
        cr_expect_str_eq(find(METHOD_GET, "api.sandgate.test", "/", fields),
                         "BAD_REQUEST", "%s", names[i]);
    }
}

Test(redirect, is_for_get_and_head_without_a_body)
{
    struct request_head head = {
        .target = STR("/"), .path = STR("/"), .host = STR("api.sandgate.test")};
    struct buf url;

    buf_init(&url, 1000);
    for (int m = 0; m < METHOD_COUNT; m++) {
        head.method = (enum method)m;
        cr_expect_eq(redirect_find(&head, &conf, 443, &url),
                     m == METHOD_GET || m == METHOD_HEAD ? E_OK : E_BAD_REQUEST,
                     "%d", m);
    }
    cr_expect(str_eq(buf_str(&url), STR("https://api.sandgate.test/"
                                        "https://api.sandgate.test/")));
    head.method = METHOD_GET;
    head.length = 1;
    cr_expect_eq(redirect_find(&head, &conf, 443, &url), E_BAD_REQUEST);
    head.length = LENGTH_CHUNKED;
    cr_expect_eq(redirect_find(&head, &conf, 443, &url), E_BAD_REQUEST);
    head.length = 0;
    head.upgrade = true;
    cr_expect_eq(redirect_find(&head, &conf, 443, &url), E_BAD_REQUEST);
    buf_clear(&url);
}
