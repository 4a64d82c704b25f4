/* port.c - the way to a port of a sandbox.  See live.h.
 *
 * Forward: the back end opens a TCP listener for the port; asked for once
 * per sandbox and port and kept, since each asking opens another one and
 * there are 16.  Expose: a path of the back end's own, 16 requests at once
 * per sandbox: 15 are used, the rest wait in order. */
#include "live/live.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "live/later.h"
#include "live/rest.h"
#include "live/sandbox.h"

#include <inttypes.h>
#include <stdio.h>

#define FORWARDS_MAX 16  /* mitos-sandbox-server.md 1.8 */
#define EXPOSED_MAX 15   /* 1.9: 16, one kept free */
#define QUEUE_MAX 1000   /* threats.md E-05 */
#define QUEUE_MS 10000   /* architecture.md 7 */
#define FORWARD_MS 10000 /* for the back end to open it */
#define ADDRESS_MAX 46   /* INET6_ADDRSTRLEN */
#define POOL_MAX 160
#define PREFIX_MAX 112

enum way {
    WAY_UNKNOWN, /* the back end is being asked */
    WAY_FORWARD, /* address and port are known */
    WAY_EXPOSE   /* no forward for this one */
};

/* A port that was asked for as a forward. */
struct forward {
    struct list link; /* in its table's forwards */
    struct port_table *table;
    unsigned guest_port;
    enum way way;
    char address[ADDRESS_MAX];
    char pool[POOL_MAX];     /* of the connections through it */
    char prefix[PREFIX_MAX]; /* of its path over expose */
    unsigned port;
    struct rest *rest;   /* owned; while WAY_UNKNOWN */
    struct list waiting; /* struct port_lease */
};

struct port_table {
    struct live *live;
    struct live_sandbox *ls;
    struct list forwards; /* owned */
    unsigned forward_count;
    unsigned exposed;    /* places given over expose */
    char pool[POOL_MAX]; /* of the connections over expose */
    struct list queue;   /* struct port_lease, those that wait for a place */
    unsigned queued;
    struct list leases; /* struct port_lease, all */
    struct timer timer; /* the first of the queue has waited long enough */
};

enum lease_state {
    LEASE_WAITS,  /* for the forward */
    LEASE_QUEUED, /* for a place */
    LEASE_DIRECT, /* has, or is about to hear, its target: a forward */
    LEASE_PLACE,  /* the same: a place over expose */
    LEASE_OVER    /* has, or is about to hear, an error */
};

struct port_lease {
    struct list link; /* in a forward's waiting or the table's queue */
    struct list all;  /* in the table's leases */
    struct live *live;
    struct port_table *table; /* NULL: none, or the sandbox ended */
    unsigned guest_port;
    enum lease_state state;
    int64_t until_ms; /* QUEUED: monotonic */
    void (*on_target)(void *arg, enum err err, const struct port_target *t);
    void *arg;
    struct later later;
    enum err why;  /* OVER */
    unsigned port; /* of the target */
    char address[ADDRESS_MAX];
    char pool[POOL_MAX];
    char prefix[PREFIX_MAX];
};

/* ---- telling ---- */

static void on_told(void *arg)
{
    struct port_lease *p = arg;
    struct port_target t = {
        .address = str_of(p->address),
        .port = p->port,
        .pool = str_of(p->pool),
        .prefix = p->state == LEASE_PLACE ? str_of(p->prefix) : STR_NONE,
    };

    if (p->state == LEASE_OVER)
        p->on_target(p->arg, p->why, NULL);
    else
        p->on_target(p->arg, E_OK, &t);
}

static void fail(struct port_lease *p, enum err why)
{
    p->state = LEASE_OVER;
    p->why = why;
    later_do(p->live, &p->later, on_told, p);
}

/* The key of the connections to one port of one life: never shared with
 * another sandbox (threats.md U-10).  Port 0: over expose. */
static void name_pool(const struct live_sandbox *ls, unsigned port,
                      char out[POOL_MAX])
{
    snprintf(out, POOL_MAX, "port:%.*s:%.*s:%016" PRIx64 ":%u",
             STR_FMT(ls->record->backend), STR_FMT(ls->record->id),
             ls->record->life, port);
}

