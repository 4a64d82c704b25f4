/* file.c - see file.h. */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/unit.h"

static enum err failed(struct file *f, struct batch *b, enum err err)
{
    store_batch_note(b, LOG_ERROR, "store %s: %s", f->path, f->sql.why);
    return err;
}

static enum err refused(struct file *f, struct batch *b, const char *what)
{
    store_batch_note(b, LOG_ERROR, "store %s: %s: %s", f->path, what,
                     strerror(errno));
    return E_STORE;
}

static char *join(struct str path, const char *end)
{
    char *out = mem_new(path.n + strlen(end) + 1);

    if (out) {
        memcpy(out, path.p, path.n);
        memcpy(out + path.n, end, strlen(end));
    }
    return out;
}

enum err store_file_init(struct file *f, struct str path)
{
    memset(f, 0, sizeof(*f));
    f->path = join(path, "");
    f->marker_path = join(path, ".marker");
    if (f->path && f->marker_path)
        return E_OK;
    store_file_clear(f);
    return E_NOMEM;
}

static void close_file(struct file *f)
{
    store_sql_close(&f->sql);
    f->marked = false;
}

void store_file_clear(struct file *f)
{
    close_file(f);
    store_marker_clear(&f->marker);
    mem_free(f->path);
    mem_free(f->marker_path);
    f->path = f->marker_path = NULL;
}

/* What stands in the file, and in those beside it, is for its owner. */
static enum err close_to_others(struct file *f, struct batch *b, mode_t mode)
{
    static const char *const ends[] = {"", "-wal", "-shm"};

    if (!(mode & 077))
        return E_OK;
    store_batch_note(b, LOG_WARN, "store %s: mode %04o made 0600", f->path,
                     (unsigned)mode & 07777);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        char *path = join(str_of(f->path), ends[i]);
        int rc = path ? chmod(path, 0600) : 0;

        mem_free(path);
        if (rc < 0 && i == 0)
            return refused(f, b, "cannot be closed to others");
    }
    return E_OK;
}

/* Another file stands where the one that we had open stood.  SQLite leaves
 * that one's log behind, and would read it into the new file. */
static enum err set_log_aside(struct file *f, struct batch *b)
{
    char *wal = join(str_of(f->path), "-wal");
    char *shm = join(str_of(f->path), "-shm");
    char *aside = join(str_of(f->path), "-wal.replaced");
    enum err err = wal && shm && aside ? E_OK : E_NOMEM;

    if (err == E_OK && rename(wal, aside) < 0 && errno != ENOENT)
        err = refused(f, b, "the log of another file cannot be set aside");
    if (err == E_OK) {
        store_batch_note(b, LOG_WARN, "store %s: the file was replaced",
                         f->path);
        (void)unlink(shm);
    }
    mem_free(wal);
    mem_free(shm);
    mem_free(aside);
    return err;
}

/* Look at the name; the file is made where there never was one.  exists:
 * whether there is something to open. */
static enum err find_file(struct file *f, struct batch *b, bool *exists)
{
    struct stat st;
    int fd;

    *exists = false;
    if (stat(f->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return refused(f, b, "is no file");
    }
    if (stat(f->path, &st) < 0) {
        if (errno != ENOENT)
            return refused(f, b, "cannot be looked at");
        if (f->marker.found)
            return E_OK;
        fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return refused(f, b, "cannot be made");
        if (fd >= 0)
            close(fd);
        if (store_marker_sync_directory(f->path) != E_OK ||
            stat(f->path, &st) < 0)
            return refused(f, b, "cannot be made");
    }
    if (st.st_size == 0 && f->marker.found)
        return E_OK;
    *exists = true;
    if (f->inode && (f->inode != st.st_ino || f->device != st.st_dev) &&
        set_log_aside(f, b) != E_OK)
        return E_STORE;
    f->device = st.st_dev;
    f->inode = st.st_ino;
    return close_to_others(f, b, st.st_mode);
}

static enum err check_schema(struct file *f, struct batch *b)
{
    const char *bad;
    enum err err = store_schema_check(&f->sql, &bad);

    if (bad) {
        store_batch_note(b, LOG_ERROR, "store %s: %s", f->path, bad);
        return E_STORE;
    }
    return err == E_OK ? E_OK : failed(f, b, err);
}

/* The one row of table store.  mark is "" where there is none. */
static enum err get_store(struct file *f, int64_t *stamp,
                          char mark[MARKER_TEXT + 1])
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_STORE_GET);
    const char *text;
    bool row;
    enum err err = store_sql_step(&f->sql, t, &row);

    mark[0] = '\0';
    *stamp = 0;
    if (err != E_OK || !row) {
        if (err == E_OK)
            snprintf(f->sql.why, sizeof(f->sql.why), "its counter is missing");
        return err == E_OK ? E_STORE : err;
    }
    *stamp = sqlite3_column_int64(t, 0);
    f->floor = sqlite3_column_int64(t, 1);
    text = (const char *)sqlite3_column_text(t, 2);
    if (text && strlen(text) == MARKER_TEXT)
        memcpy(mark, text, MARKER_TEXT + 1);
    store_sql_end(t);
    return E_OK;
}

