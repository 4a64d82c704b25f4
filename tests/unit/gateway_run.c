#include <criterion/criterion.h>

#include "base/mem.h"
#include "tests/unit/gateway_fake.h"

TestSuite(run, .init = fake_start, .fini = fake_stop);

#define API "api.sandgate.localhost"
#define ENVD "49983-" FAKE_ID ".sandgate.localhost"

static const struct answer_head stream = {.status = 200,
                                          .length = LENGTH_CHUNKED};

/* The wants of an operation, one for each event in turn. */
static struct want script[16];
static unsigned at;

static void hear(struct op *op, const struct op_event *event, struct want *want)
{
    (void)op;
    (void)event;
    cr_assert(at < 16);
    *want = script[at++];
}

static void play(const struct want *wants, unsigned count)
{
    memset(script, 0, sizeof(script));
    memcpy(script, wants, count * sizeof(*wants));
    at = 0;
    fake.hear = hear;
    fake.sandbox->secure = false;
}

#define PLAY(...) \
    play((const struct want[]){__VA_ARGS__}, \
         sizeof((const struct want[]){__VA_ARGS__}) / sizeof(struct want))
#define NEXT(sources) \
    { \
        .kind = WANT_NEXT, .from = (sources) \
    }
#define SAY(text, sources) \
    { \
        .kind = WANT_SAY, .say = {.head = &stream, .piece = STR(text)}, \
        .from = (sources) \
    }
#define DONE \
    { \
        .kind = WANT_DONE \
    }
#define FAIL(error) \
    { \
        .kind = WANT_FAIL, .err = (error) \
    }

#define HEAD "head 200 Access-Control-Allow-Origin=*; "

Test(run, collects_a_body_up_to_its_limit)
{
    PLAY({.kind = WANT_BODY}, SAY("ok", 0), DONE);
    fake.row.body_limit = 4;
    fake_request("POST " ENVD " /files", LENGTH_CHUNKED);
    cr_expect_str_eq(fake_said(), "BEGIN; resume 4; ");
    fake_client("ab");
    fake_client("cd");
    fake_client_end();
    cr_expect_str_eq(fake_said(),
                     "BODY(abcd); " HEAD "say ok; ROOM; end; op end; free; ");
}

#define TOO_BIG \
    "op end; all 413 {\"code\":413,\"message\":\"The message is over its " \
    "limit\"}\n; free; "

Test(run, refuses_a_body_over_its_limit)
{
    static char large[1 << 19];

    PLAY({.kind = WANT_BODY});
    fake.row.body_limit = 4;
    fake.row.dialect = DIALECT_ENVD;
    fake_request("POST " ENVD " /files", LENGTH_CHUNKED);
    fake_client("abc");
    fake_client("de");
    cr_expect_str_eq(fake_said(), "BEGIN; resume 4; ");
    fake_client_end();
    cr_expect_str_eq(fake_said(), TOO_BIG);
    fake_turn();
    /* Known before the first byte. */
    PLAY({.kind = WANT_BODY});
    fake_request("POST " ENVD " /files\nExpect: 100-continue", 5);
    cr_expect_str_eq(fake_said(), "BEGIN; " TOO_BIG);
    fake_turn();
    PLAY({.kind = WANT_BODY});
    fake_request("POST " ENVD " /files", 5);
    fake_client("abcde");
    cr_expect_str_eq(fake_said(), "BEGIN; resume 4; ");
    fake_client_end();
    cr_expect_str_eq(fake_said(), TOO_BIG);
    fake_turn();
    /* Too much even to be thrown away. */
    PLAY({.kind = WANT_BODY});
    fake_request("POST " ENVD " /files", LENGTH_CHUNKED);
    memset(large, 'x', sizeof(large) - 1);
    for (int i = 0; i < 2; i++)
        fake_client(large);
    cr_expect_str_eq(fake_said(), "BEGIN; resume 4; ");
    fake_client(large);
    cr_expect_str_eq(fake_said(), TOO_BIG);
    fake_turn();
    /* At the limit. */
    PLAY({.kind = WANT_BODY}, DONE);
    fake_request("POST " ENVD " /files\nExpect: 100-continue", 4);
    cr_expect_str_eq(fake_said(), "BEGIN; continue; resume 4; ");
}

