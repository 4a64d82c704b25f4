/* Hosts of previews: the exchange with the real rules of preview/, the rest
 * faked. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/preview_fields.h"
#include "preview/cookie.h"
#include "tests/unit/gateway_fake.h"
#include "tests/unit/preview_make.h"

#define HOST "3000-" FAKE_ID ".p.example"
#define SENT \
    "X-Forwarded-For=192.0.2.1 X-Forwarded-Host=" HOST " X-Forwarded-Proto=" \
    "http X-Sandgate-Hop=1"
#define NAVIGATES "\nSec-Fetch-Mode: navigate\nUser-Agent: Mozilla/5.0"
#define FORGET \
    "Set-Cookie=" PREVIEW_COOKIE "=; Path=/; HttpOnly; Secure; " \
    "SameSite=Lax; Max-Age=0"

static struct link link;
static char request[4096];
static char token[700], cookie[700];

static void take(char *to, size_t size, struct buf b)
{
    snprintf(to, size, "%.*s", STR_FMT(buf_str(&b)));
    buf_clear(&b);
}

static void sign(void)
{
    take(token, sizeof(token), preview_make_token(&fake.conf.preview, &link));
    take(cookie, sizeof(cookie),
         preview_make_cookie(&fake.conf.preview, &link, HOST));
    fake.link = link;
}

static void start(void)
{
    fake_start();
    clock_set_wall_ms(NOW_S * 1000);
    fake.conf.preview = *preview_make_conf();
    fake.show_fields = true;
    fake.link_found = FOUND;
    link = preview_make_link();
    snprintf(link.sandbox, sizeof(link.sandbox), FAKE_ID);
    sign();
}

TestSuite(preview, .init = start, .fini = fake_stop);

/* %t and %c are token and cookie. */
static const char *ask(const char *text)
{
    struct buf b;

    buf_init_at(&b, request, sizeof(request));
    for (; *text; text++)
        if (text[0] == '%' && (text[1] == 't' || text[1] == 'c'))
            buf_put(&b, str_of(*++text == 't' ? token : cookie));
        else
            buf_byte(&b, *text);
    buf_byte(&b, '\0');
    fake_turn();
    if (fake.stream)
        fake_said();
    fake_request(request, 0);
    return fake_said();
}

#define EXPECT_STARTS(have, want) \
    do { \
        const char *have_ = have; \
        cr_expect(strncmp(have_, want, strlen(want)) == 0, "%s", have_); \
    } while (0)
#define EXPECT_HAS(have, want) \
    do { \
        const char *have_ = have; \
        cr_expect(strstr(have_, want), "%s", have_); \
    } while (0)

/* ---- ways in ---- */

Test(preview, sends_a_first_visit_to_the_clean_address)
{
    const char *said = ask("GET " HOST " /a//b/%2F?x=1&token=%t&y" NAVIGATES);

    EXPECT_STARTS(said, "all 302 Set-Cookie=" PREVIEW_COOKIE "=");
    EXPECT_HAS(said, "; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3600 "
                     "Location=/a//b/%2F?x=1&y Referrer-Policy=no-referrer "
                     "Cache-Control=no-store ; free; ");
    cr_expect_not(strstr(said, token));
}

Test(preview, passes_what_is_no_navigation_with_its_token_taken_out)
{
    static const char *const rows[] = {
        "GET " HOST " /a?token=%t",
        "GET " HOST " /a?token=%t\nSec-Fetch-Mode: cors",
        "GET " HOST " /a\nAuthorization: Bearer %t",
        "GET " HOST " /a\nE2b-Traffic-Access-Token: %t",
        "GET " HOST " /a\nCookie: " PREVIEW_COOKIE "=%c",
        "GET " HOST " /a\nCookie: " PREVIEW_COOKIE "=%c" NAVIGATES,
        "GET " HOST " /a?token=%t\nReferer: https://" HOST "/?token=%t",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *said = ask(rows[i]);

        EXPECT_STARTS(said, "find 3000; start GET 127.0.0.1:4000 /a host=" HOST
                            " length=-2 idempotent ");
        cr_expect_not(strstr(said, token), "%s", said);
        cr_expect_not(strstr(said, cookie), "%s", said);
        fake_gone();
    }
}

