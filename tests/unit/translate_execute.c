/* translate_execute.c - tests of /execute: events in, wants out. */
#include <criterion/criterion.h>

#include "base/encode.h"
#include "tests/unit/translate_stage.h"
#include "translate/envelope.h"

static const char *const json_type[] = {"Content-Type", "application/json",
                                        NULL};

static void post(struct stage *s, const char *body)
{
    stage_open(s, CLASS_CODE, METHOD_POST, "/execute", json_type);
    cr_assert_eq(s->found, E_OK);
    stage_have(s);
    stage_send(s, body);
}

static void tell(struct stage *s, enum op_event_kind kind)
{
    struct op_event event = {.kind = kind,
                             .status = 200,
                             .from = FROM_CALL,
                             .now_ms = 1000,
                             .wall_ms = 1789984800123};

    op_hear(&s->op, &event, &s->want);
}

/* A frame of the call that runs. */
static void frame(struct stage *s, unsigned flags, const char *payload)
{
    struct op_event event = {.kind = OP_PIECE,
                             .from = FROM_CALL,
                             .now_ms = 1000,
                             .wall_ms = 1789984800123};
    struct buf b;

    buf_init(&b, 1 << 16);
    envelope_put(&b, flags, str_of(payload));
    event.bytes = buf_str(&b);
    op_hear(&s->op, &event, &s->want);
    buf_clear(&b);
}

static bool says(const struct stage *s, const char *text)
{
    return s->want.kind == WANT_SAY && str_eq(s->want.say.piece, str_of(text));
}

static bool calls(const struct stage *s, const char *part)
{
    return s->want.kind == WANT_CALL &&
           str_eq(s->want.call.method, STR("RunCodeStream")) &&
           str_find_str(s->want.call.body, str_of(part)) < s->want.call.body.n;
}

/* The head is out and the turn has come. */
static void enter(struct stage *s, bool fresh)
{
    cr_assert_eq(s->want.kind, WANT_SAY, "%s", stage_line(s));
    cr_assert_not_null(s->want.say.head);
    cr_expect_eq(s->want.say.head->status, 200);
    tell(s, OP_ROOM);
    cr_assert_eq(s->want.kind, WANT_LIVE);
    cr_assert_eq(s->want.live.kind, LIVE_CONTEXT_ENTER);
    s->result.executions = 4;
    s->result.fresh_kernel = fresh;
    s->result.pid = fresh ? 0 : 23;
    stage_result(s, E_OK);
}

static void count_and_run(struct stage *s)
{
    cr_assert(says(s, "{\"type\": \"number_of_executions\", "
                      "\"execution_count\": 5}\n"));
    cr_expect_eq(s->want.from, 0);
    tell(s, OP_ROOM);
}

static void leave_and_end(struct stage *s)
{
    cr_assert_eq(s->want.kind, WANT_LIVE);
    cr_assert_eq(s->want.live.kind, LIVE_CONTEXT_LEAVE);
    stage_result(s, E_OK);
    cr_expect(says(s, "{\"type\": \"end_of_execution\"}\n"));
    tell(s, OP_ROOM);
    cr_expect_eq(s->want.kind, WANT_DONE);
}

Test(execute, a_run_in_a_warm_kernel)
{
    struct stage s;

    post(&s, "{\"code\":\"40+2\",\"context_id\":null,\"language\":null,"
             "\"env_vars\":null}");
    enter(&s, false);
    count_and_run(&s);
    cr_expect(calls(&s, "\"code\":\"40+2\",\"timeoutSeconds\":86400"));
    tell(&s, OP_HEAD);
    cr_expect_eq(s.want.kind, WANT_NEXT);
    frame(&s, 0, "{\"stdout\":\"aGkK\"}");
    cr_expect(says(&s, "{\"type\": \"stdout\", \"text\": \"hi\\n\", "
                       "\"timestamp\": "
                       "\"2026-09-21T10:00:00.123000+00:00\"}\n"));
    cr_expect_eq(s.want.from, FROM_CALL);
    cr_expect_eq(s.want.wake_ms, 6000);
    tell(&s, OP_TIME);
    cr_expect(says(&s, "{\"type\": \"keepalive\"}\n"));
    frame(&s, 0, "{\"exitCode\":0}");
    cr_expect_eq(s.want.kind, WANT_NEXT);
    frame(&s, 2, "{}");
    tell(&s, OP_END);
    cr_expect(s.want.live.kernel_used);
    cr_expect_not(s.want.live.kernel_dead);
    cr_expect_eq(s.want.live.pid, 23);
    leave_and_end(&s);
    stage_close(&s);
}

