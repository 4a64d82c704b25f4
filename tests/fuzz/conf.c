/* Fuzzer of the configuration: any bytes as the file.  Either a configuration
 * comes out, or at least one mistake with a place in the file is told, in the
 * order of the file; what came out keeps what the rest relies on. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    unsigned line, column, count;
    bool ended; /* the last one says that there are more */
};

static void on_mistake(void *arg, struct str file, unsigned line,
                       unsigned column, const char *what)
{
    struct told *told = arg;

    assert(file.n > 0 && line > 0 && column > 0 && what[0] != '\0');
    assert(!told->ended);
    told->ended = told->count == 1000;
    assert(told->ended || line > told->line ||
           (line == told->line && column >= told->column));
    told->line = line;
    told->column = column;
    told->count++;
}

static char folder[] = "/tmp/fuzz_conf.XXXXXX";
static char path[64];

static void put(const char *name, const void *content, size_t n)
{
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, content, n) != (ssize_t)n)
        abort();
    close(fd);
}

static void clean(void)
{
    static const char *const names[] = {"secret.key", "preview.key", "cert.pem",
                                        "key.pem", "x.yaml"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* A folder with the files that the seeds name. */
static void prepare(void)
{
    if (!mkdtemp(folder))
        abort();
    atexit(clean);
    put("secret.key", "0123456789abcdef0123456789abcdef", 32);
    put("preview.key", "fedcba9876543210fedcba9876543210", 32);
    put("cert.pem", "x", 1);
    put("key.pem", "x", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool prepared;
    struct told told = {0};
    struct conf_report report = {.say = on_mistake, .arg = &told};
    struct conf *c;
    enum err err;

    if (!prepared)
        prepare();
    prepared = true;
    put("x.yaml", data, size);
    err = conf_load(path, &report, &c);
    assert((err == E_OK) == (c != NULL));
    assert(err == E_OK || err == E_BAD_FIELD);
    assert((err == E_BAD_FIELD) == (told.count > 0));
    assert(report.count == told.count);
    if (!c)
        return 0;
    assert(c->domain.n > 0 && c->listener_count > 0 && c->template_count > 0);
    for (unsigned i = 0; i < c->template_count; i++) {
        assert(conf_backend(c, c->templates[i].backend));
        assert(conf_template(c, c->templates[i].id) == &c->templates[i]);
        assert(c->templates[i].backend_template.n > 0);
    }
    assert(c->timeout_default_s <= c->timeout_max_s);
    assert(c->preview.ttl_default_s <= c->preview.ttl_max_s ||
           !conf_previews(c));
    assert(c->preview.ttl_max_s <= 7 * 86400);
    assert(conf_previews(c) == (c->preview.key_count > 0));
    conf_unref(&c);
    return 0;
}
