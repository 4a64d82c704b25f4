/* backend.c - see backend.h. */
#include "live/backend.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>

#define CONNECT_MS 3000

struct backend *backend_find(struct live *l, struct str name)
{
    struct list *link;

    for (link = l->backends.next; link != &l->backends; link = link->next) {
        struct backend *b = LIST_OF(link, struct backend, link);

        if (str_eq(b->name, name))
            return b;
    }
    return NULL;
}

/* Write the texts anew when they differ. */
MUST_USE static enum err name_it(struct backend *b,
                                 const struct conf_backend *from)
{
    bool v6 = str_find(from->address, ':') < from->address.n;
    size_t room = 2 * from->name.n + 2 * from->address.n + 32;
    char *p, *at;

    if (b->texts && b->port == from->port && str_eq(b->address, from->address))
        return E_OK;
    p = at = mem_malloc(room);
    if (!p)
        return E_NOMEM;
    if (b->texts)
        pools_drop(b->live->pools, b->pool);
    memcpy(at, from->name.p, from->name.n);
    b->name = str_from(at, from->name.n);
    at += from->name.n;
    memcpy(at, from->address.p, from->address.n);
    b->address = str_from(at, from->address.n);
    at += from->address.n;
    b->host.p = at;
    b->host.n = (size_t)snprintf(at, room - (size_t)(at - p),
                                 v6 ? "[%.*s]:%u" : "%.*s:%u",
                                 STR_FMT(from->address), from->port);
    at += b->host.n;
    b->pool.p = at;
    b->pool.n = (size_t)snprintf(at, room - (size_t)(at - p), "backend:%.*s",
                                 STR_FMT(from->name));
    b->port = from->port;
    mem_free(b->texts);
    b->texts = p;
    b->health = BACKEND_UNKNOWN;
    return E_OK;
}

MUST_USE static enum err configure(struct live *l,
                                   const struct conf_backend *from)
{
    struct backend *b = backend_find(l, from->name);
    bool fresh = !b;
    enum err err;

    if (fresh) {
        b = mem_new(sizeof(*b));
        if (!b)
            return E_NOMEM;
        b->live = l;
        list_init(&b->rests);
    }
    err = name_it(b, from);
    if (err) {
        if (fresh)
            mem_free(b);
        return err;
    }
    if (fresh)
        list_push(&l->backends, &b->link);
    b->ports = from->ports;
    b->streams = from->streams;
    b->adopt = from->adopt;
    b->configured = true;
    return E_OK;
}

enum err backend_configure(struct live *l)
{
    struct list *link;
    enum err err = E_OK;

    for (link = l->backends.next; link != &l->backends; link = link->next)
        LIST_OF(link, struct backend, link)->configured = false;
    for (unsigned i = 0; i < l->conf->backend_count && !err; i++)
        err = configure(l, &l->conf->backends[i]);
    return err;
}

void backend_heard(struct backend *b, enum backend_health health)
{
    if (b->health == health)
        return;
    if (health == BACKEND_UP)
        log_say(LOG_INFO, "back end %.*s answers", STR_FMT(b->name));
    else
        log_say(LOG_WARN, "back end %.*s does not answer", STR_FMT(b->name));
    b->health = health;
    b->live->on_health(b);
}

void backend_doubt(struct backend *b)
{
    b->doubted = true;
    b->live->on_doubt(b);
}

bool backend_is_local(const struct backend *b)
{
    return str_starts(b->address, STR("127.")) ||
           str_eq(b->address, STR("::1"));
}

void backend_request(const struct backend *b, struct call_request *r)
{
    r->pool = b->pool;
    r->address = b->address;
    r->port = b->port;
    r->host = b->host;
    r->connect_ms = CONNECT_MS;
}

void backend_clear(struct live *l)
{
    struct list *link;

    while ((link = list_pop(&l->backends))) {
        struct backend *b = LIST_OF(link, struct backend, link);

        mem_free(b->texts);
        mem_free(b);
    }
}
