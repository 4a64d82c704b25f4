#include <criterion/criterion.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/mem.h"
#include "preview/seal.h"
#include "preview/token.h"
#include "tests/unit/preview_make.h"

/* Source: mitos-sandbox-server.md 4.1 */
#define VECTOR_PAYLOAD "eyJzIjoic2ItMSIsInAiOjMwMDAsImUiOjIwMDAwMDAwMDB9"
#define VECTOR_TOKEN \
    VECTOR_PAYLOAD ".8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L4"
#define VECTOR_EXPIRY INT64_C(2000000000)

static enum err verify(struct str text, int64_t now_s, struct link *out)
{
    return preview_token_verify(preview_make_conf(), text, now_s, out);
}

/* ---- the sandbox server's form ---- */

Test(preview_token, mints_the_vector_of_the_protocol)
{
    struct link link = {
        .sandbox = "sb-1", .port = 3000, .expires_s = VECTOR_EXPIRY};
    struct buf token = preview_make_mitos(preview_make_conf(), &link);

    cr_expect(str_eq(buf_str(&token), STR(VECTOR_TOKEN)), "%.*s",
              STR_FMT(buf_str(&token)));
    buf_clear(&token);
}

Test(preview_token, believes_the_vector_through_its_last_second)
{
    static const struct {
        int64_t now_s;
        enum err err;
    } rows[] = {
        {VECTOR_EXPIRY - 3600, E_OK},
        {VECTOR_EXPIRY - 1, E_OK},
        {VECTOR_EXPIRY, E_OK},
        {VECTOR_EXPIRY + 1, E_TOKEN_EXPIRED},
        {VECTOR_EXPIRY - LINK_TTL_MAX_S, E_OK},
        {VECTOR_EXPIRY - LINK_TTL_MAX_S - 1, E_TOKEN_INVALID},
        {0, E_TOKEN_INVALID},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct link link;
        enum err err = verify(STR(VECTOR_TOKEN), rows[i].now_s, &link);

        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, err_name(err));
        if (err == E_OK) {
            cr_expect_str_eq(link.sandbox, "sb-1");
            cr_expect_str_eq(link.id, "");
            cr_expect_eq(link.port, 3000);
            cr_expect_eq(link.life, 0);
            cr_expect_eq(link.expires_s, VECTOR_EXPIRY);
        }
    }
}

/* Sign any payload with the shared secret, the NUL in its place. */
static struct buf sign(struct str json)
{
    struct str parts[2] = {STR("mitos-preview-v1"), STR_NONE};
    const struct conf_preview *conf = preview_make_conf();
    unsigned char tag[32];
    struct buf token;

    buf_init(&token, 4096);
    encode_base64url(&token, json);
    parts[1] = buf_str(&token);
    preview_seal_mac(str_from((const char *)conf->mitos_secret, 18), parts, 2,
                     tag);
    buf_byte(&token, '.');
    encode_base64url(&token, str_from((const char *)tag, 32));
    return token;
}

