#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/token.h"
#include "base/mem.h"
#include "gateway/course.h"
#include "tests/unit/gateway_fake.h"

TestSuite(exchange, .init = fake_start, .fini = fake_stop);

#define API "api.sandgate.localhost"
#define ENVD "49983-" FAKE_ID ".sandgate.localhost"
#define CODE "49999-" FAKE_ID ".sandgate.localhost"

#define GONE \
    "{\"sandboxId\":\"" FAKE_ID \
    "\",\"message\":\"The sandbox was not found\",\"code\":502}"
#define BAD_KEY \
    "{\"code\":401,\"message\":\"Invalid API key: missing, malformed, " \
    "unknown or revoked\"}"
#define NO_TOKEN \
    "{\"code\":401,\"message\":\"unauthorized access, please provide a valid " \
    "access token or method signing if supported\"}\n"

static const struct answer_head ok = {.status = 200, .length = 2};

/* An operation that says everything at once. */
static void hear_ok(struct op *op, const struct op_event *event,
                    struct want *want)
{
    (void)event;
    op->answered = true;
    want->kind = WANT_SAY;
    want->say.head = &ok;
    want->say.piece = STR("hi");
}

static void want_credential(enum credential credential)
{
    fake.hear = hear_ok;
    fake.row.credential = credential;
}

Test(exchange, answers_in_one_write_and_is_buried)
{
    want_credential(CREDENTIAL_KEY);
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(),
                     "BEGIN; all 200 Access-Control-Allow-Origin=* hi; op end; "
                     "free; ");
    cr_expect(list_empty(&fake.worker.open));
    cr_expect_eq(fake.worker.spare_count, 0);
    fake_turn();
    cr_expect_eq(fake.worker.spare_count, 1);
    cr_expect_eq(fake.worker.metrics.requests[CLASS_API][2], 1);
}

Test(exchange, waits_until_the_answer_is_written)
{
    want_credential(CREDENTIAL_KEY);
    fake.done_at_once = false;
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(
        fake_said(),
        "BEGIN; all 200 Access-Control-Allow-Origin=* hi; op end; ");
    fake_done();
    cr_expect_str_eq(fake_said(), "free; ");
}

Test(exchange, is_used_again)
{
    want_credential(CREDENTIAL_KEY);
    for (int i = 0; i < 3; i++) {
        fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
        fake_turn();
    }
    cr_expect_eq(fake.worker.spare_count, 1);
    mem_refuse(-1);
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    fake_turn();
}

struct row {
    const char *name, *request, *said;
    enum found sandbox, key;
};

static void run_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fake.sandbox_found = rows[i].sandbox;
        fake.key_found = rows[i].key;
        fake_said();
        fake_request(rows[i].request, 0);
        cr_expect_str_eq(fake_said(), rows[i].said, "%s", rows[i].name);
        fake_turn();
    }
}

#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))
#define HI "BEGIN; all 200 Access-Control-Allow-Origin=* hi; op end; free; "

Test(exchange, refuses_keys_in_one_way)
{
    static const struct row rows[] = {
        {"none", "GET " API " /sandboxes", "all 401 " BAD_KEY "; free; ", FOUND,
         FOUND},
        {"malformed", "GET " API " /sandboxes\nX-API-Key: e2b_XYZ",
         "all 401 " BAD_KEY "; free; ", FOUND, FOUND},
        {"unknown", "GET " API " /sandboxes\nX-API-Key: " FAKE_KEY,
         "all 401 " BAD_KEY "; free; ", FOUND, ABSENT},
        {"in the query", "GET " API " /sandboxes?x-api-key=" FAKE_KEY,
         "all 401 " BAD_KEY "; free; ", FOUND, FOUND},
        {"two",
         "GET " API " /sandboxes\nX-API-Key: " FAKE_KEY
         "\nX-API-Key: " FAKE_KEY,
         "all 400 {\"code\":400,\"message\":\"X-API-Key is given twice\"}; "
         "free; ",
         FOUND, FOUND},
        {"good, with a stray Authorization",
         "GET " API " /sandboxes\nX-API-Key: " FAKE_KEY
         "\nAuthorization: Bearer sk_e2b_x",
         HI, FOUND, FOUND},
    };

    want_credential(CREDENTIAL_KEY);
    run_rows(rows, COUNT(rows));
    cr_expect_eq(fake.worker.metrics.failed_keys, 4);
}

