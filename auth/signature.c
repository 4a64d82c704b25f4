/* signature.c - see signature.h. */
#include "auth/signature.h"

#include <sodium.h>

#define VERSION "v1_"
#define VERSION_BYTES (sizeof(VERSION) - 1)
#define VARIANT sodium_base64_VARIANT_ORIGINAL_NO_PADDING
/* "v1_" and 43 digits of 32 bytes. */
#define SIGNATURE_BYTES (VERSION_BYTES + 43)

static void add(crypto_hash_sha256_state *state, struct str text)
{
    if (text.n > 0)
        crypto_hash_sha256_update(state, (const unsigned char *)text.p, text.n);
}

/* The one signature that is right for the claim. */
static void sign(const struct signature_claim *claim, struct str token,
                 char out[SIGNATURE_BYTES + 1])
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_init(&state);
    add(&state, claim->path);
    add(&state, claim->write ? STR(":write:") : STR(":read:"));
    add(&state, claim->username);
    add(&state, STR(":"));
    add(&state, token);
    if (claim->expiration.p) {
        add(&state, STR(":"));
        add(&state, claim->expiration);
    }
    crypto_hash_sha256_final(&state, digest);
    memcpy(out, VERSION, VERSION_BYTES);
    sodium_bin2base64(out + VERSION_BYTES, SIGNATURE_BYTES - VERSION_BYTES + 1,
                      digest, sizeof(digest), VARIANT);
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(digest, sizeof(digest));
}

bool auth_signature_expiration_ok(struct str expiration)
{
    uint64_t end_s;

    return str_u64(expiration, INT64_MAX, &end_s);
}

enum signature_verdict auth_signature_check(const struct signature_claim *claim,
                                            const char *envd_token,
                                            int64_t now_s)
{
    struct str token = str_of(envd_token);
    uint64_t end_s = 0;
    char right[SIGNATURE_BYTES + 1];
    bool same;

    if (!claim->signature.p)
        return SIGNATURE_MISSING;
    if (token.n == 0 || claim->signature.n != SIGNATURE_BYTES)
        return SIGNATURE_WRONG;
    /* The parts are joined by colons and a path may hold some: with a colon
     * in the user as well, one signature would fit several claims. */
    if (str_find(claim->username, ':') < claim->username.n)
        return SIGNATURE_WRONG;
    if (claim->expiration.p && !str_u64(claim->expiration, INT64_MAX, &end_s))
        return SIGNATURE_WRONG;
    sign(claim, token, right);
    same = sodium_memcmp(claim->signature.p, right, SIGNATURE_BYTES) == 0;
    sodium_memzero(right, sizeof(right));
    if (!same)
        return SIGNATURE_WRONG;
    if (claim->expiration.p && (int64_t)end_s < now_s)
        return SIGNATURE_EXPIRED;
    return SIGNATURE_OK;
}
