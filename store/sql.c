/* sql.c - see sql.h. */
#include "store/sql.h"

#include <stdio.h>

/* Another process may hold the write lock for one transaction. */
#define BUSY_MS 2000
/* 4 MiB of log. */
#define CHECKPOINT_PAGES 1000

static const char *const texts[] = {
#define STATEMENT(name, text) [SQL_##name] = text,
#include "store/statements.def"
#undef STATEMENT
};

/* FULL: a commit is on the disk before it is acknowledged.  Checkpoints are
 * made after the answers.  Nothing else of the machine is written to. */
static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA journal_size_limit = 16777216;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA cell_size_check = ON;";

static enum err failed(struct sql *s, int rc)
{
    int code = rc & 0xff;

    snprintf(s->why, sizeof(s->why), "%s (%d)",
             s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc),
             s->db ? sqlite3_extended_errcode(s->db) : rc);
    if (code == SQLITE_CONSTRAINT)
        return E_CONFLICT;
    return code == SQLITE_NOMEM ? E_NOMEM : E_STORE;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct sql *s = arg;

    (void)db;
    (void)name;
    s->wal_pages = pages;
    return SQLITE_OK;
}

/* SQLite answers with the mode it has kept when it cannot change it. */
static int settle(sqlite3 *db)
{
    sqlite3_stmt *t;
    int rc = sqlite3_exec(db, settings, NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &t, NULL);
    if (rc == SQLITE_OK && sqlite3_step(t) == SQLITE_ROW)
        rc = sqlite3_stricmp((const char *)sqlite3_column_text(t, 0), "wal")
                 ? SQLITE_CANTOPEN
                 : SQLITE_OK;
    sqlite3_finalize(t);
    return rc;
}

enum err store_sql_open(struct sql *s, const char *path)
{
    int rc;

    store_sql_close(s);
    rc = sqlite3_open_v2(path, &s->db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(s->db, 1);
        sqlite3_busy_timeout(s->db, BUSY_MS);
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        rc = settle(s->db);
    }
    if (rc != SQLITE_OK) {
        (void)failed(s, rc);
        store_sql_close(s);
        return E_STORE;
    }
    if (sqlite3_db_readonly(s->db, "main")) {
        snprintf(s->why, sizeof(s->why), "the file is read-only");
        store_sql_close(s);
        return E_STORE;
    }
    sqlite3_wal_hook(s->db, on_wal, s);
    return E_OK;
}

void store_sql_close(struct sql *s)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(s->statements[i]);
        s->statements[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
    s->wal_pages = 0;
}

sqlite3_stmt *store_sql_start(struct sql *s, enum sql_statement which)
{
    sqlite3_stmt **t = &s->statements[which];
    int rc;

    if (!*t) {
        rc = sqlite3_prepare_v3(s->db, texts[which], -1,
                                SQLITE_PREPARE_PERSISTENT, t, NULL);
        if (rc != SQLITE_OK) {
            (void)failed(s, rc);
            return NULL;
        }
    }
    sqlite3_reset(*t);
    sqlite3_clear_bindings(*t);
    return *t;
}

/* What is bound lives until the statement has been stepped. */
void store_sql_bind(sqlite3_stmt *t, int at, struct str text)
{
    sqlite3_bind_text(t, at, text.p ? text.p : "", (int)text.n, SQLITE_STATIC);
}

void store_sql_bind_bytes(sqlite3_stmt *t, int at, struct str bytes)
{
    sqlite3_bind_blob(t, at, bytes.p ? bytes.p : "", (int)bytes.n,
                      SQLITE_STATIC);
}

enum err store_sql_step(struct sql *s, sqlite3_stmt *t, bool *row)
{
    enum err err = E_OK;
    int rc;

    if (row)
        *row = false;
    if (!t)
        return E_STORE;
    rc = sqlite3_step(t);
    if (rc == SQLITE_ROW && row) {
        *row = true;
        return E_OK;
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        err = failed(s, rc);
    sqlite3_reset(t);
    return err;
}

void store_sql_end(sqlite3_stmt *t)
{
    sqlite3_reset(t);
}

enum err store_sql_run(struct sql *s, enum sql_statement which)
{
    return store_sql_step(s, store_sql_start(s, which), NULL);
}

void store_sql_rollback(struct sql *s)
{
    char why[sizeof(s->why)];

    if (!s->db || sqlite3_get_autocommit(s->db))
        return;
    memcpy(why, s->why, sizeof(why)); /* the first error wins */
    if (store_sql_run(s, SQL_ROLLBACK) == E_OK)
        memcpy(s->why, why, sizeof(why));
}

enum err store_sql_do(struct sql *s, const char *text)
{
    int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? E_OK : failed(s, rc);
}

enum err store_sql_number(struct sql *s, const char *text, int64_t *out)
{
    sqlite3_stmt *t;
    enum err err;
    bool row;
    int rc = sqlite3_prepare_v2(s->db, text, -1, &t, NULL);

    *out = 0;
    if (rc != SQLITE_OK)
        return failed(s, rc);
    err = store_sql_step(s, t, &row);
    if (err == E_OK && row)
        *out = sqlite3_column_int64(t, 0);
    sqlite3_finalize(t);
    return err;
}

void store_sql_checkpoint(struct sql *s)
{
    int in_log = 0, moved = 0;

    if (!s->db || s->wal_pages < CHECKPOINT_PAGES)
        return;
    if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE,
                                  &in_log, &moved) == SQLITE_OK &&
        in_log == moved)
        s->wal_pages = 0;
}
