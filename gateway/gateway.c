/* gateway.c - see gateway.h. */
#include "gateway/gateway.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/access.h"
#include "gateway/course.h"
#include "gateway/exchange.h"
#include "gateway/pressure.h"
#include "gateway/redirect_server.h"
#include "gateway/status.h"
#include "gateway/watchdog.h"
#include "gateway/worker.h"
#include "net/server.h"
#include "net/tls.h"

#define STALL_MS 60000         /* threats.md E-03 */
#define TUNNEL_IDLE_MS 3600000 /* E-04 */
#define BODY_IDLE_MS 3600000   /* E-02 */
#define HALF_OPEN_MS 60000     /* U-14 */
#define KEEP_ALIVE_S 600       /* told to clients; e2b-control-plane.md 3.1 */
#define NOFILE_KEPT 256        /* descriptors that no connection takes: E-05 */
#define UP_IDLE_MAX 64         /* idle upstream connections of one key */
#define UP_IDLE_MS 60000
#define LEAVING_MS 2000 /* /readyz says it before nothing is accepted: 3.11 */
#define STUCK_MS 4000   /* without a turn of the loop: Z-02 */
#define STUCK_AGAIN_MS 1000 /* and then */

enum phase {
    PHASE_SERVING,
    PHASE_LEAVING, /* /readyz says so, everything is still served */
    PHASE_DRAINING /* nothing new is accepted */
};

struct gateway {
    enum phase phase;
    struct gateway_sockets *sockets; /* borrowed */
    struct loop *loop;
    struct store *store;
    struct pools *pools;
    struct live *live;
    struct worker worker;
    struct server *server;
    struct tls *tls;     /* counted; NULL: no listener speaks it */
    struct conf *opened; /* counted: whose listeners are open */
    struct listener **listeners;
    unsigned listener_count;
    struct redirect *redirect; /* NULL: no listener only redirects */
    struct status *status;     /* NULL: none configured */
    struct watch *store_watch;
    struct watch *signal_watch;
    struct watchdog watchdog;
    struct pressure pressure;
    struct timer leave; /* the next phase */
    int signal_fd;
    int64_t started_ms;
    bool worker_made;
};

/* ---- sockets ---- */

MUST_USE static enum err open_one(const struct conf_listener *l, int *fd)
{
    return listener_open(l->address, l->port, fd);
}

enum err gateway_sockets_open(const struct conf *conf,
                              struct gateway_sockets *out, unsigned *which)
{
    enum err err = E_OK;
    unsigned i;

    *out = (struct gateway_sockets){.status_fd = -1};
    *which = 0;
    out->fds = mem_new(conf->listener_count * sizeof(*out->fds));
    if (!out->fds)
        return E_NOMEM;
    for (i = 0; i < conf->listener_count && err == E_OK; i++) {
        *which = i;
        err = open_one(&conf->listeners[i], &out->fds[i]);
        out->count += err == E_OK;
    }
    /* Port 0 of the status listener means none. */
    if (err == E_OK && conf->status.port) {
        *which = conf->listener_count;
        err = open_one(&conf->status, &out->status_fd);
    }
    if (err) {
        int why = errno;

        gateway_sockets_close(out);
        errno = why;
    }
    return err;
}

void gateway_sockets_close(struct gateway_sockets *s)
{
    for (unsigned i = 0; i < s->count; i++)
        close(s->fds[i]);
    if (s->status_fd >= 0)
        close(s->status_fd);
    mem_free(s->fds);
    *s = (struct gateway_sockets){.status_fd = -1};
}

/* ---- settings ---- */

static unsigned connections_max(const struct conf *conf)
{
    struct rlimit limit;
    uint64_t most = UINT64_MAX;

    if (conf->connections_max)
        most = (uint64_t)conf->connections_max;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY) {
        uint64_t room = limit.rlim_cur > NOFILE_KEPT + 2
                            ? (limit.rlim_cur - NOFILE_KEPT) / 2
                            : 1;

        most = room < most ? room : most;
    }
    return most > 1000000 ? 1000000 : (unsigned)most;
}

