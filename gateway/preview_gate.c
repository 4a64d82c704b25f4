/* preview_gate.c - see preview_gate.h.
 *
 * The rules are preview/check.h's; here is what they need of the records and
 * what comes of the verdict: a page of the app, a redirect to the address
 * without the token, or an error. */
#include "gateway/preview_gate.h"

#include "base/clock.h"
#include "gateway/exchange.h"
#include "gateway/preview_fields.h"
#include "gateway/worker.h"
#include "preview/check.h"
#include "preview/cookie.h"
#include "preview/host.h"
#include "preview/target.h"

#define COOKIE_MAX 2048 /* of Set-Cookie; a token is at most 640 */
#define TARGET_MAX ((size_t)16 << 10)

/* ---- the records ---- */

static enum found find_sandbox(struct exchange *x, struct str id)
{
    const struct sandbox *record;
    enum found found = store_find_sandbox(x->worker->store, id, &record);

    if (found != FOUND)
        return found;
    if (record->state != SANDBOX_RUNNING)
        return ABSENT;
    x->record = sandbox_ref(record);
    x->route.id = x->record->id;
    return FOUND;
}

enum found preview_gate_lookup(struct exchange *x)
{
    struct link link;
    enum found found;

    if (!x->visit)
        x->visit = arena_new_zero(x->arena, sizeof(*x->visit));
    if (!x->visit)
        return UNKNOWN;
    if (!x->route.link.p)
        return find_sandbox(x, x->route.id);
    found = store_find_link(x->worker->store, x->route.link, &link);
    if (found == ABSENT) {
        /* A sandbox may have such a name. */
        found = find_sandbox(x, x->route.link);
        x->route.link = STR_NONE;
        return found;
    }
    if (found == UNKNOWN)
        return UNKNOWN;
    if (!x->route.port)
        x->route.port = link.port;
    return find_sandbox(x, str_of(link.sandbox));
}

/* ---- being sent elsewhere ---- */

/* A field that goes with whatever is answered. */
static enum err add_back(struct exchange *x, struct str name, struct str value)
{
    return value.p ? fields_add(&x->back, x->arena, name, value) : E_NOMEM;
}

/* Append a Set-Cookie: of the link, or (NULL) the one that makes a browser
 * forget it. */
static enum err add_cookie(struct exchange *x, const struct link *link)
{
    struct buf b;
    enum err err = E_OK;

    buf_init(&b, COOKIE_MAX);
    if (link)
        err = preview_cookie_mint(&x->conf->preview, link, x->head->host,
                                  clock_wall_ms() / 1000, &b);
    else
        preview_cookie_expire(&b);
    if (err == E_OK)
        err = add_back(x, STR("Set-Cookie"),
                       b.failed ? STR_NONE : arena_copy(x->arena, buf_str(&b)));
    buf_clear(&b);
    return err;
}

/* Send the browser to that place, with what goes with every answer. */
static enum state send_to(struct exchange *x, int status, struct str location)
{
    struct answer_head head = {.status = status};
    enum err err = location.p ? E_OK : E_NOMEM;

    if (err == E_OK)
        err = fields_add(&x->back, x->arena, STR("Location"), location);
    if (err == E_OK)
        err = fields_add(&x->back, x->arena, STR("Referrer-Policy"),
                         STR("no-referrer"));
    if (err == E_OK)
        err = fields_add(&x->back, x->arena, STR("Cache-Control"),
                         STR("no-store"));
    head.fields = x->back;
    if (err == E_OK)
        err = exchange_say_all(x, &head, STR(""));
    if (err == E_OK)
        return X_END;
    x->why = err;
    return X_FAIL;
}

/* The target without its token, when it is one of this very host; absent
 * with *err else. */
static struct str clean_target(struct exchange *x, enum err *err)
{
    struct str location = STR_NONE;
    struct buf b;

    buf_init(&b, TARGET_MAX);
    *err = preview_target_location(x->head->target, &b);
    if (*err == E_OK)
        location = arena_copy(x->arena, buf_str(&b));
    buf_clear(&b);
    if (*err == E_OK && !location.p)
        *err = E_NOMEM;
    if (*err == E_BAD_REQUEST)
        x->detail = STR("The address cannot be redirected to");
    return location;
}

/* First visit: the cookie, and the address without the token. */
static enum state redirect(struct exchange *x)
{
    bool plain =
        x->head->method == METHOD_GET || x->head->method == METHOD_HEAD;
    enum err err;
    struct str location = clean_target(x, &err);

