/* multipart.h - multipart/form-data as it streams by: a parser that holds
 * nothing.  For the files of translate/. */
#ifndef TRANSLATE_MULTIPART_H
#define TRANSLATE_MULTIPART_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum multipart_kind {
    MULTIPART_MORE, /* more bytes are needed (what is left must be kept) */
    MULTIPART_PART, /* a part begins: name, filename */
    MULTIPART_DATA, /* bytes of it */
    MULTIPART_LAST, /* the part has ended */
    MULTIPART_END   /* the closing boundary */
};

struct multipart_event {
    enum multipart_kind kind;
    bool form_data;      /* PART: the disposition is form-data */
    struct str name;     /* PART: arena; absent if none */
    struct str filename; /* PART: arena; absent if none */
    struct str data;     /* DATA: borrowed from the view */
};

/* Inside other structs. */
struct multipart {
    char delimiter[80]; /* LF -- boundary */
    size_t n;
    enum {
        MULTIPART_PREAMBLE,
        MULTIPART_HEADERS,
        MULTIPART_BODY,
        MULTIPART_OVER
    } state;
};

#define MULTIPART_HEADERS_MAX 8192 /* bytes of one part's headers */

/* The boundary of a Content-Type value; false: it has none, or a bad one.
 * Source: RFC 2046 5.1.1 (1 to 70 characters). */
bool multipart_init(struct multipart *m, struct str content_type);

/*
 * Read what view holds from its begin; *used says how much of it is done
 * with.  Bytes that cannot be judged yet stay: call again with them and more
 * behind.
 * last  nothing comes behind view: what is incomplete is an error
 * Errors: E_CUT (ended in the middle), E_BAD_REQUEST (malformed part),
 * E_NOMEM.
 */
MUST_USE enum err multipart_next(struct multipart *m, struct str view,
                                 bool last, struct arena *a, size_t *used,
                                 struct multipart_event *event);

#endif