/* threats.md P-02, P-04: under a right MAC one spelling only. */
Test(preview_token, takes_the_payload_in_one_spelling)
{
    static const struct {
        const char *name, *json;
        enum err err;
    } rows[] = {
        {"right", "{\"s\":\"a\",\"p\":1,\"e\":2000000000}", E_OK},
        {"port 65535", "{\"s\":\"a\",\"p\":65535,\"e\":2000000000}", E_OK},
        {"port 65536", "{\"s\":\"a\",\"p\":65536,\"e\":2000000000}",
         E_TOKEN_INVALID},
        {"port 0", "{\"s\":\"a\",\"p\":0,\"e\":2000000000}", E_TOKEN_INVALID},
        {"port 080", "{\"s\":\"a\",\"p\":080,\"e\":2000000000}",
         E_TOKEN_INVALID},
        {"space", "{\"s\":\"a\", \"p\":1,\"e\":2000000000}", E_TOKEN_INVALID},
        {"other order", "{\"p\":1,\"s\":\"a\",\"e\":2000000000}",
         E_TOKEN_INVALID},
        {"one more", "{\"s\":\"a\",\"p\":1,\"e\":2000000000,\"a\":1}",
         E_TOKEN_INVALID},
        {"one behind", "{\"s\":\"a\",\"p\":1,\"e\":2000000000} ",
         E_TOKEN_INVALID},
        {"no expiry", "{\"s\":\"a\",\"p\":1}", E_TOKEN_INVALID},
        {"empty expiry", "{\"s\":\"a\",\"p\":1,\"e\":}", E_TOKEN_INVALID},
        {"zero before", "{\"s\":\"a\",\"p\":1,\"e\":02000000000}",
         E_TOKEN_INVALID},
        {"a text", "{\"s\":\"a\",\"p\":1,\"e\":\"2000000000\"}",
         E_TOKEN_INVALID},
        {"a fraction", "{\"s\":\"a\",\"p\":1,\"e\":2000000000.0}",
         E_TOKEN_INVALID},
        {"an exponent", "{\"s\":\"a\",\"p\":1,\"e\":2e9}", E_TOKEN_INVALID},
        {"below 0", "{\"s\":\"a\",\"p\":1,\"e\":-1}", E_TOKEN_INVALID},
        {"19 digits", "{\"s\":\"a\",\"p\":1,\"e\":9000000000000000000}",
         E_TOKEN_INVALID},
        {"20 digits", "{\"s\":\"a\",\"p\":1,\"e\":10000000000000000000}",
         E_TOKEN_INVALID},
        {"long past", "{\"s\":\"a\",\"p\":1,\"e\":1}", E_TOKEN_EXPIRED},
        {"no id", "{\"s\":\"\",\"p\":1,\"e\":2000000000}", E_TOKEN_INVALID},
        {"an escape in the id", "{\"s\":\"\\u0061\",\"p\":1,\"e\":2000000000}",
         E_TOKEN_INVALID},
        {"a slash in the id", "{\"s\":\"a/b\",\"p\":1,\"e\":2000000000}",
         E_TOKEN_INVALID},
        {"an id of 64",
         "{\"s\":\"a123456789012345678901234567890123456789012345678901234567"
         "890123\",\"p\":1,\"e\":2000000000}",
         E_OK},
        {"an id of 65",
         "{\"s\":\"a123456789012345678901234567890123456789012345678901234567"
         "8901234\",\"p\":1,\"e\":2000000000}",
         E_TOKEN_INVALID},
        {"no object", "[]", E_TOKEN_INVALID},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf token = sign(str_of(rows[i].json));
        struct link link;
        enum err err = verify(buf_str(&token), VECTOR_EXPIRY - 60, &link);

        cr_expect_eq(err, rows[i].err, "%s: %s", rows[i].name, err_name(err));
        buf_clear(&token);
    }
}

Test(preview_token, takes_the_whole_in_one_spelling)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"nothing", ""},
        {"a dot", "."},
        {"two dots", VECTOR_TOKEN "."},
        {"two dots inside", "eyJ.zIj.oi"},
        {"no payload", ".8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L4"},
        {"no tag", VECTOR_PAYLOAD "."},
        {"no dot", VECTOR_PAYLOAD},
        {"padding", VECTOR_TOKEN "="},
        {"padding of the payload",
         VECTOR_PAYLOAD "=.8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L4"},
        {"spare bits of the tag",
         VECTOR_PAYLOAD ".8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L5"},
        {"the other alphabet",
         VECTOR_PAYLOAD ".8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L+"},
        {"a space before", " " VECTOR_TOKEN},
        {"a line end behind", VECTOR_TOKEN "\n"},
        {"the NUL of the MAC forgotten",
         VECTOR_PAYLOAD ".atm3lkrB_JsJssnAg8cX45X_akC83cOBpRPbaL_c9ac"},
        {"a short tag",
         VECTOR_PAYLOAD ".8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L"},
        {"a long tag",
         VECTOR_PAYLOAD ".8A0D9dJP1lR7r1jqZvTPFHVkCnkJNBOOl6RbZV9U0L4A"},
        {"half a tag", VECTOR_PAYLOAD ".8A0D9dJP1lR7r1jqZvTPFA"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct link link;

        cr_expect_eq(verify(str_of(rows[i].text), VECTOR_EXPIRY - 60, &link),
                     E_TOKEN_INVALID, "%s", rows[i].name);
    }
}

