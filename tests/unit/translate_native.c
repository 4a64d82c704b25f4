/* The native door: what its operations want and say. */
#include "tests/unit/translate_stage.h"

#include "translate/native.h"

#define RPC "/sandbox.v1.Sandbox/"

static struct stage s;

/* ---- bodies ---- */

static const struct {
    const char *body, *wrong;
    const char *id, *sandbox;
    int64_t timeout_s;
    const char *asks;
} bodies[] = {
    {"{\"id\":\"a\",\"sandbox\":\"b\",\"timeout_seconds\":5}", NULL, "a", "b",
     5, NULL},
    {"{}", NULL, "", "", 0, NULL},
    {"null", NULL, "", "", 0, NULL},
    {"{\"SandBox\":\"b\"}", NULL, "", "b", 0, NULL},
    /* The last one counts, whatever its case. */
    {"{\"sandbox\":\"a\",\"sandbox\":\"b\"}", NULL, "", "b", 0, NULL},
    {"{\"sandbox\":\"a\",\"SANDBOX\":\"b\"}", NULL, "", "b", 0, NULL},
    {"{\"sandbox\":\"a\",\"sandbox\":null}", NULL, "", "", 0, NULL},
    {"{\"sandbox\":\"b\"} {\"sandbox\":\"c\"}", NULL, "", "b", 0, NULL},
    {"{\"sandbox\":\"b\"}garbage", NULL, "", "b", 0, NULL},
    {"{\"unknown\":[1,{\"sandbox\":\"c\"}],\"sandbox\":\"b\"}", NULL, "", "b",
     0, NULL},
    {"", "invalid json", "", "", 0, NULL},
    {"{", "invalid json", "", "", 0, NULL},
    {"[1]", "the body must be an object", "", "", 0, NULL},
    {"7", "the body must be an object", "", "", 0, NULL},
    {"{\"sandbox\":7}", "sandbox must be a string", "", "", 0, NULL},
    {"{\"timeout_seconds\":1.5}", "timeout_seconds must be a whole number", "",
     "", 0, NULL},
    {"{\"timeout_seconds\":\"5\"}", "timeout_seconds must be a whole number",
     "", "", 0, NULL},
    {"{\"pause_source\":1}", "pause_source must be true or false", "", "", 0,
     NULL},
    {"{\"network\":{\"egress\":\"allow\"}}", NULL, "", "", 0, "network"},
    {"{\"Workload\":{\"command\":[\"x\"]}}", NULL, "", "", 0, "workload"},
    {"{\"resources\":{},\"network\":null}", NULL, "", "", 0, NULL},
};

static void expect_text(struct str have, const char *want, const char *body)
{
    cr_expect(str_eq(have.p ? have : STR(""), str_of(want)), "%s: %.*s", body,
              STR_FMT(have));
}

Test(native, reads_bodies_as_the_server_does)
{
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        struct native_body b;
        struct arena *a;
        const char *wrong;

        cr_assert_eq(arena_new(1 << 16, &a), E_OK);
        wrong = native_read(str_of(bodies[i].body), a, &b);
        cr_expect_str_eq(wrong ? wrong : "",
                         bodies[i].wrong ? bodies[i].wrong : "", "%s",
                         bodies[i].body);
        if (!wrong) {
            expect_text(b.id, bodies[i].id, bodies[i].body);
            expect_text(b.sandbox, bodies[i].sandbox, bodies[i].body);
            cr_expect_eq(b.timeout_s, bodies[i].timeout_s);
            cr_expect_str_eq(b.asks ? b.asks : "",
                             bodies[i].asks ? bodies[i].asks : "");
        }
        arena_free(&a);
    }
}

/* ---- REST, up to what is wanted first ---- */

#define BAD_ID \
    "fail BAD_FIELD: invalid id: must be 1-64 characters of [a-zA-Z0-9_-], " \
    "starting with a letter or digit"
#define FORTY "0123456789012345678901234567890123456789"