static void aim_direct(struct port_lease *p, const struct forward *f)
{
    memcpy(p->address, f->address, sizeof(p->address));
    p->port = f->port;
    memcpy(p->pool, f->pool, sizeof(p->pool));
    p->state = LEASE_DIRECT;
}

static struct forward *known(const struct port_table *t, unsigned port);

/* Where the back end's proxy has a port. */
static void name_prefix(const struct live_sandbox *ls, unsigned port,
                        char out[PREFIX_MAX])
{
    snprintf(out, PREFIX_MAX, "/v1/sandboxes/%.*s/expose/%u",
             STR_FMT(ls->record->id), port);
}

/* Take a place: false when none is free. */
static bool aim_place(struct port_lease *p)
{
    struct live_sandbox *ls = p->table->ls;
    struct backend *b = backend_find(p->live, ls->record->backend);
    const struct forward *f = known(p->table, p->guest_port);
    size_t n = b ? b->address.n : 0;

    if (p->table->exposed >= EXPOSED_MAX || !b || n >= sizeof(p->address))
        return false;
    memcpy(p->address, b->address.p, n);
    p->address[n] = '\0';
    p->port = b->port;
    memcpy(p->pool, p->table->pool, sizeof(p->pool));
    if (f)
        memcpy(p->prefix, f->prefix, sizeof(p->prefix));
    else
        name_prefix(ls, p->guest_port, p->prefix);
    p->table->exposed++;
    p->state = LEASE_PLACE;
    return true;
}

/* ---- the queue over expose ---- */

static struct port_lease *first(struct port_table *t)
{
    return list_empty(&t->queue)
               ? NULL
               : LIST_OF(t->queue.next, struct port_lease, link);
}

static void unqueue(struct port_lease *p)
{
    list_remove(&p->link);
    p->table->queued--;
}

static void arm(struct port_table *t)
{
    struct port_lease *p = first(t);
    int64_t wait_ms = p ? p->until_ms - clock_ms() : 0;

    if (p)
        timer_set(&t->timer, wait_ms > 0 ? wait_ms : 0);
    else
        timer_stop(&t->timer);
}

static void on_time(void *arg)
{
    struct port_table *t = arg;
    struct port_lease *p;

    while ((p = first(t)) && p->until_ms <= clock_ms()) {
        unqueue(p);
        fail(p, E_RATE_LIMITED);
    }
    arm(t);
}

/* A place became free. */
static void serve(struct port_table *t)
{
    struct port_lease *p;

    while ((p = first(t)) && aim_place(p)) {
        unqueue(p);
        later_do(p->live, &p->later, on_told, p);
    }
    arm(t);
}

/* Returns true when the target is known at once. */
static bool expose(struct port_lease *p)
{
    struct port_table *t = p->table;

    if (!t->queued && aim_place(p))
        return true;
    if (t->queued >= QUEUE_MAX) {
        fail(p, E_RATE_LIMITED);
        return false;
    }
    p->state = LEASE_QUEUED;
    p->until_ms = clock_ms() + QUEUE_MS;
    list_push(&t->queue, &p->link);
    t->queued++;
    arm(t);
    return false;
}

/* ---- forwards ---- */

static void bury(void *what)
{
    mem_free(what);
}

static void forget(struct forward *f)
{
    list_remove(&f->link);
    f->table->forward_count--;
    rest_free(&f->rest);
    loop_bury(f->table->live->loop, bury, f);
}

/*
 * host:port as the back end told it.  Only its own address will do, or this
 * machine's own when the back end is on it, and never a listener of ours
 * (threats.md U-01): a made-up answer must not send clients elsewhere.
 */
