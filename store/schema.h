/* schema.h - the tables of the file: made, or brought to this version. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "base/err.h"
#include "store/sql.h"

/*
 * Make the tables of an empty file; give those of an older version what they
 * lack.  Rows stay.
 * bad  set to why the file is none of ours, or NULL; static
 * Errors: as store_sql_step().
 */
MUST_USE enum err store_schema_check(struct sql *sql, const char **bad);

#endif
