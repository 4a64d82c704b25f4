#include <criterion/criterion.h>

#include "gateway/route.h"

static struct str direct[] = {STR("localhost"), STR("127.0.0.1"), STR("::1")};

static const struct conf conf = {
    .domain = STR("sandgate.localhost"),
    .direct_hosts = direct,
    .direct_host_count = 3,
};

struct row {
    const char *name;
    const char *host;
    const char *path;      /* NULL: / */
    const char *fields[6]; /* name, value, ... */
    enum err err;
    enum op_class class;
    const char *id; /* NULL: absent */
    unsigned port;
};

#define ID "i0abcdefghij0123456"
#define LONG57 "a23456789012345678901234567890123456789012345678901234567"

static const struct row rows[] = {
    {"api", "api.sandgate.localhost", "/sandboxes", {0}, E_OK, CLASS_API, 0, 0},
    {"api, stray routing headers",
     "api.sandgate.localhost",
     "/sandboxes",
     {"E2b-Sandbox-Id", "!!", "E2b-Sandbox-Port", "x"},
     E_OK,
     CLASS_API,
     0,
     0},
    {"native REST",
     "api.sandgate.localhost",
     "/v1/sandboxes",
     {0},
     E_OK,
     CLASS_NATIVE,
     0,
     0},
    {"native RPC",
     "api.sandgate.localhost",
     "/sandbox.v1.Sandbox/Exec",
     {0},
     E_OK,
     CLASS_NATIVE,
     0,
     0},
    {"a port by the native path",
     "api.sandgate.localhost",
     "/v1/sandboxes/Sandbox_1-a/expose/8000/x/y",
     {0},
     E_OK,
     CLASS_PORT,
     "Sandbox_1-a",
     8000},
    {"... of no sandbox",
     "api.sandgate.localhost",
     "/v1/sandboxes/a.b/expose/8000",
     {0},
     E_OK,
     CLASS_PORT,
     0,
     8000},
    {"... without a port",
     "api.sandgate.localhost",
     "/v1/sandboxes/a/expose/x",
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     "a",
     0},
    {"... of port 0",
     "api.sandgate.localhost",
     "/v1/sandboxes/a/expose/0/",
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     "a",
     0},
    {"expose and no more is a native path",
     "api.sandgate.localhost",
     "/v1/sandboxes/a/expose",
     {0},
     E_OK,
     CLASS_NATIVE,
     0,
     0},
    {"an encoded slash ends no segment",
     "api.sandgate.localhost",
     "/v1/sandboxes%2Fa/expose/80",
     {0},
     E_OK,
     CLASS_NATIVE,
     0,
     0},
    {"not native",
     "api.sandgate.localhost",
     "/v1x",
     {0},
     E_OK,
     CLASS_API,
     0,
     0},

    {"envd",
     "49983-" ID ".sandgate.localhost",
     "/health",
     {0},
     E_OK,
     CLASS_ENVD,
     ID,
     49983},
    {"code",
     "49999-" ID ".sandgate.localhost",
     "/execute",
     {0},
     E_OK,
     CLASS_CODE,
     ID,
     49999},
    {"port",
     "3000-" ID ".sandgate.localhost",
     0,
     {0},
     E_OK,
     CLASS_PORT,
     ID,
     3000},
    {"with client id",
     "49983-" ID "-6532622b.sandgate.localhost",
     0,
     {0},
     E_OK,
     CLASS_ENVD,
     ID,
     49983},
    {"with a client id of dashes",
     "80-" ID "-a-b-c.sandgate.localhost",
     0,
     {0},
     E_OK,
     CLASS_PORT,
     ID,
     80},
    {"headers are ignored on a sandbox host",
     "80-" ID ".sandgate.localhost",
     0,
     {"E2b-Sandbox-Id", "other", "E2b-Sandbox-Port", "81"},
     E_OK,
     CLASS_PORT,
     ID,
     80},
    {"an API path on a sandbox host is the app's",
     "80-" ID ".sandgate.localhost",
     "/sandboxes",
     {0},
     E_OK,
     CLASS_PORT,
     ID,
     80},
    {"longest id and port",
     "65535-" LONG57 ".sandgate.localhost",
     0,
     {0},
     E_OK,
     CLASS_PORT,
     LONG57,
     65535},
    {"id one too long",
     "1-" LONG57 "8.sandgate.localhost",
     0,
     {0},
     E_BAD_SANDBOX_ID,
     CLASS_PORT,
     0,
     1},
    {"no id",
     "80-.sandgate.localhost",
     0,
     {0},
     E_BAD_SANDBOX_ID,
     CLASS_PORT,
     0,
     80},

    {"port 0",
     "0-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"port 65536",
     "65536-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"port 08080",
     "08080-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"port of 20 digits",
     "11111111111111111111-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"port 8e3",
     "8e3-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"no port",
     "-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"punycode",
     "xn--80-abc.sandgate.localhost",
     0,
     {0},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},
    {"plus",
     "+80-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_REQUEST,
     CLASS_API,
     0,
     0},
    {"underscore",
     "80-a_b.sandgate.localhost",
     0,
     {0},
     E_BAD_REQUEST,
     CLASS_API,
     0,
     0},
    {"not ASCII",
     "80-\xc3\xa9.sandgate.localhost",
     0,
     {0},
     E_BAD_REQUEST,
     CLASS_API,
     0,
     0},
    {"percent",
     "80-%61.sandgate.localhost",
     0,
     {0},
     E_BAD_REQUEST,
     CLASS_API,
     0,
     0},
    {"upper case never comes",
     "80-ABC.sandgate.localhost",
     0,
     {0},
     E_BAD_REQUEST,
     CLASS_API,
     0,
     0},
    {"empty host", "", 0, {0}, E_BAD_REQUEST, CLASS_API, 0, 0},
    {"extra label",
     "x.80-" ID ".sandgate.localhost",
     0,
     {0},
     E_BAD_REQUEST,
     CLASS_API,
     0,
     0},

    {"another domain",
     "80-" ID ".example.com",
     0,
     {0},
     E_MISDIRECTED,
     CLASS_API,
     0,
     0},
    {"suffix trick",
     "api.sandgate.localhost.evil",
     0,
     {0},
     E_MISDIRECTED,
     CLASS_API,
     0,
     0},
    {"prefix trick",
     "evilapi.sandgate.localhost",
     0,
     {0},
     E_MISDIRECTED,
     CLASS_API,
     0,
     0},
    {"no dot before the domain",
     "apisandgate.localhost",
     0,
     {0},
     E_MISDIRECTED,
     CLASS_API,
     0,
     0},
    {"the bare domain",
     "sandgate.localhost",
     0,
     {0},
     E_MISDIRECTED,
     CLASS_API,
     0,
     0},
    {"an address that is not listed",
     "10.0.0.1",
     0,
     {0},
     E_MISDIRECTED,
     CLASS_API,
     0,
     0},

    {"shared host",
     "sandbox.sandgate.localhost",
     "/files",
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "49983"},
     E_OK,
     CLASS_ENVD,
     ID,
     49983},
    {"direct host",
     "localhost",
     "/execute",
     {"e2b-sandbox-id", ID, "E2B-SANDBOX-PORT", "49999"},
     E_OK,
     CLASS_CODE,
     ID,
     49999},
    {"direct IPv6 host",
     "[::1]",
     0,
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "8000"},
     E_OK,
     CLASS_PORT,
     ID,
     8000},
    {"API call on a direct host",
     "127.0.0.1",
     "/v2/sandboxes",
     {0},
     E_OK,
     CLASS_API,
     0,
     0},
    {"API call with one stray header",
     "127.0.0.1",
     "/sandboxes/x/timeout",
     {"E2b-Sandbox-Id", ID},
     E_OK,
     CLASS_API,
     0,
     0},
    {"health without routing is the API's",
     "localhost",
     "/health",
     {0},
     E_OK,
     CLASS_API,
     0,
     0},
    {"health with routing is the sandbox's",
     "localhost",
     "/health",
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "49983"},
     E_OK,
     CLASS_ENVD,
     ID,
     49983},
    {"native path on a direct host",
     "localhost",
     "/v1/sandboxes",
     {0},
     E_OK,
     CLASS_NATIVE,
     0,
     0},
    {"an app's /v1 on a direct host",
     "localhost",
     "/v1/chat",
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "8000"},
     E_OK,
     CLASS_PORT,
     ID,
     8000},
    {"no header", "localhost", "/files", {0}, E_HALF_ROUTED, CLASS_PORT, 0, 0},
    {"id without port",
     "localhost",
     "/files",
     {"E2b-Sandbox-Id", ID},
     E_HALF_ROUTED,
     CLASS_PORT,
     0,
     0},
    {"port without id",
     "localhost",
     "/files",
     {"E2b-Sandbox-Port", "49983"},
     E_HALF_ROUTED,
     CLASS_PORT,
     0,
     0},
    {"id twice",
     "localhost",
     "/files",
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "1"},
     E_BAD_REQUEST,
     CLASS_PORT,
     0,
     0},
    {"upper case id in a header",
     "localhost",
     "/files",
     {"E2b-Sandbox-Id", "ABC", "E2b-Sandbox-Port", "49983"},
     E_BAD_SANDBOX_ID,
     CLASS_ENVD,
     0,
     49983},
    {"bad port in a header",
     "localhost",
     "/files",
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "+80"},
     E_BAD_PORT,
     CLASS_PORT,
     0,
     0},

    {"control path",
     "49983-" ID ".sandgate.localhost",
     "/init",
     {0},
     E_PORT_BLOCKED,
     CLASS_ENVD,
     ID,
     49983},
    {"control path by header",
     "localhost",
     "/upgrade",
     {"E2b-Sandbox-Id", ID, "E2b-Sandbox-Port", "49983"},
     E_PORT_BLOCKED,
     CLASS_ENVD,
     ID,
     49983},
    {"the same path on another port",
     "3000-" ID ".sandgate.localhost",
     "/init",
     {0},
     E_OK,
     CLASS_PORT,
     ID,
     3000},
};