static bool read_host(struct forward *f, struct str host)
{
    struct live *l = f->table->live;
    struct backend *b = backend_find(l, f->table->ls->record->backend);
    size_t colon = host.n;
    struct str address;
    uint64_t port;

    while (colon > 0 && host.p[colon - 1] != ':')
        colon--;
    if (!b || colon < 2 || !str_u64(str_after(host, colon), 65535, &port) ||
        !port)
        return false;
    address = str_from(host.p, colon - 1);
    if (address.n > 2 && address.p[0] == '[' && address.p[address.n - 1] == ']')
        address = str_from(address.p + 1, address.n - 2);
    if (!str_eq(address, b->address) &&
        !(backend_is_local(b) &&
          (str_eq(address, STR("127.0.0.1")) || str_eq(address, STR("::1")))))
        return false;
    if (address.n >= sizeof(f->address) || port == b->port)
        return false;
    for (unsigned i = 0; i < l->conf->listener_count; i++)
        if (l->conf->listeners[i].port == port)
            return false;
    memcpy(f->address, address.p, address.n);
    f->address[address.n] = '\0';
    f->port = (unsigned)port;
    return port != l->conf->status.port;
}

/* What the answer means: a way, or an error for those who wait. */
static enum err judge(struct forward *f, const struct rest_answer *a)
{
    const json_t *error = a->json ? json_member(a->json, "error") : NULL;
    struct str cause = error ? json_str(error, "cause") : STR_NONE;

    if (a->err == E_OK && read_host(f, json_str(a->json, "host"))) {
        f->way = WAY_FORWARD;
        return E_OK;
    }
    if (a->err == E_NOT_FOUND && cause.p &&
        str_find_str(cause, STR("limit")) == cause.n) {
        /* Not there, or without a way in: its list will tell. */
        live_sandbox_suspect(f->table->ls);
        return E_SANDBOX_UNKNOWN;
    }
    if (a->err != E_OK && a->err != E_NOT_FOUND && a->status != 501)
        return a->err == E_NOMEM ? E_NOMEM : E_BACKEND_DOWN;
    if (a->err == E_OK)
        log_say(LOG_WARN, "back end told an address for a port that is not "
                          "its own: the port goes over expose");
    f->way = WAY_EXPOSE;
    return E_OK;
}

static void on_forward(void *arg, const struct rest_answer *a)
{
    struct forward *f = arg;
    enum err err = judge(f, a);
    struct list *link;

    rest_free(&f->rest);
    while ((link = list_pop(&f->waiting))) {
        struct port_lease *p = LIST_OF(link, struct port_lease, link);

        if (err) {
            fail(p, err);
            continue;
        }
        if (f->way == WAY_FORWARD)
            aim_direct(p, f);
        else if (!expose(p))
            continue;
        later_do(p->live, &p->later, on_told, p);
    }
    if (err)
        forget(f);
}

MUST_USE static enum err ask(struct forward *f)
{
    struct live_sandbox *ls = f->table->ls;
    struct backend *b = backend_find(ls->live, ls->record->backend);
    char target[96], body[32];
    struct rest_request want = {.method = METHOD_POST,
                                .deadline_ms = FORWARD_MS};

    snprintf(target, sizeof(target), "/v1/sandboxes/%.*s/forward",
             STR_FMT(ls->record->id));
    snprintf(body, sizeof(body), "{\"guest_port\":%u}", f->guest_port);
    want.target = str_of(target);
    want.body = str_of(body);
    return b ? rest_start(b, &want, on_forward, f, &f->rest) : E_BACKEND_DOWN;
}

static struct forward *known(const struct port_table *t, unsigned port)
{
    for (struct list *link = t->forwards.next; link != &t->forwards;
         link = link->next) {
        struct forward *f = LIST_OF(link, struct forward, link);

        if (f->guest_port == port)
            return f;
    }
    return NULL;
}

/* A new one, being asked for; NULL and *err E_OK: there are enough. */
static struct forward *open_forward(struct port_table *t, unsigned port,
                                    enum err *err)
{
    struct forward *f;

    *err = E_OK;
    if (t->forward_count >= FORWARDS_MAX)
        return NULL;
    f = mem_new(sizeof(*f));
    if (!f) {
        *err = E_NOMEM;
        return NULL;
    }
    f->table = t;
    f->guest_port = port;
    name_pool(t->ls, port, f->pool);
    name_prefix(t->ls, port, f->prefix);
    list_init(&f->waiting);
    list_push(&t->forwards, &f->link);
    t->forward_count++;
    *err = ask(f);
    if (*err) {
        forget(f);
        return NULL;
    }
    return f;
}

