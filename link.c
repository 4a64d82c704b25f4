/* link.c - see link.h.
 *
 * It writes to the same records as the gateway, which sees a revocation within
 * a second. */
#include "link.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "conf/conf.h"
#include "preview/host.h"
#include "preview/token.h"
#include "store/store.h"

#define DEFAULT_CONF "/etc/sandgate/sandgate.yaml"
#define STORE_MS 5000
#define TEXT_MAX 4096
#define LIST_BYTES ((size_t)64 << 20)

static const char usage[] =
    "Usage: sandgate link COMMAND [-c FILE]\n"
    "\n"
    "  mint --sandbox ID --port N   sign a link, and print its URL\n"
    "       --ttl TIME              how long it works (90s, 30m, 2h, 1d)\n"
    "       --methods GET,HEAD      only these methods\n"
    "       --path /PREFIX          only this path and what is under it\n"
    "       --cidrs BLOCK,BLOCK     only from these addresses\n"
    "       --uses N                only so many times\n"
    "       --no-websocket          no WebSockets\n"
    "       --opaque                a host that names neither sandbox nor "
    "port\n"
    "       --mitos                 a token of the sandbox server's form\n"
    "  show TOKEN|URL|ID            what a token says, or the records; - "
    "reads it\n"
    "                               from standard input\n"
    "  list --sandbox ID            the links of a sandbox\n"
    "  revoke ID                    make one link invalid\n"
    "  revoke --sandbox ID          make all of them invalid\n";

/* ---- arguments ---- */

struct arguments {
    const char *command;
    const char *what; /* the word behind it; NULL none */
    const char *file, *sandbox, *port, *ttl, *methods, *path, *cidrs, *uses;
    bool no_websocket, opaque, mitos, help;
};

static int complain(const char *what, const char *about)
{
    fprintf(stderr, "sandgate link: %s%s%s\n%s", what, about ? ": " : "",
            about ? about : "", usage);
    return 2;
}

/* Where the value of that option goes, or NULL. */
static const char **value_of(struct arguments *a, const char *name)
{
    const struct {
        const char *name;
        const char **to;
    } rows[] = {{"-c", &a->file},           {"--config", &a->file},
                {"--sandbox", &a->sandbox}, {"--port", &a->port},
                {"--ttl", &a->ttl},         {"--methods", &a->methods},
                {"--path", &a->path},       {"--cidrs", &a->cidrs},
                {"--uses", &a->uses}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].to;
    return NULL;
}

static bool *flag_of(struct arguments *a, const char *name)
{
    const struct {
        const char *name;
        bool *to;
    } rows[] = {{"--no-websocket", &a->no_websocket},
                {"--opaque", &a->opaque},
                {"--mitos", &a->mitos},
                {"--help", &a->help}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].to;
    return NULL;
}

/* 0, or the exit status. */
static int read_arguments(int argc, char **argv, struct arguments *out)
{
    *out = (struct arguments){.file = DEFAULT_CONF};
    for (int i = 0; i < argc; i++) {
        const char **value = value_of(out, argv[i]);
        bool *flag = flag_of(out, argv[i]);

        if (value && i + 1 >= argc)
            return complain("a value is missing behind", argv[i]);
        if (value)
            *value = argv[++i];
        else if (flag)
            *flag = true;
        else if (argv[i][0] == '-' && argv[i][1] != '\0')
            return complain("unknown option", argv[i]);
        else if (!out->command)
            out->command = argv[i];
        else if (!out->what)
            out->what = argv[i];
        else
            return complain("too many arguments", argv[i]);
    }
    return 0;
}

/* Seconds of 90s, 30m, 2h or 1d; 0 when it is none. */
static int64_t read_ttl(const char *text)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct str s = str_of(text);
    uint64_t n;

    for (size_t i = 0; i < sizeof(units) / sizeof(*units) && s.n; i++)
        if (s.p[s.n - 1] == units[i].unit &&
            str_u64(str_from(s.p, s.n - 1), LINK_TTL_MAX_S, &n))
            return (int64_t)n * units[i].s;
    return 0;
}

/* The words of a list with commas, as JSON; NULL for NULL. */
static json_t *words(const char *text)
{
    json_t *list = text ? json_array() : NULL;
    struct str rest = str_of(text);

    while (rest.p) {
        struct str word = str_cut(&rest, ',');

        json_array_append_new(list, json_stringn(word.p, word.n));
    }
    return list;
}

