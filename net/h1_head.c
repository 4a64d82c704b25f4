/* h1_head.c - see h1_head.h.  Stands behind h1_scan: every text here is free
 * of control bytes, every name a token. */
#include "net/h1_head.h"

#include "net/h1_name.h"

/* More fields than that are not of one hop only. */
#define NOMINATED_MAX 16

/* What the fields of one head say about its framing and its connection. */
struct facts {
    struct str host, length, coding, expect, upgrade, ws_key, ws_version;
    unsigned hosts, lengths, codings, expects, upgrades, ws_keys, ws_versions;
    bool close, upgrades_connection, bad;
    /* Options of Connection that name fields of the sender's own. */
    struct str nominated[NOMINATED_MAX];
    unsigned nominated_count;
};

static void once(struct str value, struct str *place, unsigned *count)
{
    *place = value;
    ++*count;
}

static void connection(struct facts *f, struct str list)
{
    while (list.p) {
        struct str option = str_trim(str_cut(&list, ','));

        if (!option.n)
            continue;
        if (str_ieq(option, STR("close")))
            f->close = true;
        else if (str_ieq(option, STR("upgrade")))
            f->upgrades_connection = true;
        else if (!h1_is_token(option) || h1_is_protected(option) ||
                 f->nominated_count == NOMINATED_MAX)
            f->bad = true;
        else
            f->nominated[f->nominated_count++] = option;
    }
}

static void look(struct facts *f, enum h1_name name, struct str value)
{
    switch (name) {
    case H1_HOST:
        once(value, &f->host, &f->hosts);
        break;
    case H1_CONTENT_LENGTH:
        once(value, &f->length, &f->lengths);
        break;
    case H1_TRANSFER_ENCODING:
        once(value, &f->coding, &f->codings);
        break;
    case H1_CONNECTION:
        connection(f, value);
        break;
    case H1_EXPECT:
        once(value, &f->expect, &f->expects);
        break;
    case H1_UPGRADE:
        once(value, &f->upgrade, &f->upgrades);
        break;
    case H1_WS_KEY:
        once(value, &f->ws_key, &f->ws_keys);
        break;
    case H1_WS_VERSION:
        once(value, &f->ws_version, &f->ws_versions);
        break;
    case H1_DATE:
    case H1_WS_ACCEPT:
    case H1_HOP:
    case H1_OTHER:
        break;
    }
}

