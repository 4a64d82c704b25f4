#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/store_place.h"

TestSuite(store_state, .init = place_make, .fini = place_remove);

/* What the operator was told. */
static bool logged(const char *what)
{
    char text[65536];
    FILE *f = fopen(place_beside(".log"), "r");
    size_t n;

    cr_assert_not_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    return strstr(text, what) != NULL;
}

static void copy(const char *from, const char *to)
{
    char command[256];

    snprintf(command, sizeof(command), "cp %s%s %s%s", place_path, from,
             place_path, to);
    cr_assert_eq(system(command), 0);
}

static void move(const char *from, const char *to)
{
    char old[128];

    snprintf(old, sizeof(old), "%s", place_beside(from));
    cr_assert_eq(rename(old, place_beside(to)), 0);
}

static mode_t mode_of(const char *end)
{
    struct stat st;

    return stat(place_beside(end), &st) == 0 ? st.st_mode & 07777 : 0;
}

/* A store with one sandbox and one key, closed. */
static void fill(void)
{
    struct sandbox row = place_sandbox("ia");
    struct key k = place_key(1);
    struct store *s = place_open();

    cr_assert_eq(place_put(s, &row), E_OK);
    cr_assert_eq(place_put_key(s, &k), E_OK);
    store_close(&s);
}

/* It says nothing and takes nothing. */
static void expect_unknown(struct store *s)
{
    struct sandbox row = place_sandbox("inew");
    struct key k = place_key(1);
    const struct idempotency *found;
    const struct sandbox **list;
    const struct key *keys;
    struct arena *a;
    unsigned count;

    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    cr_expect_eq(place_find(s, "ia"), UNKNOWN);
    cr_expect_eq(place_find(s, "iabsent"), UNKNOWN);
    cr_expect_eq(place_find_key(s, &k), UNKNOWN);
    cr_expect_eq(store_find_idempotency(s, STR("red"), STR("w"), &found),
                 UNKNOWN);
    cr_expect_eq(store_list_sandboxes(s, STR_NONE, a, &list, &count), UNKNOWN);
    cr_expect_eq(store_list_keys(s, a, &keys, &count), UNKNOWN);
    cr_expect_eq(place_put(s, &row), E_STORE);
    arena_free(&a);
}

Test(store_state, is_made_for_its_owner_alone)
{
    struct store *s;

    umask(0);
    s = place_open();
    cr_expect_eq(mode_of(""), 0600);
    cr_expect_eq(mode_of("-wal"), 0600);
    cr_expect_eq(mode_of("-shm"), 0600);
    cr_expect_eq(mode_of(".marker"), 0, "no row, no marker");
    store_close(&s);
    fill();
    cr_expect_eq(mode_of(""), 0600);
    cr_expect_eq(mode_of(".marker"), 0600);
    cr_assert_eq(chmod(place_path, 0644), 0);
    s = place_open();
    cr_expect_eq(mode_of(""), 0600);
    cr_expect(logged("mode 0644 made 0600"));
    store_close(&s);
}

Test(store_state, a_store_without_rows_is_known)
{
    struct store *s = place_open();

    cr_expect_eq(place_find(s, "ia"), ABSENT);
    store_close(&s);
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), ABSENT);
    store_close(&s);
}

static void lose_file(void)
{
    cr_assert_eq(unlink(place_path), 0);
}

static void empty_file(void)
{
    cr_assert_eq(truncate(place_path, 0), 0);
}

/* What a process without the rule would have made of it. */
static void make_anew(void)
{
    struct store *s;

    lose_file();
    move(".marker", ".kept");
    s = place_open();
    store_close(&s);
    move(".kept", ".marker");
}

static void take_another(void)
{
    lose_file();
    move(".marker", ".kept");
    fill();
    move(".kept", ".marker");
}

static const struct {
    const char *name;
    void (*act)(void);
    const char *log;
} losses[] = {
    {"file lost", lose_file, "says that it had rows"},
    {"file emptied", empty_file, "says that it had rows"},
    {"new store", make_anew, "says that it had rows"},
    {"another store", take_another, "speaks of another store"},
};

