/* network.c - see network.h. */
#include "translate/network.h"

#include <stdlib.h>

#include "base/json.h"
#include "translate/api.h"

#define PORT_ENVD 49983
#define PORTS_TEXT (SANDBOX_HTTPS_PORTS_MAX * 6)

/* Does a value ask for nothing: null, [], {}? */
static bool is_nothing(const json_t *value)
{
    return json_is_null(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool read_public(struct op *op, const json_t *value, struct want *w)
{
    w->job.private_traffic = json_is_false(value);
    if (!json_is_boolean(value))
        api_fail_field(op, w, "network.allowPublicTraffic",
                       "must be true or false");
    else if (w->job.private_traffic && !w->job.secure)
        api_fail_field(op, w, "network.allowPublicTraffic",
                       "must not be false unless secure is true");
    else
        return true;
    return false;
}

static bool read_mask(struct op *op, const json_t *value, struct want *w)
{
    struct str mask =
        str_from(json_string_value(value),
                 json_is_string(value) ? json_string_length(value) : 0);

    if (!mask.p || !sandbox_mask_ok(mask)) {
        api_fail_field(op, w, "network.maskRequestHost",
                       "must be a host name, with a port or ${PORT} if wanted");
        return false;
    }
    w->job.mask_host = arena_copy(op->arena, mask);
    if (!w->job.mask_host.p)
        want_fail(w, E_NOMEM, STR_NONE);
    return w->job.mask_host.p != NULL;
}

static int by_number(const void *one, const void *other)
{
    const json_int_t *a = one, *b = other;

    return (*a > *b) - (*a < *b);
}

/* The ports, each once, ascending; 0 when one is none or they are too
 * many. */
static unsigned take_ports(const json_t *list,
                           json_int_t out[SANDBOX_HTTPS_PORTS_MAX])
{
    size_t count = json_array_size(list);
    unsigned n = 0;

    if (count > SANDBOX_HTTPS_PORTS_MAX)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);

        out[i] = json_integer_value(value);
        if (!json_is_integer(value) || out[i] < 1 || out[i] > 65535 ||
            out[i] == PORT_ENVD)
            return 0;
    }
    qsort(out, count, sizeof(*out), by_number);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || out[i] != out[n - 1])
            out[n++] = out[i];
    return n;
}

static bool read_https(struct op *op, const json_t *list, struct want *w)
{
    json_int_t ports[SANDBOX_HTTPS_PORTS_MAX] = {0};
    unsigned n = json_is_array(list) ? take_ports(list, ports) : 0;
    struct buf text;

    if (n == 0 && !(json_is_array(list) && json_array_size(list) == 0)) {
        api_fail_field(op, w, "network.httpsPorts",
                       "must be a list of at most 32 ports, 49983 not among "
                       "them");
        return false;
    }
    buf_init(&text, PORTS_TEXT);
    for (unsigned i = 0; i < n; i++)
        buf_text(&text, "%s%d", i ? "," : "", (int)ports[i]);
    w->job.https_ports =
        text.failed ? STR_NONE : arena_copy(op->arena, buf_str(&text));
    buf_clear(&text);
    if (!w->job.https_ports.p)
        want_fail(w, E_NOMEM, STR_NONE);
    return w->job.https_ports.p != NULL;
}

/* What is not kept.  An empty list of name servers is a restriction too. */
static bool refuse(struct op *op, const char *name, const json_t *value,
                   struct want *w)
{
    struct str full;

    if (strcmp(name, "dnsServers") != 0 && is_nothing(value))
        return true;
    full = arena_text(op->arena, "network.%s", name);
    api_fail_promise(op, w, full.p ? full.p : "network");
    return false;
}

bool network_read(struct op *op, const json_t *body, struct want *w)
{
    json_t *network = json_member(body, "network");

    if (network && !json_is_object(network)) {
        api_fail_field(op, w, "network", "must be an object");
        return false;
    }
    for (void *at = json_object_iter(network); at;
         at = json_object_iter_next(network, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        bool ok;

        if (json_is_null(value))
            ok = true;
        else if (strcmp(name, "allowPublicTraffic") == 0)
            ok = read_public(op, value, w);
        else if (strcmp(name, "maskRequestHost") == 0)
            ok = read_mask(op, value, w);
        else if (strcmp(name, "httpsPorts") == 0)
            ok = read_https(op, value, w);
        else
            ok = refuse(op, name, value, w);
        if (!ok)
            return false;
    }
    return true;
}

void network_put(struct buf *b, const struct sandbox *s)
{
    if (!s->private_traffic && !s->mask_host.n && !s->https_ports.n)
        return;
    buf_text(b, ",\"network\":{\"allowPublicTraffic\":%s",
             s->private_traffic ? "false" : "true");
    if (s->mask_host.n) {
        buf_put(b, STR(",\"maskRequestHost\":"));
        json_write_text(b, s->mask_host, false, false);
    }
    if (s->https_ports.n)
        buf_text(b, ",\"httpsPorts\":[%.*s]", STR_FMT(s->https_ports));
    buf_byte(b, '}');
}
