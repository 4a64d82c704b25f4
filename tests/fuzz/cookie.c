/* Fuzzer of preview/cookie: any text as the value of Cookie, of our cookie
 * and of Set-Cookie.  What apps get holds no cookie of ours, and what is taken
 * out is what is found; what they set has no Domain and is never ours. */
#include <assert.h>
#include <stdint.h>

#include "preview/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_S INT64_C(1800000000)
#define HOST STR("3000-i0abc.p.example")

static const struct conf_preview *configure(void)
{
    static struct conf_preview_key keys[] = {{.id = STR("k2"), .secret = {2}}};
    static const struct conf_preview conf = {.domain = STR("p.example"),
                                             .keys = keys,
                                             .key_count = 1,
                                             .ttl_max_s = LINK_TTL_MAX_S};

    return &conf;
}

static unsigned count(struct str value)
{
    struct field at = {STR("Cookie"), value};
    struct fields fields = {&at, 1, 1};
    struct str found;
    unsigned n = preview_cookie_find(&fields, &found);

    assert((n == 1) == (found.p != NULL));
    return n;
}

static void check_strip(struct str value)
{
    struct buf rest, again;
    unsigned taken;

    buf_init(&rest, 1 << 20);
    buf_init(&again, 1 << 20);
    /* What differs from our name in case only is taken out, too. */
    taken = preview_cookie_strip(value, &rest);
    assert(taken >= count(value));
    assert(count(buf_str(&rest)) == 0);
    assert(preview_cookie_strip(buf_str(&rest), &again) == 0);
    assert(str_eq(buf_str(&rest), buf_str(&again)));
    if (taken == 0)
        assert(str_eq(buf_str(&rest), value));
    buf_clear(&rest);
    buf_clear(&again);
}

/* Is an attribute of that name behind the first pair? */
static bool has_domain(struct str value)
{
    (void)str_cut(&value, ';');
    while (value.p) {
        struct str attribute = str_cut(&value, ';');

        attribute.n = str_find(attribute, '=');
        if (str_ieq(str_trim(attribute), STR("domain")))
            return true;
    }
    return false;
}

static void check_rewrite(struct str value)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    if (preview_cookie_rewrite(value, &out)) {
        struct str set = buf_str(&out), pair = set;

        assert(!has_domain(set));
        assert(str_find(set, '\r') == set.n && str_find(set, '\n') == set.n);
        /* What a browser would send back of it. */
        pair = str_trim(str_cut(&pair, ';'));
        assert(count(pair) == 0);
        if (str_starts(pair, STR("="))) /* a value without a name */
            assert(count(str_trim(str_after(pair, 1))) == 0);
        if (!has_domain(value))
            assert(str_eq(set, value));
    } else {
        assert(buf_len(&out) == 0);
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str value = str_from((const char *)data, size);
    struct link link;
    struct buf again;
    enum err err =
        preview_cookie_verify(configure(), value, HOST, NOW_S, &link);

    assert(err == E_OK || err == E_TOKEN_EXPIRED || err == E_TOKEN_INVALID);
    if (err == E_OK) {
        struct str rest;

        buf_init(&again, 1024);
        assert(preview_cookie_mint(configure(), &link, HOST, NOW_S, &again) ==
               E_OK);
        rest = str_after(buf_str(&again), sizeof(PREVIEW_COOKIE));
        assert(str_eq(str_cut(&rest, ';'), value));
        buf_clear(&again);
    }
    check_strip(value);
    check_rewrite(value);
    return 0;
}
