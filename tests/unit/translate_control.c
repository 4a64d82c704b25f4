#include "tests/unit/translate_stage.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"

#define V1 "/sandboxes"
#define V2 "/v2/sandboxes"
#define HUNDREDS \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *target, *body, *line;
} create_rows[] = {
    /* What is accepted. */
    {V2, "{\"templateID\":\"base\"}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2, "{\"templateID\":\"tplbase\"}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2, "{\"templateID\":\"BASE\"}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2, "{\"templateID\":\"base:default\"}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2, "{\"templateID\":\"team/code:v1\"}",
     "job create tplcode as team/code:v1 300 s secure {} {}"},
    {V1, "{\"templateID\":\"base\"}", "job create tplbase as base 300 s {} {}"},
    {V1, "{\"templateID\":\"base\",\"secure\":true}",
     "job create tplbase as base 300 s secure {} {}"},
    {V1, "{\"templateID\":\"base\",\"secure\":null}",
     "job create tplbase as base 300 s {} {}"},
    {V2, "{\"templateID\":\"base\",\"secure\":false}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2,
     "{\"templateID\":\"base\",\"timeout\":86400,\"metadata\":{\"a b\":\"c&d\""
     ",\"n\":null},\"envVars\":{\"A\":\"1\",\"A.b-c\":\"\"}}",
     "job create tplbase as base 86400 s secure {\"a b\":\"c&d\"} "
     "{\"A\":\"1\",\"A.b-c\":\"\"}"},
    {V2,
     "{\"templateID\":\"base\",\"timeout\":null,\"autoPause\":false,"
     "\"autoPauseMemory\":true,\"autoResume\":{\"enabled\":false},"
     "\"allow_internet_access\":true,\"mcp\":{\"x\":{}},\"iam\":null,"
     "\"volumeMounts\":[],\"network\":{},\"newField\":[1]}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":true,"
     "\"allowOut\":null,\"denyOut\":[],\"rules\":{}},"
     "\"iam\":{\"tokens\":{}}}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2, "{\"templateID\":\"base\",\"allow_internet_access\":false}",
     "job create tplbase as base 300 s secure {} {}"},
    /* The form of the body. */
    {V2, "", "fail BAD_JSON: a JSON object is required as the body"},
    {V2, "[]", "fail BAD_JSON: the body must be a JSON object"},
    {V2, "null", "fail BAD_JSON"},
    {V2, "{\"templateID\":\"base\"", "fail BAD_JSON"},
    {V2, "{\"templateID\":\"base\"} x", "fail BAD_JSON"},
    {V2, "{\"templateID\":\"base\",\"templateID\":\"base\"}", "fail BAD_JSON"},
    {V2, "\xef\xbb\xbf{\"templateID\":\"base\"}", "fail BAD_JSON"},
    {V2, "{\"templateID\":\"base\",\"timeout\":1e400}", "fail BAD_JSON"},
    {V2, "{\"templateID\":\"base\",\"timeout\":9223372036854775808}",
     "fail BAD_JSON"},
    /* The template. */
    {V2, "{}", "fail BAD_FIELD: validation error: templateID: is required"},
    {V2, "{\"templateID\":null}",
     "fail BAD_FIELD: validation error: templateID: is required"},
    {V2, "{\"templateID\":7}",
     "fail BAD_FIELD: validation error: templateID: must be a string"},
    {V2, "{\"templateID\":\"\"}",
     "fail BAD_FIELD: validation error: templateID: is not a template's name"},
    {V2, "{\"templateID\":\"a/b/c\"}",
     "fail BAD_FIELD: validation error: templateID: is not a template's name"},
    {V2, "{\"templateID\":\"a:b:c\"}",
     "fail BAD_FIELD: validation error: templateID: is not a template's name"},
    {V2, "{\"templateID\":\"ba se\"}",
     "fail BAD_FIELD: validation error: templateID: is not a template's name"},
    {V2, "{\"templateID\":\"../x\"}",
     "fail BAD_FIELD: validation error: templateID: is not a template's name"},
    {V2, "{\"templateID\":\"nope\"}",
     "fail TEMPLATE_UNKNOWN: template 'nope' not found"},
    /* The timeout. */
    {V2, "{\"templateID\":\"base\",\"timeout\":0}",
     "fail BAD_FIELD: validation error: timeout: must be greater than 0"},
    {V2, "{\"templateID\":\"base\",\"timeout\":-1}",
     "fail BAD_FIELD: validation error: timeout: must be greater than 0"},
    {V2, "{\"templateID\":\"base\",\"timeout\":86401}",
     "fail BAD_FIELD: Timeout cannot be greater than 24 hours"},
    {V2, "{\"templateID\":\"base\",\"timeout\":\"5\"}",
     "fail BAD_FIELD: validation error: timeout: must be a whole number of "
     "seconds"},
    {V2, "{\"templateID\":\"base\",\"timeout\":true}",
     "fail BAD_FIELD: validation error: timeout: must be a whole number of "
     "seconds"},
    {V2, "{\"templateID\":\"base\",\"timeout\":1.5}",
     "fail BAD_FIELD: validation error: timeout: must be a whole number of "
     "seconds"},
    /* Maps. */
    {V2, "{\"templateID\":\"base\",\"metadata\":{\"a\":1}}",
     "fail BAD_FIELD: validation error: metadata: values must be strings"},
    {V2, "{\"templateID\":\"base\",\"metadata\":[]}",
     "fail BAD_FIELD: validation error: metadata: must be an object of "
     "strings"},
    {V2, "{\"templateID\":\"base\",\"envVars\":{\"A\":true}}",
     "fail BAD_FIELD: validation error: envVars: values must be strings"},
    {V2, "{\"templateID\":\"base\",\"envVars\":{\"\":\"1\"}}",
     "fail BAD_FIELD: validation error: envVars: a name is empty or has '=' "
     "or a control character"},
    {V2, "{\"templateID\":\"base\",\"envVars\":{\"A=B\":\"1\"}}",
     "fail BAD_FIELD: validation error: envVars: a name is empty or has '=' "
     "or a control character"},
    /* Promises that are not kept. */
    {V2, "{\"templateID\":\"base\",\"autoPause\":true}",
     "fail NOT_KEPT: autoPause: what this asks for is not supported by this "
     "server"},
    {V2, "{\"templateID\":\"base\",\"autoPause\":\"no\"}",
     "fail BAD_FIELD: validation error: autoPause: must be true or false"},
    {V2, "{\"templateID\":\"base\",\"autoPauseMemory\":false}",
     "fail NOT_KEPT: autoPauseMemory: what this asks for is not supported by "
     "this server"},
    {V2, "{\"templateID\":\"base\",\"autoResume\":{\"enabled\":true}}",
     "fail NOT_KEPT: autoResume.enabled: what this asks for is not supported "
     "by this server"},
    {V2, "{\"templateID\":\"base\",\"autoResume\":{}}",
     "fail BAD_FIELD: validation error: autoResume.enabled: must be true or "
     "false"},
    {V2, "{\"templateID\":\"base\",\"autoResume\":true}",
     "fail BAD_FIELD: validation error: autoResume: must be an object"},
    {V2,
     "{\"templateID\":\"code-interpreter-v1\",\"allow_internet_access\":"
     "false}",
     "fail NOT_KEPT: allow_internet_access: what this asks for is not "
     "supported by this server"},
    {V2, "{\"templateID\":\"base\",\"allow_internet_access\":0}",
     "fail BAD_FIELD: validation error: allow_internet_access: must be true "
     "or false"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":false}}",
     "job create tplbase as base 300 s secure {} {} private"},
    {V1,
     "{\"templateID\":\"base\",\"secure\":true,\"network\":"
     "{\"allowPublicTraffic\":false}}",
     "job create tplbase as base 300 s secure {} {} private"},
    {V1, "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":false}}",
     "fail BAD_FIELD: validation error: network.allowPublicTraffic: must not "
     "be false unless secure is true"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":0}}",
     "fail BAD_FIELD: validation error: network.allowPublicTraffic: must be "
     "true or false"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"allowPublicTraffic\":null,"
     "\"maskRequestHost\":null,\"httpsPorts\":null}}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"maskRequestHost\":"
     "\"localhost:${PORT}\"}}",
     "job create tplbase as base 300 s secure {} {} mask localhost:${PORT}"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"httpsPorts\":"
     "[8443,443,8443]}}",
     "job create tplbase as base 300 s secure {} {} https 443,8443"},
    /* Over the back end's HTTP proxy. */
    {V2,
     "{\"templateID\":\"code-interpreter-v1\",\"network\":{\"httpsPorts\":"
     "[443]}}",
     "fail NOT_KEPT: network.httpsPorts: what this asks for is not supported "
     "by this server"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"maskRequestHost\":\"\","
     "\"httpsPorts\":[]}}",
     "job create tplbase as base 300 s secure {} {}"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"maskRequestHost\":"
     "\"a\\r\\nb\"}}",
     "fail BAD_FIELD: validation error: network.maskRequestHost: must be a "
     "host name, with a port or ${PORT} if wanted"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"maskRequestHost\":7}}",
     "fail BAD_FIELD: validation error: network.maskRequestHost: must be a "
     "host name, with a port or ${PORT} if wanted"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"httpsPorts\":[49983]}}",
     "fail BAD_FIELD: validation error: network.httpsPorts: must be a list of "
     "at most 32 ports, 49983 not among them"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"httpsPorts\":[0]}}",
     "fail BAD_FIELD: validation error: network.httpsPorts: must be a list of "
     "at most 32 ports, 49983 not among them"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"httpsPorts\":\"443\"}}",
     "fail BAD_FIELD: validation error: network.httpsPorts: must be a list of "
     "at most 32 ports, 49983 not among them"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"denyOut\":[\"0.0.0.0/0\"]}}",
     "fail NOT_KEPT: network.denyOut: what this asks for is not supported by "
     "this server"},
    {V2, "{\"templateID\":\"base\",\"network\":{\"dnsServers\":[]}}",
     "fail NOT_KEPT: network.dnsServers: what this asks for is not supported "
     "by this server"},
    {V2,
     "{\"templateID\":\"base\",\"network\":{\"egressProxy\":{\"address\":"
     "\"p:1\"}}}",
     "fail NOT_KEPT: network.egressProxy: what this asks for is not supported "
     "by this server"},
    {V2, "{\"templateID\":\"base\",\"network\":[]}",
     "fail BAD_FIELD: validation error: network: must be an object"},
    {V2, "{\"templateID\":\"base\",\"iam\":{\"tokens\":{\"t\":{}}}}",
     "fail NOT_KEPT: iam: what this asks for is not supported by this server"},
    {V2, "{\"templateID\":\"base\",\"iam\":[]}",
     "fail BAD_FIELD: validation error: iam: must be an object"},
    {V2, "{\"templateID\":\"base\",\"volumeMounts\":[{}]}",
     "fail NOT_KEPT: volumeMounts: what this asks for is not supported by "
     "this server"},
    {V2, "{\"templateID\":\"base\",\"volumeMounts\":{}}",
     "fail BAD_FIELD: validation error: volumeMounts: must be an array"},
    {V2, "{\"templateID\":\"base\",\"mcp\":1}",
     "fail BAD_FIELD: validation error: mcp: must be an object"},
    {V1, "{\"templateID\":\"base\",\"secure\":1}",
     "fail BAD_FIELD: validation error: secure: must be true or false"},
};

Test(create, reads_every_field_and_names_the_wrong_one)
{
    for (size_t i = 0; i < sizeof(create_rows) / sizeof(create_rows[0]); i++) {
        struct stage s;

        stage_open(&s, CLASS_API, METHOD_POST, create_rows[i].target, NULL);
        stage_send(&s, create_rows[i].body);
        cr_expect_str_eq(stage_line(&s), create_rows[i].line, "%s: %s",
                         create_rows[i].body, stage_line(&s));
        stage_close(&s);
    }
}

static const struct {
    const char *name, *value, *line;
} head_rows[] = {
    {"Content-Type", "application/json", "body"},
    {"content-type", "Application/JSON; Charset=UTF-8", "body"},
    {"Content-Type", "application/json;charset=\"utf-8\"", "body"},
    {"Content-Type", "application/json; charset=latin1",
     "fail MEDIA_TYPE: Content-Type must be application/json in utf-8"},
    {"Content-Type", "text/plain",
     "fail MEDIA_TYPE: Content-Type must be application/json in utf-8"},
    {"Content-Type", "",
     "fail MEDIA_TYPE: Content-Type must be application/json in utf-8"},
    {"Content-Encoding", "identity", "body"},
    {"Content-Encoding", "gzip",
     "fail MEDIA_TYPE: Content-Encoding must be absent or identity"},
    {"Idempotency-Key", "a-0", "body"},
    {"Idempotency-Key", HUNDREDS, "body"},
    {"Idempotency-Key", HUNDREDS "a",
     "fail BAD_FIELD: validation error: Idempotency-Key: must be 1 to 255 "
     "characters of a-z, 0-9 and -"},
    {"Idempotency-Key", "",
     "fail BAD_FIELD: validation error: Idempotency-Key: must be 1 to 255 "
     "characters of a-z, 0-9 and -"},
    {"Idempotency-Key", "A",
     "fail BAD_FIELD: validation error: Idempotency-Key: must be 1 to 255 "
     "characters of a-z, 0-9 and -"},
};

Test(create, looks_at_the_head_before_it_takes_the_body)
{
    for (size_t i = 0; i < sizeof(head_rows) / sizeof(head_rows[0]); i++) {
        const char *headers[] = {head_rows[i].name, head_rows[i].value, NULL};
        struct stage s;

        stage_open(&s, CLASS_API, METHOD_POST, V2, headers);
        s.head.length = LENGTH_CHUNKED;
        stage_tell(&s, OP_BEGIN, NULL);
        cr_expect_str_eq(stage_line(&s), head_rows[i].line, "%s: %s: %s",
                         head_rows[i].name, head_rows[i].value, stage_line(&s));
        stage_close(&s);
    }
}

Test(create, refuses_a_body_over_the_configured_limit)
{
    struct stage s;

    stage_open(&s, CLASS_API, METHOD_POST, V2, NULL);
    s.conf.api_body_max_bytes = 20;
    stage_send(&s, "{\"templateID\":\"base\"}");
    cr_expect_str_eq(stage_line(&s), "fail TOO_BIG");
    stage_close(&s);
}

Test(create, answers_with_the_sandbox_and_its_token)
{
    struct stage s;

    stage_open(&s, CLASS_API, METHOD_POST, V2, NULL);
    stage_send(&s, "{\"templateID\":\"base\"}");
    stage_result(&s, E_OK);
    cr_expect_str_eq(
        stage_line(&s),
        "say 201 {\"sandboxID\":\"i0\",\"templateID\":\"tplbase\",\"alias\":"
        "\"base\",\"clientID\":\"6532622b\",\"envdVersion\":\"0.5.7\","
        "\"envdAccessToken\":\"9f\",\"trafficAccessToken\":null,\"domain\":"
        "null}");
    cr_expect(str_eq(fields_get(&s.want.say.head->fields, STR("Content-Type")),
                     STR("application/json")));
    stage_tell(&s, OP_ROOM, NULL);
    cr_expect_str_eq(stage_line(&s), "done");
    stage_close(&s);
}

static const struct {
    enum err err;
    const char *line;
} job_rows[] = {
    {E_BACKEND_DOWN, "fail BACKEND_DOWN"},
    {E_BACKEND_BUSY, "fail BACKEND_BUSY"},
    {E_STORE, "fail STORE"},
    {E_UPSTREAM_DEADLINE, "fail UPSTREAM_DEADLINE"},
    {E_IDEMPOTENCY_MISMATCH, "fail IDEMPOTENCY_MISMATCH"},
    {E_TEAM_FULL, "fail TEAM_FULL: The team has as many sandboxes as it may "
                  "have at a time: 20"},
    {E_TEAM_FAST, "fail TEAM_FAST: The team has made as many sandboxes as it "
                  "may in a minute: 5"},
};

Test(create, tells_what_became_of_its_job)
{
    for (size_t i = 0; i < sizeof(job_rows) / sizeof(job_rows[0]); i++) {
        struct stage s;

        stage_open(&s, CLASS_API, METHOD_POST, V2, NULL);
        s.conf.team_sandboxes = 20;
        s.conf.team_creates = 5;
        s.result.retry_s = 17;
        stage_send(&s, "{\"templateID\":\"base\"}");
        stage_result(&s, job_rows[i].err);
        cr_expect_str_eq(stage_line(&s), job_rows[i].line, "%s",
                         stage_line(&s));
        cr_expect_eq(s.want.retry_s, 17);
        stage_close(&s);
    }
}

/* The hash of a create with that key, version and body. */
static void hash_of(const char *target, const char *body, unsigned char out[32])
{
    const char *headers[] = {"Idempotency-Key", "k-1", NULL};
    struct stage s;

    stage_open(&s, CLASS_API, METHOD_POST, target, headers);
    stage_send(&s, body);
    cr_assert_eq(s.want.kind, WANT_JOB);
    cr_assert(str_eq(s.want.job.idempotency_key, STR("k-1")));
    memcpy(out, s.want.job.request_hash, 32);
    stage_close(&s);
}

Test(create, knows_the_same_request_again_by_its_hash)
{
    unsigned char one[32], two[32];

    hash_of(V2, "{\"templateID\":\"base\"}", one);
    hash_of(V2, "{\"templateID\":\"base\"}", two);
    cr_expect_arr_eq(one, two, 32);
    hash_of(V2, "{\"templateID\":\"base\",\"timeout\":5}", two);
    cr_expect_arr_neq(one, two, 32);
    hash_of(V1, "{\"templateID\":\"base\"}", two);
    cr_expect_arr_neq(one, two, 32);
}

#define ABSENT \
    "fail SANDBOX_GONE: Sandbox \"i0\" doesn't exist or you don't have " \
    "access to it"

static const struct {
    enum method method;
    const char *target, *body, *line;
} known_rows[] = {
    {METHOD_GET, "/sandboxes/i0", NULL,
     "say 200 {\"sandboxID\":\"i0\",\"templateID\":\"tplbase\",\"alias\":"
     "\"base\",\"clientID\":\"6532622b\",\"startedAt\":"
     "\"2026-09-21T10:00:00.000Z\",\"endAt\":\"2026-09-21T10:05:00.000Z\","
     "\"envdVersion\":\"0.5.7\",\"envdAccessToken\":\"9f\",\"domain\":null,"
     "\"cpuCount\":2,\"memoryMB\":1024,\"diskSizeMB\":5120,\"state\":"
     "\"running\",\"metadata\":{\"user\":\"ann\"},\"allowInternetAccess\":"
     "false,\"lifecycle\":{\"autoResume\":false,\"onTimeout\":\"kill\"}}"},
    {METHOD_DELETE, "/sandboxes/i0", NULL, "job kill i0 0"},
    {METHOD_DELETE, "/sandboxes/i0-6532622b", NULL, "job kill i0 0"},
    {METHOD_POST, "/sandboxes/i0/timeout", "{\"timeout\":120}",
     "job timeout i0 120"},
    {METHOD_POST, "/sandboxes/i0/timeout", "{\"timeout\":0}",
     "job timeout i0 0"},
    {METHOD_POST, "/sandboxes/i0/timeout", "{\"timeout\":86400}",
     "job timeout i0 86400"},
    {METHOD_POST, "/sandboxes/i0/timeout", "{\"timeout\":86401}",
     "fail BAD_FIELD: Timeout cannot be greater than 24 hours"},
    {METHOD_POST, "/sandboxes/i0/timeout", "{\"timeout\":-1}",
     "fail BAD_FIELD: validation error: timeout: must not be negative"},
    {METHOD_POST, "/sandboxes/i0/timeout", "{}",
     "fail BAD_FIELD: validation error: timeout: is required"},
    {METHOD_POST, "/sandboxes/i0/timeout", NULL,
     "fail BAD_JSON: a JSON object is required as the body"},
    {METHOD_POST, "/sandboxes/i0/refreshes", NULL, "job extend i0 15"},
    {METHOD_POST, "/sandboxes/i0/refreshes", "{\"duration\":3600}",
     "job extend i0 3600"},
    {METHOD_POST, "/sandboxes/i0/refreshes", "{\"duration\":3601}",
     "fail BAD_FIELD: validation error: duration: must not be greater than "
     "3600"},
    {METHOD_POST, "/sandboxes/i0/connect", "{\"timeout\":60}",
     "job extend i0 60"},
    {METHOD_POST, "/sandboxes/i0/connect", "{}",
     "fail BAD_FIELD: validation error: timeout: is required"},
    {METHOD_POST, "/sandboxes/i0/connect", NULL,
     "fail BAD_JSON: a JSON object is required as the body"},
    {METHOD_POST, "/v2/sandboxes/i0/connect", NULL, "job extend i0 300"},
    {METHOD_POST, "/v2/sandboxes/i0/connect", "{}", "job extend i0 300"},
    {METHOD_POST, "/v2/sandboxes/i0/connect", "{\"memory\":true}",
     "job extend i0 300"},
    {METHOD_POST, "/v2/sandboxes/i0/connect",
     "{\"timeout\":60,\"memory\":false}",
     "fail NOT_KEPT: memory: what this asks for is not supported by this "
     "server"},
    {METHOD_POST, "/v2/sandboxes/i0/connect", "{\"timeout\":\"60\"}",
     "fail BAD_FIELD: validation error: timeout: must be a whole number of "
     "seconds"},
    {METHOD_POST, "/sandboxes/i0/pause", NULL,
     "fail NOT_KEPT: pause is not supported by this server"},
    {METHOD_POST, "/sandboxes/i0/resume", "{\"timeout\":300}",
     "fail CONFLICT: Sandbox \"i0\" is already running"},
    {METHOD_PUT, "/sandboxes/i0/network", "{}",
     "fail NOT_KEPT: network is not supported by this server"},
    {METHOD_GET, "/sandboxes/i0/metrics", NULL,
     "fail UNIMPLEMENTED: metrics is not supported by this server"},
    {METHOD_POST, "/sandboxes/i0/fork", NULL,
     "fail UNIMPLEMENTED: fork is not supported by this server"},
};

Test(sandbox, hears_what_is_asked_of_it)
{
    for (size_t i = 0; i < sizeof(known_rows) / sizeof(known_rows[0]); i++) {
        struct stage s;

        stage_open(&s, CLASS_API, known_rows[i].method, known_rows[i].target,
                   NULL);
        stage_have(&s);
        stage_send(&s, known_rows[i].body);
        cr_expect_str_eq(stage_line(&s), known_rows[i].line, "%s %s: %s",
                         known_rows[i].target,
                         known_rows[i].body ? known_rows[i].body : "",
                         stage_line(&s));
        stage_close(&s);
    }
}

Test(sandbox, is_as_absent_when_unknown_as_when_it_begins_or_ends)
{
    for (size_t i = 0; i < sizeof(known_rows) / sizeof(known_rows[0]); i++)
        for (int state = -1; state <= SANDBOX_ENDING; state++) {
            struct stage s;

            if (state == SANDBOX_RUNNING)
                continue;
            stage_open(&s, CLASS_API, known_rows[i].method,
                       known_rows[i].target, NULL);
            if (state >= 0) {
                stage_have(&s);
                s.sandbox.state = (enum sandbox_state)state;
            }
            stage_send(&s, known_rows[i].body);
            cr_expect_str_eq(stage_line(&s), ABSENT, "%s: %s",
                             known_rows[i].target, stage_line(&s));
            stage_close(&s);
        }
}

static const struct {
    enum method method;
    const char *target;
    enum err err;
    const char *line;
} done_rows[] = {
    {METHOD_DELETE, "/sandboxes/i0", E_OK, "say 204 "},
    {METHOD_DELETE, "/sandboxes/i0", E_SANDBOX_GONE, ABSENT},
    {METHOD_DELETE, "/sandboxes/i0", E_SANDBOX_BUSY, "fail SANDBOX_BUSY"},
    {METHOD_POST, "/sandboxes/i0/timeout", E_OK, "say 204 "},
    {METHOD_POST, "/sandboxes/i0/timeout", E_SANDBOX_GONE, ABSENT},
    {METHOD_POST, "/sandboxes/i0/refreshes", E_OK, "say 204 "},
    {METHOD_POST, "/v2/sandboxes/i0/connect", E_OK,
     "say 200 {\"sandboxID\":\"i0\",\"templateID\":\"tplbase\",\"alias\":"
     "\"base\",\"clientID\":\"6532622b\",\"envdVersion\":\"0.5.7\","
     "\"envdAccessToken\":\"9f\",\"trafficAccessToken\":null,\"domain\":"
     "null}"},
    {METHOD_POST, "/v2/sandboxes/i0/connect", E_SANDBOX_BUSY,
     "fail SANDBOX_BUSY"},
};

Test(sandbox, answers_when_its_job_is_done)
{
    for (size_t i = 0; i < sizeof(done_rows) / sizeof(done_rows[0]); i++) {
        struct stage s;

        stage_open(&s, CLASS_API, done_rows[i].method, done_rows[i].target,
                   NULL);
        stage_have(&s);
        stage_send(&s, "{\"timeout\":60}");
        cr_assert_eq(s.want.kind, WANT_JOB, "%s", stage_line(&s));
        stage_result(&s, done_rows[i].err);
        cr_expect_str_eq(stage_line(&s), done_rows[i].line, "%s: %s",
                         done_rows[i].target, stage_line(&s));
        stage_close(&s);
    }
}

Test(sandbox, job_goes_on_when_the_client_leaves)
{
    struct stage s;

    stage_open(&s, CLASS_API, METHOD_POST, V2, NULL);
    cr_expect_eq(s.op.row->gone, GONE_TELL);
    stage_send(&s, "{\"templateID\":\"base\"}");
    stage_tell(&s, OP_CLIENT_GONE, NULL);
    cr_expect_str_eq(stage_line(&s), "fail GONE_CLIENT");
    stage_close(&s);
}

Test(create, fails_cleanly_without_memory)
{
    bool done = false;

    json_start();
    for (long n = 0; !done; n++) {
        struct stage s;

        cr_assert_lt(n, 1000);
        stage_open(&s, CLASS_API, METHOD_POST, V2, NULL);
        mem_refuse(n);
        stage_send(&s, "{\"templateID\":\"base\",\"metadata\":{\"a\":\"b\"},"
                       "\"envVars\":{\"A\":\"1\"}}");
        if (s.want.kind == WANT_JOB)
            stage_result(&s, E_OK);
        done = s.want.kind == WANT_SAY;
        mem_refuse(-1);
        if (!done)
            cr_expect_str_eq(stage_line(&s), "fail NOMEM", "%ld: %s", n,
                             stage_line(&s));
        stage_close(&s);
    }
}