/* The same reader as for API calls says what is wrong. */
static int read_scopes(const struct arguments *a, struct link_scopes *out)
{
    json_t *object = json_object();
    const char *why, *member;
    uint64_t uses = 0;

    if (a->uses && !str_u64(str_of(a->uses), LINK_USES_MAX, &uses))
        uses = 0;
    if (a->methods)
        json_object_set_new(object, "methods", words(a->methods));
    if (a->path)
        json_object_set_new(object, "pathPrefix", json_string(a->path));
    if (a->cidrs)
        json_object_set_new(object, "cidrs", words(a->cidrs));
    if (a->uses)
        json_object_set_new(object, "maxUses", json_integer((json_int_t)uses));
    if (a->no_websocket)
        json_object_set_new(object, "websocket", json_false());
    member = link_scopes_read(object, out, &why);
    if (member)
        fprintf(stderr, "sandgate link: %s %s\n", member, why);
    json_decref(object);
    return member ? 2 : 0;
}

/* ---- what all need ---- */

struct site {
    struct conf *conf;
    struct store *store;
};

static void on_mistake(void *arg, struct str file, unsigned line,
                       unsigned column, const char *what)
{
    (void)arg;
    fprintf(stderr, "%.*s:%u:%u: %s\n", STR_FMT(file), line, column, what);
}

static int fail(const char *what, enum err err)
{
    fprintf(stderr, "sandgate link: %s: %s\n", what, err_text(err));
    return 1;
}

/* 0, or the exit status; site_close() in either case. */
static int site_open(const char *file, struct site *s)
{
    struct conf_report report = {.say = on_mistake};
    enum err err = conf_load(file, &report, &s->conf);

    s->store = NULL;
    if (err == E_SYSTEM) {
        fprintf(stderr, "sandgate link: %s: %s\n", file, strerror(errno));
        return 1;
    }
    if (err != E_OK)
        return fail(file, err);
    if (!conf_previews(s->conf)) {
        fprintf(stderr, "sandgate link: %s: preview is not configured\n", file);
        return 1;
    }
    err = store_open(s->conf->store_path, &s->store);
    return err ? fail(s->conf->store_path.p, err) : 0;
}

static void site_close(struct site *s)
{
    store_close(&s->store);
    conf_unref(&s->conf);
}

static void on_committed(void *arg, enum err err)
{
    *(enum err *)arg = err;
}

/* Write one change and wait for it. */
static enum err commit(struct store *store, enum change_kind kind,
                       const struct link *link)
{
    struct change change = {.kind = kind, .link = link};
    enum err written = E_STORE;
    enum err err = store_commit(store, &change, 1, on_committed, &written);

    if (err == E_OK)
        err = store_flush(store, STORE_MS);
    return err ? err : written;
}

/* ---- mint ---- */

/* The sandbox server's form has no room for them: what was asked for would
 * be forgotten, and the link be for more. */
static const char *beyond_mitos(const struct arguments *a)
{
    return a->methods        ? "--methods"
           : a->path         ? "--path"
           : a->cidrs        ? "--cidrs"
           : a->uses         ? "--uses"
           : a->no_websocket ? "--no-websocket"
           : a->opaque       ? "--opaque"
                             : NULL;
}

/* Sandbox and port; 0, or the exit status. */
static int read_target(const struct arguments *a, const struct site *s,
                       struct link *out)
{
    const struct sandbox *record;
    uint64_t port;

    if (!a->sandbox || !a->port)
        return complain("--sandbox and --port are needed", NULL);
    if (a->mitos && beyond_mitos(a))
        return complain("--mitos cannot be told", beyond_mitos(a));
    if (a->mitos && !preview_host_stands(str_of(a->sandbox)))
        return complain("--mitos has no host for", a->sandbox);
    if (!str_u64(str_of(a->port), 65535, &port) ||
        !link_port_ok((unsigned)port))
        return complain("not a port that links are for", a->port);
    out->port = (unsigned)port;
    switch (store_find_sandbox(s->store, str_of(a->sandbox), &record)) {
    case UNKNOWN:
        return fail(a->sandbox, E_STORE);
    case ABSENT:
        return fail(a->sandbox, E_SANDBOX_GONE);
    case FOUND:
        break;
    }
    if (record->state != SANDBOX_RUNNING)
        return fail(a->sandbox, E_SANDBOX_GONE);
    snprintf(out->sandbox, sizeof(out->sandbox), "%.*s", STR_FMT(record->id));
    snprintf(out->team, sizeof(out->team), "%.*s", STR_FMT(record->team));
    out->life = record->life;
    return 0;
}

