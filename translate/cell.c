/* cell.c - see cell.h. */
#include "translate/cell.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"
#include "translate/exec.h"
#include "translate/fault.h"

#define DECODED_MAX (16 << 20)

/* The server starts no second kernel in a sandbox. */
#define NO_REPAIR \
    "; the code context of this sandbox cannot be restarted, use a new " \
    "sandbox"

/* MIME types that have a name of their own, in the order of the line. */
static const struct {
    const char *name;
    const char *mime;
    bool json; /* the value is an object or array, not a text */
} members[] = {
    {"html", "text/html", false},
    {"markdown", "text/markdown", false},
    {"svg", "image/svg+xml", false},
    {"png", "image/png", false},
    {"jpeg", "image/jpeg", false},
    {"pdf", "application/pdf", false},
    {"latex", "text/latex", false},
    {"json", "application/json", true},
    {"javascript", "application/javascript", false},
    {"data", "e2b/data", true},
    {"chart", "e2b/chart", true},
};

#define MEMBERS (sizeof(members) / sizeof(members[0]))

/* ---- lines ---- */

static void put_text(struct buf *lines, const char *name, struct str value)
{
    buf_text(lines, ", \"%s\": ", name);
    json_write_text(lines, value, true, false);
}

/* As Python writes a time with its zone, in microseconds. */
static void put_stamp(struct buf *lines, int64_t wall_ms)
{
    char text[25];

    clock_text(wall_ms, text);
    buf_text(lines, ", \"timestamp\": \"%.23s000+00:00\"}\n", text);
}

void cell_put_count(struct buf *lines, uint64_t executions)
{
    buf_text(lines,
             "{\"type\": \"number_of_executions\", \"execution_count\": "
             "%llu}\n",
             (unsigned long long)executions);
}

void cell_put_error(struct buf *lines, struct str name, struct str value,
                    struct str traceback)
{
    buf_put(lines, STR("{\"type\": \"error\""));
    put_text(lines, "name", name.p ? name : STR(""));
    put_text(lines, "value", value.p ? value : STR(""));
    put_text(lines, "traceback", traceback.p ? traceback : STR(""));
    buf_put(lines, STR("}\n"));
}

void cell_put_keepalive(struct buf *lines)
{
    buf_put(lines, STR("{\"type\": \"keepalive\"}\n"));
}

void cell_put_end(struct buf *lines)
{
    buf_put(lines, STR("{\"type\": \"end_of_execution\"}\n"));
}

/* ---- frames ---- */

MUST_USE static enum err decode(struct str base64, struct arena *a,
                                struct str *out)
{
    struct buf b;
    enum err err = E_OK;

    buf_init(&b, DECODED_MAX);
    *out = STR_NONE;
    if (decode_base64(&b, base64, true))
        *out = arena_copy(a, buf_str(&b));
    else if (!b.failed)
        err = E_BACKEND_GARBAGE;
    buf_clear(&b);
    if (!err && !out->p)
        err = E_NOMEM;
    return err;
}

MUST_USE static enum err put_output(struct buf *lines, bool to_stderr,
                                    struct str base64, int64_t wall_ms,
                                    struct arena *a)
{
    struct str text;
    enum err err = decode(base64, a, &text);

    if (err || text.n == 0)
        return err;
    buf_text(lines, "{\"type\": \"%s\"", to_stderr ? "stderr" : "stdout");
    put_text(lines, "text", text);
    put_stamp(lines, wall_ms);
    return E_OK;
}

/* One layer of quotes off a repr.  A lone quote counts as both. */
static struct str unquote(struct str s)
{
    char first = s.n ? s.p[0] : '\0';

    if ((first != '\'' && first != '"') || s.p[s.n - 1] != first)
        return s;
    return s.n < 2 ? STR("") : str_from(s.p + 1, s.n - 2);
}

/* A value that is JSON is put as it is when it is plain ASCII on one line,
 * else written anew; what is no JSON is a text. */
static void put_json(struct buf *lines, struct str value)
{
    bool plain = true;
    json_t *json;

    if (json_read(value, &json_limits_list, &json)) {
        json_write_text(lines, value, true, false);
        return;
    }
    for (size_t i = 0; i < value.n; i++)
        plain = plain && value.p[i] >= ' ' && value.p[i] != 0x7f;
    if (plain)
        buf_put(lines, value);
    else
        json_write_ascii(lines, json);
    json_decref(json);
}

static bool is_named(struct str mime)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (str_eq(mime, str_of(members[i].mime)))
            return true;
    return str_eq(mime, STR("text/plain"));
}

MUST_USE static enum err put_extra(struct buf *lines, const json_t *bundle,
                                   struct arena *a)
{
    json_t *all = (json_t *)(uintptr_t)bundle;
    bool first = true;

    buf_put(lines, STR(", \"extra\": {"));
    for (void *at = json_object_iter(all); at;
         at = json_object_iter_next(all, at)) {
        struct str mime = str_of(json_object_iter_key(at)), value;
        const json_t *text = json_object_iter_value(at);
        enum err err;

        if (is_named(mime) || !json_is_string(text))
            continue;
        err =
            decode(str_from(json_string_value(text), json_string_length(text)),
                   a, &value);
        if (err)
            return err;
        if (!first)
            buf_put(lines, STR(", "));
        first = false;
        json_write_text(lines, mime, true, false);
        buf_put(lines, STR(": "));
        if (str_ends(mime, STR("json")))
            put_json(lines, value);
        else
            json_write_text(lines, value, true, false);
    }
    buf_byte(lines, '}');
    return E_OK;
}

