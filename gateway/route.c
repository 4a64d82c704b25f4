/* route.c - see route.h. */
#include "gateway/route.h"

#include "base/fields.h"
#include "model/link.h"
#include "model/sandbox.h"
#include "preview/host.h"

/* ---- envd's control paths ---- */

/* Longest name below; a longer segment is none of them. */
#define CONTROL_MAX 12

static bool is_control(struct str name)
{
    static const struct str names[] = {
        STR("init"),     STR("freeze"), STR("unfreeze"), STR("collapse"),
        STR("fsfreeze"), STR("fsthaw"), STR("upgrade"),
    };

    name.n = str_find(name, ';');
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* A reader of a raw path that decodes escapes `rounds` times. */
struct reading {
    struct str rest;
    int rounds;
    bool odd; /* a separator or NUL came out of an escape */
};

/* The next byte of *rest, which is not empty, decoded `rounds` times;
 * *escaped is set when it came out of an escape. */
static int take_byte(struct str *rest, int rounds, bool *escaped)
{
    struct str look;
    int c, high = -1, low = -1;

    if (rounds == 0) {
        c = (unsigned char)*rest->p;
        *rest = str_after(*rest, 1);
        return c;
    }
    c = take_byte(rest, rounds - 1, escaped);
    look = *rest;
    if (c == '%' && look.n)
        high = hex_digit(take_byte(&look, rounds - 1, escaped));
    if (high >= 0 && look.n)
        low = hex_digit(take_byte(&look, rounds - 1, escaped));
    if (low < 0)
        return c;
    *escaped = true;
    *rest = look;
    return high << 4 | low;
}

/* The next byte of the reading; -1 at its end. */
static int read_byte(struct reading *r)
{
    bool escaped = false;
    int c;

    if (r->rest.n == 0)
        return -1;
    c = take_byte(&r->rest, r->rounds, &escaped);
    if (escaped && (c == '/' || c == '\\' || c == 0))
        r->odd = true;
    return r->rounds > 1 && c == '\\' ? '/' : c;
}

/* Does the path, decoded and cleaned, name a control path?  Only its depth
 * and its first segment matter. */
static bool names_control(struct reading *r)
{
    char segment[CONTROL_MAX], first[CONTROL_MAX];
    size_t n = 0, first_n = 0;
    unsigned depth = 0;
    int c;

    do {
        c = read_byte(r);
        if (c != '/' && c >= 0) {
            /* The stricter reading looks through NULs. */
            if (n < CONTROL_MAX && (c != 0 || r->rounds == 1))
                segment[n] = (char)c;
            n += c != 0 || r->rounds == 1;
            continue;
        }
        if (n == 2 && segment[0] == '.' && segment[1] == '.') {
            depth -= depth > 0;
        } else if (n > 0 && !(n == 1 && segment[0] == '.')) {
            if (depth++ == 0) {
                first_n = n;
                memcpy(first, segment, n < CONTROL_MAX ? n : CONTROL_MAX);
            }
        }
        n = 0;
    } while (c >= 0);
    if (depth != 1)
        return false;
    /* What stands behind a ; may be long. */
    if (first_n > CONTROL_MAX)
        first_n = CONTROL_MAX;
    return is_control(str_from(first, first_n));
}

enum err route_check_control(struct str path)
{
    struct reading once = {path, 1, false};
    struct reading twice = {path, 2, false};

    if (names_control(&once))
        return once.odd ? E_BAD_REQUEST : E_PORT_BLOCKED;
    return names_control(&twice) ? E_BAD_REQUEST : E_OK;
}

/* ---- hosts ---- */

/* What a host name is, before anything else of the request is looked at. */
enum host_kind {
    HOST_FOREIGN, /* not ours */
    HOST_BAD,     /* cannot be a host of ours: bytes, an extra label */
    HOST_API,
    HOST_SHARED, /* sandbox.<domain> */
    HOST_DIRECT,
    HOST_SANDBOX, /* one label that says port and sandbox */
    HOST_PREVIEW  /* of the preview domain, or mapped */
};

/* Letters, digits, dots and dashes; : and [] of IPv6 literals.  Upper case
 * does not come: net lowers the host, and a name of SNI is compared without
 * case only as far as this says. */
static bool host_bytes_ok(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '-' || c == ':' || c == '[' || c == ']'))
            return false;
    }
    return host.n > 0;
}

