/* multipart.c - see multipart.h.  Source: RFC 7578, RFC 2046 5.1, and what
 * E2B's daemon takes beyond it (e2b-data-plane.md 4.3). */
#include "translate/multipart.h"

#include <string.h>

#include "base/encode.h"

/* ---- parameters of a field value ---- */

/* Cut `; name=value` off *rest; quoted values lose their quotes and their
 * backslashes.  false: there is none. */
static bool parameter(struct str *rest, struct arena *a, struct str *name,
                      struct str *value)
{
    struct str s = str_trim(*rest);
    size_t at;
    char *out;
    size_t n = 0;

    while (s.n && s.p[0] == ';')
        s = str_trim(str_after(s, 1));
    at = str_find(s, '=');
    if (s.n == 0 || at == s.n)
        return false;
    *name = str_trim(str_from(s.p, at));
    s = str_trim(str_after(s, at + 1));
    if (s.n == 0 || s.p[0] != '"') {
        at = str_find(s, ';');
        *value = str_trim(str_from(s.p, at));
        *rest = str_after(s, at);
        return true;
    }
    out = arena_alloc(a, s.n);
    if (!out)
        return false;
    for (at = 1; at < s.n && s.p[at] != '"'; at++) {
        if (s.p[at] == '\\' && at + 1 < s.n)
            at++;
        out[n++] = s.p[at];
    }
    *value = str_from(out, n);
    *rest = str_after(s, at + 1);
    return at < s.n;
}

bool multipart_init(struct multipart *m, struct str content_type)
{
    struct str name, value, rest;
    struct arena *a;
    bool found = false;

    memset(m, 0, sizeof(*m));
    if (arena_new(content_type.n + 4096, &a) != E_OK)
        return false;
    rest = str_after(content_type, str_find(content_type, ';'));
    while (!found && parameter(&rest, a, &name, &value))
        if (str_ieq(name, STR("boundary")) && value.n >= 1 && value.n <= 70) {
            memcpy(m->delimiter, "\n--", 3);
            memcpy(m->delimiter + 3, value.p, value.n);
            m->n = value.n + 3;
            found = true;
        }
    arena_free(&a);
    return found;
}

/* ---- the headers of a part ---- */

/* charset'language'percent-encoded.  Source: RFC 5987 3.2. */
static struct str extended(struct str value, struct arena *a)
{
    struct str out;

    str_cut(&value, '\'');
    if (!value.p)
        return STR_NONE;
    str_cut(&value, '\'');
    if (!value.p || !decode_percent(value, false, a, &out))
        return STR_NONE;
    return out;
}

static void disposition(struct str value, struct arena *a,
                        struct multipart_event *event)
{
    struct str rest = str_after(value, str_find(value, ';'));
    struct str kind = str_trim(str_from(value.p, value.n - rest.n));
    struct str name, text, better = STR_NONE;

    event->form_data = str_ieq(kind, STR("form-data"));
    while (parameter(&rest, a, &name, &text))
        if (str_ieq(name, STR("name")))
            event->name = text;
        else if (str_ieq(name, STR("filename")))
            event->filename = text;
        else if (str_ieq(name, STR("filename*")))
            better = extended(text, a);
    if (better.p)
        event->filename = better;
}

static void headers(struct str block, struct arena *a,
                    struct multipart_event *event)
{
    while (block.p) {
        struct str value = str_cut(&block, '\n');
        struct str name;

        if (value.n && value.p[value.n - 1] == '\r')
            value.n--;
        name = str_cut(&value, ':');
        if (value.p && str_ieq(str_trim(name), STR("content-disposition")))
            disposition(str_trim(value), a, event);
    }
}

/* Length of the headers at the begin of view, the empty line included; 0:
 * it is not there yet. */
static size_t headers_length(struct str view)
{
    for (size_t i = 0; i < view.n; i++) {
        size_t next = i + 1;

        if (view.p[i] != '\n' && !(i == 0 && view.p[0] == '\r'))
            continue;
        if (i == 0 && view.p[0] == '\n')
            return 1;
        if (next < view.n && view.p[next] == '\r' && view.p[i] == '\n')
            next++;
        if (next < view.n && view.p[next] == '\n')
            return next + 1;
    }
    return 0;
}

/* ---- states ---- */

