/* table.h - the records of one kind, by name. */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "store/record.h"

/* Chained; the links lie in the records, so that putting one in asks for no
 * memory and cannot fail once a row is durable. */
struct table {
    struct record **slots;      /* owned */
    size_t mask;                /* of the slots, a power of two less 1 */
    size_t count;               /* records */
    unsigned char hash_key[16]; /* of this table alone */
};

/* Errors: E_NOMEM; store_table_clear() may be called then too. */
MUST_USE enum err store_table_init(struct table *t);

/* NULL if there is none; borrowed. */
struct record *store_table_find(const struct table *t, struct str name);

/* r is given; the one of that name that it replaces, or NULL, is taken. */
struct record *store_table_put(struct table *t, struct record *r);

/* The one of that name, taken out, or NULL. */
struct record *store_table_take(struct table *t, struct str name);

/* The record after r, in no order; the first one for NULL; NULL at the end.
 * The table must not change meanwhile. */
struct record *store_table_next(const struct table *t, const struct record *r);

/* Free all records; the table stays. */
void store_table_empty(struct table *t);

/* Free all. */
void store_table_clear(struct table *t);

#endif