Test(execute, a_fresh_kernel_is_prepared_unseen)
{
    struct stage s;

    post(&s, "{\"code\":\"1\",\"env_vars\":{\"A\":\"b\"}}");
    enter(&s, true);
    cr_expect(calls(&s, "exec(__import__"));
    frame(&s, 0, "{\"stdout\":\"HjIzCg==\"}");
    cr_expect_eq(s.want.kind, WANT_NEXT);
    frame(&s, 0, "{\"error\":{\"name\":\"OSError\"}}");
    cr_expect_eq(s.want.kind, WANT_NEXT);
    frame(&s, 0, "{\"exitCode\":1}");
    tell(&s, OP_END);
    cr_expect(calls(&s, "exec(__import__"));
    frame(&s, 0, "{\"exitCode\":0}");
    tell(&s, OP_END);
    count_and_run(&s);
    cr_expect(calls(&s, "\"code\":\"1\""));
    frame(&s, 0, "{\"exitCode\":0}");
    tell(&s, OP_END);
    cr_expect(calls(&s, "exec(__import__"));
    frame(&s, 0, "{\"exitCode\":0}");
    tell(&s, OP_END);
    cr_expect_eq(s.want.live.pid, 23);
    leave_and_end(&s);
    stage_close(&s);
}

Test(execute, blank_code_is_counted_but_not_run)
{
    struct stage s;

    post(&s, "{\"code\":\" \\n\"}");
    enter(&s, true);
    count_and_run(&s);
    cr_assert_eq(s.want.kind, WANT_LIVE);
    cr_expect_not(s.want.live.kernel_used);
    leave_and_end(&s);
    stage_close(&s);
}

Test(execute, a_client_that_leaves_interrupts_and_waits_for_idle)
{
    struct stage s;

    post(&s, "{\"code\":\"while True: pass\"}");
    enter(&s, false);
    count_and_run(&s);
    tell(&s, OP_CLIENT_GONE);
    cr_assert_eq(s.want.kind, WANT_LIVE);
    cr_expect_eq(s.want.live.kind, LIVE_CONTEXT_INTERRUPT);
    cr_expect_eq(s.want.live.pid, 23);
    stage_result(&s, E_OK);
    cr_expect_eq(s.want.kind, WANT_NEXT);
    cr_expect_eq(s.want.from, FROM_CALL);
    frame(&s, 0, "{\"error\":{\"name\":\"KeyboardInterrupt\"}}");
    cr_expect_eq(s.want.kind, WANT_NEXT);
    /* It goes on: once more. */
    tell(&s, OP_TIME);
    cr_expect_eq(s.want.live.kind, LIVE_CONTEXT_INTERRUPT);
    stage_result(&s, E_OK);
    frame(&s, 0, "{\"exitCode\":1}");
    tell(&s, OP_END);
    cr_assert_eq(s.want.kind, WANT_LIVE);
    cr_expect_eq(s.want.live.kind, LIVE_CONTEXT_LEAVE);
    stage_result(&s, E_OK);
    cr_expect_eq(s.want.kind, WANT_DONE);
    stage_close(&s);
}

Test(execute, a_run_that_ends_while_it_is_interrupted)
{
    struct stage s;

    post(&s, "{\"code\":\"1\"}");
    enter(&s, false);
    count_and_run(&s);
    frame(&s, 0, "{\"exitCode\":0}");
    tell(&s, OP_CLIENT_GONE);
    tell(&s, OP_END);
    cr_expect_eq(s.want.kind, WANT_NEXT);
    stage_result(&s, E_OK);
    cr_expect_eq(s.want.live.kind, LIVE_CONTEXT_LEAVE);
    stage_close(&s);
}

Test(execute, code_of_a_client_that_waited_is_never_run)
{
    struct stage s;

    post(&s, "{\"code\":\"1\"}");
    tell(&s, OP_ROOM);
    tell(&s, OP_TIME);
    cr_expect(says(&s, "{\"type\": \"keepalive\"}\n"));
    tell(&s, OP_CLIENT_GONE);
    cr_expect_eq(s.want.kind, WANT_DONE);
    stage_close(&s);
    /* Gone while the kernel is prepared. */
    post(&s, "{\"code\":\"1\"}");
    enter(&s, true);
    tell(&s, OP_CLIENT_GONE);
    cr_expect_eq(s.want.kind, WANT_NEXT);
    frame(&s, 0, "{\"exitCode\":0}");
    tell(&s, OP_END);
    cr_expect_eq(s.want.live.kind, LIVE_CONTEXT_LEAVE);
    cr_expect_not(s.want.live.kernel_used);
    stage_close(&s);
}

Test(execute, a_dead_kernel_is_told)
{
    struct stage s;

    post(&s, "{\"code\":\"1\"}");
    enter(&s, true);
    frame(&s, 0,
          "{\"error\":{\"name\":\"KernelUnavailable\",\"value\":"
          "\"kernel previously died\"}}");
    cr_expect(says(&s, "{\"type\": \"error\", \"name\": "
                       "\"KernelUnavailable\", \"value\": \"kernel "
                       "previously died; the code context of this sandbox "
                       "cannot be restarted, use a new sandbox\", "
                       "\"traceback\": \"\"}\n"));
    frame(&s, 0, "{\"exitCode\":127}");
    tell(&s, OP_END);
    cr_expect(s.want.live.kernel_dead);
    leave_and_end(&s);
    stage_close(&s);
}

