/* random.h - unpredictable bytes.  Not for the pure folders: they are given
 * randomness as an argument. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

#include "base/err.h"

/* Make libsodium ready.  Call once, first thing in main().
 * Errors: E_SYSTEM. */
MUST_USE enum err random_start(void);

/* Fill n bytes from the system's generator (libsodium). */
void random_bytes(void *out, size_t n);

/* Tests only: a seed makes the bytes repeatable; NULL ends that. */
void random_set(const unsigned char seed[32]);

#endif
