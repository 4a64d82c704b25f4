/* batch.h - what one turn of the writer tells the memory. */
#ifndef STORE_BATCH_H
#define STORE_BATCH_H

#include <stdbool.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "store/record.h"

/* To be applied in this order: reset, rows, units. */
struct batch {
    struct list link;
    bool reset;               /* forget all rows: rows holds every one */
    bool known;               /* is the memory, after this, the truth? */
    enum err err;             /* of the turn */
    struct record *rows;      /* owned; written by other processes */
    struct record **rows_end; /* where the next one is linked */
    unsigned row_count;
    struct list units;    /* owned; their rows count where err is OK */
    enum log_level level; /* of the note */
    char note[320];       /* for the operator; "" if there is none */
};

/* NULL without memory.  Given: store_batch_free(). */
struct batch *store_batch_new(void);

/* r is taken. */
void store_batch_add(struct batch *b, struct record *r);

/* Free the rows: they do not count after all. */
void store_batch_forget(struct batch *b);

/* Keep a line for the operator; the first of the highest level stays. */
__attribute__((format(printf, 3, 4))) void
store_batch_note(struct batch *b, enum log_level level, const char *format,
                 ...);

/* Taken, may be NULL; with its rows and units. */
void store_batch_free(struct batch **b);

#endif
