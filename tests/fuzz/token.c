/* Fuzzer of preview/token: any text as a token, of either form.  What is
 * believed was minted here: one of the tokens below, or one of the sandbox
 * server's form that says the same when it is minted again.  The same bytes
 * are read as a query, a target and an Authorization too. */
#include <assert.h>
#include <stdint.h>

#include "preview/check.h"
#include "preview/target.h"
#include "preview/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_S INT64_C(1800000000)
#define ID "labcdefghijklmnopqrstuvwx2"

static const struct conf_preview *configure(void)
{
    static struct conf_preview_key keys[] = {{.id = STR("k2"), .secret = {2}},
                                             {.id = STR("k1"), .secret = {1}}};
    static const struct conf_preview conf = {.domain = STR("p.example"),
                                             .port = 443,
                                             .keys = keys,
                                             .key_count = 2,
                                             .mitos_secret =
                                                 "secret-of-16-bytes",
                                             .mitos_secret_bytes = 18,
                                             .ttl_max_s = LINK_TTL_MAX_S};

    return &conf;
}

/* What is believed is exactly what minting it again gives. */
static void check_believed(struct str text, const struct link *link)
{
    struct buf again;
    enum err err;

    buf_init(&again, PREVIEW_TOKEN_MAX);
    err = link->id[0] ? preview_token_mint(configure(), link, &again)
                      : preview_token_mint_mitos(configure(), link, &again);
    assert(err == E_OK);
    assert(str_eq(buf_str(&again), text));
    buf_clear(&again);
}

/* Cleaning is done once: what is clean stays as it is and has no token. */
static void check_target(struct str text)
{
    struct str values[4], query, rest;
    struct buf once, twice;

    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    preview_target_clean(text, &once);
    preview_target_clean(buf_str(&once), &twice);
    assert(str_eq(buf_str(&once), buf_str(&twice)));
    assert(buf_len(&once) <= text.n);
    rest = buf_str(&once);
    (void)str_cut(&rest, '?');
    query = rest;
    assert(preview_target_tokens(query, values, 4, NULL) == 0);
    buf_empty(&twice);
    if (preview_target_location(text, &twice) == E_OK) {
        struct str to = buf_str(&twice);

        assert(to.n > 0 && to.p[0] == '/');
        assert(to.n < 2 || (to.p[1] != '/' && to.p[1] != '\\'));
        assert(str_find(to, '\r') == to.n && str_find(to, '\n') == to.n);
        assert(str_eq(to, buf_str(&once)));
    }
    buf_clear(&once);
    buf_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_from((const char *)data, size);
    struct link link;
    enum err err;

    err = preview_token_verify(configure(), text, NOW_S, &link);
    assert(err == E_OK || err == E_TOKEN_EXPIRED || err == E_TOKEN_INVALID);
    if (err != E_TOKEN_INVALID)
        check_believed(text, &link);
    else
        assert(!link.sandbox[0] && !link.port);
    (void)preview_check_ours(text);
    check_target(text);
    return 0;
}
