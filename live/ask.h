/* ask.h - one call to a sandbox whose answer is short, collected.
 *
 * For the files of live/ only. */
#ifndef LIVE_ASK_H
#define LIVE_ASK_H

#include "live/sandbox.h"

struct ask;

/* POST /sandbox.v1.Sandbox/<method>. */
struct ask_request {
    const char *method;
    bool stream;     /* body is one envelope, the answer is the payloads of
                        its frames, each ended by LF; else one message each */
    struct str body; /* borrowed during the call */
};

/*
 * Ask the sandbox.
 * on_answer  once, from the loop; text is borrowed for the call.  The ask is
 *            over then; ask_free() may be called
 * out        given: ask_free(), at any time
 * Errors told: E_OK; what fault_of_answer() says; what live_call_start()'s
 * on_cut says; E_TOO_BIG (over 1 MiB).
 * Errors: E_NOMEM, E_SYSTEM.
 */
MUST_USE enum err
ask_start(struct live_sandbox *ls, const struct ask_request *request,
          void (*on_answer)(void *arg, enum err err, struct str text),
          void *arg, struct ask **out);

/* Taken; what is under way is cut, nothing is told. */
void ask_free(struct ask **a);

#endif
