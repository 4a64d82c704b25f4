#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/store_place.h"

TestSuite(store_process, .init = place_make, .fini = place_remove);

/* A process that waits to be let go, forked before anything is opened: an
 * SQLite connection must not be carried over a fork. */
struct other {
    pid_t pid;
    int go[2], done[2];
};

static struct other fork_other(void (*act)(struct store *s))
{
    struct other o;
    char byte = 0;

    cr_assert_eq(pipe(o.go), 0);
    cr_assert_eq(pipe(o.done), 0);
    o.pid = fork();
    cr_assert_geq(o.pid, 0);
    if (o.pid == 0) {
        struct store *s;

        if (read(o.go[0], &byte, 1) != 1 ||
            store_open(str_of(place_path), &s) != E_OK)
            _exit(1);
        act(s);
        store_close(&s);
        _exit(write(o.done[1], &byte, 1) != 1);
    }
    return o;
}

static void let_go(struct other *o)
{
    char byte = 0;
    int status;

    cr_assert_eq(write(o->go[1], &byte, 1), 1);
    cr_assert_eq(read(o->done[0], &byte, 1), 1);
    cr_assert_eq(waitpid(o->pid, &status, 0), o->pid);
    cr_expect_eq(status, 0);
    for (int i = 0; i < 2; i++) {
        close(o->go[i]);
        close(o->done[i]);
    }
}

static void revoke_first(struct store *s)
{
    struct key k = {.number = 1, .revoked_ms = 5};
    struct change c = {.kind = CHANGE_REVOKE_KEY, .key = &k};

    if (place_commit(s, &c, 1) != E_OK)
        _exit(2);
}

static void create_second(struct store *s)
{
    struct key k = place_key(2);

    if (place_put_key(s, &k) != E_OK)
        _exit(2);
}

Test(store_process, a_key_revoked_by_another_process_is_refused)
{
    struct other revoker = fork_other(revoke_first);
    struct other creator = fork_other(create_second);
    struct key one = place_key(1), two = place_key(2);
    struct store *s = place_open();

    cr_assert_eq(place_put_key(s, &one), E_OK);
    let_go(&creator);
    place_look(s);
    cr_expect_eq(place_find_key(s, &two), FOUND);
    let_go(&revoker);
    place_look(s);
    cr_expect_eq(place_find_key(s, &one), ABSENT);
    store_close(&s);
}

/* Nobody asks for it: the one test that waits for the thread's second. */
Test(store_process, writes_of_others_are_seen_by_themselves)
{
    struct sandbox row = place_sandbox("ia");
    struct store *a = place_open(), *b = place_open();

    cr_assert_eq(place_put(a, &row), E_OK);
    place_await(b);
    cr_expect_eq(place_find(b, "ia"), FOUND);
    store_close(&a);
    store_close(&b);
}

Test(store_process, deletions_and_newer_rows_are_told_apart)
{
    struct sandbox row = place_sandbox("ia"), other = place_sandbox("ib");
    struct change drop = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &row};
    struct change drop_other = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &other};
    const struct sandbox *found;
    struct store *a = place_open(), *b = place_open();

    cr_assert_eq(place_put(a, &row), E_OK);
    cr_assert_eq(place_put(a, &other), E_OK);
    place_look(b);
    cr_expect_eq(place_find(b, "ia"), FOUND);
    cr_assert_eq(place_commit(a, &drop, 1), E_OK);
    row.life = 8;
    cr_assert_eq(place_put(a, &row), E_OK);
    cr_assert_eq(place_commit(a, &drop_other, 1), E_OK);
    place_look(b);
    cr_assert_eq(store_find_sandbox(b, row.id, &found), FOUND);
    cr_expect_eq(found->life, 8);
    cr_expect_eq(place_find(b, "ib"), ABSENT);
    store_close(&a);
    store_close(&b);
}

Test(store_process, conditions_are_judged_by_the_file_not_the_memory)
{
    struct sandbox row = place_sandbox("ia");
    struct change claim = {.kind = CHANGE_PUT_SANDBOX,
                           .sandbox = &row,
                           .condition = IF_STATE,
                           .if_state = SANDBOX_RUNNING,
                           .if_life = 7};
    struct store *a = place_open(), *b = place_open();

    cr_assert_eq(place_put(a, &row), E_OK);
    place_look(b);
    row.state = SANDBOX_ENDING;
    cr_expect_eq(place_commit(a, &claim, 1), E_OK, "the first one claims it");
    cr_expect_eq(place_commit(b, &claim, 1), E_CONFLICT, "once only");
    store_close(&a);
    store_close(&b);
}

Test(store_process, a_commit_tells_what_others_wrote_before_it)
{
    struct sandbox row = place_sandbox("ia"), other = place_sandbox("ib");
    struct store *a = place_open(), *b = place_open();

    cr_assert_eq(place_put(a, &row), E_OK);
    cr_assert_eq(place_put(b, &other), E_OK);
    cr_expect_eq(place_find(b, "ia"), FOUND);
    store_close(&a);
    store_close(&b);
}

