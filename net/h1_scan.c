/* h1_scan.c - see h1_scan.h.  Runs over every byte of every head first, before
 * llhttp and before anything is believed. */
#include "net/h1_scan.h"

#include "net/h1_name.h"

/* What a byte may be. */
#define TOKEN 1  /* in a name or a method */
#define TARGET 2 /* in a request target: printable ASCII but # and \ */

/* Source: RFC 9110 5.6.2 (tchar); threats.md H1-15. */
static const unsigned char classes[256] = {
    ['!'] = TOKEN | TARGET,
    ['"'] = TARGET,
    ['$'] = TOKEN | TARGET,
    ['%'] = TOKEN | TARGET,
    ['&'] = TOKEN | TARGET,
    ['\''] = TOKEN | TARGET,
    ['('] = TARGET,
    [')'] = TARGET,
    ['*'] = TOKEN | TARGET,
    ['+'] = TOKEN | TARGET,
    [','] = TARGET,
    ['-'] = TOKEN | TARGET,
    ['.'] = TOKEN | TARGET,
    ['/'] = TARGET,
    [':'] = TARGET,
    [';'] = TARGET,
    ['<'] = TARGET,
    ['='] = TARGET,
    ['>'] = TARGET,
    ['?'] = TARGET,
    ['@'] = TARGET,
    ['['] = TARGET,
    [']'] = TARGET,
    ['^'] = TOKEN | TARGET,
    ['_'] = TOKEN | TARGET,
    ['`'] = TOKEN | TARGET,
    ['{'] = TARGET,
    ['|'] = TOKEN | TARGET,
    ['}'] = TARGET,
    ['~'] = TOKEN | TARGET,
    ['#'] = TOKEN,
    ['0' ... '9'] = TOKEN | TARGET,
    ['A' ... 'Z'] = TOKEN | TARGET,
    ['a' ... 'z'] = TOKEN | TARGET,
};

static bool all(struct str s, unsigned char class)
{
    unsigned char have = class;

    for (size_t i = 0; i < s.n; i++)
        have &= classes[(unsigned char)s.p[i]];
    return have == class;
}

