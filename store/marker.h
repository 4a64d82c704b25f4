/* marker.h - the small file beside the store that says that there were rows,
 * and which keys are revoked for good.
 *
 * First line `sandgate-store` and 32 hex digits, the mark that stands in the
 * store as well; then a line `revoked` and 64 hex digits for each key, `link`,
 * an id and its expiry for each link, `links`, a sandbox and a time for those
 * of before it.  So an empty store, another one and one from before a
 * revocation are told from the true one (threats.md S-03, S-04). */
#ifndef STORE_MARKER_H
#define STORE_MARKER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "model/key.h"
#include "model/link.h"

#define MARKER_TEXT 32 /* hex digits */

/* Revoked links: one, or all of a sandbox that were made before a time. */
struct marker_end {
    char name[LINK_SANDBOX_MAX + 2]; /* `l` and a link's id, `b` and a
                                        sandbox's */
    int64_t at; /* seconds: the link expires; ms: the time before */
};

struct marker {
    bool found;                 /* the file is there */
    char mark[MARKER_TEXT + 1]; /* "" when it cannot be made out */
    unsigned char (*revoked)[KEY_HASH_BYTES]; /* owned; sorted */
    unsigned count, room;
    struct marker_end *ends; /* owned; sorted by name */
    unsigned end_count, end_room;
    bool stale; /* the file does not say all this */
};

/*
 * Read the file of that path; one that is not there gives an empty marker.
 * m is cleared before.  Errors: E_STORE (it cannot be read), E_NOMEM.
 */
MUST_USE enum err store_marker_read(struct marker *m, const char *path);

/*
 * Put a new file, mode 0600, in the place of the old one, and on the disk.
 * Errors: E_STORE (errno is kept), E_NOMEM; the old one stays then.
 */
MUST_USE enum err store_marker_write(struct marker *m, const char *path);

/* Make up a new mark. */
void store_marker_draw(struct marker *m);

/* Is that key revoked? */
bool store_marker_has(const struct marker *m, struct str hash);

/* It is from now on; stale is set when that is news.  Errors: E_NOMEM. */
MUST_USE enum err store_marker_add(struct marker *m, struct str hash);

/* Is that link revoked? */
bool store_marker_has_link(const struct marker *m, struct str id);

/* It is from now on, and must be known until it expires.  Errors: E_NOMEM. */
MUST_USE enum err store_marker_add_link(struct marker *m, struct str id,
                                        int64_t expires_s);

/* The time before which all links of the sandbox are revoked; 0 none. */
int64_t store_marker_before(const struct marker *m, struct str sandbox);

/* It is that from now on, if it was not later.  Errors: E_NOMEM. */
MUST_USE enum err store_marker_add_before(struct marker *m, struct str sandbox,
                                          int64_t before_ms);

/* Forget what no link can be valid for any more. */
void store_marker_age(struct marker *m, int64_t wall_ms);

/* Free what it holds. */
void store_marker_clear(struct marker *m);

/* Have the names in the directory of path on the disk.  Errors: E_STORE. */
MUST_USE enum err store_marker_sync_directory(const char *path);

#endif
