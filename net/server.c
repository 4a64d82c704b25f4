/* server.c - the listening side of server.h: who may come in, and when. */
#include "net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/arrive.h"
#include "net/h1_conn.h"
#include "net/h1_stream.h"
#include "net/peers.h"
#include "net/serving.h"
#include "net/tune.h"

/* Source: threats.md T-06, E-06. */
#define HANDSHAKES_MAX 512
#define NO_ROOM_MS 100

/* Connections taken in one event, so that many who come do not keep those who
 * are here waiting. */
#define ACCEPT_MAX 16

#define BACKLOG 4096

/* What the kernel may hold for us when we do not read.  Source: threats.md
 * 3.7. */
#define RECEIVE_BYTES (256 * 1024)

struct listener {
    struct server *server; /* borrowed */
    struct list link;
    struct event *event;           /* owned */
    struct tls *tls;               /* counted; NULL: plain */
    struct address_block *proxies; /* owned: who says whose it is */
    unsigned proxy_count;
    int fd; /* borrowed */
    bool direct;
    bool accepts;       /* the event is set */
    struct timer retry; /* the system had no room */
};

/* ---- sockets ---- */

union place {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool read_address(struct str text, unsigned port, union place *out,
                         socklen_t *n)
{
    char z[64];

    if (text.n >= sizeof(z) || port > 65535)
        return false;
    snprintf(z, sizeof(z), "%.*s", STR_FMT(text));
    *out = (union place){.any = {.sa_family = AF_UNSPEC}};
    if (str_find(text, ':') < text.n) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)port);
        *n = sizeof(out->v6);
        return inet_pton(AF_INET6, z, &out->v6.sin6_addr) == 1;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)port);
    *n = sizeof(out->v4);
    return inet_pton(AF_INET, z, &out->v4.sin_addr) == 1;
}

enum err listener_open(struct str address, unsigned port, int *out)
{
    union place a;
    socklen_t n = 0;
    int on = 1, fd;

