/* main.c - the program: arguments, master and worker, signals. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "auth/key.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "conf/conf.h"
#include "config.h"
#include "gateway/gateway.h"
#include "link.h"
#include "model/identity.h"
#include "store/store.h"

#define DEFAULT_CONF "/etc/sandgate/sandgate.yaml"

/* A worker that dies is started again after this, twice as long each time
 * that it did not live for a while; never longer than a second. */
#define AGAIN_LEAST_MS 50
#define AGAIN_MOST_MS 1000
#define LIVED_MS 5000

/* What a worker has beyond the drain time before it is killed. */
#define DRAIN_EXTRA_S 5

#define STORE_MS 5000 /* for the key commands */

static const char usage[] =
    "Usage: sandgate COMMAND [-c FILE]\n"
    "\n"
    "  serve [--foreground]     serve until SIGTERM; SIGHUP reads the\n"
    "                           configuration anew, SIGUSR1 opens the logs\n"
    "                           anew\n"
    "  check                    tell every mistake of the configuration\n"
    "  key create --team TEAM   make an API key and print it\n"
    "  key list                 the keys' numbers, teams and last digits\n"
    "  key revoke NUMBER        make a key invalid\n"
    "  link mint|show|list|revoke   signed links; see link --help\n"
    "  example                  print a configuration file with every key\n"
    "  reference                print the reference of all keys (Markdown)\n"
    "  --version, --help\n"
    "\n"
    "FILE is " DEFAULT_CONF " unless given.\n";

/* ---- arguments ---- */

struct arguments {
    const char *words[3]; /* command and what belongs to it */
    int count;
    const char *file;
    const char *team;
};

static int complain(const char *what, const char *about)
{
    fprintf(stderr, "sandgate: %s%s%s\n%s", what, about ? ": " : "",
            about ? about : "", usage);
    return 2;
}

/* 0, or the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *out)
{
    *out = (struct arguments){.file = DEFAULT_CONF};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char **value = NULL;

        if (strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0)
            value = &out->file;
        else if (strcmp(word, "--team") == 0)
            value = &out->team;
        if (value && i + 1 >= argc)
            return complain("a value is missing behind", word);
        if (value)
            *value = argv[++i];
        else if (strcmp(word, "--foreground") == 0)
            continue; /* the only way there is */
        else if (word[0] == '-' && out->count > 0)
            return complain("unknown option", word);
        else if (out->count < 3)
            out->words[out->count++] = word;
        else
            return complain("too many arguments", word);
    }
    return 0;
}

static bool is_command(const struct arguments *a, const char *first,
                       const char *second, int count)
{
    return a->count == count && strcmp(a->words[0], first) == 0 &&
           (!second || strcmp(a->words[1], second) == 0);
}

/* ---- the configuration ---- */

static void on_mistake(void *arg, struct str file, unsigned line,
                       unsigned column, const char *what)
{
    (void)arg;
    fprintf(stderr, "%.*s:%u:%u: %s\n", STR_FMT(file), line, column, what);
}

static void on_warning(void *arg, struct str file, unsigned line,
                       unsigned column, const char *what)
{
    (void)arg;
    fprintf(stderr, "%.*s:%u:%u: warning: %s\n", STR_FMT(file), line, column,
            what);
}

/* NULL when it is not usable; every mistake has been told then. */
static struct conf *load(const char *file)
{
    struct conf_report report = {.say = on_mistake, .warn = on_warning};
    struct conf *conf = NULL;
    enum err err = conf_load(file, &report, &conf);

    if (err == E_SYSTEM)
        fprintf(stderr, "sandgate: %s: %s\n", file, strerror(errno));
    else if (err == E_NOMEM)
        fprintf(stderr, "sandgate: %s\n", err_text(err));
    else if (err)
        fprintf(stderr, "sandgate: %s: %u mistake%s\n", file, report.count,
                report.count == 1 ? "" : "s");
    return conf;
}

