#include "tests/unit/conf_file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct buf conf_file_said, conf_file_warned;
static char folder[] = "/tmp/check_conf.XXXXXX";

static int remove_one(const char *path, const struct stat *is, int kind,
                      struct FTW *at)
{
    (void)is;
    (void)kind;
    (void)at;
    return remove(path);
}

void conf_file_stop(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    buf_clear(&conf_file_said);
    buf_clear(&conf_file_warned);
}

void conf_file_write(const char *name, struct str content, mode_t mode)
{
    char path[200];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    *strrchr(path, '/') = '\0';
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, content.p, content.n), (ssize_t)content.n);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

void conf_file_start(void)
{
    cr_assert_not_null(mkdtemp(folder));
    buf_init(&conf_file_said, 1 << 20);
    buf_init(&conf_file_warned, 1 << 12);
    /* Room beforehand: tests that refuse memory mean the loader. */
    cr_assert_not_null(buf_room(&conf_file_said, 65536));
    conf_file_write("secret.key",
                    STR("000102030405060708090a0b0c0d0e0f"
                        "101112131415161718191a1b1c1d1e1f\n"),
                    0600);
    conf_file_write("preview.key", STR("0123456789abcdef0123456789abcdef"),
                    0600);
    conf_file_write("tls/cert.pem", STR("x"), 0644);
    conf_file_write("tls/key.pem", STR("x"), 0600);
}

static void say(void *arg, struct str file, unsigned line, unsigned column,
                const char *what)
{
    (void)arg;
    cr_expect(str_ends(file, STR("/x.yaml")));
    buf_text(&conf_file_said, "%u:%u: %s\n", line, column, what);
}

static void warn(void *arg, struct str file, unsigned line, unsigned column,
                 const char *what)
{
    (void)arg;
    (void)file;
    buf_text(&conf_file_warned, "%u:%u: %s\n", line, column, what);
}

enum err conf_file_load(struct str text, struct conf **out)
{
    struct conf_report report = {.say = say, .warn = warn};
    char path[200];
    enum err err;

    conf_file_write("x.yaml", text, 0644);
    buf_empty(&conf_file_said);
    buf_empty(&conf_file_warned);
    snprintf(path, sizeof(path), "%s/x.yaml", folder);
    err = conf_load(path, &report, out);
    cr_expect_eq(*out != NULL, err == E_OK);
    cr_expect_eq(report.count > 0, err == E_BAD_FIELD);
    cr_expect_eq(report.count > 0, buf_len(&conf_file_said) > 0);
    return err;
}
