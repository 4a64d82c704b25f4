/* translate_proto.c - tests of heads and bodies of Connect requests. */
#include "translate/proto.h"

#include <criterion/criterion.h>

#include "tests/unit/translate_stage.h"

/* ---- heads ---- */

static const char *const plain[] = {"Content-Type", "application/json", NULL};

/* What a List with these fields comes to, beside a good content type. */
static const char *listed(const char *name, const char *value)
{
    static char line[4096];
    const char *fields[] = {"Content-Type", "application/json", name, value,
                            NULL};
    struct stage s;

    stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/List", fields);
    stage_have(&s);
    stage_send(&s, "{}");
    snprintf(line, sizeof(line), "%s",
             s.want.kind == WANT_LIVE ? "good" : stage_line(&s));
    stage_close(&s);
    return line;
}

Test(proto, heads_are_judged_as_the_daemon_does)
{
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        {"Connect-Protocol-Version", "1", "good"},
        {"Connect-Protocol-Version", "", "good"},
        {"Connect-Protocol-Version", "2",
         "fail INVALID: Connect-Protocol-Version must be \"1\": got \"2\""},
        {"Connect-Timeout-Ms", "60000", "good"},
        {"Connect-Timeout-Ms", "", "good"},
        {"Connect-Timeout-Ms", "9999999999", "good"},
        {"Connect-Timeout-Ms", "10000000000",
         "fail INVALID: parse timeout: \"10000000000\" has >10 digits"},
        {"Connect-Timeout-Ms", "x",
         "fail INVALID: parse timeout: strconv.ParseInt: parsing \"x\": "
         "invalid syntax"},
        {"Connect-Timeout-Ms", "0", "fail DEADLINE: context deadline exceeded"},
        {"Connect-Timeout-Ms", "-1",
         "fail DEADLINE: context deadline exceeded"},
        {"Content-Encoding", "identity", "good"},
        {"Content-Encoding", "", "good"},
        {"Content-Encoding", "br",
         "say 415 {\"code\":\"unimplemented\",\"message\":\"unknown "
         "compression \\\"br\\\": supported encodings are identity\"}"},
        {"Authorization", "Basic cm9vdDo=", "good"},
        {"Authorization", "basic cm9vdDpwdw==", "good"},
        {"Authorization", "Basic *", "good"},
        {"Authorization", "Basic cm9vdA==", "good"},
        {"Authorization", "Bearer x", "good"},
        {"Authorization",
         "Basic Og==", "fail UNAUTHENTICATED: invalid username: ''"},
        {"Authorization",
         "Basic MTAwMDo=", "fail UNAUTHENTICATED: invalid username: '1000'"},
        {"Keepalive-Ping-Interval", "-1", "good"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_str_eq(listed(rows[i].name, rows[i].value), rows[i].want,
                         "%s: %s", rows[i].name, rows[i].value);
}

Test(proto, content_types_are_exact)
{
    static const struct {
        const char *type;
        bool good;
    } rows[] = {
        {"application/json", true},
        {"application/json; charset=utf-8", true},
        {"Application/JSON;charset=UTF-8", true},
        {"application/json; charset=latin1", false},
        {"application/connect+json", false},
        {"application/proto", false},
        {"text/plain", false},
        {"", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *fields[] = {"Content-Type", rows[i].type, NULL};
        struct stage s;

        stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/List",
                   fields);
        stage_have(&s);
        stage_send(&s, "{}");
        cr_expect_str_eq(s.want.kind == WANT_LIVE ? "good" : stage_line(&s),
                         rows[i].good ? "good" : "say 415 ", "%s",
                         rows[i].type);
        stage_close(&s);
    }
}

static int64_t keepalive_of(const char *value)
{
    const char *fields[] = {"Content-Type", "application/json",
                            value ? "Keepalive-Ping-Interval" : NULL, value,
                            NULL};
    struct proto_head head;
    struct stage s;
    bool good;

    stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/List", fields);
    stage_have(&s);
    good = proto_head(&s.op, false, &head, &s.want);
    stage_close(&s);
    return good ? head.keepalive_ms : -1;
}

Test(proto, keepalive_intervals_are_clamped)
{
    cr_expect_eq(keepalive_of(NULL), 90000);
    cr_expect_eq(keepalive_of("50"), 50000);
    cr_expect_eq(keepalive_of("0"), 1000);
    cr_expect_eq(keepalive_of("-5"), 1000);
    cr_expect_eq(keepalive_of("0.5"), 90000);
    cr_expect_eq(keepalive_of("abc"), 90000);
    cr_expect_eq(keepalive_of(""), 90000);
    cr_expect_eq(keepalive_of("999999999999"), 86400000);
}

/* ---- bodies ---- */

/* What SendSignal makes of a body. */
static const char *signalled(const char *body)
{
    static char line[4096];
    struct stage s;

    stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/SendSignal",
               plain);
    stage_have(&s);
    stage_send(&s, body);
    if (s.want.kind == WANT_LIVE)
        snprintf(line, sizeof(line), "%u %.*s %d", s.want.live.pid,
                 (int)s.want.live.tag.n,
                 s.want.live.tag.p ? s.want.live.tag.p : "",
                 s.want.live.signal);
    else
        snprintf(line, sizeof(line), "%s", stage_line(&s));
    stage_close(&s);
    return line;
}

