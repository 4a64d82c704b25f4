/* translate_process.c - tests of process.Process: events in, wants out. */
#include <criterion/criterion.h>

#include "tests/unit/translate_stage.h"
#include "translate/envelope.h"

static const char *const stream[] = {"Content-Type", "application/connect+json",
                                     "Keepalive-Ping-Interval", "50", NULL};
static const char *const unary[] = {"Content-Type", "application/json", NULL};

/* Open a stream call and send it one message. */
static void call(struct stage *s, const char *path, const char *const *fields,
                 const char *message)
{
    struct buf b;

    stage_open(s, CLASS_ENVD, METHOD_POST, path, fields);
    cr_assert_eq(s->found, E_OK, "%s", path);
    stage_have(s);
    stage_tell(s, OP_BEGIN, NULL);
    if (s->want.kind != WANT_BODY)
        return;
    buf_init(&b, 1 << 16);
    envelope_put(&b, 0, str_of(message));
    stage_tell_bytes(s, OP_BODY, buf_str(&b));
    buf_clear(&b);
}

static void tell(struct stage *s, struct op_event event)
{
    op_hear(&s->op, &event, &s->want);
}

static void started(struct stage *s)
{
    call(s, "/process.Process/Start", stream,
         "{\"process\":{\"cmd\":\"/bin/bash\",\"args\":[\"-l\",\"-c\",\"echo "
         "hi\"],\"envs\":{\"A\":\"1\"},\"cwd\":\"/tmp\"},\"stdin\":false,"
         "\"tag\":\"t\"}");
    cr_assert_eq(s->want.kind, WANT_LIVE);
    s->result.pid = 1234;
    tell(s, (struct op_event){
                .kind = OP_RESULT, .result = &s->result, .now_ms = 1000});
}

static bool says(const struct stage *s, struct str bytes)
{
    return s->want.kind == WANT_SAY && str_eq(s->want.say.piece, bytes);
}

Test(process, start_is_decoded_whole)
{
    const struct process_config *c;
    struct stage s;

    call(&s, "/process.Process/Start", stream,
         "{\"process\":{\"cmd\":\"/bin/bash\",\"args\":[\"-l\",\"x\"],\"envs\":"
         "{\"A\":\"1\"},\"cwd\":\"/tmp\"},\"stdin\":false,\"tag\":\"t\"}");
    cr_assert_eq(s.want.kind, WANT_LIVE);
    cr_expect_eq(s.want.live.kind, LIVE_PROCESS_START);
    cr_expect_eq(s.want.live.deadline_ms, 0);
    c = s.want.live.process;
    cr_expect(str_eq(c->cmd, STR("/bin/bash")));
    cr_assert_eq(c->arg_count, 2);
    cr_expect(str_eq(c->args[1], STR("x")));
    cr_assert_eq(c->env_count, 1);
    cr_expect(str_eq(c->env_names[0], STR("A")));
    cr_expect(str_eq(c->cwd, STR("/tmp")));
    cr_expect(str_eq(c->user, STR("user")));
    cr_expect(str_eq(c->tag, STR("t")));
    cr_expect(
        str_eq(c->json, STR("{\"cmd\":\"/bin/bash\",\"args\":[\"-l\",\"x\"],"
                            "\"envs\":{\"A\":\"1\"},\"cwd\":\"/tmp\"}")));
    stage_close(&s);
}

