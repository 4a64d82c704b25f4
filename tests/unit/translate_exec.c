/* translate_exec.c - tests of commands as ExecStream calls and back. */
#include "translate/exec.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"

static struct arena *arena;

static void open_arena(void)
{
    cr_assert_eq(arena_new(64 << 20, &arena), E_OK);
}

static void close_arena(void)
{
    arena_free(&arena);
}

TestSuite(exec, .init = open_arena, .fini = close_arena);

/* ---- frames as recorded ---- */

/* What jansson makes of an output frame; absent for any other. */
static struct str by_jansson(struct str payload, bool *to_stderr)
{
    struct str text = STR_NONE;
    json_t *json;

    if (json_read(payload, &json_limits_rpc, &json))
        return text;
    *to_stderr = json_str(json, "stderr").p != NULL;
    text = json_str(json, *to_stderr ? "stderr" : "stdout");
    text = arena_copy(arena, text);
    json_decref(json);
    return text;
}

static void compare(unsigned flags, struct str payload, unsigned *outputs)
{
    bool to_stderr = false, also = false;
    struct str base64 = STR_NONE;
    struct str want = flags ? STR_NONE : by_jansson(payload, &also);
    bool scanned = !flags && exec_scan(payload, &to_stderr, &base64);
    struct exec_frame frame;

    cr_expect_eq(scanned, want.p != NULL, "%.*s", STR_FMT(payload));
    if (scanned) {
        cr_expect(str_eq(base64, want), "%.*s", STR_FMT(payload));
        cr_expect_eq(to_stderr, also);
        ++*outputs;
    }
    cr_expect_eq(exec_read(flags, payload, false, arena, &frame), E_OK, "%.*s",
                 STR_FMT(payload));
    cr_expect_eq(frame.kind == EXEC_OUTPUT, scanned);
    cr_expect(frame.kind != EXEC_OTHER, "%.*s", STR_FMT(payload));
}

Test(exec, the_scanner_and_jansson_read_recorded_frames_alike)
{
    FILE *file = fopen(DATA_DIR "/exec-frames.txt", "r");
    unsigned frames = 0, outputs = 0;
    char line[65536];

    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file)) {
        struct str text = str_of(line);

        if (line[0] == '#')
            continue;
        text.n -= text.p[text.n - 1] == '\n';
        compare((unsigned)(line[0] - '0'), str_after(text, 2), &outputs);
        frames++;
    }
    fclose(file);
    cr_expect_gt(frames, 150);
    cr_expect_gt(outputs, 60);
}