Test(preview, leaves_what_is_the_apps_own)
{
    EXPECT_HAS(ask("GET " HOST " /?q=1\nCookie: a=1; " PREVIEW_COOKIE
                   "=%c; b=2\nReferer: https://" HOST
                   "/x?token=%t&z=1\nX-Auth-Request-User: mine"),
               "Cookie=a=1; b=2 Referer=https://" HOST
               "/x?z=1 X-Auth-Request-User=mine " SENT);
    fake_call_head(200, 0);
    fake_call_end();
    fake_turn();
    fake_said();
    EXPECT_HAS(ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE
                   "=%c\nAuthorization: Basic YTpi"),
               "Authorization=Basic YTpi ");
    fake_gone();
    /* Vite's sockets, Jupyter's links. */
    EXPECT_HAS(ask("GET " HOST " /lab?token=5ee0\nCookie: " PREVIEW_COOKIE
                   "=%c" NAVIGATES),
               "/lab?token=5ee0 host=");
    fake_gone();
    EXPECT_HAS(ask("GET " HOST " /?token=%t&token=A5ObJu9HXn-L" NAVIGATES),
               "Location=/?token=A5ObJu9HXn-L ");
}

Test(preview, keeps_the_method_of_a_form)
{
    EXPECT_STARTS(ask("POST " HOST " /f?token=%t" NAVIGATES), "all 307 ");
}

Test(preview, redirects_nowhere_else)
{
    EXPECT_STARTS(ask("GET " HOST " //evil.example/?token=%t" NAVIGATES),
                  "all 400 ");
    EXPECT_STARTS(ask("GET " HOST " /\\evil.example?token=%t" NAVIGATES),
                  "all 400 ");
}

Test(preview, refuses_with_a_stable_code)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"GET " HOST " /", "\"error_code\":\"TOKEN_MISSING\"}"},
        {"GET " HOST " /?token=nonsense", "\"error_code\":\"TOKEN_INVALID\"}"},
        {"GET " HOST " /?token=", "\"error_code\":\"TOKEN_MISSING\"}"},
        {"GET " HOST " /?token=%t&token=sgl1_x",
         "\"error_code\":\"TOKEN_INVALID\"}"},
        {"GET 8000-" FAKE_ID ".p.example /?token=%t",
         "\"error_code\":\"TOKEN_WRONG_TARGET\"}"},
        {"POST " HOST " /\nCookie: " PREVIEW_COOKIE
         "=%c\nOrigin: https://evil.example",
         "\"error_code\":\"ORIGIN_MISMATCH\"}"},
        {"GET " HOST " /ws\nUpgrade: websocket\nCookie: " PREVIEW_COOKIE "=%c",
         "\"error_code\":\"ORIGIN_MISMATCH\"}"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        EXPECT_HAS(ask(rows[i].text), rows[i].want);
    fake.link.revoked_ms = 1;
    EXPECT_HAS(ask("GET " HOST " /?token=%t"),
               "\"error_code\":\"TOKEN_REVOKED\"}");
    fake.link_found = ABSENT;
    EXPECT_HAS(ask("GET " HOST " /?token=%t"),
               "\"error_code\":\"TOKEN_REVOKED\"}");
    fake.link_found = UNKNOWN;
    EXPECT_STARTS(ask("GET " HOST " /?token=%t"), "all 503 ");
    clock_set_wall_ms((NOW_S + 3600) * 1000);
    EXPECT_HAS(ask("GET " HOST " /?token=%t"),
               "\"error_code\":\"TOKEN_EXPIRED\"}");
}

