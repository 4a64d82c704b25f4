/* process.c - process.Process: commands, their streams, list and signals.
 *
 * A command belongs to live/process; a stream only subscribes to it, so a
 * client that leaves changes nothing.  live gives whole frames of E2B's; the
 * head, the start frame, keepalives and the end frame are made here. */
#include "base/json.h"
#include "translate/envelope.h"
#include "translate/exec.h"
#include "translate/ops.h"
#include "translate/proto.h"

#define SIGNAL_COUNT 16

/* Index = number.  Source: process.proto. */
static const char *const signals[SIGNAL_COUNT + 1] = {
    "SIGNAL_UNSPECIFIED",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "",
    "SIGNAL_SIGKILL",
    "",
    "",
    "",
    "",
    "",
    "SIGNAL_SIGTERM",
    NULL,
};

/* Which process a call means. */
struct selector {
    uint32_t pid;   /* 0: by tag */
    struct str tag; /* absent: by pid */
};

struct stream {
    struct proto_head head;
    struct selector selector; /* Connect */
    int64_t end_ms;           /* Connect: when the stream ends; 0 never */
    bool started;             /* the head is out */
    bool over;                /* the end frame is out */
};

/* ---- what is read ---- */

static bool read_selector(struct proto *p, struct selector *out)
{
    const json_t *object = proto_object(p, p->message, "process");
    bool by_pid, by_tag;

    out->pid = proto_u32(p, object, "pid", &by_pid);
    out->tag = proto_text(p, object, "tag", &by_tag);
    if (by_pid && by_tag)
        proto_wrong(p, "both members of the oneof selector are set");
    if (!by_tag)
        out->tag = STR_NONE;
    return by_pid || by_tag;
}

static void fail_selector(struct want *want)
{
    want_fail(want, E_UNIMPLEMENTED,
              STR("invalid input type *process.ProcessSelector"));
}

/* The text of a live object's refusal. */
static void fail_live(struct op *op, const struct op_event *event,
                      const struct selector *s, struct want *want)
{
    struct str detail = event->result ? event->result->detail : STR_NONE;

    if (event->err == E_NOT_FOUND && s && s->tag.p)
        detail = arena_text(op->arena, "process with tag %.*s not found",
                            STR_FMT(s->tag));
    else if (event->err == E_NOT_FOUND && s)
        detail = arena_text(op->arena, "process with pid %u not found", s->pid);
    else if (event->err == E_DEADLINE)
        detail = STR("context deadline exceeded");
    want_fail(want, event->err, detail);
}

/* The config as List gives it back: unset members are left out. */
static struct str config_json(struct op *op, const struct process_config *c)
{
    struct buf b;
    struct str out;

    buf_init(&b, 32 << 20);
    buf_byte(&b, '{');
    if (c->cmd.n) {
        buf_put(&b, STR("\"cmd\":"));
        json_write_text(&b, c->cmd, false, false);
    }
    for (unsigned i = 0; i < c->arg_count; i++) {
        buf_put(&b, i          ? STR(",")
                    : c->cmd.n ? STR(",\"args\":[")
                               : STR("\"args\":["));
        json_write_text(&b, c->args[i], false, false);
    }
    if (c->arg_count)
        buf_byte(&b, ']');
    for (unsigned i = 0; i < c->env_count; i++) {
        if (i == 0)
            buf_put(&b,
                    buf_len(&b) > 1 ? STR(",\"envs\":{") : STR("\"envs\":{"));
        else
            buf_byte(&b, ',');
        json_write_text(&b, c->env_names[i], false, false);
        buf_byte(&b, ':');
        json_write_text(&b, c->env_values[i], false, false);
    }
    if (c->env_count)
        buf_byte(&b, '}');
    if (c->cwd.n) {
        buf_put(&b, buf_len(&b) > 1 ? STR(",\"cwd\":") : STR("\"cwd\":"));
        json_write_text(&b, c->cwd, false, false);
    }
    buf_byte(&b, '}');
    out = b.failed ? STR_NONE : arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    return out;
}

/* ---- streams ---- */

static void wake(const struct stream *s, const struct op_event *event,
                 struct want *want)
{
    want->wake_ms = event->now_ms + s->head.keepalive_ms;
    if (s->end_ms && s->end_ms < want->wake_ms)
        want->wake_ms = s->end_ms;
}

