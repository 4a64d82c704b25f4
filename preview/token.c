/* token.c - see token.h. */
#include "preview/token.h"

#include <inttypes.h>
#include <sodium.h>

#include "base/encode.h"
#include "preview/seal.h"

#define MITOS "mitos-preview-v1"
#define MITOS_TAG_BYTES 32
#define MITOS_JSON_MAX 256
#define MITOS_EXPIRY_DIGITS 19

static const struct seal_purpose purpose = {STR("sandgate-preview-v1"),
                                            STR_NONE};

enum err preview_token_mint(const struct conf_preview *conf,
                            const struct link *link, struct buf *out)
{
    if (!link->id[0])
        return E_RANGE;
    buf_put(out, STR(PREVIEW_TOKEN_BEGIN));
    return preview_seal_put(conf, &purpose, link, out);
}

/* ---- the sandbox server's form ---- */

static struct str shared(const struct conf_preview *conf)
{
    return str_from((const char *)conf->mitos_secret, conf->mitos_secret_bytes);
}

static void mitos_mac(const struct conf_preview *conf, struct str payload,
                      unsigned char out[MITOS_TAG_BYTES])
{
    const struct str parts[2] = {STR(MITOS), payload};

    preview_seal_mac(shared(conf), parts, 2, out);
}

enum err preview_token_mint_mitos(const struct conf_preview *conf,
                                  const struct link *link, struct buf *out)
{
    unsigned char tag[MITOS_TAG_BYTES];
    struct buf json, payload;
    bool failed;

    if (!preview_seal_sandbox_ok(str_of(link->sandbox)) || link->port < 1 ||
        link->port > 65535 || link->expires_s <= 0)
        return E_RANGE;
    if (conf->mitos_secret_bytes == 0)
        return E_UNIMPLEMENTED;
    buf_init(&json, MITOS_JSON_MAX);
    buf_init(&payload, ENCODE_BASE64_LEN(MITOS_JSON_MAX));
    buf_text(&json, "{\"s\":\"%s\",\"p\":%u,\"e\":%" PRId64 "}", link->sandbox,
             link->port, link->expires_s);
    encode_base64url(&payload, buf_str(&json));
    mitos_mac(conf, buf_str(&payload), tag);
    buf_put(out, buf_str(&payload));
    buf_byte(out, '.');
    encode_base64url(out, str_from((const char *)tag, sizeof(tag)));
    failed = json.failed || payload.failed || out->failed;
    buf_clear(&json);
    buf_clear(&payload);
    return failed ? E_NOMEM : E_OK;
}

/* Take the text off the front; false when it is not there. */
static bool skip(struct str *rest, struct str what)
{
    if (!str_starts(*rest, what))
        return false;
    *rest = str_after(*rest, what.n);
    return true;
}

