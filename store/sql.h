/* sql.h - SQLite, narrowed to what the store asks of it.  Used by the writer
 * thread alone. */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

enum sql_statement {
#define STATEMENT(name, text) SQL_##name,
#include "store/statements.def"
#undef STATEMENT
    SQL_COUNT
};

/* One connection. */
struct sql {
    sqlite3 *db;                         /* owned; NULL while closed */
    sqlite3_stmt *statements[SQL_COUNT]; /* owned; made at first use */
    int wal_pages; /* written since the last checkpoint that did all */
    char why[200]; /* what SQLite said to the last failure */
};

/*
 * Open an existing file, or an empty one, with all settings; s is closed
 * before and, on an error, afterwards.
 * Errors: E_STORE (s->why says it).
 */
MUST_USE enum err store_sql_open(struct sql *s, const char *path);

/* Close; may be called twice. */
void store_sql_close(struct sql *s);

/* Bind the values of a statement: it comes reset and empty.  NULL: s->why. */
sqlite3_stmt *store_sql_start(struct sql *s, enum sql_statement which);

/* An absent text is bound as the empty one. */
void store_sql_bind(sqlite3_stmt *t, int at, struct str text);
void store_sql_bind_bytes(sqlite3_stmt *t, int at, struct str bytes);

/*
 * One step.  row (may be NULL): whether there is a row to read; a statement
 * that gave one must be stepped on, or ended by store_sql_end().
 * Errors: E_CONFLICT (a constraint), E_STORE, E_NOMEM.
 */
MUST_USE enum err store_sql_step(struct sql *s, sqlite3_stmt *t, bool *row);

/* Let go of the rows that were not read.  t may be NULL. */
void store_sql_end(sqlite3_stmt *t);

/* A statement without values and rows.  Errors: as store_sql_step(). */
MUST_USE enum err store_sql_run(struct sql *s, enum sql_statement which);

/* Go back to before the transaction, if one is open. */
void store_sql_rollback(struct sql *s);

/* Text made elsewhere, run once.  Errors: as store_sql_step(). */
MUST_USE enum err store_sql_do(struct sql *s, const char *text);

/* The number that a PRAGMA answers.  Errors: as store_sql_step(). */
MUST_USE enum err store_sql_number(struct sql *s, const char *text,
                                   int64_t *out);

/* Move the log's pages into the file when they are many.  What cannot be
 * moved now stays in the log and is none the less durable. */
void store_sql_checkpoint(struct sql *s);

#endif
