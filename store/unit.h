/* unit.h - changes that belong together, on their way to the file. */
#ifndef STORE_UNIT_H
#define STORE_UNIT_H

#include "base/err.h"
#include "base/list.h"
#include "store/record.h"
#include "store/store.h"

struct step {
    struct change change;  /* its pointers are NULL: the record has it all */
    struct record *record; /* owned */
};

struct unit {
    struct list link; /* in the queue, then in a batch */
    enum err err;     /* what became of it */
    store_done *done; /* may be NULL */
    void *arg;
    unsigned count; /* 0: somebody wants the file looked at */
    struct step steps[];
};

/*
 * out  given: store_unit_free(); NULL on error
 * why  what is wrong with a value (E_RANGE), else NULL
 * Errors: E_RANGE, E_NOMEM.
 */
MUST_USE enum err store_unit_new(const struct change *changes, unsigned count,
                                 const char **why, struct unit **out);

/* Taken, may be NULL; *u becomes NULL.  done is not called. */
void store_unit_free(struct unit **u);

#endif
