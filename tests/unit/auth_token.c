#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/token.h"

/* Computed with Python's hmac over "purpose\0id\0life". */
static const struct {
    const char *name;
    bool traffic;
    struct str id;
    uint64_t life;
    const char *want;
} rows[] = {
    {"envd, life 0", false, STR("iabc"), 0,
     "4db0032dd9e2fc9736f504f23d2b1cdd022ea327c0c3ab5a2742a739d3548178"},
    {"envd, life 1", false, STR("iabc"), 1,
     "2dd5a860c9332b76269fae63369cfe284ac99fd3c8f51b1ba3f9de359b53a4cc"},
    {"envd, last life", false, STR("iabc"), UINT64_MAX,
     "061c5e58cd2e03c2e277990939827c35deaa8369f00f4286caf908239d9df7a9"},
    {"envd, longer id", false, STR("iabc0"), 1,
     "2bf4dfc0f47a13b02ccc571d32f871956b8b723b929c67a15fa7bae4f9ad2cd1"},
    {"traffic, life 0", true, STR("iabc"), 0,
     "52c3a87c7265d743afb5df43ee92eebcc8e76f6c93b16bacc621075d1a50c523"},
    {"traffic, life 1", true, STR("iabc"), 1,
     "a842e374da8a315aad4142eb8b3cd9c0f8f338ecc4cb1bed353dcf18f0303f7a"},
    {"traffic, last life", true, STR("iabc"), UINT64_MAX,
     "96d64f2adf4e52061395dd41214d8cbdc9f800f9a9de43775fb85a400484a221"},
    {"traffic, longer id", true, STR("iabc0"), 1,
     "9a28b8630923a1e9f1900e1ed7f104bc0a68ff46884448528ce1eb632471aedc"},
};

static void derive(const unsigned char *secret, size_t i, char *out)
{
    if (rows[i].traffic)
        auth_token_traffic(secret, rows[i].id, rows[i].life, out);
    else
        auth_token_envd(secret, rows[i].id, rows[i].life, out);
}

Test(auth_token, is_derived_from_secret_purpose_id_and_life)
{
    unsigned char secret[32];
    char token[AUTH_TOKEN_LENGTH + 1];

    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        derive(secret, i, token);
        cr_expect_str_eq(token, rows[i].want, "%s", rows[i].name);
    }
    secret[0] ^= 0x80;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        derive(secret, i, token);
        cr_expect_str_neq(token, rows[i].want, "%s", rows[i].name);
    }
}

Test(auth_token, is_compared_whole)
{
    const char *token = rows[0].want;
    char other[AUTH_TOKEN_LENGTH + 2];

    cr_expect(auth_token_same(str_of(token), token));
    cr_expect_not(auth_token_same(STR_NONE, token), "absent");
    cr_expect_not(auth_token_same(STR(""), token), "empty");
    cr_expect_not(auth_token_same(STR(""), ""), "empty and no token");
    cr_expect_not(auth_token_same(str_of(token), NULL), "no token");
    cr_expect_not(auth_token_same(str_of(token), "4db0"), "short token");
    cr_expect_not(
        auth_token_same(str_from(token, AUTH_TOKEN_LENGTH - 1), token),
        "one short");
    snprintf(other, sizeof(other), "%s0", token);
    cr_expect_not(auth_token_same(str_of(other), token), "one long");
    for (size_t i = 0; i < AUTH_TOKEN_LENGTH; i++) {
        memcpy(other, token, AUTH_TOKEN_LENGTH + 1);
        other[i] ^= 1;
        cr_expect_not(auth_token_same(str_of(other), token), "digit %zu", i);
    }
    snprintf(other, sizeof(other), "%s", token);
    other[2] = 'B';
    cr_expect_not(auth_token_same(str_of(other), token), "upper case");
}
