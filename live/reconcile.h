/* reconcile.h - are the records and the back end of one mind? */
#ifndef LIVE_RECONCILE_H
#define LIVE_RECONCILE_H

#include "live/backend.h"

/*
 * Look at the back end soon: a probe when it is not known to answer, then
 * its list against the records.  At most once a second; asked for while one
 * is under way, it comes again afterwards.
 */
void reconcile_want(struct backend *b);

/* live.c's. */
void reconcile_clear(struct backend *b);

#endif