Test(store_state, a_store_that_lost_its_rows_is_unknown_until_restored)
{
    for (size_t i = 0; i < sizeof(losses) / sizeof(*losses); i++) {
        struct store *s;

        fill();
        copy("", ".backup");
        losses[i].act();
        s = place_open();
        expect_unknown(s);
        cr_expect(logged(losses[i].log), "%s", losses[i].name);
        cr_expect(i > 0 || access(place_path, F_OK) < 0, "nothing is made");
        place_look(s);
        cr_expect_eq(place_find(s, "ia"), UNKNOWN, "%s", losses[i].name);
        move(".backup", "");
        place_look(s);
        cr_expect_eq(place_find(s, "ia"), FOUND, "%s", losses[i].name);
        cr_expect_eq(place_find(s, "iabsent"), ABSENT);
        cr_expect(logged("reads and writes again"));
        store_close(&s);
        lose_file();
        cr_assert_eq(unlink(place_beside(".marker")), 0);
    }
}

Test(store_state, begins_anew_when_the_marker_is_removed_too)
{
    struct store *s;

    fill();
    lose_file();
    cr_assert_eq(unlink(place_beside(".marker")), 0);
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), ABSENT);
    store_close(&s);
}

Test(store_state, makes_the_marker_again_that_is_lost_or_broken)
{
    struct store *s;
    FILE *f;

    fill();
    copy(".marker", ".first");
    cr_assert_eq(unlink(place_beside(".marker")), 0);
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), FOUND);
    store_close(&s);
    cr_expect_eq(mode_of(".marker"), 0600);
    f = fopen(place_beside(".marker"), "w");
    cr_assert_not_null(f);
    fputs("rubbish\nrevoked 12\n\n", f);
    fclose(f);
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), FOUND);
    store_close(&s);
    copy(".marker", ".second");
    {
        char command[256];

        snprintf(command, sizeof(command), "cmp -s %s.first %s.second",
                 place_path, place_path);
        cr_expect_eq(system(command), 0);
    }
}

Test(store_state, an_older_file_does_not_bring_a_revoked_key_back)
{
    struct key k = place_key(1), found;
    struct change revoke = {.kind = CHANGE_REVOKE_KEY, .key = &found};
    const struct key *list;
    struct arena *a;
    unsigned count;
    struct store *s;

    fill();
    copy("", ".backup");
    s = place_open();
    cr_assert_eq(store_find_key(s, k.hash, &found), FOUND);
    found.revoked_ms = 5;
    cr_assert_eq(place_commit(s, &revoke, 1), E_OK);
    store_close(&s);
    move(".backup", "");
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), FOUND);
    cr_expect_eq(place_find_key(s, &k), ABSENT);
    cr_assert_eq(arena_new(4096, &a), E_OK);
    cr_assert_eq(store_list_keys(s, a, &list, &count), FOUND);
    cr_expect_eq(count, 1);
    cr_expect_gt(list[0].revoked_ms, 5);
    store_close(&s);
    cr_expect_eq(place_number("SELECT count(*) FROM api_key"
                              " WHERE revoked_ms > 5"),
                 1, "the row says so too");
    arena_free(&a);
}

Test(store_state, what_is_remembered_counts_for_a_while_when_the_file_goes)
{
    struct sandbox row = place_sandbox("inew");
    struct key k = place_key(1);
    const struct sandbox **list;
    struct arena *a;
    unsigned count;
    struct store *s;

    fill();
    s = place_open();
    clock_set_ms(1000000);
    move("", ".away");
    place_look(s);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    cr_expect_eq(place_find_key(s, &k), FOUND);
    cr_expect_eq(place_find(s, "iabsent"), UNKNOWN);
    cr_expect_eq(place_put(s, &row), E_STORE);
    cr_expect(logged("says that it had rows"));
    clock_set_ms(1000000 + 59999);
    cr_assert_eq(arena_new(4096, &a), E_OK);
    cr_expect_eq(store_list_sandboxes(s, STR_NONE, a, &list, &count), UNKNOWN);
    arena_free(&a);
    cr_expect_eq(place_find_key(s, &k), FOUND);
    clock_set_ms(1000000 + 60000);
    cr_expect_eq(place_find_key(s, &k), UNKNOWN);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    clock_set_ms(1000000 + 299999);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    clock_set_ms(1000000 + 300000);
    cr_expect_eq(place_find(s, "ia"), UNKNOWN);
    move(".away", "");
    place_look(s);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    cr_expect_eq(place_find_key(s, &k), FOUND);
    cr_expect_eq(place_find(s, "iabsent"), ABSENT);
    cr_expect_eq(place_put(s, &row), E_OK);
    clock_set_ms(-1);
    store_close(&s);
}