#define NATIVE_401 \
    "all 401 {\"error\":{\"code\":\"unauthorized\",\"message\":\"Invalid API " \
    "key: missing, malformed, unknown or revoked\",\"remediation\":\"Send " \
    "Authorization: Bearer with a key of this gateway.\"}}\n; free; "
#define NATIVE_400 \
    "all 400 {\"error\":{\"code\":\"invalid_json\",\"message\":\"Malformed " \
    "request\",\"cause\":\"One key is wanted: in X-API-Key or in " \
    "Authorization\",\"remediation\":\"Compare the request with what this " \
    "call takes.\"}}\n; free; "

Test(exchange, takes_a_native_clients_key_as_a_bearer)
{
    static const struct row rows[] = {
        {"bearer", "GET " API " /v1/x\nAuthorization: Bearer " FAKE_KEY, HI,
         FOUND, FOUND},
        {"small letters", "GET " API " /v1/x\nauthorization: bearer " FAKE_KEY,
         HI, FOUND, FOUND},
        {"X-API-Key", "GET " API " /v1/x\nX-API-Key: " FAKE_KEY, HI, FOUND,
         FOUND},
        {"both",
         "GET " API " /v1/x\nX-API-Key: " FAKE_KEY
         "\nAuthorization: Bearer " FAKE_KEY,
         NATIVE_400, FOUND, FOUND},
        {"twice",
         "GET " API " /v1/x\nAuthorization: Bearer " FAKE_KEY
         "\nAuthorization: Bearer " FAKE_KEY,
         NATIVE_400, FOUND, FOUND},
        {"another scheme", "GET " API " /v1/x\nAuthorization: Basic " FAKE_KEY,
         NATIVE_401, FOUND, FOUND},
        {"bare", "GET " API " /v1/x\nAuthorization: " FAKE_KEY, NATIVE_401,
         FOUND, FOUND},
        {"none", "GET " API " /v1/x", NATIVE_401, FOUND, FOUND},
        {"not for the control plane",
         "GET " API " /sandboxes\nAuthorization: Bearer " FAKE_KEY,
         "all 401 " BAD_KEY "; free; ", FOUND, FOUND},
    };

    want_credential(CREDENTIAL_KEY);
    run_rows(rows, COUNT(rows));
}

#define PROXY API " /v1/sandboxes/" FAKE_ID "/expose/80/x"

