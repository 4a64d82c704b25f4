/* scope.h - what a link covers of a request.  For the files of preview/. */
#ifndef PREVIEW_SCOPE_H
#define PREVIEW_SCOPE_H

#include "model/head.h"
#include "model/link.h"

/* NULL: all of it; else what it does not cover, for the client; static. */
const char *preview_scope_lacks(const struct link_scopes *scopes,
                                const struct request_head *head);

#endif
