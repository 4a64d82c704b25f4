/* check.c - see check.h. */
#include "preview/check.h"

#include <string.h>

#include "preview/cookie.h"
#include "preview/scope.h"
#include "preview/target.h"
#include "preview/token.h"

/* More tokens than anybody sends with one request: the last of so many is
 * not believed. */
#define FOUND_MAX 8

struct found {
    struct str text;
    enum preview_source source;
};

/* What one request brought. */
struct search {
    struct found at[FOUND_MAX];
    unsigned count;
    bool too_many;
    bool foreign; /* a place holds something, but not of ours */
    bool twice;   /* the cookie came twice: it is none */
};

/* ---- what is there ---- */

static void add(struct search *s, struct str text, enum preview_source source)
{
    if (s->count < FOUND_MAX)
        s->at[s->count++] = (struct found){text, source};
    else
        s->too_many = true;
}

/* The credentials of a Bearer; absent for other schemes.  Source: RFC 6750
 * 2.1 */
static struct str of_bearer(struct str value)
{
    static const struct str word = STR("bearer");

    if (value.n <= word.n || value.p[word.n] != ' ' ||
        !str_istarts(value, word))
        return STR_NONE;
    return str_trim(str_after(value, word.n));
}

bool preview_check_ours(struct str value)
{
    struct str token = of_bearer(value);

    return preview_token_like(token.p ? token : value);
}

static void add_query(struct search *s, const struct request_head *head)
{
    struct str values[FOUND_MAX];
    unsigned n =
        preview_target_tokens(head->query, values, FOUND_MAX, &s->foreign);

    for (unsigned i = 0; i < n && i < FOUND_MAX; i++)
        add(s, values[i], PREVIEW_QUERY);
    s->too_many = s->too_many || n > FOUND_MAX;
}

static void add_headers(struct search *s, const struct fields *fields,
                        struct str name, enum preview_source source)
{
    for (unsigned i = 0; i < fields->count; i++) {
        struct str value = fields->at[i].value;

        if (!str_ieq(fields->at[i].name, name))
            continue;
        if (source == PREVIEW_BEARER)
            value = of_bearer(value);
        value = str_trim(value);
        if (preview_token_like(value))
            add(s, value, source);
        else if (value.n)
            s->foreign = true;
    }
}

static void add_offered(struct search *s, const struct fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        struct str values[FOUND_MAX];
        unsigned n;

        if (!str_ieq(fields->at[i].name, STR("sec-websocket-protocol")))
            continue;
        n = preview_target_protocol_tokens(fields->at[i].value, values,
                                           FOUND_MAX);
        for (unsigned k = 0; k < n && k < FOUND_MAX; k++)
            add(s, values[k], PREVIEW_OFFERED);
        s->too_many = s->too_many || n > FOUND_MAX;
    }
}

static void search(const struct request_head *head, struct search *s)
{
    struct str cookie;

    memset(s, 0, sizeof(*s));
    add_query(s, head);
    add_headers(s, &head->fields, STR("authorization"), PREVIEW_BEARER);
    add_headers(s, &head->fields, STR("e2b-traffic-access-token"),
                PREVIEW_HEADER);
    add_offered(s, &head->fields);
    s->twice = preview_cookie_find(&head->fields, &cookie) > 1;
    if (cookie.p)
        add(s, cookie, PREVIEW_OF_COOKIE);
}

/* ---- origins ---- */

/* scheme://authority in its parts; false when it is not that. */
static bool split_origin(struct str origin, struct str *scheme,
                         struct str *host, struct str *port)
{
    struct str rest = origin;

    *scheme = str_from(origin.p, str_find_str(origin, STR("://")));
    if (scheme->n == origin.n)
        return false;
    rest = str_after(origin, scheme->n + 3);
    *host = str_from(rest.p, str_find(rest, ':'));
    *port = str_after(rest, host->n);
    return host->n > 0 && str_find(rest, '/') == rest.n;
}

/* The part of Host behind its name: ":8443", or empty.  An IPv6 literal is
 * no host of previews. */
static struct str port_of_host(const struct request_head *head)
{
    struct str host = fields_get(&head->fields, STR("host"));

    return str_after(host, str_find(host, ':'));
}

static struct str without_default(struct str port, struct str scheme)
{
    if ((str_eq(port, STR(":443")) && str_ieq(scheme, STR("https"))) ||
        (str_eq(port, STR(":80")) && str_ieq(scheme, STR("http"))))
        return STR("");
    return port;
}

/* Where TLS ends before us the scheme is the browser's affair. */
struct str preview_check_origin(const struct request_head *head,
                                struct str origin)
{
    struct str scheme, host, port;

    if (!split_origin(origin, &scheme, &host, &port))
        return STR_NONE;
    if (!str_ieq(scheme, STR("https")) &&
        (head->tls || !str_ieq(scheme, STR("http"))))
        return STR_NONE;
    if (fields_get(&head->fields, STR("host")).p &&
        !str_eq(without_default(port, scheme),
                without_default(port_of_host(head), scheme)))
        return STR_NONE;
    return host;
}

