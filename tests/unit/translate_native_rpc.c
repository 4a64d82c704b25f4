/* The native door's RPCs and its WebSocket: what is passed on, and how. */
#include "tests/unit/translate_stage.h"

#include "translate/envelope.h"

#define RPC "/sandbox.v1.Sandbox/"

static struct stage s;

/* ---- RPCs ---- */

static const char *const json[] = {"Content-Type", "application/json",
                                   "X-Sandbox-Id", "i0", NULL};
static const char *const proto[] = {"Content-Type", "application/proto",
                                    "X-Sandbox-Id", "i0", NULL};
static const char *const frames[] = {"Content-Type", "application/connect+json",
                                     "X-Sandbox-Id", "i0", NULL};

static void open_rpc(const char *method, const char *const *headers)
{
    stage_open(&s, CLASS_NATIVE, METHOD_POST, method, headers);
    cr_assert_eq(s.found, E_OK, "%s", method);
    stage_tell(&s, OP_BEGIN, NULL);
}

static void found(void)
{
    s.op.in.sandbox = &s.sandbox;
    stage_result(&s, E_OK);
}

Test(native_rpc, names_its_sandbox_by_the_first_header)
{
    static const char *const two[] = {"Content-Type",
                                      "application/json",
                                      "X-Sandbox-Id",
                                      "a",
                                      "x-sandbox-id",
                                      "b",
                                      NULL};
    static const char *const none[] = {"Content-Type", "application/json",
                                       NULL};

    open_rpc(RPC "Stat", two);
    cr_expect_str_eq(stage_line(&s), "record a");
    stage_close(&s);
    open_rpc(RPC "Stat", none);
    cr_expect_str_eq(stage_line(&s), "record ");
    stage_close(&s);
}

