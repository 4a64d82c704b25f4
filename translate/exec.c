/* exec.c - see exec.h. */
#include "translate/exec.h"

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"
#include "translate/fault.h"

/* Seconds: the server's ceiling.  Its own timeout kills the whole group, so
 * the deadlines that callers ask for are kept by live/process. */
#define CEILING_S 86400

#define ARGS_MAX 4096 /* so that the script stays below 128 KiB */
#define REQUEST_MAX (48 << 20)

/* As the daemon gives it to what it starts. */
#define PATH_TEXT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- the script ----
 *
 * Nothing of a caller stands in it: names and values come as variables whose
 * names begin with _sg_ and are gone when the command starts.  A line that
 * begins with 0x1e speaks to exec_read(); it is one write of less than a
 * pipe's 4,096 bytes, so it is never torn. */

/* Find the user's row; then the directory, and be that user. */
static const char outer[] =
    "umask 022;"
    "_sg_f=;"
    "{ while IFS=: read -r _sg_n _sg_x _sg_i _sg_g _sg_x _sg_h _sg_x"
    " || [ -n \"$_sg_n\" ]; do"
    " if [ \"$_sg_n\" = \"$_sg_u\" ]; then _sg_f=1; break; fi;"
    " done </etc/passwd; } 2>/dev/null;"
    "if [ -z \"$_sg_f\" ]; then"
    " if [ \"$_sg_u\" = root ]; then _sg_i=0; _sg_g=0; _sg_h=/root;"
    " else printf '\\036!user %s\\n' \"$_sg_u\" >&2; exit 1; fi; fi;"
    "case $_sg_c in /*) ;; *) _sg_c=${_sg_h%/}${_sg_c:+/$_sg_c} ;; esac;"
    "_sg_c=${_sg_c:-/};";

static const char be_user[] =
    "if [ \"$_sg_i\" = 0 ]; then eval \"$_sg_s\"; fi;"
    "if ! command -v setpriv >/dev/null 2>&1; then"
    " printf '\\036!setpriv\\n' >&2; exit 1; fi;"
    "exec setpriv --reuid \"$_sg_i\" --regid \"$_sg_g\" --init-groups --"
    " /bin/sh -c \"$_sg_s\"";

/* Being the user: the directory, the arguments, the pid. */
static const char inner[] =
    "if ! cd -- \"$_sg_c\" 2>/dev/null; then"
    " if [ -e \"$_sg_c\" ]; then printf '\\036!dir %s\\n' \"$_sg_c\" >&2;"
    " else printf '\\036!cwd %s\\n' \"$_sg_c\" >&2; fi; exit 1; fi;";

static const char last[] = "printf '\\036%d\\n' \"$$\" >&2;"
                           "unset OLDPWD _sg_u _sg_c _sg_p _sg_s";

/* Variables that the script sets by the user's row, unless a caller did. */
static const char *const row_names[] = {"HOME", "USER", "LOGNAME"};
static const char *const row_texts[] = {"HOME=$_sg_h;", "USER=$_sg_u;",
                                        "LOGNAME=$_sg_u;"};
#define ROW_NAMES 3

/* A request that is being written. */
struct request {
    struct buf b;
    struct str path;       /* PATH for the command */
    bool given[ROW_NAMES]; /* set by a caller */
    bool nul;              /* a NUL was seen */
    bool first;            /* no variable was written */
};

static void put_variable(struct request *r, struct str name, struct str value)
{
    r->nul = r->nul || (name.n && memchr(name.p, 0, name.n)) ||
             (value.n && memchr(value.p, 0, value.n));
    buf_put(&r->b, r->first ? STR("{\"key\":") : STR(",{\"key\":"));
    json_write_text(&r->b, name, false, false);
    buf_put(&r->b, STR(",\"value\":"));
    json_write_text(&r->b, value, false, false);
    buf_byte(&r->b, '}');
    r->first = false;
}

/* A variable of a layer: what the script itself needs is kept apart. */
static void put_layered(struct request *r, struct str name, struct str value)
{
    if (name.n == 0 || str_starts(name, STR("_sg_")))
        return;
    if (str_eq(name, STR("PATH"))) {
        r->nul = r->nul || (value.n && memchr(value.p, 0, value.n));
        r->path = value;
        return;
    }
    for (size_t i = 0; i < ROW_NAMES; i++)
        r->given[i] = r->given[i] || str_eq(name, str_of(row_names[i]));
    put_variable(r, name, value);
}

