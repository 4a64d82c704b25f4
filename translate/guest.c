/* guest.c - see guest.h. */
#include "translate/guest.h"

#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"
#include "translate/exec.h"
#include "translate/fault.h"

#define PATH_TEXT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define REQUEST_MAX (1 << 20)
#define SAID_MAX (64 << 10)
#define ARGUMENT_MAX (64 << 10) /* mitos-sandbox-server.md 2.4 */

/* Source of the users: mitos-sandbox-server.md 5.2, and as exec.c does it. */
static const char prelude[] =
    "umask 022\n"
    "set -f\n"
    "say() { printf '%s\\0' \"$@\"; }\n"
    "fail() { say \"$@\"; exit 0; }\n"
    "why() { e=$(\"$@\" 2>&1 >/dev/null); }\n"
    "uid=\n"
    "while IFS=: read -r n x u g x h x || [ -n \"$n\" ]; do\n"
    "  [ \"$n\" = \"$_sg_u\" ] && uid=$u gid=$g home=$h && break\n"
    "done 2>/dev/null </etc/passwd\n"
    "[ -z \"$uid\" ] && [ \"$_sg_u\" = root ] && uid=0 gid=0 home=/root\n"
    "[ -n \"$uid\" ] || fail user \"$_sg_u\"\n"
    "home=${home:-/}\n"
    "absolute() {\n"
    "  p=$1\n"
    "  case $p in /*) return;; esac\n"
    "  r=$p p=${home%/}\n"
    "  while :; do\n"
    "    case $r in\n"
    "    ..) r=. p=${p%/*};;\n"
    "    ../*) r=${r#../} p=${p%/*};;\n"
    "    *) break;;\n"
    "    esac\n"
    "  done\n"
    "  [ \"$r\" = . ] || p=$p/$r\n"
    "  p=${p:-/}\n"
    "}\n"
    "make_dir() {\n"
    "  [ -d \"$1\" ] && return\n"
    "  [ -e \"$1\" ] && fail file \"$1\"\n"
    "  why mkdir -m 755 -- \"$1\" || [ -d \"$1\" ] || fail mkdir \"$1\" "
    "\"$e\"\n"
    "  why chown -- \"$uid:$gid\" \"$1\" || fail chown \"$1\" \"$e\"\n"
    "}\n"
    "make_dirs() {\n"
    "  q= r=${1#/}\n"
    "  while [ -n \"$r\" ]; do\n"
    "    q=$q/${r%%/*}\n"
    "    case $r in */*) r=${r#*/};; *) r=;; esac\n"
    "    make_dir \"$q\"\n"
    "  done\n"
    "}\n";

/* ---- the call ---- */

static void put_variable(struct buf *b, struct str name, struct str value)
{
    buf_put(b, STR("{\"key\":"));
    json_write_text(b, name, false, false);
    buf_put(b, STR(",\"value\":"));
    json_write_text(b, value, false, false);
    buf_put(b, STR("},"));
}

static void put_request(struct buf *b, const struct guest_script *script,
                        struct buf *text)
{
    buf_put(text, STR("set --"));
    buf_put(b, STR("{\"env\":["));
    for (unsigned i = 0; i < script->count; i++) {
        char name[24] = "_sg_";
        struct buf n;

        buf_init(&n, sizeof(name));
        buf_text(&n, "_sg_%u", i + 1);
        put_variable(b, buf_str(&n), script->args[i]);
        buf_text(text, " \"$_sg_%u\"", i + 1);
        text->failed = text->failed || n.failed;
        buf_clear(&n);
    }
    put_variable(b, STR("_sg_u"), script->user);
    put_variable(b, STR("PATH"), STR(PATH_TEXT));
    buf_put(b, STR("{\"key\":\"LC_ALL\",\"value\":\"C\"}],\"command\":"));
    buf_byte(text, '\n');
    buf_put(text, str_of(prelude));
    buf_put(text, str_of(script->text));
    buf_put(text, STR("\nexit 0\n"));
    json_write_text(b, buf_str(text), false, false);
    buf_text(b, ",\"cwd\":\"/\",\"timeoutSeconds\":%lld}",
             (long long)script->limit_s);
}

/* Variables hold no NUL and at most 128 KiB. */
static bool may_travel(const struct guest_script *script, struct want *w)
{
    for (unsigned i = 0; i < script->count; i++) {
        struct str arg = script->args[i];

        if (arg.n && memchr(arg.p, 0, arg.n))
            want_fail(w, E_INVALID, STR("a path has a NUL byte"));
        else if (arg.n > ARGUMENT_MAX)
            want_fail(w, E_INTERNAL, STR("file name too long"));
        else
            continue;
        return false;
    }
    return true;
}

void guest_call(struct op *op, const struct guest_script *script,
                struct want *w)
{
    struct buf text, request, frame;

