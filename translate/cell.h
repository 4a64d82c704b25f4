/* cell.h - frames of a run of code, as the lines of E2B's code server.
 *
 * Source: mitos-sandbox-server.md 2.10, e2b-data-plane.md 5.1. */
#ifndef TRANSLATE_CELL_H
#define TRANSLATE_CELL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* What one frame was, beside the lines that it made. */
struct cell_frame {
    bool error;  /* an error line was made */
    bool dead;   /* the kernel is of no use any more */
    bool exited; /* the last frame of the run: exit_code is set */
    int exit_code;
    bool ended;   /* the stream's end frame */
    enum err err; /* ended: its error, classified */
};

/*
 * Read one payload of RunCodeStream and append what the client is told: none
 * or one line, pure ASCII, ended by LF.
 * wall_ms  for the time stamps of output
 * a        for what is made meanwhile
 * Errors: E_BACKEND_GARBAGE, E_NOMEM.
 */
MUST_USE enum err cell_read(unsigned flags, struct str payload, int64_t wall_ms,
                            struct arena *a, struct buf *lines,
                            struct cell_frame *out);

/* The bytes of an output frame; absent for any other.  In the arena. */
struct str cell_output(unsigned flags, struct str payload, struct arena *a);

/* Append lines of our own. */
void cell_put_count(struct buf *lines, uint64_t executions);
void cell_put_error(struct buf *lines, struct str name, struct str value,
                    struct str traceback);
void cell_put_keepalive(struct buf *lines);
void cell_put_end(struct buf *lines);

#endif
