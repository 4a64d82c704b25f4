/* marker.c - see marker.h. */
#include "store/marker.h"

#include <errno.h>
#include <fcntl.h>
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

void store_marker_clear(struct marker *m)
{
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