/* The sandbox's own variables; the record's text was checked at create. */
static void put_created(struct request *r, const json_t *envs)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)envs); at;
         at = json_object_iter_next((json_t *)(uintptr_t)envs, at)) {
        const json_t *value = json_object_iter_value(at);

        if (json_is_string(value))
            put_layered(
                r, str_of(json_object_iter_key(at)),
                str_from(json_string_value(value), json_string_length(value)));
    }
}

/* The directory as the script takes it: absolute, or below the home. */
static bool put_directory(struct request *r, const struct process_config *c,
                          const struct conf_template *t)
{
    struct str cwd = c->cwd;

    if (cwd.n == 0 && t)
        cwd = t->workdir;
    if (cwd.n && cwd.p[0] == '~') {
        if (cwd.n > 1 && cwd.p[1] != '/')
            return false;
        cwd = str_after(cwd, 1);
        while (cwd.n && cwd.p[0] == '/')
            cwd = str_after(cwd, 1);
    }
    put_variable(r, STR("_sg_c"), cwd);
    return true;
}

static void put_arguments(struct request *r, const struct process_config *c)
{
    char name[24] = "_sg_0";

    put_variable(r, str_of(name), c->cmd);
    for (unsigned i = 0; i < c->arg_count; i++) {
        snprintf(name, sizeof(name), "_sg_%u", i + 1);
        put_variable(r, str_of(name), c->args[i]);
    }
}

/* The script that the user's shell runs. */
static void make_inner(struct buf *b, const struct process_config *c)
{
    buf_put(b, str_of(inner));
    buf_put(b, STR("set --"));
    for (unsigned i = 0; i <= c->arg_count; i++)
        buf_text(b, " \"$_sg_%u\"", i);
    buf_put(b, STR(";PATH=$_sg_p;"));
    buf_put(b, str_of(last));
    for (unsigned i = 0; i <= c->arg_count; i++)
        buf_text(b, " _sg_%u", i);
    /* What the daemon's own wrapper answers to such commands. */
    if (c->cmd.n == 0)
        buf_put(b, STR(";echo 'no command' >&2;exit 127"));
    else if (c->cmd.p[0] == '-')
        buf_put(b, STR(";echo 'command begins with a dash' >&2;exit 125"));
    else
        buf_put(b, STR(";exec \"$@\""));
}

static void make_outer(struct buf *b, const struct request *r)
{
    buf_put(b, str_of(outer));
    for (size_t i = 0; i < ROW_NAMES; i++)
        if (!r->given[i])
            buf_text(b, "%sexport %s;", row_texts[i], row_names[i]);
    buf_put(b, str_of(be_user));
}

/* Everything of the request but the command. */
static bool put_variables(struct request *r, const struct process_config *c,
                          const struct sandbox *s,
                          const struct conf_template *t)
{
    json_t *envs = NULL;
    struct buf script;

    if (json_read(s->envs, &json_limits_api, &envs) == E_OK)
        put_created(r, envs);
    json_decref(envs);
    put_layered(r, STR("E2B_SANDBOX"), STR("true"));
    put_layered(r, STR("E2B_SANDBOX_ID"), s->id);
    put_layered(r, STR("E2B_TEMPLATE_ID"), s->template_id);
    for (unsigned i = 0; i < c->env_count; i++)
        put_layered(r, c->env_names[i], c->env_values[i]);
    put_variable(r, STR("PATH"), STR(PATH_TEXT));
    put_variable(r, STR("_sg_p"), r->path);
    put_variable(r, STR("_sg_u"), c->user);
    put_arguments(r, c);
    buf_init(&script, 1 << 20);
    make_inner(&script, c);
    put_variable(r, STR("_sg_s"), buf_str(&script));
    r->b.failed = r->b.failed || script.failed;
    buf_clear(&script);
    return put_directory(r, c, t);
}

enum err exec_request(const struct process_config *config,
                      const struct sandbox *s, const struct conf_template *t,
                      struct arena *a, struct str *body, struct str *why)
{
    struct request r = {.path = STR(PATH_TEXT), .first = true};
    struct buf script, frame;
    enum err err = E_OK;

