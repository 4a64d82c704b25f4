/* translate_shell.h - a sandbox server of a test's own: it runs the scripts
 * of guest.h with this machine's /bin/sh. */
#ifndef TESTS_UNIT_TRANSLATE_SHELL_H
#define TESTS_UNIT_TRANSLATE_SHELL_H

#include "tests/unit/translate_stage.h"

/* Do the call that s->want wants and tell OP_ANSWER. */
void shell_answer(struct stage *s);

/* The frames that a script with that output and exit would answer with. */
struct str shell_frames(struct arena *a, struct str out, struct str said,
                        int exit_code);

#endif
