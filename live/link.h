/* link.h - signed links: made, listed, revoked; who came by one. */
#ifndef LIVE_LINK_H
#define LIVE_LINK_H

#include "live/job.h"

/*
 * Begin one of the jobs about links.
 * out  given: it ends by itself
 * Errors: E_NOMEM.
 */
MUST_USE enum err link_begin(struct live *l, struct str team,
                             const struct want_job *want, struct job **out);

/*
 * The changes that drop a record; how many.  A native client's id may be
 * taken again, by another team even, and tokens of the sandbox server's form
 * name nothing but the id: what was made until now must not open the next
 * sandbox of that name.
 * drop    as it stands alone
 * out     of both; borrows before
 */
unsigned link_drop_changes(const struct live *l, const struct sandbox *s,
                           const struct change *drop, struct link *before,
                           struct change out[2]);

/* live.c's: set up and take down. */
void link_init(struct live *l);
void link_clear(struct live *l);

#endif
