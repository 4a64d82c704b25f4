/* exchange.c - see exchange.h. */
#include "gateway/exchange.h"

#include "base/clock.h"
#include "gateway/answer.h"
#include "gateway/worker.h"

void exchange_advance(struct exchange *x)
{
    x->advance(x);
}

void exchange_fail(struct exchange *x, enum err why)
{
    if (!x->why && x->state != X_END)
        x->why = why;
    exchange_advance(x);
}

const char *exchange_state_name(const struct exchange *x)
{
    static const char *const names[] = {"route", "lookup", "auth",
                                        "run",   "carry",  "end"};
    _Static_assert(sizeof(names) / sizeof(*names) == X_END + 1,
                   "a name per state");

    return names[x->state];
}

/* ---- saying ---- */

bool exchange_is_passed(const struct exchange *x)
{
    return x->route.class == CLASS_PORT || x->route.class == CLASS_LINK;
}

void exchange_note_head(struct exchange *x, int status)
{
    x->status = status;
    x->head_ms = clock_ms();
    x->told = TOLD_HEAD;
    if (x->worker->leaving && !(x->facts & FACT_GONE))
        stream_close_after(x->stream);
}

/* The head with our own fields behind the operation's. */
MUST_USE static enum err add_own(struct exchange *x,
                                 const struct answer_head *head,
                                 struct answer_head *out)
{
    bool origin = fields_get(&x->head->fields, STR("origin")).p != NULL;

    *out = *head;
    if (exchange_is_passed(x) ||
        fields_get(&head->fields, STR("access-control-allow-origin")).p)
        return E_OK;
    /* The list is the operation's: adding makes a copy of its own. */
    out->fields.room = out->fields.count;
    return answer_add_cors(&out->fields, x->arena, x->route.class, origin);
}

enum err exchange_say_head(struct exchange *x, const struct answer_head *head)
{
    struct answer_head whole;
    enum err err = add_own(x, head, &whole);

    if (err)
        return err;
    exchange_note_head(x, head->status);
    if (!(x->facts & FACT_GONE))
        stream_say_head(x->stream, &whole);
    return E_OK;
}

enum err exchange_say_all(struct exchange *x, const struct answer_head *head,
                          struct str body)
{
    struct answer_head whole;
    enum err err = add_own(x, head, &whole);

    if (err)
        return err;
    exchange_note_head(x, head->status);
    x->told = TOLD_ALL;
    if (!(x->facts & FACT_GONE))
        stream_say_all(x->stream, &whole, body);
    return E_OK;
}

void exchange_listen(struct exchange *x, bool on)
{
    unsigned was = x->paused;

    if (x->facts & (FACT_GONE | FACT_BURIED) || on == !was)
        return;
    if (!on) {
        x->paused = PAUSE_USER;
        stream_pause(x->stream, PAUSE_USER);
        return;
    }
    if (!(x->facts & FACT_CONTINUED)) {
        x->facts |= FACT_CONTINUED;
        stream_continue(x->stream);
    }
    x->paused = 0;
    stream_resume(x->stream, (enum pause_reason)was);
}

void exchange_make_tokens(struct exchange *x)
{
    if (x->facts & FACT_TOKENS || !x->record)
        return;
    x->facts |= FACT_TOKENS;
    auth_token_envd(x->conf->secret, x->record->id, x->record->life,
                    x->envd_token);
    auth_token_traffic(x->conf->secret, x->record->id, x->record->life,
                       x->traffic_token);
}
