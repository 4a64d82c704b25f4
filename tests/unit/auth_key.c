#include <criterion/criterion.h>
#include <stdio.h>

#include "auth/key.h"

#define HEX38 "0123456789abcdef0123456789abcdef012345"

static const struct {
    const char *name;
    struct str key;
    bool want;
} forms[] = {
    {"good", STR("e2b_" HEX38 "67"), true},
    {"absent", STR_NONE, false},
    {"empty", STR(""), false},
    {"prefix only", STR("e2b_"), false},
    {"one short", STR("e2b_" HEX38 "6"), false},
    {"one long", STR("e2b_" HEX38 "678"), false},
    {"upper case", STR("e2b_" HEX38 "6A"), false},
    {"g", STR("e2b_" HEX38 "6g"), false},
    {"NUL", STR("e2b_" HEX38 "6\0"), false},
    {"before 0", STR("e2b_" HEX38 "6/"), false},
    {"after 9", STR("e2b_" HEX38 "6:"), false},
    {"before a", STR("e2b_" HEX38 "6`"), false},
    {"eighth bit", STR("e2b_" HEX38 "6\xe1"), false},
    {"other prefix", STR("e2c_" HEX38 "67"), false},
    {"prefix in capitals", STR("E2B_" HEX38 "67"), false},
    {"space before", STR(" e2b_" HEX38 "6"), false},
};

Test(auth_key, has_one_form)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        cr_expect_eq(auth_key_ok(forms[i].key), forms[i].want, "%s",
                     forms[i].name);
}

static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)i;
}

Test(auth_key, is_made_of_twenty_random_bytes)
{
    unsigned char random[20];
    char key[45];

    fill(random, sizeof(random));
    random[19] = 0xff;
    auth_key_make(random, key);
    cr_expect_str_eq(key, "e2b_000102030405060708090a0b0c0d0e0f101112ff");
    cr_expect(auth_key_ok(str_of(key)));
}

/* Computed with Python's hashlib.blake2b(key=bytes(range(32)),
 * digest_size=32). */
static const struct {
    const char *name;
    struct str key;
    const char *want;
} hashes[] = {
    {"a key", STR("e2b_000102030405060708090a0b0c0d0e0f10111213"),
     "65171fe9025508b69e2bcabb72ff6208126c78eb2a445d9cda4d7cf4edf96028"},
    {"empty", STR(""),
     "4e51e7a913fc80137da52880fecca175bf81e117d5c68126dc2774033517ea0d"},
    {"absent", STR_NONE,
     "4e51e7a913fc80137da52880fecca175bf81e117d5c68126dc2774033517ea0d"},
};

static void to_hex(const unsigned char *p, char out[65])
{
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
}

Test(auth_key, is_hashed_under_the_secret)
{
    unsigned char secret[32], hash[KEY_HASH_BYTES];
    char hex[65];

    fill(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(hashes) / sizeof(*hashes); i++) {
        auth_key_hash(hashes[i].key, secret, hash);
        to_hex(hash, hex);
        cr_expect_str_eq(hex, hashes[i].want, "%s", hashes[i].name);
    }
    secret[31] ^= 1;
    auth_key_hash(hashes[0].key, secret, hash);
    to_hex(hash, hex);
    cr_expect_str_neq(hex, hashes[0].want, "another secret, another hash");
}
