/* apply.h - a unit becomes rows, inside the transaction of its file. */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "base/err.h"
#include "store/batch.h"
#include "store/file.h"
#include "store/unit.h"

/*
 * All steps of the unit, or none.  u->err tells what became of it: E_OK, or
 * E_CONFLICT where a condition does not hold for the rows as they stand.  A
 * key's record is given its number and the time it was revoked.
 * Errors: E_STORE, E_NOMEM: the whole transaction must be undone.
 */
MUST_USE enum err store_apply(struct file *f, struct unit *u);

/*
 * Delete what has had its time: idempotency rows (24 h), expired links (1 h;
 * both at most every 10 minutes), the oldest of the list of deletions.  now_ms:
 * the newest at_ms of the transaction, 0 if it has none.  b is told. Errors: as
 * store_apply().
 */
MUST_USE enum err store_apply_age(struct file *f, struct batch *b,
                                  int64_t now_ms);

#endif
