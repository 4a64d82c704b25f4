/* hygiene.c - see hygiene.h. */
#include "gateway/hygiene.h"

#include "auth/key.h"
#include "auth/token.h"
#include "base/buf.h"
#include "preview/cookie.h"
#include "preview/token.h"

/* What a known name is; a set. */
enum known {
    DROP_REQUEST = 1 << 0, /* never passed on to the sandbox */
    DROP_ANSWER = 1 << 1,  /* never passed on to the client */
    PROTECTED = 1 << 2,    /* Connection may not nominate it */
    NOMINATES = 1 << 3,    /* Connection itself */
    COOKIE = 1 << 4,       /* Set-Cookie: loses its Domain */
    CODING = 1 << 5,       /* Accept-Encoding */
    UPGRADE = 1 << 6,      /* kept with 101 */
    OURS = 1 << 7,         /* what no one but we may say */
    REQUEST_ID = 1 << 8
};

#define HOP (DROP_REQUEST | DROP_ANSWER)
/* Ours to say: the client's is never believed. */
#define FORWARDING (DROP_REQUEST | PROTECTED)

/* So often may a request come back to us.  Source: threats.md U-03. */
#define HOPS_MAX 3

#define LENGTH_MAX 24
#define SAME_LENGTH_MAX 6
#define COOKIE_MAX ((size_t)64 << 10) /* as long as a head may be */

struct name {
    struct str text; /* lower case */
    unsigned what;
};

/* clang-format off */
/* By the length of the name: few have the same. */
static const struct name names[LENGTH_MAX + 1][SAME_LENGTH_MAX] = {
    [2] = {{STR("te"), HOP}},
    [3] = {{STR("via"), FORWARDING}},
    [4] = {{STR("host"), DROP_REQUEST | PROTECTED}, {STR("date"), DROP_ANSWER}},
    [5] = {{STR("proxy"), DROP_REQUEST}},
    [6] = {{STR("expect"), DROP_REQUEST | PROTECTED}, {STR("cookie"), PROTECTED}},
    [7] = {{STR("upgrade"), HOP | UPGRADE}, {STR("trailer"), HOP}, {STR("alt-svc"), DROP_ANSWER}},
    [9] = {{STR("x-api-key"), PROTECTED}, {STR("forwarded"), FORWARDING}, {STR("x-real-ip"), FORWARDING}},
    [10] = {{STR("connection"), HOP | NOMINATES}, {STR("keep-alive"), HOP}, {STR("set-cookie"), COOKIE}},
    [11] = {{STR("x-client-ip"), FORWARDING}},
    [12] = {{STR("x-request-id"), REQUEST_ID}},
    [13] = {{STR("authorization"), PROTECTED}},
    [14] = {{STR("content-length"), HOP | PROTECTED}, {STR("true-client-ip"), FORWARDING},
            {STR("x-access-token"), PROTECTED}, {STR("e2b-sandbox-id"), FORWARDING}},
    [15] = {{STR("x-forwarded-for"), FORWARDING}, {STR("clear-site-data"), DROP_ANSWER},
            {STR("accept-encoding"), CODING}},
    [16] = {{STR("x-forwarded-host"), FORWARDING}, {STR("x-forwarded-port"), FORWARDING},
            {STR("proxy-connection"), HOP}, {STR("e2b-sandbox-port"), FORWARDING},
            {STR("cf-connecting-ip"), FORWARDING}},
    [17] = {{STR("transfer-encoding"), HOP | PROTECTED}, {STR("x-forwarded-proto"), FORWARDING}},
    [18] = {{STR("proxy-authenticate"), HOP}, {STR("x-forwarded-server"), FORWARDING},
            {STR("x-forwarded-prefix"), FORWARDING}},
    [19] = {{STR("proxy-authorization"), HOP}},
    [24] = {{STR("e2b-traffic-access-token"), PROTECTED}},
};
/* clang-format on */

/* Upper to lower case, and _ to - (how some servers read a name). */
static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c == '_' ? '-' : c;
}

static bool same_name(struct str text, struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (fold(name.p[i]) != text.p[i])
            return false;
    return true;
}