MUST_USE static enum err put_result(struct buf *lines, const json_t *result,
                                    struct arena *a)
{
    const json_t *bundle = json_member(result, "data");
    struct str main = json_str(result, "text"), text;
    struct str plain = json_str(bundle, "text/plain");
    enum err err = E_OK;

    buf_put(lines, STR("{\"type\": \"result\""));
    if (plain.p)
        err = decode(plain, a, &text);
    else
        text = main;
    if (err)
        return err;
    if (text.p)
        put_text(lines, "text", unquote(text));
    for (size_t i = 0; i < MEMBERS; i++) {
        struct str value = json_str(bundle, members[i].mime);

        if (!value.p)
            continue;
        err = decode(value, a, &value);
        if (err)
            return err;
        buf_text(lines, ", \"%s\": ", members[i].name);
        if (members[i].json)
            put_json(lines, value);
        else
            json_write_text(lines, value, true, false);
    }
    err = put_extra(lines, bundle, a);
    buf_text(lines, ", \"is_main_result\": %s}\n", main.n ? "true" : "false");
    return err;
}

/* Without the sequences that colour a terminal: ESC [ ... letter. */
static void put_plain(struct buf *b, struct str s)
{
    size_t i = 0;

    while (i < s.n) {
        size_t from = i;

        while (i < s.n && s.p[i] != '\033')
            i++;
        buf_put(b, str_from(s.p + from, i - from));
        if (i == s.n)
            return;
        i++;
        if (i < s.n && s.p[i] == '[') {
            i++;
            while (i < s.n && (s.p[i] < '@' || s.p[i] > '~'))
                i++;
            i += i < s.n;
        }
    }
}

MUST_USE static enum err put_failure(struct buf *lines, const json_t *error,
                                     struct arena *a, struct cell_frame *out)
{
    static const char *const deaths[] = {"KernelDied", "KernelUnavailable",
                                         "KernelStreamError"};
    const json_t *trace = json_member(error, "traceback");
    struct str name = json_str(error, "name");
    struct str value = json_str(error, "value");
    struct buf text;
    bool failed;

    for (size_t i = 0; i < sizeof(deaths) / sizeof(*deaths); i++)
        out->dead = out->dead || str_eq(name, str_of(deaths[i]));
    buf_init(&text, DECODED_MAX);
    /* Glued as the code server does it. */
    for (size_t i = 0; i < json_array_size(trace); i++) {
        const json_t *row = json_array_get(trace, i);

        if (json_is_string(row))
            put_plain(&text, str_from(json_string_value(row),
                                      json_string_length(row)));
    }
    if (out->dead && value.p) {
        value = arena_text(a, "%.*s%s", STR_FMT(value), NO_REPAIR);
        text.failed = text.failed || !value.p;
    }
    cell_put_error(lines, name, value, buf_str(&text));
    failed = text.failed;
    buf_clear(&text);
    out->error = true;
    return failed ? E_NOMEM : E_OK;
}

static void read_end(const json_t *frame, struct cell_frame *out)
{
    const json_t *error = json_member(frame, "error");

    out->ended = true;
    if (error)
        out->err =
            fault_classify(json_str(error, "code"), json_str(error, "message"));
}

MUST_USE static enum err read_frame(const json_t *frame, int64_t wall_ms,
                                    struct arena *a, struct buf *lines,
                                    struct cell_frame *out)
{
    const json_t *member;

    if ((member = json_object_get(frame, "stdout")) != NULL)
        return put_output(lines, false, json_str(frame, "stdout"), wall_ms, a);
    if ((member = json_object_get(frame, "stderr")) != NULL)
        return put_output(lines, true, json_str(frame, "stderr"), wall_ms, a);
    if ((member = json_object_get(frame, "result")) != NULL)
        return json_is_object(member) ? put_result(lines, member, a)
                                      : E_BACKEND_GARBAGE;
    if ((member = json_object_get(frame, "error")) != NULL)
        return json_is_object(member) ? put_failure(lines, member, a, out)
                                      : E_BACKEND_GARBAGE;
    if ((member = json_object_get(frame, "exitCode")) != NULL) {
        out->exited = true;
        out->exit_code = (int)json_integer_value(member);
    }
    return E_OK;
}

enum err cell_read(unsigned flags, struct str payload, int64_t wall_ms,
                   struct arena *a, struct buf *lines, struct cell_frame *out)
{
    struct str base64;
    bool to_stderr;
    json_t *json;
    enum err err;

    *out = (struct cell_frame){.err = E_OK};
    if (flags == 0 && exec_scan(payload, &to_stderr, &base64)) {
        err = put_output(lines, to_stderr, base64, wall_ms, a);
        return !err && lines->failed ? E_NOMEM : err;
    }
    if (flags & ENVELOPE_COMPRESSED)
        return E_BACKEND_GARBAGE;
    err = json_read(payload, &json_limits_rpc, &json);
    if (err)
        return err == E_NOMEM ? err : E_BACKEND_GARBAGE;
    if (!json_is_object(json))
        err = E_BACKEND_GARBAGE;
    else if (flags & ENVELOPE_END)
        read_end(json, out);
    else
        err = read_frame(json, wall_ms, a, lines, out);
    json_decref(json);
    return !err && lines->failed ? E_NOMEM : err;
}

struct str cell_output(unsigned flags, struct str payload, struct arena *a)
{
    struct str base64, text;
    bool to_stderr;

    if (flags || !exec_scan(payload, &to_stderr, &base64) || to_stderr ||
        decode(base64, a, &text))
        return STR_NONE;
    return text;
}
