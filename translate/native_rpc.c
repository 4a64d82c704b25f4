/* native_rpc.c - the sandbox server's RPCs, passed on as they are.
 *
 * A request that is one message is collected; what a client streams is passed
 * on piece by piece.  Answers are not translated, but for two things that its
 * own client's files.exists trips over: a missing path is `internal` and 500
 * at the server, where that looks for `not_found` and 404; and so is a List
 * of what is no directory, which is asked for once more by Stat. */
#include "base/json.h"
#include "translate/envelope.h"
#include "translate/fault.h"
#include "translate/media.h"
#include "translate/native.h"
#include "translate/ops.h"

/* A unary answer: the guest sends at most 4 MiB of it. */
#define ANSWER_MAX (16 << 20)
/* An end frame that is looked at: longer ones are passed on unread. */
#define END_MAX (64 << 10)

struct rpc {
    const char *method;
    bool stream; /* of frames */
    bool sends;  /* the client's frames are many */
    bool finds;  /* a missing path is `not_found` */
    enum slot slot;
};

static const struct rpc rpcs[] = {
    [NATIVE_EXEC_STREAM] = {"ExecStream", true, false, false, SLOT_EXEC},
    [NATIVE_RUN_CODE_STREAM] = {"RunCodeStream", true, false, false, SLOT_NONE},
    [NATIVE_READ_FILE] = {"ReadFile", true, false, true, SLOT_NONE},
    [NATIVE_WRITE_FILE] = {"WriteFile", true, true, false, SLOT_NONE},
    [NATIVE_FILE_LIST] = {"List", false, false, true, SLOT_NONE},
    [NATIVE_STAT] = {"Stat", false, false, true, SLOT_NONE},
    [NATIVE_MKDIR] = {"Mkdir", false, false, false, SLOT_NONE},
    [NATIVE_REMOVE] = {"Remove", false, false, false, SLOT_NONE},
    [NATIVE_ARCHIVE] = {"Archive", true, false, false, SLOT_NONE},
    [NATIVE_UPLOAD] = {"Upload", true, true, false, SLOT_NONE},
    [NATIVE_WATCH] = {"Watch", true, false, false, SLOT_NONE},
    [NATIVE_PROCESSES] = {"Processes", false, false, false, SLOT_NONE},
    [NATIVE_SIGNAL] = {"Signal", false, false, false, SLOT_NONE},
    [NATIVE_VITALS] = {"Vitals", true, false, false, SLOT_NONE},
};

#define NO_DIRECTORY 20 /* errno */

struct state {
    const struct rpc *rpc;
    struct str parent; /* of a List; absent: nothing else can be asked */
    struct str listed; /* what came of it, while Stat is asked */
    struct str id;     /* as the client named it */
    bool told;         /* the head is out */
    bool looking;      /* the first frame may be the end frame of an error */
    struct buf end;    /* ... what came of it */
};

static void drop(struct op *op)
{
    struct state *s = op->state;

    buf_clear(&s->end);
}

/* ---- the request ---- */

/* gRPC is not carried: it needs HTTP/2 up to the server. */
static bool type_ok(const struct rpc *rpc, struct str type)
{
    if (rpc->stream)
        return media_is(type, STR("application/connect+json")) ||
               media_is(type, STR("application/connect+proto"));
    return media_is(type, STR("application/json")) ||
           media_is(type, STR("application/proto"));
}

static void begin(struct op *op, struct want *want)
{
    const struct fields *fields = &op->in.head->fields;
    struct state *s = arena_new_zero(op->arena, sizeof(*s));

    if (!s) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    op->state = s;
    op->drop = drop;
    buf_init(&s->end, END_MAX);
    s->rpc = &rpcs[op->row->variant];
    s->looking = s->rpc->stream && s->rpc->finds;
    s->id = fields_get(fields, STR("x-sandbox-id"));
    if (!s->id.p)
        s->id = STR("");
    if (!type_ok(s->rpc, fields_get(fields, STR("content-type")))) {
        want_fail(want, E_MEDIA_TYPE, STR_NONE);
        return;
    }
    want->kind = WANT_RECORD;
    want->record = s->id;
}