Test(run, lets_no_body_of_the_control_plane_come_slowly)
{
    PLAY({.kind = WANT_BODY}, DONE);
    fake.row.gone = GONE_TELL;
    fake_request("POST " API " /sandboxes\nX-API-Key: " FAKE_KEY, 4);
    cr_expect_str_eq(fake_said(), "BEGIN; limit 15000 1024; resume 4; ");
    fake_client("ab");
    fake_lost(E_SLOW);
    /* net has answered: nothing is said, and no job begins. */
    cr_expect_str_eq(fake_said(), "op end; free; ");
    cr_expect_eq(fake.worker.metrics.requests[CLASS_API][4], 1);
}

Test(run, collects_an_answer)
{
    PLAY({.kind = WANT_CALL,
          .call = {.method = STR("Stat"), .collect = true, .limit = 4}},
         {.kind = WANT_CALL,
          .call = {.method = STR("List"), .collect = true, .limit = 4}},
         {.kind = WANT_CALL,
          .call = {.method = STR("Last"), .collect = true, .limit = 4}},
         SAY("ok", 0), DONE);
    fake_request("GET " ENVD " /x", 0);
    fake_call_head(200, 4);
    fake_call("ab");
    fake_call("cd");
    fake_call_end();
    cr_expect_str_eq(fake_said(),
                     "BEGIN; call Stat; call free; ANSWER(abcd); call List; ");
    fake_call_head(200, 5);
    fake_call("abcde");
    cr_expect_str_eq(fake_said(), "call free; ANSWER():TOO_BIG; call Last; ");
    fake_call_cut(E_CUT);
    cr_expect_str_eq(fake_said(), "call free; ANSWER():CUT; " HEAD
                                  "say ok; ROOM; end; op end; free; ");
}

Test(run, streams_a_call_with_back_pressure)
{
    PLAY({.kind = WANT_CALL, .call = {.method = STR("Exec"), .stream = true}},
         NEXT(FROM_CALL), SAY("a", FROM_CALL), SAY("b", FROM_CALL), SAY("c", 0),
         NEXT(FROM_CALL), DONE);
    fake_request("GET " ENVD " /x", 0);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_call("1");
    cr_expect_str_eq(fake_said(),
                     "BEGIN; call Exec; HEAD; PIECE(1); " HEAD "say a; ");
    /* Full: the call is paused until there is room. */
    fake.full = true;
    fake_call("2");
    cr_expect_str_eq(fake_said(), "PIECE(2); say b; call pause 1; ");
    fake_room();
    cr_expect_str_eq(fake_said(), "call resume 1; ");
    /* Without sources the operation is told when there is room. */
    fake.full = true;
    fake_call("3");
    cr_expect_str_eq(fake_said(), "PIECE(3); say c; call pause 1; ");
    fake_call_end();
    cr_expect_str_eq(fake_said(), "call free; ");
    fake_room();
    cr_expect_str_eq(fake_said(), "ROOM; END; end; op end; free; ");
}

Test(run, sends_a_body_with_back_pressure)
{
    PLAY({.kind = WANT_CALL,
          .from = FROM_CLIENT,
          .call = {.method = STR("Upload"),
                   .send = true,
                   .collect = true,
                   .limit = 100}},
         {.kind = WANT_SEND, .send = STR("A"), .from = FROM_CLIENT},
         {.kind = WANT_SEND, .send = STR("B"), .from = FROM_CLIENT},
         {.kind = WANT_SEND, .send_end = true}, NEXT(0), SAY("ok", 0), DONE);
    fake_request("POST " ENVD " /x", LENGTH_CHUNKED);
    cr_expect_str_eq(fake_said(), "BEGIN; call Upload; resume 4; ");
    fake_client("a");
    cr_expect_str_eq(fake_said(), "CLIENT_PIECE(a); send A; ");
    fake.call_full = true;
    fake_client("b");
    cr_expect_str_eq(fake_said(), "CLIENT_PIECE(b); send B; pause 1; ");
    fake.call_full = false;
    fake.call_events->on_room(fake.call_arg);
    cr_expect_str_eq(fake_said(), "resume 1; ");
    fake_client_end();
    cr_expect_str_eq(fake_said(), "CLIENT_END; send end; ROOM; ");
    fake_call_head(200, 0);
    fake_call_end();
    cr_expect_str_eq(fake_said(), "call free; ANSWER(); " HEAD
                                  "say ok; ROOM; end; op end; free; ");
}