/* Take the digits off the front as a number: one spelling. */
static bool take_number(struct str *rest, uint64_t max, uint64_t *out)
{
    size_t n = 0;

    while (n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9')
        n++;
    if (n > MITOS_EXPIRY_DIGITS || !str_u64(str_from(rest->p, n), max, out))
        return false;
    *rest = str_after(*rest, n);
    return true;
}

/* {"s":"<sandbox>","p":<port>,"e":<expiry>}, to the letter. */
static bool read_json(struct str json, struct link *out)
{
    struct str rest = json, id;
    uint64_t port, expires_s;

    memset(out, 0, sizeof(*out));
    if (!skip(&rest, STR("{\"s\":\"")))
        return false;
    id = str_from(rest.p, str_find(rest, '"'));
    rest = str_after(rest, id.n);
    if (!preview_seal_sandbox_ok(id) || !skip(&rest, STR("\",\"p\":")) ||
        !take_number(&rest, 65535, &port) || port == 0 ||
        !skip(&rest, STR(",\"e\":")) ||
        !take_number(&rest, INT64_MAX, &expires_s) || !str_eq(rest, STR("}")))
        return false;
    memcpy(out->sandbox, id.p, id.n);
    out->port = (unsigned)port;
    out->expires_s = (int64_t)expires_s;
    link_scopes_all(&out->scopes);
    return true;
}

/* Does the tag belong to the payload? */
static bool mitos_tag_ok(const struct conf_preview *conf, struct str payload,
                         struct str text, bool *no_memory)
{
    unsigned char tag[MITOS_TAG_BYTES];
    struct buf given;
    bool ok;

    buf_init(&given, MITOS_TAG_BYTES);
    /* The length is no secret: one of another length is no tag. */
    ok = text.n == 43 && decode_base64url(&given, text);
    if (ok) {
        mitos_mac(conf, payload, tag);
        ok = sodium_memcmp(tag, buf_str(&given).p, sizeof(tag)) == 0;
        sodium_memzero(tag, sizeof(tag));
    }
    *no_memory = given.failed;
    buf_clear(&given);
    return ok;
}

static enum err mitos_open(const struct conf_preview *conf, struct str text,
                           struct link *out)
{
    struct str tag = text, payload = str_cut(&tag, '.');
    enum err err = E_TOKEN_INVALID;
    bool no_memory;
    struct buf json;

    if (payload.n == 0 || tag.n == 0 || str_find(tag, '.') < tag.n ||
        payload.n > ENCODE_BASE64_LEN(MITOS_JSON_MAX) ||
        conf->mitos_secret_bytes < 16)
        return E_TOKEN_INVALID;
    if (!mitos_tag_ok(conf, payload, tag, &no_memory))
        return no_memory ? E_NOMEM : E_TOKEN_INVALID;
    buf_init(&json, MITOS_JSON_MAX + 2);
    if (decode_base64url(&json, payload) && read_json(buf_str(&json), out))
        err = E_OK;
    else if (json.failed)
        err = E_NOMEM;
    buf_clear(&json);
    return err;
}

/* Valid through the second of its expiry.  Source: mitos-sandbox-server.md
 * 4.1 */
static enum err mitos_time(const struct conf_preview *conf,
                           const struct link *link, int64_t now_s)
{
    if (link->expires_s < now_s)
        return E_TOKEN_EXPIRED;
    return link->expires_s - now_s > conf->ttl_max_s ? E_TOKEN_INVALID : E_OK;
}

/* ---- both ---- */

enum err preview_token_verify(const struct conf_preview *conf, struct str text,
                              int64_t now_s, struct link *out)
{
    bool ours = str_starts(text, STR(PREVIEW_TOKEN_BEGIN));
    enum err err = E_TOKEN_INVALID;

    memset(out, 0, sizeof(*out));
    if (text.n > PREVIEW_TOKEN_MAX)
        return E_TOKEN_INVALID;
    if (ours)
        err = preview_seal_open(
            conf, &purpose, str_after(text, sizeof(PREVIEW_TOKEN_BEGIN) - 1),
            out);
    else
        err = mitos_open(conf, text, out);
    if (err == E_OK && ours && !out->id[0])
        err = E_TOKEN_INVALID;
    if (err == E_OK)
        err = ours ? preview_seal_time(conf, out, now_s)
                   : mitos_time(conf, out, now_s);
    if (err != E_OK && err != E_TOKEN_EXPIRED)
        memset(out, 0, sizeof(*out));
    return err;
}

bool preview_token_like(struct str text)
{
    return str_starts(text, STR(PREVIEW_TOKEN_BEGIN)) ||
           (str_starts(text, STR(PREVIEW_TOKEN_BEGIN_MITOS)) &&
            str_find(text, '.') < text.n);
}

bool preview_token_could_predate(const struct conf_preview *conf,
                                 const struct link *link, int64_t before_ms)
{
    return (link->expires_s - conf->ttl_max_s) * 1000 < before_ms;
}