Test(process, a_stream_begins_at_once_and_ends_clean)
{
    struct stage s;

    started(&s);
    cr_assert_not_null(s.want.say.head);
    cr_expect_eq(s.want.say.head->status, 200);
    cr_expect(str_eq(fields_get(&s.want.say.head->fields, STR("Content-Type")),
                     STR("application/connect+json")));
    cr_expect(
        says(&s, STR("\0\0\0\0\x20{\"event\":{\"start\":{\"pid\":1234}}}")));
    cr_expect_eq(s.want.from, FROM_LIVE);
    cr_expect_eq(s.want.wake_ms, 51000);
    tell(&s, (struct op_event){.kind = OP_PIECE,
                               .from = FROM_LIVE,
                               .bytes = STR("frames"),
                               .now_ms = 2000});
    cr_expect(says(&s, STR("frames")));
    cr_expect_null(s.want.say.head);
    cr_expect_eq(s.want.wake_ms, 52000);
    tell(&s, (struct op_event){.kind = OP_TIME, .now_ms = 52000});
    cr_expect(says(&s, STR("\0\0\0\0\x1a{\"event\":{\"keepalive\":{}}}")));
    cr_expect_eq(s.want.wake_ms, 102000);
    tell(&s, (struct op_event){.kind = OP_END, .from = FROM_LIVE});
    cr_expect(says(&s, STR("\x02\0\0\0\x02{}")));
    cr_expect_eq(s.want.from, 0);
    tell(&s, (struct op_event){.kind = OP_ROOM});
    cr_expect_eq(s.want.kind, WANT_DONE);
    stage_close(&s);
}

