/* path.c - see path.h. */
#include "translate/path.h"

/* Where the last element of the n bytes at p begins; 0 if there is one only. */
static size_t last_element(const char *p, size_t n)
{
    while (n > 0 && p[n - 1] != '/')
        n--;
    return n;
}

struct str path_clean(struct str path, struct arena *a)
{
    bool rooted = str_starts(path, STR("/"));
    struct str rest = path;
    size_t n = rooted, least = rooted; /* bytes made; bytes that .. keeps */
    char *p = arena_alloc(a, path.n + 2);

    if (!p)
        return STR_NONE;
    p[0] = '/';
    while (rest.p) {
        struct str part = str_cut(&rest, '/');

        if (part.n == 0 || str_eq(part, STR(".")))
            continue;
        if (str_eq(part, STR("..")) && (n > least || rooted)) {
            n = n > least ? last_element(p, n) : n;
            n -= n > least;
            continue;
        }
        if (n > rooted)
            p[n++] = '/';
        memcpy(p + n, part.p, part.n);
        n += part.n;
        if (str_eq(part, STR("..")))
            least = n;
    }
    if (n == 0)
        p[n++] = '.';
    p[n] = '\0';
    return str_from(p, n);
}

struct str path_expand(struct str path, struct str workdir, struct str user,
                       struct arena *a, struct str *fault)
{
    *fault = STR_NONE;
    if (path.n == 0)
        path = workdir;
    if (str_starts(path, STR("~"))) {
        path = str_after(path, 1);
        if (path.n && path.p[0] != '/' && path.p[0] != '\\') {
            *fault = arena_text(a,
                                "failed to expand path '' for user '%.*s': "
                                "cannot expand user-specific home dir",
                                STR_FMT(user));
            return STR_NONE;
        }
        while (str_starts(path, STR("/")))
            path = str_after(path, 1);
    } else if (str_starts(path, STR("/"))) {
        return arena_copy(a, path);
    }
    return path_clean(path, a);
}

struct str path_name(struct str path)
{
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    if (path.n == 1 && path.p[0] == '/')
        return path;
    return str_after(path, last_element(path.p, path.n));
}
