/* upstream.c - see upstream.h. */
#include "net/upstream.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/tls.h"
#include "net/tune.h"

#define UP_MAGIC 0x0b5712eau
#define BUCKETS 1024

/* Unread bytes that are kept: one read behind what is not a whole head. */
#define IN_MAX_BYTES (H1_ANSWER_BYTES + TURN_READ_BYTES)

/* What the kernel may hold for us when we do not read.  Source: threats.md
 * 3.7. */
#define RECEIVE_BYTES (128 * 1024)

/* Idle connections over all keys. */
#define IDLE_MAX 2048

union place {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

struct pool {
    struct pool *next;   /* owned: in its bucket */
    struct pools *pools; /* borrowed; NULL when they are gone */
    struct loop *loop;   /* borrowed */
    struct tls *tls;     /* counted; NULL: plain */
    struct list idle;    /* owned: struct up, the newest last */
    unsigned idle_count;
    unsigned uses;
    uint64_t hash;
    union place address;
    socklen_t address_bytes;
    unsigned port;
    struct str key, at; /* in texts: of the request */
    char texts[];
};

struct pools {
    struct loop *loop; /* borrowed */
    struct tls *dial;  /* counted; NULL until a call wants TLS */
    unsigned idle_max_per_key;
    int64_t idle_ms;
    unsigned idle_count;
    unsigned char seed[16];
    struct pool *buckets[BUCKETS]; /* owned */
};

/* ---- pools ---- */

enum err pools_new(struct loop *l, unsigned idle_max_per_key, int64_t idle_ms,
                   struct pools **out)
{
    struct pools *p = *out = mem_new(sizeof(*p));

    if (!p)
        return E_NOMEM;
    p->loop = l;
    p->idle_max_per_key = idle_max_per_key;
    p->idle_ms = idle_ms;
    random_bytes(p->seed, sizeof(p->seed));
    return E_OK;
}

static bool read_address(const struct call_request *r, union place *out,
                         socklen_t *n)
{
    char z[64];

    memset(out, 0, sizeof(*out));
    if (r->address.n && r->address.p[0] == '/') {
        out->local.sun_family = AF_UNIX;
        *n = sizeof(out->local);
        if (r->address.n >= sizeof(out->local.sun_path))
            return false;
        memcpy(out->local.sun_path, r->address.p, r->address.n);
        return true;
    }
    if (r->address.n >= sizeof(z) || !r->port || r->port > 65535)
        return false;
    snprintf(z, sizeof(z), "%.*s", STR_FMT(r->address));
    if (str_find(r->address, ':') < r->address.n) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)r->port);
        *n = sizeof(out->v6);
        return inet_pton(AF_INET6, z, &out->v6.sin6_addr) == 1;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)r->port);
    *n = sizeof(out->v4);
    return inet_pton(AF_INET, z, &out->v4.sin_addr) == 1;
}

static struct str keep(char *p, struct str s)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    return str_from(p, s.n);
}

static enum err make_pool(struct pools *p, const struct call_request *r,
                          uint64_t hash, struct pool **out)
{
    struct pool *pool = mem_new(sizeof(*pool) + r->pool.n + r->address.n);

    if (!pool)
        return E_NOMEM;
    if (!read_address(r, &pool->address, &pool->address_bytes)) {
        mem_free(pool);
        return E_SYSTEM;
    }
    if (r->tls)
        pool->tls = tls_ref(p->dial);
    pool->pools = p;
    pool->loop = p->loop;
    pool->hash = hash;
    pool->port = r->port;
    pool->key = keep(pool->texts, r->pool);
    pool->at = keep(pool->texts + r->pool.n, r->address);
    pool->uses = 1;
    list_init(&pool->idle);
    pool->next = p->buckets[hash % BUCKETS];
    p->buckets[hash % BUCKETS] = pool;
    *out = pool;
    return E_OK;
}

enum err pool_find(struct pools *p, const struct call_request *r,
                   struct pool **out)
{
    uint64_t hash = str_hash(r->pool, p->seed);
    struct pool *pool;

    *out = NULL;
    if (r->tls && !p->dial && tls_new_dial(&p->dial) != E_OK)
        return E_NOMEM;
    for (pool = p->buckets[hash % BUCKETS]; pool; pool = pool->next)
        if (pool->hash == hash && str_eq(pool->key, r->pool) &&
            pool->port == r->port && !pool->tls == !r->tls &&
            str_eq(pool->at, r->address)) {
            pool->uses++;
            *out = pool;
            return E_OK;
        }
    return make_pool(p, r, hash, out);
}

static void unlink_pool(struct pool *pool)
{
    struct pool **at;

    if (!pool->pools)
        return;
    at = &pool->pools->buckets[pool->hash % BUCKETS];
    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
}

void pool_unref(struct pool **out)
{
    struct pool *pool = *out;

    *out = NULL;
    if (!pool || --pool->uses)
        return;
    unlink_pool(pool);
    tls_unref(&pool->tls);
    mem_free(pool);
}

struct tls *pool_tls(const struct pool *pool)
{
    return pool->tls;
}

