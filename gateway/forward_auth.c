/* forward_auth.c - see forward_auth.h. */
#include "gateway/forward_auth.h"

#include "gateway/preview_fields.h"
#include "preview/check.h"
#include "preview/cookie.h"

#define CONNECT_MS 3000
#define POOL STR("forward-auth")

/* ---- what is asked ---- */

/* A list of fields that remembers that one could not be added. */
struct adding {
    struct fields fields;
    struct arena *arena;
    enum err err;
};

static void add(struct adding *to, struct str name, struct str value)
{
    if (value.n && to->err == E_OK)
        to->err = fields_add(&to->fields, to->arena, name, value);
}

/* The client's own fields that say who it is; each as often as it came. */
static void add_clients(struct adding *to, const struct fields *f)
{
    static const struct str names[] = {
        STR("Cookie"),     STR("Authorization"),    STR("Accept"),
        STR("User-Agent"), STR("X-Requested-With"),
    };

    for (unsigned i = 0; i < f->count; i++)
        for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++)
            if (str_ieq(f->at[i].name, names[n]))
                add(to, names[n], f->at[i].value);
}

MUST_USE static enum err make_fields(struct forward_auth *f,
                                     const struct forward_auth_request *r,
                                     struct fields *out)
{
    struct adding to = {.arena = f->arena};
    bool ours;

    add_clients(&to, &r->head->fields);
    if (to.err == E_OK)
        to.err = preview_fields_clean(&to.fields, f->arena, &ours);
    add(&to, STR("X-Forwarded-Method"), method_text(r->head->method));
    add(&to, STR("X-Forwarded-Proto"),
        r->head->tls ? STR("https") : STR("http"));
    add(&to, STR("X-Forwarded-Host"), r->host);
    add(&to, STR("X-Forwarded-Uri"), r->target);
    add(&to, STR("X-Forwarded-For"), r->head->peer);
    *out = to.fields;
    return to.err;
}

/* ---- what it says ---- */

static void tell(struct forward_auth *f, enum forward_auth_state state)
{
    call_free(&f->call);
    f->state = state;
    f->on_told(f->arg);
}

/* A copy of every field of that name, under it. */
static enum err copy_all(struct forward_auth *f, const struct fields *from,
                         struct str name, struct fields *to)
{
    enum err err = E_OK;

    for (unsigned i = 0; i < from->count && err == E_OK; i++) {
        struct str value;

        if (!str_ieq(from->at[i].name, name))
            continue;
        value = arena_copy(f->arena, from->at[i].value);
        err = value.p ? fields_add(to, f->arena, name, value) : E_NOMEM;
    }
    return err;
}

static enum err read_pass(struct forward_auth *f, const struct fields *from)
{
    enum err err = E_OK;

    for (unsigned i = 0; i < f->conf->header_count && err == E_OK; i++)
        err = copy_all(f, from, f->conf->headers[i], &f->identity);
    return err;
}

static enum err read_deny(struct forward_auth *f, const struct fields *from)
{
    enum err err = copy_all(f, from, STR("Location"), &f->back);

    return err == E_OK ? copy_all(f, from, STR("WWW-Authenticate"), &f->back)
                       : err;
}

static bool is_denial(const struct answer_head *head)
{
    switch (head->status) {
    case 401:
    case 403:
        return true;
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return fields_get(&head->fields, STR("location")).n > 0;
    default:
        return false;
    }
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct forward_auth *f = arg;
    enum forward_auth_state state = FORWARD_AUTH_FAILED;
    enum err err = E_OK;

    f->status = head->status;
    if (head->status >= 200 && head->status < 300) {
        state = FORWARD_AUTH_PASS;
        err = read_pass(f, &head->fields);
    } else if (is_denial(head)) {
        state = FORWARD_AUTH_DENY;
        err = read_deny(f, &head->fields);
    }
    if (err == E_OK && state != FORWARD_AUTH_FAILED)
        err = copy_all(f, &head->fields, STR("Set-Cookie"), &f->back);
    f->heard = err == E_OK ? state : FORWARD_AUTH_FAILED;
    /* The head says all.  An end that is here already is waited for, so that
     * the connection can serve again. */
    if (head->length != 0 && head->length != LENGTH_NONE)
        tell(f, f->heard);
}

static void on_piece(void *arg, struct str piece)
{
    (void)arg;
    (void)piece;
}

static void on_end(void *arg)
{
    struct forward_auth *f = arg;

    tell(f, f->heard);
}

static void on_cut(void *arg, enum err why)
{
    struct forward_auth *f = arg;

    f->why = why;
    tell(f, f->heard ? f->heard : FORWARD_AUTH_FAILED);
}

static void on_room(void *arg)
{
    (void)arg;
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

enum err forward_auth_ask(struct forward_auth *f, struct pools *pools,
                          const struct forward_auth_request *r)
{
    struct fields fields;
    struct call_request request = {
        .pool = POOL,
        .address = f->conf->address,
        .port = f->conf->port,
        .method = METHOD_GET,
        .target = f->conf->path,
        .length = LENGTH_NONE,
        .idempotent = true,
        .connect_ms = CONNECT_MS,
        .head_ms = f->conf->timeout_s * 1000,
        .fields = &fields,
    };
    bool v6 = str_find(f->conf->address, ':') < f->conf->address.n;
    enum err err = make_fields(f, r, &fields);

    request.host = arena_text(f->arena, v6 ? "[%.*s]:%u" : "%.*s:%u",
                              STR_FMT(f->conf->address), f->conf->port);
    if (err == E_OK && !request.host.p)
        err = E_NOMEM;
    if (err == E_OK)
        err = call_start(pools, &request, &events, f, &f->call);
    f->state = err == E_OK ? FORWARD_AUTH_ASKED : FORWARD_AUTH_FAILED;
    f->why = err;
    return err;
}

void forward_auth_release(struct forward_auth *f)
{
    call_free(&f->call);
}