static struct server_settings settings_of(const struct conf *conf)
{
    return (struct server_settings){
        .head_ms = conf->head_timeout_s * 1000,
        .idle_ms = conf->idle_s * 1000,
        .stall_ms = STALL_MS,
        .tunnel_idle_ms = TUNNEL_IDLE_MS,
        .body_idle_ms = BODY_IDLE_MS,
        .half_open_ms = HALF_OPEN_MS,
        .connections_max = connections_max(conf),
        .address_max = conf->address_max,
        .address_all = conf->address_all,
        .trusted = conf->trusted_proxies,
        .trusted_count = conf->trusted_proxy_count,
        .keep_alive_s =
            conf->idle_s > KEEP_ALIVE_S ? KEEP_ALIVE_S : (unsigned)conf->idle_s,
    };
}

/* Logs where the configuration wants them; the old place stays on failure. */
static void open_logs(const struct conf *conf)
{
    if (log_open(conf->log, (enum log_level)conf->log_level))
        log_say(LOG_ERROR, "log %.*s: %s", STR_FMT(conf->log), strerror(errno));
    if (log_open_access(conf->access_log))
        log_say(LOG_ERROR, "access log %.*s: %s", STR_FMT(conf->access_log),
                strerror(errno));
}

/* NULL without certificates. */
MUST_USE static enum err load_tls(const struct conf *conf, struct tls **out)
{
    struct tls_pair *pairs;
    const char *why = NULL;
    unsigned bad = 0;
    enum err err;

    *out = NULL;
    if (conf->certificate_count == 0)
        return E_OK;
    pairs = mem_new(conf->certificate_count * sizeof(*pairs));
    if (!pairs)
        return E_NOMEM;
    for (unsigned i = 0; i < conf->certificate_count; i++)
        pairs[i] = (struct tls_pair){conf->certificates[i].cert,
                                     conf->certificates[i].key};
    err = tls_new(pairs, conf->certificate_count, out, &bad, &why);
    if (err)
        log_say(LOG_ERROR, "certificate %.*s: %s",
                STR_FMT(conf->certificates[bad].cert),
                why ? why : err_text(err));
    mem_free(pairs);
    return err;
}

/* ---- reload ---- */

MUST_USE static enum err expect_proxy(struct listener *n,
                                      const struct conf_listener *l)
{
    return listener_expect_proxy(n, l->proxies, l->proxy_count);
}

static void on_mistake(void *arg, struct str file, unsigned line,
                       unsigned column, const char *what)
{
    (void)arg;
    log_say(LOG_ERROR, "%.*s:%u:%u: %s", STR_FMT(file), line, column, what);
}

static bool same_listeners(const struct conf *a, const struct conf *b)
{
    if (a->listener_count != b->listener_count)
        return false;
    for (unsigned i = 0; i < a->listener_count; i++)
        if (!str_eq(a->listeners[i].address, b->listeners[i].address) ||
            a->listeners[i].port != b->listeners[i].port ||
            a->listeners[i].tls != b->listeners[i].tls ||
            a->listeners[i].direct != b->listeners[i].direct ||
            a->listeners[i].redirect != b->listeners[i].redirect)
            return false;
    return true;
}

/* What only a restart can change keeps its old value; the operator is told. */
static void compare(const struct gateway *g, const struct conf *fresh)
{
    const struct conf *old = g->opened;

    if (!same_listeners(old, fresh))
        log_say(LOG_WARN, "reload: listeners change with a restart only");
    if (!str_eq(old->store_path, fresh->store_path))
        log_say(LOG_WARN, "reload: the store changes with a restart only");
    if (old->status.port != fresh->status.port)
        log_say(LOG_WARN, "reload: the status listener changes with a restart "
                          "only");
}