    *body = *why = STR_NONE;
    if (config->arg_count > ARGS_MAX) {
        *why = STR("argument list too long");
        return E_INVALID;
    }
    buf_init(&r.b, REQUEST_MAX);
    buf_init(&script, 64 << 10);
    buf_init(&frame, REQUEST_MAX + ENVELOPE_HEAD);
    buf_put(&r.b, STR("{\"env\":["));
    if (!put_variables(&r, config, s, t)) {
        *why = arena_text(a,
                          "failed to expand path '' for user '%.*s': cannot "
                          "expand user-specific home dir",
                          STR_FMT(config->user));
        err = E_INVALID;
    } else if (r.nul) {
        *why = STR("a NUL byte in cwd, command, argument or environment");
        err = E_INVALID;
    }
    make_outer(&script, &r);
    buf_put(&r.b, STR("],\"command\":"));
    json_write_text(&r.b, buf_str(&script), false, false);
    buf_text(&r.b, ",\"cwd\":\"/\",\"timeoutSeconds\":%d}", CEILING_S);
    envelope_put(&frame, 0, buf_str(&r.b));
    if (!err && (r.b.failed || script.failed || frame.failed))
        err = E_NOMEM;
    if (!err) {
        *body = arena_copy(a, buf_str(&frame));
        err = body->p ? E_OK : E_NOMEM;
    }
    buf_clear(&frame);
    buf_clear(&script);
    buf_clear(&r.b);
    return err;
}

/* ---- what comes back ---- */

static void skip_blanks(const char **p, const char *end)
{
    while (*p < end && (**p == ' ' || **p == '\t'))
        (*p)++;
}

static bool skip_byte(const char **p, const char *end, char c)
{
    skip_blanks(p, end);
    if (*p == end || **p != c)
        return false;
    (*p)++;
    return true;
}

/* gcc makes vectors at -O3 only, clang always. */
#if defined(__GNUC__) && !defined(__clang__)
#define VECTORS __attribute__((optimize("O3")))
#else
#define VECTORS
#endif

/* Is it standard base64 with its padding? */
VECTORS static bool is_base64(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char bad = 0;
    size_t n = s.n;

    if (n % 4)
        return false;
    for (int i = 0; i < 2 && n && p[n - 1] == '='; i++)
        n--;
    /* Without a table and without a branch: compilers make vectors of it, and
     * every byte of output passes here. */
    for (size_t i = 0; i < n; i++) {
        unsigned char small = (unsigned char)((p[i] | 0x20) - 'a');
        unsigned char digit = (unsigned char)(p[i] - '0');

        bad |= (unsigned char)!((small < 26) | (digit < 10) | (p[i] == '+') |
                                (p[i] == '/'));
    }
    return !bad;
}

/* The frames that a busy command makes: their text is taken as it stands. */
bool exec_scan(struct str payload, bool *to_stderr, struct str *base64)
{
    const char *p = payload.p, *end = p + payload.n, *quote;

    if (!skip_byte(&p, end, '{') || !skip_byte(&p, end, '"') || end - p < 8)
        return false;
    if (memcmp(p, "stdout\"", 7) != 0 && memcmp(p, "stderr\"", 7) != 0)
        return false;
    *to_stderr = p[3] == 'e';
    p += 7;
    if (!skip_byte(&p, end, ':') || !skip_byte(&p, end, '"'))
        return false;
    quote = memchr(p, '"', (size_t)(end - p));
    if (!quote)
        return false;
    *base64 = str_from(p, (size_t)(quote - p));
    p = quote + 1;
    if (!skip_byte(&p, end, '}'))
        return false;
    skip_blanks(&p, end);
    return p == end && is_base64(*base64);
}

MUST_USE static enum err read_output(const json_t *text, bool to_stderr,
                                     struct arena *a, struct exec_frame *out)
{
    struct str s = str_from(json_string_value(text), json_string_length(text));
    struct buf plain, again;
    enum err err = E_BACKEND_GARBAGE;

    if (!json_is_string(text))
        return err;
    out->kind = EXEC_OUTPUT;
    out->to_stderr = to_stderr;
    buf_init(&plain, s.n + 3);
    buf_init(&again, s.n + 8);
    if (decode_base64(&plain, s, true)) {
        encode_base64(&again, buf_str(&plain));
        out->base64 = arena_copy(a, buf_str(&again));
        err = out->base64.p && !again.failed ? E_OK : E_NOMEM;
    } else if (plain.failed) {
        err = E_NOMEM;
    }
    buf_clear(&plain);
    buf_clear(&again);
    return err;
}

MUST_USE static enum err read_exit(const json_t *exit, struct arena *a,
                                   struct exec_frame *out)
{
    const json_t *code = json_object_get(exit, "exitCode");
    struct str error = json_str(exit, "error");

    if (!json_is_object(exit) || (code && !json_is_integer(code)))
        return E_BACKEND_GARBAGE;
    out->kind = EXEC_EXIT;
    out->exit_code = (int)json_integer_value(code);
    if (error.n == 0)
        return E_OK;
    out->err = fault_classify(STR_NONE, error);
    out->detail = arena_copy(a, error);
    return out->detail.p ? E_OK : E_NOMEM;
}