/* The log of the file that was open is not the new file's. */
Test(store_state, a_file_put_in_its_place_is_read_anew)
{
    struct sandbox row = place_sandbox("inew");
    struct store *s;

    fill();
    copy("", ".backup");
    for (int closed = 0; closed < 2; closed++) {
        copy(".backup", ".next");
        s = place_open();
        for (int i = 0; i < 20; i++)
            cr_assert_eq(place_put(s, &row), E_OK);
        cr_expect_eq(place_find(s, "inew"), FOUND);
        if (closed) {
            cr_assert_eq(unlink(place_path), 0);
            place_look(s);
            cr_expect_eq(place_find(s, "iabsent"), UNKNOWN);
        }
        move(".next", "");
        place_look(s);
        cr_expect_eq(place_find(s, "ia"), FOUND);
        cr_expect_eq(place_find(s, "inew"), ABSENT);
        store_close(&s);
        place_check();
        cr_expect_eq(place_number("SELECT count(*) FROM sandbox"), 1);
    }
}

Test(store_state, a_file_that_comes_back_has_its_log_still)
{
    struct sandbox row = place_sandbox("inew");
    struct store *s;

    fill();
    s = place_open();
    cr_assert_eq(place_put(s, &row), E_OK);
    move("", ".away");
    place_look(s);
    cr_expect_eq(place_find(s, "iabsent"), UNKNOWN);
    move(".away", "");
    place_look(s);
    cr_expect_eq(place_find(s, "inew"), FOUND);
    cr_expect_eq(place_find(s, "iabsent"), ABSENT);
    store_close(&s);
    place_check();
}

/* The first commit after it finds out, without a look. */
Test(store_state, a_commit_into_a_file_that_is_gone_fails)
{
    struct sandbox row = place_sandbox("inew");
    struct store *s;

    fill();
    s = place_open();
    cr_assert_eq(unlink(place_path), 0);
    cr_expect_eq(place_put(s, &row), E_STORE);
    cr_expect_eq(place_find(s, "inew"), UNKNOWN);
    store_close(&s);
}

static void write_text(const char *text)
{
    FILE *f = fopen(place_path, "w");

    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static void make_text(void)
{
    write_text("This is not an SQLite file, but it is longer than a header.\n"
               "This is not an SQLite file, but it is longer than a header.\n");
}

static void make_foreign(void)
{
    place_sql("CREATE TABLE songs (name TEXT)");
}

static void make_newer(void)
{
    fill();
    place_sql("PRAGMA user_version = 3");
}

static void make_directory(void)
{
    cr_assert_eq(mkdir(place_path, 0700), 0);
}

static void damage(void)
{
    char rubbish[2048];
    FILE *f;

    fill();
    memset(rubbish, 0xa5, sizeof(rubbish));
    f = fopen(place_path, "r+");
    cr_assert_not_null(f);
    fseek(f, 100, SEEK_SET);
    fwrite(rubbish, sizeof(rubbish), 1, f);
    fclose(f);
}

static void lose_counter(void)
{
    fill();
    place_sql("DELETE FROM store");
}

static const struct {
    const char *name;
    void (*act)(void);
    const char *log;
} refusals[] = {
    {"not SQLite", make_text, "file is not a database"},
    {"of another program", make_foreign, "of another program"},
    {"of another version", make_newer, "another version"},
    {"a directory", make_directory, "is no file"},
    {"damaged", damage, "malformed"},
    {"counter missing", lose_counter, "its counter is missing"},
};

Test(store_state, refuses_a_file_that_cannot_be_read_and_says_why)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
        struct store *s;

        refusals[i].act();
        cr_expect_eq(store_open(str_of(place_path), &s), E_STORE, "%s",
                     refusals[i].name);
        cr_expect_null(s);
        cr_expect(logged(refusals[i].log), "%s", refusals[i].name);
        unlink(place_path);
        rmdir(place_path);
        unlink(place_beside("-wal"));
        unlink(place_beside("-shm"));
        unlink(place_beside(".marker"));
    }
}

Test(store_state, refuses_a_directory_that_is_not_there)
{
    struct store *s;

    cr_expect_eq(store_open(STR("/nowhere/at/all/store.db"), &s), E_STORE);
    cr_expect_null(s);
    cr_expect(logged("/nowhere/at/all/store.db"));
}

/* Values of 4 KiB until one no longer fits; E_STORE, and none is there by
 * half. */