/* Who is listed may change where the sockets stay. */
static void set_proxies(struct gateway *g, const struct conf *fresh)
{
    if (!same_listeners(g->opened, fresh))
        return;
    for (unsigned i = 0; i < g->listener_count; i++)
        if (g->listeners[i] &&
            expect_proxy(g->listeners[i], &fresh->listeners[i]))
            log_say(LOG_ERROR, "reload: no memory for proxy_protocol");
}

static void take_over(struct gateway *g, struct conf *fresh, struct tls *tls)
{
    struct server_settings settings = settings_of(fresh);

    compare(g, fresh);
    if (tls) {
        tls_unref(&g->tls);
        g->tls = tls;
    }
    for (unsigned i = 0; i < g->listener_count && tls; i++)
        if (g->opened->listeners[i].tls && g->listeners[i])
            listener_set_tls(g->listeners[i], tls);
    set_proxies(g, fresh);
    server_set(g->server, &settings);
    if (g->redirect)
        redirect_set(g->redirect, fresh, &settings);
    open_logs(fresh);
    live_set_conf(g->live, fresh);
    worker_set_conf(&g->worker, fresh);
    pressure_set(&g->pressure, fresh->max_memory_bytes);
}

/* A new snapshot beside the old; a bad one changes nothing. */
static void reload(struct gateway *g)
{
    struct conf_report report = {.say = on_mistake};
    struct conf *fresh = NULL;
    struct tls *tls = NULL;
    char path[4096];
    enum err err;

    snprintf(path, sizeof(path), "%.*s", STR_FMT(g->worker.conf->file));
    err = conf_load(path, &report, &fresh);
    if (err == E_SYSTEM)
        log_say(LOG_ERROR, "%s: %s", path, strerror(errno));
    if (err == E_OK)
        err = load_tls(fresh, &tls);
    if (err) {
        g->worker.metrics.reload_failures++;
        log_say(LOG_ERROR, "reload refused: the old configuration stays");
    } else {
        take_over(g, fresh, tls);
        g->worker.metrics.reloads++;
        log_say(LOG_INFO, "reloaded %s", path);
    }
    conf_unref(&fresh);
}

/* ---- leaving ---- */

static void on_idle(void *arg)
{
    struct gateway *g = arg;

    loop_stop(g->loop);
}

static void stop_accepting(struct gateway *g)
{
    g->phase = PHASE_DRAINING;
    for (unsigned i = 0; i < g->listener_count; i++)
        listener_free(&g->listeners[i]);
    for (unsigned i = 0; i < g->sockets->count; i++)
        close(g->sockets->fds[i]);
    g->sockets->count = 0;
    server_drain(g->server, on_idle, g);
}

static void on_leave(void *arg)
{
    struct gateway *g = arg;
    int64_t drain_ms = g->worker.conf->drain_s * 1000;

    if (g->phase == PHASE_DRAINING) {
        log_say(LOG_WARN, "not drained in time: %u requests are cut",
                server_streams(g->server));
        loop_stop(g->loop);
        return;
    }
    timer_set(&g->leave, drain_ms > LEAVING_MS ? drain_ms - LEAVING_MS : 0);
    stop_accepting(g);
}

/* The first signal drains, the second ends it at once. */
static void leave(struct gateway *g)
{
    if (g->phase != PHASE_SERVING) {
        loop_stop(g->loop);
        return;
    }
    log_say(LOG_INFO, "leaving: %u requests in progress",
            server_streams(g->server));
    g->phase = PHASE_LEAVING;
    g->worker.leaving = true;
    /* Without a status listener there is nobody who should see it first. */
    timer_set(&g->leave, g->status ? LEAVING_MS : 0);
}

/* ---- events ---- */