bool h1_is_token(struct str s)
{
    return s.n && all(s, TOKEN);
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* Is there, among 8 bytes, one below 0x20 or a DEL?  Never misses one. */
static bool suspicious(uint64_t x)
{
    uint64_t del = x ^ EACH(0x7f);

    return (((x - EACH(0x20)) & ~x) | ((del - EACH(1)) & ~del)) & EACH(0x80);
}

bool h1_is_value(struct str s)
{
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t x;

        memcpy(&x, s.p + i, 8);
        if (suspicious(x))
            break;
    }
    for (; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* The version at the end of a first line: its minor number, or an error. */
static enum err version(struct str s, unsigned *minor)
{
    *minor = 0;
    if (s.n != 8 || !str_starts(s, STR("HTTP/")) || s.p[6] != '.' ||
        s.p[5] < '1' || s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
        return E_BAD_REQUEST;
    if (s.p[5] != '1' || s.p[7] > '1')
        return E_VERSION;
    *minor = (unsigned)(s.p[7] - '0');
    return E_OK;
}

static enum err method(struct str name)
{
    static const struct str served[] = {
        STR("GET"),    STR("HEAD"),  STR("POST"),   STR("PUT"),
        STR("DELETE"), STR("PATCH"), STR("OPTIONS")};

    for (unsigned i = 0; i < sizeof(served) / sizeof(*served); i++)
        if (str_eq(name, served[i]))
            return E_OK;
    if (str_eq(name, STR("CONNECT")) || str_eq(name, STR("TRACE")))
        return E_METHOD;
    return E_METHOD_UNKNOWN;
}

static enum err request_line(struct str line, struct h1_lines *out)
{
    size_t space = str_find(line, ' ');
    struct str rest = str_after(line, space + 1);
    enum err err;

    out->method = str_from(line.p, space);
    space = str_find(rest, ' ');
    out->target = str_from(rest.p, space);
    if (!h1_is_token(out->method) || !out->target.n ||
        !all(out->target, TARGET) || space == rest.n)
        return E_BAD_REQUEST;
    /* The preface of HTTP/2 is not a request at all (H1-28). */
    if (str_eq(out->method, STR("PRI")))
        return E_BAD_REQUEST;
    if (out->target.n > H1_LINE_BYTES)
        return E_URI_TOO_LONG;
    err = version(str_after(rest, space + 1), &out->minor);
    return err == E_OK ? method(out->method) : err;
}

static enum err status_line(struct str line, struct h1_lines *out)
{
    struct str rest = str_after(line, 12);
    int status = 0;

    if (line.n < 12 || line.p[8] != ' ' ||
        version(str_from(line.p, 8), &out->minor) != E_OK)
        return E_BACKEND_GARBAGE;
    for (int i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return E_BACKEND_GARBAGE;
        status = status * 10 + (line.p[i] - '0');
    }
    out->status = status;
    out->reason = str_after(rest, 1);
    /* The space behind the status is missing where servers have no reason. */
    if (status < 100 || status > 599 || (rest.n && rest.p[0] != ' ') ||
        !h1_is_value(rest))
        return E_BACKEND_GARBAGE;
    return E_OK;
}

/* A TAB around what frames the body is read in more than one way (llhttp does
 * not take it), and nobody sends it. */
static bool is_odd_framing(struct str name, struct str raw)
{
    enum h1_name known = h1_name(name);

    return (known == H1_CONTENT_LENGTH || known == H1_TRANSFER_ENCODING) &&
           str_find(raw, '\t') < raw.n;
}

static bool field_line(struct str line, struct field *out)
{
    size_t colon = str_find(line, ':');
    struct str raw = str_after(line, colon + 1);

    out->name = str_from(line.p, colon);
    if (colon == line.n || !h1_is_token(out->name))
        return false;
    out->value = str_trim(raw);
    if (raw.n &&
        (raw.n - out->value.n > 1 || raw.p[0] == '\t' ||
         raw.p[raw.n - 1] == '\t') &&
        is_odd_framing(out->name, raw))
        return false;
    return h1_is_value(out->value);
}

/* Limits and rules that differ between the two directions. */
struct kind {
    enum err (*first_line)(struct str line, struct h1_lines *out);
    size_t head_bytes;
    unsigned fields;
    enum err too_long; /* first line */
    enum err too_big;
    enum err bad;
    bool blank; /* one empty line may stand before the head (RFC 9112 2.2) */
};

static const struct kind request = {
    request_line,   H1_HEAD_BYTES, H1_FIELDS, E_URI_TOO_LONG,
    E_HEAD_TOO_BIG, E_BAD_REQUEST, true};
static const struct kind answer = {status_line,
                                   H1_ANSWER_BYTES,
                                   H1_ANSWER_FIELDS,
                                   E_BACKEND_GARBAGE,
                                   E_BACKEND_GARBAGE,
                                   E_BACKEND_GARBAGE,
                                   false};

/* Is so much of a line still allowed?  A first line has room for a method and
 * a version beside the longest target. */
static enum err fits(const struct h1_scan *s, const struct kind *kind,
                     size_t line_bytes)
{
    if (!s->started && line_bytes > H1_LINE_BYTES + 64)
        return kind->too_long;
    if (line_bytes > H1_FIELD_BYTES + 2 ||
        s->at + line_bytes > kind->head_bytes)
        return kind->too_big;
    return E_OK;
}

/* One line without its CRLF. */
static enum err take_line(struct h1_scan *s, const struct kind *kind,
                          struct str line, struct h1_lines *out, bool *done)
{
    if (!s->started) {
        if (line.n == 0 && kind->blank && !s->blank) {
            s->blank = true;
            return E_OK;
        }
        s->started = true;
        return kind->first_line(line, out);
    }
    if (line.n == 0) {
        *done = true;
        return E_OK;
    }
    if (s->fields == kind->fields)
        return kind->too_big;
    if (!field_line(line, &out->rows[s->fields]))
        return kind->bad;
    s->fields++;
    return E_OK;
}

static enum err scan(struct h1_scan *s, const struct kind *kind,
                     struct str bytes, struct h1_lines *out, bool *done)
{
    enum err err = E_OK;

    *done = false;
    while (!*done && err == E_OK) {
        struct str rest = str_after(bytes, s->at);
        const char *end = rest.n > s->seen
                              ? memchr(rest.p + s->seen, '\n', rest.n - s->seen)
                              : NULL;
        size_t n = end ? (size_t)(end - rest.p) + 1 : rest.n;

        err = fits(s, kind, n);
        if (err != E_OK || !end) {
            s->seen = rest.n;
            break;
        }
        if (n < 2 || rest.p[n - 2] != '\r')
            return kind->bad;
        err = take_line(s, kind, str_from(rest.p, n - 2), out, done);
        s->at += n;
        s->seen = 0;
    }
    out->count = s->fields;
    out->bytes = s->at;
    return err;
}

/* What can be told from the first byte is told at once: who speaks TLS or
 * another protocol to us may never send a line end. */
static bool hopeless(const struct h1_scan *s, struct str bytes)
{
    return !s->started && !s->blank && bytes.n && bytes.p[0] != '\r' &&
           !(classes[(unsigned char)bytes.p[0]] & TOKEN);
}

enum err h1_scan_request(struct h1_scan *s, struct str bytes,
                         struct h1_lines *out, bool *done)
{
    *done = false;
    if (hopeless(s, bytes))
        return E_BAD_REQUEST;
    return scan(s, &request, bytes, out, done);
}

enum err h1_scan_answer(struct h1_scan *s, struct str bytes,
                        struct h1_lines *out, bool *done)
{
    return scan(s, &answer, bytes, out, done);
}