/* Does the Origin name this very host? */
static bool is_same_origin(const struct request_head *head, struct str origin)
{
    return str_ieq(preview_check_origin(head, origin), head->host);
}

static bool is_safe(enum method method)
{
    return method == METHOD_GET || method == METHOD_HEAD ||
           method == METHOD_OPTIONS;
}

/* A cookie is sent by the browser, whoever makes it.  Sibling previews are
 * of the same site, where SameSite does not help.  Source: threats.md P-11 */
static bool origin_ok(const struct preview_request *r)
{
    struct str origin = fields_get(&r->head->fields, STR("origin"));

    if (fields_count(&r->head->fields, STR("origin")) > 1)
        return false;
    if (r->head->upgrade)
        return is_same_origin(r->head, origin);
    return is_safe(r->head->method) || !origin.p || r->sibling ||
           is_same_origin(r->head, origin);
}

/* ---- one token ---- */

/* Is the link for what the request is aimed at?  NULL: yes. */
static const char *misses(const struct preview_request *r,
                          const struct link *link)
{
    if (!str_eq(str_of(link->sandbox), r->sandbox))
        return "The link is for another sandbox";
    if (r->port && link->port != r->port)
        return "The link is for another port";
    if (!link_port_ok(link->port))
        return "This port of a sandbox is not shared by links";
    if (r->link.p && !str_eq(str_of(link->id), r->link))
        return "The link is for another address";
    return NULL;
}

/* Judge one; out says what it is for. */
static enum err judge(const struct preview_request *r,
                      const struct conf_preview *conf, const struct found *f,
                      struct link *out, const char **text)
{
    enum err err =
        f->source == PREVIEW_OF_COOKIE
            ? preview_cookie_verify(conf, f->text, r->head->host, r->now_s, out)
            : preview_token_verify(conf, f->text, r->now_s, out);

    if (err != E_OK)
        return err;
    *text = misses(r, out);
    if (*text)
        return E_TOKEN_WRONG_TARGET;
    if (out->life == 0)
        out->life = r->life; /* of the form that names none */
    if (out->life != r->life)
        return E_TOKEN_REVOKED;
    switch (r->ask(r->arg, out, f->source)) {
    case PREVIEW_REVOKED:
        return E_TOKEN_REVOKED;
    case PREVIEW_USED_UP:
        *text = "The link has been used as often as it may be";
        return E_TOKEN_EXPIRED;
    case PREVIEW_UNKNOWN:
        return E_STORE;
    case PREVIEW_STANDS:
        break;
    }
    *text = preview_scope_lacks(&out->scopes, r->head);
    return *text ? E_TOKEN_WRONG_TARGET : E_OK;
}

/* Where the host names no port, two tokens may name two: a cookie gives
 * way. */
static bool agrees(const struct preview_verdict *v, const struct found *f,
                   const struct link *link)
{
    return f->source == PREVIEW_OF_COOKIE || link->port == v->link.port;
}

static void refuse(struct preview_verdict *v, enum err err,
                   const struct found *f, const char *text)
{
    v->err = err;
    v->text = text;
    v->source = f->source;
    memset(&v->link, 0, sizeof(v->link));
    if (f->source == PREVIEW_OF_COOKIE && err != E_STORE && err != E_NOMEM &&
        err != E_TOKEN_WRONG_TARGET)
        v->expire = true;
}

static void admit(const struct preview_request *r, struct preview_verdict *v)
{
    if (v->source == PREVIEW_OF_COOKIE && !origin_ok(r)) {
        v->err = E_ORIGIN;
        return;
    }
    v->use = v->source != PREVIEW_OF_COOKIE && v->link.scopes.uses_max > 0;
}

void preview_check(const struct preview_request *request,
                   const struct conf_preview *conf,
                   struct preview_verdict *verdict)
{
    struct search s;
    struct link link;

    memset(verdict, 0, sizeof(*verdict));
    search(request->head, &s);
    verdict->expire = s.twice;
    verdict->err = s.foreign ? E_TOKEN_INVALID : E_TOKEN_MISSING;
    for (unsigned i = 0; i < s.count; i++) {
        const char *text = NULL;
        enum err err = judge(request, conf, &s.at[i], &link, &text);

        if (err == E_OK && i > 0 && !agrees(verdict, &s.at[i], &link)) {
            err = E_TOKEN_WRONG_TARGET;
            text = "Two links for different ports";
        }
        if (err != E_OK) {
            refuse(verdict, err, &s.at[i], text);
            return;
        }
        if (i == 0) {
            verdict->err = E_OK;
            verdict->source = s.at[i].source;
            verdict->link = link;
        }
    }
    if (s.too_many)
        verdict->err = E_TOKEN_INVALID;
    if (verdict->err == E_OK)
        admit(request, verdict);
}