/* The fields of the client's that say how its message is to be read; the
 * answer comes uncompressed, unless the client compressed its own. */
MUST_USE static enum err pick_fields(struct op *op, struct fields *out)
{
    static const struct str names[] = {
        STR("content-type"),
        STR("content-encoding"),
        STR("connect-protocol-version"),
        STR("connect-content-encoding"),
        STR("connect-timeout-ms"),
    };

    return native_pick(op, &op->in.head->fields, names,
                       sizeof(names) / sizeof(*names), out);
}

static void call_rpc(struct op *op, const struct rpc *rpc, struct str body,
                     struct want *want)
{
    struct fields *fields = arena_new_zero(op->arena, sizeof(*fields));

    if (!fields || pick_fields(op, fields) != E_OK) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    want->kind = WANT_CALL;
    want->call = (struct want_call){.method = str_of(rpc->method),
                                    .stream = rpc->stream,
                                    .fields = fields,
                                    .body = body,
                                    .send = rpc->sends,
                                    .collect = !rpc->stream,
                                    .limit = ANSWER_MAX,
                                    .slot = rpc->slot};
    want->from = rpc->sends ? FROM_CLIENT | FROM_CALL : FROM_CALL;
}

/* The path of a List, to be asked about by Stat if it is no directory. */
static struct str read_parent(struct op *op, struct str body)
{
    struct str parent = STR_NONE;
    json_t *list;

    if (!media_is(fields_get(&op->in.head->fields, STR("content-type")),
                  STR("application/json")) ||
        json_read(body, &json_limits_rpc, &list) != E_OK)
        return parent;
    parent = json_str(list, "parent");
    if (parent.p)
        parent = arena_copy(op->arena, parent);
    json_decref(list);
    return parent;
}

static void call(struct op *op, struct str body, struct want *want)
{
    struct state *s = op->state;

    if (op->row->variant == NATIVE_FILE_LIST && body.p)
        s->parent = read_parent(op, body);
    call_rpc(op, s->rpc, body, want);
}

/* ---- what an unknown sandbox is told ---- */

/* As the server says it, which does not know such a sandbox either. */
static void say_unknown(struct op *op, struct want *want)
{
    const struct state *s = op->state;
    struct str text = arena_text(op->arena, "sandbox %.*s has no stream path",
                                 STR_FMT(s->id));
    bool file =
        s->rpc->finds || s->rpc->sends || op->row->variant == NATIVE_ARCHIVE;
    struct fields fields = {0};
    struct buf b;

    buf_init(&b, END_MAX);
    if (!s->rpc->stream) {
        native_put(&b, "{\"code\":\"internal\",\"message\":", text);
        buf_byte(&b, '}');
        native_answer(op, want, 500, &b);
        return;
    }
    envelope_put_end(&b, file ? "internal" : "unavailable", text);
    text = arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    if (!text.p || fields_add(&fields, op->arena, STR("Content-Type"),
                              STR("application/connect+json")) != E_OK)
        want_fail(want, E_NOMEM, STR_NONE);
    else
        want_answer(op, want, 200, &fields, text);
}

static void fail_call(struct op *op, enum err err, struct want *want)
{
    const struct state *s = op->state;

    if (err == E_SANDBOX_GONE && !s->told)
        say_unknown(op, want);
    else
        want_fail(want, err, STR_NONE);
}

/* ---- the answer ---- */

/* The fields that say how the answer is to be read. */
MUST_USE static enum err answer_fields(struct op *op, const struct fields *from,
                                       struct fields *out)
{
    static const struct str names[] = {
        STR("Content-Type"),
        STR("Content-Encoding"),
        STR("Connect-Content-Encoding"),
        STR("Accept-Post"),
        STR("Allow"),
    };

    return native_pick(op, from, names, sizeof(names) / sizeof(*names), out);
}