/* The place of the delimiter in view, or its end. */
static size_t find(const struct multipart *m, struct str view)
{
    return str_find_str(view, str_from(m->delimiter, m->n));
}

/*
 * What stands behind a delimiter that ends at view.p + at: `--` closes, an
 * end of line begins a part.  Returns E_OK with *used 0 when more is needed.
 */
MUST_USE static enum err behind(struct multipart *m, struct str view, size_t at,
                                bool last, size_t *used)
{
    struct str rest = str_after(view, at);
    size_t i = 0;

    *used = 0;
    if (rest.n >= 2 && rest.p[0] == '-' && rest.p[1] == '-') {
        m->state = MULTIPART_OVER;
        *used = at + 2;
        return E_OK;
    }
    while (i < rest.n && (rest.p[i] == ' ' || rest.p[i] == '\t'))
        i++;
    if (i < rest.n && rest.p[i] == '\r')
        i++;
    if (i < rest.n && rest.p[i] == '\n') {
        m->state = MULTIPART_HEADERS;
        *used = at + i + 1;
        return E_OK;
    }
    if (last)
        return E_CUT;
    return i < rest.n && rest.p[i] != '-' ? E_BAD_REQUEST : E_OK;
}

MUST_USE static enum err preamble(struct multipart *m, struct str view,
                                  bool last, size_t *used)
{
    size_t at;

    /* The first one may stand at the very begin, without a line end. */
    if (view.n >= m->n - 1 && memcmp(view.p, m->delimiter + 1, m->n - 1) == 0)
        return behind(m, view, m->n - 1, last, used);
    at = find(m, view);
    if (at < view.n)
        return behind(m, view, at + m->n, last, used);
    if (last)
        return E_CUT;
    *used = view.n > m->n ? view.n - m->n : 0;
    return E_OK;
}

MUST_USE static enum err part(struct multipart *m, struct str view, bool last,
                              struct arena *a, size_t *used,
                              struct multipart_event *event)
{
    size_t n = headers_length(view);

    if (n == 0) {
        if (view.n > MULTIPART_HEADERS_MAX)
            return E_BAD_REQUEST;
        return last ? E_CUT : E_OK;
    }
    event->kind = MULTIPART_PART;
    headers(str_from(view.p, n), a, event);
    m->state = MULTIPART_BODY;
    *used = n;
    return E_OK;
}

MUST_USE static enum err body(struct multipart *m, struct str view, bool last,
                              size_t *used, struct multipart_event *event)
{
    size_t end = find(m, view), at = end;
    size_t keep = m->n + 2;
    enum err err;

    if (at == view.n) {
        if (last)
            return E_CUT;
        if (view.n <= keep)
            return E_OK;
        event->kind = MULTIPART_DATA;
        event->data = str_from(view.p, view.n - keep);
        *used = view.n - keep;
        return E_OK;
    }
    if (end > 0 && view.p[end - 1] == '\r')
        end--;
    if (end > 0) {
        event->kind = MULTIPART_DATA;
        event->data = str_from(view.p, end);
        *used = end;
        return E_OK;
    }
    err = behind(m, view, at + m->n, last, used);
    if (err == E_OK && *used)
        event->kind = MULTIPART_LAST;
    return err;
}

enum err multipart_next(struct multipart *m, struct str view, bool last,
                        struct arena *a, size_t *used,
                        struct multipart_event *event)
{
    enum err err = E_OK;

    memset(event, 0, sizeof(*event));
    *used = 0;
    switch (m->state) {
    case MULTIPART_PREAMBLE:
        err = preamble(m, view, last, used);
        if (err == E_OK && *used && m->state == MULTIPART_HEADERS) {
            size_t more = 0;

            err = part(m, str_after(view, *used), last, a, &more, event);
            *used += more;
        }
        break;
    case MULTIPART_HEADERS:
        err = part(m, view, last, a, used, event);
        break;
    case MULTIPART_BODY:
        err = body(m, view, last, used, event);
        break;
    case MULTIPART_OVER:
        break;
    }
    if (err == E_OK && m->state == MULTIPART_OVER &&
        event->kind == MULTIPART_MORE) {
        event->kind = MULTIPART_END;
        *used = view.n; /* an epilogue says nothing */
    }
    return err;
}
