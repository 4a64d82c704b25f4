/* seal.c - see seal.h.
 *
 * Body: key id, link id, sandbox (each a length byte and its bytes), life (8
 * bytes, big end first as all numbers), port (2), expiry in seconds (5),
 * creation in milliseconds (6), methods (1), flags (1), uses_max (4), path
 * (as the texts), count of blocks (1), each its family (1: 4 or 6), bits (1)
 * and bytes (4 or 16).  Nothing may follow; each value has one spelling. */
#include "preview/seal.h"

#include <sodium.h>

#include "base/encode.h"

#define BODY_MAX 480
#define FLAG_WEBSOCKET 1
#define FLAG_OPAQUE 2
#define FLAG_NOINDEX 4
#define FLAG_INDEX 8
#define FLAGS_ALL 15

/* ---- MACs ---- */

void preview_seal_mac(struct str secret, const struct str *parts,
                      unsigned count, unsigned char out[32])
{
    crypto_auth_hmacsha256_state state;

    crypto_auth_hmacsha256_init(&state, (const unsigned char *)secret.p,
                                secret.n);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            crypto_auth_hmacsha256_update(&state, (const unsigned char *)"", 1);
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)parts[i].p,
                                      parts[i].n);
    }
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof(state));
}

/* The host holds no NUL, so no two purposes share a message. */
static void mac(const struct conf_preview_key *key,
                const struct seal_purpose *purpose, struct str body,
                unsigned char out[32])
{
    struct str secret = str_from((const char *)key->secret, 32);
    struct str parts[3] = {purpose->name, purpose->host, body};

    if (purpose->host.p) {
        preview_seal_mac(secret, parts, 3, out);
    } else {
        parts[1] = body;
        preview_seal_mac(secret, parts, 2, out);
    }
}

/* ---- writing ---- */

static void put_number(struct buf *b, uint64_t value, unsigned bytes)
{
    while (bytes-- > 0)
        buf_byte(b, (char)(value >> 8 * bytes));
}

static void put_text(struct buf *b, struct str text)
{
    buf_byte(b, (char)text.n);
    buf_put(b, text);
}

static unsigned flags_of(const struct link *link)
{
    unsigned flags = link->scopes.websocket ? FLAG_WEBSOCKET : 0;

    if (link->opaque)
        flags |= FLAG_OPAQUE;
    if (link->scopes.index == LINK_INDEX_NO)
        flags |= FLAG_NOINDEX;
    if (link->scopes.index == LINK_INDEX_YES)
        flags |= FLAG_INDEX;
    return flags;
}

static void put_scopes(struct buf *b, const struct link *link)
{
    const struct link_scopes *s = &link->scopes;

    buf_byte(b, (char)s->methods);
    buf_byte(b, (char)flags_of(link));
    put_number(b, s->uses_max, 4);
    put_text(b, str_of(s->path));
    buf_byte(b, (char)s->cidr_count);
    for (unsigned i = 0; i < s->cidr_count; i++) {
        const struct address_block *c = &s->cidrs[i];

        buf_byte(b, c->v6 ? 6 : 4);
        buf_byte(b, (char)c->bits);
        buf_put(b, str_from((const char *)c->bytes, c->v6 ? 16 : 4));
    }
}

bool preview_seal_sandbox_ok(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i], low = (char)(c | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') &&
            (i == 0 || (c != '_' && c != '-')))
            return false;
    }
    return id.n >= 1 && id.n <= LINK_SANDBOX_MAX;
}

/* Is everything in its range?  What is not cannot be sealed, and is not
 * believed either. */
static bool link_ok(const struct link *link)
{
    return (link->id[0] == '\0' || link_id_ok(str_of(link->id))) &&
           preview_seal_sandbox_ok(str_of(link->sandbox)) && link->port >= 1 &&
           link->port <= 65535 && link->expires_s > 0 &&
           link->expires_s < INT64_C(1) << 40 && link->created_ms >= 0 &&
           link->created_ms < INT64_C(1) << 48 && link_scopes_ok(&link->scopes);
}

enum err preview_seal_put(const struct conf_preview *conf,
                          const struct seal_purpose *purpose,
                          const struct link *link, struct buf *out)
{
    unsigned char tag[32];
    struct buf body;
    enum err err;

    if (!link_ok(link))
        return E_RANGE;
    if (conf->key_count == 0)
        return E_UNIMPLEMENTED;
    buf_init(&body, BODY_MAX);
    put_text(&body, conf->keys[0].id);
    put_text(&body, str_of(link->id));
    put_text(&body, str_of(link->sandbox));
    put_number(&body, link->life, 8);
    put_number(&body, link->port, 2);
    put_number(&body, (uint64_t)link->expires_s, 5);
    put_number(&body, (uint64_t)link->created_ms, 6);
    put_scopes(&body, link);
    mac(&conf->keys[0], purpose, buf_str(&body), tag);
    buf_put(&body, str_from((const char *)tag, SEAL_TAG_BYTES));
    encode_base64url(out, buf_str(&body));
    err = body.failed || out->failed ? E_NOMEM : E_OK;
    buf_clear(&body);
    return err;
}

/* ---- reading ---- */

/* What is left of a body; after failed everything is empty. */
struct body {
    struct str rest;
    bool failed;
};

