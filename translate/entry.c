/* entry.c - see entry.h. */
#include "translate/entry.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "translate/path.h"

#define S_TYPE 0170000U
#define S_DIR 0040000U
#define S_FILE 0100000U

/* ---- what find printed ---- */

/* Digits in that base up to the end. */
static bool read_number(struct str s, unsigned base, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : base;

        if (digit >= base || *out > (UINT64_MAX - digit) / base)
            return false;
        *out = *out * base + digit;
    }
    return s.n > 0;
}

/* "1700000000.1234567890": seconds and nanoseconds. */
static bool read_moment(struct str text, struct entry *e)
{
    struct str fraction = text;
    struct str whole = str_cut(&fraction, '.');
    bool before = str_starts(whole, STR("-"));
    uint64_t seconds, ns = 0;

    if (!read_number(str_after(whole, before), 10, &seconds) ||
        seconds > INT64_MAX / 2)
        return false;
    fraction.n = fraction.n > 9 ? 9 : fraction.n;
    if (fraction.n == 9 && !read_number(fraction, 10, &ns))
        return false;
    e->changed_s = before ? -(int64_t)seconds : (int64_t)seconds;
    e->changed_ns = (uint32_t)ns;
    return true;
}

/* The fields of one entry behind its type. */
static bool read_entry(struct guest_answer *answer, struct str type,
                       struct entry *e)
{
    struct str mode = guest_field(answer), size = guest_field(answer), time;
    uint64_t bits;

    e->owner = guest_field(answer);
    e->group = guest_field(answer);
    time = guest_field(answer);
    e->path = guest_field(answer);
    if (!e->path.p || type.n != 1 || !read_number(mode, 8, &bits) ||
        !read_number(size, 10, &e->size) || !read_moment(time, e))
        return false;
    e->type = type.p[0];
    e->mode = (unsigned)bits & 07777;
    return true;
}

/* How many fields stand before the separator "/", in units of n. */
static size_t count_fields(struct guest_answer answer, size_t n)
{
    size_t count = 0;
    struct str field;

    while ((field = guest_field(&answer)).p && !str_eq(field, STR("/"))) {
        count++;
        for (size_t i = 1; i < n; i++)
            guest_field(&answer);
    }
    return count;
}

/* Bytewise, but a slash comes before everything: what is in a directory
 * follows it at once. */
static int compare_paths(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    for (size_t i = 0; i < n; i++) {
        unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];

        if (x == y)
            continue;
        if (x == '/' || y == '/')
            return x == '/' ? -1 : 1;
        return x < y ? -1 : 1;
    }
    return (a.n > b.n) - (a.n < b.n);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *one = a, *two = b;

    return compare_paths(one->path, two->path);
}

MUST_USE static enum err read_entries(struct guest_answer *answer,
                                      struct arena *a, struct entries *out)
{
    size_t room = count_fields(*answer, 7);
    struct str type;

    out->at = arena_new_zero(a, (room + 1) * sizeof(*out->at));
    if (!out->at)
        return E_NOMEM;
    while ((type = guest_field(answer)).p && !str_eq(type, STR("/")))
        if (out->count == room ||
            !read_entry(answer, type, &out->at[out->count++]))
            return E_BACKEND_GARBAGE;
    if (!type.p)
        return E_BACKEND_GARBAGE;
    qsort(out->at, out->count, sizeof(*out->at), compare_entries);
    return E_OK;
}

/* ---- links ---- */

/* What find was given is not part of a name: "./a", or the whole path. */
static struct str below(struct str name)
{
    if (str_starts(name, STR("./")))
        return str_after(name, 2);
    return STR("");
}

static struct entry *find_entry(const struct entries *all, struct str path)
{
    struct entry key = {.path = path};

    return bsearch(&key, all->at, all->count, sizeof(*all->at),
                   compare_entries);
}

/* Modes of what links lead to, then, in the same order, its paths; when one
 * vanished in between the paths cannot be told apart and are left out. */
MUST_USE static enum err read_links(struct guest_answer *answer,
                                    struct arena *a, struct entries *all)
{
    size_t room = count_fields(*answer, 2), count = 0, paths;
    struct entry **links = arena_alloc(a, (room + 1) * sizeof(struct entry *));
    struct str name;