    if (err == E_OK)
        err = add_cookie(x, &x->visit->link);
    if (err == E_OK)
        return send_to(x, plain ? 302 : 307, location);
    x->why = err;
    return X_FAIL;
}

/* The same address once more, without the cookie of old. */
static enum state come_again(struct exchange *x)
{
    enum err err;

    (void)clean_target(x, &err);
    if (err == E_OK)
        err = add_cookie(x, NULL);
    if (err == E_OK)
        return send_to(x, 302, x->head->target);
    x->why = err;
    return X_FAIL;
}

/* ---- the verdict ---- */

static bool brings_token(const struct exchange *x)
{
    struct str value;

    return preview_target_tokens(x->head->query, &value, 1, NULL) > 0;
}

/* The cookie of a link that no longer counts stands in the way of a new link:
 * it is taken away, and the browser comes again. */
static bool cookie_is_in_the_way(const struct exchange *x,
                                 const struct preview_verdict *v)
{
    return v->source == PREVIEW_OF_COOKIE && brings_token(x) &&
           x->head->method == METHOD_GET && preview_fields_navigates(x->head) &&
           v->err != E_STORE && v->err != E_NOMEM && v->err != E_ORIGIN;
}

static enum err refused(struct exchange *x, const struct preview_verdict *v)
{
    enum err err = v->expire ? add_cookie(x, NULL) : E_OK;

    if (v->text)
        x->detail = str_of(v->text);
    return err == E_OK ? v->err : err;
}

static enum err count_use(struct exchange *x)
{
    enum err err = store_use_link(x->worker->store, str_of(x->visit->link.id));

    if (err == E_TOKEN_EXPIRED)
        x->detail = STR("The link has been used as often as it may be");
    return err;
}

static enum state fail(struct exchange *x, enum err why)
{
    x->why = why;
    return X_FAIL;
}

/* ---- pages of the same sandbox's other ports ---- */

/* Is the Origin one of this sandbox? */
static bool is_siblings(const struct exchange *x, struct str origin)
{
    struct str host = preview_check_origin(x->head, origin);
    struct preview_host named;
    struct link link;

    if (!host.p || preview_host_find(&x->conf->preview, host, &named) != E_OK)
        return false;
    if (!named.link.p)
        return str_eq(named.sandbox, x->record->id);
    return store_find_link(x->worker->store, named.link, &link) == FOUND &&
           str_eq(str_of(link.sandbox), x->record->id);
}

/* The part of a URL that stands in an Origin. */
static struct str origin_of(struct str url)
{
    size_t scheme = str_find_str(url, STR("://")) + 3;

    if (scheme < url.n)
        url.n = scheme + str_find(str_after(url, scheme), '/');
    return url;
}

static bool from_sibling(const struct exchange *x)
{
    const struct fields *f = &x->head->fields;

    return is_siblings(x, fields_get(f, STR("origin"))) ||
           is_siblings(x, origin_of(fields_get(f, STR("referer"))));
}

/*
 * Did another sandbox's page make the browser send the cookie?  To a browser
 * all of a preview domain is one site, so SameSite does not help; its Sec-
 * Fetch- fields do.  To follow a link is no attack; to show the page in a
 * frame may be one.
 */
static bool from_stranger(const struct exchange *x)
{
    const struct fields *f = &x->head->fields;
    struct str site = fields_get(f, STR("sec-fetch-site"));

    if (!str_eq(site, STR("same-site")) && !str_eq(site, STR("cross-site")))
        return false;
    if (str_eq(fields_get(f, STR("sec-fetch-mode")), STR("navigate")) &&
        str_eq(fields_get(f, STR("sec-fetch-dest")), STR("document")))
        return false;
    return !from_sibling(x);
}

/* A preflight brings no cookie, so the app cannot be asked.  The call to come
 * is judged by its own cookie and Origin. */
static enum state say_preflight(struct exchange *x)
{
    const struct fields *in = &x->head->fields;
    struct answer_head head = {.status = 204, .length = LENGTH_NONE};
    const struct field rows[] = {
        {STR("Access-Control-Allow-Origin"), fields_get(in, STR("origin"))},
        {STR("Access-Control-Allow-Credentials"), STR("true")},
        {STR("Access-Control-Allow-Methods"),
         fields_get(in, STR("access-control-request-method"))},
        {STR("Access-Control-Allow-Headers"),
         fields_get(in, STR("access-control-request-headers"))},
        {STR("Access-Control-Max-Age"), STR("600")},
        {STR("Vary"), STR("Origin")},
    };
    enum err err = E_OK;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && err == E_OK; i++)
        if (rows[i].value.p)
            err =
                fields_add(&head.fields, x->arena, rows[i].name, rows[i].value);
    if (err == E_OK)
        err = exchange_say_all(x, &head, STR(""));
    return err == E_OK ? X_END : fail(x, err);
}