static int check(const char *file)
{
    struct conf *conf = load(file);

    if (!conf)
        return 1;
    conf_unref(&conf);
    return 0;
}

/* ---- keys ---- */

static int complain_store(const struct conf *conf, enum err err)
{
    fprintf(stderr, "sandgate: %.*s: %s\n", STR_FMT(conf->store_path),
            err_text(err));
    return 1;
}

static void on_committed(void *arg, enum err err)
{
    *(enum err *)arg = err;
}

/* Write one change and wait for it. */
static enum err commit(struct store *store, const struct change *change)
{
    enum err written = E_STORE;
    enum err err = store_commit(store, change, 1, on_committed, &written);

    if (err == E_OK)
        err = store_flush(store, STORE_MS);
    return err ? err : written;
}

static int key_create(const struct conf *conf, struct store *store,
                      const char *team)
{
    unsigned char random[20];
    char text[AUTH_KEY_LENGTH + 1];
    struct key key = {.created_ms = clock_wall_ms()};
    struct change change = {.kind = CHANGE_PUT_KEY, .key = &key};
    enum err err;

    if (!identity_team_ok(str_of(team))) {
        fprintf(stderr,
                "sandgate: --team must be 1 to %d characters of a-z "
                "0-9 _ -, the first one a letter or digit\n",
                TEAM_MAX);
        return 2;
    }
    random_bytes(random, sizeof(random));
    auth_key_make(random, text);
    auth_key_hash(str_of(text), conf->secret, key.hash);
    snprintf(key.team, sizeof(key.team), "%s", team);
    snprintf(key.hint, sizeof(key.hint), "%s", text + AUTH_KEY_LENGTH - 4);
    err = commit(store, &change);
    if (err)
        return complain_store(conf, err);
    puts(text);
    return 0;
}

static int key_list(const struct conf *conf, struct store *store)
{
    struct arena *arena;
    const struct key *keys;
    unsigned count;
    char made[25], gone[25];

    if (arena_new((size_t)64 << 20, &arena))
        return complain_store(conf, E_NOMEM);
    if (store_list_keys(store, arena, &keys, &count) != FOUND) {
        arena_free(&arena);
        return complain_store(conf, E_STORE);
    }
    printf("%-7s %-24s %-8s %-24s %s\n", "NUMBER", "TEAM", "KEY", "CREATED",
           "REVOKED");
    for (unsigned i = 0; i < count; i++) {
        clock_text(keys[i].created_ms, made);
        clock_text(keys[i].revoked_ms, gone);
        printf("%-7" PRIu64 " %-24s ...%-5s %-24s %s\n", keys[i].number,
               keys[i].team, keys[i].hint, made,
               keys[i].revoked_ms ? gone : "-");
    }
    arena_free(&arena);
    return 0;
}

static int key_revoke(const struct conf *conf, struct store *store,
                      const char *number)
{
    struct key key = {.revoked_ms = clock_wall_ms()};
    struct change change = {.kind = CHANGE_REVOKE_KEY, .key = &key};
    enum err err;

    if (!str_u64(str_of(number), INT64_MAX, &key.number) || key.number == 0) {
        fprintf(stderr, "sandgate: not a key's number: %s\n", number);
        return 2;
    }
    err = commit(store, &change);
    if (err == E_CONFLICT) {
        fprintf(stderr, "sandgate: there is no key %s\n", number);
        return 1;
    }
    return err ? complain_store(conf, err) : 0;
}

static int keys(const struct arguments *a)
{
    struct conf *conf = load(a->file);
    struct store *store;
    int status = 1;
    enum err err;

    if (!conf)
        return 1;
    err = store_open(conf->store_path, &store);
    if (err)
        status = complain_store(conf, err);
    else if (strcmp(a->words[1], "create") == 0)
        status = key_create(conf, store, a->team);
    else if (strcmp(a->words[1], "list") == 0)
        status = key_list(conf, store);
    else
        status = key_revoke(conf, store, a->words[2]);
    store_close(&store);
    conf_unref(&conf);
    return status;
}