static int read_times(const struct arguments *a, const struct site *s,
                      struct link *out)
{
    const struct conf_preview *p = &s->conf->preview;
    int64_t ttl_s = a->ttl ? read_ttl(a->ttl) : p->ttl_default_s;

    if (ttl_s < 1)
        return complain("not a time such as 90s, 30m, 2h or 1d", a->ttl);
    if (ttl_s > p->ttl_max_s) {
        fprintf(stderr,
                "sandgate link: --ttl: more than preview.ttl_max (%" PRId64
                " s)\n",
                p->ttl_max_s);
        return 2;
    }
    out->created_ms = clock_wall_ms();
    out->expires_s = out->created_ms / 1000 + ttl_s;
    return 0;
}

/* Would the token be taken for one that is revoked?  It does not say when it
 * was made. */
static int check_before(const struct arguments *a, const struct site *s,
                        const struct link *link)
{
    int64_t before_ms;

    if (!a->mitos ||
        store_find_before(s->store, str_of(link->sandbox), &before_ms) !=
            FOUND ||
        !preview_token_could_predate(&s->conf->preview, link, before_ms))
        return 0;
    return complain("links of the sandbox, or of an earlier one of its name, "
                    "are revoked, which --mitos cannot be told apart from",
                    a->sandbox);
}

static enum err sign(const struct arguments *a, const struct site *s,
                     struct link *link, struct buf *token)
{
    unsigned char random[LINK_ID_LENGTH - 1];

    if (a->mitos) {
        link->life = 0;
        return preview_token_mint_mitos(&s->conf->preview, link, token);
    }
    random_bytes(random, sizeof(random));
    link_id_make(random, link->id);
    link->opaque = a->opaque || !sandbox_fits_host(str_of(link->sandbox));
    return preview_token_mint(&s->conf->preview, link, token);
}

static int mint(const struct arguments *a, const struct site *s)
{
    struct link link = {.port = 0};
    struct buf token, url;
    int status = read_target(a, s, &link);
    enum err err;

    if (!status)
        status = read_times(a, s, &link);
    if (!status)
        status = read_scopes(a, &link.scopes);
    if (!status)
        status = check_before(a, s, &link);
    if (status)
        return status;
    buf_init(&token, PREVIEW_TOKEN_MAX);
    buf_init(&url, TEXT_MAX);
    err = sign(a, s, &link, &token);
    if (!err && !a->mitos)
        err = commit(s->store, CHANGE_PUT_LINK, &link);
    if (!err)
        preview_host_url(&s->conf->preview, &link, buf_str(&token), &url);
    if (err)
        status = fail("the link cannot be made", err);
    else
        printf("%.*s\n", STR_FMT(buf_str(&url)));
    buf_clear(&token);
    buf_clear(&url);
    return status;
}

/* ---- show ---- */

static void print_moment(const char *name, int64_t wall_ms)
{
    char text[25];

    clock_text(wall_ms, text);
    printf("%-9s %s\n", name, text);
}

static void print_link(const struct link *link)
{
    struct buf scopes;

    buf_init(&scopes, TEXT_MAX);
    link_scopes_write(&scopes, &link->scopes);
    if (link->id[0])
        printf("%-9s %s\n", "link", link->id);
    printf("%-9s %s\n%-9s %u\n", "sandbox", link->sandbox, "port", link->port);
    if (link->id[0])
        print_moment("created", link->created_ms);
    print_moment("expires", link->expires_s * 1000);
    if (link->revoked_ms)
        print_moment("revoked", link->revoked_ms);
    if (link->scopes.uses_max)
        printf("%-9s %u of %u\n", "uses", link->uses, link->scopes.uses_max);
    if (buf_len(&scopes))
        printf("%-9s {%.*s}\n", "scopes",
               STR_FMT(str_after(buf_str(&scopes), 1)));
    buf_clear(&scopes);
}