static bool is_direct(const struct conf *conf, struct str host)
{
    struct str bare = host;

    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        bare = str_from(host.p + 1, host.n - 2);
    for (unsigned i = 0; i < conf->direct_host_count; i++)
        if (str_ieq(conf->direct_hosts[i], host) ||
            str_ieq(conf->direct_hosts[i], bare))
            return true;
    return false;
}

/* *label: the host's part before .<domain>, for HOST_SANDBOX. */
static enum host_kind read_host(const struct conf *conf, struct str host,
                                struct str *label)
{
    struct str domain = conf->domain;
    struct str under;

    *label = STR_NONE;
    if (!host_bytes_ok(host))
        return HOST_BAD;
    if (preview_host_ours(&conf->preview, host))
        return HOST_PREVIEW;
    if (domain.n && host.n > domain.n + 1 && str_ends(host, domain) &&
        host.p[host.n - domain.n - 1] == '.') {
        under = str_from(host.p, host.n - domain.n - 1);
        if (str_eq(under, STR("api")))
            return HOST_API;
        if (str_eq(under, STR("sandbox")))
            return HOST_SHARED;
        if (str_find(under, '.') < under.n)
            return HOST_BAD;
        if (str_find(under, '-') < under.n) {
            *label = under;
            return HOST_SANDBOX;
        }
        /* A name without a dash was never one of a sandbox. */
    }
    return is_direct(conf, host) ? HOST_DIRECT : HOST_FOREIGN;
}

/* The name of SNI and the one of Host must be the same sandbox's, or at
 * least of the same class.  Source: threats.md T-02. */
static bool sni_agrees(const struct request_head *head, const struct conf *conf,
                       enum host_kind kind)
{
    struct str label;
    char lower[256];
    struct str sni = head->sni;

    if (!head->tls || !sni.p || str_ieq(sni, head->host))
        return true;
    if (kind == HOST_SANDBOX || kind == HOST_PREVIEW || sni.n > sizeof(lower))
        return false;
    for (size_t i = 0; i < sni.n; i++)
        lower[i] = sni.p[i] >= 'A' && sni.p[i] <= 'Z' ? (char)(sni.p[i] | 0x20)
                                                      : sni.p[i];
    sni.p = lower;
    return read_host(conf, sni, &label) == kind;
}

/* ---- sandbox and port ---- */

static enum op_class class_of_port(unsigned port)
{
    switch (port) {
    case ROUTE_PORT_ENVD:
        return CLASS_ENVD;
    case ROUTE_PORT_CODE:
        return CLASS_CODE;
    default:
        return CLASS_PORT;
    }
}

/* Port and id as texts to out.  The class is set as soon as the port is
 * known, so that a bad id is told in the right dialect. */
static enum err take_sandbox(struct str port, struct str id, struct route *out)
{
    uint64_t number;

    out->class = CLASS_PORT;
    if (!str_u64(port, 65535, &number) || number == 0)
        return E_BAD_PORT;
    out->port = (unsigned)number;
    out->class = class_of_port(out->port);
    if (!sandbox_id_ok(id))
        return E_BAD_SANDBOX_ID;
    out->id = id;
    return E_OK;
}

static enum err route_label(struct str label, struct route *out)
{
    struct str port = str_cut(&label, '-');
    struct str id = str_cut(&label, '-');

    return take_sandbox(port, id, out);
}

static enum err route_header(const struct request_head *head, struct route *out)
{
    struct str id_name = STR("e2b-sandbox-id");
    struct str port_name = STR("e2b-sandbox-port");
    unsigned ids = fields_count(&head->fields, id_name);
    unsigned ports = fields_count(&head->fields, port_name);

    out->by_header = true;
    out->class = CLASS_PORT;
    /* A preflight names the headers of the call to come, not their values. */
    if (out->preflight && ids == 0 && ports == 0) {
        out->class = CLASS_ENVD;
        return E_OK;
    }
    if (ids > 1 || ports > 1)
        return E_BAD_REQUEST;
    if (ids == 0 || ports == 0)
        return E_HALF_ROUTED;
    return take_sandbox(fields_get(&head->fields, port_name),
                        fields_get(&head->fields, id_name), out);
}

/* ---- previews ---- */

static enum err route_preview(const struct request_head *head,
                              const struct conf *conf, struct route *out)
{
    struct preview_host named;
    enum err err;

    out->class = CLASS_LINK;
    err = preview_host_find(&conf->preview, head->host, &named);
    if (err)
        return err;
    out->id = named.sandbox;
    out->link = named.link;
    out->port = named.port;
    return !out->port || link_port_ok(out->port) ? E_OK : E_FORBIDDEN;
}