    if (!links)
        return E_NOMEM;
    while ((name = guest_field(answer)).p && !str_eq(name, STR("/"))) {
        struct entry *e = find_entry(all, below(name));
        uint64_t mode;

        if (!read_number(guest_field(answer), 16, &mode))
            return E_BACKEND_GARBAGE;
        links[count++] = e;
        if (!e)
            continue;
        e->target_mode = (unsigned)mode & 0777;
        e->target_type = (mode & S_TYPE) == S_DIR    ? 'd'
                         : (mode & S_TYPE) == S_FILE ? 'f'
                                                     : '?';
    }
    paths = count_fields(*answer, 1);
    for (size_t i = 0; (name = guest_field(answer)).p; i++) {
        if (i == paths)
            return E_OK;
        if (paths == count && links[i])
            links[i]->target = name;
    }
    return E_BACKEND_GARBAGE;
}

/* ---- extended attributes ---- */

/* Undo getfattr's \ooo. */
static struct str unquote(struct str s, struct arena *a)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;

    if (!p)
        return STR_NONE;
    for (size_t i = 0; i < s.n; i++) {
        uint64_t byte = 0;

        if (s.p[i] == '\\' && i + 3 < s.n &&
            read_number(str_from(s.p + i + 1, 3), 8, &byte) && byte < 256) {
            p[n++] = (char)byte;
            i += 3;
        } else {
            p[n++] = s.p[i];
        }
    }
    return str_from(p, n);
}

/* "user.e2b.key=0sBASE64"; *keep is false for what is not UTF-8 or another
 * line.  Errors: E_NOMEM. */
MUST_USE static enum err read_attribute(struct str line, struct arena *a,
                                        struct entry_metadata *m, bool *keep)
{
    struct str value = line;
    struct str name = str_cut(&value, '=');
    struct buf b;

    *keep = str_starts(name, STR("user.e2b."));
    if (!*keep)
        return E_OK;
    m->key = unquote(str_after(name, strlen("user.e2b.")), a);
    m->value = STR("");
    if (value.n) {
        buf_init(&b, value.n + 3);
        *keep = str_starts(value, STR("0s")) &&
                decode_base64(&b, str_after(value, 2), false);
        m->value = b.failed ? STR_NONE : arena_copy(a, buf_str(&b));
        buf_clear(&b);
    }
    if (!m->key.p || !m->value.p)
        return E_NOMEM;
    *keep = *keep && encode_is_utf8(m->key) && encode_is_utf8(m->value);
    return E_OK;
}

static int compare_metadata(const void *a, const void *b)
{
    const struct entry_metadata *one = a, *two = b;
    int order = compare_paths(one->path, two->path);

    return order ? order : compare_paths(one->key, two->key);
}

MUST_USE static enum err read_metadata(struct str text, struct arena *a,
                                       struct entries *out)
{
    struct str rest = text, path = STR("");
    struct entry_metadata *rows;
    size_t lines = 0;

    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    rows = arena_new_zero(a, (lines + 1) * sizeof(*rows));
    if (!rows)
        return E_NOMEM;
    while (rest.p) {
        struct str line = str_cut(&rest, '\n');
        struct entry_metadata *m = &rows[out->metadata_count];
        bool keep;

        if (str_starts(line, STR("# file: "))) {
            path = unquote(str_after(line, strlen("# file: ")), a);
            if (!path.p)
                return E_NOMEM;
            path = below(path);
            continue;
        }
        if (read_attribute(line, a, m, &keep) != E_OK)
            return E_NOMEM;
        m->path = path;
        out->metadata_count += keep && out->metadata_count < lines;
    }
    qsort(rows, out->metadata_count, sizeof(*rows), compare_metadata);
    for (unsigned i = out->metadata_count; i-- > 0;) {
        struct entry *e = find_entry(out, rows[i].path);

        if (e)
            e->metadata = &rows[i];
    }
    out->metadata = rows;
    return E_OK;
}

enum err entry_read(struct guest_answer *answer, struct arena *a,
                    struct entries *out)
{
    enum err err;

