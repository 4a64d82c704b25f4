/* native.h - what the operations for the sandbox server's own clients share:
 * how their bodies are read and what an unknown sandbox is told.
 *
 * For the files of translate/ only. */
#ifndef TRANSLATE_NATIVE_H
#define TRANSLATE_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "translate/op.h"

/* Most bytes of a request that is one message: the guest takes 4 MiB of it,
 * as JSON that may be half as long again. */
#define NATIVE_MESSAGE_MAX (8 << 20)

/* The RPCs that are passed on. */
enum native_rpc {
    NATIVE_EXEC_STREAM,
    NATIVE_RUN_CODE_STREAM,
    NATIVE_READ_FILE,
    NATIVE_WRITE_FILE,
    NATIVE_FILE_LIST,
    NATIVE_STAT,
    NATIVE_MKDIR,
    NATIVE_REMOVE,
    NATIVE_ARCHIVE,
    NATIVE_UPLOAD,
    NATIVE_WATCH,
    NATIVE_PROCESSES,
    NATIVE_SIGNAL,
    NATIVE_VITALS
};

/* The members of a body that the server knows.  Texts are the arena's;
 * absent, false or 0 where they are not there. */
struct native_body {
    struct str id, template, sandbox;
    int64_t timeout_s, port;
    bool pause_source;
    const char *asks; /* the member (network, workload, resources) that asks
                         for what a configured template says; NULL none */
};

/*
 * Read a body as the server does: names without case, the last of them
 * counts, what follows the value is left alone, null is {}.  What goes on to
 * it is written anew, so that two readings cannot differ.
 * Returns NULL, or what is wrong with it (static).
 * Source: mitos-sandbox-server.md 1.2
 */
const char *native_read(struct str text, struct arena *a,
                        struct native_body *out);

/* Fail with E_BAD_FIELD; why is static, or absent with no memory. */
void native_fail(struct want *w, const char *why);

/* Fail with E_SANDBOX_GONE as REST calls tell it: of another team's id as of
 * one that nobody has. */
void native_fail_unknown(struct op *op, struct want *w, struct str id);

/* Answer with what b holds and a line end, as JSON; b is cleared. */
void native_answer(struct op *op, struct want *w, int status, struct buf *b);

/* Copy the first field of each of these names, if it is there, to out.
 * Errors: E_NOMEM. */
MUST_USE enum err native_pick(struct op *op, const struct fields *from,
                              const struct str *names, size_t count,
                              struct fields *out);

/* Append a JSON string. */
void native_put(struct buf *b, const char *before, struct str text);

#endif