    *out = -1;
    errno = EINVAL;
    if (!read_address(address, port, &a, &n))
        return E_SYSTEM;
    fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return E_SYSTEM;
    if (a.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    tune_socket(fd, RECEIVE_BYTES);
    if (bind(fd, &a.any, n) < 0 || listen(fd, BACKLOG) < 0) {
        int code = errno;

        close(fd);
        errno = code;
        return E_SYSTEM;
    }
    *out = fd;
    return E_OK;
}

unsigned listener_port(int fd)
{
    union place a = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t n = sizeof(a);

    if (getsockname(fd, &a.any, &n) < 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* Whose it is; false: one of no IP address. */
static bool find_peer(const union place *a, struct address *out)
{
    bool v6 = a->any.sa_family == AF_INET6;

    if (!v6 && a->any.sa_family != AF_INET)
        return false;
    address_set(out, v6,
                v6 ? (const unsigned char *)&a->v6.sin6_addr
                   : (const unsigned char *)&a->v4.sin_addr);
    return true;
}

/* ---- accepting ---- */

static bool has_room(const struct server *s)
{
    return !s->draining && !s->held &&
           s->connection_count < s->settings.connections_max &&
           s->handshake_count < HANDSHAKES_MAX;
}

/* Accept as long as there is room. */
static void set_accepting(struct listener *n)
{
    bool accepts = has_room(n->server) && !timer_pending(&n->retry);

    if (n->accepts == accepts)
        return;
    if (!accepts) {
        event_del(n->event);
        n->accepts = false;
    } else if (event_add(n->event, NULL) == 0) {
        n->accepts = true;
    } else {
        timer_set(&n->retry, NO_ROOM_MS);
    }
}

static void on_retry(void *arg)
{
    set_accepting(arg);
}

static void admit(struct listener *n, int fd, const union place *peer)
{
    struct arrival a = {.fd = fd, .tls = n->tls, .direct = n->direct};

    a.known = find_peer(peer, &a.from);
    a.greets = n->proxy_count > 0;
    a.listed = a.known && address_is_among(&a.from, n->proxies, n->proxy_count);
    arrive(n->server, &a);
}

/* Errors that are the fault of one connection, not of the system's room. */
static bool is_theirs(int code)
{
    return code == ECONNABORTED || code == EINTR || code == EPROTO ||
           code == EPERM;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *n = arg;
    struct loop *l = n->server->loop;

    (void)what;
    for (int i = 0; i < ACCEPT_MAX && has_room(n->server); i++) {
        union place a = {.any = {.sa_family = AF_UNSPEC}};
        socklen_t size = sizeof(a);
        int client = accept4(fd, &a.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client >= 0) {
            admit(n, client, &a);
        } else if (errno == EAGAIN) {
            break;
        } else if (!is_theirs(errno)) {
            timer_set(&n->retry, NO_ROOM_MS);
            break;
        }
    }
    set_accepting(n);
    turn_settle(l);
}

enum err listener_new(struct server *s, int fd, struct tls *tls, bool direct,
                      struct listener **out)
{
    struct listener *n = *out = mem_new(sizeof(*n));

    if (!n)
        return E_NOMEM;
    n->server = s;
    n->fd = fd;
    n->direct = direct;
    timer_init(&n->retry, s->loop, on_retry, n);
    n->event = event_new(s->loop->base, fd, EV_READ | EV_PERSIST, on_accept, n);
    if (!n->event) {
        mem_free(n);
        *out = NULL;
        return E_NOMEM;
    }
    n->tls = tls ? tls_ref(tls) : NULL;
    list_push(&s->listeners, &n->link);
    set_accepting(n);
    return E_OK;
}

void listener_set_tls(struct listener *n, struct tls *tls)
{
    tls_unref(&n->tls);
    n->tls = tls ? tls_ref(tls) : NULL;
}

enum err listener_expect_proxy(struct listener *n,
                               const struct address_block *blocks,
                               unsigned count)
{
    struct address_block *copy = NULL;

    if (count) {
        copy = mem_new(count * sizeof(*copy));
        if (!copy)
            return E_NOMEM;
        memcpy(copy, blocks, count * sizeof(*copy));
    }
    mem_free(n->proxies);
    n->proxies = copy;
    n->proxy_count = count;
    return E_OK;
}

static void bury_listener(void *what)
{
    mem_free(what);
}

void listener_free(struct listener **out)
{
    struct listener *n = *out;

    if (!n)
        return;
    *out = NULL;
    event_free(n->event);
    timer_clear(&n->retry);
    tls_unref(&n->tls);
    mem_free(n->proxies);
    n->proxies = NULL;
    n->proxy_count = 0;
    list_remove(&n->link);
    loop_bury(n->server->loop, bury_listener, n);
}

/* ---- the server ---- */

static void bury_server(void *what)
{
    struct server *s = what;
    struct list *link;

    while ((link = list_pop(&s->spare)))
        h1_stream_free_spare(link);
    peers_free(&s->peers);
    mem_free(s);
}

/* Runs after the event in which something ended. */
static void on_change(struct post *p)
{
    struct server *s = LIST_OF(p, struct server, change);
    void (*on_idle)(void *) = s->on_idle;

    for (struct list *i = s->listeners.next; i != &s->listeners; i = i->next)
        set_accepting(LIST_OF(i, struct listener, link));
    if (s->dying) {
        if (!s->alive && !s->connection_count && !s->buried) {
            s->buried = true;
            loop_bury(s->loop, bury_server, s);
        }
    } else if (s->draining && !s->connection_count && on_idle) {
        s->on_idle = NULL;
        on_idle(s->idle_arg);
    }
}

static void on_less(struct server *s)
{
    turn_post(s->loop, &s->change);
}

enum err server_new(struct loop *l, const struct server_settings *settings,
                    server_on_request *on_request,
                    server_on_refused *on_refused, void *arg,
                    struct server **out)
{
    struct server *s = *out = mem_new(sizeof(*s));

    if (!s)
        return E_NOMEM;
    if (peers_new(&s->peers) != E_OK) {
        mem_free(s);
        *out = NULL;
        return E_NOMEM;
    }
    s->loop = l;
    s->settings = *settings;
    s->on_request = on_request;
    s->on_refused = on_refused;
    s->arg = arg;
    s->on_less = on_less;
    s->change = (struct post){.run = on_change};
    list_init(&s->listeners);
    list_init(&s->connections);
    list_init(&s->greetings);
    list_init(&s->spare);
    return E_OK;
}

void server_set(struct server *s, const struct server_settings *settings)
{
    s->settings = *settings;
    on_less(s);
}

unsigned server_streams(const struct server *s)
{
    return s->stream_count;
}

unsigned server_connections(const struct server *s)
{
    return s->connection_count;
}

struct server_counts server_counts(const struct server *s)
{
    return s->counts;
}

void server_hold(struct server *s, bool on)
{
    s->held = on;
    for (struct list *i = s->connections.next; on && i != &s->connections;
         i = i->next)
        h1_conn_drain(i);
    on_less(s);
}

void server_drain(struct server *s, void (*on_idle)(void *arg), void *arg)
{
    s->draining = true;
    s->on_idle = on_idle;
    s->idle_arg = arg;
    arrive_drop_all(s);
    for (struct list *i = s->connections.next; i != &s->connections;
         i = i->next)
        h1_conn_drain(i);
    on_less(s);
}

void server_free(struct server **out)
{
    struct server *s = *out;

    if (!s)
        return;
    *out = NULL;
    s->dying = true;
    arrive_drop_all(s);
    while (!list_empty(&s->connections))
        h1_conn_cut(s->connections.next);
    on_less(s);
}
