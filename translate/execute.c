/* execute.c - /execute of 49999: code in the sandbox's kernel.
 *
 * A run waits for its turn in the context, then makes one call after the
 * other: the prelude when the kernel is fresh, its variables, the code
 * itself, and its variables undone.  The client's lines are those of the
 * code alone.  A client that leaves interrupts the code; the turn is given
 * back only when the kernel is idle again. */
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/cell.h"
#include "translate/envelope.h"
#include "translate/kernel.h"
#include "translate/ops.h"
#include "translate/proto.h"

#define KEEPALIVE_MS 5000
#define AGAIN_MS 2000        /* between interrupts of a cell that goes on */
#define FRAME_MAX (24 << 20) /* the real server's stop at 4 MiB of bytes */
#define LINES_MAX (96 << 20)

enum step {
    STEP_HEAD,    /* the head goes out */
    STEP_WAIT,    /* for the turn */
    STEP_PREPARE, /* the prelude runs */
    STEP_SET,     /* the variables are set */
    STEP_COUNT,   /* the number goes out */
    STEP_RUN,     /* the code runs */
    STEP_UNDO,    /* the variables are undone */
    STEP_LEAVE,   /* the turn is given back */
    STEP_END      /* the last line goes out */
};

struct run {
    enum step step;
    struct str code; /* arena */
    struct str envs; /* arena: JSON object of texts; absent if none */
    struct envelope_reader in;
    uint64_t executions; /* before this one */
    uint32_t pid;        /* of the kernel, as the prelude told it */
    enum err fail;       /* told when the turn is given back */
    bool blank;          /* nothing to run */
    bool fresh;
    bool used;   /* the code was given to the kernel */
    bool dead;   /* the kernel is of no use */
    bool exited; /* the run's last frame came */
    bool told_error;
    bool gone;        /* the client left */
    bool asking;      /* an interrupt is under way */
    bool ended;       /* the call ended meanwhile */
    struct buf lines; /* emptied with every piece */
};

static void drop(struct op *op)
{
    struct run *r = op->state;

    envelope_clear(&r->in);
    buf_clear(&r->lines);
}

/* ---- saying ---- */

/* The lines that were made, if any, and go on with from. */
static void say(struct op *op, struct run *r, unsigned from,
                const struct op_event *event, struct want *want)
{
    want->from = from;
    want->kind = WANT_NEXT;
    if (from)
        want->wake_ms = event->now_ms + KEEPALIVE_MS;
    if (r->lines.failed) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    if (r->gone || buf_len(&r->lines) == 0) {
        buf_empty(&r->lines);
        return;
    }
    want->kind = WANT_SAY;
    want->say.piece = arena_copy(op->scratch, buf_str(&r->lines));
    buf_empty(&r->lines);
    /* A large cell's memory is not kept while the next one is waited for. */
    if (r->lines.room > 1 << 20)
        buf_clear(&r->lines);
    if (!want->say.piece.p)
        want_fail(want, E_NOMEM, STR_NONE);
}

/* ---- the calls ---- */

static void call(struct run *r, enum step step, struct str body,
                 struct want *want)
{
    r->step = step;
    r->exited = false;
    envelope_clear(&r->in);
    if (!body.p) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    want->kind = WANT_CALL;
    want->call.method = STR("RunCodeStream");
    want->call.stream = true;
    want->call.body = body;
    want->call.slot = SLOT_NONE;
}

static void leave(struct run *r, struct want *want)
{
    r->step = STEP_LEAVE;
    want->kind = WANT_LIVE;
    want->live.kind = LIVE_CONTEXT_LEAVE;
    want->live.context = STR("");
    want->live.kernel_used = r->used;
    want->live.kernel_dead = r->dead;
    want->live.pid = r->pid;
}

