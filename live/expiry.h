/* expiry.h - the ends of sandboxes: one timer for the earliest. */
#ifndef LIVE_EXPIRY_H
#define LIVE_EXPIRY_H

#include "live/root.h"
#include "live/sandbox.h"

/*
 * The record of ls says when it ends: live's on_due is called then.  Called
 * again with each new record.  The end is kept by the monotonic clock from
 * here on: a step of the wall clock ends nothing early or late.
 * Errors: E_NOMEM.
 */
MUST_USE enum err expiry_set(struct live_sandbox *ls);

/* It has come, but could not be acted upon: once more in ms. */
void expiry_again(struct live_sandbox *ls, int64_t ms);

/* Not any more; harmless if it was not set. */
void expiry_forget(struct live_sandbox *ls);

/* Call on_due for every end that has come; the timer does it by itself. */
void expiry_look(struct live *l);

/* live.c's.  The load takes every running record of the store.
 * Errors: E_NOMEM. */
void expiry_init(struct live *l);
MUST_USE enum err expiry_load(struct live *l);
void expiry_clear(struct live *l);

#endif
