/* key.c - see key.h. */
#include "auth/key.h"

#include <sodium.h>
#include <string.h>

#define PREFIX "e2b_"
#define PREFIX_BYTES (sizeof(PREFIX) - 1)
#define RANDOM_BYTES 20

_Static_assert(PREFIX_BYTES + 2 * RANDOM_BYTES == AUTH_KEY_LENGTH, "length");
_Static_assert(KEY_HASH_BYTES >= crypto_generichash_BYTES_MIN &&
                   KEY_HASH_BYTES <= crypto_generichash_BYTES_MAX,
               "BLAKE2b gives this many");

bool auth_key_ok(struct str key)
{
    if (key.n != AUTH_KEY_LENGTH || memcmp(key.p, PREFIX, PREFIX_BYTES) != 0)
        return false;
    for (size_t i = PREFIX_BYTES; i < key.n; i++) {
        char c = key.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return true;
}

void auth_key_make(const unsigned char random[20], char out[45])
{
    memcpy(out, PREFIX, PREFIX_BYTES);
    /* libsodium's hex has no tables to leave a trace of the key in. */
    sodium_bin2hex(out + PREFIX_BYTES, 2 * RANDOM_BYTES + 1, random,
                   RANDOM_BYTES);
}

void auth_key_hash(struct str key, const unsigned char secret[32],
                   unsigned char out[KEY_HASH_BYTES])
{
    /* Fails only for lengths that the assertions above exclude. */
    (void)crypto_generichash(out, KEY_HASH_BYTES,
                             (const unsigned char *)(key.p ? key.p : ""), key.n,
                             secret, 32);
}
