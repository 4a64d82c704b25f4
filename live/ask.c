/* ask.c - see ask.h. */
#include "live/ask.h"

#include "base/json.h"
#include "base/mem.h"
#include "live/root.h"
#include "translate/envelope.h"
#include "translate/fault.h"

#define ANSWER_MAX (1 << 20)
#define ASK_MS 10000

struct ask {
    struct loop *loop;      /* borrowed */
    struct live_call *call; /* owned; NULL once it is over */
    void (*on_answer)(void *arg, enum err err, struct str text);
    void *arg;
    bool stream;
    int status;
    struct buf text; /* the answer; of a stream its payloads */
    struct envelope_reader in;
    enum err err; /* of a stream's end frame, or of its reading */
};

static void tell(struct ask *a, enum err err)
{
    live_call_free(&a->call);
    a->on_answer(a->arg, err, err ? STR_NONE : buf_str(&a->text));
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct ask *a = arg;

    a->status = head->status;
}

/* The error of an end frame. */
static enum err read_end(struct str payload)
{
    const json_t *error;
    enum err err;
    json_t *json;

    if (json_read(payload, &json_limits_rpc, &json))
        return E_BACKEND_GARBAGE;
    error = json_member(json, "error");
    err = error ? fault_classify(json_str(error, "code"),
                                 json_str(error, "message"))
                : E_OK;
    json_decref(json);
    return err;
}

static void read_frames(struct ask *a, struct str piece)
{
    struct str payload;
    unsigned flags;
    bool whole;

    do {
        enum err err = envelope_next(&a->in, &piece, &whole, &flags, &payload);

        if (err && !a->err)
            a->err = err == E_NOMEM ? err : E_BACKEND_GARBAGE;
        if (err || !whole)
            return;
        if (flags & ENVELOPE_END) {
            if (!a->err)
                a->err = read_end(payload);
        } else {
            buf_put(&a->text, payload);
            buf_byte(&a->text, '\n');
        }
    } while (true);
}

static void on_piece(void *arg, struct str piece)
{
    struct ask *a = arg;

    if (a->stream && a->status == 200)
        read_frames(a, piece);
    else
        buf_put(&a->text, piece);
}

static void on_end(void *arg)
{
    struct ask *a = arg;

    if (a->text.failed)
        tell(a, E_TOO_BIG);
    else if (a->status != 200)
        tell(a, fault_of_answer(a->status, buf_str(&a->text)));
    else
        tell(a, a->err);
}

static void on_cut(void *arg, enum err why)
{
    tell(arg, why);
}

static void on_room(void *arg)
{
    (void)arg;
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

static void bury(void *what)
{
    struct ask *a = what;

    buf_clear(&a->text);
    envelope_clear(&a->in);
    mem_free(a);
}

enum err ask_start(struct live_sandbox *ls, const struct ask_request *request,
                   void (*on_answer)(void *arg, enum err err, struct str text),
                   void *arg, struct ask **out)
{
    struct want_call want = {.method = str_of(request->method),
                             .stream = request->stream,
                             .body = request->body,
                             .deadline_ms = ASK_MS};
    struct ask *a = mem_new(sizeof(*a));
    enum err err;

    *out = NULL;
    if (!a)
        return E_NOMEM;
    a->loop = ls->live->loop;
    a->on_answer = on_answer;
    a->arg = arg;
    a->stream = request->stream;
    buf_init(&a->text, ANSWER_MAX);
    envelope_init(&a->in, ANSWER_MAX);
    err = live_call_start(ls->live, ls->record, &want, &events, a, &a->call);
    if (err) {
        mem_free(a);
        return err;
    }
    *out = a;
    return E_OK;
}

void ask_free(struct ask **a)
{
    struct ask *old = *a;

    *a = NULL;
    if (!old)
        return;
    live_call_free(&old->call);
    loop_bury(old->loop, bury, old);
}