Test(run, tells_an_answer_that_comes_before_the_upload_is_whole)
{
    PLAY({.kind = WANT_CALL,
          .from = FROM_CLIENT,
          .call = {.method = STR("Upload"),
                   .send = true,
                   .collect = true,
                   .limit = 100}},
         {.kind = WANT_SEND, .send = STR("A"), .from = FROM_CLIENT},
         FAIL(E_NO_SPACE));
    fake.row.dialect = DIALECT_ENVD;
    fake_request("POST " ENVD " /x", LENGTH_CHUNKED);
    fake.call_full = true;
    fake_client("a");
    fake_said();
    fake_call_cut(E_CUT);
    cr_expect_str_eq(fake_said(),
                     "call free; ANSWER():CUT; op end; all 507 {\"code\":507,"
                     "\"message\":\"no space left in the sandbox\"}\n; "
                     "free; ");
}

static const struct answer_head switched = {.status = 101,
                                            .length = LENGTH_NONE};

#define ALL (FROM_CLIENT | FROM_CALL | FROM_APART)

/* One sandbox is found by what the operation has read; then bytes go both
 * ways, neither way waiting for the other. */
Test(run, finds_a_sandbox_and_tunnels)
{
    PLAY({.kind = WANT_RECORD, .record = STR(FAKE_ID)},
         {.kind = WANT_CALL,
          .from = FROM_CALL,
          .call = {.method = STR("Exec"), .upgrade = true, .stream = true}},
         {.kind = WANT_SAY, .say = {.head = &switched}, .from = ALL},
         SAY("down", ALL), {.kind = WANT_SEND, .send = STR("up"), .from = ALL},
         SAY("more", ALL),
         {.kind = WANT_SEND, .send_end = true, .from = FROM_CALL}, DONE);
    fake.row.credential = CREDENTIAL_KEY;
    fake_request("GET " API " /v1/x\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), "BEGIN; RESULT; call Exec; ");
    fake_call_head(101, LENGTH_NONE);
    cr_expect_str_eq(fake_said(), "HEAD; head 101 Access-Control-Allow-Origin="
                                  "*; resume 4; ");
    /* The client does not read: it may still send. */
    fake.full = true;
    fake_call("1");
    cr_expect_str_eq(fake_said(), "PIECE(1); say down; call pause 1; ");
    fake_client("2");
    cr_expect_str_eq(fake_said(), "CLIENT_PIECE(2); send up; ");
    fake.full = false;
    fake_room();
    cr_expect_str_eq(fake_said(), "call resume 1; ");
    fake_call("3");
    cr_expect_str_eq(fake_said(), "PIECE(3); say more; ");
    fake_client_end();
    cr_expect_str_eq(fake_said(), "CLIENT_END; send end; ");
    fake_call_end();
    cr_expect_str_eq(fake_said(), "call free; END; end; op end; free; ");
}

static void hear_record(struct op *op, const struct op_event *event,
                        struct want *want)
{
    if (event->kind == OP_BEGIN) {
        want->kind = WANT_RECORD;
        want->record = STR(FAKE_ID);
        return;
    }
    want_fail(want, event->err ? event->err : E_INTERNAL,
              op->in.sandbox ? STR("found") : STR("none"));
}

Test(run, does_not_find_what_another_team_has)
{
    static const struct {
        enum found found;
        const char *team, *said;
    } rows[] = {
        {FOUND, NULL, "INTERNAL found"},
        {FOUND, "blue", "INTERNAL none"},
        {ABSENT, NULL, "INTERNAL none"},
        {UNKNOWN, NULL, "STORE none"},
    };

    fake.row.credential = CREDENTIAL_KEY;
    fake.hear = hear_record;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *said;

        fake.sandbox_found = rows[i].found;
        if (rows[i].team)
            memcpy(fake.key.team, rows[i].team, strlen(rows[i].team) + 1);
        fake_request("GET " API " /v1/x\nX-API-Key: " FAKE_KEY, 0);
        said = fake_said();
        cr_expect(strstr(said, i == 0 ? "found" : "none"), "%zu: %s", i, said);
        cr_expect((strstr(said, " 503 ") != NULL) == (i == 3), "%zu: %s", i,
                  said);
        fake_turn();
        fake.key.team[0] = '\0';
        memcpy(fake.key.team, "team", 5);
    }
}

