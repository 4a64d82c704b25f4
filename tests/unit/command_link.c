#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "link.h"
#include "store/store.h"

#define NOW_MS 1800000000000LL
#define CONF \
    "domain: sandgate.localhost\n" \
    "secret_file: secret.key\n" \
    "store: s.db\n" \
    "listeners: [{address: 127.0.0.1, port: 0, tls: false}]\n" \
    "backends: [{name: box, url: 'http://127.0.0.1:8090', ports: expose}]\n" \
    "templates: [{id: base, backend: box}]\n"
#define PREVIEW \
    "preview: {domain: p.example, mitos_secret_file: mitos.key, ttl_max: " \
    "2h}\n"

static char folder[] = "/tmp/check_command.XXXXXX";
static char text[8192]; /* what the last command printed */
static char path[64];

static char *beside(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *content)
{
    int fd = open(beside(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
}

/* A sandbox `ia` of team red, life 7. */
static void put_sandbox(void)
{
    struct sandbox row = {.state = SANDBOX_RUNNING,
                          .id = STR("ia"),
                          .team = STR("red"),
                          .backend = STR("box"),
                          .template_id = STR("base"),
                          .metadata = STR("{}"),
                          .envs = STR("{}"),
                          .life = 7,
                          .started_ms = NOW_MS,
                          .end_ms = NOW_MS + 1};
    struct change put = {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row};
    struct store *s;

    row.alias = row.backend_template = STR("");
    cr_assert_eq(store_open(str_of(beside("s.db")), &s), E_OK);
    cr_assert_eq(store_commit(s, &put, 1, NULL, NULL), E_OK);
    cr_assert_eq(store_flush(s, 5000), E_OK);
    store_close(&s);
}

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(random_start(), E_OK);
    write_file("secret.key", "0123456789abcdef0123456789abcdef");
    write_file("mitos.key", "secret-of-16-bytes\n");
    write_file("s.yaml", CONF PREVIEW);
    write_file("off.yaml", CONF);
    clock_set_wall_ms(NOW_MS);
    put_sandbox();
}

static void end(void)
{
    char command[80];

    clock_set_wall_ms(-1);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(command_link, .init = begin, .fini = end);

/* Run the words of the line with -c FILE behind; what it printed is in
 * text. */
static int run_with(const char *file, const char *line)
{
    char words[4096], conf[64], *argv[32];
    char *save, *word;
    int argc = 0, was, fd, status;
    ssize_t n;

    snprintf(words, sizeof(words), "%s", line);
    for (word = strtok_r(words, " ", &save); word;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    snprintf(conf, sizeof(conf), "%s", beside(file));
    argv[argc++] = (char *)(uintptr_t) "-c";
    argv[argc++] = conf;
    fflush(stdout);
    was = dup(1);
    fd = open(beside("out"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    cr_assert(was >= 0 && fd >= 0);
    dup2(fd, 1);
    status = link_command(argc, argv);
    fflush(stdout);
    dup2(was, 1);
    close(was);
    n = pread(fd, text, sizeof(text) - 1, 0);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return status;
}

static int run(const char *line)
{
    return run_with("s.yaml", line);
}

/* Behind that word of what was printed: one word. */
static const char *word_behind(const char *name)
{
    static char out[1024];
    const char *at = strstr(text, name);

    cr_assert_not_null(at, "%s in %s", name, text);
    cr_assert_eq(sscanf(at + strlen(name), "%1023s", out), 1);
    return out;
}

static int run_on(const char *line, const char *what)
{
    char whole[2048];

    snprintf(whole, sizeof(whole), "%s %s", line, what);
    return run(whole);
}

Test(command_link, mints_what_it_shows_lists_and_revokes)
{
    char url[1024], id[64];

    cr_assert_eq(run("mint --sandbox ia --port 3000"), 0);
    cr_expect_not_null(strstr(text, "https://3000-ia.p.example/?token=sgl1_"),
                       "%s", text);
    snprintf(url, sizeof(url), "%.*s", (int)strcspn(text, "\n"), text);
    cr_assert_eq(run_on("show", url), 0);
    cr_expect_str_eq(word_behind("sandbox"), "ia");
    cr_expect_str_eq(word_behind("port"), "3000");
    cr_expect_str_eq(word_behind("expires"), "2027-01-15T09:00:00.000Z");
    cr_expect_str_eq(word_behind("state"), "active");
    snprintf(id, sizeof(id), "%s", word_behind("link"));
    cr_expect_eq(run_on("show", strstr(url, "token=") + 6), 0);
    cr_expect_eq(run_on("show", id), 0);
    cr_expect_eq(run("list --sandbox ia"), 0);
    cr_expect_str_eq(word_behind("link"), id);
    cr_expect_eq(run_on("revoke", id), 0);
    cr_expect_eq(run_on("show", id), 0);
    cr_expect_str_eq(word_behind("state"), "revoked");
    cr_expect_eq(run_on("show", url), 0);
    cr_expect_str_eq(word_behind("state"), "revoked");
}

Test(command_link, puts_every_scope_into_the_link)
{
    char url[1024];

    cr_assert_eq(run("mint --sandbox ia --port 80 --ttl 90s --methods "
                     "HEAD,GET --path /a --cidrs 10.0.0.0/8,::1 --uses 3 "
                     "--no-websocket --opaque"),
                 0);
    snprintf(url, sizeof(url), "%.*s", (int)strcspn(text, "\n"), text);
    cr_assert_eq(run_on("show", url), 0);
    cr_expect_str_eq(word_behind("expires"), "2027-01-15T08:01:30.000Z");
    cr_expect_not_null(strstr(text, "uses      0 of 3\n"));
    cr_expect_not_null(
        strstr(text, "{\"methods\":[\"GET\",\"HEAD\"],\"pathPrefix\":\"/a\","
                     "\"cidrs\":[\"10.0.0.0/8\",\"::1/128\"],\"maxUses\":3,"
                     "\"websocket\":false}"),
        "%s", text);
    cr_expect(str_starts(str_of(url), STR("https://l")));
    clock_set_wall_ms(NOW_MS + 90000);
    cr_expect_eq(run_on("show", url), 0);
    cr_expect_str_eq(word_behind("state"), "expired");
}

Test(command_link, mints_the_sandbox_servers_form_too)
{
    char url[1024];

    cr_assert_eq(run("mint --sandbox ia --port 80 --mitos"), 0);
    snprintf(url, sizeof(url), "%.*s", (int)strcspn(text, "\n"), text);
    cr_expect(str_starts(str_of(url), STR("https://ia.p.example/?token=eyJ")));
    cr_assert_eq(run_on("show", url), 0);
    cr_expect_str_eq(word_behind("state"), "signed");
    clock_set_wall_ms(NOW_MS + 3601000);
    cr_assert_eq(run_on("show", url), 0);
    cr_expect_str_eq(word_behind("state"), "expired");
}

Test(command_link, revokes_all_of_a_sandbox)
{
    cr_assert_eq(run("mint --sandbox ia --port 80"), 0);
    clock_set_wall_ms(NOW_MS + 1);
    cr_assert_eq(run("revoke --sandbox ia"), 0);
    cr_assert_eq(run("list --sandbox ia"), 0);
    cr_expect_str_eq(word_behind("revoked"), "2027-01-15T08:00:00.001Z");
    cr_assert_eq(run("mint --sandbox ia --port 81"), 0);
    cr_assert_eq(run("list --sandbox ia"), 0);
    cr_expect_str_eq(word_behind("port"), "81");
}

static const struct {
    const char *line;
    int status;
} wrong_rows[] = {
    {"", 2},
    {"mint", 2},
    {"mint --sandbox ia", 2},
    {"mint --port 80", 2},
    {"mint x --sandbox ia --port 80", 2},
    {"mint --sandbox ia --port 0", 2},
    {"mint --sandbox ia --port 65536", 2},
    {"mint --sandbox ia --port 49983", 2},
    {"mint --sandbox ia --port 80 --ttl 0s", 2},
    {"mint --sandbox ia --port 80 --ttl 10", 2},
    {"mint --sandbox ia --port 80 --ttl 3h", 2},
    {"mint --sandbox ia --port 80 --methods TRACE", 2},
    {"mint --sandbox ia --port 80 --methods GET,", 2},
    {"mint --sandbox ia --port 80 --path a", 2},
    {"mint --sandbox ia --port 80 --cidrs x", 2},
    {"mint --sandbox ia --port 80 --uses 0", 2},
    {"mint --sandbox ia --port 80 --uses x", 2},
    {"mint --sandbox ia --port 80 --what", 2},
    {"mint --sandbox ia --port 80 --mitos --methods GET", 2},
    {"mint --sandbox ia --port 80 --mitos --path /a", 2},
    {"mint --sandbox ia --port 80 --mitos --cidrs ::1", 2},
    {"mint --sandbox ia --port 80 --mitos --uses 1", 2},
    {"mint --sandbox ia --port 80 --mitos --no-websocket", 2},
    {"mint --sandbox ia --port 80 --mitos --opaque", 2},
    {"mint --sandbox 80-a --port 80 --mitos", 2},
    {"mint --sandbox ib --port 80", 1},
    {"show", 2},
    {"show sgl1_AAAA", 1},
    {"show lzzzzzzzzzzzzzzzzzzzzzzzzz", 1},
    {"list", 2},
    {"revoke", 2},
    {"revoke x", 2},
    {"revoke lzzzzzzzzzzzzzzzzzzzzzzzzz", 1},
    {"revoke lzzzzzzzzzzzzzzzzzzzzzzzzz --sandbox ia", 2},
    {"revoke --sandbox ib", 1},
    {"make --sandbox ia", 2},
    {"--help", 0},
};

Test(command_link, says_what_is_wrong_by_its_status)
{
    for (size_t i = 0; i < sizeof(wrong_rows) / sizeof(*wrong_rows); i++)
        cr_expect_eq(run(wrong_rows[i].line), wrong_rows[i].status, "%s",
                     wrong_rows[i].line);
    cr_expect_eq(run_with("off.yaml", "mint --sandbox ia --port 80"), 1);
    cr_expect_eq(run_with("none.yaml", "mint --sandbox ia --port 80"), 1);
}
