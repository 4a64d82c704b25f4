/* commit.h - a store_commit() whose asker may vanish before it is done. */
#ifndef LIVE_COMMIT_H
#define LIVE_COMMIT_H

#include "live/root.h"

struct commit;

/*
 * Queue the changes as one unit, as store_commit() does.
 * done  from the loop, unless commit_forget() came first
 * out   borrowed: until done has run; may be NULL
 * Errors (done is not called then): E_FULL, E_STORE, E_NOMEM.
 */
MUST_USE enum err commit_start(struct live *l, const struct change *changes,
                               unsigned count, store_done *done, void *arg,
                               struct commit **out);

/* The asker goes: done will not be called.  The change is made all the same.
 * *c becomes NULL. */
void commit_forget(struct commit **c);

/* live.c's: nobody asks any more; waits at most 2 s for the store. */
void commit_clear(struct live *l);

#endif