Test(process, a_stream_that_does_not_end_by_itself)
{
    static const struct {
        enum err err;
        const char *want; /* NULL: a cut */
    } rows[] = {
        {E_DEADLINE, "{\"error\":{\"code\":\"deadline_exceeded\","
                     "\"message\":\"context deadline exceeded\"}}"},
        {E_EXHAUSTED,
         "{\"error\":{\"code\":\"resource_exhausted\",\"message\":\"this "
         "subscriber reads too slowly: it was more than 1 MiB behind the "
         "others for 10 s\"}}"},
        {E_SANDBOX_GONE, NULL},
        {E_CUT, NULL},
        {E_NOMEM, NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;

        started(&s);
        tell(&s, (struct op_event){
                     .kind = OP_CUT, .from = FROM_LIVE, .err = rows[i].err});
        if (rows[i].want) {
            cr_assert_eq(s.want.kind, WANT_SAY);
            cr_expect_eq(s.want.say.piece.p[0], 2);
            cr_expect(
                str_eq(str_after(s.want.say.piece, 5), str_of(rows[i].want)));
        } else {
            cr_expect_eq(s.want.kind, WANT_FAIL);
            cr_expect_eq(s.want.err, rows[i].err);
        }
        stage_close(&s);
    }
}

Test(process, what_goes_wrong_before_the_start_is_told)
{
    static const struct {
        const char *path;
        enum err err;
        const char *detail;
        const char *want;
    } rows[] = {
        {"Start", E_UNAUTHENTICATED, "invalid username: 'x'",
         "fail UNAUTHENTICATED: invalid username: 'x'"},
        {"Start", E_INVALID, "cwd '/x' does not exist",
         "fail INVALID: cwd '/x' does not exist"},
        {"Start", E_SLOTS, NULL, "fail SLOTS"},
        {"Start", E_SANDBOX_GONE, NULL, "fail SANDBOX_GONE"},
        {"Start", E_DEADLINE, NULL, "fail DEADLINE: context deadline exceeded"},
        {"Connect", E_NOT_FOUND, NULL,
         "fail NOT_FOUND: process with pid 7 not found"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char path[64];
        struct stage s;

        snprintf(path, sizeof(path), "/process.Process/%s", rows[i].path);
        call(&s, path, stream, "{\"process\":{\"pid\":7,\"cmd\":\"a\"}}");
        s.result.detail = str_of(rows[i].detail);
        stage_result(&s, rows[i].err);
        cr_expect_str_eq(stage_line(&s), rows[i].want);
        stage_close(&s);
    }
}

Test(process, what_is_not_served_is_refused_by_name)
{
    static const struct {
        const char *message;
        const char *want;
    } rows[] = {
        {"{\"process\":{\"cmd\":\"a\"},\"stdin\":true}", "stdin"},
        {"{\"process\":{\"cmd\":\"a\"},\"pty\":{}}", "pty"},
        {"{\"process\":{\"cmd\":\"a\"},\"pty\":{\"size\":{\"cols\":80}}}",
         "pty"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;

        call(&s, "/process.Process/Start", stream, rows[i].message);
        cr_expect_eq(s.want.kind, WANT_FAIL);
        cr_expect_eq(s.want.err, E_UNIMPLEMENTED);
        cr_expect(str_starts(s.want.detail, str_of(rows[i].want)));
        stage_close(&s);
    }
}

Test(process, stdin_may_be_left_out_or_null)
{
    static const char *const rows[] = {
        "{\"process\":{\"cmd\":\"a\"}}",
        "{\"process\":{\"cmd\":\"a\"},\"stdin\":null,\"pty\":null}",
        "{\"process\":null}", "{}"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;

        call(&s, "/process.Process/Start", stream, rows[i]);
        cr_expect_eq(s.want.kind, WANT_LIVE, "%s", rows[i]);
        stage_close(&s);
    }
}

Test(process, the_deadline_of_start_is_the_processes)
{
    static const char *const fields[] = {"Content-Type",
                                         "application/connect+json",
                                         "Connect-Timeout-Ms", "60000", NULL};
    struct stage s;

    call(&s, "/process.Process/Start", fields, "{}");
    cr_expect_eq(s.want.live.deadline_ms, 60000);
    stage_close(&s);
    /* Of a connect it ends the stream alone. */
    call(&s, "/process.Process/Connect", fields, "{\"process\":{\"pid\":7}}");
    cr_expect_eq(s.want.live.deadline_ms, 0);
    cr_expect_eq(s.want.wake_ms, 60000);
    s.result.pid = 7;
    tell(&s, (struct op_event){
                 .kind = OP_RESULT, .result = &s.result, .now_ms = 10});
    cr_expect_eq(s.want.wake_ms, 60000);
    tell(&s, (struct op_event){.kind = OP_TIME, .now_ms = 60000});
    cr_assert_eq(s.want.kind, WANT_SAY);
    cr_expect_lt(str_find_str(s.want.say.piece, STR("deadline_exceeded")),
                 s.want.say.piece.n);
    stage_close(&s);
}

Test(process, a_passed_deadline_starts_nothing)
{
    static const char *const fields[] = {"Content-Type",
                                         "application/connect+json",
                                         "Connect-Timeout-Ms", "0", NULL};
    struct stage s;

    call(&s, "/process.Process/Start", fields, "{}");
    cr_expect_str_eq(stage_line(&s),
                     "fail DEADLINE: context deadline exceeded");
    stage_close(&s);
}

static void ask(struct stage *s, const char *path, const char *body)
{
    stage_open(s, CLASS_ENVD, METHOD_POST, path, unary);
    stage_have(s);
    stage_send(s, body);
}

Test(process, list_shows_what_runs)
{
    static const struct live_process rows[] = {
        {7, {"{\"cmd\":\"a\"}", 11}, {NULL, 0}},
        {8, {"{}", 2}, {"t\"", 2}},
    };
    struct stage s;

    ask(&s, "/process.Process/List", "{}");
    cr_expect_eq(s.want.live.kind, LIVE_PROCESS_LIST);
    stage_result(&s, E_OK);
    cr_expect_str_eq(stage_line(&s), "say 200 {}");
    stage_close(&s);
    ask(&s, "/process.Process/List", "{}");
    s.result.processes = rows;
    s.result.count = 2;
    stage_result(&s, E_OK);
    cr_expect_str_eq(stage_line(&s),
                     "say 200 {\"processes\":[{\"config\":{\"cmd\":\"a\"},"
                     "\"pid\":7},{\"config\":{},\"pid\":8,\"tag\":"
                     "\"t\\\"\"}]}");
    stage_close(&s);
}

Test(process, aimed_calls_look_for_the_process_first)
{
    static const struct {
        const char *method, *body;
        enum err err;
        const char *want;
    } rows[] = {
        {"SendSignal", "{\"process\":{\"pid\":7},\"signal\":9}", E_OK,
         "say 200 {}"},
        {"SendSignal", "{\"process\":{\"pid\":7},\"signal\":9}", E_NOT_FOUND,
         "fail NOT_FOUND: process with pid 7 not found"},
        {"SendSignal", "{\"process\":{\"tag\":\"T\"},\"signal\":9}",
         E_NOT_FOUND, "fail NOT_FOUND: process with tag T not found"},
        {"SendSignal", "{\"process\":{\"pid\":7},\"signal\":2}", E_OK,
         "fail UNIMPLEMENTED: invalid signal: 2"},
        {"SendSignal", "{\"process\":{\"pid\":7}}", E_OK,
         "fail UNIMPLEMENTED: invalid signal: SIGNAL_UNSPECIFIED"},
        {"SendInput", "{\"process\":{\"pid\":7},\"input\":{\"stdin\":\"\"}}",
         E_NOT_FOUND, "fail NOT_FOUND: process with pid 7 not found"},
        {"SendInput", "{\"process\":{\"pid\":7},\"input\":{\"stdin\":\"\"}}",
         E_OK,
         "fail UNIMPLEMENTED: input: sending input to a process is not served "
         "by this gateway yet"},
        {"Update", "{\"process\":{\"pid\":7}}", E_OK,
         "fail UNIMPLEMENTED: pty: terminals are not served by this gateway "
         "yet"},
        {"CloseStdin", "{\"process\":{\"pid\":7}}", E_SANDBOX_GONE,
         "fail SANDBOX_GONE"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char path[64];
        struct stage s;

        snprintf(path, sizeof(path), "/process.Process/%s", rows[i].method);
        ask(&s, path, rows[i].body);
        cr_assert_eq(s.want.kind, WANT_LIVE, "row %zu: %s", i, stage_line(&s));
        stage_result(&s, rows[i].err);
        cr_expect_str_eq(stage_line(&s), rows[i].want, "row %zu", i);
        stage_close(&s);
    }
}

Test(process, stream_input_is_refused_at_once)
{
    struct stage s;

    stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/StreamInput",
               stream);
    stage_have(&s);
    stage_tell(&s, OP_BEGIN, NULL);
    cr_expect_eq(s.want.kind, WANT_FAIL);
    cr_expect_eq(s.want.err, E_UNIMPLEMENTED);
    stage_close(&s);
}

Test(process, health_is_what_is_known)
{
    static const struct {
        enum op_class class;
        enum err err;
        const char *want;
    } rows[] = {
        {CLASS_ENVD, E_OK, "say 204 "},
        {CLASS_ENVD, E_SANDBOX_GONE, "fail SANDBOX_GONE"},
        {CLASS_ENVD, E_SANDBOX_UNKNOWN, "fail SANDBOX_UNKNOWN"},
        {CLASS_CODE, E_OK, "say 200 \"OK\""},
        {CLASS_CODE, E_SANDBOX_GONE, "fail SANDBOX_GONE"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;

        stage_open(&s, rows[i].class, METHOD_GET, "/health", NULL);
        stage_have(&s);
        stage_send(&s, NULL);
        cr_assert_eq(s.want.kind, WANT_LIVE);
        cr_expect_eq(s.want.live.kind, LIVE_HEALTH);
        stage_result(&s, rows[i].err);
        cr_expect_str_eq(stage_line(&s), rows[i].want);
        stage_close(&s);
    }
}

Test(process, envs_are_the_sandboxes_own)
{
    struct stage s;

    stage_open(&s, CLASS_ENVD, METHOD_GET, "/envs", NULL);
    stage_have(&s);
    s.sandbox.envs = STR("{\"K\":\"v\",\"E2B_SANDBOX\":\"no\"}");
    stage_send(&s, NULL);
    cr_expect_str_eq(stage_line(&s),
                     "say 200 {\"K\":\"v\",\"E2B_SANDBOX\":\"true\","
                     "\"E2B_SANDBOX_ID\":\"i0\",\"E2B_TEMPLATE_ID\":"
                     "\"tplbase\"}\n");
    stage_close(&s);
}