    if (!may_travel(script, w))
        return;
    buf_init(&text, REQUEST_MAX);
    buf_init(&request, 4 * REQUEST_MAX);
    buf_init(&frame, 4 * REQUEST_MAX + ENVELOPE_HEAD);
    put_request(&request, script, &text);
    envelope_put(&frame, 0, buf_str(&request));
    w->kind = WANT_CALL;
    w->call.method = STR("ExecStream");
    w->call.stream = true;
    w->call.collect = true;
    w->call.limit = script->limit;
    w->call.slot = SLOT_FILE;
    w->call.deadline_ms = (script->limit_s + 5) * 1000;
    w->call.body = arena_copy(op->scratch, buf_str(&frame));
    if (text.failed || request.failed || frame.failed || !w->call.body.p)
        want_fail(w, E_NOMEM, STR_NONE);
    buf_clear(&frame);
    buf_clear(&request);
    buf_clear(&text);
}

/* ---- the answer ---- */

/* Take one frame; *done at the end frame. */
MUST_USE static enum err take(struct guest_answer *a, unsigned flags,
                              struct str payload, struct arena *arena,
                              bool *exited, bool *done)
{
    struct exec_frame frame;
    enum err err = exec_read(flags, payload, false, arena, &frame);

    if (err != E_OK)
        return err;
    switch (frame.kind) {
    case EXEC_OUTPUT:
        if (!decode_base64(frame.to_stderr ? &a->said : &a->out, frame.base64,
                           false) &&
            !(frame.to_stderr ? a->said.failed : a->out.failed))
            return E_BACKEND_GARBAGE;
        return a->out.failed ? E_NOMEM : E_OK;
    case EXEC_EXIT:
        *exited = true;
        a->exit_code = frame.exit_code;
        return frame.err;
    case EXEC_END:
        *done = true;
        return frame.err;
    case EXEC_PID:
    case EXEC_REFUSED:
    case EXEC_OTHER:
        break;
    }
    return E_OK;
}

MUST_USE static enum err take_all(struct op *op, struct str bytes,
                                  struct guest_answer *a)
{
    struct envelope_reader reader;
    bool whole = true, exited = false, done = false;
    enum err err = E_OK;

    envelope_init(&reader, bytes.n + 1);
    while (err == E_OK && whole && !done) {
        unsigned flags;
        struct str payload;

        err = envelope_next(&reader, &bytes, &whole, &flags, &payload);
        if (err == E_OK && whole)
            err = take(a, flags, payload, op->scratch, &exited, &done);
    }
    envelope_clear(&reader);
    if (err != E_OK)
        return err == E_TOO_BIG || err == E_INVALID ? E_BACKEND_GARBAGE : err;
    return exited && done ? E_OK : E_BACKEND_GARBAGE;
}

/* What a script can end with that its own words do not tell. */
MUST_USE static enum err judge_exit(int code)
{
    /* 124 is the server's own limit: mitos-sandbox-server.md 2.4. */
    if (code == 124)
        return E_UPSTREAM_DEADLINE;
    return code == 0 ? E_OK : E_INTERNAL;
}

bool guest_read(struct op *op, const struct op_event *event,
                struct guest_answer *out, struct want *w)
{
    enum err err = event->err;
    struct str detail = STR_NONE;

    memset(out, 0, sizeof(*out));
    buf_init(&out->out, event->bytes.n + 1);
    buf_init(&out->said, SAID_MAX);
    if (err == E_OK)
        err = event->status == 200
                  ? take_all(op, event->bytes, out)
                  : fault_of_answer(event->status, event->bytes);
    if (err == E_OK)
        err = judge_exit(out->exit_code);
    if (err == E_INTERNAL)
        detail = STR("the sandbox could not run the file tools");
    if (err == E_TOO_BIG) {
        err = E_EXHAUSTED;
        detail = STR("the answer is too large");
    }
    out->rest = buf_str(&out->out);
    if (err == E_OK && str_starts(out->rest, STR("user\0"))) {
        guest_field(out);
        detail = guest_field(out);
        detail =
            arena_text(op->arena, "invalid username: '%.*s'", STR_FMT(detail));
        err = E_UNAUTHENTICATED;
    }
    if (err == E_OK)
        return true;
    want_fail(w, err, detail);
    guest_clear(out);
    return false;
}

struct str guest_field(struct guest_answer *a)
{
    size_t n = str_find(a->rest, '\0');
    struct str field = str_from(a->rest.p, n);

    if (n == a->rest.n)
        return STR_NONE;
    a->rest = str_after(a->rest, n + 1);
    return field;
}

void guest_clear(struct guest_answer *a)
{
    buf_clear(&a->out);
    buf_clear(&a->said);
    a->rest = STR_NONE;
}

struct str guest_why(struct str said, struct arena *a)
{
    struct str text = str_trim(said);
    struct str out;
    char *p;

    while (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    for (size_t i = text.n; i > 0; i--)
        if (text.p[i - 1] == ' ' && i > 1 && text.p[i - 2] == ':') {
            text = str_after(text, i);
            break;
        }
    out = arena_copy(a, text);
    if (!out.p || out.n == 0)
        return STR("input/output error");
    p = a ? (char *)(uintptr_t)out.p : NULL;
    if (p && *p >= 'A' && *p <= 'Z')
        *p = (char)(*p - 'A' + 'a');
    return out;
}
