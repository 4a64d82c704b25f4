/* named.h - the files that a configuration names. */
#ifndef CONF_NAMED_H
#define CONF_NAMED_H

#include <stdbool.h>

#include "base/str.h"

/* Each returns NULL, or what is wrong (static text). */

/* A file that is written later: is its directory there? */
const char *named_to_write(struct str path);

/* Can it be read?  owner_only: and by nobody else? */
const char *named_to_read(struct str path, bool owner_only);

/* The secret of a file: its 64 hex digits, or the BLAKE2b-256 of 32 or more
 * bytes. */
const char *named_secret(struct str path, unsigned char out[32]);

/* The secret of a file as it stands there, without line ends behind it: 16
 * to room bytes. */
const char *named_shared(struct str path, unsigned char *out, size_t room,
                         unsigned *bytes);

#endif