/* What comes after the step that is done. */
static void next(struct op *op, struct run *r, const struct op_event *event,
                 struct want *want)
{
    want->wake_ms = event->now_ms + KEEPALIVE_MS;
    if (r->fail || r->dead) {
        leave(r, want);
        return;
    }
    switch (r->step) {
    case STEP_WAIT:
        if (r->fresh && !r->blank && !r->gone) {
            call(r, STEP_PREPARE,
                 kernel_prelude(op->in.sandbox, proto_template(op), op->arena),
                 want);
            return;
        }
        /* fall through */
    case STEP_PREPARE:
        if (r->envs.p && !r->blank && !r->gone) {
            call(r, STEP_SET, kernel_set(r->envs, op->arena), want);
            return;
        }
        /* fall through */
    case STEP_SET:
        if (r->gone) {
            leave(r, want);
            return;
        }
        r->step = STEP_COUNT;
        cell_put_count(&r->lines, r->executions + 1);
        say(op, r, 0, event, want);
        return;
    case STEP_COUNT:
        if (r->blank || r->gone) {
            leave(r, want);
            return;
        }
        r->used = true;
        call(r, STEP_RUN, kernel_cell(r->code, op->arena), want);
        return;
    case STEP_RUN:
        if (r->envs.p) {
            call(r, STEP_UNDO, kernel_undo(op->arena), want);
            return;
        }
        leave(r, want);
        return;
    case STEP_UNDO:
    case STEP_HEAD:
    case STEP_LEAVE:
    case STEP_END:
        leave(r, want);
        return;
    }
}

/* ---- what a call tells ---- */

/* A frame of the code's own call, or of one of ours, of which only a death
 * is told to the client. */
MUST_USE static enum err take(struct op *op, struct run *r, unsigned flags,
                              struct str payload, int64_t wall_ms)
{
    size_t before = buf_len(&r->lines);
    struct cell_frame frame;
    enum err err;

    if (r->step == STEP_PREPARE && !r->pid)
        r->pid = kernel_pid(cell_output(flags, payload, op->scratch));
    err = cell_read(flags, payload, wall_ms, op->scratch, &r->lines, &frame);
    if (err)
        return err;
    r->dead = r->dead || frame.dead || (frame.exited && frame.exit_code == 127);
    if (r->step != STEP_RUN && !frame.dead)
        r->lines.n -= buf_len(&r->lines) - before;
    else
        r->told_error = r->told_error || frame.error;
    r->exited = r->exited || frame.exited;
    if (r->step == STEP_RUN && frame.exited && frame.exit_code == 1 &&
        !r->told_error) {
        /* So ends a run whose server could not take a frame. */
        cell_put_error(&r->lines, STR("UnexpectedEndOfExecution"),
                       STR("The output broke off: a piece of it was larger "
                           "than 4 MiB"),
                       STR(""));
        r->told_error = true;
    }
    if (!frame.ended || !frame.err)
        return E_OK;
    /* Whether it is gone is not known yet: a cut makes clients ask. */
    if (frame.err == E_SANDBOX_GONE)
        return E_CUT;
    cell_put_error(&r->lines, STR("KernelUnavailable"),
                   STR("The sandbox's code service did not answer"), STR(""));
    r->told_error = r->dead = true;
    return E_OK;
}

static void on_piece(struct op *op, struct run *r, const struct op_event *event,
                     struct want *want)
{
    struct str piece = event->bytes, payload;
    bool whole = true;
    unsigned flags;

    while (whole && !r->fail) {
        enum err err = envelope_next(&r->in, &piece, &whole, &flags, &payload);

        if (!err && whole)
            err = take(op, r, flags, payload, event->wall_ms);
        if (err)
            r->fail = err == E_NOMEM || err == E_CUT ? err : E_BACKEND_GARBAGE;
    }
    say(op, r, FROM_CALL, event, want);
}

/* The call is over: well, or cut. */
static void on_over(struct op *op, struct run *r, const struct op_event *event,
                    struct want *want)
{
    if (event->kind == OP_CUT && !r->fail)
        r->fail = event->err;
    if (event->kind == OP_END && !r->fail && !r->exited && !r->dead)
        r->fail = E_CUT;
    /* Our own cells may fail; the code's may not vanish. */
    envelope_clear(&r->in);
    if (r->asking) {
        r->ended = true;
        want_next(want, FROM_LIVE);
        return;
    }
    next(op, r, event, want);
}