/* Is this the store that the marker file speaks of? */
static bool judge(struct file *f, struct batch *b, const char *mark)
{
    struct marker *m = &f->marker;

    if (m->found && !mark[0]) {
        store_batch_note(b, LOG_ERROR,
                         "store %s: empty, but %s says that it had rows; "
                         "restore it, or remove the marker to begin anew",
                         f->path, f->marker_path);
        return false;
    }
    if (m->found && m->mark[0] && strcmp(m->mark, mark) != 0) {
        store_batch_note(b, LOG_ERROR,
                         "store %s: %s speaks of another store; restore that "
                         "one, or remove the marker to take this one",
                         f->path, f->marker_path);
        return false;
    }
    f->marked = mark[0] != '\0';
    if (f->marked && strcmp(m->mark, mark) != 0) {
        memcpy(m->mark, mark, MARKER_TEXT + 1);
        m->stale = true;
    }
    return true;
}

static enum err keep_link(struct file *f, struct link *l)
{
    if (l->revoked_ms > 0)
        return store_marker_add_link(&f->marker, str_of(l->id), l->expires_s);
    if (store_marker_has_link(&f->marker, str_of(l->id))) {
        l->revoked_ms = clock_wall_ms();
        f->repair = true;
    }
    return E_OK;
}

static enum err keep_before(struct file *f, struct record *r)
{
    int64_t marked_ms = store_marker_before(&f->marker, r->name);

    if (r->revoked_before_ms < marked_ms) {
        r->revoked_before_ms = marked_ms;
        f->repair = true;
    }
    return store_marker_add_before(&f->marker, r->name, r->revoked_before_ms);
}

/* Revocations hold even where the rows are older (threats.md S-04). */
static enum err keep_revoked(struct file *f, struct record *r)
{
    if (r->what != RECORD_ROW)
        return E_OK;
    if (r->kind == RECORD_LINK)
        return keep_link(f, r->linked.link);
    if (r->kind == RECORD_BEFORE)
        return keep_before(f, r);
    if (r->kind != RECORD_KEY)
        return E_OK;
    if (r->key.revoked_ms > 0)
        return store_marker_add(&f->marker, r->name);
    if (store_marker_has(&f->marker, r->name)) {
        r->key.revoked_ms = clock_wall_ms();
        f->repair = true;
    }
    return E_OK;
}

static enum err read_kind(struct file *f, struct batch *b,
                          enum record_kind kind, int64_t since)
{
    static const enum sql_statement newer[] = {
        [RECORD_SANDBOX] = SQL_SANDBOX_NEWER,
        [RECORD_KEY] = SQL_KEY_NEWER,
        [RECORD_IDEMPOTENCY] = SQL_IDEMPOTENCY_NEWER,
        [RECORD_LINK] = SQL_LINK_NEWER,
        [RECORD_BEFORE] = SQL_BEFORE_NEWER};
    sqlite3_stmt *t = store_sql_start(&f->sql, newer[kind]);
    const char *why, *first = NULL;
    unsigned bad = 0;
    enum err err;
    bool row;

    if (t)
        sqlite3_bind_int64(t, 1, since);
    while ((err = store_sql_step(&f->sql, t, &row)) == E_OK && row) {
        struct record *r;

        err = store_row_read(t, kind, &why, &r);
        if (err != E_OK)
            break;
        bad += why != NULL;
        if (!first)
            first = why;
        if (!r)
            continue;
        store_batch_add(b, r);
        err = keep_revoked(f, r);
        if (err != E_OK)
            break;
    }
    store_sql_end(t);
    if (first)
        store_batch_note(b, LOG_ERROR,
                         "store %s: %u rows are not believed, the first for "
                         "its %s",
                         f->path, bad, first);
    return err;
}

static enum err read_dropped(struct file *f, struct batch *b, int64_t since)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_DROPPED_NEWER);
    enum err err;
    bool row;

    if (t)
        sqlite3_bind_int64(t, 1, since);
    while ((err = store_sql_step(&f->sql, t, &row)) == E_OK && row) {
        struct record *r;

        err = store_row_read_dropped(t, &r);
        if (err != E_OK)
            break;
        if (r)
            store_batch_add(b, r);
    }
    store_sql_end(t);
    return err;
}

/* "Before a time" of which there is no row any more: the marker knows it, and
 * what it says is as late as any row. */
