/* inflate.h - gzip bodies unpacked as they stream by, with a bound.  For the
 * files of translate/. */
#ifndef TRANSLATE_INFLATE_H
#define TRANSLATE_INFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct inflate;

/* out  given: inflate_free().  Errors: E_NOMEM. */
MUST_USE enum err inflate_new(struct inflate **out);

/*
 * Append what the begin of *in unpacks to, at most 64 KiB; what was read is
 * cut off *in.  Several members are joined.
 * Errors: E_BAD_REQUEST (not gzip, bad checksum), E_TOO_BIG (more than 100
 * bytes out for one in: threats.md L-04), E_NOMEM.
 */
MUST_USE enum err inflate_next(struct inflate *z, struct str *in,
                               struct buf *out);

/* Has the last member ended? */
bool inflate_complete(const struct inflate *z);

/* Taken; *z becomes NULL, may be NULL. */
void inflate_free(struct inflate **z);

#endif