static bool is_missing(int status, struct str body)
{
    return status >= 400 && fault_of_answer(status, body) == E_NOT_FOUND;
}

/* The server's text with the code that its client looks for. */
static struct str with_code(struct op *op, struct str body)
{
    struct str out = STR_NONE;
    json_t *error;
    struct buf b;

    if (json_read(body, &json_limits_rpc, &error) != E_OK)
        return STR_NONE;
    buf_init(&b, END_MAX);
    native_put(
        &b, "{\"code\":\"not_found\",\"message\":", json_str(error, "message"));
    buf_byte(&b, '}');
    if (!b.failed)
        out = arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    json_decref(error);
    return out;
}

/* Did List fail because the path, or what is before it, is no directory? */
static bool is_no_directory(int status, struct str body)
{
    bool found = false;
    json_t *error;

    if (status < 400 || json_read(body, &json_limits_rpc, &error) != E_OK)
        return false;
    found = fault_errno(json_str(error, "message")) == NO_DIRECTORY;
    json_decref(error);
    return found;
}

static void ask_stat(struct op *op, struct str listed, struct want *want)
{
    struct state *s = op->state;
    struct str body = STR_NONE;
    struct buf b;

    buf_init(&b, NATIVE_MESSAGE_MAX);
    native_put(&b, "{\"path\":", s->parent);
    buf_byte(&b, '}');
    if (!b.failed)
        body = arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    s->listed = arena_copy(op->arena, listed);
    if (!body.p || !s->listed.p)
        want_fail(want, E_NOMEM, STR_NONE);
    else
        call_rpc(op, &rpcs[NATIVE_STAT], body, want);
}

/* A file is listed as itself, as ls does; what is below one is missing; of
 * what cannot be told, List's own answer stands. */
static void say_listed(struct op *op, const struct op_event *event,
                       struct want *want)
{
    const struct state *s = op->state;
    struct str mended = STR_NONE;
    int status = 500;
    struct buf b;

    buf_init(&b, ANSWER_MAX);
    if (event->err == E_OK && event->status == 200) {
        status = 200;
        buf_put(&b, STR("{\"entries\":["));
        buf_put(&b, str_trim(event->bytes));
        buf_put(&b, STR("]}"));
    } else {
        if (event->err == E_OK &&
            (is_missing(event->status, event->bytes) ||
             is_no_directory(event->status, event->bytes)))
            mended = with_code(op, s->listed);
        status = mended.p ? 404 : 500;
        buf_put(&b, str_trim(mended.p ? mended : s->listed));
    }
    native_answer(op, want, status, &b);
}

static void say_answer(struct op *op, const struct op_event *event,
                       struct want *want)
{
    const struct state *s = op->state;
    struct str body = event->bytes;
    struct fields fields = {0};
    int status = event->status;

    if (s->listed.p) {
        say_listed(op, event, want);
        return;
    }
    if (event->err != E_OK) {
        fail_call(op, event->err, want);
        return;
    }
    if (s->parent.p && is_no_directory(status, body)) {
        ask_stat(op, body, want);
        return;
    }
    if (s->rpc->finds && is_missing(status, body)) {
        struct str mended = with_code(op, body);

        status = mended.p ? 404 : status;
        body = mended.p ? mended : body;
    }
    if (answer_fields(op, event->fields, &fields) != E_OK)
        want_fail(want, E_NOMEM, STR_NONE);
    else
        want_answer(op, want, status, &fields, body);
}

static void say_head(struct op *op, const struct op_event *event,
                     struct want *want)
{
    struct state *s = op->state;
    struct answer_head *head = arena_new_zero(op->arena, sizeof(*head));

    if (!head || answer_fields(op, event->fields, &head->fields) != E_OK) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    s->told = true;
    s->looking = s->looking && event->status == 200;
    head->status = event->status;
    head->length = LENGTH_CHUNKED;
    want->kind = WANT_SAY;
    want->say.head = head;
    want->from = FROM_CLIENT | FROM_CALL;
}

