/* quota.h - how many requests of one API key are open.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_QUOTA_H
#define GATEWAY_QUOTA_H

#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

/* Source: threats.md E-05. */
#define QUOTA_OPEN_MAX 2000

#define QUOTA_BUCKETS 64

/* One key's; shared by its open requests, gone with the last one. */
struct quota_row;

/* Inside other structs. */
struct quota {
    struct list buckets[QUOTA_BUCKETS]; /* struct quota_row, owned */
};

void quota_init(struct quota *q);

/*
 * One more open request of that key.
 * out  given: quota_give()
 * Errors: E_QUOTA (QUOTA_OPEN_MAX are open), E_NOMEM.
 */
MUST_USE enum err quota_take(struct quota *q, uint64_t key,
                             struct quota_row **out);

/* Taken: one less; *row becomes NULL, and may be NULL. */
void quota_give(struct quota_row **row);

#endif
