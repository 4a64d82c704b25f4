/* redirect.c - see redirect.h. */
#include "gateway/redirect.h"

#include "auth/key.h"
#include "gateway/route.h"
#include "preview/token.h"

static bool has_credential(const struct fields *f)
{
    static const struct str names[] = {
        STR("authorization"),       STR("cookie"),
        STR("x-api-key"),           STR("x-access-token"),
        STR("proxy-authorization"), STR("e2b-traffic-access-token"),
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (fields_get(f, names[i]).p)
            return true;
    return false;
}

/* By its name, which may not hide in escapes, or its form. */
static bool is_credential(struct str name, struct str value)
{
    static const struct str names[] = {
        STR("token"),     STR("access_token"), STR("api_key"),
        STR("apikey"),    STR("key"),          STR("signature"),
        STR("x-api-key"), STR("password"),     STR("secret"),
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_ieq(name, names[i]))
            return true;
    return str_find(name, '%') < name.n ||
           (value.p && (auth_key_ok(value) || preview_token_like(value)));
}

static bool query_has_credential(struct str query)
{
    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str name = str_cut(&value, '=');

        if (is_credential(name, value))
            return true;
    }
    return false;
}

enum err redirect_find(const struct request_head *head, const struct conf *conf,
                       unsigned port, struct buf *out)
{
    bool preview = false;

    if ((head->method != METHOD_GET && head->method != METHOD_HEAD) ||
        head->length != 0 || head->upgrade || head->target.n == 0 ||
        head->target.p[0] != '/' || has_credential(&head->fields) ||
        query_has_credential(head->query) ||
        !route_is_name(conf, head->host, &preview))
        return E_BAD_REQUEST;
    if (preview)
        port = conf->preview.port;
    buf_put(out, STR("https://"));
    buf_put(out, head->host);
    if (port != 443)
        buf_text(out, ":%u", port);
    buf_put(out, head->target);
    return out->failed ? E_NOMEM : E_OK;
}