static void on_signal(void *arg)
{
    struct gateway *g = arg;
    struct signalfd_siginfo info;
    bool again = false;

    /* Many of one kind are one. */
    while (read(g->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        switch ((int)info.ssi_signo) {
        case SIGHUP:
            again = true;
            break;
        case SIGUSR1:
            if (log_reopen())
                log_say(LOG_ERROR, "logs not reopened: %s", strerror(errno));
            break;
        default:
            leave(g);
        }
    }
    if (again)
        reload(g);
}

static void on_store(void *arg)
{
    struct gateway *g = arg;

    store_turn(g->store);
}

static void on_request(void *arg, struct stream *s,
                       const struct request_head *head)
{
    struct gateway *g = arg;

    course_begin(&g->worker, s, head);
}

static void on_refused(void *arg, struct str peer, int status, enum err why)
{
    struct gateway *g = arg;

    g->worker.metrics.refused[status / 100]++;
    if (status)
        access_refused(peer, status, why);
}

static void on_level(void *arg, enum pressure_level level)
{
    struct gateway *g = arg;

    g->worker.tight = level != PRESSURE_EASY;
    if (g->worker.tight)
        course_drop_spare(&g->worker);
    server_hold(g->server, level == PRESSURE_FULL);
}

static struct metrics_now on_now(void *arg)
{
    const struct gateway *g = arg;
    int64_t used_bytes = pressure_measure();

    return (struct metrics_now){
        .tight = g->worker.tight,
        .memory_bytes = used_bytes > 0 ? used_bytes : 0,
        .memory_max_bytes = g->pressure.max_bytes,
        .connections = server_connections(g->server),
        .streams = server_streams(g->server),
        .crowded = server_counts(g->server).crowded,
        .greetings = server_counts(g->server).greetings,
        .ready = live_ready(g->live),
        .draining = g->phase != PHASE_SERVING,
        .uptime_s = (clock_ms() - g->started_ms) / 1000,
    };
}

/* ---- putting it together ---- */

MUST_USE static enum err watch_signals(struct gateway *g)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    g->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (g->signal_fd < 0)
        return E_SYSTEM;
    return watch_new(g->loop, g->signal_fd, on_signal, g, &g->signal_watch);
}

MUST_USE static enum err make_records(struct gateway *g, struct conf *conf)
{
    enum err err = loop_new(&g->loop);

    if (err == E_OK)
        err = watch_signals(g);
    timer_init(&g->leave, g->loop, on_leave, g);
    if (err == E_OK)
        err = store_open(conf->store_path, &g->store);
    if (err == E_OK)
        err = watch_new(g->loop, store_fd(g->store), on_store, g,
                        &g->store_watch);
    if (err == E_OK)
        err = pools_new(g->loop, UP_IDLE_MAX, UP_IDLE_MS, &g->pools);
    if (err == E_OK)
        err = live_new(g->loop, g->pools, g->store, conf, &g->live);
    if (err)
        return err;
    g->worker_made = true;
    err = worker_init(&g->worker, g->loop, g->store, g->pools, conf);
    g->worker.live = g->live;
    return err;
}

/* If a listener wants it.  To the first port that speaks TLS. */
MUST_USE static enum err make_redirect(struct gateway *g, struct conf *conf,
                                       const struct server_settings *settings)
{
    unsigned port = 0;
    bool wanted = false;

    for (unsigned i = 0; i < conf->listener_count; i++) {
        wanted = wanted || conf->listeners[i].redirect;
        if (!port && conf->listeners[i].tls)
            port = listener_port(g->sockets->fds[i]);
    }
    if (!wanted)
        return E_OK;
    return redirect_new(g->loop, conf, port, settings, &g->worker.metrics,
                        &g->redirect);
}

MUST_USE static enum err
make_listener(struct gateway *g, const struct conf_listener *l, unsigned i)
{
    int fd = g->sockets->fds[i];

    if (l->redirect)
        return redirect_listen(g->redirect, fd, &g->listeners[i]);
    return listener_new(g->server, fd, l->tls ? g->tls : NULL, l->direct,
                        &g->listeners[i]);
}

