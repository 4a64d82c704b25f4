/* row.h - rows of the file and records of the memory, and which of them are
 * believed.  The same grammar is asked of what is written and what is read
 * (threats.md S-01, S-02). */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include <stdbool.h>

#include "store/record.h"
#include "store/sql.h"

/* NULL, or what is wrong with the value; static. */
const char *store_row_sandbox_fault(const struct sandbox *s);
const char *store_row_key_fault(const struct key *k);
const char *store_row_idempotency_fault(const struct idempotency *i);
const char *store_row_link_fault(const struct link *l);

/* The name of a sandbox that a link is for: of a native client's choice it
 * may hold - and _. */
bool store_row_sandbox_name_ok(struct str id);

/*
 * The row that stands at t (SELECT * of the kind's table) as a record.  A row
 * that is not believed becomes a RECORD_BAD of its name, or NULL when not
 * even the name is one.
 *
 * why  set to what is wrong, or NULL
 * out  given; may be NULL without an error
 *
 * Errors: E_NOMEM.
 */
MUST_USE enum err store_row_read(sqlite3_stmt *t, enum record_kind kind,
                                 const char **why, struct record **out);

/* Bind all columns of the kind's table.  r stays as it is until t has been
 * stepped. */
void store_row_bind(sqlite3_stmt *t, const struct record *r, int64_t stamp);

/* One more row of `dropped` that stands at t.  As store_row_read(). */
MUST_USE enum err store_row_read_dropped(sqlite3_stmt *t, struct record **out);

#endif