Test(preview, shows_pages_to_people)
{
    const char *said = ask("GET " HOST " /?token=nonsense" NAVIGATES);

    EXPECT_STARTS(said, "all 401 Content-Type=text/html; charset=utf-8 "
                        "Content-Security-Policy=default-src 'none'; ");
    EXPECT_HAS(said, "Referrer-Policy=no-referrer ");
    EXPECT_HAS(said, "<h1>This link is not valid</h1>");
    EXPECT_HAS(said, "<dd>" HOST "</dd>");
    said = ask("GET admin.p.example /" NAVIGATES);
    EXPECT_HAS(said, "<h1>There is nothing at this address</h1>");
    fake.sandbox_found = ABSENT;
    said = ask("GET " HOST " /" NAVIGATES);
    EXPECT_STARTS(said, "all 502 ");
    EXPECT_HAS(said, "<h1>This sandbox has ended</h1>");
}

/* ---- cookies of yesterday ---- */

Test(preview, makes_a_browser_forget_a_cookie_that_no_longer_counts)
{
    fake.link.revoked_ms = 1;
    EXPECT_HAS(ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c"), FORGET);
    EXPECT_HAS(ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c" NAVIGATES),
               FORGET);
}

Test(preview, takes_an_old_cookie_out_of_a_new_links_way)
{
    char old[sizeof(cookie)];
    const char *said;

    link.life = 6;
    sign();
    memcpy(old, cookie, sizeof(old));
    link.life = 7;
    sign();
    memcpy(cookie, old, sizeof(old));
    said = ask("GET " HOST " /a?token=%t\nCookie: " PREVIEW_COOKIE
               "=%c" NAVIGATES);
    EXPECT_STARTS(said, "all 302 " FORGET " Location=/a?token=sgl1_");
    /* Nowhere but to this host. */
    EXPECT_STARTS(ask("GET " HOST
                      " //evil.example/?token=%t\nCookie: " PREVIEW_COOKIE
                      "=%c" NAVIGATES),
                  "all 400 ");
    /* A program is told. */
    EXPECT_STARTS(
        ask("GET " HOST " /a?token=%t\nCookie: " PREVIEW_COOKIE "=%c"),
        "all 401 ");
}

/* ---- other hosts ---- */

Test(preview, finds_the_port_that_a_link_is_for)
{
    EXPECT_STARTS(ask("GET " FAKE_ID ".p.example /?token=%t"),
                  "find 3000; start GET ");
    fake_gone();
    EXPECT_STARTS(ask("GET " LINK_ID ".p.example /?token=%t"),
                  "find 3000; start GET ");
    fake_gone();
    EXPECT_STARTS(ask("GET link.example.org /?token=%t"),
                  "find 3000; start GET ");
}

Test(preview, says_nothing_of_what_an_opaque_host_hides)
{
    const char *said = ask("GET " LINK_ID ".p.example /" NAVIGATES);

    EXPECT_STARTS(said, "all 401 ");
    cr_expect_not(strstr(said, FAKE_ID) || strstr(said, "3000"), "%s", said);
    said = ask("GET " LINK_ID ".p.example /");
    cr_expect_not(strstr(said, FAKE_ID) || strstr(said, "3000"), "%s", said);
}

Test(preview, opens_no_port_that_is_not_an_apps)
{
    EXPECT_STARTS(ask("GET 49983-" FAKE_ID ".p.example /?token=%t"),
                  "all 403 ");
    link.port = 49999;
    sign();
    EXPECT_STARTS(ask("GET " FAKE_ID ".p.example /?token=%t"), "all 403 ");
}

Test(preview, believes_tokens_of_the_sandbox_servers_form)
{
    link.id[0] = '\0';
    take(token, sizeof(token), preview_make_mitos(&fake.conf.preview, &link));
    EXPECT_STARTS(ask("GET " FAKE_ID ".p.example /?token=%t"),
                  "find 3000; start GET ");
    fake_gone();
    fake.before_ms = (NOW_S - 10) * 1000;
    EXPECT_HAS(ask("GET " FAKE_ID ".p.example /?token=%t"),
               "\"error_code\":\"TOKEN_REVOKED\"}");
}

/* ---- the kill switch ---- */

Test(preview, ends_what_a_revoked_link_opened)
{
    ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c");
    cr_assert_not_null(fake.shown);
    cr_expect_str_eq(fake.shown->id, LINK_ID);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_said();
    fake.passenger->on_kicked(fake.passenger->arg, E_TOKEN_REVOKED);
    EXPECT_STARTS(fake_said(), "call free; port left; cut; ");
}

/* ---- uses ---- */

Test(preview, counts_a_use_before_it_is_answered)
{
    link.scopes.uses_max = 2;
    sign();
    EXPECT_STARTS(ask("GET " HOST " /?token=%t" NAVIGATES),
                  "use " LINK_ID "; all 302 ");
    EXPECT_STARTS(ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c"),
                  "find 3000; ");
    fake_gone();
    fake.use_err = E_TOKEN_EXPIRED;
    EXPECT_HAS(ask("GET " HOST " /?token=%t"),
               "The link has been used as often as it may be");
}

/* ---- WebSockets ---- */

Test(preview, admits_a_websocket_from_its_own_page)
{
    EXPECT_STARTS(ask("GET " HOST
                      " /ws\nUpgrade: websocket\nOrigin: http://" HOST
                      "\nCookie: " PREVIEW_COOKIE "=%c"),
                  "find 3000; start GET ");
}

Test(preview, names_our_subprotocol_where_the_app_names_none)
{
    EXPECT_HAS(ask("GET " HOST " /ws\nUpgrade: websocket\nSec-WebSocket-"
                   "Protocol: sandgate, sandgate-token.%t, chat"),
               " upgrade Sec-WebSocket-Protocol=chat ");
    fake_call_head(101, LENGTH_NONE);
    EXPECT_HAS(fake_said(), "Sec-WebSocket-Protocol=sandgate; ");
}

/* ---- answers ---- */

Test(preview, tells_search_engines_to_keep_away)
{
    fake.conf.preview.noindex = true;
    ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c");
    fake_call_head(200, 0);
    EXPECT_HAS(fake_said(), "head 200 X-App=1 X-Robots-Tag=noindex; ");
}

/* The link's word, then the sandbox's, then the configuration's. */
Test(preview, lets_each_sandbox_and_link_say_so)
{
    static const struct {
        const char *metadata;
        enum link_index index;
        bool conf, link, port; /* hidden: on a preview host, on a plain one */
    } rows[] = {
        {"{}", LINK_INDEX_AS_CONFIGURED, true, true, false},
        {"{}", LINK_INDEX_AS_CONFIGURED, false, false, false},
        {"{}", LINK_INDEX_NO, false, true, false},
        {"{}", LINK_INDEX_YES, true, false, false},
        {"{\"sandgate.noindex\":\"true\"}", LINK_INDEX_AS_CONFIGURED, false,
         true, true},
        {"{\"sandgate.noindex\":\"true\"}", LINK_INDEX_YES, false, false, true},
        {"{\"sandgate.noindex\":\"false\"}", LINK_INDEX_AS_CONFIGURED, true,
         false, false},
        {"{\"a\":\"\\\"sandgate.noindex\\\":\\\"true\\\"\"}",
         LINK_INDEX_AS_CONFIGURED, false, false, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        fake.sandbox->metadata = str_of(rows[i].metadata);
        fake.conf.preview.noindex = rows[i].conf;
        link.scopes.index = rows[i].index;
        sign();
        ask("GET " HOST " /?token=%t");
        fake_call_head(200, 0);
        cr_expect_eq(strstr(fake_said(), "X-Robots-Tag") != NULL, rows[i].link,
                     "%zu", i);
        fake_call_end();
        ask("GET 3000-" FAKE_ID ".sandgate.localhost /");
        fake_call_head(200, 0);
        cr_expect_eq(strstr(fake_said(), "X-Robots-Tag") != NULL, rows[i].port,
                     "%zu", i);
        fake_call_end();
    }
}

Test(preview, answers_preflights_of_the_same_sandbox_only)
{
#define PREFLIGHT "OPTIONS " HOST " /\nAccess-Control-Request-Method: PUT\n"
    EXPECT_STARTS(ask(PREFLIGHT "Origin: https://8000-" FAKE_ID ".p.example"),
                  "all 204 Access-Control-Allow-Origin=https://8000-" FAKE_ID
                  ".p.example Access-Control-Allow-Credentials=true "
                  "Access-Control-Allow-Methods=PUT ");
    EXPECT_STARTS(ask(PREFLIGHT "Origin: https://8000-iother.p.example"),
                  "all 401 ");
    EXPECT_STARTS(ask(PREFLIGHT "Origin: null"), "all 401 ");
}

/* SameSite does not part the hosts of one domain. */
Test(preview, keeps_other_sandboxes_pages_from_using_the_cookie)
{
#define COOKIED "GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c\n"
#define WRITES "POST " HOST " /\nCookie: " PREVIEW_COOKIE "=%c\n"
    static const struct {
        const char *text;
        bool passes;
    } rows[] = {
        {COOKIED "Sec-Fetch-Site: same-origin\nSec-Fetch-Mode: cors", true},
        {COOKIED "Sec-Fetch-Site: none\nSec-Fetch-Mode: navigate", true},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: navigate\n"
                 "Sec-Fetch-Dest: document",
         true},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: navigate\n"
                 "Sec-Fetch-Dest: iframe",
         false},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: no-cors\n"
                 "Referer: https://3000-iother.p.example/",
         false},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: cors\n"
                 "Origin: https://3000-iother.p.example",
         false},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: cors\n"
                 "Origin: https://8000-" FAKE_ID ".p.example",
         true},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: no-cors\n"
                 "Referer: https://8000-" FAKE_ID ".p.example/x:y",
         true},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: cors\n"
                 "Origin: https://8000-" FAKE_ID ".p.example:9",
         false},
        {COOKIED "Sec-Fetch-Site: same-site\nSec-Fetch-Mode: cors\n"
                 "Origin: wss://8000-" FAKE_ID ".p.example",
         false},
        {WRITES "Origin: https://8000-" FAKE_ID ".p.example", true},
        {WRITES "Origin: https://" LINK_ID ".p.example", true},
        {WRITES "Origin: https://3000-iother.p.example", false},
        {WRITES "Origin: https://8000-" FAKE_ID ".p.example:9", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *said = ask(rows[i].text);

        cr_expect(strstr(said, rows[i].passes ? "find 3000" : "all 403 "),
                  "%zu: %s", i, said);
        if (rows[i].passes)
            fake_gone();
    }
}