Test(preview_token, is_not_served_without_a_shared_secret_of_16_bytes)
{
    struct conf_preview conf = *preview_make_conf();
    struct link link = preview_make_link();
    struct buf b;

    for (unsigned bytes = 0; bytes < 16; bytes += 15) {
        conf.mitos_secret_bytes = bytes;
        cr_expect_eq(preview_token_verify(&conf, STR(VECTOR_TOKEN),
                                          VECTOR_EXPIRY, &link),
                     E_TOKEN_INVALID);
    }
    conf.mitos_secret_bytes = 0;
    link = preview_make_link();
    buf_init(&b, 1024);
    cr_expect_eq(preview_token_mint_mitos(&conf, &link, &b), E_UNIMPLEMENTED);
    buf_clear(&b);
}

/* ---- our own form ---- */

static void expect_same(const struct link *a, const struct link *b)
{
    cr_expect_str_eq(a->id, b->id);
    cr_expect_str_eq(a->sandbox, b->sandbox);
    cr_expect_eq(a->life, b->life);
    cr_expect_eq(a->port, b->port);
    cr_expect_eq(a->opaque, b->opaque);
    cr_expect_eq(a->created_ms, b->created_ms);
    cr_expect_eq(a->expires_s, b->expires_s);
    cr_expect_eq(a->scopes.methods, b->scopes.methods);
    cr_expect_eq(a->scopes.websocket, b->scopes.websocket);
    cr_expect_str_eq(a->scopes.path, b->scopes.path);
    cr_expect_eq(a->scopes.uses_max, b->scopes.uses_max);
    cr_assert_eq(a->scopes.cidr_count, b->scopes.cidr_count);
    for (unsigned i = 0; i < a->scopes.cidr_count; i++)
        cr_expect_eq(memcmp(&a->scopes.cidrs[i], &b->scopes.cidrs[i],
                            sizeof(a->scopes.cidrs[i])),
                     0);
}

/* A link with every scope and the longest of values. */
static struct link full_link(void)
{
    struct link link = preview_make_link();

    memset(link.sandbox, 'z', LINK_SANDBOX_MAX);
    link.life = UINT64_MAX;
    link.port = 65535;
    link.opaque = true;
    link.scopes.methods = 1;
    link.scopes.websocket = false;
    memset(link.scopes.path, 'p', LINK_PATH_MAX);
    link.scopes.path[0] = '/';
    link.scopes.uses_max = LINK_USES_MAX;
    for (unsigned i = 0; i < LINK_CIDRS_MAX; i++) {
        struct address_block *c = &link.scopes.cidrs[i];

        c->v6 = i % 2;
        c->bits = c->v6 ? 128 : 32;
        memset(c->bytes, (int)i + 1, c->v6 ? 16 : 4);
    }
    link.scopes.cidr_count = LINK_CIDRS_MAX;
    return link;
}

Test(preview_token, says_again_what_was_signed)
{
    struct link links[] = {preview_make_link(), full_link()};

    for (unsigned i = 0; i < 2; i++) {
        struct buf token = preview_make_token(preview_make_conf(), &links[i]);
        struct link out;

        cr_expect(preview_token_like(buf_str(&token)));
        cr_assert_eq(verify(buf_str(&token), NOW_S, &out), E_OK);
        expect_same(&out, &links[i]);
        printf("token %u: %zu bytes\n", i, buf_len(&token));
        buf_clear(&token);
    }
}

Test(preview_token, believes_times_between_now_and_the_most)
{
    static const struct {
        int64_t expires_s;
        enum err err;
    } rows[] = {
        {NOW_S + 1, E_OK},
        {NOW_S + LINK_TTL_MAX_S, E_OK},
        {NOW_S + LINK_TTL_MAX_S + 1, E_TOKEN_INVALID},
        {NOW_S, E_TOKEN_EXPIRED},
        {NOW_S - 1, E_TOKEN_EXPIRED},
        {1, E_TOKEN_EXPIRED},
        {(INT64_C(1) << 40) - 1, E_TOKEN_INVALID},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct link link = preview_make_link(), out;
        struct buf token;
        enum err err;

        link.expires_s = rows[i].expires_s;
        token = preview_make_token(preview_make_conf(), &link);
        err = verify(buf_str(&token), NOW_S, &out);
        cr_expect_eq(err, rows[i].err, "row %zu: %s", i, err_name(err));
        buf_clear(&token);
    }
}