static void say_piece(struct str piece, struct want *want)
{
    want->kind = WANT_SAY;
    want->say.piece = piece;
    want->from = FROM_CLIENT | FROM_CALL;
}

/* A first frame that is an end frame is held until all of it is there. */
static void hear_piece(struct op *op, struct str piece, struct want *want)
{
    struct state *s = op->state;

    if (s->looking && buf_len(&s->end) == 0 &&
        !((unsigned char)piece.p[0] & ENVELOPE_END))
        s->looking = false;
    if (!s->looking) {
        say_piece(piece, want);
        return;
    }
    buf_put(&s->end, piece);
    if (!s->end.failed) {
        want_next(want, FROM_CALL);
        return;
    }
    /* No error is that long. */
    want_fail(want, E_BACKEND_GARBAGE, STR_NONE);
}

/* The text of an end frame that tells of a missing path, in the arena; absent:
 * it tells something else. */
static struct str missing_text(struct op *op, struct str frame)
{
    struct str rest = frame, payload, text = STR_NONE;
    struct envelope_reader reader;
    unsigned flags;
    bool whole;
    json_t *end;

    envelope_init(&reader, END_MAX);
    if (envelope_next(&reader, &rest, &whole, &flags, &payload) == E_OK &&
        whole && !(flags & ENVELOPE_COMPRESSED) &&
        json_read(payload, &json_limits_rpc, &end) == E_OK) {
        const json_t *error = json_member(end, "error");
        struct str message = json_str(error, "message");

        if (error &&
            fault_classify(json_str(error, "code"), message) == E_NOT_FOUND)
            text = arena_copy(op->arena, message);
        json_decref(end);
    }
    envelope_clear(&reader);
    return text;
}

/* What was held: an error, whose code may be mended. */
static void say_held(struct op *op, struct want *want)
{
    struct state *s = op->state;
    struct str text = missing_text(op, buf_str(&s->end));

    s->looking = false;
    if (text.p) {
        buf_empty(&s->end);
        envelope_put_end(&s->end, "not_found", text);
    }
    want->kind = WANT_SAY;
    want->say.piece = buf_str(&s->end);
    want->from = 0; /* then done */
}

static void hear_client(const struct state *s, const struct op_event *event,
                        struct want *want)
{
    want->from = FROM_CALL;
    if (!s->rpc->sends)
        return;
    want->kind = WANT_SEND;
    want->send_end = event->kind == OP_CLIENT_END;
    want->send = event->bytes;
    if (!want->send_end)
        want->from |= FROM_CLIENT;
}

static void pass(struct op *op, const struct op_event *event, struct want *want)
{
    struct state *s = op->state;

    if (event->kind == OP_HEAD)
        say_head(op, event, want);
    else if (event->kind == OP_PIECE)
        hear_piece(op, event->bytes, want);
    else if (event->kind == OP_CLIENT_PIECE || event->kind == OP_CLIENT_END)
        hear_client(s, event, want);
    else if (event->kind == OP_CUT)
        fail_call(op, event->err, want);
    else if (event->kind == OP_END && s->looking && buf_len(&s->end))
        say_held(op, want);
    else
        want->kind = WANT_DONE; /* the end, or what was held has gone out */
}

void native_rpc_hear(struct op *op, const struct op_event *event,
                     struct want *want)
{
    struct state *s = op->state;

    if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->kind == OP_RESULT && event->err != E_OK)
        want_fail(want, event->err, STR_NONE);
    else if (event->kind == OP_RESULT && !op->in.sandbox)
        say_unknown(op, want);
    else if (event->kind == OP_RESULT && s->rpc->sends)
        call(op, STR_NONE, want);
    else if (event->kind == OP_RESULT)
        want->kind = WANT_BODY;
    else if (event->kind == OP_BODY)
        call(op, arena_copy(op->arena, event->bytes), want);
    else if (event->kind == OP_ANSWER)
        say_answer(op, event, want);
    else
        pass(op, event, want);
}
