/* life.h - kill, time limits, expiry: the jobs of a sandbox that runs. */
#ifndef LIVE_LIFE_H
#define LIVE_LIFE_H

#include "live/sandbox.h"

/* Its end has come: as a kill, that nobody waits for. */
void life_expire(struct live_sandbox *ls);

#endif