bool route_is_name(const struct conf *conf, struct str host, bool *preview)
{
    struct request_head head = {.host = host};
    struct route route = {.class = CLASS_API};
    struct str label;

    *preview = false;
    switch (read_host(conf, host, &label)) {
    case HOST_API:
    case HOST_SHARED:
        return true;
    case HOST_SANDBOX:
        return route_label(label, &route) == E_OK;
    case HOST_PREVIEW:
        *preview = true;
        return route_preview(&head, conf, &route) == E_OK;
    case HOST_FOREIGN:
    case HOST_BAD:
    case HOST_DIRECT:
        break;
    }
    return false;
}

/* ---- API or sandbox, on hosts that serve both ---- */

/* Is path that, or below it? */
static bool is_under(struct str path, struct str root)
{
    return str_starts(path, root) &&
           (path.n == root.n || path.p[root.n] == '/');
}

static bool is_api_path(struct str path)
{
    static const struct str roots[] = {
        STR("/sandboxes"),
        STR("/v2"),
        STR("/v3"),
        STR("/templates"),
        STR("/snapshots"),
        STR("/volumes"),
        STR("/volumecontent"),
        STR("/secrets"),
        STR("/teams"),
        STR("/api-keys"),
        STR("/access-tokens"),
    };

    for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++)
        if (is_under(path, roots[i]))
            return true;
    return false;
}

/* The paths of the sandbox server itself, for its own SDK. */
static bool is_native_path(struct str path)
{
    return is_under(path, STR("/v1")) ||
           is_under(path, STR("/sandbox.v1.Sandbox"));
}

static bool has_routing(const struct request_head *head)
{
    return fields_get(&head->fields, STR("e2b-sandbox-id")).p ||
           fields_get(&head->fields, STR("e2b-sandbox-port")).p;
}

/* /v1/sandboxes/<id>/expose/<port>, and what lies below it; false: another
 * path. */
static bool route_expose(const struct request_head *head, struct route *out,
                         enum err *err)
{
    struct str rest = head->path, id, port;
    uint64_t number;

    if (!str_starts(rest, STR("/v1/sandboxes/")))
        return false;
    rest = str_after(rest, strlen("/v1/sandboxes/"));
    id = str_cut(&rest, '/');
    if (!rest.p || !str_eq(str_cut(&rest, '/'), STR("expose")) || !rest.p)
        return false;
    port = str_cut(&rest, '/');
    out->class = CLASS_PORT;
    out->native = true;
    /* Without an id it is as absent as an unknown one. */
    if (sandbox_native_id_ok(id))
        out->id = id;
    out->path = rest.p ? str_from(rest.p - 1, rest.n + 1) : STR("/");
    *err = E_BAD_PORT;
    if (!str_u64(port, 65535, &number) || number == 0)
        return true;
    out->port = (unsigned)number;
    *err = E_OK;
    return true;
}

static enum err route_api(const struct request_head *head, struct route *out)
{
    enum err err;

    if (route_expose(head, out, &err))
        return err;
    out->class = is_native_path(head->path) ? CLASS_NATIVE : CLASS_API;
    return E_OK;
}

static enum err route_shared(const struct request_head *head, struct route *out)
{
    if (is_api_path(head->path))
        return route_api(head, out);
    if (!has_routing(head) &&
        (str_eq(head->path, STR("/health")) || is_native_path(head->path)))
        return route_api(head, out);
    return route_header(head, out);
}

static bool is_preflight(const struct request_head *head)
{
    return head->method == METHOD_OPTIONS &&
           fields_get(&head->fields, STR("access-control-request-method")).p;
}

enum err route_find(const struct request_head *head, const struct conf *conf,
                    struct route *out)
{
    struct str label;
    enum host_kind kind = read_host(conf, head->host, &label);
    enum err err;

    *out = (struct route){.class = CLASS_API};
    out->preflight = is_preflight(head);
    if (kind == HOST_BAD)
        return E_BAD_REQUEST;
    if (kind == HOST_FOREIGN)
        return E_MISDIRECTED;
    if (kind == HOST_API)
        err = route_api(head, out);
    else if (kind == HOST_SANDBOX)
        err = route_label(label, out);
    else if (kind == HOST_PREVIEW)
        err = route_preview(head, conf, out);
    else
        err = route_shared(head, out);
    if (err == E_BAD_PORT || err == E_BAD_SANDBOX_ID)
        return err;
    if (!sni_agrees(head, conf, kind))
        return E_MISDIRECTED;
    if (err == E_OK && out->class == CLASS_ENVD)
        err = route_check_control(head->path);
    return err;
}
