/* exec.h - E2B's processes as ExecStream calls, and their frames back. */
#ifndef TRANSLATE_EXEC_H
#define TRANSLATE_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "model/sandbox.h"
#include "translate/op.h"

/*
 * The body (one envelope) of the ExecStream call that runs config in s:
 * changes user and directory, prints its pid (0x1e pid LF on stderr), execs
 * the command, so that the pid is the command's own.
 * t     the template of s; NULL if it is not configured any more
 * body  in the arena
 * Errors: E_NOMEM, E_INVALID (a NUL in an argument, ...; *why says what).
 * Source: mitos-sandbox-server.md 5.3, e2b-data-plane.md 2.5.
 */
MUST_USE enum err exec_request(const struct process_config *config,
                               const struct sandbox *s,
                               const struct conf_template *t, struct arena *a,
                               struct str *body, struct str *why);

/* What a frame of an exec stream is. */
enum exec_kind {
    EXEC_OUTPUT,  /* stdout or stderr */
    EXEC_PID,     /* the wrapper's line: pid is set; rest may follow */
    EXEC_REFUSED, /* the wrapper's line: user or cwd wrong: detail, err */
    EXEC_EXIT,    /* exit code, or an infrastructure error */
    EXEC_END,     /* end-stream frame: err E_OK, or classified */
    EXEC_OTHER    /* unknown field: ignore */
};

struct exec_frame {
    enum exec_kind kind;
    bool to_stderr;
    struct str base64; /* OUTPUT: the text as it came, checked alphabet */
    uint32_t pid;
    int exit_code;
    enum err err;
    struct str detail; /* arena */
};

/* Is payload {"stdout":"<base64>"} or the same of stderr, with blanks
 * anywhere?  Then *base64 is the text as it came, of checked letters. */
bool exec_scan(struct str payload, bool *to_stderr, struct str *base64);

/* Read one upstream payload.  want_pid: the wrapper's line has not come yet:
 * it is cut off the first stderr output (what follows it is in base64 again,
 * re-encoded in the arena).  Errors: E_BACKEND_GARBAGE, E_NOMEM. */
MUST_USE enum err exec_read(unsigned flags, struct str payload, bool want_pid,
                            struct arena *a, struct exec_frame *out);

/*
 * Is a process dead by its /proc/<pid>/stat, and what did it leave?
 * lines   payloads of ReadFile's frames, each ended by LF
 * status  its wait status; 0 also when one may not see it
 * Returns false for one that lives, and for what is no such file.
 * Source: proc(5).
 */
bool exec_read_stat(struct str lines, int *status);

/* Append E2B's event frames (envelope included). */
void exec_put_start(struct buf *b, uint32_t pid);
void exec_put_output(struct buf *b, bool to_stderr, struct str base64);
void exec_put_keepalive(struct buf *b);
/* signal 0: exited with code; else ended by that signal. */
void exec_put_exit(struct buf *b, int exit_code, int signal);

#endif
