/* page.h - the pages that people see instead of an app. */
#ifndef PREVIEW_PAGE_H
#define PREVIEW_PAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define PREVIEW_PAGE_MAX 7168 /* bytes of the longest one */

/* What a page is about.  Texts are borrowed. */
struct preview_page {
    enum err err;       /* chooses the page; every error has one */
    int status;         /* shown small */
    struct str text;    /* of the answer table, or better; may be absent */
    struct str host;    /* of the request; may be absent */
    unsigned port;      /* 0: not known */
    struct str sandbox; /* its id; may be absent */
    struct str request; /* its id in the access log; may be absent */
};

/*
 * Append a whole HTML page: at most PREVIEW_PAGE_MAX bytes, valid without
 * scripts, fonts or pictures from anywhere, light or dark as the reader has
 * it.  Nothing of the request stands in it but host, port, sandbox and the
 * request's id, escaped and clipped.
 */
void preview_page_put(const struct preview_page *page, struct buf *out);

/* Value of Content-Security-Policy for these pages; static. */
struct str preview_page_policy(void);

#endif