static const struct {
    enum method method;
    const char *target, *body, *line;
} rests[] = {
    {METHOD_GET, "/v1/sandboxes", NULL, "records"},
    {METHOD_HEAD, "/v1/sandboxes", NULL, "records"},
    {METHOD_GET, "/v1/health", NULL, "records"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"Sandbox_1-a\"}",
     "job create tplbase as base 86400 s secure  "},
    {METHOD_POST, "/v1/fork", "{\"template\":\"tplbase\",\"id\":\"a\"}",
     "job create tplbase as tplbase 86400 s secure  "},
    {METHOD_POST, "/v1/fork", "{\"template\":\"nope\",\"id\":\"a\"}",
     "fail TEMPLATE_UNKNOWN: template \"nope\" not found"},
    {METHOD_POST, "/v1/fork", "{\"id\":\"a\"}",
     "fail TEMPLATE_UNKNOWN: template \"\" not found"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\"}",
     "fail BAD_FIELD: id is required"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"a.b\"}", BAD_ID},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"a/b\"}", BAD_ID},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"-a\"}", BAD_ID},
    {METHOD_POST, "/v1/fork",
     "{\"template\":\"base\",\"id\":\"" FORTY "012345678901234567890123\"}",
     "job create tplbase as base 86400 s secure  "},
    {METHOD_POST, "/v1/fork",
     "{\"template\":\"base\",\"id\":\"" FORTY "0123456789012345678901234\"}",
     BAD_ID},
    {METHOD_POST, "/v1/fork", "x", "fail BAD_FIELD: invalid json"},
    {METHOD_DELETE, "/v1/sandboxes/a-b", NULL, "job kill a-b 0"},
    {METHOD_POST, "/v1/set_timeout",
     "{\"sandbox\":\"a-b\",\"timeout_seconds\":1}", "job timeout a-b 1"},
    {METHOD_POST, "/v1/set_timeout",
     "{\"sandbox\":\"a-b\",\"timeout_seconds\":86400}",
     "job timeout a-b 86400"},
    {METHOD_POST, "/v1/set_timeout", "{\"timeout_seconds\":60}",
     "job timeout  60"},
    {METHOD_POST, "/v1/set_timeout", "{\"sandbox\":\"a\"}",
     "fail BAD_FIELD: timeout_seconds must be a positive number of seconds"},
    {METHOD_POST, "/v1/set_timeout",
     "{\"sandbox\":\"a\",\"timeout_seconds\":-1}",
     "fail BAD_FIELD: timeout_seconds must be a positive number of seconds"},
    {METHOD_POST, "/v1/set_timeout",
     "{\"sandbox\":\"a\",\"timeout_seconds\":86401}",
     "say 400 {\"error\":{\"code\":\"timeout_too_large\",\"message\":\"The "
     "timeout is above the ceiling\",\"cause\":\"86401 s were asked for, 86400 "
     "s are the most\",\"remediation\":\"Ask for at most max_timeout_s.\","
     "\"context\":{\"max_timeout_s\":86400,\"requested_s\":86401,\"sandbox\":"
     "\"a\"}}}\n"},
    {METHOD_POST, "/v1/pause", "{\"sandbox\":\"a\"}", "record a"},
    {METHOD_POST, "/v1/resume", "{}", "record "},
    {METHOD_POST, "/v1/pause", "", "fail BAD_FIELD: invalid json"},
    {METHOD_POST, "/v1/templates", "{\"id\":\"base\"}",
     "say 200 {\"id\":\"base\",\"ready\":true,\"created_at\":"
     "\"1970-01-01T00:00:00.000Z\",\"creation_time_ms\":0,\"network\":{"
     "\"egress\":\"deny\",\"inbound\":\"deny\"}}\n"},
    {METHOD_POST, "/v1/templates",
     "{\"id\":\"base\",\"network\":{\"egress\":\"allow\"}}",
     "fail NOT_KEPT: network: the configuration says what template \"base\" "
     "has"},
    {METHOD_POST, "/v1/templates", "{\"id\":\"mine\"}",
     "fail FORBIDDEN: template \"mine\" is not one of this gateway's "
     "configuration"},
    {METHOD_POST, "/v1/templates", "{}", "fail BAD_FIELD: id is required"},
    {METHOD_GET, "/v1/templates", NULL,
     "say 200 [{\"id\":\"base\",\"ready\":true,\"created_at\":"
     "\"1970-01-01T00:00:00.000Z\",\"creation_time_ms\":0,\"network\":{"
     "\"egress\":\"deny\",\"inbound\":\"deny\"}},{\"id\":"
     "\"code-interpreter-v1\",\"ready\":true,\"created_at\":"
     "\"1970-01-01T00:00:00.000Z\",\"creation_time_ms\":0,\"network\":{"
     "\"egress\":\"allow\",\"inbound\":\"deny\"}}]\n"},
    {METHOD_POST, "/v1/sandboxes/a/forward", "{\"guest_port\":80}",
     "fail UNIMPLEMENTED: forward opens a port on the sandbox server's "
     "loopback; use /v1/sandboxes/<id>/expose/<port>"},
    {METHOD_POST, "/v1/preview", "{\"sandbox\":\"a\",\"port\":80}",
     "say 501 {\"error\":{\"code\":\"internal\",\"message\":\"Preview URLs are "
     "not enabled\",\"cause\":\"preview URLs are not enabled on this server: "
     "preview.domain is not configured\",\"remediation\":\"Ask whoever runs "
     "this gateway.\"}}\n"},
    {METHOD_POST, RPC "Fork", "{}",
     "fail UNIMPLEMENTED: the sandbox server does not implement this"},
    {METHOD_POST, RPC "Exec", "",
     "fail UNIMPLEMENTED: this stream needs both ways at once: use "
     "ExecStream, RunCodeStream, or the WebSocket of Exec"},
};

