/* refer.c - see refer.h. */
#include "conf/refer.h"

#include <sodium.h>

#define MEMORY_LEAST (32 << 20) /* a few are used with nothing to do */

static bool same_place(const struct conf_listener *a,
                       const struct conf_listener *b)
{
    return a->port != 0 && a->port == b->port && a->address.p &&
           str_eq(a->address, b->address);
}

/* A listener that redirects needs one that it can redirect to. */
static void check_redirect(struct reading *r, unsigned at)
{
    const struct conf *c = r->conf;
    bool target = false;

    if (!c->listeners[at].redirect)
        return;
    if (c->listeners[at].tls)
        reading_say(r, reading_mark(r, "listeners", at, "redirect"),
                    "redirect: is for listeners with tls: false");
    for (unsigned i = 0; i < c->listener_count; i++)
        target = target || c->listeners[i].tls;
    if (!target)
        reading_say(r, reading_mark(r, "listeners", at, "redirect"),
                    "redirect: no listener speaks TLS");
}

static void check_listeners(struct reading *r)
{
    const struct conf *c = r->conf;
    bool told = false;

    for (unsigned i = 0; i < c->listener_count; i++) {
        const struct conf_listener *l = &c->listeners[i];

        check_redirect(r, i);
        for (unsigned k = 0; k < i; k++)
            if (same_place(l, &c->listeners[k]))
                reading_say(r, reading_mark(r, "listeners", i, "port"),
                            "port: entry %u of listeners has the same address "
                            "and port",
                            k + 1);
        if (l->tls && c->certificate_count == 0 && !told) {
            reading_say(r, reading_mark(r, "listeners", i, "tls"),
                        "tls: a certificate is needed, but certificates has "
                        "none");
            told = true;
        }
        if (same_place(l, &c->status))
            reading_say(r, reading_mark(r, "status", 0, "port"),
                        "port: entry %u of listeners has the same address and "
                        "port",
                        i + 1);
    }
}