#define WRONG "fail INVALID: unmarshal message: "
#define NO_OBJECT WRONG "not one JSON object in valid UTF-8"

Test(proto, bodies_are_read_as_the_daemon_reads_them)
{
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"{\"process\":{\"pid\":7},\"signal\":\"SIGNAL_SIGKILL\"}", "7  9"},
        {"{\"process\":{\"pid\":\"7\"},\"signal\":15}", "7  15"},
        {"{\"process\":{\"pid\":7e0},\"signal\":\"SIGNAL_SIGTERM\",\"x\":[1]}",
         "7  15"},
        {"{\"process\":{\"tag\":\"t\"},\"signal\":9} \n", "0 t 9"},
        {"{\"process\":{\"pid\":7},\"signal\":\"SIGNAL_SIGINT\"}", "7  0"},
        {"{\"process\":{\"pid\":7,\"tag\":null}}", "7  0"},
        {"{\"Process\":{\"pid\":7}}",
         "fail UNIMPLEMENTED: invalid input type *process.ProcessSelector"},
        {"{}",
         "fail UNIMPLEMENTED: invalid input type *process.ProcessSelector"},
        {"{\"process\":{\"pid\":-1}}",
         WRONG "invalid value for uint32 field pid"},
        {"{\"process\":{\"pid\":1.5}}",
         WRONG "invalid value for uint32 field pid"},
        {"{\"process\":{\"pid\":4294967296}}",
         WRONG "invalid value for uint32 field pid"},
        {"{\"process\":{\"pid\":7,\"tag\":\"t\"}}",
         WRONG "both members of the oneof selector are set"},
        {"{\"process\":[]}", WRONG "invalid value for message field process"},
        {"{\"process\":{\"pid\":1},\"process\":{\"pid\":2}}", NO_OBJECT},
        {"", WRONG "zero-length payload is not a valid JSON object"},
        {"null", NO_OBJECT},
        {"[]", NO_OBJECT},
        {"{\"process\":", NO_OBJECT},
        {"{}x", NO_OBJECT},
        {"{}{}", NO_OBJECT},
        {"{\"a\":1,}", NO_OBJECT},
        {"\xef\xbb\xbf{}", NO_OBJECT},
        {"{\"a\":\"\xff\"}", NO_OBJECT},
        {"{\"a\":\"\\ud800\"}", NO_OBJECT},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_str_eq(signalled(rows[i].body), rows[i].want, "%s",
                         rows[i].body);
}

