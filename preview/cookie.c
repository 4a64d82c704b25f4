/* cookie.c - see cookie.h. */
#include "preview/cookie.h"

#include <inttypes.h>
#include <string.h>

#include "preview/seal.h"

#define ATTRIBUTES "; Path=/; HttpOnly; Secure; SameSite=Lax"

static struct seal_purpose purpose_of(struct str host)
{
    return (struct seal_purpose){STR("sandgate-preview-cookie-v1"), host};
}

enum err preview_cookie_mint(const struct conf_preview *conf,
                             const struct link *link, struct str host,
                             int64_t now_s, struct buf *out)
{
    struct seal_purpose purpose = purpose_of(host);
    enum err err;

    if (link->expires_s <= now_s || host.n == 0)
        return E_RANGE;
    buf_put(out, STR(PREVIEW_COOKIE "="));
    err = preview_seal_put(conf, &purpose, link, out);
    buf_text(out, ATTRIBUTES "; Max-Age=%" PRId64, link->expires_s - now_s);
    return err == E_OK && out->failed ? E_NOMEM : err;
}

void preview_cookie_expire(struct buf *out)
{
    buf_put(out, STR(PREVIEW_COOKIE "=" ATTRIBUTES "; Max-Age=0"));
}

enum err preview_cookie_verify(const struct conf_preview *conf,
                               struct str value, struct str host, int64_t now_s,
                               struct link *out)
{
    struct seal_purpose purpose = purpose_of(host);
    enum err err = host.n ? preview_seal_open(conf, &purpose, value, out)
                          : E_TOKEN_INVALID;

    if (err == E_OK)
        err = preview_seal_time(conf, out, now_s);
    if (err != E_OK && err != E_TOKEN_EXPIRED)
        memset(out, 0, sizeof(*out));
    return err;
}

/* ---- Cookie ---- */

/* A browser compares names by their bytes, and so does an app; what differs
 * from ours in case only is not ours, but nobody else's either. */
static bool is_ours(struct str name)
{
    return str_ieq(str_trim(name), STR(PREVIEW_COOKIE));
}

/* The name of a pair; of one without =, all of it. */
static struct str name_of(struct str pair)
{
    return str_from(pair.p, str_find(pair, '='));
}

unsigned preview_cookie_find(const struct fields *fields, struct str *value)
{
    unsigned count = 0;

    *value = STR_NONE;
    for (unsigned i = 0; i < fields->count; i++) {
        struct str rest = fields->at[i].value;

        if (!str_ieq(fields->at[i].name, STR("cookie")))
            continue;
        while (rest.p) {
            struct str pair = str_cut(&rest, ';');
            struct str name = name_of(pair);

            /* A browser that does not mind case lets a sibling set what
             * differs in it: that must not make ours one of two. */
            if (!str_eq(str_trim(name), STR(PREVIEW_COOKIE)))
                continue;
            count++;
            *value = str_trim(str_after(pair, name.n + 1));
        }
    }
    if (count != 1)
        *value = STR_NONE;
    return count;
}

unsigned preview_cookie_strip(struct str value, struct buf *out)
{
    unsigned count = 0;
    bool first = true;

    while (value.p) {
        struct str pair = str_cut(&value, ';');

        if (is_ours(name_of(pair))) {
            count++;
            continue;
        }
        if (first && count && pair.n && pair.p[0] == ' ')
            pair = str_after(pair, 1); /* it stood behind what is gone */
        if (!first)
            buf_byte(out, ';');
        buf_put(out, pair);
        first = false;
    }
    return count;
}

/* ---- Set-Cookie ---- */

static bool has_control(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') ||
            value.p[i] == 0x7f)
            return true;
    return false;
}

/* A browser takes a pair without = as the value of a cookie without a name,
 * and sends it back as it is: so it would be one of our name. */
static bool sets_ours(struct str pair)
{
    struct str rest = pair;
    struct str first = str_cut(&rest, '=');

    return is_ours(first) ||
           (str_trim(first).n == 0 && rest.p && is_ours(name_of(rest)));
}

bool preview_cookie_ours(struct str value)
{
    return sets_ours(str_cut(&value, ';'));
}

bool preview_cookie_rewrite(struct str value, struct buf *out)
{
    struct str pair;

    if (has_control(value))
        return false;
    pair = str_cut(&value, ';');
    if (sets_ours(pair))
        return false;
    buf_put(out, pair);
    while (value.p) {
        struct str attribute = str_cut(&value, ';');

        if (str_ieq(str_trim(name_of(attribute)), STR("domain")))
            continue;
        buf_byte(out, ';');
        buf_put(out, attribute);
    }
    return true;
}