/* The list of deletions is bounded: who missed more of it reads all. */
Test(store_process, who_missed_too_many_deletions_reads_all_rows)
{
    static struct change pairs[4000];
    struct sandbox row = place_sandbox("ia"), gone = place_sandbox("igone");
    struct change drop = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &gone};
    struct store *a = place_open(), *b;

    cr_assert_eq(place_put(a, &gone), E_OK);
    b = place_open();
    for (size_t i = 0; i < 4000; i++)
        pairs[i] = (struct change){.kind = i % 2 ? CHANGE_DROP_SANDBOX
                                                 : CHANGE_PUT_SANDBOX,
                                   .sandbox = &row};
    cr_assert_eq(place_commit(a, &drop, 1), E_OK);
    /* Held back from looking by nothing but its own second, so that the
     * outcome is the same whether it looked in between or not. */
    for (int i = 0; i < 6; i++)
        cr_assert_eq(place_commit(a, pairs, 4000), E_OK);
    cr_assert_eq(place_put(a, &row), E_OK);
    cr_expect_gt(place_number("SELECT floor FROM store"), 0);
    cr_expect_leq(place_number("SELECT count(*) FROM dropped"), 20000);
    place_look(b);
    cr_expect_eq(place_find(b, "igone"), ABSENT);
    cr_expect_eq(place_find(b, "ia"), FOUND);
    store_close(&a);
    store_close(&b);
}

Test(store_process, expired_idempotency_rows_go_everywhere)
{
    int64_t now_ms = 1800000000000;
    struct idempotency old = place_idempotency("old", now_ms);
    struct idempotency next =
        place_idempotency("next", now_ms + STORE_IDEMPOTENCY_MS + 1);
    struct change put = {.kind = CHANGE_PUT_IDEMPOTENCY, .idempotency = &old};
    const struct idempotency *found;
    struct store *a, *b;

    clock_set_wall_ms(now_ms);
    a = place_open();
    b = place_open();
    cr_assert_eq(place_commit(a, &put, 1), E_OK);
    place_look(b);
    cr_expect_eq(store_find_idempotency(b, old.team, old.key, &found), FOUND);
    put.idempotency = &next;
    /* Stands still from a's first row on for 10 minutes, so let b write. */
    cr_assert_eq(place_commit(b, &put, 1), E_OK);
    place_look(a);
    cr_expect_eq(store_find_idempotency(a, old.team, old.key, &found), ABSENT);
    cr_expect_eq(store_find_idempotency(a, next.team, next.key, &found), FOUND);
    store_close(&a);
    store_close(&b);
}

/* The child of the next test: changes of several kinds, many in the air, and
 * the number of each that was acknowledged written to the pipe. */
struct ack {
    int fd;
    unsigned number;
    bool back; /* may be used again */
};

static void on_done(void *arg, enum err err)
{
    struct ack *ack = arg;

    if (err != E_OK || write(ack->fd, &ack->number, sizeof(ack->number)) !=
                           sizeof(ack->number))
        _exit(3);
    ack->back = true;
}

static void write_until_killed(int fd, unsigned from)
{
    struct ack acks[16];
    char id[32];
    struct store *s;

    if (store_open(str_of(place_path), &s) != E_OK)
        _exit(1);
    for (unsigned i = 0; i < 16; i++)
        acks[i] = (struct ack){.fd = fd, .back = true};
    for (unsigned n = from;; n++) {
        struct ack *ack = &acks[n % 16];
        struct sandbox row = place_sandbox(id);
        struct key k = place_key(0);
        struct change unit[] = {{.kind = CHANGE_PUT_SANDBOX, .sandbox = &row},
                                {.kind = CHANGE_PUT_KEY, .key = &k}};

        while (!ack->back)
            if (store_flush(s, 20000) != E_OK)
                _exit(4);
        snprintf(id, sizeof(id), "i%u", n);
        row.id = str_of(id);
        memcpy(k.hash, &n, sizeof(n));
        ack->back = false;
        ack->number = n;
        if (store_commit(s, unit, 2, on_done, ack) != E_OK)
            _exit(5);
    }
}

/* Everything up to most numbers is there, both rows of each. */
static void expect_rows(const bool *acked, unsigned most)
{
    struct store *s = place_open();
    struct key k = place_key(0);
    char id[32];

    for (unsigned n = 0; n < most; n++) {
        enum found sandbox, key;

        snprintf(id, sizeof(id), "i%u", n);
        memcpy(k.hash, &n, sizeof(n));
        sandbox = place_find(s, id);
        key = place_find_key(s, &k);
        cr_expect_eq(sandbox, key, "half of %u", n);
        if (acked[n])
            cr_expect_eq(sandbox, FOUND, "%u was acknowledged", n);
    }
    store_close(&s);
    place_check();
}

Test(store_process, loses_nothing_acknowledged_to_kill_9)
{
    static bool acked[1 << 16];
    unsigned next = 0, lived = 0, most = 0;

    for (unsigned turn = 0; turn < 20; turn++) {
        unsigned number, want = (turn * 37 + turn * turn * 11) % 90;
        int fds[2];
        pid_t pid;

        cr_assert_eq(pipe(fds), 0);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
            close(fds[0]);
            write_until_killed(fds[1], next);
        }
        close(fds[1]);
        for (unsigned i = 0; i < want; i++) {
            if (read(fds[0], &number, sizeof(number)) != sizeof(number))
                break;
            acked[number] = true;
            lived++;
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(fds[0], &number, sizeof(number)) == sizeof(number)) {
            acked[number] = true; /* told before it died */
            lived++;
        }
        close(fds[0]);
        for (unsigned n = next; n < next + 4096; n++)
            most = acked[n] ? n + 1 : most;
        next = most + 32; /* past all that were in the air */
        expect_rows(acked, next);
    }
    cr_expect_gt(lived, 300);
}