static unsigned fill_up(struct store *s)
{
    static char big[4200];
    struct sandbox row = place_sandbox("ix");
    enum err err = E_OK;
    unsigned n;
    char id[16];

    snprintf(big, sizeof(big), "{\"a\":\"%04096d\"}", 0);
    row.metadata = str_of(big);
    for (n = 0; n < 4000; n++) {
        snprintf(id, sizeof(id), "i%u", n);
        row.id = str_of(id);
        err = place_put(s, &row);
        if (err != E_OK)
            break;
    }
    cr_assert_eq(err, E_STORE, "after %u: %s", n, err_name(err));
    cr_expect_eq(place_find(s, id), ABSENT, "memory is as it was");
    cr_expect_eq(place_find(s, "i0"), FOUND, "and still the truth");
    return n;
}

static void expect_first(struct store *s, unsigned n)
{
    char id[16];

    for (unsigned i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "i%u", i);
        cr_assert_eq(place_find(s, id), FOUND, "%u of %u", i, n);
    }
}

Test(store_state, an_io_error_fails_the_transaction_and_no_later_one)
{
    struct rlimit limit = {1 << 20, RLIM_INFINITY};
    struct sandbox row = place_sandbox("ilater");
    struct store *s;
    unsigned n;

    signal(SIGXFSZ, SIG_IGN);
    s = place_open();
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    n = fill_up(s);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(place_put(s, &row), E_OK);
    cr_expect(logged("reads and writes again"));
    store_close(&s);
    place_check();
    s = place_open();
    expect_first(s, n);
    cr_expect_eq(place_find(s, "ilater"), FOUND);
    store_close(&s);
}

/* A disk of 1 MiB of its own, where the machine lets us have one. */
Test(store_state, a_full_disk_fails_the_transaction_and_no_later_one)
{
    struct sandbox row = place_sandbox("ilater");
    char ballast[96];
    struct store *s;
    unsigned n;
    int fd;

    snprintf(ballast, sizeof(ballast), "%.*s",
             (int)(strrchr(place_path, '/') - place_path), place_path);
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", ballast, "tmpfs", 0, "size=1m") < 0)
        cr_skip_test("no mounts here");
    snprintf(ballast, sizeof(ballast), "%s", place_beside(".ballast"));
    fd = open(ballast, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(posix_fallocate(fd, 0, 200 << 10), 0);
    close(fd);
    s = place_open();
    n = fill_up(s);
    cr_assert_eq(unlink(ballast), 0);
    cr_expect_eq(place_put(s, &row), E_OK, "there is space again");
    store_close(&s);
    place_check();
    s = place_open();
    expect_first(s, n);
    cr_expect_eq(place_find(s, "ilater"), FOUND);
    store_close(&s);
    {
        char *slash = strrchr(ballast, '/');

        *slash = '\0';
        cr_expect_eq(umount2(ballast, MNT_DETACH), 0);
    }
    cr_expect(logged("full")); /* the log lies under the mount */
    cr_expect(logged("reads and writes again"));
}

/* A row that somebody spoiled is neither used nor called absent. */
static const struct {
    const char *name;
    const char *sql;
} spoilt[] = {
    {"team", "UPDATE sandbox SET team = 'Red team'"},
    {"team empty", "UPDATE sandbox SET team = ''"},
    {"state", "UPDATE sandbox SET state = 3"},
    {"state below", "UPDATE sandbox SET state = -1"},
    {"state large", "UPDATE sandbox SET state = 4294967296"},
    {"backend empty", "UPDATE sandbox SET backend = ''"},
    {"backend with a line end", "UPDATE sandbox SET backend = 'a' || char(10)"},
    {"backend with NUL", "UPDATE sandbox SET backend = 'a' || char(0) || 'b'"},
    {"template no UTF-8",
     "UPDATE sandbox SET template_id = CAST(x'c328' AS TEXT)"},
    {"alias too long", "UPDATE sandbox SET alias = printf('%.257c', 'a')"},
    {"template of the back end",
     "UPDATE sandbox SET backend_template = char(127)"},
    {"metadata no JSON", "UPDATE sandbox SET metadata = '{'"},
    {"metadata empty", "UPDATE sandbox SET metadata = ''"},
    {"metadata a list", "UPDATE sandbox SET metadata = '[]'"},
    {"metadata with a number", "UPDATE sandbox SET metadata = '{\"a\":1}'"},
    {"metadata twice",
     "UPDATE sandbox SET metadata = '{\"a\":\"\",\"a\":\"\"}'"},
    {"envs no JSON", "UPDATE sandbox SET envs = '{}{}'"},
    {"started before all time", "UPDATE sandbox SET started_ms = -1"},
    {"end in the year 10000", "UPDATE sandbox SET end_ms = 253402300800000"},
    {"flag", "UPDATE sandbox SET secure = 2"},
};

Test(store_state, does_not_believe_a_hostile_row)
{
    struct sandbox row = place_sandbox("ia");
    const struct sandbox **list;
    struct arena *a;
    unsigned count;

    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    fill();
    for (size_t i = 0; i < sizeof(spoilt) / sizeof(*spoilt); i++) {
        struct store *s;

        place_sql(spoilt[i].sql);
        s = place_open();
        cr_expect_eq(place_find(s, "ia"), UNKNOWN, "%s", spoilt[i].name);
        cr_expect_eq(place_find(s, "ib"), ABSENT, "%s", spoilt[i].name);
        cr_assert_eq(store_list_sandboxes(s, STR_NONE, a, &list, &count),
                     FOUND);
        cr_expect_eq(count, 0, "%s", spoilt[i].name);
        cr_expect_eq(place_put(s, &row), E_OK);
        cr_expect_eq(place_find(s, "ia"), FOUND, "a new row is believed");
        store_close(&s);
    }
    cr_expect(logged("rows are not believed"));
    arena_free(&a);
}

Test(store_state, leaves_out_rows_without_a_name)
{
    struct key k = place_key(1);
    struct store *s;

    fill();
    place_sql("UPDATE sandbox SET id = '../ia'");
    place_sql("UPDATE api_key SET hash = x'0102'");
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), ABSENT);
    cr_expect_eq(place_find_key(s, &k), ABSENT);
    store_close(&s);
    place_sql("UPDATE api_key SET team = 'x y',"
              " hash = x'015a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
              "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a'");
    s = place_open();
    cr_expect_eq(place_find_key(s, &k), UNKNOWN, "a key of no team");
    store_close(&s);
}