/* ---- the client leaves ---- */

static void interrupt(struct run *r, struct want *want)
{
    r->asking = true;
    want->kind = WANT_LIVE;
    want->live.kind = LIVE_CONTEXT_INTERRUPT;
    want->live.context = STR("");
    want->live.pid = r->pid;
}

static void on_gone(struct run *r, const struct op_event *event,
                    struct want *want)
{
    r->gone = true;
    buf_empty(&r->lines);
    switch (r->step) {
    case STEP_HEAD:
    case STEP_WAIT: /* its code is never run */
    case STEP_END:
        want->kind = WANT_DONE;
        return;
    case STEP_RUN:
        interrupt(r, want);
        return;
    case STEP_COUNT:
        leave(r, want);
        return;
    case STEP_PREPARE:
    case STEP_SET:
    case STEP_UNDO:
        want_next(want, FROM_CALL);
        return;
    case STEP_LEAVE:
        want_next(want, FROM_LIVE);
        return;
    }
    (void)event;
}

static void on_time(struct op *op, struct run *r, const struct op_event *event,
                    struct want *want)
{
    if (r->gone && r->step == STEP_RUN && !r->asking) {
        interrupt(r, want);
        return;
    }
    cell_put_keepalive(&r->lines);
    say(op, r,
        r->step == STEP_WAIT || r->step == STEP_LEAVE ? FROM_LIVE : FROM_CALL,
        event, want);
}

/* ---- live objects ---- */

static void on_result(struct op *op, struct run *r,
                      const struct op_event *event, struct want *want)
{
    if (r->asking) {
        r->asking = false;
        if (r->ended) {
            next(op, r, event, want);
            return;
        }
        want_next(want, FROM_CALL);
        want->wake_ms = event->now_ms + AGAIN_MS;
        return;
    }
    if (r->step == STEP_WAIT) {
        if (event->err) {
            want_fail(want, event->err, STR_NONE);
            return;
        }
        r->executions = event->result->executions;
        r->fresh = event->result->fresh_kernel;
        r->pid = r->fresh ? 0 : event->result->pid;
        next(op, r, event, want);
        return;
    }
    /* The turn is given back. */
    if (event->err == E_SANDBOX_GONE)
        r->fail = event->err;
    if (r->fail) {
        want_fail(want, r->fail, STR_NONE);
        return;
    }
    r->step = STEP_END;
    if (r->dead && !r->told_error)
        cell_put_error(&r->lines, STR("KernelUnavailable"),
                       STR("The sandbox has no code service"), STR(""));
    cell_put_end(&r->lines);
    say(op, r, 0, event, want);
    if (r->gone)
        want->kind = WANT_DONE;
}

/* ---- the request ---- */

static bool is_json_type(struct str type)
{
    struct str rest = type;
    struct str name = str_trim(str_cut(&rest, ';'));

    return !type.p || str_ieq(name, STR("application/json")) ||
           (str_starts(name, STR("application/")) &&
            str_ends(name, STR("+json")));
}

/* The code server's words for a kernel that is not there. */
static void refuse_language(struct op *op, struct str name, struct want *want)
{
    struct str text = STR_NONE, quoted;
    struct buf b;

    buf_init(&b, 4096);
    json_write_text(&b, name, true, false);
    quoted = arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    if (quoted.n >= 2)
        text = arena_text(
            op->arena,
            "Failed to create context: {\"message\": \"The '%.*s' kernel is "
            "not available. Please pick another suitable kernel instead, or "
            "install that kernel.\", \"short_message\": \"%.*s not found\"}",
            (int)quoted.n - 2, quoted.p + 1, (int)quoted.n - 2, quoted.p + 1);
    want_fail(want, E_INTERNAL, text);
}

static struct str lower(struct op *op, struct str s)
{
    struct str out = arena_copy(op->arena, str_trim(s));
    char *p = (char *)(uintptr_t)out.p;

