/* native_socket.c - GET /sandbox.v1.Sandbox/Exec: the WebSocket of a program
 * with input, or of a terminal; after the handshake bytes both ways. */
#include "translate/native.h"
#include "translate/ops.h"
#include "translate/query.h"

struct socket {
    struct str id; /* as the client named it */
    bool open;     /* 101 was told */
};

static void say_no_upgrade(struct op *op, struct want *want)
{
    struct fields fields = {0};
    enum err err = fields_add(&fields, op->arena, STR("Content-Type"),
                              STR("text/plain; charset=utf-8"));

    if (err == E_OK)
        err = fields_add(&fields, op->arena, STR("Upgrade"), STR("websocket"));
    if (err)
        want_fail(want, err, STR_NONE);
    else
        want_answer(op, want, 426, &fields,
                    STR("This path is served as a WebSocket only\n"));
}

static void begin(struct op *op, struct want *want)
{
    struct socket *s = arena_new_zero(op->arena, sizeof(*s));
    bool twice;

    op->state = s;
    if (!s) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    s->id = query_value(op->in.head->query, STR("sandbox"), op->arena, &twice);
    if (s->id.n == 0) {
        want_fail(want, E_BAD_FIELD, STR("missing sandbox query parameter"));
        return;
    }
    want->kind = WANT_RECORD;
    want->record = s->id;
}

/* Only the handshake's own fields, and the record's id in the query. */
static void call(struct op *op, struct want *want)
{
    static const struct str names[] = {
        STR("Sec-WebSocket-Version"),
        STR("Sec-WebSocket-Key"),
        STR("Sec-WebSocket-Protocol"),
    };
    struct fields *fields = arena_new_zero(op->arena, sizeof(*fields));
    struct str path =
        arena_text(op->arena, "/sandbox.v1.Sandbox/Exec?sandbox=%.*s",
                   STR_FMT(op->in.sandbox->id));
    enum err err = fields && path.p ? E_OK : E_NOMEM;

    if (err == E_OK)
        err = fields_add(fields, op->arena, STR("Upgrade"), STR("websocket"));
    if (err == E_OK)
        err = native_pick(op, &op->in.head->fields, names,
                          sizeof(names) / sizeof(*names), fields);
    if (err) {
        want_fail(want, err, STR_NONE);
        return;
    }
    want->kind = WANT_CALL;
    want->call = (struct want_call){.path = path,
                                    .stream = true,
                                    .fields = fields,
                                    .upgrade = true,
                                    .send = true,
                                    .slot = SLOT_EXEC};
    want->from = FROM_CALL;
}

static void fail(struct op *op, enum err err, struct want *want)
{
    const struct socket *s = op->state;

    if (err == E_SANDBOX_GONE && !s->open)
        want_fail(want, err,
                  arena_text(op->arena,
                             "sandbox %.*s not found or not registered",
                             STR_FMT(s->id)));
    else
        want_fail(want, err, STR_NONE);
}

static void say_head(struct op *op, const struct op_event *event,
                     struct want *want)
{
    static const struct str names[] = {
        STR("Upgrade"),
        STR("Sec-WebSocket-Accept"),
        STR("Sec-WebSocket-Protocol"),
        STR("Content-Type"),
    };
    struct socket *s = op->state;
    struct answer_head *head = arena_new_zero(op->arena, sizeof(*head));
    enum err err = head ? E_OK : E_NOMEM;

    if (err == E_OK)
        err = native_pick(op, event->fields, names,
                          sizeof(names) / sizeof(*names), &head->fields);
    if (err) {
        want_fail(want, err, STR_NONE);
        return;
    }
    s->open = event->status == 101;
    head->status = event->status;
    head->length = s->open ? LENGTH_NONE : LENGTH_CHUNKED;
    want->kind = WANT_SAY;
    want->say.head = head;
    want->from = FROM_CALL;
    if (s->open)
        want->from = FROM_CLIENT | FROM_CALL | FROM_APART;
}

static void pass(struct op *op, const struct op_event *event, struct want *want)
{
    want->from = FROM_CLIENT | FROM_CALL | FROM_APART;
    if (event->kind == OP_HEAD) {
        say_head(op, event, want);
    } else if (event->kind == OP_PIECE) {
        want->kind = WANT_SAY;
        want->say.piece = event->bytes;
    } else if (event->kind == OP_CLIENT_PIECE) {
        want->kind = WANT_SEND;
        want->send = event->bytes;
    } else if (event->kind == OP_CLIENT_END) {
        want->kind = WANT_SEND;
        want->send_end = true;
        want->from = FROM_CALL;
    } else if (event->kind == OP_CUT) {
        fail(op, event->err, want);
    } else {
        want->kind = WANT_DONE;
    }
}

void native_socket_hear(struct op *op, const struct op_event *event,
                        struct want *want)
{
    if (event->kind == OP_BEGIN && !op->in.head->upgrade)
        say_no_upgrade(op, want);
    else if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->kind != OP_RESULT)
        pass(op, event, want);
    else if (event->err != E_OK)
        want_fail(want, event->err, STR_NONE);
    else if (!op->in.sandbox)
        fail(op, E_SANDBOX_GONE, want);
    else
        call(op, want);
}
