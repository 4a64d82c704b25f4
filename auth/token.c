/* token.c - see token.h. */
#include "auth/token.h"

#include <sodium.h>
#include <stdio.h>

/* With the NUL that parts purpose and id, so no two calls share a message:
 * an id holds no NUL. */
static void derive(const unsigned char secret[32], struct str purpose,
                   struct str id, uint64_t life, char *out)
{
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char number[24];
    int n = snprintf(number, sizeof(number), "%llu", (unsigned long long)life);

    crypto_auth_hmacsha256_init(&state, secret, 32);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)purpose.p,
                                  purpose.n + 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)id.p, id.n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)"", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)number,
                                  (unsigned long long)n);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(out, AUTH_TOKEN_LENGTH + 1, mac, sizeof(mac));
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(mac, sizeof(mac));
}

void auth_token_envd(const unsigned char secret[32], struct str id,
                     uint64_t life, char out[AUTH_TOKEN_LENGTH + 1])
{
    derive(secret, STR("envd"), id, life, out);
}

void auth_token_traffic(const unsigned char secret[32], struct str id,
                        uint64_t life, char out[AUTH_TOKEN_LENGTH + 1])
{
    derive(secret, STR("traffic"), id, life, out);
}

bool auth_token_same(struct str given, const char *token)
{
    return given.n == AUTH_TOKEN_LENGTH && token &&
           strlen(token) == AUTH_TOKEN_LENGTH &&
           sodium_memcmp(given.p, token, AUTH_TOKEN_LENGTH) == 0;
}