/* Say frames and go on with the live object. */
static void say(const struct stream *s, const struct op_event *event,
                struct str frames, struct want *want)
{
    want->kind = WANT_SAY;
    want->from = FROM_LIVE;
    want->say.piece = frames;
    wake(s, event, want);
}

/* A frame made by put, in the scratch arena. */
static struct str frame(struct op *op, struct buf *b)
{
    struct str out = b->failed ? STR_NONE : arena_copy(op->scratch, buf_str(b));

    buf_clear(b);
    return out;
}

/* The end frame, and then DONE. */
static void say_end(struct op *op, struct stream *s, const char *code,
                    struct str message, struct want *want)
{
    struct buf b;

    buf_init(&b, 4096);
    envelope_put_end(&b, code, message);
    s->over = true;
    want->kind = WANT_SAY;
    want->say.piece = frame(op, &b);
    if (!want->say.piece.p)
        want_fail(want, E_NOMEM, STR_NONE);
}

static void say_start(struct op *op, struct stream *s,
                      const struct op_event *event, struct want *want)
{
    struct buf b;

    buf_init(&b, 256);
    exec_put_start(&b, event->result->pid);
    say(s, event, frame(op, &b), want);
    want->say.head = proto_stream_head();
    s->started = true;
    if (!want->say.piece.p)
        want_fail(want, E_NOMEM, STR_NONE);
}

static void say_keepalive(struct op *op, struct stream *s,
                          const struct op_event *event, struct want *want)
{
    struct buf b;

    buf_init(&b, 256);
    exec_put_keepalive(&b);
    say(s, event, frame(op, &b), want);
    if (!want->say.piece.p)
        want_fail(want, E_NOMEM, STR_NONE);
}

/* How a stream ends that did not end by itself.  What is known to the daemon
 * is an end frame; what befell the sandbox or us is a cut. */
static void end_stream(struct op *op, struct stream *s,
                       const struct op_event *event, struct want *want)
{
    if (event->err == E_DEADLINE)
        say_end(op, s, "deadline_exceeded", STR("context deadline exceeded"),
                want);
    else if (event->err == E_EXHAUSTED)
        say_end(op, s, "resource_exhausted",
                STR("this subscriber reads too slowly: it was more than 1 MiB "
                    "behind the others for 10 s"),
                want);
    else
        want_fail(want, event->err, STR_NONE);
}

static void on_time(struct op *op, struct stream *s,
                    const struct op_event *event, struct want *want)
{
    if (s->end_ms && event->now_ms >= s->end_ms) {
        if (s->started)
            say_end(op, s, "deadline_exceeded",
                    STR("context deadline exceeded"), want);
        else
            want_fail(want, E_DEADLINE, STR("context deadline exceeded"));
    } else if (s->started) {
        say_keepalive(op, s, event, want);
    } else {
        want_next(want, FROM_LIVE);
        want->wake_ms = s->end_ms;
    }
}

/* Events that both streams share. */
static void hear_stream(struct op *op, const struct op_event *event,
                        struct want *want)
{
    struct stream *s = op->state;

    switch (event->kind) {
    case OP_RESULT:
        if (event->err)
            fail_live(op, event, &s->selector, want);
        else
            say_start(op, s, event, want);
        return;
    case OP_PIECE:
        say(s, event, event->bytes, want);
        return;
    case OP_END:
        say_end(op, s, NULL, STR_NONE, want);
        return;
    case OP_CUT:
        end_stream(op, s, event, want);
        return;
    case OP_TIME:
        on_time(op, s, event, want);
        return;
    case OP_ROOM:
        if (s->over) {
            want->kind = WANT_DONE;
            return;
        }
        break;
    case OP_BEGIN:
    case OP_BODY:
    case OP_CLIENT_PIECE:
    case OP_CLIENT_END:
    case OP_CLIENT_GONE:
    case OP_ANSWER:
    case OP_HEAD:
        break;
    }
    want_next(want, FROM_LIVE);
    wake(s, event, want);
}

/* BEGIN of any call of this file. */
static void begin(struct op *op, bool stream, struct want *want)
{
    struct stream *s = arena_new_zero(op->arena, sizeof(*s));

    op->state = s;
    if (!s)
        want_fail(want, E_NOMEM, STR_NONE);
    else if (proto_head(op, stream, &s->head, want))
        want->kind = WANT_BODY;
}