Test(execute, output_that_broke_off_is_an_error_line)
{
    struct stage s;

    post(&s, "{\"code\":\"1\"}");
    enter(&s, false);
    count_and_run(&s);
    frame(&s, 0, "{\"exitCode\":1}");
    cr_assert_eq(s.want.kind, WANT_SAY);
    cr_expect_lt(
        str_find_str(s.want.say.piece, STR("UnexpectedEndOfExecution")),
        s.want.say.piece.n);
    stage_close(&s);
}

Test(execute, a_cut_is_never_a_clean_end)
{
    static const struct {
        const char *name;
        enum op_event_kind kind;
        unsigned flags;
        const char *payload;
        enum err want;
    } rows[] = {
        {"cut", OP_CUT, 0, NULL, E_SANDBOX_GONE},
        {"end without an exit", OP_END, 0, NULL, E_CUT},
        {"garbage", OP_END, 0, "<html>", E_BACKEND_GARBAGE},
        {"unknown sandbox", OP_END, 2,
         "{\"error\":{\"code\":\"unavailable\",\"message\":\"sandbox x has no "
         "stream path\"}}",
         E_CUT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct op_event event = {
            .kind = rows[i].kind, .from = FROM_CALL, .err = rows[i].want};
        struct stage s;

        post(&s, "{\"code\":\"1\"}");
        enter(&s, false);
        count_and_run(&s);
        if (rows[i].payload)
            frame(&s, rows[i].flags, rows[i].payload);
        op_hear(&s.op, &event, &s.want);
        cr_expect_eq(s.want.live.kind, LIVE_CONTEXT_LEAVE);
        stage_result(&s, E_OK);
        cr_expect_eq(s.want.kind, WANT_FAIL, "%s", rows[i].name);
        cr_expect_eq(s.want.err, rows[i].want, "%s: %s", rows[i].name,
                     err_name(s.want.err));
        stage_close(&s);
    }
}

Test(execute, bad_input_is_told_by_name)
{
    static const struct {
        const char *body;
        const char *want;
    } rows[] = {
        {"{bad", "fail BAD_JSON: JSON decode error"},
        {"", "fail BAD_JSON: body: Field required"},
        {"[]", "fail BAD_FIELD: body: Input should be a valid dictionary or "
               "object to extract fields from"},
        {"{}", "fail BAD_FIELD: code: Field required"},
        {"{\"code\":5}",
         "fail BAD_FIELD: code: Input should be a valid string"},
        {"{\"code\":null}",
         "fail BAD_FIELD: code: Input should be a valid string"},
        {"{\"code\":\"1\",\"env_vars\":{\"A\":1}}",
         "fail BAD_FIELD: env_vars: Input should be a valid string"},
        {"{\"code\":\"1\",\"env_vars\":[]}",
         "fail BAD_FIELD: env_vars: Input should be a valid dictionary"},
        {"{\"code\":\"1\",\"context_id\":\"x\",\"language\":\"python\"}",
         "fail BAD_REQUEST: Only one of context_id or language can be "
         "provided"},
        {"{\"code\":\"1\",\"context_id\":\"nope\"}",
         "fail NOT_FOUND: Context nope not found"},
        {"{\"code\":\"1\",\"language\":\" JS\"}",
         "fail INTERNAL: Failed to create context: {\"message\": \"The "
         "'javascript' kernel is not available. Please pick another suitable "
         "kernel instead, or install that kernel.\", \"short_message\": "
         "\"javascript not found\"}"},
        {"{\"code\":\"\xff\"}",
         "fail BAD_REQUEST: There was an error parsing the body"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;

        post(&s, rows[i].body);
        cr_expect_str_eq(stage_line(&s), rows[i].want, "%s", rows[i].body);
        stage_close(&s);
    }
}

Test(execute, the_default_context_has_several_names)
{
    static const char *const rows[] = {
        "{\"code\":\"1\",\"context_id\":\"default\"}",
        "{\"code\":\"1\",\"context_id\":\"\",\"language\":\"python\"}",
        "{\"code\":\"1\",\"language\":\" Python \",\"x\":1}",
        "{\"code\":\"1\",\"env_vars\":{}}"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;

        post(&s, rows[i]);
        cr_expect_eq(s.want.kind, WANT_SAY, "%s", rows[i]);
        stage_close(&s);
    }
}

Test(execute, contexts_are_one)
{
    struct stage s;

    stage_open(&s, CLASS_CODE, METHOD_GET, "/contexts", NULL);
    stage_have(&s);
    stage_send(&s, NULL);
    cr_expect_str_eq(stage_line(&s),
                     "say 200 [{\"id\":\"default\",\"language\":\"python\","
                     "\"cwd\":\"/home/user\"}]");
    stage_close(&s);
    stage_open(&s, CLASS_CODE, METHOD_POST, "/contexts", json_type);
    stage_have(&s);
    stage_send(&s, "{}");
    cr_expect_eq(s.want.err, E_UNIMPLEMENTED);
    stage_close(&s);
    stage_open(&s, CLASS_CODE, METHOD_DELETE, "/contexts/x", NULL);
    stage_have(&s);
    stage_send(&s, NULL);
    cr_expect_str_eq(stage_line(&s), "fail NOT_FOUND: Context x not found");
    stage_close(&s);
}
