/* arrive.c - see arrive.h.
 *
 * A header of the PROXY protocol is read without a byte of what follows it:
 * the bytes are looked at, and those of the header alone are taken.  So
 * whoever reads next, TLS or HTTP, finds its own first byte in the socket. */
#include "net/arrive.h"

#include <errno.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/h1_conn.h"
#include "net/peers.h"
#include "net/proxy.h"

/* From accept to the end of the header.  Source: threats.md X-07. */
#define PROXY_MS 5000

/* A connection whose first bytes are looked at. */
struct greeting {
    struct server *server; /* borrowed */
    struct list link;      /* in server.greetings */
    struct arrival arrival;
    struct event event; /* the descriptor's */
    struct timer timer;
    struct buf taken;     /* of the header, so far */
    struct peer *counted; /* owned; NULL of a listed one */
};

/* ---- it may stay ---- */

/* Are the connections of that address counted? */
static bool is_counted(const struct server *s, const struct arrival *a)
{
    const struct server_settings *set = &s->settings;

    /* A balancer's own, and a proxy's, are those of many. */
    if (!set->address_max || !a->known || a->listed)
        return false;
    if (!set->address_all && !address_is_public(&a->from))
        return false;
    return !address_is_among(&a->from, set->trusted, set->trusted_count);
}

MUST_USE static enum err count(struct server *s, const struct arrival *a,
                               struct peer **out)
{
    enum err err;

    *out = NULL;
    if (!is_counted(s, a))
        return E_OK;
    err = peers_take(s->peers, &a->from, s->settings.address_max, out);
    s->counts.crowded += err == E_FULL;
    return err;
}

/* counted  taken
 * first    bytes of its request that were read already */
static void enter(struct server *s, const struct arrival *a,
                  struct peer *counted, struct str first)
{
    char text[ADDRESS_TEXT_BYTES];
    struct h1_conn_opening opening = {
        .fd = a->fd,
        .tls = a->tls,
        .direct = a->direct,
        .peer = a->known ? address_text(&a->from, text) : STR("local"),
        .counted = counted,
        .first = first};

    if (h1_conn_open(s, &opening) == E_OK)
        return;
    peers_give(s->peers, &counted);
    close(a->fd);
}

/* ---- the header ---- */

static int64_t greeting_ms(const struct server *s)
{
    return s->settings.greeting_ms ? s->settings.greeting_ms : PROXY_MS;
}

static void bury(void *what)
{
    struct greeting *g = what;

    timer_clear(&g->timer);
    tls_unref(&g->arrival.tls);
    buf_clear(&g->taken);
    mem_free(g);
}

/* Its descriptor is closed or somebody else's. */
static void end(struct greeting *g)
{
    event_del(&g->event);
    timer_stop(&g->timer);
    list_remove(&g->link);
    g->server->connection_count--;
    g->server->on_less(g->server);
    loop_bury(g->server->loop, bury, g);
}

/* Without an answer. */
static void drop(struct greeting *g)
{
    close(g->arrival.fd);
    peers_give(g->server->peers, &g->counted);
    end(g);
}

static void refuse(struct greeting *g)
{
    g->server->counts.greetings++;
    drop(g);
}

/* What was read belongs to the request. */
static void go_on(struct greeting *g, struct str first)
{
    struct peer *counted = g->counted;

    g->counted = NULL;
    end(g);
    enter(g->server, &g->arrival, counted, first);
}

/* Take n bytes out of the socket, which has shown them. */
static bool take(struct greeting *g, size_t n)
{
    char *p = g->server->loop->read;

    return n == 0 || recv(g->arrival.fd, p, n, 0) == (ssize_t)n;
}

/* The connection is whose the header says. */
MUST_USE static enum err count_header(struct greeting *g,
                                      const struct proxy_header *header)
{
    if (!header->known)
        return E_OK;
    g->arrival.known = true;
    g->arrival.listed = false;
    g->arrival.from = header->from;
    return count(g->server, &g->arrival, &g->counted);
}