MUST_USE static enum err read_end(const json_t *frame, struct arena *a,
                                  struct exec_frame *out)
{
    const json_t *error = json_member(frame, "error");
    struct str message = json_str(error, "message");

    out->kind = EXEC_END;
    if (!error)
        return E_OK;
    if (!json_is_object(error))
        return E_BACKEND_GARBAGE;
    out->err = fault_classify(json_str(error, "code"), message);
    out->detail = arena_copy(a, message.p ? message : STR(""));
    return out->detail.p ? E_OK : E_NOMEM;
}

/* The long way, for every frame that scan() did not take. */
MUST_USE static enum err parse(unsigned flags, struct str payload,
                               struct arena *a, struct exec_frame *out)
{
    const json_t *member;
    enum err err;
    json_t *json;

    if (flags & ENVELOPE_COMPRESSED)
        return E_BACKEND_GARBAGE;
    err = json_read(payload, &json_limits_rpc, &json);
    if (err)
        return err == E_NOMEM ? err : E_BACKEND_GARBAGE;
    out->kind = EXEC_OTHER;
    if (!json_is_object(json))
        err = E_BACKEND_GARBAGE;
    else if (flags & ENVELOPE_END)
        err = read_end(json, a, out);
    else if ((member = json_object_get(json, "stdout")) != NULL)
        err = read_output(member, false, a, out);
    else if ((member = json_object_get(json, "stderr")) != NULL)
        err = read_output(member, true, a, out);
    else if ((member = json_object_get(json, "exit")) != NULL)
        err = read_exit(member, a, out);
    json_decref(json);
    return err;
}

/* A line of the script that says no: "!what detail". */
MUST_USE static enum err read_refusal(struct str line, struct arena *a,
                                      struct exec_frame *out)
{
    struct str detail = line, what = str_cut(&detail, ' ');
    struct str name = detail.p ? detail : STR("");

    out->kind = EXEC_REFUSED;
    out->err = E_INVALID;
    if (str_eq(what, STR("!user"))) {
        out->err = E_UNAUTHENTICATED;
        out->detail = arena_text(a, "invalid username: '%.*s'", STR_FMT(name));
    } else if (str_eq(what, STR("!cwd"))) {
        out->detail = arena_text(a, "cwd '%.*s' does not exist", STR_FMT(name));
    } else if (str_eq(what, STR("!dir"))) {
        out->detail = arena_text(
            a, "cwd '%.*s' is not a directory that the user may enter",
            STR_FMT(name));
    } else if (str_eq(what, STR("!setpriv"))) {
        out->err = E_PRECONDITION;
        out->detail = arena_text(a, "the sandbox has no setpriv: commands "
                                    "can run as root alone");
    } else {
        return E_BACKEND_GARBAGE;
    }
    return out->detail.p ? E_OK : E_NOMEM;
}

/* The script's line out of the bytes of a stderr frame; what stands around
 * it (a shell that warned, the command's first words) stays output. */
MUST_USE static enum err cut_line(struct str plain, struct arena *a,
                                  struct exec_frame *out)
{
    size_t at = str_find(plain, '\036'), n;
    struct str line = str_after(plain, at + 1);
    struct buf rest, again;
    uint64_t pid;
    enum err err;

    if (at == plain.n)
        return E_OK;
    n = str_find(line, '\n');
    if (line.n && line.p[0] == '!') {
        /* A path may hold line ends: the script has written nothing more. */
        while (line.n && line.p[line.n - 1] == '\n')
            line.n--;
        return read_refusal(line, a, out);
    }
    if (n == line.n || !str_u64(str_from(line.p, n), UINT32_MAX, &pid) || !pid)
        return E_BACKEND_GARBAGE;
    out->kind = EXEC_PID;
    out->pid = (uint32_t)pid;
    buf_init(&rest, plain.n);
    buf_init(&again, ENCODE_BASE64_LEN(plain.n));
    buf_put(&rest, str_from(plain.p, at));
    buf_put(&rest, str_after(line, n + 1));
    encode_base64(&again, buf_str(&rest));
    out->base64 = arena_copy(a, buf_str(&again));
    err = out->base64.p && !rest.failed && !again.failed ? E_OK : E_NOMEM;
    buf_clear(&rest);
    buf_clear(&again);
    return err;
}

enum err exec_read(unsigned flags, struct str payload, bool want_pid,
                   struct arena *a, struct exec_frame *out)
{
    struct buf plain;
    enum err err = E_OK;

