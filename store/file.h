/* file.h - the SQLite file with its marker: opened, judged, read.  Used by
 * the writer thread alone. */
#ifndef STORE_FILE_H
#define STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "store/batch.h"
#include "store/marker.h"
#include "store/sql.h"

struct file {
    char *path;        /* owned */
    char *marker_path; /* owned */
    struct sql sql;
    struct marker marker;
    dev_t device; /* which file the path named when it was last opened */
    ino_t inode;
    int64_t seen;       /* stamp up to which the memory is told */
    int64_t stamp;      /* last one drawn in the transaction */
    int64_t begun;      /* where it stood when the transaction began */
    int64_t floor;      /* deletions up to here are no longer listed */
    int64_t expired_ms; /* newest at_ms when old rows were last deleted */
    bool marked;        /* the mark stands in the file */
    bool repair;        /* rows lack a revocation that the marker has */
};

/* Errors: E_NOMEM; f needs no clearing then. */
MUST_USE enum err store_file_init(struct file *f, struct str path);

/* Close and free. */
void store_file_clear(struct file *f);

/*
 * Open the file, making it where there never was one, judge it by its marker
 * and read all rows into b (with reset).  b->known is false, without an
 * error, when a store of that name once had rows and this is not it.
 * Errors: E_STORE (b->note says it), E_NOMEM; the file is closed then.
 */
MUST_USE enum err store_file_open(struct file *f, struct batch *b);

/*
 * Is the path still that file, and what have others written?  Closed files
 * are opened again.  Errors: as store_file_open().
 */
MUST_USE enum err store_file_look(struct file *f, struct batch *b);

/* Is it open, and does the path still name it? */
bool store_file_same(const struct file *f);

/*
 * Begin a transaction in the open file; what others wrote before it is read
 * into b. Errors: E_STORE, E_NOMEM; there is no transaction then.
 */
MUST_USE enum err store_file_begin(struct file *f, struct batch *b);

/*
 * End it: on the disk when this returns.  b->units holds what was done, with
 * u->err set.
 * Errors: E_STORE, E_NOMEM; all of it is undone then.
 */
MUST_USE enum err store_file_commit(struct file *f, struct batch *b);

/* Undo the transaction, and let the memory be told again what b would have
 * told it. */
void store_file_undo(struct file *f, struct batch *b);

#endif