Test(exec, the_scanner_takes_blanks_and_nothing_that_is_not_base64)
{
    static const struct {
        const char *payload;
        const char *want; /* NULL: left to jansson */
    } rows[] = {
        {"{\"stdout\":\"aGkK\"}", "aGkK"},
        {"{ \"stdout\" : \"aGkK\" } ", "aGkK"},
        {"{\"stderr\":\"\"}", ""},
        {"{\"stdout\":\"aA==\"}", "aA=="},
        {"{\"stdout\":\"aAA=\"}", "aAA="},
        {"{\"stdout\":\"a===\"}", NULL},
        {"{\"stdout\":\"aG\"}", NULL},
        {"{\"stdout\":\"a=Gk\"}", NULL},
        {"{\"stdout\":\"aG-_\"}", NULL},
        {"{\"stdout\":\"aG\\u006b\"}", NULL},
        {"{\"stdout\":\"aGkK\",\"x\":1}", NULL},
        {"{\"stdout\":\"aGkK\"}}", NULL},
        {"{\"stdin\":\"aGkK\"}", NULL},
        {"{\"stdout\":null}", NULL},
        {"{\"stdout\":\"aGkK", NULL},
        {"{}", NULL},
        {"", NULL},
        {"{\"stdout", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        bool to_stderr;
        struct str base64;
        bool good = exec_scan(str_of(rows[i].payload), &to_stderr, &base64);

        cr_expect_eq(good, rows[i].want != NULL, "%s", rows[i].payload);
        if (good)
            cr_expect(str_eq(base64, str_of(rows[i].want)));
    }
}

Test(exec, output_of_other_alphabets_is_written_anew)
{
    struct exec_frame frame;

    cr_assert_eq(
        exec_read(0, STR("{\"stdout\":\"_-8\"}"), false, arena, &frame), E_OK);
    cr_expect(str_eq(frame.base64, STR("/+8=")));
    cr_expect_eq(exec_read(0, STR("{\"stdout\":\"!\"}"), false, arena, &frame),
                 E_BACKEND_GARBAGE);
    cr_expect_eq(exec_read(0, STR("{\"stdout\":5}"), false, arena, &frame),
                 E_BACKEND_GARBAGE);
    cr_expect_eq(exec_read(0, STR("<html>"), false, arena, &frame),
                 E_BACKEND_GARBAGE);
    cr_expect_eq(exec_read(1, STR("{}"), false, arena, &frame),
                 E_BACKEND_GARBAGE);
    cr_expect_eq(exec_read(0, STR("{\"new\":{}}"), false, arena, &frame), E_OK);
    cr_expect_eq(frame.kind, EXEC_OTHER);
}

/* ---- the wrapper's line ---- */

Test(exec, the_line_with_the_pid_is_cut_off)
{
    static const struct {
        const char *name;
        const char *plain;
        enum exec_kind kind;
        uint32_t pid;
        const char *rest;
        enum err err;
        const char *detail;
    } rows[] = {
        {"alone",
         "\036"
         "15\n",
         EXEC_PID, 15, "", E_OK, NULL},
        {"with the command's own",
         "\036"
         "15\nerr\n",
         EXEC_PID, 15, "err\n", E_OK, NULL},
        {"after a warning",
         "sh: odd\n\036"
         "7\nx",
         EXEC_PID, 7, "sh: odd\nx", E_OK, NULL},
        {"not yet", "sh: odd\n", EXEC_OUTPUT, 0, "sh: odd\n", E_OK, NULL},
        {"unknown user", "\036!user bob\n", EXEC_REFUSED, 0, "",
         E_UNAUTHENTICATED, "invalid username: 'bob'"},
        {"no directory", "\036!cwd /a b\n", EXEC_REFUSED, 0, "", E_INVALID,
         "cwd '/a b' does not exist"},
        {"a directory with a line end", "\036!cwd /a\nb\n", EXEC_REFUSED, 0, "",
         E_INVALID, "cwd '/a\nb' does not exist"},
        {"closed directory", "\036!dir /root\n", EXEC_REFUSED, 0, "", E_INVALID,
         "cwd '/root' is not a directory that the user may enter"},
        {"no setpriv", "\036!setpriv\n", EXEC_REFUSED, 0, "", E_PRECONDITION,
         "the sandbox has no setpriv: commands can run as root alone"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct exec_frame frame;
        struct buf b, text;

        buf_init(&b, 4096);
        buf_init(&text, 4096);
        buf_put(&b, STR("{\"stderr\": \""));
        encode_base64(&b, str_of(rows[i].plain));
        buf_put(&b, STR("\"}"));
        cr_assert_eq(exec_read(0, buf_str(&b), true, arena, &frame), E_OK);
        cr_expect_eq(frame.kind, rows[i].kind, "%s", rows[i].name);
        cr_expect_eq(frame.pid, rows[i].pid, "%s", rows[i].name);
        cr_expect_eq(frame.err, rows[i].err, "%s", rows[i].name);
        if (rows[i].detail)
            cr_expect(str_eq(frame.detail, str_of(rows[i].detail)), "%.*s",
                      STR_FMT(frame.detail));
        else
            cr_expect(decode_base64(&text, frame.base64, false) &&
                          str_eq(buf_str(&text), str_of(rows[i].rest)),
                      "%s", rows[i].name);
        buf_clear(&text);
        buf_clear(&b);
    }
}

Test(exec, a_line_that_is_no_pid_is_garbage)
{
    static const char *const rows[] = {"\036\n",
                                       "\036"
                                       "0\n",
                                       "\036"
                                       "12",
                                       "\036-1\n",
                                       "\036"
                                       "99999999999\n",
                                       "\036!what\n"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct exec_frame frame;
        struct buf b;

        buf_init(&b, 4096);
        buf_put(&b, STR("{\"stderr\":\""));
        encode_base64(&b, str_of(rows[i]));
        buf_put(&b, STR("\"}"));
        cr_expect_eq(exec_read(0, buf_str(&b), true, arena, &frame),
                     E_BACKEND_GARBAGE, "row %zu", i);
        buf_clear(&b);
    }
}

Test(exec, exits_and_ends_are_told)
{
    struct exec_frame frame;

    cr_assert_eq(exec_read(0, STR("{\"exit\":{\"execTimeMs\":5.2}}"), false,
                           arena, &frame),
                 E_OK);
    cr_expect_eq(frame.kind, EXEC_EXIT);
    cr_expect_eq(frame.exit_code, 0);
    cr_assert_eq(
        exec_read(0, STR("{\"exit\":{\"exitCode\":-1}}"), true, arena, &frame),
        E_OK);
    cr_expect_eq(frame.exit_code, -1);
    cr_assert_eq(exec_read(0,
                           STR("{\"exit\":{\"exitCode\":1,\"error\":\"exec "
                               "stream read error: guest exec failed: start: "
                               "Argument list too long (os error 7)\"}}"),
                           true, arena, &frame),
                 E_OK);
    cr_expect_eq(frame.err, E_INVALID);
    cr_expect(frame.detail.p);
    cr_assert_eq(exec_read(2, STR("{}"), false, arena, &frame), E_OK);
    cr_expect_eq(frame.kind, EXEC_END);
    cr_expect_eq(frame.err, E_OK);
    cr_assert_eq(exec_read(2,
                           STR("{\"error\":{\"code\":\"unavailable\","
                               "\"message\":\"guest exec open failed: sandbox "
                               "\\\"sb1\\\" is at its concurrent exec-stream "
                               "limit\"}}"),
                           true, arena, &frame),
                 E_OK);
    cr_expect_eq(frame.err, E_SLOTS);
}

/* ---- what goes out ---- */

Test(exec, event_frames_are_the_daemons_to_the_byte)
{
    static const struct {
        int exit_code, signal;
        const char *want;
    } rows[] = {
        {0, 0,
         "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status "
         "0\"}}}"},
        {3, 0,
         "{\"event\":{\"end\":{\"exitCode\":3,\"exited\":true,\"status\":"
         "\"exit status 3\",\"error\":\"exit status 3\"}}}"},
        {-1, 9,
         "{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: killed\","
         "\"error\":\"signal: killed\"}}}"},
        {-1, 15,
         "{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: "
         "terminated\",\"error\":\"signal: terminated\"}}}"},
        {0, 37,
         "{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: signal "
         "37\",\"error\":\"signal: signal 37\"}}}"},
    };
    struct buf b;

    buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        buf_empty(&b);
        exec_put_exit(&b, rows[i].exit_code, rows[i].signal);
        cr_expect(str_eq(str_after(buf_str(&b), 5), str_of(rows[i].want)),
                  "%.*s", STR_FMT(str_after(buf_str(&b), 5)));
    }
    buf_empty(&b);
    exec_put_start(&b, 1234);
    exec_put_keepalive(&b);
    exec_put_output(&b, false, STR("aGkK"));
    exec_put_output(&b, true, STR("ZQ=="));
    cr_expect(str_eq(buf_str(&b),
                     STR("\0\0\0\0\x20{\"event\":{\"start\":{\"pid\":1234}}}"
                         "\0\0\0\0\x1a{\"event\":{\"keepalive\":{}}}"
                         "\0\0\0\0\x24{\"event\":{\"data\":{\"stdout\":"
                         "\"aGkK\"}}}"
                         "\0\0\0\0\x24{\"event\":{\"data\":{\"stderr\":"
                         "\"ZQ==\"}}}")));
    buf_clear(&b);
}

/* ---- the request ---- */

static json_t *request(const struct process_config *c, const char *envs)
{
    struct sandbox s = {
        .id = STR("i1"), .template_id = STR("base"), .envs = str_of(envs)};
    struct str body, why;
    json_t *json;

    cr_assert_eq(exec_request(c, &s, NULL, arena, &body, &why), E_OK);
    cr_assert_eq(
        json_read(str_after(body, ENVELOPE_HEAD), &json_limits_rpc, &json),
        E_OK);
    return json;
}

/* The last value of that name counts, as at the server. */
static struct str variable(const json_t *request, const char *name)
{
    const json_t *env = json_object_get(request, "env");
    struct str value = STR_NONE;

    for (size_t i = 0; i < json_array_size(env); i++) {
        const json_t *row = json_array_get(env, i);

        if (str_eq(json_str(row, "key"), str_of(name)))
            value = json_str(row, "value");
    }
    return value;
}

Test(exec, a_request_layers_its_variables_and_quotes_nothing)
{
    struct str args[] = {STR("-c"), STR("echo 'x' \"$y\"\n")};
    struct str names[] = {STR("A"), STR("PATH"), STR("HOME"), STR("_sg_u"),
                          STR("E2B_SANDBOX_ID")};
    struct str values[] = {STR("call"), STR("/p"), STR("/h"), STR("root"),
                           STR("mine")};
    struct process_config c = {.cmd = STR("/bin/sh"),
                               .args = args,
                               .arg_count = 2,
                               .env_names = names,
                               .env_values = values,
                               .env_count = 5,
                               .cwd = STR("~/w"),
                               .user = STR("user")};
    json_t *r = request(&c, "{\"A\":\"create\",\"E2B_SANDBOX\":\"no\"}");
    struct str command = json_str(r, "command");

    cr_expect(str_eq(variable(r, "A"), STR("call")));
    cr_expect(str_eq(variable(r, "E2B_SANDBOX"), STR("true")));
    cr_expect(str_eq(variable(r, "E2B_SANDBOX_ID"), STR("mine")));
    cr_expect(str_eq(variable(r, "E2B_TEMPLATE_ID"), STR("base")));
    cr_expect(str_eq(variable(r, "HOME"), STR("/h")));
    cr_expect(str_eq(variable(r, "_sg_p"), STR("/p")));
    cr_expect(str_eq(variable(r, "_sg_u"), STR("user")));
    cr_expect(str_eq(variable(r, "_sg_c"), STR("w")));
    cr_expect(str_eq(variable(r, "_sg_0"), STR("/bin/sh")));
    cr_expect(str_eq(variable(r, "_sg_2"), args[1]));
    cr_expect_eq(str_find_str(command, STR("HOME=")), command.n);
    cr_expect_lt(str_find_str(command, STR("USER=")), command.n);
    cr_expect_eq(json_integer_value(json_object_get(r, "timeoutSeconds")),
                 86400);
    json_decref(r);
}

Test(exec, what_cannot_be_started_is_told)
{
    struct sandbox s = {
        .id = STR("i1"), .template_id = STR("base"), .envs = STR("{}")};
    struct process_config c = {.cmd = STR("true"), .user = STR("user")};
    struct str body, why;

    c.cwd = STR("~bob/x");
    cr_expect_eq(exec_request(&c, &s, NULL, arena, &body, &why), E_INVALID);
    cr_expect(str_eq(why, STR("failed to expand path '' for user 'user': "
                              "cannot expand user-specific home dir")));
    c.cwd = STR("/");
    c.cmd = STR("tr\0ue");
    cr_expect_eq(exec_request(&c, &s, NULL, arena, &body, &why), E_INVALID);
    cr_expect(why.n);
    c.cmd = STR("true");
    c.arg_count = 5000;
    cr_expect_eq(exec_request(&c, &s, NULL, arena, &body, &why), E_INVALID);
}

Test(exec, a_zombie_tells_its_status)
{
    static const struct {
        const char *name;
        const char *line;
        bool dead;
        int status;
    } rows[] = {
        {"sleeps", "16 (sleep) S 1 15", false, 0},
        {"name with brackets", "16 (a) Z (b) S 1 15", false, 0},
        {"exit 5",
         "15 (sh) Z 1 15 0 0 -1 4 7 0 0 0 0 0 0 0 20 0 1 0 26 0 0 18 0 0 0 0 "
         "0 0 0 6 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 1280\n",
         true, 1280},
        {"killed",
         "15 (sh) Z 1 15 0 0 -1 4 7 0 0 0 0 0 0 0 20 0 1 0 26 0 0 18 0 0 0 0 "
         "0 0 0 6 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 9\n",
         true, 9},
        {"short", "15 (sh) Z", true, 0},
        {"nothing", "", false, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf b;
        int status;

        buf_init(&b, 4096);
        buf_put(&b, STR("{\"data\":\""));
        encode_base64(&b, str_of(rows[i].line));
        buf_put(&b, STR("\", \"eof\":true}\n"));
        cr_expect_eq(exec_read_stat(buf_str(&b), &status), rows[i].dead, "%s",
                     rows[i].name);
        if (rows[i].dead)
            cr_expect_eq(status, rows[i].status, "%s", rows[i].name);
        buf_clear(&b);
    }
}
