#include <criterion/criterion.h>

#include "preview/host.h"
#include "tests/unit/preview_make.h"

/* threats.md 2.6 */
static const struct {
    const char *host;
    enum err err;
    const char *sandbox, *link; /* NULL: none */
    unsigned port;
} host_rows[] = {
    {"i0abc.p.example", E_OK, "i0abc", NULL, 0},
    {"3000-i0abc.p.example", E_OK, "i0abc", NULL, 3000},
    {"65535-i0abc.p.example", E_OK, "i0abc", NULL, 65535},
    {LINK_ID ".p.example", E_OK, NULL, LINK_ID, 0},
    {"3000-" LINK_ID ".p.example", E_OK, LINK_ID, NULL, 3000},
    {"demo.example.org", E_OK, "i0abc", NULL, 8000},
    {"link.example.org", E_OK, NULL, LINK_ID, 0},
    {"p.example", E_ROUTE_UNKNOWN, NULL, NULL, 0},
    {"0-i0abc.p.example", E_BAD_PORT, NULL, NULL, 0},
    {"65536-i0abc.p.example", E_BAD_PORT, NULL, NULL, 0},
    {"03000-i0abc.p.example", E_BAD_PORT, NULL, NULL, 0},
    {"30000000000000000000-i0abc.p.example", E_BAD_PORT, NULL, NULL, 0},
    {"3000-.p.example", E_BAD_SANDBOX_ID, NULL, NULL, 0},
    {"-i0abc.p.example", E_BAD_SANDBOX_ID, NULL, NULL, 0},
    /* Ids that a native client chose have dashes. */
    {"8e3-i0abc.p.example", E_OK, "8e3-i0abc", NULL, 0},
    {"3000-sandbox-x.p.example", E_OK, "sandbox-x", NULL, 3000},
    {"i0_abc.p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {"+80-i0abc.p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {"I0ABC.p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {"i0%61bc.p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {"\xef\xbc\x98.p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {"x.i0abc.p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {".p.example", E_BAD_REQUEST, NULL, NULL, 0},
    {"i0abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz.p."
     "example",
     E_BAD_REQUEST, NULL, NULL, 0},
    {"i0abc.p.example.evil", E_MISDIRECTED, NULL, NULL, 0},
    {"i0abcp.example", E_MISDIRECTED, NULL, NULL, 0},
    {"xp.example", E_MISDIRECTED, NULL, NULL, 0},
    {"example", E_MISDIRECTED, NULL, NULL, 0},
    {"x.demo.example.org", E_MISDIRECTED, NULL, NULL, 0},
    {"127.0.0.1", E_MISDIRECTED, NULL, NULL, 0},
    {"", E_MISDIRECTED, NULL, NULL, 0},
};

Test(preview_host, knows_what_can_stand_alone)
{
    static const struct {
        const char *id;
        bool stands;
    } rows[] = {{"i0abc", true},    {"sandbox-1", true}, {"3000", true},
                {"x-3000", true},   {"3000-app", false}, {"0-x", false},
                {"49983-x", false}, {"www", false},      {"sandbox", false},
                {LINK_ID, false},   {"Caps", false},     {"a_b", false},
                {"", false}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(preview_host_stands(str_of(rows[i].id)), rows[i].stands,
                     "%s", rows[i].id);
}

Test(preview_host, names_a_sandbox_a_port_or_a_link)
{
    for (size_t i = 0; i < sizeof(host_rows) / sizeof(*host_rows); i++) {
        struct str host = str_of(host_rows[i].host);
        struct preview_host out;
        enum err err = preview_host_find(preview_make_conf(), host, &out);

        cr_expect_eq(err, host_rows[i].err, "%s: %s", host_rows[i].host,
                     err_name(err));
        cr_expect_eq(preview_host_ours(preview_make_conf(), host),
                     err != E_MISDIRECTED, "%s", host_rows[i].host);
        if (err != E_OK)
            continue;
        cr_expect_eq(out.port, host_rows[i].port);
        cr_expect(str_eq(out.sandbox, host_rows[i].sandbox
                                          ? str_of(host_rows[i].sandbox)
                                          : STR_NONE));
        cr_expect(str_eq(out.link, host_rows[i].link ? str_of(host_rows[i].link)
                                                     : STR_NONE));
        cr_expect_eq(out.mapped, str_ends(host, STR(".org")));
    }
}

/* */
Test(preview_host, has_no_sandbox_of_a_reserved_name)
{
    static const char *const labels[] = {
        "www",    "app",    "api",   "console", "gateway",
        "admin",  "auth",   "login", "account", "mail",
        "static", "assets", "cdn",   "status",  "sandbox"};

    for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++) {
        struct preview_host out;
        struct buf host;

        buf_init(&host, 100);
        buf_text(&host, "%s.p.example", labels[i]);
        cr_expect_eq(
            preview_host_find(preview_make_conf(), buf_str(&host), &out),
            E_ROUTE_UNKNOWN, "%s", labels[i]);
        buf_clear(&host);
    }
}

Test(preview_host, is_nobodys_while_previews_are_not_configured)
{
    struct conf_preview conf = *preview_make_conf();
    struct preview_host out;

    conf.domain = STR_NONE;
    cr_expect_not(preview_host_ours(&conf, STR("demo.example.org")));
    cr_expect_eq(preview_host_find(&conf, STR("demo.example.org"), &out),
                 E_MISDIRECTED);
    cr_expect_not(preview_host_ours(&conf, STR("")));
}

static void expect_url(const struct conf_preview *conf, const struct link *link,
                       const char *url)
{
    struct buf out;

    buf_init(&out, 1024);
    preview_host_url(conf, link, STR("T"), &out);
    cr_expect(str_eq(buf_str(&out), str_of(url)), "%.*s",
              STR_FMT(buf_str(&out)));
    buf_clear(&out);
}

Test(preview_host, is_made_as_it_is_read)
{
    struct conf_preview conf = *preview_make_conf();
    struct link link = preview_make_link();

    expect_url(&conf, &link, "https://3000-i0abc.p.example/?token=T");
    link.opaque = true;
    expect_url(&conf, &link, "https://" LINK_ID ".p.example/?token=T");
    conf.port = 8443;
    expect_url(&conf, &link, "https://" LINK_ID ".p.example:8443/?token=T");
    link.opaque = false;
    link.id[0] = '\0';
    expect_url(&conf, &link, "https://i0abc.p.example:8443/?token=T");
}