Test(preview_token, is_not_made_of_what_is_out_of_range)
{
    struct link rows[10];
    struct buf b;

    for (unsigned i = 0; i < 10; i++)
        rows[i] = preview_make_link();
    rows[0].id[0] = '\0';
    rows[1].id[0] = 'x';
    rows[2].port = 0;
    rows[3].port = 65536;
    rows[4].expires_s = INT64_C(1) << 40;
    rows[5].created_ms = -1;
    rows[6].scopes.methods = 0;
    rows[7].sandbox[0] = '\0';
    rows[8].scopes.cidr_count = LINK_CIDRS_MAX + 1;
    memcpy(rows[9].scopes.path, "/a/../b", 8);
    buf_init(&b, 1024);
    for (unsigned i = 0; i < 10; i++)
        cr_expect_eq(preview_token_mint(preview_make_conf(), &rows[i], &b),
                     E_RANGE, "row %u", i);
    buf_clear(&b);
}

/* threats.md P-05, P-12: rotation with overlap. */
Test(preview_token, is_believed_under_every_configured_key_by_its_id)
{
    struct conf_preview conf = *preview_make_conf(), old = conf;
    struct conf_preview_key other[] = {{.id = STR("k2"), .secret = {9}},
                                       {.id = STR("k3"), .secret = {2}}};
    struct link link = preview_make_link(), out;
    struct buf token;

    old.keys++; /* as it was when k1 was the only one */
    old.key_count = 1;
    token = preview_make_token(&old, &link);
    cr_expect_eq(verify(buf_str(&token), NOW_S, &out), E_OK);
    buf_clear(&token);
    token = preview_make_token(&conf, &link);
    cr_expect_eq(verify(buf_str(&token), NOW_S, &out), E_OK);
    cr_expect_eq(preview_token_verify(&old, buf_str(&token), NOW_S, &out),
                 E_TOKEN_INVALID, "a key id that is not there");
    conf.keys = other;
    cr_expect_eq(preview_token_verify(&conf, buf_str(&token), NOW_S, &out),
                 E_TOKEN_INVALID, "another key of that id");
    conf.keys++; /* the same secret under another id */
    conf.key_count = 1;
    cr_expect_eq(preview_token_verify(&conf, buf_str(&token), NOW_S, &out),
                 E_TOKEN_INVALID);
    conf.key_count = 0;
    cr_expect_eq(preview_token_verify(&conf, buf_str(&token), NOW_S, &out),
                 E_TOKEN_INVALID);
    buf_clear(&token);
    buf_init(&token, 1024);
    cr_expect_eq(preview_token_mint(&conf, &link, &token), E_UNIMPLEMENTED);
    buf_clear(&token);
}

/* Sign any body as ours. */
static struct buf seal(struct str body)
{
    const struct conf_preview *conf = preview_make_conf();
    struct str parts[2] = {STR("sandgate-preview-v1"), body};
    unsigned char tag[32];
    struct buf bytes, token;

    preview_seal_mac(str_from((const char *)conf->keys[0].secret, 32), parts, 2,
                     tag);
    buf_init(&bytes, 1024);
    buf_init(&token, 2048);
    buf_put(&bytes, body);
    buf_put(&bytes, str_from((const char *)tag, SEAL_TAG_BYTES));
    buf_put(&token, STR("sgl1_"));
    encode_base64url(&token, buf_str(&bytes));
    buf_clear(&bytes);
    return token;
}

#define BODY_BEFORE "\2k2\x1a" LINK_ID "\5i0abc"
#define BODY_LIFE "\0\0\0\0\0\0\0\7\x0b\xb8"
#define BODY_TIMES "\0\x6b\x49\xe0\x10\1\xa3\x19\x9d\x08\0"
#define BODY BODY_BEFORE BODY_LIFE BODY_TIMES