/* ---- Start ---- */

static bool read_config(struct op *op, struct proto *p,
                        struct process_config *c)
{
    const struct stream *s = op->state;
    const json_t *process = proto_object(p, p->message, "process");
    bool tagged;

    c->cmd = proto_text(p, process, "cmd", NULL);
    c->arg_count = proto_texts(p, process, "args", &c->args);
    c->env_count = proto_map(p, process, "envs", &c->env_names, &c->env_values);
    c->cwd = proto_text(p, process, "cwd", NULL);
    c->tag = proto_text(p, p->message, "tag", &tagged);
    if (!tagged)
        c->tag = STR_NONE;
    c->user = s->head.user;
    if (p->fault.p)
        return true; /* proto_close() tells it */
    c->json = config_json(op, c);
    return c->json.p != NULL;
}

static void start(struct op *op, const struct op_event *event,
                  struct want *want)
{
    struct process_config *c = arena_new_zero(op->arena, sizeof(*c));
    struct stream *s = op->state;
    bool terminal, input, kept;
    struct proto p;

    if (!c) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    if (!proto_open(op, true, event->bytes, &p, want))
        return;
    kept = read_config(op, &p, c);
    terminal = proto_object(&p, p.message, "pty") != NULL;
    input = proto_bool(&p, p.message, "stdin", NULL);
    if (!proto_close(&p, want))
        return;
    if (!kept) {
        want_fail(want, E_NOMEM, STR_NONE);
    } else if (terminal) {
        want_fail(want, E_UNIMPLEMENTED,
                  STR("pty: terminals are not served by this gateway yet"));
    } else if (input) {
        want_fail(want, E_UNIMPLEMENTED,
                  STR("stdin: sending input to a process is not served by this "
                      "gateway yet; start it without stdin"));
    } else {
        want->kind = WANT_LIVE;
        want->from = FROM_LIVE;
        want->live.kind = LIVE_PROCESS_START;
        want->live.process = c;
        want->live.deadline_ms = s->head.timeout_ms;
    }
}

void process_start_hear(struct op *op, const struct op_event *event,
                        struct want *want)
{
    if (event->kind == OP_BEGIN)
        begin(op, true, want);
    else if (event->kind == OP_BODY)
        start(op, event, want);
    else
        hear_stream(op, event, want);
}

/* ---- Connect ---- */

static void connect(struct op *op, const struct op_event *event,
                    struct want *want)
{
    struct stream *s = op->state;
    struct proto p;
    bool named;

    if (!proto_open(op, true, event->bytes, &p, want))
        return;
    named = read_selector(&p, &s->selector);
    if (!proto_close(&p, want))
        return;
    if (!named) {
        fail_selector(want);
        return;
    }
    want->kind = WANT_LIVE;
    want->from = FROM_LIVE;
    want->live.kind = LIVE_PROCESS_CONNECT;
    want->live.pid = s->selector.pid;
    want->live.tag = s->selector.tag;
    if (s->head.timeout_ms)
        s->end_ms = event->now_ms + s->head.timeout_ms;
    want->wake_ms = s->end_ms;
}

void process_connect_hear(struct op *op, const struct op_event *event,
                          struct want *want)
{
    if (event->kind == OP_BEGIN)
        begin(op, true, want);
    else if (event->kind == OP_BODY)
        connect(op, event, want);
    else
        hear_stream(op, event, want);
}

/* ---- List ---- */

static void list(struct op *op, const struct op_result *result,
                 struct want *want)
{
    struct buf b;

    buf_init(&b, 64 << 20);
    buf_put(&b, result->count ? STR("{\"processes\":[") : STR("{"));
    for (unsigned i = 0; i < result->count; i++) {
        const struct live_process *row = &result->processes[i];

        buf_put(&b, i ? STR(",{\"config\":") : STR("{\"config\":"));
        buf_put(&b, row->config);
        buf_text(&b, ",\"pid\":%u", row->pid);
        if (row->tag.p) {
            buf_put(&b, STR(",\"tag\":"));
            json_write_text(&b, row->tag, false, false);
        }
        buf_byte(&b, '}');
    }
    buf_put(&b, result->count ? STR("]}") : STR("}"));
    want_json_take(op, want, 200, &b);
}