    *out = (struct exec_frame){.kind = EXEC_OUTPUT};
    if (flags || !exec_scan(payload, &out->to_stderr, &out->base64)) {
        *out = (struct exec_frame){.kind = EXEC_OTHER};
        err = parse(flags, payload, a, out);
    }
    if (err || !want_pid || out->kind != EXEC_OUTPUT || !out->to_stderr)
        return err;
    buf_init(&plain, out->base64.n);
    if (decode_base64(&plain, out->base64, false))
        err = cut_line(buf_str(&plain), a, out);
    else
        err = plain.failed ? E_NOMEM : E_BACKEND_GARBAGE;
    buf_clear(&plain);
    return err;
}

/* The file out of the frames {"data":"..","eof":true}. */
static bool read_file(struct str lines, struct buf *out)
{
    bool good = true;

    while (lines.p && lines.n) {
        struct str line = str_cut(&lines, '\n'), data;
        json_t *json;

        if (json_read(line, &json_limits_rpc, &json))
            return false;
        data = json_str(json, "data");
        if (data.p)
            good = good && decode_base64(out, data, true);
        json_decref(json);
    }
    return good;
}

/* "pid (comm) S ...": comm may hold anything, ) too; field 52 is the wait
 * status of a zombie. */
static bool stat_line(struct str text, char *state, int *status)
{
    size_t at = text.n;
    struct str rest;
    uint64_t value;

    while (at && text.p[at - 1] != ')')
        at--;
    rest = str_trim(str_after(text, at));
    if (at == 0 || rest.n == 0)
        return false;
    *state = rest.p[0];
    for (int field = 3; rest.p && field < 52; field++)
        (void)str_cut(&rest, ' ');
    if (rest.p && rest.n && rest.p[rest.n - 1] == '\n')
        rest.n--;
    if (rest.p && str_u64(rest, UINT16_MAX, &value))
        *status = (int)value;
    return true;
}

bool exec_read_stat(struct str lines, int *status)
{
    struct buf file;
    char state = '?';
    bool good;

    *status = 0;
    buf_init(&file, 1 << 16);
    good = read_file(lines, &file) &&
           stat_line(buf_str(&file), &state, status) &&
           (state == 'Z' || state == 'X');
    buf_clear(&file);
    return good;
}

/* ---- what goes out ---- */

void exec_put_start(struct buf *b, uint32_t pid)
{
    char text[64];

    snprintf(text, sizeof(text), "{\"event\":{\"start\":{\"pid\":%u}}}", pid);
    envelope_put(b, 0, str_of(text));
}

void exec_put_output(struct buf *b, bool to_stderr, struct str base64)
{
    struct str before = to_stderr ? STR("{\"event\":{\"data\":{\"stderr\":\"")
                                  : STR("{\"event\":{\"data\":{\"stdout\":\"");
    struct str after = STR("\"}}}");

    envelope_put_head(b, 0, before.n + base64.n + after.n);
    buf_put(b, before);
    buf_put(b, base64);
    buf_put(b, after);
}

void exec_put_keepalive(struct buf *b)
{
    envelope_put(b, 0, STR("{\"event\":{\"keepalive\":{}}}"));
}

/* As Go names them. */
static const char *const signal_names[] = {
    [1] = "hangup",
    [2] = "interrupt",
    [3] = "quit",
    [4] = "illegal instruction",
    [5] = "trace/breakpoint trap",
    [6] = "aborted",
    [7] = "bus error",
    [8] = "floating point exception",
    [9] = "killed",
    [10] = "user defined signal 1",
    [11] = "segmentation fault",
    [12] = "user defined signal 2",
    [13] = "broken pipe",
    [14] = "alarm clock",
    [15] = "terminated",
};

void exec_put_exit(struct buf *b, int exit_code, int signal)
{
    char status[48], code[48] = "\"exited\":true,", error[64] = "", text[192];

    if (signal > 0 && signal <= 15)
        snprintf(status, sizeof(status), "signal: %s", signal_names[signal]);
    else if (signal)
        snprintf(status, sizeof(status), "signal: signal %d", signal);
    else
        snprintf(status, sizeof(status), "exit status %d", exit_code);
    /* Zero values are left out, as the daemon's encoder does. */
    if (signal)
        snprintf(code, sizeof(code), "\"exitCode\":-1,");
    else if (exit_code)
        snprintf(code, sizeof(code), "\"exitCode\":%d,\"exited\":true,",
                 exit_code);
    if (signal || exit_code)
        snprintf(error, sizeof(error), ",\"error\":\"%s\"", status);
    snprintf(text, sizeof(text),
             "{\"event\":{\"end\":{%s\"status\":\"%s\"%s}}}", code, status,
             error);
    envelope_put(b, 0, str_of(text));
}