/* What must begin with a header. */
static void hear_listed(struct greeting *g, size_t had)
{
    struct proxy_header header;
    enum proxy_got got = proxy_read(buf_str(&g->taken), &header);

    if (got == PROXY_NONE || got == PROXY_BAD) {
        refuse(g);
    } else if (got == PROXY_MORE) {
        if (!take(g, buf_len(&g->taken) - had))
            drop(g);
    } else if (!take(g, header.bytes - had)) {
        drop(g);
    } else if (count_header(g, &header) != E_OK) {
        drop(g);
    } else {
        go_on(g, STR(""));
    }
}

/* What must not. */
static void hear_other(struct greeting *g, size_t had)
{
    struct proxy_header header;
    struct str bytes = buf_str(&g->taken);
    enum proxy_got got = proxy_read(bytes, &header);

    if (got == PROXY_DONE || got == PROXY_BAD) {
        refuse(g);
    } else if (got == PROXY_NONE) {
        /* No TLS begins as a header does, not even with one byte. */
        if (had && g->arrival.tls)
            drop(g);
        else
            go_on(g, str_from(bytes.p, had));
    } else if (take(g, bytes.n - had)) {
        timer_set(&g->timer, greeting_ms(g->server));
    } else {
        drop(g);
    }
}

static void hear(struct greeting *g)
{
    struct loop *l = g->server->loop;
    size_t had = buf_len(&g->taken);
    ssize_t n = recv(g->arrival.fd, l->read, PROXY_MAX_BYTES - had, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        buf_put(&g->taken, str_from(l->read, (size_t)n));
    if (n <= 0 || g->taken.failed)
        drop(g);
    else if (g->arrival.listed)
        hear_listed(g, had);
    else
        hear_other(g, had);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct greeting *g = arg;
    struct loop *l = g->server->loop;

    (void)fd;
    (void)what;
    if (list_linked(&g->link))
        hear(g);
    turn_settle(l);
}

static void on_time(void *arg)
{
    struct greeting *g = arg;

    if (g->arrival.listed || buf_len(&g->taken))
        refuse(g);
    else
        drop(g);
}

/* How long the first byte may be waited for. */
static int64_t patience_ms(const struct server *s, const struct arrival *a)
{
    if (a->listed)
        return greeting_ms(s);
    return a->tls ? server_handshake_ms(s) : s->settings.idle_ms;
}

/* Errors: E_NOMEM; descriptor and counted are still the caller's then. */
MUST_USE static enum err greet(struct server *s, const struct arrival *a,
                               struct peer *counted)
{
    struct greeting *g = mem_new(sizeof(*g));

    if (!g)
        return E_NOMEM;
    g->server = s;
    g->arrival = *a;
    g->counted = counted;
    buf_init(&g->taken, PROXY_MAX_BYTES);
    timer_init(&g->timer, s->loop, on_time, g);
    if (event_assign(&g->event, s->loop->base, a->fd, EV_READ | EV_PERSIST,
                     on_readable, g) < 0 ||
        event_add(&g->event, NULL) < 0) {
        mem_free(g);
        return E_NOMEM;
    }
    if (a->tls)
        tls_ref(a->tls);
    timer_set(&g->timer, patience_ms(s, a));
    list_push(&s->greetings, &g->link);
    s->connection_count++;
    return E_OK;
}

void arrive(struct server *s, const struct arrival *a)
{
    struct peer *counted;
    enum err err = count(s, a, &counted);

    if (err == E_OK && !a->greets) {
        enter(s, a, counted, STR(""));
        return;
    }
    if (err == E_OK)
        err = greet(s, a, counted);
    if (err == E_OK)
        return;
    peers_give(s->peers, &counted);
    close(a->fd);
}

void arrive_drop_all(struct server *s)
{
    while (!list_empty(&s->greetings))
        drop(LIST_OF(s->greetings.next, struct greeting, link));
}
