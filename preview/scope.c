/* scope.c - see scope.h. */
#include "preview/scope.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of an escape that begins at path.p[i], or -1. */
static int escaped(struct str path, size_t i)
{
    int high = i + 2 < path.n ? hex_digit(path.p[i + 1]) : -1;
    int low = i + 2 < path.n ? hex_digit(path.p[i + 2]) : -1;

    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Is the segment, decoded and up to a ;, one that a path is cleaned of? */
static bool is_dots(struct str segment)
{
    unsigned dots = 0;

    for (size_t i = 0; i < segment.n && segment.p[i] != ';'; i++) {
        int c = segment.p[i];

        if (c == '%') {
            c = escaped(segment, i);
            i += 2;
        }
        if (c == ';')
            break;
        if (c != '.')
            return false;
        dots++;
    }
    return dots == 1 || dots == 2;
}

/* Is there one reading of the path only?  An app may clean or decode it: what
 * it could then read as a path outside the prefix is not under it. */
static bool is_plain(struct str path)
{
    struct str rest = path;

    for (size_t i = 0; i < path.n; i++) {
        int c = path.p[i] == '%' ? escaped(path, i) : 0;

        if (path.p[i] == '\\' || c < 0 || (path.p[i] == '%' && c < 0x20) ||
            c == '/' || c == '\\' || c == '%' || c == 0x7f)
            return false;
    }
    while (rest.p)
        if (is_dots(str_cut(&rest, '/')))
            return false;
    return true;
}

/* On a segment's end: /app is above /app/x, not above /apple. */
static bool is_under(struct str path, struct str prefix)
{
    if (!str_starts(path, prefix))
        return false;
    return path.n == prefix.n || prefix.p[prefix.n - 1] == '/' ||
           path.p[prefix.n] == '/';
}

const char *preview_scope_lacks(const struct link_scopes *scopes,
                                const struct request_head *head)
{
    struct str prefix = str_of(scopes->path);
    bool held = scopes->cidr_count == 0;

    for (unsigned i = 0; i < scopes->cidr_count && !held; i++)
        held = link_cidr_holds(&scopes->cidrs[i], head->peer);
    if (!held)
        return "The link does not cover requests from this address";
    if (!(scopes->methods & 1U << head->method))
        return "The link does not cover this method";
    if (head->upgrade && !scopes->websocket)
        return "The link does not cover WebSockets";
    if (prefix.n && (!is_plain(head->path) || !is_under(head->path, prefix)))
        return "The link does not cover this path";
    return NULL;
}
