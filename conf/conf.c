/* conf.c - see conf.h.  Text to tree (tree), tree to struct (walk, by the
 * table of options), struct to itself (refer). */
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "conf/reading.h"
#include "conf/refer.h"
#include "conf/tree.h"
#include "conf/walk.h"

#define FILE_BYTES (1 << 20)
#define ARENA_BYTES (16 << 20)

/* The content of the file, one byte more than allowed at most. */
static enum err read_content(const char *path, struct buf *content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), was;
    enum err err = E_OK;
    ssize_t got = 1;

    if (fd < 0)
        return E_SYSTEM;
    while (got > 0 && buf_len(content) <= FILE_BYTES) {
        size_t left = FILE_BYTES + 1 - buf_len(content);
        char *p = buf_room(content, left < 65536 ? left : 65536);

        if (!p) {
            err = E_NOMEM;
            break;
        }
        got = read(fd, p, left < 65536 ? left : 65536);
        if (got > 0)
            buf_grew(content, (size_t)got);
        else if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            err = E_SYSTEM;
    }
    was = errno;
    close(fd);
    errno = was;
    return err;
}

static void read_document(struct reading *r, struct str content)
{
    yaml_document_t document;

    if (content.n > FILE_BYTES) {
        reading_say(r, (yaml_mark_t){0}, "the file is larger than 1 MiB");
        return;
    }
    if (!tree_load(r, content, &document))
        return;
    r->document = &document;
    walk_file(r);
    refer_check(r);
    yaml_document_delete(&document);
    r->document = NULL;
}

/* Fill an empty configuration from the file. */
static enum err load(struct conf *c, const char *path,
                     struct conf_report *report)
{
    struct reading r = {.conf = c};
    struct buf content;
    enum err err;

    buf_init(&content, FILE_BYTES + 1);
    err = read_content(path, &content);
    if (err == E_OK)
        err = arena_new(ARENA_BYTES, &r.scratch);
    if (err != E_OK)
        goto done;
    c->file = reading_keep(&r, str_of(path));
    r.folder = c->file;
    while (r.folder.n && r.folder.p[r.folder.n - 1] != '/')
        r.folder.n--;
    read_document(&r, buf_str(&content));
    if (r.no_memory)
        err = E_NOMEM;
    else if (r.mistake_count > r.warning_count)
        err = E_BAD_FIELD;
    if (err != E_NOMEM)
        reading_report(&r, report);
done:
    arena_free(&r.scratch);
    buf_clear(&content);
    return err;
}

enum err conf_load(const char *path, struct conf_report *report,
                   struct conf **out)
{
    struct conf *c = mem_new(sizeof(*c));
    enum err err;

    *out = NULL;
    if (!c)
        return E_NOMEM;
    c->refs = 1;
    err = arena_new(ARENA_BYTES, &c->arena);
    if (err == E_OK)
        err = load(c, path, report);
    if (err == E_OK)
        *out = c;
    else
        conf_unref(&c);
    return err;
}

struct conf *conf_ref(struct conf *c)
{
    c->refs++;
    return c;
}

void conf_unref(struct conf **c)
{
    struct conf *gone = *c;

    *c = NULL;
    if (!gone || --gone->refs > 0)
        return;
    sodium_memzero(gone->secret, sizeof(gone->secret));
    sodium_memzero(gone->preview.mitos_secret,
                   sizeof(gone->preview.mitos_secret));
    for (unsigned i = 0; i < gone->preview.key_count; i++)
        sodium_memzero(gone->preview.keys[i].secret, 32);
    arena_free(&gone->arena);
    mem_free(gone);
}
