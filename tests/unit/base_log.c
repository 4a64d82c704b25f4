#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

static char folder[] = "/tmp/base_log.XXXXXX";
static char path[64], second[64];
static char text[65536];

static void start(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(second, sizeof(second), "%s/second", folder);
    clock_set_wall_ms(0);
}

static void stop(void)
{
    char name[80];

    unlink(path);
    unlink(second);
    snprintf(name, sizeof(name), "%s/moved", folder);
    unlink(name);
    rmdir(folder);
}

TestSuite(log, .init = start, .fini = stop);

/* What a file holds. */
static const char *content(const char *name)
{
    FILE *file = fopen(name, "r");
    size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[n] = '\0';
    if (file)
        fclose(file);
    return text;
}

Test(log, writes_one_json_line_per_event_from_its_level_on)
{
    cr_assert_eq(log_open(str_of(path), LOG_INFO), E_OK);
    cr_expect_not(log_wants(LOG_DEBUG));
    cr_expect(log_wants(LOG_INFO));
    errno = 77;
    log_say(LOG_DEBUG, "not this");
    log_say(LOG_INFO, "hello %d", 1);
    log_say(LOG_ERROR, "a\nb\"c\\d\x7f\xc3\xa9\t");
    cr_expect_eq(errno, 77);
    cr_expect_str_eq(
        content(path),
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\","
        "\"msg\":\"hello 1\"}\n"
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"error\","
        "\"msg\":\"a\\u000ab\\u0022c\\u005cd\\u007f\\u00c3\\u00a9\\u0009\"}"
        "\n");
    cr_expect_eq(log_dropped(), 0);
}

Test(log, never_writes_a_line_over_4_kib)
{
    static char noise[10000];
    const char *end;

    memset(noise, 'x', sizeof(noise) - 1);
    cr_assert_eq(log_open(str_of(path), LOG_INFO), E_OK);
    log_say(LOG_INFO, "%s", noise);
    memset(noise, 1, sizeof(noise) - 1);
    log_say(LOG_INFO, "%s", noise);
    log_line(str_from(noise, 4096));
    cr_expect_eq(log_dropped(), 1);
    noise[0] = '\0';
    memset(noise, 'x', 4095);
    log_line(str_from(noise, 4095));
    cr_expect_eq(log_dropped(), 1);
    for (const char *at = content(path); *at; at = end + 1) {
        end = strchr(at, '\n');
        cr_assert_not_null(end);
        cr_expect_leq(end + 1 - at, 4096);
        if (*at == '{') {
            json_t *value = json_loadb(at, (size_t)(end - at), 0, NULL);

            cr_expect_not_null(value);
            json_decref(value);
        }
    }
}

Test(log, drops_and_counts_what_a_full_pipe_does_not_take)
{
    int fd;

    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(log_open(str_of(path), LOG_INFO), E_SYSTEM); /* no reader */
    fd = open(path, O_RDONLY | O_NONBLOCK);
    cr_assert_eq(log_open(str_of(path), LOG_INFO), E_OK);
    for (unsigned i = 0; i < 2000; i++)
        log_say(LOG_INFO, "%080u", i);
    cr_expect_gt(log_dropped(), 0);
    cr_expect_lt(log_dropped(), 2000);
    while (read(fd, text, sizeof(text)) > 0)
        ;
    log_say(LOG_INFO, "whole");
    cr_expect_gt(read(fd, text, sizeof(text)), 0);
    cr_expect_eq(strncmp(text, "{\"time\"", 7), 0);
    close(fd);
}

Test(log, does_not_wait_for_standard_error)
{
    int ends[2], was = dup(2);
    bool pair[] = {false, true};

    /* A pipe that is open for blocking writes, then a socket. */
    for (unsigned i = 0; i < 2; i++) {
        uint64_t before = log_dropped();

        if (pair[i])
            cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        else
            cr_assert_eq(pipe(ends), 0);
        dup2(ends[1], 2);
        cr_assert_eq(log_open(STR("-"), LOG_INFO), E_OK);
        for (unsigned k = 0; k < 5000; k++)
            log_say(LOG_INFO, "%0400u", k);
        cr_expect_gt(log_dropped(), before);
        cr_expect_eq(fcntl(2, F_GETFL) & O_NONBLOCK, 0);
        cr_expect_gt(read(ends[0], text, sizeof(text)), 400);
        dup2(was, 2);
        close(ends[0]);
        close(ends[1]);
    }
    cr_assert_eq(log_open(STR("-"), LOG_INFO), E_OK);
    close(was);
}

Test(log, opens_its_files_again_after_rotation)
{
    char moved[80];

    snprintf(moved, sizeof(moved), "%s/moved", folder);
    cr_assert_eq(log_open(str_of(path), LOG_INFO), E_OK);
    cr_assert_eq(log_open_access(str_of(second)), E_OK);
    log_say(LOG_INFO, "one");
    log_line(STR("{\"line\":1}"));
    cr_assert_eq(rename(second, moved), 0);
    log_line(STR("{\"line\":2}"));
    cr_assert_eq(log_reopen(), E_OK);
    log_line(STR("{\"line\":3}"));
    cr_expect_str_eq(content(moved), "{\"line\":1}\n{\"line\":2}\n");
    cr_expect_str_eq(content(second), "{\"line\":3}\n");
    cr_assert_eq(log_open_access(STR("")), E_OK);
    log_line(STR("{\"line\":4}"));
    cr_expect_str_eq(content(second), "{\"line\":3}\n");
    cr_expect_null(strstr(content(path), "line"));
}

