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

/* live.c's: set up and take down. */
void link_init(struct live *l);
void link_clear(struct live *l);

#endif