void process_list_hear(struct op *op, const struct op_event *event,
                       struct want *want)
{
    struct proto p;

    if (event->kind == OP_BEGIN) {
        begin(op, false, want);
    } else if (event->kind == OP_BODY) {
        if (proto_open(op, false, event->bytes, &p, want) &&
            proto_close(&p, want)) {
            want->kind = WANT_LIVE;
            want->live.kind = LIVE_PROCESS_LIST;
        }
    } else if (event->kind == OP_RESULT && !event->err) {
        list(op, event->result, want);
    } else {
        fail_live(op, event, NULL, want);
    }
}

/* ---- signals, and what needs a live process but is not served ---- */

enum { CALL_SIGNAL = 0, CALL_INPUT, CALL_CLOSE, CALL_UPDATE };

struct aimed {
    struct proto_head head;
    struct selector selector;
    int signal;
};

/* What is told when the process is there. */
static void refuse(struct op *op, const struct aimed *a, struct want *want)
{
    struct str text;

    switch (op->row->variant) {
    case CALL_INPUT:
        text = STR("input: sending input to a process is not served by this "
                   "gateway yet");
        break;
    case CALL_CLOSE:
        text = STR("stdin: it is not served by this gateway yet; the process "
                   "has found its end already");
        break;
    case CALL_UPDATE:
        text = STR("pty: terminals are not served by this gateway yet");
        break;
    default:
        text = a->signal
                   ? arena_text(op->arena, "invalid signal: %d", a->signal)
                   : STR("invalid signal: SIGNAL_UNSPECIFIED");
    }
    want_fail(want, E_UNIMPLEMENTED, text);
}

static bool deliverable(const struct op *op, const struct aimed *a)
{
    return op->row->variant == CALL_SIGNAL &&
           (a->signal == 9 || a->signal == 15);
}

static void aim(struct op *op, const struct op_event *event, struct want *want)
{
    struct aimed *a = op->state;
    struct proto p;
    bool named;

    if (!proto_open(op, false, event->bytes, &p, want))
        return;
    named = read_selector(&p, &a->selector);
    if (op->row->variant == CALL_SIGNAL)
        a->signal = proto_enum(&p, p.message, "signal", signals);
    if (!proto_close(&p, want))
        return;
    if (!named) {
        fail_selector(want);
        return;
    }
    want->kind = WANT_LIVE;
    want->live.kind = LIVE_PROCESS_SIGNAL;
    want->live.pid = a->selector.pid;
    want->live.tag = a->selector.tag;
    want->live.signal = deliverable(op, a) ? a->signal : 0;
}

void process_aimed_hear(struct op *op, const struct op_event *event,
                        struct want *want)
{
    struct aimed *a = op->state;

    switch (event->kind) {
    case OP_BEGIN:
        op->state = a = arena_new_zero(op->arena, sizeof(*a));
        if (!a)
            want_fail(want, E_NOMEM, STR_NONE);
        else if (proto_head(op, false, &a->head, want))
            want->kind = WANT_BODY;
        return;
    case OP_BODY:
        aim(op, event, want);
        return;
    case OP_RESULT:
        if (event->err)
            fail_live(op, event, &a->selector, want);
        else if (deliverable(op, a))
            want_json(op, want, 200, STR("{}"));
        else
            refuse(op, a, want);
        return;
    case OP_CLIENT_PIECE:
    case OP_CLIENT_END:
    case OP_CLIENT_GONE:
    case OP_ANSWER:
    case OP_HEAD:
    case OP_PIECE:
    case OP_END:
    case OP_CUT:
    case OP_ROOM:
    case OP_TIME:
        break;
    }
    want_fail(want, event->err ? event->err : E_INTERNAL, STR_NONE);
}

/* Answered at once: the body may go on for minutes. */
void process_stream_input_hear(struct op *op, const struct op_event *event,
                               struct want *want)
{
    struct proto_head head;

    (void)event;
    if (proto_head(op, true, &head, want))
        want_fail(want, E_UNIMPLEMENTED,
                  STR("input: sending input to a process is not served by "
                      "this gateway yet"));
}