static void check_backends(struct reading *r)
{
    const struct conf *c = r->conf;

    for (unsigned i = 0; i < c->backend_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (c->backends[i].name.p &&
                str_eq(c->backends[i].name, c->backends[k].name))
                reading_say(r, reading_mark(r, "backends", i, "name"),
                            "name: entry %u of backends has this name too",
                            k + 1);
}

/* Does the template answer to that name, apart from names from on? */
static bool answers_to(const struct conf_template *t, struct str name,
                       unsigned from)
{
    if (str_eq(t->id, name))
        return true;
    for (unsigned i = 0; i < from; i++)
        if (str_eq(t->names[i], name))
            return true;
    return false;
}

/* Is the name, of template number at, another one's or its own before? */
static void check_template_name(struct reading *r, unsigned at, struct str name,
                                const char *key, unsigned own)
{
    const struct conf *c = r->conf;

    if (!name.p)
        return;
    for (unsigned k = 0; k < at; k++)
        if (answers_to(&c->templates[k], name, c->templates[k].name_count))
            reading_say(r, reading_mark(r, "templates", at, key),
                        "%s: entry %u of templates has the name %.*s too", key,
                        k + 1, STR_FMT(name));
    if (own != UINT32_MAX && answers_to(&c->templates[at], name, own))
        reading_say(r, reading_mark(r, "templates", at, key),
                    "%s: %.*s is here twice", key, STR_FMT(name));
}

static void check_templates(struct reading *r)
{
    const struct conf *c = r->conf;

    for (unsigned i = 0; i < c->template_count; i++) {
        struct conf_template *t = &c->templates[i];

        if (t->backend.p && !conf_backend(c, t->backend))
            reading_say(r, reading_mark(r, "templates", i, "backend"),
                        "backend: no entry of backends has the name %.*s",
                        STR_FMT(t->backend));
        check_template_name(r, i, t->id, "id", UINT32_MAX);
        for (unsigned k = 0; k < t->name_count; k++)
            check_template_name(r, i, t->names[k], "names", k);
        if (t->backend_template.n == 0)
            t->backend_template = t->id;
    }
}

static void check_teams(struct reading *r)
{
    const struct conf *c = r->conf;

    for (unsigned i = 0; i < c->team_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (c->teams[i].name.p &&
                str_eq(c->teams[i].name, c->teams[k].name))
                reading_say(r, reading_mark(r, "teams", i, "name"),
                            "name: entry %u of teams has this name too", k + 1);
}

/* The part of a domain that is bought: its last two labels. */
static struct str registered(struct str domain)
{
    size_t at = domain.n;
    unsigned dots = 0;

    while (at > 0 && dots < 2)
        dots += domain.p[--at] == '.';
    return dots == 2 ? str_after(domain, at + 1) : domain;
}

/* Behind the keys of the file, or alone: one of the secret that there is.  It
 * counts beside them, so that the first key of one's own makes no link
 * invalid.  A key of the file with its name takes its place. */
static void derive_key(struct reading *r)
{
    static const struct str id = STR("k0");
    struct conf_preview *p = &r->conf->preview;
    struct conf_preview_key *keys;

    for (unsigned i = 0; i < p->key_count; i++)
        if (str_eq(p->keys[i].id, id))
            return;
    keys = arena_new_zero(r->conf->arena, (p->key_count + 1) * sizeof(*keys));
    if (!keys) {
        r->no_memory = true;
        return;
    }
    if (p->key_count) {
        memcpy(keys, p->keys, p->key_count * sizeof(*keys));
        sodium_memzero(p->keys, p->key_count * sizeof(*keys));
    }
    keys[p->key_count].id = id;
    crypto_auth_hmacsha256(keys[p->key_count].secret,
                           (const unsigned char *)"sandgate-preview-key", 20,
                           r->conf->secret);
    p->keys = keys;
    p->key_count++;
}

static void check_preview_keys(struct reading *r)
{
    const struct conf_preview *p = &r->conf->preview;

    for (unsigned i = 0; i < p->key_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (p->keys[i].id.p && str_eq(p->keys[i].id, p->keys[k].id))
                reading_say(r, reading_mark(r, "preview", 0, "keys"),
                            "keys: entries %u and %u have the same id", k + 1,
                            i + 1);
}

/* Is the host the domain, or under it? */
static bool is_of(struct str host, struct str domain)
{
    return str_ends(host, domain) &&
           (host.n == domain.n || host.p[host.n - domain.n - 1] == '.');
}

/* Is the host one that something else is served at? */
static bool host_is_taken(const struct conf *c, struct str host)
{
    return is_of(host, c->domain) || is_of(host, c->preview.domain);
}

/* Is the domain of previews one of the two hosts of the API? */
static bool is_api_host(const struct conf *c, struct str domain)
{
    struct str label = str_from(domain.p, str_find(domain, '.'));

    return (str_eq(label, STR("api")) || str_eq(label, STR("sandbox"))) &&
           str_eq(str_after(domain, label.n + 1), c->domain);
}

static void check_preview_hosts(struct reading *r)
{
    const struct conf_preview *p = &r->conf->preview;
    yaml_mark_t mark = reading_mark(r, "preview", 0, "hosts");

    for (unsigned i = 0; i < p->host_count; i++) {
        if (!p->hosts[i].host.n)
            continue;
        if (host_is_taken(r->conf, p->hosts[i].host))
            reading_say(r, mark, "hosts: %.*s is under a domain served here",
                        STR_FMT(p->hosts[i].host));
        for (unsigned k = 0; k < i; k++)
            if (str_eq(p->hosts[i].host, p->hosts[k].host))
                reading_say(r, mark, "hosts: %.*s is here twice",
                            STR_FMT(p->hosts[i].host));
    }
}

/* What makes a request what it is, and what the gateway says itself: no
 * service of the operator's sets these. */
static void check_told_headers(struct reading *r)
{
    static const struct str ours[] = {
        STR("connection"),       STR("content-length"),
        STR("cookie"),           STR("expect"),
        STR("forwarded"),        STR("host"),
        STR("keep-alive"),       STR("te"),
        STR("trailer"),          STR("transfer-encoding"),
        STR("upgrade"),          STR("via"),
        STR("x-forwarded-for"),  STR("x-forwarded-host"),
        STR("x-forwarded-port"), STR("x-forwarded-proto"),
    };
    const struct conf_forward_auth *f = &r->conf->preview.forward_auth;

    for (unsigned i = 0; i < f->header_count; i++) {
        struct str name = f->headers[i];
        bool taken = str_istarts(name, STR("x-sandgate-"));

        for (size_t k = 0; k < sizeof(ours) / sizeof(*ours) && !taken; k++)
            taken = str_ieq(name, ours[k]);
        if (taken)
            reading_say(r, reading_mark(r, "preview", 0, "forward_auth"),
                        "headers: %.*s is not for a service to say",
                        STR_FMT(name));
    }
}

static void check_preview(struct reading *r)
{
    const struct conf *c = r->conf;
    const struct conf_preview *p = &c->preview;
    yaml_mark_t mark;

    if (!p->domain.n || !c->domain.n)
        return;
    mark = reading_mark(r, "preview", 0, "domain");
    check_preview_keys(r);
    check_told_headers(r);
    derive_key(r);
    check_preview_hosts(r);
    if (p->ttl_default_s > p->ttl_max_s)
        reading_say(r, reading_mark(r, "preview", 0, "ttl_default"),
                    "ttl_default: is more than ttl_max");
    if (str_eq(p->domain, c->domain))
        reading_say(r, mark, "domain: is the API's own");
    else if (is_of(c->domain, p->domain) || is_api_host(c, p->domain))
        reading_say(r, mark, "domain: the API's own hosts would be previews");
    else if (str_eq(registered(p->domain), registered(c->domain)))
        reading_warn(r, mark,
                     "domain: shares %.*s with the API: what runs in a "
                     "sandbox can then set cookies for it; take a domain of "
                     "its own",
                     STR_FMT(registered(p->domain)));
}

void refer_check(struct reading *r)
{
    const struct conf *c = r->conf;

    check_listeners(r);
    check_backends(r);
    check_templates(r);
    check_teams(r);
    check_preview(r);
    if (c->max_memory_bytes && c->max_memory_bytes < MEMORY_LEAST)
        reading_say(r, reading_mark(r, "limits", 0, "max_memory"),
                    "max_memory: must be 0 or at least 32MiB");
    if (c->timeout_default_s > c->timeout_max_s)
        reading_say(r, reading_mark(r, "limits", 0, "timeout_default"),
                    "timeout_default: is more than timeout_max");
}