Test(proto, names_may_be_snake_case_but_not_both)
{
    static const struct {
        const char *json;
        const char *want;
        bool fault;
    } rows[] = {
        {"{\"watcherId\":\"a\"}", "a", false},
        {"{\"watcher_id\":\"b\"}", "b", false},
        {"{\"watcher_id\":\"b\",\"watcherId\":\"a\"}", "a", true},
        {"{\"watcherId\":null}", "", false},
        {"{\"watcherId\":5}", "", true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct proto p;
        struct stage s;
        struct str text;

        stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/List", plain);
        cr_assert(proto_open(&s.op, false, str_of(rows[i].json), &p, &s.want));
        text = proto_text(&p, p.message, "watcherId", NULL);
        cr_expect(str_eq(text, str_of(rows[i].want)), "%s", rows[i].json);
        cr_expect_eq(proto_close(&p, &s.want), !rows[i].fault, "%s",
                     rows[i].json);
        stage_close(&s);
    }
}

Test(proto, bytes_are_taken_in_both_alphabets)
{
    static const char json[] = "{\"a\":\"_-8\",\"b\":\"/+8=\",\"c\":\"\"}";
    struct stage s;
    struct proto p;
    bool set;

    stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/List", plain);
    cr_assert(proto_open(&s.op, false, str_of(json), &p, &s.want));
    cr_expect(str_eq(proto_bytes(&p, p.message, "a", NULL), STR("\xff\xef")));
    cr_expect(str_eq(proto_bytes(&p, p.message, "b", NULL), STR("\xff\xef")));
    cr_expect_eq(proto_bytes(&p, p.message, "c", &set).n, 0);
    cr_expect(set);
    cr_expect_eq(proto_bytes(&p, p.message, "d", &set).n, 0);
    cr_expect_not(set);
    cr_expect(proto_close(&p, &s.want));
    stage_close(&s);
}

/* ---- envelopes ---- */

Test(proto, a_stream_has_exactly_one_message)
{
    static const struct {
        const char *name;
        struct str body;
        const char *want; /* NULL: good */
    } rows[] = {
        {"one", {"\0\0\0\0\x02{}", 7}, NULL},
        {"empty", {"\0\0\0\0\0", 5}, NULL},
        {"one and an end frame", {"\0\0\0\0\x02{}\x02\0\0\0\x02{}", 14}, NULL},
        {"none",
         {"", 0},
         "fail UNIMPLEMENTED: unary request has zero messages"},
        {"two",
         {"\0\0\0\0\x02{}\0\0\0\0\x02{}", 14},
         "fail UNIMPLEMENTED: unary request has multiple messages"},
        {"short prefix",
         {"\0\0\0", 3},
         "fail INVALID: protocol error: incomplete envelope: unexpected EOF"},
        {"cut",
         {"\0\0\0\0\x05{}", 7},
         "fail INVALID: protocol error: promised 5 bytes in enveloped "
         "message, got 2 bytes"},
        {"flag 4",
         {"\x04\0\0\0\x02{}", 7},
         "fail INTERNAL: protocol error: invalid envelope flags 4"},
        {"flag 128",
         {"\x80\0\0\0\x02{}", 7},
         "fail INTERNAL: protocol error: invalid envelope flags 128"},
        {"compressed",
         {"\x01\0\0\0\x02{}", 7},
         "fail INTERNAL: protocol error: sent compressed message without "
         "compression support"},
        {"4 GiB",
         {"\0\xff\xff\xff\xff{}", 7},
         "fail EXHAUSTED: message size 4294967295 is larger than the limit "
         "of 16777216"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct stage s;
        struct proto p;

        stage_open(&s, CLASS_ENVD, METHOD_POST, "/process.Process/Start",
                   plain);
        if (proto_open(&s.op, true, rows[i].body, &p, &s.want)) {
            cr_expect_null(rows[i].want, "%s", rows[i].name);
            cr_expect(proto_close(&p, &s.want));
        } else {
            cr_assert_not_null(rows[i].want, "%s: %s", rows[i].name,
                               stage_line(&s));
            cr_expect_str_eq(stage_line(&s), rows[i].want, "%s", rows[i].name);
        }
        stage_close(&s);
    }
}