Test(native_rpc, types_are_the_four_of_connect)
{
    static const struct {
        const char *method, *type;
        bool ok;
    } rows[] = {
        {RPC "Stat", "application/json", true},
        {RPC "Stat", "application/json; charset=utf-8", true},
        {RPC "Stat", "application/proto", true},
        {RPC "Stat", "application/connect+json", false},
        {RPC "Stat", "application/grpc-web+proto", false},
        {RPC "ExecStream", "application/connect+json", true},
        {RPC "ExecStream", "application/connect+proto", true},
        {RPC "ExecStream", "application/json", false},
        {RPC "ExecStream", "application/grpc", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *headers[] = {"Content-Type", rows[i].type, NULL};

        open_rpc(rows[i].method, headers);
        cr_expect_str_eq(stage_line(&s),
                         rows[i].ok ? "record " : "fail MEDIA_TYPE", "%s %s",
                         rows[i].method, rows[i].type);
        stage_close(&s);
    }
}

/* Another team's id comes to this too: the record is not there. */
Test(native_rpc, an_unknown_sandbox_is_told_as_the_server_tells_it)
{
    static const struct {
        const char *method;
        const char *const *headers;
        const char *line;
    } rows[] = {
        {RPC "Stat", json,
         "say 500 {\"code\":\"internal\",\"message\":\"sandbox i0 has no "
         "stream path\"}\n"},
        {RPC "ExecStream", frames, "unavailable"},
        {RPC "RunCodeStream", frames, "unavailable"},
        {RPC "ReadFile", frames, "internal"},
        {RPC "WriteFile", frames, "internal"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        open_rpc(rows[i].method, rows[i].headers);
        stage_result(&s, E_OK);
        cr_assert_eq(s.want.kind, WANT_SAY);
        if (rows[i].headers == json) {
            cr_expect_str_eq(stage_line(&s), rows[i].line);
        } else {
            struct str text = s.want.say.piece;

            cr_expect_eq(s.want.say.head->status, 200);
            cr_expect_eq(text.p[0], ENVELOPE_END);
            cr_expect(str_find_str(text, str_of(rows[i].line)) < text.n);
            cr_expect(str_find_str(text, STR("has no stream path")) < text.n);
        }
        stage_close(&s);
    }
}

Test(native_rpc, passes_on_a_message_and_its_answer)
{
    static const char *const headers[] = {"Content-Type",
                                          "application/json; charset=utf-8",
                                          "X-Sandbox-Id",
                                          "i0",
                                          "Authorization",
                                          "Bearer k",
                                          "Connect-Timeout-Ms",
                                          "5",
                                          "Accept-Encoding",
                                          "gzip",
                                          "X-Anything",
                                          "y",
                                          NULL};
    struct op_event event = {.kind = OP_ANSWER,
                             .status = 500,
                             .bytes = STR("{\"code\":\"internal\",\"message\":"
                                          "\"x: code = Internal\"}")};
    struct fields fields = {0};

    open_rpc(RPC "List", headers);
    found();
    cr_expect_eq(s.want.kind, WANT_BODY);
    stage_tell(&s, OP_BODY, "{\"parent\":\"/\"}");
    cr_assert_eq(s.want.kind, WANT_CALL);
    cr_expect(str_eq(s.want.call.method, STR("List")));
    cr_expect(str_eq(s.want.call.body, STR("{\"parent\":\"/\"}")));
    cr_expect_eq(s.want.call.slot, SLOT_NONE);
    cr_assert_eq(s.want.call.fields->count, 2, "type and time limit, no key");
    cr_expect(str_eq(s.want.call.fields->at[0].value,
                     STR("application/json; charset=utf-8")));
    cr_assert_eq(fields_add(&fields, s.op.arena, STR("Content-Type"),
                            STR("application/json")),
                 E_OK);
    event.fields = &fields;
    op_hear(&s.op, &event, &s.want);
    cr_expect_str_eq(stage_line(&s),
                     "say 500 {\"code\":\"internal\",\"message\":\"x: code = "
                     "Internal\"}");
    stage_close(&s);
}

#define MISSING \
    "{\"code\":\"internal\",\"message\":\"stat \\\"/x\\\": guest Stat: rpc " \
    "error: code = NotFound desc = No such file or directory (os error 2)\"}"

Test(native_rpc, a_missing_path_is_not_found)
{
    static const struct {
        const char *method;
        int status;
    } rows[] = {{RPC "Stat", 404}, {RPC "List", 404}, {RPC "Remove", 500}};
    struct fields fields = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct op_event event = {.kind = OP_ANSWER,
                                 .status = 500,
                                 .fields = &fields,
                                 .bytes = STR(MISSING)};

        open_rpc(rows[i].method, json);
        found();
        stage_tell(&s, OP_BODY, "{}");
        op_hear(&s.op, &event, &s.want);
        cr_assert_eq(s.want.kind, WANT_SAY);
        cr_expect_eq(s.want.say.head->status, rows[i].status, "%s",
                     rows[i].method);
        cr_expect(str_starts(s.want.say.piece,
                             rows[i].status == 404
                                 ? STR("{\"code\":\"not_found\",\"message\":"
                                       "\"stat ")
                                 : STR("{\"code\":\"internal\"")));
        stage_close(&s);
    }
}

#define NO_DIRECTORY \
    "{\"code\":\"internal\",\"message\":\"list \\\"/a\\\": guest List: rpc " \
    "error: code = Internal desc = list: Not a directory (os error 20); " \
    "x\"}\n"

static const char *answered(int status, const char *body, enum err err)
{
    struct fields fields = {0};
    struct op_event event = {.kind = OP_ANSWER,
                             .status = status,
                             .fields = &fields,
                             .bytes = str_of(body),
                             .err = err};

    op_hear(&s.op, &event, &s.want);
    return stage_line(&s);
}

/* What the server's own client asks when it wants to know of a file. */
Test(native_rpc, a_file_is_listed_as_itself)
{
    static const struct {
        int status;
        const char *stat;
        enum err err;
        const char *line;
    } rows[] = {
        {200, "{\"name\":\"a\",\"path\":\"/a\"}", E_OK,
         "say 200 {\"entries\":[{\"name\":\"a\",\"path\":\"/a\"}]}\n"},
        {500, NO_DIRECTORY, E_OK, "say 404 {\"code\":\"not_found\","},
        {500, MISSING, E_OK, "say 404 {\"code\":\"not_found\","},
        {500, "{\"code\":\"internal\",\"message\":\"x\"}", E_OK,
         "say 500 {\"code\":\"internal\",\"message\":\"list "},
        {0, "", E_CUT, "say 500 {\"code\":\"internal\",\"message\":\"list "},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        open_rpc(RPC "List", json);
        found();
        stage_tell(&s, OP_BODY, "{\"parent\":\"/a\"}");
        answered(500, NO_DIRECTORY, E_OK);
        cr_assert_eq(s.want.kind, WANT_CALL);
        cr_expect(str_eq(s.want.call.method, STR("Stat")));
        cr_expect(str_eq(s.want.call.body, STR("{\"path\":\"/a\"}")));
        cr_expect(str_starts(str_of(answered(rows[i].status, rows[i].stat,
                                             rows[i].err)),
                             str_of(rows[i].line)),
                  "%zu", i);
        stage_close(&s);
    }
    open_rpc(RPC "List", proto); /* not read */
    found();
    stage_tell(&s, OP_BODY, "x");
    cr_expect(
        str_starts(str_of(answered(500, NO_DIRECTORY, E_OK)), STR("say 500 ")));
    stage_close(&s);
}

/* A stream's answer in pieces; what came out, one text. */
static void play(const char *method, struct str answer, size_t piece,
                 struct buf *out)
{
    struct fields fields = {0};
    struct op_event head = {.kind = OP_HEAD, .status = 200, .fields = &fields};

    open_rpc(method, frames);
    found();
    stage_tell(&s, OP_BODY, "frame");
    cr_assert_eq(s.want.kind, WANT_CALL);
    cr_expect(s.want.call.stream);
    op_hear(&s.op, &head, &s.want);
    cr_assert_eq(s.want.kind, WANT_SAY);
    cr_expect_eq(s.want.say.head->status, 200);
    while (answer.n) {
        size_t n = answer.n < piece ? answer.n : piece;

        stage_tell_bytes(&s, OP_PIECE, str_from(answer.p, n));
        if (s.want.kind == WANT_SAY)
            buf_put(out, s.want.say.piece);
        answer = str_after(answer, n);
    }
    stage_tell(&s, OP_END, NULL);
    if (s.want.kind == WANT_SAY) {
        buf_put(out, s.want.say.piece);
        cr_expect_eq(s.want.from, 0);
        stage_tell(&s, OP_ROOM, NULL);
    }
    cr_expect_eq(s.want.kind, WANT_DONE);
    stage_close(&s);
}

Test(native_rpc, streams_are_passed_on_and_a_missing_file_is_not_found)
{
    static const struct {
        const char *method, *data, *code, *message, *want;
    } rows[] = {
        {RPC "ReadFile", NULL, "internal", "code = NotFound desc = x",
         "not_found"},
        {RPC "ReadFile", NULL, "internal", "code = Internal", "internal"},
        {RPC "ReadFile", "{\"data\":\"YQ==\"}", "internal",
         "code = NotFound desc = x", "internal"},
        {RPC "ExecStream", NULL, "unavailable", "code = NotFound",
         "unavailable"},
        {RPC "ReadFile", "{\"eof\":true}", NULL, "", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t piece = 1; piece < 80; piece += 13) {
            struct buf in, want, out;

            buf_init(&in, 4096);
            buf_init(&want, 4096);
            buf_init(&out, 4096);
            if (rows[i].data) {
                envelope_put(&in, 0, str_of(rows[i].data));
                envelope_put(&want, 0, str_of(rows[i].data));
            }
            envelope_put_end(&in, rows[i].code, str_of(rows[i].message));
            envelope_put_end(&want, rows[i].want, str_of(rows[i].message));
            play(rows[i].method, buf_str(&in), piece, &out);
            cr_expect(str_eq(buf_str(&out), buf_str(&want)), "row %zu, %zu", i,
                      piece);
            buf_clear(&in);
            buf_clear(&want);
            buf_clear(&out);
        }
}

Test(native_rpc, a_cut_stream_is_cut)
{
    struct fields fields = {0};
    struct op_event head = {.kind = OP_HEAD, .status = 200, .fields = &fields};
    struct op_event cut = {.kind = OP_CUT, .err = E_SANDBOX_GONE};

    open_rpc(RPC "ExecStream", frames);
    found();
    stage_tell(&s, OP_BODY, "frame");
    cr_expect_eq(s.want.call.slot, SLOT_EXEC);
    op_hear(&s.op, &head, &s.want);
    op_hear(&s.op, &cut, &s.want);
    cr_expect_str_eq(stage_line(&s), "fail SANDBOX_GONE");
    stage_close(&s);
}

Test(native_rpc, what_a_client_streams_goes_on_as_it_comes)
{
    open_rpc(RPC "WriteFile", frames);
    found();
    cr_assert_eq(s.want.kind, WANT_CALL);
    cr_expect(s.want.call.send);
    cr_expect_eq(s.want.from, FROM_CLIENT | FROM_CALL);
    stage_tell(&s, OP_CLIENT_PIECE, "abc");
    cr_expect_eq(s.want.kind, WANT_SEND);
    cr_expect(str_eq(s.want.send, STR("abc")));
    cr_expect_eq(s.want.from, FROM_CLIENT | FROM_CALL);
    stage_tell(&s, OP_CLIENT_END, NULL);
    cr_expect_eq(s.want.kind, WANT_SEND);
    cr_expect(s.want.send_end);
    cr_expect_eq(s.want.from, FROM_CALL);
    stage_close(&s);
}

/* ---- the WebSocket ---- */

static void open_socket(const char *target, bool upgrade)
{
    static const char *const headers[] = {"Upgrade",
                                          "websocket",
                                          "Sec-WebSocket-Version",
                                          "13",
                                          "Sec-WebSocket-Key",
                                          "k",
                                          "Sec-WebSocket-Protocol",
                                          "p",
                                          "Authorization",
                                          "Bearer k",
                                          "Cookie",
                                          "c",
                                          "Origin",
                                          "o",
                                          NULL};

    stage_open(&s, CLASS_NATIVE, METHOD_GET, target, headers);
    s.head.upgrade = upgrade;
    stage_tell(&s, OP_BEGIN, NULL);
}

static const struct {
    const char *target;
    bool upgrade;
    const char *line;
} sockets[] = {
    {RPC "Exec?sandbox=a", true, "record a"},
    {RPC "Exec?x=1&sandbox=a&sandbox=b", true, "record a"},
    {RPC "Exec?sandbox=a%2db", true, "record a-b"},
    {RPC "Exec?Sandbox=a", true,
     "fail BAD_FIELD: missing sandbox query parameter"},
    {RPC "Exec", true, "fail BAD_FIELD: missing sandbox query parameter"},
    {RPC "Exec?sandbox=", true,
     "fail BAD_FIELD: missing sandbox query parameter"},
    {RPC "Exec?sandbox=a", false,
     "say 426 This path is served as a WebSocket only\n"},
};

Test(native_rpc, a_socket_names_its_sandbox_by_the_first_of_its_query)
{
    for (size_t i = 0; i < sizeof(sockets) / sizeof(*sockets); i++) {
        open_socket(sockets[i].target, sockets[i].upgrade);
        cr_expect_str_eq(stage_line(&s), sockets[i].line, "%s",
                         sockets[i].target);
        stage_close(&s);
    }
}

Test(native_rpc, a_socket_is_a_tunnel_after_101)
{
    struct fields fields = {0};
    struct op_event head = {.kind = OP_HEAD, .status = 101, .fields = &fields};
    unsigned all = FROM_CLIENT | FROM_CALL | FROM_APART;

    open_socket(RPC "Exec?sandbox=i0", true);
    found();
    cr_assert_eq(s.want.kind, WANT_CALL);
    cr_expect(s.want.call.upgrade);
    cr_expect(str_eq(s.want.call.path, STR(RPC "Exec?sandbox=i0")));
    cr_expect_eq(s.want.call.slot, SLOT_EXEC);
    cr_expect_eq(s.want.call.fields->count, 4, "the handshake's own, no key");
    cr_expect_eq(s.want.from, FROM_CALL);
    op_hear(&s.op, &head, &s.want);
    cr_assert_eq(s.want.kind, WANT_SAY);
    cr_expect_eq(s.want.say.head->length, LENGTH_NONE);
    cr_expect_eq(s.want.from, all);
    stage_tell(&s, OP_PIECE, "down");
    cr_expect_eq(s.want.kind, WANT_SAY);
    cr_expect_eq(s.want.from, all);
    stage_tell(&s, OP_CLIENT_PIECE, "up");
    cr_expect_eq(s.want.kind, WANT_SEND);
    cr_expect_eq(s.want.from, all);
    stage_tell(&s, OP_CLIENT_END, NULL);
    cr_expect(s.want.send_end);
    cr_expect_eq(s.want.from, FROM_CALL);
    stage_tell(&s, OP_END, NULL);
    cr_expect_eq(s.want.kind, WANT_DONE);
    stage_close(&s);
}

Test(native_rpc, an_unknown_sandbox_is_told_before_the_upgrade)
{
    struct op_event cut = {.kind = OP_CUT, .err = E_SANDBOX_GONE};

    open_socket(RPC "Exec?sandbox=no", true);
    stage_result(&s, E_OK);
    cr_expect_str_eq(
        stage_line(&s),
        "fail SANDBOX_GONE: sandbox no not found or not registered");
    stage_close(&s);
    open_socket(RPC "Exec?sandbox=i0", true);
    found();
    op_hear(&s.op, &cut, &s.want);
    cr_expect_str_eq(
        stage_line(&s),
        "fail SANDBOX_GONE: sandbox i0 not found or not registered");
    stage_close(&s);
}
