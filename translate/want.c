/* want.c - the short forms that operations want by. */
#include "translate/op.h"

void want_next(struct want *w, unsigned from)
{
    w->kind = WANT_NEXT;
    w->from = from;
}

void want_fail(struct want *w, enum err err, struct str detail)
{
    w->kind = WANT_FAIL;
    w->err = err;
    w->detail = detail;
}

void want_answer(struct op *op, struct want *w, int status,
                 const struct fields *fields, struct str body)
{
    struct answer_head *head = arena_new_zero(op->arena, sizeof(*head));

    if (!head) {
        want_fail(w, E_NOMEM, STR_NONE);
        return;
    }
    head->status = status;
    if (fields)
        head->fields = *fields;
    head->length =
        status == 204 || status == 304 ? LENGTH_NONE : (int64_t)body.n;
    w->kind = WANT_SAY;
    w->say.head = head;
    w->say.piece = body;
    op->answered = true;
}

void want_json(struct op *op, struct want *w, int status, struct str body)
{
    struct fields fields = {0};

    if (fields_add(&fields, op->arena, STR("Content-Type"),
                   STR("application/json")) != E_OK)
        want_fail(w, E_NOMEM, STR_NONE);
    else
        want_answer(op, w, status, &fields, body);
}

void want_json_take(struct op *op, struct want *w, int status, struct buf *b)
{
    struct str body = b->failed ? STR_NONE : arena_copy(op->arena, buf_str(b));

    buf_clear(b);
    if (body.p)
        want_json(op, w, status, body);
    else
        want_fail(w, E_NOMEM, STR_NONE);
}

void want_empty(struct op *op, struct want *w, int status)
{
    want_answer(op, w, status, NULL, STR_NONE);
}
