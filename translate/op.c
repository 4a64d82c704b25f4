/* op.c - finds the operation for a request and tells it what happens. */
#include "translate/op.h"

#include <string.h>

#include "base/encode.h"
#include "translate/native.h"
#include "translate/ops.h"
#include "translate/unkept.h"

/* Segments of the longest path of ops.def, and one more for a template's
 * name that comes with a bare slash. */
#define SEGMENTS_MAX 8

static const struct op_row rows[] = {
#define OP(name, class, method, path, dialect, credential, limit, gone, \
           variant, function) \
    {#name,   CLASS_##class,     METHOD_##method, \
     path,    DIALECT_##dialect, CREDENTIAL_##credential, \
     limit,   GONE_##gone,       variant, \
     function},
#include "translate/ops.def"
#undef OP
    {NULL, CLASS_PORT, METHOD_COUNT, "", DIALECT_API, CREDENTIAL_NONE, 0,
     GONE_CUT, 0, NULL}};

#define ROWS (sizeof(rows) / sizeof(rows[0]) - 1)

const struct op_row *op_row_at(unsigned i)
{
    return i < ROWS ? &rows[i] : NULL;
}

/* ---- the path ---- */

struct segments {
    struct str at[SEGMENTS_MAX];
    unsigned count; /* may be more than there is room for */
};

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
           (c >= 'A' && c <= 'F');
}

/* Does an escape begin at s.p[i]? */
static bool is_escape(struct str s, size_t i)
{
    return s.p[i] == '%' && i + 2 < s.n && is_hex(s.p[i + 1]) &&
           is_hex(s.p[i + 2]);
}

/* Decode one segment once.  Source: threats.md L-05, L-06. */
MUST_USE static enum err decode(struct str raw, struct arena *a,
                                struct str *out)
{
    bool escaped = false;

    for (size_t i = 0; i < raw.n; i++)
        if (raw.p[i] == '%') {
            if (!is_escape(raw, i))
                return E_BAD_REQUEST;
            escaped = true;
        }
    *out = raw;
    if (escaped && !decode_percent(raw, false, a, out))
        return E_NOMEM;
    for (size_t i = 0; i < out->n; i++) {
        unsigned char c = (unsigned char)out->p[i];

        if (c < 0x20 || c == 0x7f || c == '\\' || is_escape(*out, i))
            return E_BAD_REQUEST;
    }
    return encode_is_utf8(*out) ? E_OK : E_BAD_REQUEST;
}

/* An escaped slash: only the control plane has segments that may hold one.
 * Source: threats.md L-05, R-10 */
static bool has_slash(enum op_class class, struct str segment)
{
    return class != CLASS_API && str_find(segment, '/') < segment.n;
}

MUST_USE static enum err split(enum op_class class, struct str path,
                               struct arena *a, struct segments *out)
{
    struct str rest = str_after(path, 1);

    memset(out, 0, sizeof(*out));
    if (path.n == 0 || path.p[0] != '/')
        return E_ROUTE_UNKNOWN;
    while (rest.p) {
        struct str segment;
        enum err err = decode(str_cut(&rest, '/'), a, &segment);

        if (err != E_OK)
            return err;
        if (has_slash(class, segment))
            return E_BAD_REQUEST;
        if (out->count < SEGMENTS_MAX)
            out->at[out->count] = segment;
        out->count++;
    }
    return out->count > SEGMENTS_MAX ? E_ROUTE_UNKNOWN : E_OK;
}

/* ---- the rows ---- */

/* What the segments of a row's path said. */
struct match {
    struct str params[OP_PARAMS_MAX];
    unsigned count;
    enum err err; /* E_BAD_REQUEST: an escaped slash where none may be */
};

/* "team/name" from two segments; false: no memory. */
static bool join(struct str *one, struct str two, struct arena *a)
{
    *one = arena_text(a, "%.*s/%.*s", STR_FMT(*one), STR_FMT(two));
    return one->p != NULL;
}

/*
 * Do the segments fit the row's path?  wide: {template} takes two of them,
 * for SDKs that send the slash of "team/name" bare (e2b-control-plane.md
 * 3.2).
 */
static bool fits(const struct op_row *row, const struct segments *s, bool wide,
                 struct arena *a, struct match *m)
{
    struct str rest = str_after(str_of(row->path), 1);
    unsigned i = 0;

