/* preview_fields.c - see preview_fields.h. */
#include "gateway/preview_fields.h"

#include "base/buf.h"
#include "gateway/answer.h"
#include "preview/check.h"
#include "preview/cookie.h"
#include "preview/target.h"

/* As long as a head may be: threats.md C6. */
#define TEXT_MAX ((size_t)64 << 10)

/* What b holds, in the arena.  Taken: the buffer. */
MUST_USE static enum err keep(struct buf *b, struct arena *a, struct str *out)
{
    struct str copy = b->failed ? STR_NONE : arena_copy(a, buf_str(b));

    buf_clear(b);
    if (!copy.p)
        return E_NOMEM;
    *out = copy;
    return E_OK;
}

/* ---- requests ---- */

MUST_USE static enum err clean_cookie(struct str *value, struct arena *a)
{
    struct buf b;

    /* Nearly always there is nothing of ours: no copy then. */
    if (str_find_str(*value, STR(PREVIEW_COOKIE)) == value->n &&
        str_find(*value, '_') == value->n)
        return E_OK;
    buf_init(&b, TEXT_MAX);
    preview_cookie_strip(*value, &b);
    return keep(&b, a, value);
}

MUST_USE static enum err clean_referer(struct str *value, struct arena *a)
{
    struct buf b;

    if (str_find(*value, '?') == value->n)
        return E_OK;
    buf_init(&b, TEXT_MAX);
    preview_target_referer(*value, &b);
    return keep(&b, a, value);
}

MUST_USE static enum err clean_protocols(struct str *value, struct arena *a,
                                         bool *ours)
{
    struct buf b;
    bool offered;
    enum err err;

    buf_init(&b, TEXT_MAX);
    preview_target_protocols(*value, &b, &offered);
    err = keep(&b, a, value);
    *ours = *ours || offered;
    return err;
}

enum err preview_fields_clean(struct fields *fields, struct arena *a,
                              bool *ours)
{
    unsigned kept = 0;
    enum err err = E_OK;

    *ours = false;
    for (unsigned i = 0; i < fields->count && err == E_OK; i++) {
        struct field f = fields->at[i];
        bool had = f.value.n > 0;

        if (str_ieq(f.name, STR("cookie")))
            err = clean_cookie(&f.value, a);
        else if (str_ieq(f.name, STR("referer")))
            err = clean_referer(&f.value, a);
        else if (str_ieq(f.name, STR("sec-websocket-protocol")))
            err = clean_protocols(&f.value, a, ours);
        else if ((str_ieq(f.name, STR("authorization")) ||
                  str_ieq(f.name, STR("e2b-traffic-access-token"))) &&
                 preview_check_ours(f.value))
            continue;
        if (had && f.value.n == 0)
            continue;
        fields->at[kept++] = f;
    }
    if (err == E_OK)
        fields->count = kept;
    return err;
}

static bool is_named(struct str name, const struct conf_forward_auth *auth)
{
    static const struct str prefix = STR("x-auth-request-");

    if (name.n > prefix.n && str_istarts(name, prefix))
        return true;
    for (unsigned i = 0; i < auth->header_count; i++)
        if (str_ieq(name, auth->headers[i]))
            return true;
    return false;
}

/* _ is read as - by many an app. */
static bool is_named_loosely(struct str name,
                             const struct conf_forward_auth *auth)
{
    char dashed[128];

    if (name.n > sizeof(dashed) || str_find(name, '_') == name.n)
        return is_named(name, auth);
    for (size_t i = 0; i < name.n; i++)
        dashed[i] = name.p[i] == '_' ? '-' : name.p[i];
    return is_named(str_from(dashed, name.n), auth);
}

void preview_fields_unname(struct fields *fields,
                           const struct conf_forward_auth *auth)
{
    unsigned kept = 0;

    if (!auth->address.n)
        return;
    for (unsigned i = 0; i < fields->count; i++)
        if (!is_named_loosely(fields->at[i].name, auth))
            fields->at[kept++] = fields->at[i];
    fields->count = kept;
}

enum err preview_fields_target(struct str target, struct arena *a,
                               struct str *out)
{
    struct buf b;

    *out = target;
    if (str_find(target, '?') == target.n)
        return E_OK;
    buf_init(&b, TEXT_MAX);
    preview_target_clean(target, &b);
    return keep(&b, a, out);
}

bool preview_fields_navigates(const struct request_head *head)
{
    const struct fields *f = &head->fields;
    struct str mode = fields_get(f, STR("sec-fetch-mode"));
    struct str accept = fields_get(f, STR("accept"));

    if (head->upgrade)
        return false;
    if (mode.p)
        return str_eq(mode, STR("navigate"));
    return answer_for_browser(f) &&
           str_find_str(accept, STR("text/html")) < accept.n;
}

/* ---- answers ---- */

/* Leave one field of that name, with value. */
static void leave_one(struct fields *fields, struct str name, struct str value)
{
    unsigned kept = 0;
    bool there = false;

    for (unsigned i = 0; i < fields->count; i++) {
        struct field f = fields->at[i];

        if (str_ieq(f.name, name)) {
            if (there)
                continue;
            there = true;
            f.value = value;
        }
        fields->at[kept++] = f;
    }
    fields->count = kept;
}

void preview_fields_single(struct fields *fields, struct str origin)
{
    static const struct str names[] = {
        STR("access-control-allow-origin"),
        STR("access-control-allow-credentials"),
        STR("access-control-max-age"),
    };

    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++) {
        struct str value = fields_get(fields, names[n]);

        if (fields_count(fields, names[n]) < 2)
            continue;
        for (unsigned i = 0; n == 0 && origin.p && i < fields->count; i++)
            if (str_ieq(fields->at[i].name, names[n]) &&
                str_eq(fields->at[i].value, origin))
                value = origin;
        leave_one(fields, names[n], value);
    }
}

enum err preview_fields_answer(struct fields *fields, struct arena *a,
                               bool noindex, bool ours)
{
    enum err err = E_OK;

    if (noindex)
        err = fields_add(fields, a, STR("X-Robots-Tag"), STR("noindex"));
    if (err == E_OK && ours &&
        !fields_get(fields, STR("sec-websocket-protocol")).p)
        err = fields_add(fields, a, STR("Sec-WebSocket-Protocol"),
                         STR(PREVIEW_PROTOCOL));
    return err;
}