static struct fields read_fields(struct arena *a, const char *text)
{
    struct str rest = str_of(text);
    struct fields f = {0};

    while (rest.n) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, ':');

        cr_assert_eq(fields_add(&f, a, name, str_trim(value)), E_OK);
    }
    return f;
}

Test(preview, leaves_one_allowed_origin)
{
    static const struct {
        const char *in, *origin, *want;
    } rows[] = {
        {"access-control-allow-origin: *\n", "https://a", "*"},
        {"Access-Control-Allow-Origin: *\nAccess-Control-Allow-Origin: "
         "https://a\n",
         "https://a", "https://a"},
        {"Access-Control-Allow-Origin: *\nAccess-Control-Allow-Origin: "
         "https://a\n",
         "https://b", "*"},
        {"Access-Control-Allow-Origin: x\nAccess-Control-Allow-Origin: x\n",
         NULL, "x"},
    };
    struct arena *a;

    cr_assert_eq(arena_new(65536, &a), E_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct fields f = read_fields(a, rows[i].in);
        struct str name = STR("access-control-allow-origin");

        preview_fields_single(&f, str_of(rows[i].origin));
        cr_expect_eq(fields_count(&f, name), 1);
        cr_expect(str_eq(fields_get(&f, name), str_of(rows[i].want)), "%zu", i);
    }
    arena_free(&a);
}

