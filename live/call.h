/* call.h - the calls of a sandbox that ends.  For the files of live/. */
#ifndef LIVE_CALL_H
#define LIVE_CALL_H

#include "live/sandbox.h"

/* Cut every call of it that is under way, and tell its owner why. */
void live_call_end(struct live_sandbox *ls, enum err why);

#endif
