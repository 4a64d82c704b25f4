/* create.h - the job that makes a sandbox. */
#ifndef LIVE_CREATE_H
#define LIVE_CREATE_H

#include "live/job.h"

/*
 * Begin it, or answer by what the Idempotency-Key says: a replay, E_
 * IDEMPOTENCY_MISMATCH, _RUNNING or _UNKNOWN, E_STORE.
 * out  given: it ends by itself
 * Errors: E_NOMEM, E_SYSTEM.
 */
MUST_USE enum err create_begin(struct live *l, struct str team,
                               const struct want_job *want, struct job **out);

/* How long an intent may be older than its create's time limit before "not
 * at the back end" is believed: a fork may have been on its way. */
int64_t create_grace_ms(const struct live *l);

#endif