/* What would not be believed is not written either. */
Test(store_state, does_not_write_what_it_would_not_read)
{
    struct sandbox row = place_sandbox("ia");
    struct key k = place_key(1);
    struct idempotency i = place_idempotency("word", 1);
    struct change put = {.kind = CHANGE_PUT_IDEMPOTENCY, .idempotency = &i};
    struct store *s = place_open();

    row.id = STR("i-a");
    cr_expect_eq(place_put(s, &row), E_RANGE);
    row = place_sandbox("ia");
    row.metadata = STR_NONE;
    cr_expect_eq(place_put(s, &row), E_RANGE);
    cr_expect(logged("refused for its sandbox: metadata"));
    memset(k.team, 'a', sizeof(k.team));
    cr_expect_eq(place_put_key(s, &k), E_RANGE);
    i.key = STR("a\nb");
    cr_expect_eq(place_commit(s, &put, 1), E_RANGE);
    store_close(&s);
}

Test(store_state, starts_with_ten_thousand_rows_in_no_time)
{
    static struct change many[2500];
    static struct sandbox rows[2500];
    static char ids[2500][16];
    struct timespec from, to;
    double ms;
    struct store *s = place_open();

    for (unsigned n = 0; n < 10000; n += 2500) {
        for (unsigned i = 0; i < 2500; i++) {
            snprintf(ids[i], sizeof(ids[i]), "i%u", n + i);
            rows[i] = place_sandbox(ids[i]);
            rows[i].metadata = STR("{\"user\":\"somebody\",\"job\":\"some job "
                                   "of a rather ordinary length\"}");
            many[i] = (struct change){.kind = CHANGE_PUT_SANDBOX,
                                      .sandbox = &rows[i]};
        }
        cr_assert_eq(place_commit(s, many, 2500), E_OK);
    }
    store_close(&s);
    clock_gettime(CLOCK_MONOTONIC, &from);
    s = place_open();
    clock_gettime(CLOCK_MONOTONIC, &to);
    ms = (double)(to.tv_sec - from.tv_sec) * 1e3 +
         (double)(to.tv_nsec - from.tv_nsec) / 1e6;
    cr_expect_eq(place_find(s, "i0"), FOUND);
    cr_expect_eq(place_find(s, "i9999"), FOUND);
    cr_log_info("10,000 rows read in %.1f ms", ms);
    cr_expect_lt(ms, 500);
    store_close(&s);
}
