/* writer.h - the one thread that opens the file.
 *
 * Units go in by a queue; all that wait are one transaction.  What became of
 * them, and what other processes wrote, comes back in batches, and a file
 * descriptor tells that there are some. */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/unit.h"

struct writer;

/*
 * Start the thread and wait until it has opened the file.
 *
 * first  an empty list; the batches, with all rows and what to log, are moved
 *        to it, on an error as well
 * out    given: store_writer_stop(); NULL on error
 *
 * Errors: E_STORE, E_SYSTEM, E_NOMEM.
 */
MUST_USE enum err store_writer_start(struct str path, struct list *first,
                                     struct writer **out);

/* Readable while batches wait. */
int store_writer_fd(const struct writer *w);

/* u is given; it comes back in a batch. */
void store_writer_put(struct writer *w, struct unit *u);

/* Move the batches that wait to the end of out. */
void store_writer_take(struct writer *w, struct list *out);

/* Monotonic time that no test can stop: the disk's. */
int64_t store_writer_now_ms(void);

/* Milliseconds since the thread last found the file as it should be. */
int64_t store_writer_age_ms(const struct writer *w);

/* Have what is queued written and end the thread.  The batches can still be
 * taken.  Call once. */
void store_writer_stop(struct writer *w);

/* Taken, after store_writer_stop(); *w becomes NULL. */
void store_writer_free(struct writer **w);

#endif