/* Digits only, up to 2^63 - 1; leading zeros mean nothing. */
static bool length(struct str s, int64_t *out)
{
    uint64_t value = 0;

    if (!s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');

        if (digit > 9 || value > ((uint64_t)INT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = (int64_t)value;
    return true;
}

/* Codings that exist and are not served: compressed, then chunked. */
static bool known_codings(struct str list)
{
    static const struct str names[] = {STR("gzip"), STR("deflate"),
                                       STR("compress"), STR("x-gzip"),
                                       STR("x-compress")};
    struct str rest = list;

    while (rest.p) {
        struct str name = str_trim(str_cut(&rest, ','));
        bool found = false;

        if (!rest.p)
            return str_ieq(name, STR("chunked"));
        for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
            found = found || str_ieq(name, names[i]);
        if (!found)
            return false;
    }
    return false;
}

static enum err request_length(const struct facts *f, unsigned minor,
                               int64_t *out)
{
    *out = 0;
    if (f->codings) {
        if (f->codings > 1 || f->lengths || minor == 0)
            return E_BAD_REQUEST;
        if (!str_ieq(f->coding, STR("chunked")))
            return known_codings(f->coding) ? E_UNIMPLEMENTED : E_BAD_REQUEST;
        *out = LENGTH_CHUNKED;
        return E_OK;
    }
    if (f->lengths > 1 || (f->lengths && !length(f->length, out)))
        return E_BAD_REQUEST;
    return E_OK;
}

/* ---- host and target ---- */

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* Bytes of the name at the begin of a Host, or 0: a literal in brackets, or
 * labels between single dots. */
static size_t name_bytes(struct str s)
{
    size_t n = 0;

    if (s.n && s.p[0] == '[') {
        n = str_find(s, ']');
        for (size_t i = 1; i < n; i++)
            if (!strchr("0123456789abcdefABCDEF:.", s.p[i]))
                return 0;
        return n > 2 && n < s.n && n < 48 ? n + 1 : 0;
    }
    while (n < s.n && is_host_byte(s.p[n])) {
        if (s.p[n] == '.' && (n == 0 || s.p[n - 1] == '.'))
            return 0;
        n++;
    }
    return n;
}

/* Lower case, without port and without one dot at the end. */
static enum err host(struct str s, struct arena *a, struct str *out)
{
    size_t n = name_bytes(s);
    struct str port = str_after(s, n);
    uint64_t number = 0;
    char *p;

    *out = STR_NONE;
    if (!n || (port.n &&
               (port.p[0] != ':' ||
                !str_u64(str_after(port, 1), 65535, &number) || number == 0)))
        return E_BAD_REQUEST;
    if (s.p[n - 1] == '.')
        n--;
    p = arena_alloc(a, n + 1);
    if (!p)
        return E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        char c = s.p[i];

        p[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    p[n] = '\0';
    *out = str_from(p, n);
    return E_OK;
}

static bool scheme(struct str target, struct str *rest)
{
    static const struct str schemes[] = {STR("http://"), STR("https://")};

    for (unsigned i = 0; i < 2; i++) {
        if (str_istarts(target, schemes[i])) {
            *rest = str_after(target, schemes[i].n);
            return true;
        }
    }
    return false;
}

/* The absolute form becomes the origin form; its authority must be what Host
 * says. */
static enum err origin_form(struct str target, const struct facts *f,
                            struct arena *a, struct request_head *out)
{
    struct str rest, authority;
    size_t n = 0;

    if (!scheme(target, &rest))
        return E_BAD_REQUEST;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    authority = str_from(rest.p, n);
    if (!f->hosts || !str_ieq(authority, f->host))
        return E_BAD_REQUEST;
    rest = str_after(rest, n);
    if (rest.n && rest.p[0] == '/')
        out->target = rest;
    else if (!rest.n)
        out->target = out->method == METHOD_OPTIONS ? STR("*") : STR("/");
    else
        out->target = arena_text(a, "/%.*s", STR_FMT(rest));
    return out->target.p ? E_OK : E_NOMEM;
}

static enum err target(struct str raw, const struct facts *f, struct arena *a,
                       struct request_head *out)
{
    enum err err = E_OK;
    size_t query;

    out->target = raw;
    if (raw.p[0] != '/' &&
        !(out->method == METHOD_OPTIONS && str_eq(raw, STR("*"))))
        err = origin_form(raw, f, a, out);
    if (err != E_OK)
        return err;
    query = str_find(out->target, '?');
    out->path = str_from(out->target.p, query);
    out->query =
        query < out->target.n ? str_after(out->target, query + 1) : STR_NONE;
    return E_OK;
}

/* ---- upgrade ---- */

/* Base64 of 16 bytes.  Source: RFC 6455 4.1. */
static bool is_ws_key(struct str key)
{
    if (key.n != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return true;
}

/* Other upgrades than to a WebSocket (h2c) are ignored. */
static enum err upgrade(const struct facts *f, unsigned minor,
                        struct request_head *out)
{
    bool asks = f->upgrades == 1 && str_ieq(f->upgrade, STR("websocket"));

    if (!f->upgrades)
        return E_OK;
    if (!asks) {
        bool hidden =
            fields_has_token(&out->fields, STR("upgrade"), STR("websocket"));

        return hidden ? E_BAD_REQUEST : E_OK;
    }
    if (out->method != METHOD_GET || minor == 0 || !f->upgrades_connection ||
        out->length != 0 || f->codings || f->ws_versions != 1 ||
        f->ws_keys != 1 || !is_ws_key(f->ws_key))
        return E_BAD_REQUEST;
    if (!str_eq(f->ws_version, STR("13")))
        return E_PRECONDITION;
    out->upgrade = true;
    return E_OK;
}

/* ---- the request ---- */

static void put_method(struct str text, struct request_head *out)
{
    for (int m = 0; m < METHOD_COUNT; m++)
        if (str_eq(text, method_text((enum method)m)))
            out->method = (enum method)m;
}

static enum err put_fields(const struct h1_lines *lines, struct arena *a,
                           struct facts *f, struct request_head *out)
{
    size_t bytes = lines->count * sizeof(*lines->rows);

    out->fields.at = arena_alloc(a, bytes ? bytes : 1);
    if (!out->fields.at)
        return E_NOMEM;
    out->fields.count = out->fields.room = lines->count;
    for (unsigned i = 0; i < lines->count; i++) {
        const struct field *row = &lines->rows[i];

        out->fields.at[i] = *row;
        look(f, h1_name(row->name), row->value);
        if (h1_is_disguised(row->name))
            f->bad = true;
    }
    return f->bad ? E_BAD_REQUEST : E_OK;
}

enum err h1_request(const struct h1_lines *lines, struct arena *a,
                    struct request_head *out, bool *keep)
{
    struct facts f = {.bad = false};
    enum err err;

    put_method(lines->method, out);
    out->http10 = lines->minor == 0;
    err = put_fields(lines, a, &f, out);
    *keep = lines->minor == 1 && !f.close;
    if (err == E_OK)
        err = request_length(&f, lines->minor, &out->length);
    if (err == E_OK && (f.hosts > 1 || (!f.hosts && lines->minor == 1)))
        err = E_BAD_REQUEST;
    if (err == E_OK && f.hosts)
        err = host(f.host, a, &out->host);
    if (err == E_OK)
        err = target(lines->target, &f, a, out);
    if (err == E_OK)
        err = upgrade(&f, lines->minor, out);
    if (err != E_OK || !f.expects || lines->minor == 0)
        return err;
    if (f.expects > 1 || !str_ieq(f.expect, STR("100-continue")))
        return E_EXPECTATION;
    out->expects = out->length != 0;
    return E_OK;
}

int h1_status(enum err err)
{
    static const struct {
        enum err err;
        int status;
    } table[] = {
        {E_URI_TOO_LONG, 414},   {E_HEAD_TOO_BIG, 431},  {E_METHOD, 405},
        {E_METHOD_UNKNOWN, 501}, {E_UNIMPLEMENTED, 501}, {E_VERSION, 505},
        {E_EXPECTATION, 417},    {E_PRECONDITION, 426},  {E_SLOW, 408},
        {E_NOMEM, 503},
    };

    for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (table[i].err == err)
            return table[i].status;
    return 400;
}

/* ---- the answer ---- */

static enum err answer_length(const struct h1_lines *lines,
                              const struct facts *f, int64_t *out)
{
    *out = LENGTH_CLOSE;
    if (f->codings) {
        if (f->codings > 1 || f->lengths || lines->minor == 0 ||
            !str_ieq(f->coding, STR("chunked")))
            return E_BACKEND_GARBAGE;
        *out = LENGTH_CHUNKED;
        return E_OK;
    }
    if (f->lengths > 1 || (f->lengths && !length(f->length, out)))
        return E_BACKEND_GARBAGE;
    return E_OK;
}

static bool is_ours(enum h1_name name, int status)
{
    switch (name) {
    case H1_CONTENT_LENGTH:
    case H1_TRANSFER_ENCODING:
    case H1_CONNECTION:
    case H1_DATE:
    case H1_HOP:
        return true;
    case H1_UPGRADE:
        return status != 101;
    case H1_HOST:
    case H1_EXPECT:
    case H1_WS_KEY:
    case H1_WS_VERSION:
    case H1_WS_ACCEPT:
    case H1_OTHER:
        break;
    }
    return false;
}

static bool is_nominated(const struct facts *f, struct str name)
{
    for (unsigned i = 0; i < f->nominated_count; i++)
        if (str_ieq(f->nominated[i], name))
            return true;
    return false;
}

enum err h1_answer(struct h1_lines *lines, enum method asked,
                   struct h1_answer *out)
{
    struct facts f = {.bad = false};
    struct fields kept = {lines->rows, 0, lines->count};
    enum err err;

    for (unsigned i = 0; i < lines->count; i++)
        look(&f, h1_name(lines->rows[i].name), lines->rows[i].value);
    err = answer_length(lines, &f, &out->body);
    out->keep = lines->minor == 1 && !f.close && out->body != LENGTH_CLOSE;
    out->head = (struct answer_head){
        .status = lines->status, .reason = lines->reason, .length = out->body};
    for (unsigned i = 0; i < lines->count; i++) {
        struct field row = lines->rows[i];

        if (!is_ours(h1_name(row.name), lines->status) &&
            !is_nominated(&f, row.name))
            kept.at[kept.count++] = row;
    }
    out->head.fields = kept;
    if (asked != METHOD_HEAD && lines->status >= 200 && lines->status != 204 &&
        lines->status != 304)
        return err;
    /* No body follows, whatever the fields say; a HEAD tells the length. */
    if (out->body == LENGTH_CLOSE || asked != METHOD_HEAD)
        out->head.length = LENGTH_NONE;
    out->keep = lines->minor == 1 && !f.close;
    out->body = 0;
    return err;
}

bool h1_accepts(const struct h1_lines *lines, struct str accept)
{
    struct fields rows = {lines->rows, lines->count, lines->count};

    return fields_count(&rows, STR("upgrade")) == 1 &&
           fields_count(&rows, STR("sec-websocket-accept")) == 1 &&
           str_ieq(fields_get(&rows, STR("upgrade")), STR("websocket")) &&
           fields_has_token(&rows, STR("connection"), STR("upgrade")) &&
           str_eq(fields_get(&rows, STR("sec-websocket-accept")), accept);
}