static void fill(struct request_head *head, struct field at[3],
                 const struct row *row)
{
    head->method = METHOD_GET;
    head->host = str_of(row->host);
    head->path = head->target = str_of(row->path ? row->path : "/");
    head->fields.at = at;
    for (int i = 0; i + 1 < 6 && row->fields[i]; i += 2)
        at[head->fields.count++] =
            (struct field){str_of(row->fields[i]), str_of(row->fields[i + 1])};
}

Test(route, finds_every_form_of_host)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct row *row = &rows[i];
        struct request_head head = {0};
        struct field at[3];
        struct route route;
        enum err err;

        fill(&head, at, row);
        err = route_find(&head, &conf, &route);
        cr_expect_eq(err, row->err, "%s: %s", row->name, err_name(err));
        cr_expect_eq(route.class, row->class, "%s: class %d", row->name,
                     route.class);
        cr_expect_eq(route.port, row->port, "%s: port %u", row->name,
                     route.port);
        cr_expect(str_eq(route.id, str_of(row->id)), "%s: id %.*s", row->name,
                  STR_FMT(route.id));
    }
}

Test(route, wants_sni_and_host_to_agree)
{
    static const struct {
        const char *name, *sni, *host;
        enum err err;
    } pairs[] = {
        {"the same", "api.sandgate.localhost", "api.sandgate.localhost", E_OK},
        {"case", "API.sandgate.localhost", "api.sandgate.localhost", E_OK},
        {"no SNI", NULL, "api.sandgate.localhost", E_OK},
        {"api, sandbox", "api.sandgate.localhost",
         "80-" ID ".sandgate.localhost", E_MISDIRECTED},
        {"two sandboxes", "80-a.sandgate.localhost", "80-b.sandgate.localhost",
         E_MISDIRECTED},
        {"two ports", "80-a.sandgate.localhost", "81-a.sandgate.localhost",
         E_MISDIRECTED},
        {"two direct hosts", "localhost", "127.0.0.1", E_OK},
        {"direct, api", "localhost", "api.sandgate.localhost", E_MISDIRECTED},
        {"foreign, api", "example.com", "api.sandgate.localhost",
         E_MISDIRECTED},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        struct request_head head = {.tls = true, .path = STR("/health")};
        struct route route;

        head.sni = str_of(pairs[i].sni);
        head.host = str_of(pairs[i].host);
        cr_expect_eq(route_find(&head, &conf, &route), pairs[i].err, "%s",
                     pairs[i].name);
    }
}

