/* host.c - see host.h. */
#include "preview/host.h"

#include "model/sandbox.h"

/* Source: mitos-sandbox-server.md 4.3; threats.md R-11 */
static bool is_reserved(struct str label)
{
    static const struct str labels[] = {
        STR("www"),   STR("app"),    STR("api"),    STR("console"),
        STR("admin"), STR("auth"),   STR("login"),  STR("gateway"),
        STR("mail"),  STR("static"), STR("assets"), STR("account"),
        STR("cdn"),   STR("status"), STR("sandbox")};

    for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++)
        if (str_eq(label, labels[i]))
            return true;
    return false;
}

static bool bytes_ok(struct str label)
{
    for (size_t i = 0; i < label.n; i++)
        if (!((label.p[i] >= 'a' && label.p[i] <= 'z') ||
              (label.p[i] >= '0' && label.p[i] <= '9') || label.p[i] == '-'))
            return false;
    return label.n > 0 && label.n <= 63;
}

/* Does the host end in .<domain>?  *under: what stands before it. */
static bool is_under(struct str host, struct str domain, struct str *under)
{
    *under = STR_NONE;
    if (domain.n == 0 || host.n < domain.n + 1 || !str_ends(host, domain) ||
        host.p[host.n - domain.n - 1] != '.')
        return false;
    *under = str_from(host.p, host.n - domain.n - 1);
    return true;
}

static const struct conf_preview_host *
find_mapped(const struct conf_preview *conf, struct str host)
{
    for (unsigned i = 0; i < conf->host_count; i++)
        if (str_eq(conf->hosts[i].host, host))
            return &conf->hosts[i];
    return NULL;
}

bool preview_host_ours(const struct conf_preview *conf, struct str host)
{
    struct str under;

    if (conf->domain.n == 0)
        return false;
    return str_eq(host, conf->domain) || is_under(host, conf->domain, &under) ||
           find_mapped(conf, host);
}

/* A label that begins with digits and a dash names a port, whatever
 * follows. */
static bool names_port(struct str label)
{
    size_t dash = str_find(label, '-');

    for (size_t i = 0; i < dash; i++)
        if (label.p[i] < '0' || label.p[i] > '9')
            return false;
    return dash > 0 && dash < label.n;
}

static enum err read_label(struct str label, struct preview_host *out)
{
    uint64_t port = 0;

    if (!bytes_ok(label))
        return E_BAD_REQUEST;
    if (is_reserved(label))
        return E_ROUTE_UNKNOWN;
    if (link_id_ok(label)) {
        out->link = label;
        return E_OK;
    }
    if (names_port(label)) {
        if (!str_u64(str_cut(&label, '-'), 65535, &port) || port == 0)
            return E_BAD_PORT;
        out->port = (unsigned)port;
    }
    if (!sandbox_native_id_ok(label))
        return E_BAD_SANDBOX_ID;
    out->sandbox = label;
    return E_OK;
}

bool preview_host_stands(struct str sandbox)
{
    struct preview_host named = {0};

    return read_label(sandbox, &named) == E_OK && named.port == 0 &&
           str_eq(named.sandbox, sandbox);
}

enum err preview_host_find(const struct conf_preview *conf, struct str host,
                           struct preview_host *out)
{
    const struct conf_preview_host *mapped = find_mapped(conf, host);
    struct str under;

    *out = (struct preview_host){0};
    if (conf->domain.n == 0)
        return E_MISDIRECTED;
    if (mapped) {
        out->mapped = true;
        out->port = mapped->port;
        if (link_id_ok(mapped->target))
            out->link = mapped->target;
        else
            out->sandbox = mapped->target;
        return E_OK;
    }
    if (str_eq(host, conf->domain))
        return E_ROUTE_UNKNOWN;
    if (!is_under(host, conf->domain, &under))
        return E_MISDIRECTED;
    return read_label(under, out);
}

void preview_host_url(const struct conf_preview *conf, const struct link *link,
                      struct str token, struct buf *out)
{
    buf_put(out, STR("https://"));
    if (link->opaque)
        buf_put(out, str_of(link->id));
    else if (link->id[0])
        buf_text(out, "%u-%s", link->port, link->sandbox);
    else
        buf_put(out, str_of(link->sandbox));
    buf_byte(out, '.');
    buf_put(out, conf->domain);
    if (conf->port != 443)
        buf_text(out, ":%u", conf->port);
    /* A link opens where it may. */
    buf_put(out, link->scopes.path[0] ? str_of(link->scopes.path) : STR("/"));
    buf_put(out, STR("?token="));
    buf_put(out, token);
}