static enum state judge(struct exchange *x)
{
    struct preview_request r = {
        .head = x->head,
        .sandbox = x->record->id,
        .life = x->record->life,
        .port = x->route.port,
        .link = x->route.link,
        .sibling = is_siblings(x, fields_get(&x->head->fields, STR("origin"))),
        .now_s = clock_wall_ms() / 1000,
        .ask = live_link_ask,
        .arg = x->worker->live,
    };
    struct preview_verdict v;
    enum err err;

    preview_check(&r, &x->conf->preview, &v);
    if (v.err && cookie_is_in_the_way(x, &v))
        return come_again(x);
    if (v.err == E_TOKEN_MISSING && x->route.preflight &&
        is_siblings(x, fields_get(&x->head->fields, STR("origin"))))
        return say_preflight(x);
    if (v.err == E_OK && v.source == PREVIEW_OF_COOKIE && from_stranger(x))
        return fail(x, E_ORIGIN);
    if (v.err)
        return fail(x, refused(x, &v));
    if (!link_port_ok(v.link.port))
        return fail(x, E_FORBIDDEN);
    x->visit->link = v.link;
    x->route.port = v.link.port;
    err = v.use ? count_use(x) : E_OK;
    if (err)
        return fail(x, err);
    x->visit->admitted = true;
    if (brings_token(x) && preview_fields_navigates(x->head))
        return redirect(x);
    if (!v.expire)
        return X_RUN;
    err = add_cookie(x, NULL);
    return err ? fail(x, err) : X_RUN;
}

/* ---- the operator's own rule ---- */

static void on_told(void *arg)
{
    exchange_advance(arg);
}

static enum err ask(struct exchange *x)
{
    struct forward_auth *f = &x->visit->auth;
    struct forward_auth_request r = {
        .head = x->head,
        .host = fields_get(&x->head->fields, STR("host")),
    };
    enum err err = preview_fields_target(x->head->target, x->arena, &r.target);

    f->arena = x->arena;
    f->conf = &x->conf->preview.forward_auth;
    f->on_told = on_told;
    f->arg = x;
    return err ? err : forward_auth_ask(f, x->worker->pools, &r);
}

/* What the service wants the client to have, cookies of ours excepted. */
static enum err copy_back(struct exchange *x, struct str name)
{
    const struct fields *f = &x->visit->auth.back;
    enum err err = E_OK;

    for (unsigned i = 0; i < f->count && err == E_OK; i++)
        if (str_ieq(f->at[i].name, name) &&
            !preview_cookie_ours(f->at[i].value))
            err = fields_add(&x->back, x->arena, name, f->at[i].value);
    return err;
}

static enum state deny(struct exchange *x)
{
    const struct forward_auth *f = &x->visit->auth;
    struct str location = fields_get(&f->back, STR("location"));

    /* What is not a navigation is never sent elsewhere. */
    if (location.n && f->status < 400 && preview_fields_navigates(x->head))
        return send_to(x, f->status, location);
    if (f->status != 403 && copy_back(x, STR("WWW-Authenticate")))
        return fail(x, E_NOMEM);
    x->detail = STR("The access rules do not let this request pass");
    return fail(x, f->status == 403 ? E_FORBIDDEN : E_UNAUTHENTICATED);
}

static enum state consult(struct exchange *x)
{
    struct forward_auth *f = &x->visit->auth;

    if (f->state == FORWARD_AUTH_IDLE && ask(x) != E_OK)
        f->state = FORWARD_AUTH_FAILED;
    if (f->state == FORWARD_AUTH_ASKED)
        return X_WAIT;
    if (f->state == FORWARD_AUTH_FAILED) {
        x->detail = STR("The access rules cannot be asked at the moment");
        return fail(x, E_UNAVAILABLE);
    }
    if (copy_back(x, STR("Set-Cookie")))
        return fail(x, E_NOMEM);
    return f->state == FORWARD_AUTH_PASS ? X_RUN : deny(x);
}

enum state preview_gate_step(struct exchange *x)
{
    enum state next = X_RUN;

    if (!x->visit->admitted)
        next = judge(x);
    if (next != X_RUN || !x->conf->preview.forward_auth.address.n)
        return next;
    return consult(x);
}

void preview_gate_release(struct exchange *x)
{
    if (x->visit)
        forward_auth_release(&x->visit->auth);
}