Test(native, rest_calls_want_what_they_say)
{
    for (size_t i = 0; i < sizeof(rests) / sizeof(*rests); i++) {
        stage_open(&s, CLASS_NATIVE, rests[i].method, rests[i].target, NULL);
        cr_assert_eq(s.found, E_OK, "%s", rests[i].target);
        stage_send(&s, rests[i].body);
        cr_expect_str_eq(stage_line(&s), rests[i].line, "%s %s",
                         rests[i].target, rests[i].body ? rests[i].body : "");
        stage_close(&s);
    }
}

/* ---- results ---- */

static const struct {
    enum method method;
    const char *target, *body;
    enum err err;
    const char *line;
} results[] = {
    {METHOD_DELETE, "/v1/sandboxes/i0", NULL, E_OK,
     "say 200 {\"id\":\"i0\",\"status\":\"terminated\"}\n"},
    {METHOD_DELETE, "/v1/sandboxes/nosuch", NULL, E_SANDBOX_GONE,
     "fail SANDBOX_GONE: sandbox \"nosuch\" not found"},
    {METHOD_DELETE, "/v1/sandboxes/i0", NULL, E_STORE, "fail STORE"},
    {METHOD_POST, "/v1/set_timeout",
     "{\"sandbox\":\"i0\",\"timeout_seconds\":9}", E_OK,
     "say 200 {\"deadline_unix\":1789985100,\"status\":\"ok\","
     "\"timeout_seconds\":9}\n"},
    {METHOD_POST, "/v1/set_timeout",
     "{\"sandbox\":\"no\",\"timeout_seconds\":9}", E_SANDBOX_GONE,
     "say 200 "
     "{\"deadline_unix\":1800000009,\"status\":\"ok\",\"timeout_seconds\":9}"
     "\n"},
    {METHOD_POST, "/v1/pause", "{\"sandbox\":\"no\"}", E_OK,
     "say 200 {\"status\":\"paused\"}\n"},
    {METHOD_POST, "/v1/resume", "{\"sandbox\":\"no\"}", E_OK,
     "say 200 {\"status\":\"running\"}\n"},
    {METHOD_POST, "/v1/pause", "{\"sandbox\":\"no\"}", E_STORE, "fail STORE"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"a\"}",
     E_ALREADY_EXISTS, "fail ALREADY_EXISTS: id \"a\" is in use"},
    {METHOD_POST, "/v1/sandboxes/src/fork", "{\"id\":\"a\"}", E_SANDBOX_GONE,
     "fail SANDBOX_GONE: sandbox \"src\" not found"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"a\"}",
     E_BACKEND_DOWN, "fail BACKEND_DOWN"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"a\"}",
     E_TEAM_FULL,
     "fail TEAM_FULL: The team has as many sandboxes as it may have at a "
     "time: 0"},
    {METHOD_POST, "/v1/fork", "{\"template\":\"base\",\"id\":\"a\"}", E_OK,
     "say 200 {\"id\":\"i0\",\"template_id\":\"base\",\"endpoint\":"
     "\"http://api.x:1\",\"created_at\":\"2026-09-21T10:00:00.000Z\","
     "\"fork_time_ms\":0,\"network\":{\"egress\":\"deny\",\"inbound\":"
     "\"deny\"}}\n"},
};

Test(native, results_are_told_as_the_server_tells_them)
{
    static const char *const headers[] = {"Host", "api.x:1", NULL};

    for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
        stage_open(&s, CLASS_NATIVE, results[i].method, results[i].target,
                   headers);
        stage_send(&s, results[i].body);
        stage_result(&s, results[i].err);
        cr_expect_str_eq(stage_line(&s), results[i].line, "%s",
                         results[i].target);
        stage_close(&s);
    }
}

Test(native, lists_what_runs_as_a_bare_array)
{
    struct sandbox ending;
    const struct sandbox *rows[] = {&s.sandbox, &ending};

    stage_open(&s, CLASS_NATIVE, METHOD_GET, "/v1/sandboxes", NULL);
    ending = s.sandbox;
    ending.state = SANDBOX_ENDING;
    s.result.list = rows;
    s.result.count = 2;
    stage_send(&s, NULL);
    stage_result(&s, E_OK);
    cr_expect_str_eq(
        stage_line(&s),
        "say 200 [{\"id\":\"i0\",\"template_id\":\"base\",\"endpoint\":"
        "\"http://\",\"created_at\":\"2026-09-21T10:00:00.000Z\","
        "\"fork_time_ms\":0,\"network\":{\"egress\":\"deny\",\"inbound\":"
        "\"deny\"}}]\n");
    stage_close(&s);
    stage_open(&s, CLASS_NATIVE, METHOD_GET, "/v1/health", NULL);
    s.result.list = rows;
    s.result.count = 2;
    stage_send(&s, NULL);
    stage_result(&s, E_OK);
    cr_expect_str_eq(stage_line(&s),
                     "say 200 {\"mock\":false,\"sandboxes\":1,\"status\":"
                     "\"ok\",\"templates\":2}\n");
    stage_close(&s);
}

