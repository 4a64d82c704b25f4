/* key.h - API keys: their form, their hash, whose they are. */
#ifndef AUTH_KEY_H
#define AUTH_KEY_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "model/key.h"

/* `e2b_` and 40 lower-case hex digits.  Source: e2b-control-plane.md 4.1 */
#define AUTH_KEY_LENGTH 44

/* Is it of the form of a key? */
bool auth_key_ok(struct str key);

/* The key text (45 bytes with NUL) of 20 random bytes. */
void auth_key_make(const unsigned char random[20], char out[45]);

/* Keyed BLAKE2b-256 of the key's text under the secret: what is stored and
 * looked up by.  Source: threats.md K-02. */
void auth_key_hash(struct str key, const unsigned char secret[32],
                   unsigned char out[KEY_HASH_BYTES]);

#endif
