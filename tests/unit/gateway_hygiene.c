#include <criterion/criterion.h>
#include <stdio.h>

#include "base/buf.h"
#include "gateway/hygiene.h"

static struct arena *arena;

static void start(void)
{
    cr_assert_eq(arena_new(1 << 20, &arena), E_OK);
}

static void stop(void)
{
    arena_free(&arena);
}

TestSuite(hygiene, .init = start, .fini = stop);

/* "Name: value\n..." to fields. */
static struct fields read_fields(const char *text)
{
    struct str rest = str_of(text);
    struct fields f = {0};

    while (rest.p && rest.n) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, ':');

        cr_assert_eq(fields_add(&f, arena, name, str_trim(value)), E_OK);
    }
    return f;
}

static const char *show(const struct fields *f)
{
    static char out[4096];
    size_t n = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < f->count; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%.*s: %.*s\n",
                              STR_FMT(f->at[i].name), STR_FMT(f->at[i].value));
    return out;
}

static bool never(void *arg, struct str value)
{
    (void)arg;
    (void)value;
    return false;
}

#define FORWARDED \
    "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Host: h\nX-Forwarded-Proto: " \
    "https\n"
#define HOP(n) "X-Sandgate-Hop: " n "\n"
#define OURS FORWARDED HOP("1")

Test(hygiene, sends_what_is_the_apps)
{
    static const struct {
        const char *name, *in, *out;
        enum err err;
    } rows[] = {
        {"plain", "Accept: a\nCookie: c=1\nX-App: x\n",
         "Accept: a\nCookie: c=1\nX-App: x\n" OURS, E_OK},
        {"hop by hop",
         "Connection: keep-alive\nKeep-Alive: 5\nTE: trailers\nTrailer: "
         "x\nTransfer-Encoding: chunked\nUpgrade: h2c\nProxy-Connection: "
         "a\nProxy-Authorization: b\nProxy: c\n",
         OURS, E_OK},
        {"framing", "Host: h\nContent-Length: 3\nExpect: 100-continue\n", OURS,
         E_OK},
        {"forwarding",
         "X-Forwarded-For: 1\nx-forwarded-host: 2\nX-FORWARDED-PROTO: "
         "3\nX-Forwarded-Port: 4\nForwarded: 5\nX-Real-IP: 6\nVia: "
         "7\nTrue-Client-IP: 8\nX-Client-IP: 9\n",
         OURS, E_OK},
        {"routing", "E2b-Sandbox-Id: a\nE2b-Sandbox-Port: 1\n", OURS, E_OK},
        {"our own prefix", "X-Sandgate-Team: a\n", OURS, E_OK},
        {"nominated", "Connection: close, X-Once\nX-Once: 1\nX-Twice: 2\n",
         "X-Twice: 2\n" OURS, E_OK},
        {"host nominated", "Connection: host\n", "", E_BAD_REQUEST},
        {"token nominated", "Connection: x-access-token\n", "", E_BAD_REQUEST},
        {"length nominated", "Connection: a, Content-Length\n", "",
         E_BAD_REQUEST},
        {"forwarding nominated", "Connection: X-Forwarded-For\n", "",
         E_BAD_REQUEST},
        {"authorization nominated", "Connection: Authorization\n", "",
         E_BAD_REQUEST},
        {"underscore of a protected name", "Content_Length: 3\n", "",
         E_BAD_REQUEST},
        {"underscore of a routing name", "E2B_Sandbox_Id: 3\n", "",
         E_BAD_REQUEST},
        {"underscore of another name", "lang_version: 3\nkeep_alive: 1\n",
         "lang_version: 3\nkeep_alive: 1\n" OURS, E_OK},
        {"harmless request id", "X-Request-ID: a-1\n",
         "X-Request-ID: id-of-ours\n" OURS, E_OK},
        {"our count of hops", "X-Sandgate-Hop: x\nx-sandgate_hop: 9\n", OURS,
         E_OK},
        {"round again", "X-Sandgate-Hop: 2\nx-SANDGATE-hop: 1\n",
         FORWARDED HOP("3"), E_OK},
        {"round for the last time", "X-Sandgate-Hop: 3\n", FORWARDED HOP("4"),
         E_OK},
        {"in a circle", "X-Sandgate-Hop: 4\n", "", E_LOOP},
        {"in a large circle", "X-Sandgate-Hop: 18446744073709551615\n", "",
         E_LOOP},
        {"encoding kept", "Accept-Encoding: br\n", "Accept-Encoding: br\n" OURS,
         E_OK},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct request_head head = {.peer = STR("192.0.2.1"), .tls = true};
        struct hygiene h = {.head = &head,
                            .host = STR("h"),
                            .id = STR("id-of-ours"),
                            .is_secret = never};
        struct fields out = {0};

        head.fields = read_fields(rows[i].in);
        h.encoding = strstr(rows[i].in, "Accept-Encoding") != NULL;
        cr_expect_eq(hygiene_request(&h, arena, &out), rows[i].err, "%s",
                     rows[i].name);
        if (!rows[i].err)
            cr_expect_str_eq(show(&out), rows[i].out, "%s", rows[i].name);
    }
}