/* What is known of a name; 0 nothing.  _ counts as -. */
static unsigned know(struct str name)
{
    const struct name *n;

    /* Everything of ours, both ways: threats.md X-02. */
    if (name.n >= 10 && fold(name.p[0]) == 'x' &&
        same_name(STR("x-sandgate"), str_from(name.p, 10)))
        return HOP | OURS;
    if (name.n > LENGTH_MAX)
        return 0;
    for (n = names[name.n]; n < names[name.n] + SAME_LENGTH_MAX && n->what; n++)
        if (same_name(n->text, name))
            return n->what;
    return 0;
}

/* ---- what Connection nominates ---- */

/* All Connection fields are read for each other field: a head has at most
 * 100 fields, and nearly always `keep-alive` or `upgrade` in it. */
struct nominated {
    const struct fields *fields; /* NULL: nothing is */
};

/* keep-alive, close and upgrade name nothing that would be passed on. */
static bool is_common(struct str token)
{
    return token.n == 0 || str_ieq(token, STR("keep-alive")) ||
           str_ieq(token, STR("close")) || str_ieq(token, STR("upgrade"));
}

static enum err read_nominated(const struct fields *f, struct nominated *out)
{
    out->fields = NULL;
    for (unsigned i = 0; i < f->count; i++) {
        struct str rest = f->at[i].value;

        if (!(know(f->at[i].name) & NOMINATES))
            continue;
        while (rest.p) {
            struct str token = str_trim(str_cut(&rest, ','));

            if (is_common(token))
                continue;
            if (know(token) & PROTECTED)
                return E_BAD_REQUEST;
            out->fields = f;
        }
    }
    return E_OK;
}

static bool is_nominated(const struct nominated *n, struct str name)
{
    return n->fields && fields_has_token(n->fields, STR("connection"), name);
}

/* ---- requests ---- */

/* Could the value be, or carry, one of our secrets by its form? */
static bool looks_secret(struct str value)
{
    return value.n == AUTH_TOKEN_LENGTH || value.n == AUTH_KEY_LENGTH ||
           preview_token_like(value);
}

static bool carries_secret(const struct hygiene *h, struct str value)
{
    struct str bearer = STR("Bearer ");

    if (value.n > bearer.n && str_istarts(value, bearer))
        value = str_after(value, bearer.n);
    return looks_secret(value) && h->is_secret(h->arg, value);
}

/* How often the request has been here, by what we said when it left. */
static void count_hops(struct field field, unsigned *hops)
{
    uint64_t n;

    if (str_ieq(field.name, STR("x-sandgate-hop")) &&
        str_u64(field.value, UINT64_MAX, &n) && n > *hops)
        *hops = n > HOPS_MAX ? HOPS_MAX + 1 : (unsigned)n;
}

/* Room for all that came and what is added. */
#define ADDED_MAX 5

MUST_USE static enum err make_room(struct arena *a, unsigned count,
                                   struct fields *out)
{
    out->at = arena_alloc(a, (count + ADDED_MAX) * sizeof(*out->at));
    out->count = 0;
    out->room = out->at ? count + ADDED_MAX : 0;
    return out->at ? E_OK : E_NOMEM;
}

static void put(struct fields *out, struct str name, struct str value)
{
    out->at[out->count++] = (struct field){name, value};
}

enum err hygiene_request(const struct hygiene *h, struct arena *a,
                         struct fields *out)
{
    static const struct str hop[] = {STR("1"), STR("2"), STR("3"), STR("4")};
    const struct fields *f = &h->head->fields;
    struct nominated nominated;
    bool encoding = h->encoding;
    unsigned hops = 0;
    enum err err = read_nominated(f, &nominated);

    if (err == E_OK)
        err = make_room(a, f->count, out);
    if (err)
        return err;
    for (unsigned i = 0; i < f->count; i++) {
        struct field field = f->at[i];
        unsigned what = know(field.name);

        if (what && !(what & OURS) && memchr(field.name.p, '_', field.name.n)) {
            if (what & PROTECTED)
                return E_BAD_REQUEST; /* threats.md X-04 */
            what = 0;
        }
        if (what & OURS)
            count_hops(field, &hops);
        if (what & DROP_REQUEST || is_nominated(&nominated, field.name) ||
            carries_secret(h, field.value))
            continue;
        encoding = encoding && !(what & CODING);
        if (what & REQUEST_ID)
            field.value = h->id;
        put(out, field.name, field.value);
    }
    if (hops > HOPS_MAX)
        return E_LOOP;
    put(out, STR("X-Forwarded-For"), h->chain.p ? h->chain : h->head->peer);
    put(out, STR("X-Forwarded-Host"), h->host);
    put(out, STR("X-Forwarded-Proto"),
        h->head->tls ? STR("https") : STR("http"));
    put(out, STR("X-Sandgate-Hop"), hop[hops]);
    if (encoding)
        put(out, STR("Accept-Encoding"), STR("identity"));
    return E_OK;
}