Test(native, is_in_no_list_of_e2b)
{
    const struct sandbox *rows[] = {&s.sandbox};

    stage_open(&s, CLASS_API, METHOD_GET, "/sandboxes", NULL);
    s.sandbox.native = true;
    s.result.list = rows;
    s.result.count = 1;
    stage_send(&s, NULL);
    stage_result(&s, E_OK);
    cr_expect_str_eq(stage_line(&s), "say 200 []");
    stage_close(&s);
}

Test(native, takes_keys_as_the_server_does)
{
    static const char *const none[] = {"Idempotency-Key", "", NULL};
    static const char *const some[] = {"Idempotency-Key", "A b!", NULL};
    static const char *const bad[] = {"Idempotency-Key", "a\xe9", NULL};
    static const char body[] = "{\"template\":\"base\",\"id\":\"a\"}";

    stage_open(&s, CLASS_NATIVE, METHOD_POST, "/v1/fork", none);
    stage_send(&s, body);
    cr_expect_eq(s.want.kind, WANT_JOB);
    cr_expect_null(s.want.job.idempotency_key.p);
    stage_close(&s);
    stage_open(&s, CLASS_NATIVE, METHOD_POST, "/v1/fork", some);
    stage_send(&s, body);
    cr_expect(str_eq(s.want.job.idempotency_key, STR("A b!")));
    cr_expect(s.want.job.native);
    stage_close(&s);
    stage_open(&s, CLASS_NATIVE, METHOD_POST, "/v1/fork", bad);
    stage_send(&s, body);
    cr_expect_eq(s.want.kind, WANT_FAIL);
    stage_close(&s);
}

Test(native, pause_is_passed_on_with_the_records_id)
{
    stage_open(&s, CLASS_NATIVE, METHOD_POST, "/v1/pause", NULL);
    stage_send(&s, "{\"sandbox\":\"i0\",\"x\":1} junk");
    s.op.in.sandbox = &s.sandbox;
    stage_result(&s, E_OK);
    cr_assert_eq(s.want.kind, WANT_CALL);
    cr_expect(str_eq(s.want.call.path, STR("/v1/pause")));
    cr_expect(str_eq(s.want.call.body, STR("{\"sandbox\":\"i0\"}")));
    stage_tell(&s, OP_ANSWER, "{}");
    cr_expect_str_eq(stage_line(&s), "say 200 {\"status\":\"paused\"}\n");
    stage_close(&s);
}

Test(native, a_preview_is_a_link)
{
    struct link link = {.expires_s = 1900003600};
    struct {
        const char *body;
        bool secret, mitos, opaque;
    } rows[] = {
        {"{\"sandbox\":\"sandbox-1\",\"port\":3000}", false, false, false},
        {"{\"sandbox\":\"sandbox-1\",\"port\":3000}", true, true, false},
        {"{\"sandbox\":\"Sandbox_1\",\"port\":3000}", true, false, true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        stage_open(&s, CLASS_NATIVE, METHOD_POST, "/v1/preview", NULL);
        s.conf.preview.domain = STR("preview.x");
        s.conf.preview.ttl_default_s = 3600;
        s.conf.preview.mitos_secret_bytes = rows[i].secret ? 16 : 0;
        stage_send(&s, rows[i].body);
        cr_assert_eq(s.want.kind, WANT_JOB);
        cr_expect_eq(s.want.job.kind, JOB_LINK_CREATE);
        cr_expect_eq(s.want.job.timeout_s, 3600);
        cr_expect_eq(s.want.job.link->port, 3000);
        cr_expect_eq(s.want.job.mitos, rows[i].mitos);
        cr_expect_eq(s.want.job.link->opaque, rows[i].opaque);
        s.result.links = &link;
        s.result.count = 1;
        s.result.link_url = STR("https://x/?token=t");
        stage_result(&s, i ? E_OK : E_SANDBOX_GONE);
        cr_expect_str_eq(stage_line(&s),
                         i ? "say 200 {\"expires_unix\":1900003600,\"url\":"
                             "\"https://x/?token=t\"}\n"
                           : "fail SANDBOX_GONE: sandbox \"sandbox-1\" not "
                             "found");
        stage_close(&s);
    }
}