/* What the records say of it, over what a token says; 0 when it works. */
static int show_record(const struct site *s, const char *id)
{
    struct link link;

    switch (store_find_link(s->store, str_of(id), &link)) {
    case UNKNOWN:
        return fail(id, E_STORE);
    case ABSENT:
        printf("%-9s %s\n%-9s not recorded: its sandbox has ended, or it is "
               "long past\n",
               "link", id, "state");
        return 1;
    case FOUND:
        break;
    }
    print_link(&link);
    printf("%-9s %s\n", "state",
           link.revoked_ms                            ? "revoked"
           : link.expires_s * 1000 <= clock_wall_ms() ? "expired"
           : link.scopes.uses_max && link.uses >= link.scopes.uses_max
               ? "used up"
               : "active");
    return 0;
}

static int show_token(const struct site *s, struct str token)
{
    struct link link;
    enum err err = preview_token_verify(&s->conf->preview, token,
                                        clock_wall_ms() / 1000, &link);

    if (err && err != E_TOKEN_EXPIRED)
        return fail("show", err);
    if (link.id[0])
        return show_record(s, link.id);
    print_link(&link);
    printf("%-9s %s\n", "state", err ? "expired" : "signed");
    return 0;
}

static int show(const struct arguments *a, const struct site *s)
{
    char line[TEXT_MAX];
    struct str text = str_of(a->what);
    size_t at;

    if (str_eq(text, STR("-"))) {
        if (!fgets(line, sizeof(line), stdin))
            return fail("standard input", E_BAD_FIELD);
        text = str_of(line);
        text.n = str_find(text, '\n');
    }
    at = str_find_str(text, STR("token="));
    if (at < text.n) {
        text = str_after(text, at + 6);
        text.n = str_find(text, '&');
    }
    return link_id_ok(text) ? show_record(s, a->what) : show_token(s, text);
}

/* ---- list and revoke ---- */

static int list(const struct arguments *a, const struct site *s)
{
    const struct link *links;
    struct arena *arena;
    unsigned count;

    if (arena_new(LIST_BYTES, &arena))
        return fail("list", E_NOMEM);
    if (store_list_links(s->store, str_of(a->sandbox), arena, &links, &count) !=
        FOUND) {
        arena_free(&arena);
        return fail("list", E_STORE);
    }
    for (unsigned i = 0; i < count; i++) {
        printf("%s", i ? "\n" : "");
        print_link(&links[i]);
    }
    arena_free(&arena);
    return 0;
}

static int revoke(const struct arguments *a, const struct site *s)
{
    struct link link = {.revoked_ms = clock_wall_ms()};
    enum err err;

    if (a->what && !link_id_ok(str_of(a->what)))
        return complain("not the id of a link", a->what);
    if (!a->what && (!*a->sandbox || strlen(a->sandbox) > LINK_SANDBOX_MAX))
        return fail(a->sandbox, E_SANDBOX_GONE);
    snprintf(link.id, sizeof(link.id), "%s", a->what ? a->what : "");
    if (!a->what)
        snprintf(link.sandbox, sizeof(link.sandbox), "%s", a->sandbox);
    err = commit(s->store,
                 a->what ? CHANGE_REVOKE_LINK : CHANGE_REVOKE_LINKS_BEFORE,
                 &link);
    if (err == E_CONFLICT)
        return fail(a->what ? a->what : a->sandbox,
                    a->what ? E_NOT_FOUND : E_SANDBOX_GONE);
    return err ? fail("revoke", err) : 0;
}

/* ---- the door ---- */

typedef int run_command(const struct arguments *a, const struct site *s);

/* NULL: there is no such command, or its arguments are not there. */
static run_command *command_of(const struct arguments *a)
{
    const struct {
        const char *name;
        bool fits; /* its arguments are there */
        run_command *run;
    } rows[] = {{"mint", !a->what, mint},
                {"show", a->what, show},
                {"list", !a->what && a->sandbox, list},
                {"revoke", !a->what != !a->sandbox, revoke}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (a->command && strcmp(rows[i].name, a->command) == 0 && rows[i].fits)
            return rows[i].run;
    return NULL;
}

int link_command(int argc, char **argv)
{
    struct arguments a;
    struct site site = {NULL, NULL};
    int status = read_arguments(argc, argv, &a);

    if (status)
        return status;
    if (a.help) {
        fputs(usage, stdout);
        return 0;
    }
    if (!command_of(&a))
        return complain(a.command ? "unknown command, or not its arguments"
                                  : "no command",
                        a.command);
    json_start();
    if (random_start())
        return fail("no randomness", E_SYSTEM);
    status = site_open(a.file, &site);
    if (!status)
        status = command_of(&a)(&a, &site);
    site_close(&site);
    return status;
}
