/* health.h - does a sandbox live?  Told to those who asked.  For the files
 * of live/; asking is health_order() of order.h. */
#ifndef LIVE_HEALTH_H
#define LIVE_HEALTH_H

#include "live/sandbox.h"

/* E_OK, E_SANDBOX_GONE or E_SANDBOX_UNKNOWN is known now: those who wait
 * hear it. */
void health_tell(struct live_sandbox *ls, enum err what);

#endif