/* Even under a right MAC a body has one spelling. */
Test(preview_token, takes_a_body_in_one_spelling)
{
#define ROW(name, text, err) \
    { \
        name, STR(text), err \
    }
    static const struct {
        const char *name;
        struct str body;
        enum err err;
    } rows[] = {
        ROW("right", BODY "\x7f\1\0\0\0\0\0\0", E_OK),
        ROW("a byte behind", BODY "\x7f\1\0\0\0\0\0\0\0", E_TOKEN_INVALID),
        ROW("a byte too few", BODY "\x7f\1\0\0\0\0\0", E_TOKEN_INVALID),
        ROW("unknown method", BODY "\xff\1\0\0\0\0\0\0", E_TOKEN_INVALID),
        ROW("no method", BODY "\0\1\0\0\0\0\0\0", E_TOKEN_INVALID),
        ROW("to be indexed, and not", BODY "\x7f\x0d\0\0\0\0\0\0",
            E_TOKEN_INVALID),
        ROW("not to be indexed", BODY "\x7f\5\0\0\0\0\0\0", E_OK),
        ROW("unknown flag", BODY "\x7f\x11\0\0\0\0\0\0", E_TOKEN_INVALID),
        ROW("path", BODY "\x7f\1\0\0\0\0\2/a\0", E_OK),
        ROW("path without /", BODY "\x7f\1\0\0\0\0\1a\0", E_TOKEN_INVALID),
        ROW("path with a NUL", BODY "\x7f\1\0\0\0\0\3/\0a\0", E_TOKEN_INVALID),
        ROW("a block", BODY "\x7f\1\0\0\0\0\0\1\4\x18\x0a\0\0\0", E_OK),
        ROW("bits behind it", BODY "\x7f\1\0\0\0\0\0\1\4\x18\x0a\0\0\1",
            E_TOKEN_INVALID),
        ROW("33 bits", BODY "\x7f\1\0\0\0\0\0\1\4\x21\x0a\0\0\0",
            E_TOKEN_INVALID),
        ROW("another family", BODY "\x7f\1\0\0\0\0\0\1\5\x18\x0a\0\0\0",
            E_TOKEN_INVALID),
        ROW("nine blocks", BODY "\x7f\1\0\0\0\0\0\x09", E_TOKEN_INVALID),
        ROW("port 0",
            BODY_BEFORE "\0\0\0\0\0\0\0\7\0\0" BODY_TIMES "\x7f\1\0\0\0\0\0\0",
            E_TOKEN_INVALID),
        ROW("no expiry",
            BODY_BEFORE BODY_LIFE "\0\0\0\0\0\1\xa3\x19\x9d\x08\0"
                                  "\x7f\1\0\0\0\0\0\0",
            E_TOKEN_INVALID),
        ROW("no link id",
            "\2k2\0\5i0abc" BODY_LIFE BODY_TIMES "\x7f\1\0\0\0\0\0\0",
            E_TOKEN_INVALID),
        ROW("empty", "", E_TOKEN_INVALID),
        ROW("a key id and nothing", "\2k2", E_TOKEN_INVALID),
        ROW("a length beyond the end", "\2k2\xff", E_TOKEN_INVALID),
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf token = seal(rows[i].body);
        struct link out;
        enum err err = verify(buf_str(&token), NOW_S, &out);

        cr_expect_eq(err, rows[i].err, "%s: %s", rows[i].name, err_name(err));
        buf_clear(&token);
    }
}

Test(preview_token, is_never_the_other_forms_nor_a_cookies)
{
    struct link link = preview_make_link(), out;
    const struct conf_preview *conf = preview_make_conf();
    struct buf cookie = preview_make_cookie(conf, &link, "a.p.example");
    struct buf token;

    buf_init(&token, 1024);
    buf_put(&token, STR("sgl1_"));
    buf_put(&token, buf_str(&cookie));
    cr_expect_eq(verify(buf_str(&token), NOW_S, &out), E_TOKEN_INVALID);
    cr_expect_eq(verify(buf_str(&cookie), NOW_S, &out), E_TOKEN_INVALID);
    buf_clear(&token);
    token = preview_make_token(conf, &link);
    cr_expect_eq(verify(str_after(buf_str(&token), 5), NOW_S, &out),
                 E_TOKEN_INVALID);
    buf_clear(&token);
    buf_clear(&cookie);
}

