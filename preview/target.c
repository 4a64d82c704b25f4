/* target.c - see target.h. */
#include "preview/target.h"

#include "preview/token.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte of *rest, which is not empty, out of its escape. */
static char take_byte(struct str *rest)
{
    char c = *rest->p;
    int high = -1, low = -1;

    if (c == '%' && rest->n > 2) {
        high = hex_digit(rest->p[1]);
        low = hex_digit(rest->p[2]);
    }
    if (high < 0 || low < 0) {
        *rest = str_after(*rest, 1);
        return c;
    }
    *rest = str_after(*rest, 3);
    return (char)(high << 4 | low);
}

/* Is the raw name, decoded, that of the parameter? */
static bool is_parameter(struct str name)
{
    static const struct str word = STR(PREVIEW_PARAMETER);
    size_t at = 0;

    while (name.n)
        if (at >= word.n || take_byte(&name) != word.p[at++])
            return false;
    return at == word.n;
}

/* Does the raw value hold a token, or one that somebody bent?  One of ours
 * anywhere, for nobody else has what begins like it; one of the sandbox
 * server's form, which begins as other people's do, in front. */
static bool holds_token(struct str value)
{
    static const struct str ours = STR(PREVIEW_TOKEN_BEGIN);
    static const struct str mitos = STR(PREVIEW_TOKEN_BEGIN_MITOS);
    size_t at = 0, same = 0;
    bool dot = false;

    for (size_t i = 0; value.n; i++) {
        char c = take_byte(&value);

        /* Its first byte is in it once. */
        at = c == ours.p[at] ? at + 1 : c == ours.p[0];
        if (at == ours.n)
            return true;
        same += i == same && i < mitos.n && c == mitos.p[i];
        dot = dot || c == '.';
    }
    return same == mitos.n && dot;
}

/* Is a pair the parameter?  *value: behind its =, empty without one. */
static bool is_named(struct str pair, struct str *value)
{
    struct str name = str_cut(&pair, '=');

    *value = pair.p ? pair : STR("");
    return is_parameter(name);
}

static bool is_token(struct str pair)
{
    struct str value;

    return is_named(pair, &value) && holds_token(value);
}

unsigned preview_target_tokens(struct str query, struct str *out, unsigned max,
                               bool *foreign)
{
    struct str value;
    unsigned count = 0;

    if (foreign)
        *foreign = false;
    while (query.p) {
        if (!is_named(str_cut(&query, '&'), &value))
            continue;
        if (!holds_token(value)) {
            if (foreign)
                *foreign = *foreign || value.n;
            continue;
        }
        if (count < max)
            out[count] = value;
        count++;
    }
    return count;
}

/* Append the pairs of a query that are no tokens of ours. */
static void put_query(struct str query, struct buf *out)
{
    struct str rest = query;
    size_t kept = 0, all = 0;
    char before = '?';

    while (rest.p) {
        struct str pair = str_cut(&rest, '&');

        kept += is_token(pair) ? 0 : pair.n + 1;
        all += pair.n + 1;
    }
    /* An empty query is kept as it came, but not made. */
    while (query.p && (kept > 1 || kept == all)) {
        struct str pair = str_cut(&query, '&');

        if (is_token(pair))
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
