/* target.c - see target.h. */
#include "preview/target.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Is the raw name, decoded, that of the parameter? */
static bool is_parameter(struct str name)
{
    static const struct str word = STR(PREVIEW_PARAMETER);
    size_t at = 0;

    for (size_t i = 0; i < name.n; i++) {
        int c = (unsigned char)name.p[i];

        if (c == '%' && i + 2 < name.n && hex_digit(name.p[i + 1]) >= 0 &&
            hex_digit(name.p[i + 2]) >= 0) {
            c = hex_digit(name.p[i + 1]) << 4 | hex_digit(name.p[i + 2]);
            i += 2;
        }
        if (at >= word.n || c != word.p[at++])
            return false;
    }
    return at == word.n;
}

/* Is a pair the parameter?  *value: behind its =, empty without one. */
static bool is_token(struct str pair, struct str *value)
{
    struct str name = str_cut(&pair, '=');

    *value = pair.p ? pair : STR("");
    return is_parameter(name);
}

unsigned preview_target_tokens(struct str query, struct str *out, unsigned max)
{
    struct str value;
    unsigned count = 0;

    while (query.p) {
        if (!is_token(str_cut(&query, '&'), &value))
            continue;
        if (count < max)
            out[count] = value;
        count++;
    }
    return count;
}

/* Append the pairs of a query that are not the parameter. */
static void put_query(struct str query, struct buf *out)
{
    struct str rest = query, value;
    size_t kept = 0, all = 0;
    char before = '?';

    while (rest.p) {
        struct str pair = str_cut(&rest, '&');

        kept += is_token(pair, &value) ? 0 : pair.n + 1;
        all += pair.n + 1;
    }
    /* An empty query is kept as it came, but not made. */
    while (query.p && (kept > 1 || kept == all)) {
        struct str pair = str_cut(&query, '&');

        if (is_token(pair, &value))
            continue;
        buf_byte(out, before);
        buf_put(out, pair);
        before = '&';
    }
}

void preview_target_clean(struct str target, struct buf *out)
{
    struct str query = target, path = str_cut(&query, '?');

    buf_put(out, path);
    if (query.p)
        put_query(query, out);
}

enum err preview_target_location(struct str target, struct buf *out)
{
    if (target.n == 0 || target.p[0] != '/' ||
        (target.n > 1 && (target.p[1] == '/' || target.p[1] == '\\')))
        return E_BAD_REQUEST;
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= 0x20 || target.p[i] > 0x7e || target.p[i] == '\\' ||
            target.p[i] == '#')
            return E_BAD_REQUEST;
    preview_target_clean(target, out);
    return out->failed ? E_NOMEM : E_OK;
}

void preview_target_referer(struct str value, struct buf *out)
{
    struct str fragment = str_after(value, str_find(value, '#'));
    struct str url = str_from(value.p, value.n - fragment.n);

    preview_target_clean(url, out);
    buf_put(out, fragment);
}

/* ---- subprotocols ---- */

/* The next entry of the list. */
static struct str next_entry(struct str *rest)
{
    return str_trim(str_cut(rest, ','));
}

unsigned preview_target_protocol_tokens(struct str value, struct str *out,
                                        unsigned max)
{
    static const struct str prefix = STR(PREVIEW_PROTOCOL_PREFIX);
    unsigned count = 0;

    while (value.p) {
        struct str entry = next_entry(&value);

        if (!str_starts(entry, prefix))
            continue;
        if (count < max)
            out[count] = str_after(entry, prefix.n);
        count++;
    }
    return count;
}

void preview_target_protocols(struct str value, struct buf *out, bool *ours)
{
    bool first = true;

    *ours = false;
    while (value.p) {
        struct str entry = next_entry(&value);

        if (str_eq(entry, STR(PREVIEW_PROTOCOL))) {
            *ours = true;
            continue;
        }
        if (entry.n == 0 || str_starts(entry, STR(PREVIEW_PROTOCOL_PREFIX)))
            continue;
        buf_put(out, first ? STR("") : STR(", "));
        buf_put(out, entry);
        first = false;
    }
}