    for (size_t i = 0; i < out.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
    return out;
}

/* Which context is meant?  The default one alone is served. */
static bool check_context(struct op *op, struct str context,
                          struct str language, struct want *want)
{
    if (context.n && language.n) {
        want_fail(want, E_BAD_REQUEST,
                  STR("Only one of context_id or language can be provided"));
        return false;
    }
    if (context.n && !str_eq(context, STR("default"))) {
        want_fail(
            want, E_NOT_FOUND,
            arena_text(op->arena, "Context %.*s not found", STR_FMT(context)));
        return false;
    }
    language = lower(op, language.p ? language : STR(""));
    if (language.n == 0 || str_eq(language, STR("python")))
        return true;
    if (str_eq(language, STR("js")))
        language = STR("javascript");
    else if (str_eq(language, STR("ts")))
        language = STR("typescript");
    refuse_language(op, language, want);
    return false;
}

static bool wrong(struct want *want, struct str text)
{
    want_fail(want, E_BAD_FIELD, text);
    return false;
}

/* A member that is a text, or null, or not there. */
static bool text_member(const json_t *object, const char *name, struct str *out)
{
    const json_t *member = json_member(object, name);

    *out = json_str(object, name);
    return !member || json_is_string(member);
}

static bool read_envs(struct op *op, struct run *r, const json_t *object,
                      struct want *want)
{
    json_t *envs = json_member(object, "env_vars");
    const char *name;
    json_t *value;
    struct buf b;

    if (envs && !json_is_object(envs))
        return wrong(want, STR("env_vars: Input should be a valid dictionary"));
    json_object_foreach(envs, name, value)
    {
        if (!json_is_string(value))
            return wrong(want, STR("env_vars: Input should be a valid string"));
        /* The kernel's own environment refuses these two. */
        if (!*name || strchr(name, '='))
            return wrong(want, STR("env_vars: a name is empty or holds ="));
    }
    if (json_object_size(envs) == 0)
        return true;
    buf_init(&b, 16 << 20);
    json_write_ascii(&b, envs);
    r->envs = b.failed ? STR_NONE : arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    if (!r->envs.p)
        want_fail(want, E_NOMEM, STR_NONE);
    return r->envs.p != NULL;
}

static bool read_members(struct op *op, struct run *r, const json_t *object,
                         struct want *want)
{
    struct str code, context, language;

    if (!json_is_object(object))
        return wrong(want, STR("body: Input should be a valid dictionary or "
                               "object to extract fields from"));
    if (!json_object_get(object, "code"))
        return wrong(want, STR("code: Field required"));
    if (!text_member(object, "code", &code) || !code.p)
        return wrong(want, STR("code: Input should be a valid string"));
    if (!text_member(object, "context_id", &context))
        return wrong(want, STR("context_id: Input should be a valid string"));
    if (!text_member(object, "language", &language))
        return wrong(want, STR("language: Input should be a valid string"));
    r->code = arena_copy(op->arena, code);
    if (!r->code.p) {
        want_fail(want, E_NOMEM, STR_NONE);
        return false;
    }
    r->blank = true;
    for (size_t i = 0; i < code.n; i++)
        r->blank = r->blank && strchr(" \t\r\n\f\v", code.p[i]);
    return read_envs(op, r, object, want) &&
           check_context(op, context, language, want);
}

static void read_body(struct op *op, struct run *r,
                      const struct op_event *event, struct want *want)
{
    static const struct answer_head head = {.status = 200,
                                            .length = LENGTH_CHUNKED};
    json_t *json = NULL;
    enum err err;

    if (!encode_is_utf8(event->bytes)) {
        want_fail(want, E_BAD_REQUEST,
                  STR("There was an error parsing the body"));
        return;
    }
    err = json_read(event->bytes, &json_limits_rpc, &json);
    if (err) {
        want_fail(want, err,
                  event->bytes.n ? STR("JSON decode error")
                                 : STR("body: Field required"));
        return;
    }
    if (read_members(op, r, json, want)) {
        /* At once: clients wait only 60 s for it. */
        want->kind = WANT_SAY;
        want->say.head = &head;
        r->step = STEP_HEAD;
    }
    json_decref(json);
}

static void begin(struct op *op, struct want *want)
{
    struct str type = fields_get(&op->in.head->fields, STR("Content-Type"));
    struct run *r = arena_new_zero(op->arena, sizeof(*r));

    op->state = r;
    if (!r) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    envelope_init(&r->in, FRAME_MAX);
    buf_init(&r->lines, LINES_MAX);
    op->drop = drop;
    if (is_json_type(type))
        want->kind = WANT_BODY;
    else
        wrong(want, STR("body: Input should be a valid dictionary or object "
                        "to extract fields from"));
}

static void on_room(struct op *op, struct run *r, const struct op_event *event,
                    struct want *want)
{
    if (r->step == STEP_HEAD) {
        r->step = STEP_WAIT;
        want->kind = WANT_LIVE;
        want->live.kind = LIVE_CONTEXT_ENTER;
        want->live.context = STR("");
        want->wake_ms = event->now_ms + KEEPALIVE_MS;
    } else if (r->step == STEP_COUNT) {
        next(op, r, event, want);
    } else if (r->step == STEP_END) {
        want->kind = WANT_DONE;
    } else {
        want_next(want, FROM_CALL | FROM_LIVE);
        want->wake_ms = event->now_ms + KEEPALIVE_MS;
    }
}

void code_execute_hear(struct op *op, const struct op_event *event,
                       struct want *want)
{
    struct run *r = op->state;