Test(run, does_a_job_and_tells_its_result)
{
    struct op_result result = {.sandbox = NULL};

    PLAY({.kind = WANT_JOB, .job = {.kind = JOB_KILL}}, SAY("ok", 0), DONE);
    fake.row.credential = CREDENTIAL_KEY;
    fake_request("DELETE " API " /x\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), "BEGIN; job 1 of team; ");
    fake_result(E_OK, &result);
    cr_expect_str_eq(fake_said(), "job left; RESULT; " HEAD
                                  "say ok; ROOM; end; op end; free; ");
}

Test(run, leaves_a_job_going_when_the_client_leaves)
{
    PLAY({.kind = WANT_JOB, .job = {.kind = JOB_CREATE}});
    fake.row.credential = CREDENTIAL_KEY;
    fake_request("POST " API " /x\nX-API-Key: " FAKE_KEY, 0);
    fake_gone();
    cr_expect_str_eq(fake_said(),
                     "BEGIN; job 0 of team; op end; job left; free; ");
}

Test(run, tells_an_operation_that_asked_for_it_that_the_client_left)
{
    PLAY({.kind = WANT_CALL, .call = {.method = STR("Run"), .stream = true}},
         NEXT(FROM_CALL), SAY("a", FROM_CALL),
         {.kind = WANT_LIVE, .live = {.kind = LIVE_CONTEXT_INTERRUPT}}, DONE);
    fake.row.gone = GONE_TELL;
    fake_request("POST " ENVD " /x", 0);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_call("1");
    fake_said();
    fake_gone();
    cr_expect_str_eq(fake_said(), "CLIENT_GONE:GONE_CLIENT; order 6; "
                                  "call pause 1; ");
    fake_result(E_OK, NULL);
    cr_expect_str_eq(fake_said(),
                     "RESULT; op end; call free; live free; free; ");
}

Test(run, subscribes_with_back_pressure)
{
    struct op_result result = {.pid = 5};

    PLAY({.kind = WANT_LIVE, .live = {.kind = LIVE_PROCESS_START}},
         SAY("s", FROM_LIVE), SAY("1", FROM_LIVE), SAY("2", FROM_LIVE),
         SAY("e", 0), DONE);
    fake_request("POST " ENVD " /x", 0);
    cr_expect_str_eq(fake_said(), "BEGIN; order 0; ");
    fake_result(E_OK, &result);
    cr_expect_str_eq(fake_said(), "RESULT; " HEAD "say s; ");
    fake_live("one");
    fake.full = true;
    fake_live("two");
    cr_expect_str_eq(fake_said(),
                     "PIECE(one); say 1; PIECE(two); say 2; live pause; ");
    fake_live(NULL);
    cr_expect_str_eq(fake_said(), "");
    fake_room();
    cr_expect_str_eq(fake_said(), "END; say e; ROOM; end; op end; live free; "
                                  "free; ");
}

Test(run, wakes_an_operation_when_it_asked_for_it)
{
    struct want first = NEXT(FROM_LIVE), second = first;

    first.wake_ms = 1500;
    second.wake_ms = 2500;
    play((const struct want[]){first, second, FAIL(E_DEADLINE)}, 3);
    fake.row.dialect = DIALECT_UNARY;
    fake_request("POST " ENVD " /x", 0);
    fake_time(1499);
    cr_expect_str_eq(fake_said(), "BEGIN; ");
    fake_time(1500);
    cr_expect_str_eq(fake_said(), "TIME; ");
    fake_time(2000);
    cr_expect_str_eq(fake_said(), "");
    fake_time(2500);
    cr_expect_str_eq(fake_said(),
                     "TIME; op end; all 504 {\"code\":\"deadline_exceeded\","
                     "\"message\":\"The time limit was reached\"}; free; ");
}

Test(run, lists_records)
{
    PLAY({.kind = WANT_RECORDS}, SAY("ok", 0), DONE);
    fake.row.credential = CREDENTIAL_KEY;
    fake_request("GET " API " /x\nX-API-Key: " FAKE_KEY, 0);
    cr_expect_str_eq(fake_said(), "BEGIN; list of team; RESULT; " HEAD
                                  "say ok; ROOM; end; op end; free; ");
}

Test(run, cuts_a_stream_that_fails_after_its_head)
{
    PLAY({.kind = WANT_CALL, .call = {.method = STR("Exec"), .stream = true}},
         NEXT(FROM_CALL), SAY("a", FROM_CALL), FAIL(E_CUT));
    fake_request("GET " ENVD " /x", 0);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_call("1");
    fake_said();
    fake_call_cut(E_CUT);
    cr_expect_str_eq(fake_said(), "call free; CUT:CUT; op end; cut; free; ");
    cr_expect_eq(fake.worker.metrics.cut, 1);
}

Test(run, cuts_a_passenger_when_the_sandbox_ends)
{
    PLAY({.kind = WANT_CALL, .call = {.method = STR("Exec"), .stream = true}},
         NEXT(FROM_CALL), SAY("a", FROM_CALL));
    fake_request("GET " ENVD " /x", 0);
    /* Before the head: told. */
    fake.passenger->on_kicked(fake.passenger->arg, E_SANDBOX_GONE);
    cr_expect_str_eq(fake_said(),
                     "BEGIN; call Exec; op end; call free; all 502 "
                     "{\"sandboxId\":\"" FAKE_ID
                     "\",\"message\":\"The sandbox was not found\",\"code\":"
                     "502}; free; ");
    fake_turn();
    /* After it: cut. */
    at = 0;
    fake_request("GET " ENVD " /x", 0);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_call("1");
    fake_said();
    fake.passenger->on_kicked(fake.passenger->arg, E_SANDBOX_GONE);
    cr_expect_str_eq(fake_said(), "op end; call free; cut; free; ");
}

Test(run, says_whether_a_failed_job_may_be_repeated)
{
    struct op_result result = {.effect = true};
    const struct exchange *x;

    PLAY({.kind = WANT_JOB, .job = {.kind = JOB_CREATE}},
         FAIL(E_UPSTREAM_DEADLINE));
    fake.row.credential = CREDENTIAL_KEY;
    fake.done_at_once = false;
    fake_request("POST " API " /x\nX-API-Key: " FAKE_KEY, 0);
    x = LIST_OF(fake.worker.open.next, struct exchange, link);
    fake_result(E_UPSTREAM_DEADLINE, &result);
    cr_expect(x->facts & FACT_EFFECT);
    fake_done();
    fake_turn();
    at = 0;
    result.effect = false;
    fake_request("POST " API " /x\nX-API-Key: " FAKE_KEY, 0);
    x = LIST_OF(fake.worker.open.next, struct exchange, link);
    fake_result(E_BACKEND_DOWN, &result);
    cr_expect_not(x->facts & FACT_EFFECT);
    fake_done();
}

Test(run, tells_when_a_limit_of_the_team_has_room_again)
{
    struct op_result result = {0};
    const char *said;

    PLAY({.kind = WANT_JOB, .job = {.kind = JOB_CREATE}},
         {.kind = WANT_FAIL, .err = E_TEAM_FAST, .retry_s = 17});
    fake.row.credential = CREDENTIAL_KEY;
    fake.show_fields = true;
    fake_request("POST " API " /x\nX-API-Key: " FAKE_KEY, 0);
    fake_said();
    fake_result(E_TEAM_FAST, &result);
    said = fake_said();
    cr_expect(strstr(said, "all 429 Content-Type=application/json "), "%s",
              said);
    cr_expect(strstr(said, " Should-Retry=true Retry-After=17 "), "%s", said);
    cr_expect_eq(fake.worker.metrics.limited[1], 1);
}

Test(run, collects_no_further_when_memory_is_used_up)
{
    PLAY({.kind = WANT_BODY});
    fake_request("POST " ENVD " /files", 4);
    fake_said();
    mem_allow(1 << 20);
    fake_client("a");
    cr_expect_str_eq(fake_said(), "");
    mem_allow(0);
    fake_client("b");
    mem_allow(-1);
    cr_expect_str_eq(fake_said(),
                     "op end; close after; all 503 {\"sandboxId\":\"" FAKE_ID
                     "\",\"message\":\"The gateway is short of memory\","
                     "\"code\":503}; free; ");
}

/* A stream may live for hours: pieces take nothing of its arena. */
static void hear_forever(struct op *op, const struct op_event *event,
                         struct want *want)
{
    want->from = FROM_CALL;
    if (event->kind == OP_BEGIN) {
        want->kind = WANT_CALL;
        want->call.method = STR("Exec");
    } else if (event->kind == OP_PIECE) {
        want->kind = WANT_SAY;
        want->say.head = op->in.conf ? &stream : NULL;
        want->say.piece = arena_copy(op->scratch, event->bytes);
    } else {
        want->kind = WANT_NEXT;
    }
}

Test(run, takes_no_memory_for_pieces)
{
    const struct exchange *x;
    size_t used;

    fake.hear = hear_forever;
    fake.sandbox->secure = false;
    fake_request("GET " ENVD " /x", 0);
    fake_call_head(200, LENGTH_CHUNKED);
    fake_call("first");
    fake_said();
    x = LIST_OF(fake.worker.open.next, struct exchange, link);
    used = arena_used(x->arena);
    for (int i = 0; i < 20000; i++) {
        fake_call("a piece of some bytes");
        fake_said();
    }
    cr_expect_eq(arena_used(x->arena), used);
    cr_expect_eq(arena_used(fake.worker.scratch), 0);
}