static enum err read_marked(struct file *f, struct batch *b)
{
    enum err err = E_OK;

    for (unsigned i = 0; i < f->marker.end_count && err == E_OK; i++) {
        const struct marker_end *e = &f->marker.ends[i];
        struct record *r;

        if (e->name[0] != 'b')
            continue;
        err = store_record_before(str_of(e->name + 1), e->at, &r);
        if (err == E_OK)
            store_batch_add(b, r);
    }
    return err;
}

/* In a transaction whose counter stands at now: what the memory was not told.
 * Deletions come first: a row that was put again carries a newer stamp, and
 * one that was deleted later is not there. */
static enum err read_newer(struct file *f, struct batch *b, int64_t now)
{
    int64_t since = f->seen;
    enum err err = E_OK;

    if (since < f->floor || since > now)
        since = -1;
    if (since == now)
        return E_OK;
    b->reset = since < 0;
    if (since >= 0)
        err = read_dropped(f, b, since);
    for (unsigned kind = 0; kind < RECORD_KINDS && err == E_OK; kind++)
        err = read_kind(f, b, (enum record_kind)kind, since);
    if (err == E_OK && since < 0)
        err = read_marked(f, b);
    if (err == E_OK)
        f->stamp = now;
    return err;
}

static enum err put_store(struct file *f, int64_t stamp)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_STORE_PUT);

    if (t) {
        sqlite3_bind_int64(t, 1, stamp);
        sqlite3_bind_int64(t, 2, f->floor);
        store_sql_bind(t, 3, str_of(f->marker.mark));
    }
    return store_sql_step(&f->sql, t, NULL);
}

/* Step what was bound; *stamp counts up when it changed a row. */
static enum err repair(struct file *f, sqlite3_stmt *t, int64_t *stamp)
{
    enum err err = store_sql_step(&f->sql, t, NULL);

    if (err == E_OK)
        *stamp += sqlite3_changes(f->sql.db) > 0;
    return err;
}

static enum err repair_keys(struct file *f, int64_t *stamp)
{
    enum err err = E_OK;

    for (unsigned i = 0; i < f->marker.count && err == E_OK; i++) {
        sqlite3_stmt *t = store_sql_start(&f->sql, SQL_KEY_REVOKE_HASH);

        if (!t)
            return E_STORE;
        sqlite3_bind_int64(t, 1, *stamp + 1);
        sqlite3_bind_int64(t, 2, clock_wall_ms());
        store_sql_bind_bytes(
            t, 3, str_from((const char *)f->marker.revoked[i], KEY_HASH_BYTES));
        err = repair(f, t, stamp);
    }
    return err;
}

static enum err repair_links(struct file *f, int64_t *stamp)
{
    enum err err = E_OK;

    for (unsigned i = 0; i < f->marker.end_count && err == E_OK; i++) {
        const struct marker_end *e = &f->marker.ends[i];
        bool link = e->name[0] == 'l';
        sqlite3_stmt *t = store_sql_start(&f->sql, link ? SQL_LINK_REVOKE_ID
                                                        : SQL_BEFORE_RAISE);

        if (!t)
            return E_STORE;
        sqlite3_bind_int64(t, 1, *stamp + 1);
        sqlite3_bind_int64(t, 2, link ? clock_wall_ms() : e->at);
        store_sql_bind(t, 3, str_of(e->name + 1));
        err = repair(f, t, stamp);
    }
    return err;
}

/* Write into the rows the revocations that they lack. */
static enum err repair_rows(struct file *f)
{
    enum err err = store_sql_run(&f->sql, SQL_BEGIN_WRITE);
    char mark[MARKER_TEXT + 1];
    int64_t stamp = 0;

    if (err == E_OK)
        err = get_store(f, &stamp, mark);
    if (err == E_OK)
        err = repair_keys(f, &stamp);
    if (err == E_OK)
        err = repair_links(f, &stamp);
    if (err == E_OK)
        err = put_store(f, stamp);
    if (err == E_OK)
        err = store_sql_run(&f->sql, SQL_COMMIT);
    if (err != E_OK)
        store_sql_rollback(&f->sql);
    return err;
}

/* The marker file follows the rows.  A failure is tried again at the next
 * turn: the rows are durable and say it themselves. */
static void write_marker(struct file *f, struct batch *b)
{
    if (!f->marked || !f->marker.stale)
        return;
    store_marker_age(&f->marker, clock_wall_ms());
    if (store_marker_write(&f->marker, f->marker_path) != E_OK)
        store_batch_note(b, LOG_ERROR, "store %s: cannot be written: %s",
                         f->marker_path, strerror(errno));
}

/* All that a fresh look gives, in one reading transaction. */
static enum err read_all(struct file *f, struct batch *b)
{
    char mark[MARKER_TEXT + 1];
    int64_t stamp;
    enum err err = store_sql_run(&f->sql, SQL_BEGIN_READ);