    memset(m, 0, sizeof(*m));
    while (rest.p) {
        struct str want = str_cut(&rest, '/');
        struct str have;

        if (i >= s->count)
            return false;
        have = s->at[i++];
        if (!str_starts(want, STR("{"))) {
            if (!str_eq(want, have))
                return false;
            continue;
        }
        if (have.n == 0 || m->count >= OP_PARAMS_MAX)
            return false;
        if (!str_eq(want, STR("{template}"))) {
            if (str_find(have, '/') < have.n)
                m->err = E_BAD_REQUEST;
        } else if (wide) {
            if (i >= s->count || s->at[i].n == 0)
                return false;
            if (!join(&have, s->at[i++], a))
                m->err = E_NOMEM;
        }
        m->params[m->count++] = have;
    }
    return i == s->count;
}

/* The sandbox id of an API path: "<id>" or "<id>-<anything>".  Source:
 * e2b-control-plane.md 6.1 */
MUST_USE static enum err strip_suffix(struct str *id)
{
    struct str rest = *id;
    struct str first = str_cut(&rest, '-');

    if (rest.p && str_find(rest, '-') < rest.n)
        return E_BAD_SANDBOX_ID;
    *id = first;
    return sandbox_id_ok(first) ? E_OK : E_BAD_SANDBOX_ID;
}

MUST_USE static enum err take_params(const struct op_row *row, struct match *m,
                                     struct str params[OP_PARAMS_MAX])
{
    struct str rest = str_after(str_of(row->path), 1);
    unsigned i = 0;

    if (m->err != E_OK)
        return m->err;
    while (rest.p) {
        struct str want = str_cut(&rest, '/');

        if (!str_starts(want, STR("{")))
            continue;
        if (row->class == CLASS_API && str_eq(want, STR("{id}")) &&
            strip_suffix(&m->params[i]) != E_OK)
            return E_BAD_SANDBOX_ID;
        if (str_eq(want, STR("{sandbox}")) &&
            !sandbox_native_id_ok(m->params[i]))
            return E_BAD_SANDBOX_ID;
        params[i] = m->params[i];
        i++;
    }
    return E_OK;
}

/* "GET, HEAD, POST" of the methods in mask. */
MUST_USE static enum err allow_text(unsigned mask, struct arena *a,
                                    const char **allow)
{
    struct str text = STR("");

    for (int m = 0; m < METHOD_COUNT; m++) {
        if (!(mask & 1U << m))
            continue;
        text = arena_text(a, "%.*s%s%.*s", STR_FMT(text), text.n ? ", " : "",
                          STR_FMT(method_text((enum method)m)));
        if (!text.p)
            return E_NOMEM;
    }
    *allow = text.p;
    return E_OK;
}

/* What is looked for. */
struct aim {
    enum op_class class;
    enum method method;
    struct segments segments;
    struct arena *arena;
    unsigned allowed; /* methods of the rows whose path fits */
};

/* Does the row serve the method?  HEAD is a GET on the control plane. */
static bool serves(const struct op_row *row, enum method method)
{
    return row->method == method ||
           ((row->class == CLASS_API || row->class == CLASS_NATIVE) &&
            row->method == METHOD_GET && method == METHOD_HEAD);
}

MUST_USE static enum err find(struct aim *aim, bool wide, struct op_found *out)
{
    for (unsigned i = 0; i < ROWS; i++) {
        const struct op_row *row = &rows[i];
        struct match m;

        if (row->class != aim->class ||
            !fits(row, &aim->segments, wide, aim->arena, &m))
            continue;
        if (serves(row, aim->method)) {
            enum err err = take_params(row, &m, out->params);

            out->row = err == E_OK ? row : NULL;
            return err;
        }
        aim->allowed |= 1U << row->method;
        if (serves(row, METHOD_HEAD))
            aim->allowed |= 1U << METHOD_HEAD;
    }
    return aim->allowed ? E_METHOD : E_ROUTE_UNKNOWN;
}

enum err op_find(enum op_class class, enum method method, struct str path,
                 struct arena *a, struct op_found *out)
{
    struct aim aim = {.class = class, .method = method, .arena = a};
    enum err err = split(class, path, a, &aim.segments);

    *out = (struct op_found){NULL};
    if (err != E_OK)
        return err;
    err = find(&aim, false, out);
    if (err == E_ROUTE_UNKNOWN)
        err = find(&aim, true, out);
    if (err == E_METHOD && allow_text(aim.allowed, a, &out->allow) != E_OK)
        return E_NOMEM;
    return err;
}

/* ---- events and wants ---- */

void op_hear(struct op *op, const struct op_event *event, struct want *want)
{
    memset(want, 0, sizeof(*want));
    if (op->answered)
        want->kind = WANT_DONE;
    else
        op->row->hear(op, event, want);
}

void op_end(struct op *op)
{
    if (op->drop)
        op->drop(op);
    op->drop = NULL;
}
