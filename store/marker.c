/* marker.c - see marker.h. */
#include "store/marker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/mem.h"
#include "base/random.h"

#define FIRST "sandgate-store "
#define REVOKED "revoked "
#define LINK "link "
#define BEFORE "links "
/* What the clock may have been set back by. */
#define SLACK_MS (60 * 60 * 1000)
#define FILE_MAX (16 << 20)

static enum err read_all(const char *path, struct buf *text, bool *found)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = 1;
    char *room;

    *found = fd >= 0 || errno != ENOENT;
    if (fd < 0)
        return *found ? E_STORE : E_OK;
    while (n > 0 && (room = buf_room(text, 4096))) {
        n = read(fd, room, 4096);
        if (n > 0)
            buf_grew(text, (size_t)n);
    }
    close(fd);
    return n == 0 ? E_OK : E_STORE;
}

/* `<name> <number>` of the line, behind its first word. */
static enum err take_end(struct marker *m, struct str rest, bool link)
{
    struct str name = str_cut(&rest, ' ');
    uint64_t at;

    if (!rest.p || !str_u64(rest, INT64_MAX, &at) || at == 0 ||
        (link ? !link_id_ok(name) : name.n == 0 || name.n > LINK_SANDBOX_MAX))
        return E_OK;
    return link ? store_marker_add_link(m, name, (int64_t)at)
                : store_marker_add_before(m, name, (int64_t)at);
}

/* Lines that are not understood are left out: the rows say it again. */
static enum err take_line(struct marker *m, struct str line)
{
    unsigned char hash[KEY_HASH_BYTES], mark[MARKER_TEXT / 2];

    if (str_starts(line, STR(FIRST)) && !m->mark[0]) {
        line = str_after(line, sizeof(FIRST) - 1);
        if (decode_hex(line, mark, sizeof(mark)))
            encode_hex(mark, sizeof(mark), m->mark);
    } else if (str_starts(line, STR(REVOKED))) {
        line = str_after(line, sizeof(REVOKED) - 1);
        if (decode_hex(line, hash, sizeof(hash)))
            return store_marker_add(m, str_from((char *)hash, sizeof(hash)));
    } else if (str_starts(line, STR(LINK))) {
        return take_end(m, str_after(line, sizeof(LINK) - 1), true);
    } else if (str_starts(line, STR(BEFORE))) {
        return take_end(m, str_after(line, sizeof(BEFORE) - 1), false);
    }
    return E_OK;
}

enum err store_marker_read(struct marker *m, const char *path)
{
    struct buf text;
    struct str rest;
    enum err err;

    store_marker_clear(m);
    buf_init(&text, FILE_MAX);
    err = read_all(path, &text, &m->found);
    rest = buf_str(&text);
    while (err == E_OK && rest.p)
        err = take_line(m, str_cut(&rest, '\n'));
    buf_clear(&text);
    m->stale = false;
    return err;
}

static enum err write_all(int fd, struct str text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);

        if (n < 0 && errno != EINTR)
            return E_STORE;
        if (n > 0)
            text = str_after(text, (size_t)n);
    }
    return fsync(fd) < 0 ? E_STORE : E_OK;
}

/* text into a new file beside, then into the place of path. */
static enum err replace(const char *path, struct str text)
{
    struct buf beside;
    enum err err = E_STORE;
    int fd;

    buf_init(&beside, 4096 + 8);
    buf_text(&beside, "%s.new", path);
    buf_byte(&beside, '\0');
    if (beside.failed) {
        buf_clear(&beside);
        return E_NOMEM;
    }
    fd = open(buf_str(&beside).p,
              O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        err = write_all(fd, text);
        close(fd);
        if (err == E_OK && rename(buf_str(&beside).p, path) < 0)
            err = E_STORE;
        if (err != E_OK)
            unlink(buf_str(&beside).p);
    }
    buf_clear(&beside);
    return err;
}

enum err store_marker_write(struct marker *m, const char *path)
{
    char hex[2 * KEY_HASH_BYTES + 1];
    struct buf text;
    enum err err;

    buf_init(&text, FILE_MAX);
    buf_text(&text, FIRST "%s\n", m->mark);
    for (unsigned i = 0; i < m->count; i++) {
        encode_hex(m->revoked[i], KEY_HASH_BYTES, hex);
        buf_text(&text, REVOKED "%s\n", hex);
    }
    for (unsigned i = 0; i < m->end_count; i++)
        buf_text(&text, "%s%s %" PRId64 "\n",
                 m->ends[i].name[0] == 'l' ? LINK : BEFORE, m->ends[i].name + 1,
                 m->ends[i].at);
    err = text.failed ? E_NOMEM : replace(path, buf_str(&text));
    buf_clear(&text);
    if (err == E_OK)
        err = store_marker_sync_directory(path);
    if (err != E_OK)
        return err;
    m->found = true;
    m->stale = false;
    return E_OK;
}