Test(hygiene, passes_back_what_stays_within_the_host)
{
    static const struct {
        const char *name, *in, *out;
        int status;
    } rows[] = {
        {"plain", "Content-Type: a\nServer: s\n",
         "Content-Type: a\nServer: s\n", 200},
        {"beyond the host", "Alt-Svc: h3\nClear-Site-Data: *\n", "", 200},
        {"hop by hop",
         "Connection: x-once\nX-Once: 1\nKeep-Alive: 1\nTrailer: a\nDate: "
         "d\nContent-Length: 3\nTransfer-Encoding: chunked\nUpgrade: h2\n",
         "", 200},
        {"cookies",
         "Set-Cookie: a=1\nSet-Cookie: b=2; Path=/; Domain=.x.example; "
         "Secure\nSet-Cookie: c=3; DOMAIN = x\nSet-Cookie: domain=4; Path=/\n",
         "Set-Cookie: a=1\nSet-Cookie: b=2; Path=/; Secure\nSet-Cookie: "
         "c=3\nSet-Cookie: domain=4; Path=/\n",
         200},
        {"cookies of our name",
         "Set-Cookie: __Host-sandgate-preview=x; Path=/\nSet-Cookie: a=1\n",
         "Set-Cookie: a=1\n", 200},
        {"upgrade",
         "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: k\n",
         "Upgrade: websocket\nSec-WebSocket-Accept: k\n", 101},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct answer_head head = {.status = rows[i].status};
        struct fields out = {0};

        head.fields = read_fields(rows[i].in);
        cr_expect_eq(hygiene_answer(&head, arena, &out), E_OK);
        cr_expect_str_eq(show(&out), rows[i].out, "%s", rows[i].name);
    }
}

Test(hygiene, makes_paths_clean_for_the_proxy)
{
    static const char *const rows[][2] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a/b/", "/a/b/"},
        {"/a//b", "/a/%2Fb"},
        {"//", "/%2F"},
        {"/./a", "/%2E/a"},
        {"/a/..", "/a/%2E%2E"},
        {"/../../etc", "/%2E%2E/%2E%2E/etc"},
        {"/a/.b/..c", "/a/.b/..c"},
        {"/%5bid%5D/%20", "/%5bid%5D/%20"},
    };
    /* What the proxy would decode, and half an escape. */
    static const struct {
        const char *path;
        enum err err;
    } bad[] = {
        {"/%2e%2e/x", E_UNIMPLEMENTED}, {"/a%2Fb", E_UNIMPLEMENTED},
        {"/%41", E_UNIMPLEMENTED},      {"/%7euser", E_UNIMPLEMENTED},
        {"/a%", E_BAD_REQUEST},         {"/a%2", E_BAD_REQUEST},
        {"/a%zz", E_BAD_REQUEST},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct str out;

        cr_expect_eq(hygiene_path(str_of(rows[i][0]), arena, &out), E_OK);
        cr_expect(str_eq(out, str_of(rows[i][1])), "%s: %.*s", rows[i][0],
                  STR_FMT(out));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct str out;

        cr_expect_eq(hygiene_path(str_of(bad[i].path), arena, &out), bad[i].err,
                     "%s", bad[i].path);
    }
}

/* */
Test(hygiene, says_whom_listed_proxies_vouch_for)
{
    struct request_head head = {.peer = STR("192.0.2.1"), .tls = true};
    struct hygiene h = {.head = &head,
                        .host = STR("h"),
                        .chain = STR("192.0.2.1, 10.0.0.1"),
                        .is_secret = never};
    struct fields out;

    head.fields = read_fields("X-Forwarded-For: 6.6.6.6, 192.0.2.1\n"
                              "X-Forwarded-Proto: https\n"
                              "X-Forwarded-Host: evil\nForwarded: for=1\n");
    cr_assert_eq(hygiene_request(&h, arena, &out), E_OK);
    cr_expect_str_eq(
        show(&out), "X-Forwarded-For: 192.0.2.1, 10.0.0.1\n"
                    "X-Forwarded-Host: h\nX-Forwarded-Proto: https\n" HOP("1"));
}