    *out = (struct entries){0};
    err = read_entries(answer, a, out);
    if (err == E_OK)
        err = read_links(answer, a, out);
    if (err == E_OK)
        err = read_metadata(answer->rest, a, out);
    return err;
}

/* ---- what is told ---- */

/* As Go prints a file's mode. */
static void put_permissions(struct buf *b, const struct entry *e)
{
    static const char bits[] = "rwxrwxrwx";
    char text[16];
    size_t n = 0;

    /* The order of Go's letters: dalTLDpSugct?. */
    if (e->type == 'd')
        text[n++] = 'd';
    if (e->type == 'l')
        text[n++] = 'L';
    if (e->type == 'b' || e->type == 'c')
        text[n++] = 'D';
    if (e->type == 'p')
        text[n++] = 'p';
    if (e->type == 's')
        text[n++] = 'S';
    if (e->mode & 04000)
        text[n++] = 'u';
    if (e->mode & 02000)
        text[n++] = 'g';
    if (e->type == 'c')
        text[n++] = 'c';
    if (e->mode & 01000)
        text[n++] = 't';
    if (n == 0)
        text[n++] = '-';
    for (unsigned i = 0; i < 9; i++)
        text[n++] = e->mode & 0400U >> i ? bits[i] : '-';
    buf_text(b, ",\"permissions\":\"%.*s\"", (int)n, text);
}

static void put_text(struct buf *b, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_text(b, ",\"%s\":", name);
    json_write_text(b, value, false, false);
}

/* 0, 3, 6 or 9 digits behind the second; 1970 itself is left out. */
static void put_moment(struct buf *b, const struct entry *e)
{
    char text[25];

    if (e->changed_s == 0 && e->changed_ns == 0)
        return;
    clock_text(e->changed_s * 1000, text);
    buf_text(b, ",\"modifiedTime\":\"%.19s", text);
    if (e->changed_ns % 1000)
        buf_text(b, ".%09u", e->changed_ns);
    else if (e->changed_ns % 1000000)
        buf_text(b, ".%06u", e->changed_ns / 1000);
    else if (e->changed_ns)
        buf_text(b, ".%03u", e->changed_ns / 1000000);
    buf_put(b, STR("Z\""));
}

static void put_metadata(struct buf *b, const struct entries *all,
                         const struct entry *e)
{
    const struct entry_metadata *end = all->metadata + all->metadata_count;
    char before = '{';

    if (!e->metadata)
        return;
    buf_put(b, STR(",\"metadata\":"));
    for (const struct entry_metadata *m = e->metadata;
         m < end && str_eq(m->path, e->path); m++) {
        buf_byte(b, before);
        json_write_text(b, m->key, false, false);
        buf_byte(b, ':');
        json_write_text(b, m->value, false, false);
        before = ',';
    }
    buf_byte(b, '}');
}

static void put_details(struct buf *b, const struct entries *all,
                        const struct entry *e, struct str path)
{
    unsigned mode = (e->type == 'l' ? e->target_mode : e->mode) & 0777;

    if (e->size)
        buf_text(b, ",\"size\":\"%llu\"", (unsigned long long)e->size);
    if (mode)
        buf_text(b, ",\"mode\":%u", mode);
    put_permissions(b, e);
    put_text(b, "owner", e->owner);
    put_text(b, "group", e->group);
    put_moment(b, e);
    if (e->type == 'l')
        put_text(b, "symlinkTarget", e->target.n ? e->target : path);
    put_metadata(b, all, e);
    if (e->type == 'l')
        buf_put(b, STR(",\"isSymlink\":true"));
}

void entry_put(struct buf *b, const struct entries *all,
               const struct entry *entry, struct str path, bool little)
{
    char type = entry->type == 'l' ? entry->target_type : entry->type;

    buf_put(b, STR("{\"name\":"));
    json_write_text(b, path_name(path), false, false);
    if (type == 'f' || type == 'd')
        buf_text(b, ",\"type\":\"FILE_TYPE_%s\"",
                 type == 'd' ? "DIRECTORY" : "FILE");
    put_text(b, "path", path);
    if (!little)
        put_details(b, all, entry, path);
    buf_byte(b, '}');
}