MUST_USE static enum err make_servers(struct gateway *g, struct conf *conf)
{
    struct server_settings settings = settings_of(conf);
    struct status_source source = {&g->worker.metrics, on_now, g};
    enum err err = load_tls(conf, &g->tls);

    if (err == E_OK)
        err = server_new(g->loop, &settings, on_request, on_refused, g,
                         &g->server);
    if (err == E_OK) {
        g->listeners = mem_new(conf->listener_count * sizeof(*g->listeners));
        err = g->listeners ? E_OK : E_NOMEM;
    }
    if (err == E_OK)
        err = make_redirect(g, conf, &settings);
    for (unsigned i = 0; i < conf->listener_count && err == E_OK; i++) {
        err = make_listener(g, &conf->listeners[i], i);
        g->listener_count += err == E_OK;
        if (err == E_OK)
            err = expect_proxy(g->listeners[i], &conf->listeners[i]);
    }
    if (err == E_OK && g->sockets->status_fd >= 0)
        err = status_new(g->loop, g->sockets->status_fd, &source, &g->status);
    return err;
}

enum err gateway_new(struct conf *conf, struct gateway_sockets *sockets,
                     struct gateway **out)
{
    struct gateway *g = mem_new(sizeof(*g));
    enum err err;

    *out = NULL;
    if (!g)
        return E_NOMEM;
    g->sockets = sockets;
    g->signal_fd = -1;
    g->started_ms = clock_ms();
    g->opened = conf_ref(conf);
    open_logs(conf);
    err = make_records(g, conf);
    if (err == E_OK)
        err = make_servers(g, conf);
    if (err == E_OK) {
        pressure_init(&g->pressure, g->loop, on_level, g);
        pressure_set(&g->pressure, conf->max_memory_bytes);
    }
    if (err) {
        log_say(LOG_ERROR, "cannot start: %s", err_text(err));
        gateway_free(&g);
        return err;
    }
    *out = g;
    return E_OK;
}

void gateway_say_ready(const struct gateway *g)
{
    const struct conf *conf = g->worker.conf;

    for (unsigned i = 0; i < g->listener_count; i++)
        fprintf(stderr, "sandgate: %s on %s://%.*s:%u for %.*s\n",
                conf->listeners[i].redirect ? "redirects" : "ready",
                conf->listeners[i].tls ? "https" : "http",
                STR_FMT(conf->listeners[i].address),
                listener_port(g->sockets->fds[i]), STR_FMT(conf->domain));
    if (g->status)
        fprintf(stderr, "sandgate: status on http://%.*s:%u\n",
                STR_FMT(conf->status.address),
                listener_port(g->sockets->status_fd));
}

void gateway_run(struct gateway *g)
{
    if (watchdog_start(&g->watchdog, g->loop, STUCK_MS, STUCK_AGAIN_MS))
        log_say(LOG_ERROR, "no watchdog over the event loop");
    loop_run(g->loop);
    watchdog_stop(&g->watchdog);
}

void gateway_free(struct gateway **gp)
{
    struct gateway *g = *gp;

    *gp = NULL;
    if (!g)
        return;
    if (g->worker_made)
        course_drop_open(&g->worker);
    status_free(&g->status);
    for (unsigned i = 0; i < g->listener_count; i++)
        listener_free(&g->listeners[i]);
    mem_free(g->listeners);
    redirect_free(&g->redirect);
    server_free(&g->server);
    if (g->loop)
        loop_turn(g->loop, false);
    live_free(&g->live);
    if (g->worker_made)
        worker_clear(&g->worker);
    pools_free(&g->pools);
    watch_free(&g->store_watch);
    store_close(&g->store);
    watch_free(&g->signal_watch);
    if (g->signal_fd >= 0)
        close(g->signal_fd);
    if (g->leave.loop)
        timer_clear(&g->leave);
    pressure_clear(&g->pressure);
    tls_unref(&g->tls);
    loop_free(&g->loop);
    conf_unref(&g->opened);
    mem_free(g);
}