struct loop *pool_loop(const struct pool *pool)
{
    return pool->loop;
}

/* ---- connections ---- */

static void bury(void *what)
{
    struct up *up = what;

    io_clear(&up->io);
    buf_clear(&up->in);
    up->magic = 0;
    mem_free(up);
}

/* The descriptor is closed. */
static void die(struct up *up)
{
    up->dead = true;
    up->user = NULL;
    up->on_io = NULL;
    pool_unref(&up->pool);
    loop_bury(up->io.loop, bury, up);
}

static void leave_idle(struct up *up)
{
    list_remove(&up->link);
    up->pool->idle_count--;
    if (up->pool->pools)
        up->pool->pools->idle_count--;
}

static void on_io(struct io *io, unsigned what)
{
    struct up *up = LIST_OF(io, struct up, io);

    assert(up->magic == UP_MAGIC);
    if (up->dead)
        return;
    if (up->on_io) {
        up->on_io(up->user, what);
        return;
    }
    /* Nothing is asked for, so nothing may come: bytes would be taken for the
     * answer to the next request (threats.md U-05). */
    if (what == IO_STEP && !io->failed)
        return;
    leave_idle(up);
    io_close(io);
    die(up);
}

/* Neither bytes nor an end nor an error wait at the socket. */
static bool is_silent(const struct up *up)
{
    char byte;

    return recv(up->io.fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

struct up *up_take(struct pool *pool, bool sure)
{
    while (!list_empty(&pool->idle)) {
        struct up *up = LIST_OF(pool->idle.prev, struct up, link);

        leave_idle(up);
        if (up->io.failed || (sure && !is_silent(up))) {
            up_cut(&up);
            continue;
        }
        up->served = true;
        io_due(&up->io, IO_NEVER);
        return up;
    }
    return NULL;
}

static enum err open_socket(const struct pool *pool, int *out)
{
    int fd = socket(pool->address.any.sa_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *out = fd;
    if (fd < 0)
        return E_SYSTEM;
    tune_socket(fd, RECEIVE_BYTES);
    if (connect(fd, &pool->address.any, pool->address_bytes) == 0 ||
        errno == EINPROGRESS)
        return E_OK;
    close(fd);
    return E_BACKEND_DOWN;
}

enum err up_connect(struct pool *pool, struct up **out)
{
    struct up *up = mem_new(sizeof(*up));
    enum err err;
    int fd = -1;

    *out = NULL;
    if (!up)
        return E_NOMEM;
    err = open_socket(pool, &fd);
    if (err == E_OK && io_init(&up->io, pool->loop, fd, false, on_io) != E_OK) {
        close(fd);
        err = E_NOMEM;
    }
    if (err != E_OK) {
        mem_free(up);
        return err;
    }
    up->magic = UP_MAGIC;
    buf_init(&up->in, IN_MAX_BYTES);
    up->pool = pool;
    pool->uses++;
    *out = up;
    return E_OK;
}

void up_give(struct up **out)
{
    struct up *up = *out;
    struct pools *p = up->pool->pools;

    if (!p || up->io.failed || up->pool->idle_count >= p->idle_max_per_key ||
        p->idle_count >= IDLE_MAX) {
        up_close(out);
        return;
    }
    *out = NULL;
    up->on_io = NULL;
    up->user = NULL;
    buf_clear(&up->in);
    up->pool->idle_count++;
    p->idle_count++;
    list_push(&up->pool->idle, &up->link);
    io_watch(&up->io, true);
    io_due(&up->io, clock_ms() + p->idle_ms);
}

void up_close(struct up **out)
{
    struct up *up = *out;

    *out = NULL;
    io_close(&up->io);
    die(up);
}

void up_cut(struct up **out)
{
    struct up *up = *out;

    if (!up)
        return;
    *out = NULL;
    io_cut(&up->io);
    die(up);
}

/* ---- ends of pools ---- */

static void drop_idle(struct pool *pool)
{
    pool->uses++; /* its last connection must not free it here */
    while (!list_empty(&pool->idle)) {
        struct up *up = LIST_OF(pool->idle.next, struct up, link);

        leave_idle(up);
        io_close(&up->io);
        die(up);
    }
    pool_unref(&pool);
}

void pools_drop(struct pools *p, struct str key)
{
    uint64_t hash = str_hash(key, p->seed);
    struct pool *next;

    for (struct pool *pool = p->buckets[hash % BUCKETS]; pool; pool = next) {
        next = pool->next;
        if (pool->hash == hash && str_eq(pool->key, key))
            drop_idle(pool);
    }
}

void pools_free(struct pools **out)
{
    struct pools *p = *out;

    if (!p)
        return;
    *out = NULL;
    for (unsigned i = 0; i < BUCKETS; i++)
        while (p->buckets[i]) {
            struct pool *pool = p->buckets[i];

            pool->uses++;
            drop_idle(pool);
            /* Calls may still hold it; nothing goes back to it any more. */
            unlink_pool(pool);
            pool->pools = NULL;
            pool_unref(&pool);
        }
    tls_unref(&p->dial);
    mem_free(p);
}