/* ---- the operator's own rule ---- */

static struct str listed[] = {STR("X-Auth-Request-User")};

static void guard(void)
{
    fake.conf.preview.forward_auth =
        (struct conf_forward_auth){.address = STR("127.0.0.1"),
                                   .port = 4180,
                                   .path = STR("/oauth2/auth"),
                                   .headers = listed,
                                   .header_count = 1,
                                   .timeout_s = 5};
}

static void answer(int status, const char *fields)
{
    struct arena *a;
    struct answer_head head = {.status = status, .length = 3};

    cr_assert_eq(arena_new(65536, &a), E_OK);
    head.fields = read_fields(a, fields);
    fake.call_events->on_head(fake.call_arg, &head);
    arena_free(&a);
}

#define GUARDED \
    "GET " HOST " /a?token=%t&x=1\nX-Auth-Request-User: forged\n" \
    "X_Auth_Request_Email: forged\nCookie: s=1; " PREVIEW_COOKIE "=%c"

Test(preview, asks_the_operators_service_and_names_the_user)
{
    const char *said;

    guard();
    said = ask(GUARDED);
    cr_expect_str_eq(said,
                     "start GET 127.0.0.1:4180 /oauth2/auth "
                     "host=127.0.0.1:4180 length=-2 idempotent Cookie=s=1 "
                     "X-Forwarded-Method=GET X-Forwarded-Proto=http "
                     "X-Forwarded-Host=" HOST " X-Forwarded-Uri=/a?x=1 "
                     "X-Forwarded-For=192.0.2.1; ");
    answer(202, "X-Auth-Request-User: ann\nX-Other: no\nSet-Cookie: s=2\n"
                "Set-Cookie: " PREVIEW_COOKIE "=forged; Path=/\n");
    cr_expect_str_eq(fake_said(),
                     "call free; find 3000; start GET 127.0.0.1:4000 /a?x=1 "
                     "host=" HOST " length=-2 idempotent Cookie=s=1 " SENT
                     " X-Auth-Request-User=ann; ");
    fake_call_head(200, 0);
    said = fake_said();
    EXPECT_HAS(said, "Set-Cookie=s=2");
    cr_expect_not(strstr(said, "forged"), "%s", said);
}

