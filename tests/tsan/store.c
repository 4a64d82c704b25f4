/* store.c - two stores on one file, driven hard, for the thread sanitizer.
 * A plain program: Criterion does not start under it.  Once configured with
 * CFLAGS='-O1 -g -fsanitize=thread':  make tests/tsan/tsan_store
 * Exit 0 and silence: nothing found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "store/store.h"

#define COMMITS 2000
#define FLUSH_MS 20000

struct count {
    unsigned asked, done, failed;
};

static void on_done(void *arg, enum err err)
{
    struct count *count = arg;

    count->done++;
    count->failed += err != E_OK;
}

static void commit(struct store *s, unsigned i, struct count *count)
{
    char id[16];
    struct sandbox row = {.state = SANDBOX_RUNNING,
                          .team = STR("red"),
                          .backend = STR("main"),
                          .template_id = STR("base"),
                          .alias = STR("base"),
                          .backend_template = STR("python"),
                          .metadata = STR("{\"a\":\"b\"}"),
                          .envs = STR("{}"),
                          .life = i};
    struct change c = {.kind = i % 5 ? CHANGE_PUT_SANDBOX : CHANGE_DROP_SANDBOX,
                       .sandbox = &row};
    const struct sandbox *found;

    snprintf(id, sizeof(id), "i%u", i % 100);
    row.id = str_of(id);
    if (store_commit(s, &c, 1, on_done, count) == E_OK)
        count->asked++;
    if (store_find_sandbox(s, row.id, &found) == FOUND) {
        sandbox_ref(found);
        sandbox_unref(&found);
    }
}

static int drive(const char *path, struct count *count)
{
    struct store *stores[2];

    for (int i = 0; i < 2; i++)
        if (store_open(str_of(path), &stores[i]) != E_OK)
            return 1;
    for (unsigned i = 0; i < COMMITS; i++) {
        struct store *s = stores[i % 2];

        commit(s, i, count);
        if (i % 7 == 0)
            store_turn(s);
        if (i % 50 == 0)
            store_look(s);
        if (i % 100 == 0 && store_flush(s, FLUSH_MS) != E_OK)
            return 1;
    }
    for (int i = 0; i < 2; i++)
        store_close(&stores[i]);
    return 0;
}

int main(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".marker"};
    char directory[] = "/tmp/store-XXXXXX", path[64], beside[80];
    struct count count = {0, 0, 0};
    int rc;

    if (random_start() != E_OK || !mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/store.db", directory);
    rc = drive(path, &count);
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        snprintf(beside, sizeof(beside), "%s%s", path, ends[i]);
        unlink(beside);
    }
    rmdir(directory);
    if (rc != 0 || count.asked != COMMITS || count.done != COMMITS ||
        count.failed != 0) {
        fprintf(stderr, "tsan_store: %u asked, %u done, %u failed\n",
                count.asked, count.done, count.failed);
        return 1;
    }
    return 0;
}
