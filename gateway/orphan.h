/* orphan.h - a stream whose answer is said at once and whole: its end is all
 * that still matters.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_ORPHAN_H
#define GATEWAY_ORPHAN_H

#include "net/server.h"

/* Own s, and leave it to itself: what comes is passed over, and it is freed
 * at its end. */
void orphan_own(struct stream *s);

#endif
