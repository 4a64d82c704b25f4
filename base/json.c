/* json.c - see json.h. */
#include "base/json.h"

#include <stdbool.h>

#include "base/encode.h"
#include "base/mem.h"

const struct json_limits json_limits_api = {256 << 10, 32, 10000};
const struct json_limits json_limits_rpc = {16 << 20, 32, 10000};
const struct json_limits json_limits_list = {4 << 20, 32, 1000000};

/* The place behind the quote that ends the string begun before at; or the
 * end.  Whole strings are jumped over: most of a large text is strings. */
static const char *skip_string(const char *at, const char *end)
{
    const char *start = at;

    while ((at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        const char *back = at;

        /* Each backslash is looked at once: they stand behind the last
         * quote. */
        while (back > start && back[-1] == '\\')
            back--;
        if ((at - back) % 2 == 0)
            return at + 1;
        start = ++at;
    }
    return end;
}

/* Do depth and number of values keep the limits?  Exact for JSON, and never
 * less than what a parser makes of anything else before it sees the error. */
static bool within(struct str text, const struct json_limits *limits)
{
    const char *at = text.p, *end = text.p + text.n;
    unsigned depth = 0, values = 1;
    bool opened = false; /* a container, and nothing in it so far */

    while (at < end) {
        char c = *at++;

        if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
            continue;
        if (c == '}' || c == ']') {
            depth -= depth > 0;
            opened = false;
            continue;
        }
        values += opened || c == ',';
        opened = c == '{' || c == '[';
        depth += opened;
        if (depth > limits->max_depth || values > limits->max_values)
            return false;
        if (c == '"')
            at = skip_string(at, end);
    }
    return true;
}

MUST_USE static enum err read(struct str text, const struct json_limits *limits,
                              size_t flags, json_t **out)
{
    unsigned long failures = mem_failures();

    *out = NULL;
    if (text.n > limits->max_bytes)
        return E_TOO_BIG;
    if (text.n == 0 || !within(text, limits))
        return E_BAD_JSON;
    *out = json_loadb(text.p, text.n, flags, NULL);
    if (*out)
        return E_OK;
    /* jansson calls some of its own failed allocations bad syntax. */
    return mem_failures() != failures ? E_NOMEM : E_BAD_JSON;
}

enum err json_read(struct str text, const struct json_limits *limits,
                   json_t **out)
{
    return read(text, limits, JSON_REJECT_DUPLICATES, out);
}

enum err json_read_first(struct str text, const struct json_limits *limits,
                         json_t **out)
{
    return read(text, limits, JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY, out);
}

static int append(const char *text, size_t n, void *arg)
{
    struct buf *b = arg;

    buf_put(b, str_from(text, n));
    return b->failed ? -1 : 0;
}

void json_write(struct buf *b, const json_t *value)
{
    if (json_dump_callback(value, append, b, JSON_COMPACT | JSON_ENCODE_ANY) <
        0)
        b->failed = true;
}

void json_write_ascii(struct buf *b, const json_t *value)
{
    if (json_dump_callback(value, append, b,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) <
        0)
        b->failed = true;
}

/* One UTF-16 unit. */
static void put_unit(struct buf *b, uint32_t unit)
{
    static const char digits[] = "0123456789abcdef";
    char text[] = {'\\',
                   'u',
                   digits[unit >> 12 & 15],
                   digits[unit >> 8 & 15],
                   digits[unit >> 4 & 15],
                   digits[unit & 15]};

    buf_put(b, str_from(text, sizeof(text)));
}

static void put_escaped(struct buf *b, uint32_t point)
{
    static const char shorts[] = "\bb\tt\nn\ff\rr\"\"\\\\";

    for (const char *p = shorts; *p; p += 2) {
        if ((unsigned char)*p != point)
            continue;
        buf_byte(b, '\\');
        buf_byte(b, p[1]);
        return;
    }
    if (point > 0xffff) {
        put_unit(b, 0xd800 + ((point - 0x10000) >> 10));
        put_unit(b, 0xdc00 + ((point - 0x10000) & 0x3ff));
        return;
    }
    put_unit(b, point);
}

static bool is_plain(uint32_t point, bool ascii, bool html)
{
    if (point < 0x20 || point == '"' || point == '\\')
        return false;
    if (html && (point == '<' || point == '>' || point == '&' ||
                 point == 0x2028 || point == 0x2029))
        return false;
    return !ascii || point < 0x80;
}

void json_write_text(struct buf *b, struct str s, bool ascii, bool html)
{
    size_t from = 0, at = 0;

    buf_byte(b, '"');
    while (at < s.n) {
        uint32_t point = (unsigned char)s.p[at];
        unsigned n = point < 0x80 ? 1 : decode_utf8(str_after(s, at), &point);

        if (n && is_plain(point, ascii, html)) {
            at += n;
            continue;
        }
        buf_put(b, str_from(s.p + from, at - from));
        if (n || ascii)
            put_escaped(b, n ? point : 0xfffd);
        else
            buf_put(b, STR("\xef\xbf\xbd"));
        at += n ? n : 1;
        from = at;
    }
    buf_put(b, str_from(s.p ? s.p + from : "", at - from));
    buf_byte(b, '"');
}

struct str json_str(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_string(member))
        return STR_NONE;
    return str_from(json_string_value(member), json_string_length(member));
}

json_t *json_member(const json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);

    return json_is_null(member) ? NULL : member;
}

void json_start(void)
{
    json_set_alloc_funcs(mem_malloc, mem_free);
    /* Drawn now: later the system's generator may be out of reach. */
    json_object_seed(0);
}
