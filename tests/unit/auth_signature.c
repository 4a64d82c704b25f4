#include <criterion/criterion.h>

#include "auth/signature.h"

#define NOW_S 1800000000
#define SPACED STR("/home/user/a b+c.txt")
#define SPACED_V1 STR("v1_THgZffcWqGwN7Mcx9y/eo9kZujAjfyoWb/LRrLMgcu4")
#define HELLO STR("/home/user/hello.txt")
#define ENDS STR("1900000000")
#define HELLO_V1 STR("v1_oiar0CZjX4U6ZZahuPVS/Appsz5uBmfQFExmDcYdIhY")
#define OLD STR("1700000000")

/* The signatures are those of e2b-data-plane.md 4.5 (openssl, token tok_abc);
 * those of other texts were computed with Python's hashlib. */
static const struct {
    const char *name;
    struct signature_claim claim;
    const char *token;
    int64_t now_s;
    enum signature_verdict want;
} rows[] = {
    {"read",
     {SPACED, false, STR("root"), SPACED_V1, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"write, no user",
     {STR("a.txt"), true, STR(""),
      STR("v1_ApWHg/dvhsqCnbeOFF6fe48UFlkpr0GEJ3/dxYZsBHE"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"no path",
     {STR(""), true, STR(""),
      STR("v1_gPVFJzQYJs7f4dWT88OaqOGZGas1hiZyzsIy7y0K/JE"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"absent path and user are empty ones",
     {STR_NONE, true, STR_NONE,
      STR("v1_gPVFJzQYJs7f4dWT88OaqOGZGas1hiZyzsIy7y0K/JE"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"read with expiration",
     {HELLO, false, STR(""), HELLO_V1, ENDS},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"write with expiration",
     {HELLO, true, STR("root"),
      STR("v1_H/wSiMdH9RTOhbrJDFLglbBHWnzpcAfGATleKtT2YXA"), ENDS},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"in its last second",
     {HELLO, false, STR(""), HELLO_V1, ENDS},
     "tok_abc",
     1900000000,
     SIGNATURE_OK},
    {"a second late",
     {HELLO, false, STR(""), HELLO_V1, ENDS},
     "tok_abc",
     1900000001,
     SIGNATURE_EXPIRED},
    {"expiration taken off",
     {HELLO, false, STR(""), HELLO_V1, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"expiration changed",
     {HELLO, false, STR(""), HELLO_V1, STR("1900000001")},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"expired and wrong is wrong",
     {HELLO, false, STR(""), HELLO_V1, OLD},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"empty expiration",
     {HELLO, false, STR(""), HELLO_V1, STR("")},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"missing",
     {SPACED, false, STR("root"), STR_NONE, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_MISSING},
    {"missing and expired",
     {HELLO, false, STR(""), STR_NONE, OLD},
     "tok_abc",
     NOW_S,
     SIGNATURE_MISSING},
    {"empty",
     {SPACED, false, STR("root"), STR(""), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"other operation",
     {SPACED, true, STR("root"), SPACED_V1, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"other user",
     {SPACED, false, STR("user"), SPACED_V1, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"empty user",
     {SPACED, false, STR(""), SPACED_V1, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"other path",
     {STR("/home/user/a b c.txt"), false, STR("root"), SPACED_V1, STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"other token",
     {SPACED, false, STR("root"), SPACED_V1, STR_NONE},
     "tok_abd",
     NOW_S,
     SIGNATURE_WRONG},
    {"empty token",
     {SPACED, false, STR("root"), SPACED_V1, STR_NONE},
     "",
     NOW_S,
     SIGNATURE_WRONG},
    {"no token",
     {SPACED, false, STR("root"), SPACED_V1, STR_NONE},
     NULL,
     NOW_S,
     SIGNATURE_WRONG},
    {"URL alphabet",
     {SPACED, false, STR("root"),
      STR("v1_THgZffcWqGwN7Mcx9y_eo9kZujAjfyoWb_LRrLMgcu4"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"padded",
     {SPACED, false, STR("root"),
      STR("v1_THgZffcWqGwN7Mcx9y/eo9kZujAjfyoWb/LRrLMgcu4="), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"other version",
     {SPACED, false, STR("root"),
      STR("v2_THgZffcWqGwN7Mcx9y/eo9kZujAjfyoWb/LRrLMgcu4"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"a colon in the path is signed",
     {STR("/a:read:b"), false, STR(""),
      STR("v1_LEgc2R2oNu/neestEZJ5/tTHA0sNghqJSTa/2xiBo84"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_OK},
    {"the same text cut elsewhere",
     {STR("/a"), false, STR("b:read:"),
      STR("v1_LEgc2R2oNu/neestEZJ5/tTHA0sNghqJSTa/2xiBo84"), STR_NONE},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"leading zeros, though signed",
     {HELLO, false, STR(""),
      STR("v1_NS2Az6JKXWdgzZBhRAQI33jvKT7YAS74djQ73hI/jt8"),
      STR("01900000000")},
     "tok_abc",
     NOW_S,
     SIGNATURE_WRONG},
    {"expired long ago",
     {HELLO, false, STR(""),
      STR("v1_VaidWPUEau+SrriQnS94jE5vHFrFryu78MDJZpulT2Y"), OLD},
     "tok_abc",
     NOW_S,
     SIGNATURE_EXPIRED},
};

Test(auth_signature, covers_path_operation_user_token_and_expiration)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(
            auth_signature_check(&rows[i].claim, rows[i].token, rows[i].now_s),
            rows[i].want, "%s", rows[i].name);
}

Test(auth_signature, is_refused_when_any_bit_is_flipped)
{
    struct signature_claim claim = rows[0].claim;
    char text[64];

    for (size_t bit = 0; bit < 8 * claim.signature.n; bit++) {
        memcpy(text, rows[0].claim.signature.p, claim.signature.n);
        text[bit / 8] ^= (char)(1 << bit % 8);
        claim.signature = str_from(text, rows[0].claim.signature.n);
        cr_expect_eq(auth_signature_check(&claim, "tok_abc", NOW_S),
                     SIGNATURE_WRONG, "bit %zu", bit);
    }
}

static const struct {
    const char *name;
    struct str text;
    bool want;
} expirations[] = {
    {"seconds", STR("1900000000"), true},
    {"zero", STR("0"), true},
    {"largest", STR("9223372036854775807"), true},
    {"one more", STR("9223372036854775808"), false},
    {"empty", STR(""), false},
    {"absent", STR_NONE, false},
    {"sign", STR("+1900000000"), false},
    {"negative", STR("-1"), false},
    {"leading zero", STR("01"), false},
    {"fraction", STR("1.5"), false},
    {"exponent", STR("1e9"), false},
    {"hex", STR("0x10"), false},
    {"space", STR(" 1"), false},
    {"word", STR("never"), false},
};

Test(auth_signature, expires_at_a_decimal_number)
{
    for (size_t i = 0; i < sizeof(expirations) / sizeof(*expirations); i++)
        cr_expect_eq(auth_signature_expiration_ok(expirations[i].text),
                     expirations[i].want, "%s", expirations[i].name);
}