void store_marker_draw(struct marker *m)
{
    unsigned char mark[MARKER_TEXT / 2];

    random_bytes(mark, sizeof(mark));
    encode_hex(mark, sizeof(mark), m->mark);
    m->stale = true;
}

/* Where the hash stands, or should, in the order of the bytes. */
static unsigned place_of(const struct marker *m, struct str hash)
{
    unsigned low = 0, high = m->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (memcmp(m->revoked[middle], hash.p, KEY_HASH_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool store_marker_has(const struct marker *m, struct str hash)
{
    unsigned at = place_of(m, hash);

    return at < m->count && memcmp(m->revoked[at], hash.p, KEY_HASH_BYTES) == 0;
}

enum err store_marker_add(struct marker *m, struct str hash)
{
    unsigned at = place_of(m, hash);

    if (store_marker_has(m, hash))
        return E_OK;
    if (m->count == m->room) {
        unsigned room = m->room ? 2 * m->room : 16;
        void *more = mem_realloc(m->revoked, room * sizeof(*m->revoked));

        if (!more)
            return E_NOMEM;
        m->revoked = more;
        m->room = room;
    }
    memmove(m->revoked[at + 1], m->revoked[at],
            (m->count - at) * sizeof(*m->revoked));
    memcpy(m->revoked[at], hash.p, KEY_HASH_BYTES);
    m->count++;
    m->stale = true;
    return E_OK;
}

/* ---- links ---- */

/* Where the end of that kind and name stands, or should. */
static unsigned end_of(const struct marker *m, char kind, struct str name,
                       bool *found)
{
    char wanted[sizeof(m->ends->name)] = {kind};
    unsigned low = 0, high = m->end_count;

    *found = false;
    if (name.n >= sizeof(wanted) - 1)
        return m->end_count;
    memcpy(wanted + 1, name.p, name.n);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = strcmp(m->ends[middle].name, wanted);

        *found = *found || order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Put it in, or raise the one that is there. */
static enum err add_end(struct marker *m, char kind, struct str name,
                        int64_t at)
{
    bool found;
    unsigned place = end_of(m, kind, name, &found);

    if (found) {
        m->stale = m->stale || m->ends[place].at < at;
        if (m->ends[place].at < at)
            m->ends[place].at = at;
        return E_OK;
    }
    if (m->end_count == m->end_room) {
        unsigned room = m->end_room ? 2 * m->end_room : 16;
        void *more = mem_realloc(m->ends, room * sizeof(*m->ends));

        if (!more)
            return E_NOMEM;
        m->ends = more;
        m->end_room = room;
    }
    memmove(&m->ends[place + 1], &m->ends[place],
            (m->end_count - place) * sizeof(*m->ends));
    memset(&m->ends[place], 0, sizeof(*m->ends));
    m->ends[place].name[0] = kind;
    memcpy(m->ends[place].name + 1, name.p, name.n);
    m->ends[place].at = at;
    m->end_count++;
    m->stale = true;
    return E_OK;
}

bool store_marker_has_link(const struct marker *m, struct str id)
{
    bool found;

    (void)end_of(m, 'l', id, &found);
    return found;
}

enum err store_marker_add_link(struct marker *m, struct str id,
                               int64_t expires_s)
{
    return add_end(m, 'l', id, expires_s);
}

int64_t store_marker_before(const struct marker *m, struct str sandbox)
{
    bool found;
    unsigned place = end_of(m, 'b', sandbox, &found);

    return found ? m->ends[place].at : 0;
}

enum err store_marker_add_before(struct marker *m, struct str sandbox,
                                 int64_t before_ms)
{
    return add_end(m, 'b', sandbox, before_ms);
}

void store_marker_age(struct marker *m, int64_t wall_ms)
{
    int64_t oldest_ms = wall_ms - SLACK_MS;
    unsigned kept = 0;

    for (unsigned i = 0; i < m->end_count; i++) {
        const struct marker_end *e = &m->ends[i];
        int64_t last_ms = e->name[0] == 'l'
                              ? e->at * 1000
                              : e->at + LINK_TTL_MAX_S * INT64_C(1000);

        if (last_ms >= oldest_ms)
            m->ends[kept++] = *e;
    }
    m->end_count = kept;
}

void store_marker_clear(struct marker *m)
{
    mem_free(m->ends);
    mem_free(m->revoked);
    memset(m, 0, sizeof(*m));
}

enum err store_marker_sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = mem_new(slash ? (size_t)(slash - path) + 2 : 2);
    enum err err;
    int fd;

    if (!name)
        return E_NOMEM;
    if (slash)
        memcpy(name, path, (size_t)(slash - path) + (slash == path));
    else
        name[0] = '.';
    fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = fd >= 0 && fsync(fd) == 0 ? E_OK : E_STORE;
    if (fd >= 0)
        close(fd);
    mem_free(name);
    return err;
}