/* Returns true when the target is known at once. */
static bool forward(struct port_lease *p)
{
    struct forward *f = known(p->table, p->guest_port);
    enum err err = E_OK;

    if (!f)
        f = open_forward(p->table, p->guest_port, &err);
    if (err) {
        fail(p, err);
        return false;
    }
    if (!f || f->way == WAY_EXPOSE)
        return expose(p);
    if (f->way == WAY_UNKNOWN) {
        list_push(&f->waiting, &p->link);
        return false;
    }
    aim_direct(p, f);
    return true;
}

/* ---- the table ---- */

static struct port_table *table_of(struct live *l, const struct sandbox *s)
{
    struct live_sandbox *ls = live_sandbox_find(l, s);
    struct port_table *t = ls ? ls->ports : NULL;

    if (t || !ls)
        return t;
    t = mem_new(sizeof(*t));
    if (!t)
        return NULL;
    t->live = l;
    t->ls = ls;
    name_pool(ls, 0, t->pool);
    list_init(&t->forwards);
    list_init(&t->queue);
    list_init(&t->leases);
    timer_init(&t->timer, l->loop, on_time, t);
    ls->ports = t;
    return t;
}

void port_table_end(struct port_table **tp)
{
    struct port_table *t = *tp;
    struct list *link;
    char pool[POOL_MAX];

    *tp = NULL;
    if (!t)
        return;
    while ((link = list_pop(&t->leases))) {
        struct port_lease *p = LIST_OF(link, struct port_lease, all);

        if (p->state == LEASE_WAITS || p->state == LEASE_QUEUED) {
            list_remove(&p->link);
            fail(p, E_SANDBOX_GONE);
        }
        p->table = NULL;
    }
    while (!list_empty(&t->forwards)) {
        struct forward *f = LIST_OF(t->forwards.next, struct forward, link);

        name_pool(t->ls, f->guest_port, pool);
        pools_drop(t->live->pools, str_of(pool));
        forget(f);
    }
    name_pool(t->ls, 0, pool);
    pools_drop(t->live->pools, str_of(pool));
    timer_clear(&t->timer);
    loop_bury(t->live->loop, bury, t);
}

/* ---- the door ---- */

enum err port_find(struct live *l, const struct sandbox *s, unsigned port,
                   void (*on_target)(void *arg, enum err err,
                                     const struct port_target *t),
                   void *arg, struct port_lease **out)
{
    struct port_lease *p = mem_new(sizeof(*p));
    struct backend *b = backend_find(l, s->backend);
    bool known_now;

    *out = p;
    if (!p)
        return E_NOMEM;
    p->live = l;
    p->guest_port = port;
    p->on_target = on_target;
    p->arg = arg;
    if (!live_sandbox_alive(l, s) || !b) {
        fail(p, b ? E_SANDBOX_GONE : E_BACKEND_DOWN);
        return E_OK;
    }
    p->table = table_of(l, s);
    if (!p->table) {
        *out = NULL;
        mem_free(p);
        return E_NOMEM;
    }
    list_push(&p->table->leases, &p->all);
    known_now = b->ports == PORTS_FORWARD ? forward(p) : expose(p);
    if (known_now)
        on_told(p);
    return E_OK;
}

void port_forget(struct port_lease *p)
{
    struct forward *f = p->table && p->state == LEASE_DIRECT
                            ? known(p->table, p->guest_port)
                            : NULL;

    if (f && f->way == WAY_FORWARD && f->port == p->port)
        forget(f);
}

void port_leave(struct port_lease **pp)
{
    struct port_lease *p = *pp;
    struct port_table *t;

    *pp = NULL;
    if (!p)
        return;
    t = p->table;
    later_undo(&p->later);
    if (t && p->state == LEASE_QUEUED)
        unqueue(p);
    list_remove(&p->link);
    list_remove(&p->all);
    if (t && p->state == LEASE_PLACE)
        t->exposed--;
    if (t)
        serve(t);
    loop_bury(p->live->loop, bury, p);
}
