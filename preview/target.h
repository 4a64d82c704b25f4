/* target.h - request targets, Referers and subprotocols without tokens. */
#ifndef PREVIEW_TARGET_H
#define PREVIEW_TARGET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Name of the query's parameter.  Apps have one of that name too (Vite's
 * sockets, Jupyter's links): it is ours by its value only. */
#define PREVIEW_PARAMETER "token"

/* What a client offers as WebSocket subprotocols: the token behind the
 * prefix, and the name that we choose when the app chooses none. */
#define PREVIEW_PROTOCOL "sandgate"
#define PREVIEW_PROTOCOL_PREFIX "sandgate-token."

/*
 * The values of the parameter in a raw query (absent: none) that hold what
 * looks like a token of ours: returns how many there are, the first max of
 * them in out.  Name and token are found under any percent-encoding; the
 * values are raw.
 *
 * foreign  true: there is another value, which is the app's; NULL
 */
unsigned preview_target_tokens(struct str query, struct str *out, unsigned max,
                               bool *foreign);

/*
 * Append the target without tokens of ours: the path and all other
 * parameters byte for byte, no ? when nothing stands behind it.
 */
void preview_target_clean(struct str target, struct buf *out);

/*
 * Append the clean target as the value of Location: one / and a path of this
 * very host.
 * Errors: E_BAD_REQUEST (it begins with // or /\, or has a byte that no
 * target has), E_NOMEM.  Source: threats.md P-08
 */
MUST_USE enum err preview_target_location(struct str target, struct buf *out);

/* Append a Referer without tokens of ours; the rest byte for byte. */
void preview_target_referer(struct str value, struct buf *out);

/*
 * Tokens among offered subprotocols, the value of one Sec-WebSocket-Protocol
 * field: as preview_target_tokens().
 */
unsigned preview_target_protocol_tokens(struct str value, struct str *out,
                                        unsigned max);

/*
 * Append the value without our entries (the token's and our name); nothing
 * when none is left.  *ours: our name was offered.
 */
void preview_target_protocols(struct str value, struct buf *out, bool *ours);

#endif