Test(route, finds_hosts_of_previews)
{
    static struct conf_preview_host hosts[] = {
        {STR("demo.example.org"), STR(ID), 8000}};
    static const struct conf both = {
        .domain = STR("sandgate.localhost"),
        .direct_hosts = direct,
        .direct_host_count = 3,
        .preview = {.domain = STR("p.example"),
                    .hosts = hosts,
                    .host_count = 1},
    };
    static const struct {
        const char *host, *sni; /* NULL: the same */
        enum err err;
        unsigned port;
        const char *id, *link;
    } hosts_of[] = {
        {"3000-" ID ".p.example", NULL, E_OK, 3000, ID, NULL},
        {ID ".p.example", NULL, E_OK, 0, ID, NULL},
        {"labcdefghijklmnopqrstuvwx2.p.example", NULL, E_OK, 0, NULL,
         "labcdefghijklmnopqrstuvwx2"},
        {"demo.example.org", NULL, E_OK, 8000, ID, NULL},
        {"admin.p.example", NULL, E_ROUTE_UNKNOWN, 0, NULL, NULL},
        {"p.example", NULL, E_ROUTE_UNKNOWN, 0, NULL, NULL},
        {"a.b.p.example", NULL, E_BAD_REQUEST, 0, NULL, NULL},
        {"0-" ID ".p.example", NULL, E_BAD_PORT, 0, NULL, NULL},
        {"49983-" ID ".p.example", NULL, E_FORBIDDEN, 49983, ID, NULL},
        {"3000-" ID ".p.example", "8000-" ID ".p.example", E_MISDIRECTED, 0,
         NULL, NULL},
        {"3000-" ID ".p.example", "api.sandgate.localhost", E_MISDIRECTED, 0,
         NULL, NULL},
        {"api.sandgate.localhost", "3000-" ID ".p.example", E_MISDIRECTED, 0,
         NULL, NULL},
    };

    for (size_t i = 0; i < sizeof(hosts_of) / sizeof(*hosts_of); i++) {
        struct request_head head = {.tls = true, .path = STR("/v1/x")};
        struct route route;

        head.host = str_of(hosts_of[i].host);
        head.sni = str_of(hosts_of[i].sni ? hosts_of[i].sni : hosts_of[i].host);
        head.target = head.path;
        cr_expect_eq(route_find(&head, &both, &route), hosts_of[i].err, "%zu",
                     i);
        if (hosts_of[i].err == E_MISDIRECTED)
            continue;
        cr_expect_eq(route.class, CLASS_LINK, "%zu", i);
        cr_expect_eq(route.port, hosts_of[i].port, "%zu", i);
        cr_expect(str_eq(route.id, str_of(hosts_of[i].id)), "%zu", i);
        cr_expect(str_eq(route.link, str_of(hosts_of[i].link)), "%zu", i);
    }
}