/* ---- master and worker ---- */

struct master {
    const char *file;
    struct conf *conf; /* newest good one: what a new worker begins with */
    struct gateway_sockets sockets;
    sigset_t signals; /* blocked, waited for */
    sigset_t before;  /* as they were */
    pid_t worker;     /* 0: none */
    int64_t born_ms;  /* of the worker */
    int64_t again_ms; /* how long the next one is waited for */
    bool ever_ready;  /* a worker has served for a while, or was begun well */
    bool leaving;
};

/* Nothing of what is in memory reaches a file or another user's eyes.
 * Source: threats.md T-09. */
static void harden(void)
{
    struct rlimit limit = {0, 0};

    setrlimit(RLIMIT_CORE, &limit);
#ifndef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 0);
#endif
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Exit status of the worker: 0 drained, 1 could not begin. */
static int work(struct master *m)
{
    struct gateway *gateway;
    enum err err;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigprocmask(SIG_SETMASK, &m->before, NULL);
    err = gateway_new(m->conf, &m->sockets, &gateway);
    if (err) {
        fprintf(stderr, "sandgate: cannot start: %s (see the log)\n",
                err_text(err));
        return 1;
    }
    gateway_say_ready(gateway);
    gateway_run(gateway);
    gateway_free(&gateway);
    return 0;
}

static bool start_worker(struct master *m)
{
    fflush(NULL);
    m->born_ms = clock_ms();
    m->worker = fork();
    if (m->worker < 0) {
        log_say(LOG_ERROR, "cannot start a worker: %s", strerror(errno));
        m->worker = 0;
        return false;
    }
    if (m->worker == 0) {
        int status = work(m);

        gateway_sockets_close(&m->sockets);
        conf_unref(&m->conf);
        exit(status);
    }
    return true;
}

/* The running worker reads the same file and tells them. */
static void on_known_mistake(void *arg, struct str file, unsigned line,
                             unsigned column, const char *what)
{
    (void)arg;
    (void)file;
    (void)line;
    (void)column;
    (void)what;
}

/* A new configuration for the workers to come. */
static void reload(struct master *m)
{
    struct conf_report report = {.say = on_known_mistake};
    struct conf *fresh = NULL;

    if (conf_load(m->file, &report, &fresh) == E_OK) {
        conf_unref(&m->conf);
        m->conf = fresh;
    }
    if (m->worker)
        kill(m->worker, SIGHUP);
}

static void leave(struct master *m)
{
    m->leaving = true;
    /* What is not accepted by now is refused, not left to hang. */
    gateway_sockets_close(&m->sockets);
    if (m->worker)
        kill(m->worker, SIGTERM);
    alarm((unsigned)m->conf->drain_s + DRAIN_EXTRA_S);
}

/* The worker has ended.  True: the master ends with *status. */
static bool bury_worker(struct master *m, int how, int *status)
{
    bool lived = clock_ms() - m->born_ms >= LIVED_MS;

    m->worker = 0;
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : 1;
    if (m->leaving)
        return true;
    if (!m->ever_ready && WIFEXITED(how) && *status)
        return true; /* it told why */
    m->ever_ready = true;
    m->again_ms = lived ? AGAIN_LEAST_MS : m->again_ms * 2;
    if (m->again_ms > AGAIN_MOST_MS)
        m->again_ms = AGAIN_MOST_MS;
    if (WIFSIGNALED(how))
        log_say(LOG_ERROR, "worker ended by signal %d; another one follows",
                WTERMSIG(how));
    else
        log_say(LOG_ERROR, "worker ended with status %d; another one follows",
                *status);
    return false;
}

/* Take what children have ended. */
static bool bury_workers(struct master *m, int *status)
{
    int how;
    pid_t pid;

    while ((pid = waitpid(-1, &how, WNOHANG)) > 0)
        if (pid == m->worker && bury_worker(m, how, status))
            return true;
    return false;
}

static int watch_over(struct master *m)
{
    int status = 1;

    for (;;) {
        struct timespec wait = {m->again_ms / 1000,
                                m->again_ms % 1000 * 1000000};
        int signal = m->worker ? sigwaitinfo(&m->signals, NULL)
                               : sigtimedwait(&m->signals, NULL, &wait);

        switch (signal) {
        case SIGHUP:
            reload(m);
            break;
        case SIGUSR1:
            if (log_reopen())
                log_say(LOG_ERROR, "logs not reopened: %s", strerror(errno));
            if (m->worker)
                kill(m->worker, SIGUSR1);
            break;
        case SIGTERM:
        case SIGINT:
            leave(m);
            if (!m->worker)
                return 0;
            break;
        case SIGALRM:
            if (m->worker)
                kill(m->worker, SIGKILL);
            break;
        case SIGCHLD:
            if (bury_workers(m, &status))
                return status;
            break;
        default:
            if (!m->worker && !m->leaving)
                start_worker(m);
        }
    }
}

static int complain_listener(const struct conf *conf, unsigned which)
{
    const struct conf_listener *l =
        which < conf->listener_count ? &conf->listeners[which] : &conf->status;

    fprintf(stderr, "sandgate: cannot listen on %.*s port %u: %s\n",
            STR_FMT(l->address), l->port, strerror(errno));
    return 1;
}

static int serve(const char *file)
{
    struct master m = {.file = file, .again_ms = AGAIN_LEAST_MS};
    static const int signals[] = {SIGHUP,  SIGTERM, SIGINT,
                                  SIGUSR1, SIGCHLD, SIGALRM};
    unsigned which;
    int status = 1;

    harden();
    m.conf = load(file);
    if (!m.conf)
        return 1;
    if (gateway_sockets_open(m.conf, &m.sockets, &which)) {
        status = complain_listener(m.conf, which);
        conf_unref(&m.conf);
        return status;
    }
    if (log_open(m.conf->log, (enum log_level)m.conf->log_level))
        fprintf(stderr, "sandgate: log %.*s: %s\n", STR_FMT(m.conf->log),
                strerror(errno));
    sigemptyset(&m.signals);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        sigaddset(&m.signals, signals[i]);
    sigprocmask(SIG_BLOCK, &m.signals, &m.before);
    if (start_worker(&m))
        status = watch_over(&m);
    gateway_sockets_close(&m.sockets);
    conf_unref(&m.conf);
    return status;
}

int main(int argc, char **argv)
{
    struct arguments a;
    int status;

    if (argc > 1 && strcmp(argv[1], "link") == 0)
        return link_command(argc - 2, argv + 2);
    status = read_arguments(argc, argv, &a);
    if (status)
        return status;
    json_start();
    if (random_start()) {
        fprintf(stderr, "sandgate: no randomness\n");
        return 1;
    }
    if (is_command(&a, "serve", NULL, 1))
        return serve(a.file);
    if (is_command(&a, "check", NULL, 1))
        return check(a.file);
    if (is_command(&a, "key", "create", 2))
        return a.team ? keys(&a) : complain("--team is missing", NULL);
    if (is_command(&a, "key", "list", 2) || is_command(&a, "key", "revoke", 3))
        return keys(&a);
    if (is_command(&a, "example", NULL, 1)) {
        conf_print_example(stdout);
        return 0;
    }
    if (is_command(&a, "reference", NULL, 1)) {
        conf_print_reference(stdout);
        return 0;
    }
    if (is_command(&a, "--version", NULL, 1)) {
        printf("sandgate %s\n", PACKAGE_VERSION);
        return 0;
    }
    if (is_command(&a, "--help", NULL, 1) || is_command(&a, "help", NULL, 1)) {
        fputs(usage, stdout);
        return 0;
    }
    return complain(a.count ? "unknown command" : "no command",
                    a.count ? a.words[0] : NULL);
}