Test(preview, passes_the_services_refusals_on)
{
    const char *said;

    guard();
    ask(GUARDED);
    answer(401, "WWW-Authenticate: Basic\n");
    said = fake_said();
    EXPECT_STARTS(said, "call free; all 401 ");
    EXPECT_HAS(said, "WWW-Authenticate=Basic");
    ask(GUARDED);
    answer(403, "");
    EXPECT_STARTS(fake_said(), "call free; all 403 ");
    ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c" NAVIGATES);
    answer(302, "Location: https://login.example/\n");
    EXPECT_HAS(fake_said(), "all 302 Location=https://login.example/ ");
    ask("GET " HOST " /\nCookie: " PREVIEW_COOKIE "=%c" NAVIGATES);
    answer(308, "Location: https://login.example/\n");
    EXPECT_HAS(fake_said(), "all 308 Location=https://login.example/ ");
    /* What is no navigation is never sent elsewhere. */
    ask(GUARDED);
    answer(302, "Location: https://login.example/\n");
    EXPECT_STARTS(fake_said(), "call free; all 401 ");
}

Test(preview, fails_closed)
{
    guard();
    ask(GUARDED);
    fake_call_cut(E_BACKEND_DOWN);
    EXPECT_STARTS(fake_said(), "call free; all 503 ");
    ask(GUARDED);
    answer(500, "");
    EXPECT_STARTS(fake_said(), "call free; all 503 ");
    fake.call_err = E_SYSTEM;
    EXPECT_STARTS(ask(GUARDED), "all 503 ");
    fake.call_err = E_OK;
    /* The client leaves meanwhile. */
    ask(GUARDED);
    fake_gone();
    cr_expect_str_eq(fake_said(), "call free; free; ");
}