Test(route, knows_a_preflight)
{
    struct field at[] = {{STR("Access-Control-Request-Method"), STR("POST")}};
    struct request_head head = {.method = METHOD_OPTIONS,
                                .path = STR("/process.Process/Start"),
                                .host = STR("localhost"),
                                .fields = {at, 1, 1}};
    struct route route;

    /* A browser sends no routing headers with it. */
    cr_expect_eq(route_find(&head, &conf, &route), E_OK);
    cr_expect(route.preflight);
    cr_expect_eq(route.class, CLASS_ENVD);
    head.fields.count = 0;
    cr_expect_eq(route_find(&head, &conf, &route), E_HALF_ROUTED);
    cr_expect_not(route.preflight);
}

Test(route, blocks_control_paths_in_every_spelling)
{
    static const struct {
        const char *path;
        enum err err;
    } paths[] = {
        {"/init", E_PORT_BLOCKED},
        {"/freeze", E_PORT_BLOCKED},
        {"/unfreeze", E_PORT_BLOCKED},
        {"/collapse", E_PORT_BLOCKED},
        {"/fsfreeze", E_PORT_BLOCKED},
        {"/fsthaw", E_PORT_BLOCKED},
        {"/upgrade", E_PORT_BLOCKED},
        {"//init", E_PORT_BLOCKED},
        {"/init/", E_PORT_BLOCKED},
        {"/./init", E_PORT_BLOCKED},
        {"/init/.", E_PORT_BLOCKED},
        {"/init/a/..", E_PORT_BLOCKED},
        {"/a/../init", E_PORT_BLOCKED},
        {"/a/b/../../init", E_PORT_BLOCKED},
        {"/../init", E_PORT_BLOCKED},
        {"/%69nit", E_PORT_BLOCKED},
        {"/%69%6e%69%74", E_PORT_BLOCKED},
        {"/%2e%2e/init", E_PORT_BLOCKED},
        {"/init;x", E_PORT_BLOCKED},
        {"/init;a-very-long-parameter", E_PORT_BLOCKED},
        {"/%2finit", E_BAD_REQUEST},
        {"/a%2f..%2finit", E_BAD_REQUEST},
        {"/%5cinit", E_BAD_REQUEST},
        {"/init%00", E_BAD_REQUEST},
        {"/%2569nit", E_BAD_REQUEST},
        {"/%25%36%39nit", E_BAD_REQUEST},
        {"/%252e%252e/init", E_BAD_REQUEST},
        {"/x/%2e%2e%5cinit", E_BAD_REQUEST},
        {"/", E_OK},
        {"", E_OK},
        {"/files", E_OK},
        {"/initial", E_OK},
        {"/init/x", E_OK},
        {"/x/init", E_OK},
        {"/init/..", E_OK},
        {"/health", E_OK},
        {"/process.Process/Start", E_OK},
        {"/INIT", E_OK},
        {"/%zzinit", E_OK},
        {"/init%2", E_OK},
        {"/fsfreezefsfreezefsfreeze", E_OK},
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        cr_expect_eq(route_check_control(str_of(paths[i].path)), paths[i].err,
                     "%s", paths[i].path);
}
