/* guest.h - small shell scripts that do file work inside a sandbox, each as
 * one collected ExecStream call.
 *
 * A script runs as root under /bin/sh with LC_ALL=C, umask 022, no globbing
 * and / as its directory.  Nothing of a caller stands in its text: its
 * arguments are $1, $2, ... (they travel as variables).  It speaks by fields
 * that end in NUL on stdout, the first of which is a word that says what came
 * of it.  For the files of translate/ only. */
#ifndef TRANSLATE_GUEST_H
#define TRANSLATE_GUEST_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"
#include "translate/op.h"

/*
 * What every script finds:
 *
 *   say A B ...    prints fields
 *   fail A B ...   prints fields and ends the script
 *   why CMD ...    runs CMD; false: $e is what it said on stderr (its
 *                  standard output is dropped)
 *   $uid $gid $home  of the user that the call names; an unknown one has
 *                  ended the script (guest_read() tells it)
 *   absolute A     sets $p: A itself, or what it is below $home; A is a
 *                  text that path_expand() has made
 *   make_dir D     makes the one directory D, mode 0755, owned by the user,
 *                  unless it is there; fails with the fields "file" D,
 *                  "mkdir" D TEXT or "chown" D TEXT
 *   make_dirs D    the same for D and all above it; D is clean
 */

/* One script to run. */
struct guest_script {
    const char *text;       /* static */
    struct str user;        /* Linux user; never absent */
    const struct str *args; /* without NUL bytes; borrowed for the call */
    unsigned count;
    size_t limit;    /* most bytes of the answer, base64 and frames included */
    int64_t limit_s; /* it is killed after that many seconds */
};

/* Want that script to be run: OP_ANSWER comes, for guest_read(). */
void guest_call(struct op *op, const struct guest_script *script,
                struct want *w);

/* What it printed. */
struct guest_answer {
    struct buf out;  /* stdout */
    struct buf said; /* stderr, at most 64 KiB */
    int exit_code;   /* 0..255 */
    struct str rest; /* what guest_field() has not given yet, of out */
};

/*
 * Read OP_ANSWER.  false: *w fails (no such sandbox, no free stream, the
 * time is over, an unknown user, ...) and out holds nothing.
 * out  given: guest_clear()
 */
bool guest_read(struct op *op, const struct op_event *event,
                struct guest_answer *out, struct want *w);

/* The next field of stdout, without its NUL; absent when there is none (a
 * field that lacks its NUL is none). */
struct str guest_field(struct guest_answer *a);

void guest_clear(struct guest_answer *a);

/* The system's error text in what a tool said, as Go prints it: what follows
 * the last ": ", its first letter small.  "input/output error" if none. */
struct str guest_why(struct str said, struct arena *a);

#endif