/* ---- P-01 ---- */

/* A generator of our own: the same flips on every machine. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* 1 to 4 changed bits, or one byte changed, left out or put in. */
static size_t change(char *p, size_t n, uint64_t *state)
{
    uint64_t r = next(state);
    size_t at = r % n;

    switch (r >> 32 & 7) {
    case 0:
        memmove(p + at, p + at + 1, n - at - 1);
        return n - 1;
    case 1:
        memmove(p + at + 1, p + at, n - at);
        p[at] = (char)(r >> 40);
        return n + 1;
    case 2:
        p[at] = (char)(p[at] ^ (r >> 40 | 1));
        return n;
    default:
        for (unsigned k = 0; k <= (r >> 36 & 3); k++)
            p[next(state) % n] ^= (char)(1 << (next(state) & 7));
        return n;
    }
}

Test(preview_token, accepts_none_of_a_million_changed_ones)
{
    struct link links[] = {preview_make_link(), full_link()};
    const struct conf_preview *conf = preview_make_conf();
    struct buf tokens[3] = {preview_make_token(conf, &links[0]),
                            preview_make_token(conf, &links[1]),
                            preview_make_mitos(conf, &links[0])};
    uint64_t state = 88172645463325252;
    unsigned accepted = 0, same = 0;
    char copy[1024];

    for (unsigned i = 0; i < 1000000; i++) {
        struct str token = buf_str(&tokens[i % 3]);
        struct link out;
        size_t n;

        memcpy(copy, token.p, token.n);
        n = change(copy, token.n, &state);
        if (n == token.n && memcmp(copy, token.p, n) == 0)
            same++; /* bits that were changed back */
        else
            accepted +=
                verify(str_from(copy, n), NOW_S, &out) != E_TOKEN_INVALID;
    }
    cr_expect_eq(accepted, 0);
    cr_expect_lt(same, 100000);
    for (unsigned i = 0; i < 3; i++)
        buf_clear(&tokens[i]);
}

Test(preview_token, is_refused_with_any_single_bit_changed_or_cut_anywhere)
{
    struct link link = preview_make_link(), out;
    const struct conf_preview *conf = preview_make_conf();
    struct buf tokens[2] = {preview_make_token(conf, &link),
                            preview_make_mitos(conf, &link)};

    for (unsigned t = 0; t < 2; t++) {
        struct str token = buf_str(&tokens[t]);
        char *p = tokens[t].p;

        for (size_t i = 0; i < token.n * 8; i++) {
            p[i / 8] ^= (char)(1 << i % 8);
            cr_expect_eq(verify(token, NOW_S, &out), E_TOKEN_INVALID);
            p[i / 8] ^= (char)(1 << i % 8);
        }
        for (size_t n = 0; n < token.n; n++)
            cr_expect_eq(verify(str_from(p, n), NOW_S, &out), E_TOKEN_INVALID);
        cr_expect_eq(verify(token, NOW_S, &out), E_OK);
        buf_clear(&tokens[t]);
    }
}

/* ---- memory ---- */

Test(preview_token, says_no_memory_for_every_refused_allocation)
{
    struct link link = preview_make_link(), out;
    const struct conf_preview *conf = preview_make_conf();
    enum err err = E_NOMEM;

    for (long n = 0; err == E_NOMEM; n++) {
        struct buf b;

        cr_assert_lt(n, 100);
        buf_init(&b, 1024);
        mem_refuse(n);
        err = preview_token_mint(conf, &link, &b);
        if (err == E_OK)
            err = preview_token_verify(conf, buf_str(&b), NOW_S, &out);
        if (err == E_OK) {
            buf_empty(&b);
            err = preview_token_mint_mitos(conf, &link, &b);
        }
        if (err == E_OK)
            err = preview_token_verify(conf, buf_str(&b), NOW_S, &out);
        mem_refuse(-1);
        buf_clear(&b);
    }
    cr_expect_eq(err, E_OK);
}