/* ---- answers ---- */

/* A Set-Cookie value as a browser may have it; absent: not at all. */
MUST_USE static enum err host_only(struct str value, struct arena *a,
                                   struct str *out)
{
    struct buf b;
    bool keep;

    buf_init(&b, COOKIE_MAX);
    keep = preview_cookie_rewrite(value, &b);
    *out = keep && !b.failed ? arena_copy(a, buf_str(&b)) : STR_NONE;
    keep = keep && !out->p;
    buf_clear(&b);
    return keep ? E_NOMEM : E_OK;
}

enum err hygiene_answer(const struct answer_head *head, struct arena *a,
                        struct fields *out)
{
    const struct fields *f = &head->fields;
    struct nominated nominated;
    enum err err;

    /* A sandbox that nominates what it may not does no harm to us. */
    if (read_nominated(f, &nominated))
        nominated.fields = f;
    err = make_room(a, f->count, out);
    for (unsigned i = 0; i < f->count && err == E_OK; i++) {
        struct field field = f->at[i];
        unsigned what = know(field.name);

        if (what & UPGRADE && head->status == 101)
            what = 0;
        else if (is_nominated(&nominated, field.name))
            continue;
        if (what & DROP_ANSWER)
            continue;
        if (what & COOKIE)
            err = host_only(field.value, a, &field.value);
        if (field.value.p)
            put(out, field.name, field.value);
    }
    return err;
}

/* ---- paths over the back end's proxy ---- */

static bool is_unclean(struct str segment, bool last)
{
    return (segment.n == 0 && !last) || str_eq(segment, STR(".")) ||
           str_eq(segment, STR(".."));
}

/* Does the proxy leave the byte alone in a path, once it has decoded it?
 * Source: mitos-sandbox-server.md 1.9. */
static bool is_undone(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || (c && strchr("$&+,/:;=@-_.~", c));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Escapes that the proxy would decode, and the app so see another path. */
static enum err check_escapes(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        int high, low;

        if (path.p[i] != '%')
            continue;
        high = i + 2 < path.n ? hex_digit(path.p[i + 1]) : -1;
        low = i + 2 < path.n ? hex_digit(path.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return E_BAD_REQUEST;
        if (is_undone(high << 4 | low))
            return E_UNIMPLEMENTED;
    }
    return E_OK;
}

enum err hygiene_path(struct str path, struct arena *a, struct str *out)
{
    struct str rest = str_after(path, 1);
    bool unclean = false;
    enum err err = check_escapes(path);
    char *copy;
    size_t n = 0;

    *out = path;
    if (err)
        return err;
    while (rest.p && !unclean) {
        struct str segment = str_cut(&rest, '/');

        unclean = is_unclean(segment, !rest.p);
    }
    if (!unclean)
        return E_OK;
    copy = arena_alloc(a, path.n * 3);
    if (!copy)
        return E_NOMEM;
    copy[n++] = '/';
    rest = str_after(path, 1);
    while (rest.p) {
        struct str segment = str_cut(&rest, '/');
        bool last = !rest.p;

        if (is_unclean(segment, last))
            for (size_t i = 0; i < segment.n; i++, n += 3)
                memcpy(copy + n, "%2E", 3);
        else {
            memcpy(copy + n, segment.p, segment.n);
            n += segment.n;
        }
        /* The slash behind nothing is one of two in a row. */
        if (!last && segment.n == 0) {
            memcpy(copy + n, "%2F", 3);
            n += 3;
        } else if (!last) {
            copy[n++] = '/';
        }
    }
    *out = str_from(copy, n);
    return E_OK;
}