    switch (event->kind) {
    case OP_BEGIN:
        begin(op, want);
        return;
    case OP_BODY:
        read_body(op, r, event, want);
        return;
    case OP_RESULT:
        on_result(op, r, event, want);
        return;
    case OP_HEAD:
        if (event->status != 200)
            r->fail = E_BACKEND_GARBAGE;
        say(op, r, FROM_CALL, event, want);
        return;
    case OP_PIECE:
        on_piece(op, r, event, want);
        return;
    case OP_END:
    case OP_CUT:
        on_over(op, r, event, want);
        return;
    case OP_CLIENT_GONE:
        on_gone(r, event, want);
        return;
    case OP_TIME:
        on_time(op, r, event, want);
        return;
    case OP_ROOM:
        on_room(op, r, event, want);
        return;
    case OP_CLIENT_PIECE:
    case OP_CLIENT_END:
    case OP_ANSWER:
        break;
    }
    want_next(want, FROM_CALL | FROM_LIVE);
}

/* ---- the rest of 49999 ---- */

void code_health_hear(struct op *op, const struct op_event *event,
                      struct want *want)
{
    if (event->kind == OP_BEGIN) {
        want->kind = WANT_LIVE;
        want->live.kind = LIVE_HEALTH;
    } else if (event->kind != OP_RESULT || event->err) {
        want_fail(want, event->err ? event->err : E_SANDBOX_UNKNOWN, STR_NONE);
    } else {
        want_json(op, want, 200, STR("\"OK\""));
    }
}

/* The one context that there is. */
void code_contexts_hear(struct op *op, const struct op_event *event,
                        struct want *want)
{
    const struct conf_template *t = proto_template(op);
    struct str user = t && t->user.n ? t->user : STR("user"), cwd;
    struct buf b;

    (void)event;
    cwd = t && t->workdir.n ? t->workdir
          : str_eq(user, STR("root"))
              ? STR("/root")
              : arena_text(op->arena, "/home/%.*s", STR_FMT(user));
    buf_init(&b, 4096);
    buf_put(&b, STR("[{\"id\":\"default\",\"language\":\"python\",\"cwd\":"));
    json_write_text(&b, cwd, true, false);
    buf_put(&b, STR("}]"));
    want_json_take(op, want, 200, &b);
}

void code_context_change_hear(struct op *op, const struct op_event *event,
                              struct want *want)
{
    struct str id = op->in.params[0];

    (void)event;
    if (id.p && !str_eq(id, STR("default")))
        want_fail(want, E_NOT_FOUND,
                  arena_text(op->arena, "Context %.*s not found", STR_FMT(id)));
    else
        want_fail(want, E_UNIMPLEMENTED,
                  STR("Only the default context is served by this gateway "
                      "yet: contexts cannot be created, restarted or "
                      "removed"));
}
