#include "tests/unit/store_place.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

#define FLUSH_MS 20000

char place_path[64];
static char directory[32];

void place_make(void)
{
    snprintf(directory, sizeof(directory), "/tmp/store-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(place_path, sizeof(place_path), "%s/store.db", directory);
    /* What the operator would read is for the tests that ask for it. */
    cr_assert_eq(log_open(str_of(place_beside(".log")), LOG_DEBUG), E_OK);
}

void place_remove(void)
{
    char path[sizeof(directory) + 300];
    struct dirent *entry;
    DIR *d = opendir(directory);

    cr_assert_not_null(d);
    while ((entry = readdir(d))) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
    cr_expect_eq(rmdir(directory), 0);
}

const char *place_beside(const char *end)
{
    static char path[sizeof(place_path) + 16];

    snprintf(path, sizeof(path), "%s%s", place_path, end);
    return path;
}

struct store *place_open(void)
{
    struct store *s;

    cr_assert_eq(store_open(str_of(place_path), &s), E_OK);
    return s;
}

static int first_number(void *arg, int count, char **values, char **names)
{
    (void)names;
    if (count > 0 && values[0])
        *(long long *)arg = strtoll(values[0], NULL, 10);
    return 0;
}

long long place_number(const char *text)
{
    long long number = -1;
    char *why = NULL;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(place_path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    sqlite3_exec(db, text, first_number, &number, &why);
    cr_assert_null(why, "%s: %s", text, why);
    sqlite3_close(db);
    return number;
}

void place_sql(const char *text)
{
    (void)place_number(text);
}

static int is_ok(void *arg, int count, char **values, char **names)
{
    (void)names;
    *(bool *)arg = count == 1 && strcmp(values[0], "ok") == 0;
    return 0;
}

void place_check(void)
{
    bool ok = false;
    sqlite3 *db;

    cr_assert_eq(sqlite3_open(place_path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA integrity_check", is_ok, &ok, NULL);
    sqlite3_close(db);
    cr_assert(ok, "integrity_check");
}

struct sandbox place_sandbox(const char *id)
{
    return (struct sandbox){.state = SANDBOX_RUNNING,
                            .id = str_of(id),
                            .team = STR("red"),
                            .backend = STR("main"),
                            .template_id = STR("base"),
                            .alias = STR("base"),
                            .backend_template = STR("python"),
                            .metadata = STR("{}"),
                            .envs = STR("{}"),
                            .life = 7,
                            .started_ms = 1800000000000,
                            .end_ms = 1800000300000};
}

struct key place_key(unsigned char first_byte)
{
    struct key k = {.team = "red", .hint = "beef", .created_ms = 1};

    memset(k.hash, 0x5a, sizeof(k.hash));
    k.hash[0] = first_byte;
    return k;
}

struct idempotency place_idempotency(const char *key, int64_t at_ms)
{
    return (struct idempotency){.team = STR("red"),
                                .key = str_of(key),
                                .request = {1, 2, 3},
                                .sandbox = STR("ia"),
                                .at_ms = at_ms};
}

void place_done(void *arg, enum err err)
{
    struct outcome *o = arg;

    o->times++;
    o->err = err;
}

enum err place_commit(struct store *s, const struct change *changes,
                      unsigned count)
{
    struct outcome o = {0, E_COUNT};
    enum err err = store_commit(s, changes, count, place_done, &o);

    if (err != E_OK)
        return err;
    cr_assert_eq(o.times, 0, "done ran inside store_commit()");
    cr_assert_eq(store_flush(s, FLUSH_MS), E_OK);
    cr_assert_eq(o.times, 1);
    return o.err;
}

enum err place_put(struct store *s, const struct sandbox *sandbox)
{
    struct change c = {.kind = CHANGE_PUT_SANDBOX, .sandbox = sandbox};

    return place_commit(s, &c, 1);
}

enum err place_put_key(struct store *s, const struct key *key)
{
    struct change c = {.kind = CHANGE_PUT_KEY, .key = key};

    return place_commit(s, &c, 1);
}

enum found place_find(struct store *s, const char *id)
{
    const struct sandbox *out;
    enum found found = store_find_sandbox(s, str_of(id), &out);

    cr_assert_eq(out != NULL, found == FOUND);
    return found;
}

enum found place_find_key(struct store *s, const struct key *key)
{
    struct key out;

    return store_find_key(s, key->hash, &out);
}

void place_await(struct store *s)
{
    struct pollfd fd = {store_fd(s), POLLIN, 0};

    cr_assert_eq(poll(&fd, 1, FLUSH_MS), 1);
    store_turn(s);
}

void place_look(struct store *s)
{
    store_look(s);
    cr_assert_eq(store_flush(s, FLUSH_MS), E_OK);
}
