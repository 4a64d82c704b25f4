/* files.h - what GET and POST /files share: parameters, texts, frames.  For
 * the files of translate/ only.  Source: e2b-data-plane.md 4. */
#ifndef TRANSLATE_FILES_H
#define TRANSLATE_FILES_H

#include <stdbool.h>

#include "translate/envelope.h"
#include "translate/guest.h"
#include "translate/op.h"

/* Of the query. */
struct files_target {
    struct str user;    /* Linux user; never absent */
    struct str workdir; /* for an empty path; "" is the user's home */
    struct str path;    /* decoded; absent if the query has none */
};

/* false: *w fails (a parameter twice, an empty username). */
bool files_target(struct op *op, struct files_target *out, struct want *w);

/* path as guest.h's scripts take it; absent: *w fails. */
struct str files_expand(struct op *op, const struct files_target *t,
                        struct str path, struct want *w);

/* guest_read(), with an unknown user told in the words of /files. */
bool files_read(struct op *op, const struct op_event *event,
                const struct files_target *t, struct guest_answer *out,
                struct want *w);

/* A whole answer in plain text, as the daemon's router and file server give. */
void files_say_text(struct op *op, struct want *w, int status, struct str text);

/* Fail with E_BAD_REQUEST ... and a printed text. */
__attribute__((format(printf, 4, 5))) void files_fail(struct op *op,
                                                      struct want *w,
                                                      enum err err,
                                                      const char *format, ...);

/* One frame of a call with an end-stream error or a member "data". */
struct files_frame {
    bool end;        /* the end-stream frame */
    enum err err;    /* of the end-stream frame */
    struct str data; /* base64; absent if there is none */
};

/* false: garbage. */
bool files_frame(unsigned flags, struct str payload, struct files_frame *out);

#endif