Test(exchange, ports_by_the_native_path_need_a_key_of_their_team)
{
    static const struct row rows[] = {
        {"no key", "GET " PROXY,
         "all 401 Invalid API key: missing, malformed, unknown or revoked; "
         "free; ",
         FOUND, FOUND},
        {"unknown", "GET " PROXY "\nX-API-Key: " FAKE_KEY,
         "all 502 no route to guest port; free; ", ABSENT, FOUND},
    };

    run_rows(rows, COUNT(rows));
    memcpy(fake.key.team, "blue", 5);
    fake.sandbox_found = fake.key_found = FOUND;
    fake_request("GET " PROXY "\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), "all 502 no route to guest port; free; ");
}

Test(exchange, refuses_who_guesses)
{
    want_credential(CREDENTIAL_KEY);
    fake.key_found = ABSENT;
    for (int i = 0; i < 20; i++) {
        fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
        fake_turn();
    }
    fake_said();
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(
        fake_said(),
        "all 429 {\"code\":429,\"message\":\"Too many requests\"}; free; ");
    fake_turn();
    fake.key_found = FOUND;
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    cr_expect(strstr(fake_said(), "all 200") != NULL,
              "a right key is never refused");
}

/* each client behind a listed proxy has its own guesses, and nobody
 * else gets others by a field. */
Test(exchange, counts_guesses_of_clients_behind_listed_proxies)
{
    static struct address_block proxy = {.bits = 32, .bytes = {192, 0, 2, 1}};
    char text[256];

    want_credential(CREDENTIAL_KEY);
    fake.key_found = ABSENT;
    for (int listed = 1; listed >= 0; listed--) {
        fake.conf.trusted_proxies = &proxy;
        fake.conf.trusted_proxy_count = (unsigned)listed;
        for (int i = 0; i < 22; i++) {
            snprintf(text, sizeof(text),
                     "GET " API " /sandboxes\nX-Forwarded-For: 6.6.6.6, "
                     "203.0.113.%d\nX-API-Key: " FAKE_KEY,
                     i);
            fake_request(text, 0);
            fake_turn();
            cr_expect_eq(strstr(fake_said(), "all 429") != NULL,
                         !listed && i >= 20, "%d", i);
        }
    }
}

Test(exchange, tells_gone_from_unknown)
{
    static const struct row rows[] = {
        {"known to be gone", "GET " ENVD " /health", "all 502 " GONE "; free; ",
         ABSENT, FOUND},
        {"another id", "GET 49983-other.sandgate.localhost /health",
         "all 502 {\"sandboxId\":\"other\",\"message\":\"The sandbox was not "
         "found\",\"code\":502}; free; ",
         FOUND, FOUND},
        {"gone for a stream",
         "POST " ENVD
         " /process.Process/Start\nContent-Type: application/connect+json",
         "all 502 " GONE "; free; ", ABSENT, FOUND},
    };

    want_credential(CREDENTIAL_NONE);
    run_rows(rows, COUNT(rows));
}

Test(exchange, waits_a_second_for_the_store)
{
    want_credential(CREDENTIAL_NONE);
    fake.sandbox_found = UNKNOWN;
    fake_request("GET " ENVD " /health", 0);
    cr_expect_str_eq(fake_said(), "");
    fake_time(1050);
    fake.sandbox_found = FOUND;
    fake_time(1100);
    cr_expect_str_eq(fake_said(), HI);
    fake_turn();

    fake.sandbox_found = UNKNOWN;
    fake_request("GET " ENVD " /health", 0);
    for (int64_t now_ms = 1150; now_ms <= 2100; now_ms += 50)
        fake_time(now_ms);
    cr_expect_str_eq(
        fake_said(),
        "all 503 {\"sandboxId\":\"" FAKE_ID
        "\",\"message\":\"It cannot be told at the moment whether the sandbox "
        "is running\",\"code\":503}; free; ");
    fake_turn();

    /* Keys likewise. */
    fake.row.credential = CREDENTIAL_KEY;
    fake.key_found = UNKNOWN;
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    for (int64_t now_ms = 2150; now_ms <= 3200; now_ms += 50)
        fake_time(now_ms);
    cr_expect_str_eq(fake_said(),
                     "all 503 {\"code\":503,\"message\":\"The records cannot "
                     "be reached at the moment\"}; free; ");
}

Test(exchange, wants_the_token_of_a_secure_sandbox)
{
    static const struct row rows[] = {
        {"missing", "GET " ENVD " /envs", "all 401 " NO_TOKEN "; free; ", FOUND,
         FOUND},
        {"wrong", "GET " ENVD " /envs\nX-Access-Token: nope",
         "all 401 " NO_TOKEN "; free; ", FOUND, FOUND},
        {"on a stream",
         "POST " ENVD
         " /process.Process/Start\nContent-Type: application/connect+json",
         "all 401 " NO_TOKEN "; free; ", FOUND, FOUND},
        {"49999 does not ask for it", "GET " CODE " /health", HI, FOUND, FOUND},
    };
    char token[AUTH_TOKEN_LENGTH + 1], request[256];

    want_credential(CREDENTIAL_ENVD);
    run_rows(rows, COUNT(rows));
    auth_token_envd(fake.conf.secret, fake.sandbox->id, fake.sandbox->life,
                    token);
    snprintf(request, sizeof(request), "GET " ENVD " /envs\nX-Access-Token: %s",
             token);
    fake_request(request, 0);
    cr_expect_str_eq(fake_said(), HI);
    fake_turn();
    fake.sandbox->secure = false;
    fake_request("GET " ENVD " /envs", 0);
    cr_expect_str_eq(fake_said(), HI);
}

Test(exchange, tells_a_path_that_is_not_there_only_with_the_token)
{
    want_credential(CREDENTIAL_ENVD);
    fake.find_err = E_ROUTE_UNKNOWN;
    fake_request("GET " ENVD " /nothing", 0);
    cr_expect_str_eq(fake_said(), "all 401 " NO_TOKEN "; free; ");
    fake_turn();
    fake.sandbox->secure = false;
    fake_request("GET " ENVD " /nothing", 0);
    cr_expect_str_eq(fake_said(), "all 404 404 page not found\n; free; ");
    fake_turn();
    fake_request("GET " API " /nothing", 0);
    cr_expect_str_eq(
        fake_said(),
        "all 404 {\"code\":404,\"message\":\"No such path\"}; free; ");
}

Test(exchange, checks_signed_links)
{
    static const struct row rows[] = {
        {"no signature", "GET " ENVD " /files?path=a.txt",
         "all 401 {\"code\":401,\"message\":\"missing signature query "
         "parameter\"}\n; free; ",
         FOUND, FOUND},
        {"wrong", "GET " ENVD " /files?path=a.txt&signature=v1_x",
         "all 401 {\"code\":401,\"message\":\"invalid signature\"}\n; free; ",
         FOUND, FOUND},
        {"a token that does not match",
         "GET " ENVD " /files?path=a.txt&signature=v1_x\nX-Access-Token: t",
         "all 401 {\"code\":401,\"message\":\"access token present in header "
         "but does not match\"}\n; free; ",
         FOUND, FOUND},
        {"twice", "GET " ENVD " /files?path=a.txt&path=b.txt",
         "all 400 {\"code\":400,\"message\":\"a query parameter is given "
         "twice\"}\n; free; ",
         FOUND, FOUND},
        {"no number", "GET " ENVD " /files?path=a&signature_expiration=x",
         "all 400 {\"code\":400,\"message\":\"signature_expiration must be an "
         "integer\"}\n; free; ",
         FOUND, FOUND},
    };

    want_credential(CREDENTIAL_SIGNATURE);
    fake.row.dialect = DIALECT_ENVD;
    run_rows(rows, COUNT(rows));
}

Test(exchange, wants_the_traffic_token_of_a_private_sandbox)
{
    want_credential(CREDENTIAL_NONE);
    fake.sandbox->private_traffic = true;
    fake_request("GET " CODE " /health", 0);
    cr_expect_str_eq(
        fake_said(),
        "all 403 {\"sandboxId\":\"" FAKE_ID
        "\",\"message\":\"Sandbox is secured with traffic access token. Token "
        "header 'e2b-traffic-access-token' is missing\",\"code\":403}; "
        "free; ");
}

Test(exchange, answers_preflights_before_all_else)
{
    fake.sandbox_found = UNKNOWN;
    fake_request("OPTIONS " ENVD " /files\nOrigin: https://a.example\n"
                 "Access-Control-Request-Method: POST",
                 0);
    cr_expect_str_eq(
        fake_said(),
        "all 204 Access-Control-Allow-Methods=POST "
        "Access-Control-Allow-Origin=* Access-Control-Max-Age=7200 "
        "Vary=Origin, Access-Control-Request-Method, "
        "Access-Control-Request-Headers ; free; ");
}

Test(exchange, blocks_control_paths_before_the_lookup)
{
    fake.sandbox_found = UNKNOWN;
    fake_request("POST " ENVD " //init", 0);
    cr_expect_str_eq(fake_said(),
                     "all 404 {\"message\":\"This path is not served from "
                     "outside the sandbox\",\"path\":\"//init\",\"code\":404}; "
                     "free; ");
}

Test(exchange, ends_the_connection_of_a_misdirected_request)
{
    fake_request("GET example.com /", 0);
    cr_expect_str_eq(fake_said(),
                     "close after; all 421 {\"code\":421,\"message\":\"This "
                     "host is not served here\"}; free; ");
}

Test(exchange, gives_an_operation_only_what_the_team_owns)
{
    want_credential(CREDENTIAL_KEY);
    fake.row.path = "/sandboxes/{id}";
    fake_request("GET " API " /sandboxes/" FAKE_ID "\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), HI);
}

/* A native client's id may have dashes; old SDKs put one behind another. */
Test(exchange, looks_for_a_whole_id_before_one_with_a_suffix)
{
    static const char *const ids[] = {FAKE_ID, FAKE_ID "-6532622b"};

    want_credential(CREDENTIAL_KEY);
    fake.row.path = "/sandboxes/{sandbox}/links";
    for (size_t i = 0; i < COUNT(ids); i++) {
        char text[300];

        snprintf(text, sizeof(text),
                 "GET " API " /sandboxes/%s/links\nX-API-Key: " FAKE_KEY,
                 ids[i]);
        fake.done_at_once = false;
        fake_request(text, 0);
        cr_expect_eq(
            LIST_OF(fake.worker.open.next, struct exchange, link)->record,
            fake.sandbox, "%s", ids[i]);
        fake_done();
        fake_turn();
    }
}

Test(exchange, takes_a_harmless_request_id_only)
{
    want_credential(CREDENTIAL_KEY);
    fake.done_at_once = false;
    fake_request(
        "GET " API " /x\nX-API-Key: " FAKE_KEY "\nX-Request-Id: abc-DEF-1", 0);
    cr_expect_str_eq(LIST_OF(fake.worker.open.next, struct exchange, link)->id,
                     "abc-DEF-1");
    fake_done();
    fake_turn();
    fake_request("GET " API " /x\nX-API-Key: " FAKE_KEY "\nX-Request-Id: a\"b",
                 0);
    cr_expect_eq(
        strlen(LIST_OF(fake.worker.open.next, struct exchange, link)->id), 16);
}

Test(exchange, lets_the_client_go_at_any_time)
{
    want_credential(CREDENTIAL_NONE);
    fake.sandbox_found = UNKNOWN;
    fake_request("GET " ENVD " /health", 0);
    fake_gone();
    cr_expect_str_eq(fake_said(), "free; ");
    fake_turn();

    fake.sandbox_found = FOUND;
    fake.done_at_once = false;
    fake_request("GET " ENVD " /health", 0);
    fake_said();
    fake_gone();
    cr_expect_str_eq(fake_said(), "free; ");
    cr_expect_eq(fake.worker.metrics.gone, 2);
}

Test(exchange, ends_connections_when_the_worker_leaves)
{
    want_credential(CREDENTIAL_NONE);
    fake.worker.leaving = true;
    fake_request("GET " ENVD " /health", 0);
    cr_expect_str_eq(fake_said(), "BEGIN; close after; all 200 "
                                  "Access-Control-Allow-Origin=* hi; op end; "
                                  "free; ");
}

Test(exchange, tells_a_full_sandbox)
{
    want_credential(CREDENTIAL_NONE);
    fake.board_err = E_CROWDED;
    fake_request("GET " ENVD " /health", 0);
    cr_expect_str_eq(fake_said(),
                     "all 429 {\"sandboxId\":\"" FAKE_ID
                     "\",\"message\":\"Too many connections to this sandbox at "
                     "a time\",\"code\":429,\"connectionLimit\":1000}; "
                     "free; ");
}

/* threats.md E-07 */
Test(exchange, begins_nothing_while_memory_is_short)
{
    static const struct row rows[] = {
        {"api", "GET " API " /sandboxes\nX-API-Key: " FAKE_KEY,
         "close after; all 503 {\"code\":503,\"message\":\"The gateway is "
         "short of memory\"}; free; ",
         FOUND, FOUND},
        {"envd", "GET " ENVD " /health",
         "close after; all 503 {\"sandboxId\":\"" FAKE_ID
         "\",\"message\":\"The gateway is short of memory\",\"code\":503}; "
         "free; ",
         FOUND, FOUND},
        {"app", "GET 3000-" FAKE_ID ".sandgate.localhost /",
         "close after; all 503 {\"sandboxId\":\"" FAKE_ID
         "\",\"message\":\"The gateway is short of memory\",\"code\":503}; "
         "free; ",
         FOUND, FOUND},
    };

    want_credential(CREDENTIAL_KEY);
    fake.worker.tight = true;
    run_rows(rows, COUNT(rows));
    cr_expect_eq(fake.worker.metrics.limited[2], 3);
    fake.worker.tight = false;
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), HI);
}

/* Every allocation refused in turn: an answer or a 503, never a crash, and
 * the next request is served. */
Test(exchange, survives_without_memory)
{
    want_credential(CREDENTIAL_KEY);
    for (long n = 0; n < 12; n++) {
        course_drop_spare(&fake.worker);
        mem_refuse(n);
        fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
        mem_refuse(-1);
        cr_expect(strstr(fake_said(), "all "), "allocation %ld", n);
        fake_turn();
    }
    course_drop_spare(&fake.worker);
    fake.show_fields = true;
    mem_refuse(0);
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    mem_refuse(-1);
    cr_expect_str_eq(fake_said(),
                     "close after; all 503 Content-Type=application/json "
                     "Should-Retry=true Retry-After=1 {\"code\":503,"
                     "\"message\":\"The gateway has no memory left\"}; "
                     "free; ");
    fake_turn();
    fake_request("GET " API " /sandboxes\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), HI);
}
