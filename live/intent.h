/* intent.h - the record that a create begins with. */
#ifndef LIVE_INTENT_H
#define LIVE_INTENT_H

#include "live/live.h"

/*
 * A record in state INTENT: a new id, or the one that a native client chose;
 * a new life; the rest of the template, or of the sandbox of the team that
 * it is to be a copy of.
 * out  given: sandbox_unref()
 * Errors: E_SANDBOX_GONE (the source is not there), E_STORE, E_NOMEM.
 */
MUST_USE enum err intent_new(struct live *l, struct str team,
                             const struct want_job *want,
                             const struct sandbox **out);

/* May a client that chooses this id have it?
 * Errors: E_ALREADY_EXISTS (any team's), E_STORE (cannot tell). */
MUST_USE enum err intent_id_free(struct live *l, struct str id);

#endif