static struct str take(struct body *b, size_t n)
{
    struct str out = STR("");

    if (b->rest.n < n)
        b->failed = true;
    if (b->failed)
        return out;
    out = str_from(b->rest.p, n);
    b->rest = str_after(b->rest, n);
    return out;
}

static uint64_t take_number(struct body *b, unsigned bytes)
{
    struct str s = take(b, bytes);
    uint64_t value = 0;

    for (size_t i = 0; i < s.n; i++)
        value = value << 8 | (unsigned char)s.p[i];
    return value;
}

static struct str take_text(struct body *b)
{
    return take(b, take_number(b, 1));
}

/* Into an array that is zeroed, with room for a NUL. */
static void fill(struct body *b, char *out, size_t room)
{
    struct str text = take_text(b);

    if (text.n >= room || memchr(text.p, '\0', text.n))
        b->failed = true;
    else
        memcpy(out, text.p, text.n);
}

static void take_cidr(struct body *b, struct address_block *out)
{
    uint64_t family = take_number(b, 1);
    struct str bytes;

    if (family != 4 && family != 6)
        b->failed = true;
    out->v6 = family == 6;
    out->bits = (unsigned char)take_number(b, 1);
    bytes = take(b, out->v6 ? 16 : 4);
    memcpy(out->bytes, bytes.p, bytes.n);
}

static void take_scopes(struct body *b, struct link *link)
{
    struct link_scopes *s = &link->scopes;
    uint64_t flags;

    s->methods = (unsigned)take_number(b, 1);
    flags = take_number(b, 1);
    if (flags & ~(uint64_t)FLAGS_ALL ||
        (flags & FLAG_NOINDEX && flags & FLAG_INDEX))
        b->failed = true;
    if (flags & FLAG_NOINDEX)
        s->index = LINK_INDEX_NO;
    else if (flags & FLAG_INDEX)
        s->index = LINK_INDEX_YES;
    s->websocket = flags & FLAG_WEBSOCKET;
    link->opaque = flags & FLAG_OPAQUE;
    s->uses_max = (uint32_t)take_number(b, 4);
    fill(b, s->path, sizeof(s->path));
    s->cidr_count = (unsigned)take_number(b, 1);
    if (s->cidr_count > LINK_CIDRS_MAX)
        b->failed = true;
    for (unsigned i = 0; i < s->cidr_count && !b->failed; i++)
        take_cidr(b, &s->cidrs[i]);
}

/* The body of which the MAC was right. */
static bool read_body(struct body *b, struct link *out)
{
    memset(out, 0, sizeof(*out));
    (void)take_text(b); /* the key's id */
    fill(b, out->id, sizeof(out->id));
    fill(b, out->sandbox, sizeof(out->sandbox));
    out->life = take_number(b, 8);
    out->port = (unsigned)take_number(b, 2);
    out->expires_s = (int64_t)take_number(b, 5);
    out->created_ms = (int64_t)take_number(b, 6);
    take_scopes(b, out);
    return !b->failed && b->rest.n == 0 && link_ok(out);
}

/* The key that the body names; NULL if there is none of that id. */
static const struct conf_preview_key *find_key(const struct conf_preview *conf,
                                               struct str body)
{
    struct body b = {body, false};
    struct str id = take_text(&b);

    for (unsigned i = 0; i < conf->key_count && !b.failed; i++)
        if (str_eq(conf->keys[i].id, id))
            return &conf->keys[i];
    return NULL;
}

static bool open_bytes(const struct conf_preview *conf,
                       const struct seal_purpose *purpose, struct str bytes,
                       struct link *out)
{
    const struct conf_preview_key *key;
    unsigned char tag[32];
    struct body b = {bytes, false};
    bool same;

    if (bytes.n <= SEAL_TAG_BYTES)
        return false;
    b.rest.n -= SEAL_TAG_BYTES;
    key = find_key(conf, b.rest);
    if (!key)
        return false;
    mac(key, purpose, b.rest, tag);
    same = sodium_memcmp(tag, b.rest.p + b.rest.n, SEAL_TAG_BYTES) == 0;
    sodium_memzero(tag, sizeof(tag));
    return same && read_body(&b, out);
}

enum err preview_seal_open(const struct conf_preview *conf,
                           const struct seal_purpose *purpose, struct str text,
                           struct link *out)
{
    struct buf bytes;
    enum err err = E_TOKEN_INVALID;

    memset(out, 0, sizeof(*out));
    if (text.n > (BODY_MAX * 4 + 2) / 3)
        return E_TOKEN_INVALID;
    buf_init(&bytes, BODY_MAX);
    if (decode_base64url(&bytes, text) &&
        open_bytes(conf, purpose, buf_str(&bytes), out))
        err = E_OK;
    else
        memset(out, 0, sizeof(*out));
    if (bytes.failed)
        err = E_NOMEM; /* it is short enough */
    buf_clear(&bytes);
    return err;
}

enum err preview_seal_time(const struct conf_preview *conf,
                           const struct link *link, int64_t now_s)
{
    if (link->expires_s <= now_s)
        return E_TOKEN_EXPIRED;
    return link->expires_s - now_s > conf->ttl_max_s ? E_TOKEN_INVALID : E_OK;
}