Test(log, keeps_the_old_place_when_the_new_one_cannot_be_opened)
{
    static char name[5000];

    memset(name, 'x', sizeof(name));
    cr_assert_eq(log_open(str_of(path), LOG_WARN), E_OK);
    cr_expect_eq(log_open(STR("/nowhere/at/all"), LOG_DEBUG), E_SYSTEM);
    cr_expect_eq(errno, ENOENT);
    cr_expect_eq(log_open(STR(""), LOG_DEBUG), E_SYSTEM);
    cr_expect_eq(log_open(STR("a\0b"), LOG_DEBUG), E_SYSTEM);
    cr_expect_eq(log_open(str_from(name, sizeof(name)), LOG_DEBUG), E_SYSTEM);
    log_say(LOG_WARN, "still here");
    log_say(LOG_INFO, "too low");
    cr_expect_not_null(strstr(content(path), "still here"));
    cr_expect_null(strstr(content(path), "too low"));
}

Test(log, counts_a_device_that_is_full)
{
    cr_assert_eq(log_open(STR("/dev/full"), LOG_INFO), E_OK);
    log_say(LOG_INFO, "lost");
    log_line(STR("{}"));
    cr_expect_eq(log_dropped(), 2);
}

Test(log, escapes_and_clips_what_strangers_sent)
{
    static char noise[3000];
    struct buf b;
    size_t before;

    buf_init(&b, 8192);
    buf_put(&b, STR("{\"a\":1"));
    log_put(&b, "agent", STR("x\"y\\z\n\xff"));
    log_put(&b, "none", STR_NONE);
    log_put(&b, "Authorization", STR("Bearer canary"));
    log_put(&b, "x_api_key", STR("canary"));
    log_put_number(&b, "ms", -5);
    log_put_number(&b, "most", INT64_MIN);
    buf_byte(&b, '}');
    cr_expect(
        str_eq(buf_str(&b),
               STR("{\"a\":1,\"agent\":\"x\\u0022y\\u005cz\\u000a\\u00ff\","
                   "\"none\":\"\",\"Authorization\":\"-\",\"x_api_key\":\"-\","
                   "\"ms\":-5,\"most\":-9223372036854775808}")),
        "%.*s", STR_FMT(buf_str(&b)));
    for (int c = 1; c < 256; c += 60) {
        memset(noise, c, sizeof(noise));
        before = buf_len(&b);
        log_put(&b, "host", str_from(noise, sizeof(noise)));
        cr_expect_leq(buf_len(&b) - before, 512 + 16);
        before = buf_len(&b);
        log_put_target(&b, "target", str_from(noise, sizeof(noise)));
        cr_expect_leq(buf_len(&b) - before, 1536 + 32);
        buf_empty(&b);
    }
    buf_clear(&b);
}

Test(log, keeps_secrets_out_of_targets)
{
    static const struct {
        const char *target, *shown;
    } rows[] = {
        {"/", "/"},
        {"*", "*"},
        {"/a?b=c", "/a?b=c"},
        {"/a?", "/a?"},
        {"/a?token=canary", "/a?token=-"},
        {"/a?x=1&signature=canary&y=2", "/a?x=1&signature=-&y=2"},
        {"/a?API_KEY=canary", "/a?API_KEY=-"},
        {"/a?apiKey=canary&&", "/a?apiKey=-&&"},
        {"/a?access_token", "/a?access_token"},
        {"/a?token=a=canary", "/a?token=-"},
        {"/a?%74oken=canary", "/a?%74oken=-"},
        {"/a?x-sandgate-sign=canary?b", "/a?x-sandgate-sign=-"},
        {"/a?a=b?token=c", "/a?a=b?token=c"},
        {"/a/e2b_0123456789abcdef/b", "/a/e2b_-/b"},
        {"/a?x=e2b_0123456789abcdef", "/a?x=e2b_-"},
        {"/e2b_docs", "/e2b_docs"},
        {"/\"\\", "/\\u0022\\u005c"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b, want;

        buf_init(&b, 4096);
        buf_init(&want, 4096);
        log_put_target(&b, "target", str_of(rows[i].target));
        buf_text(&want, ",\"target\":\"%s\"", rows[i].shown);
        cr_expect(str_eq(buf_str(&b), buf_str(&want)), "%s: %.*s",
                  rows[i].target, STR_FMT(buf_str(&b)));
        buf_clear(&b);
        buf_clear(&want);
    }
}

Test(log, knows_secret_names_from_others)
{
    static const struct {
        const char *name;
        bool shown;
    } rows[] = {
        {"authorization", false},
        {"Proxy-Authorization", false},
        {"cookie", false},
        {"Set-Cookie", false},
        {"x-api-key", false},
        {"X-Access-Token", false},
        {"e2b-traffic-access-token", false},
        {"client_secret", false},
        {"authority", true},
        {"signal", true},
        {"host", true},
        {"key_number", true},
        {"sandbox", true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b;

        buf_init(&b, 4096);
        log_put(&b, rows[i].name, STR("canary"));
        cr_expect_eq(str_find_str(buf_str(&b), STR("canary")) != buf_len(&b),
                     rows[i].shown, "%s", rows[i].name);
        buf_clear(&b);
    }
}

Test(log, gets_its_line_out_without_memory)
{
    cr_assert_eq(log_open(str_of(path), LOG_INFO), E_OK);
    mem_refuse(0);
    log_say(LOG_ERROR, "out of memory");
    cr_expect_eq(mem_refuse(-1), 0);
    cr_expect_not_null(strstr(content(path), "out of memory"));
}

Test(log, hides_an_api_key_in_any_message)
{
    cr_assert_eq(log_open(str_of(path), LOG_INFO), E_OK);
    log_say(LOG_INFO, "key e2b_0123456789abcdef0123456789abcdef01234567 seen");
    cr_expect_not_null(strstr(content(path), "key e2b_- seen"));
}