    if (err == E_OK)
        err = get_store(f, &stamp, mark);
    if (err == E_OK && !judge(f, b, mark)) {
        close_file(f);
        return E_OK;
    }
    f->seen = -1;
    if (err == E_OK)
        err = read_newer(f, b, stamp);
    if (err == E_OK)
        err = store_sql_run(&f->sql, SQL_COMMIT);
    if (err != E_OK)
        return failed(f, b, err);
    f->seen = f->stamp;
    b->known = true;
    return E_OK;
}

enum err store_file_open(struct file *f, struct batch *b)
{
    bool exists = false;
    enum err err;

    close_file(f);
    b->known = false;
    f->repair = false;
    f->expired_ms = 0;
    err = store_marker_read(&f->marker, f->marker_path);
    if (err != E_OK)
        return refused(f, b, "its marker cannot be read");
    err = find_file(f, b, &exists);
    if (err != E_OK)
        return err;
    if (!exists) {
        (void)judge(f, b, "");
        return E_OK;
    }
    err = store_sql_open(&f->sql, f->path);
    if (err != E_OK)
        return failed(f, b, err);
    err = check_schema(f, b);
    if (err == E_OK)
        err = read_all(f, b);
    if (err != E_OK) {
        store_batch_forget(b);
        close_file(f);
        return err;
    }
    if (f->repair && repair_rows(f) != E_OK)
        (void)failed(f, b, E_STORE);
    write_marker(f, b);
    return E_OK;
}

/* Does the path still name the file that is open? */
bool store_file_same(const struct file *f)
{
    struct stat st;

    return f->sql.db && stat(f->path, &st) == 0 && st.st_dev == f->device &&
           st.st_ino == f->inode;
}

/* The transaction is open: go on from what stands in the file. */
static enum err catch_up(struct file *f, struct batch *b)
{
    char mark[MARKER_TEXT + 1];
    int64_t now;
    enum err err = get_store(f, &now, mark);

    if (err != E_OK)
        return err;
    if (mark[0] && !f->marked) { /* another process wrote the first rows */
        memcpy(f->marker.mark, mark, sizeof(mark));
        f->marked = true;
        f->marker.stale = true;
    } else if (f->marked && strcmp(mark, f->marker.mark) != 0) {
        snprintf(f->sql.why, sizeof(f->sql.why),
                 "it was put in the place of another while in use");
        f->inode = 0; /* the next look opens it anew */
        return E_STORE;
    }
    f->stamp = now;
    return read_newer(f, b, now);
}

enum err store_file_look(struct file *f, struct batch *b)
{
    enum err err;

    if (!store_file_same(f))
        return store_file_open(f, b);
    err = store_sql_run(&f->sql, SQL_BEGIN_READ);
    if (err == E_OK)
        err = catch_up(f, b);
    if (err == E_OK)
        err = store_sql_run(&f->sql, SQL_COMMIT);
    if (err != E_OK) {
        store_file_undo(f, b);
        return failed(f, b, err);
    }
    f->seen = f->stamp;
    b->known = true;
    write_marker(f, b);
    return E_OK;
}

enum err store_file_begin(struct file *f, struct batch *b)
{
    enum err err;

    err = store_sql_run(&f->sql, SQL_BEGIN_WRITE);
    if (err == E_OK)
        err = catch_up(f, b);
    f->begun = f->stamp;
    if (err == E_OK)
        return E_OK;
    store_file_undo(f, b);
    return failed(f, b, err);
}

/* Without memory the marker file learns it when the rows are read again. */
static void note_revoked(struct file *f, struct batch *b)
{
    for (struct list *at = b->units.next; at != &b->units; at = at->next) {
        struct unit *u = LIST_OF(at, struct unit, link);

        for (unsigned i = 0; i < u->count && u->err == E_OK; i++)
            if (keep_revoked(f, u->steps[i].record) != E_OK)
                return;
    }
}

enum err store_file_commit(struct file *f, struct batch *b)
{
    bool changed = f->stamp != f->begun;
    enum err err = E_OK;

    if (changed && !f->marker.mark[0])
        store_marker_draw(&f->marker);
    if (changed)
        err = put_store(f, f->stamp);
    if (err == E_OK)
        err = store_sql_run(&f->sql, SQL_COMMIT);
    if (err != E_OK) {
        store_file_undo(f, b);
        return failed(f, b, err);
    }
    f->seen = f->stamp;
    f->marked = f->marked || changed;
    b->known = true;
    note_revoked(f, b);
    write_marker(f, b);
    return E_OK;
}

void store_file_undo(struct file *f, struct batch *b)
{
    store_sql_rollback(&f->sql);
    store_batch_forget(b);
    f->stamp = f->seen;
}
