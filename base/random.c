/* random.c - see random.h. */
#include "base/random.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static unsigned char fixed_seed[randombytes_SEEDBYTES]; /* tests only */
static uint64_t fixed_turn;                             /* tests only */
static bool fixed;                                      /* tests only */

enum err random_start(void)
{
    return sodium_init() < 0 ? E_SYSTEM : E_OK;
}

void random_bytes(void *out, size_t n)
{
    unsigned char seed[randombytes_SEEDBYTES];

    if (!fixed) {
        randombytes_buf(out, n);
        return;
    }
    memcpy(seed, fixed_seed, sizeof(seed));
    fixed_turn++;
    for (unsigned i = 0; i < 8; i++)
        seed[i] ^= (unsigned char)(fixed_turn >> 8 * i);
    randombytes_buf_deterministic(out, n, seed);
}

void random_set(const unsigned char seed[32])
{
    fixed = seed != NULL;
    fixed_turn = 0;
    if (seed)
        memcpy(fixed_seed, seed, sizeof(fixed_seed));
}
