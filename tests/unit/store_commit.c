#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/store_place.h"

TestSuite(store_commit, .init = place_make, .fini = place_remove);

static void same(const struct sandbox *a, const struct sandbox *b)
{
    cr_expect_eq(a->state, b->state);
    cr_expect(str_eq(a->id, b->id));
    cr_expect(str_eq(a->team, b->team));
    cr_expect(str_eq(a->backend, b->backend));
    cr_expect(str_eq(a->template_id, b->template_id));
    cr_expect(str_eq(a->alias, b->alias));
    cr_expect(str_eq(a->backend_template, b->backend_template));
    cr_expect(str_eq(a->metadata, b->metadata));
    cr_expect(str_eq(a->envs, b->envs));
    cr_expect_eq(a->life, b->life);
    cr_expect_eq(a->started_ms, b->started_ms);
    cr_expect_eq(a->end_ms, b->end_ms);
    cr_expect_eq(a->secure, b->secure);
    cr_expect_eq(a->native, b->native);
    cr_expect_eq(a->private_traffic, b->private_traffic);
    cr_expect(str_eq(a->mask_host, b->mask_host));
    cr_expect(str_eq(a->https_ports, b->https_ports));
}

Test(store_commit, keeps_every_field_over_a_restart)
{
    struct sandbox row = {.state = SANDBOX_ENDING,
                          .id = STR("iabcdefghij0123456789"),
                          .team = STR("red-team_1"),
                          .backend = STR("main"),
                          .template_id = STR("base"),
                          .alias = STR("x'); DROP TABLE sandbox; --"),
                          .backend_template = STR("python \xc3\xa9"),
                          .metadata = STR("{\"a\":\"\\u0001 ' \\\" ?1\"}"),
                          .envs = STR("{\"A\":\"1\",\"B\":\"\xc3\xa9\"}"),
                          .life = UINT64_MAX,
                          .started_ms = 1,
                          .end_ms = 253402300799999,
                          .secure = true,
                          .private_traffic = true,
                          .mask_host = STR("localhost:${PORT}"),
                          .https_ports = STR("443,65535")};
    const struct sandbox *found;
    struct store *s = place_open();

    cr_assert_eq(place_put(s, &row), E_OK);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(store_find_sandbox(s, row.id, &found), FOUND);
        cr_expect_neq(found, &row, "a copy");
        same(found, &row);
        cr_expect_eq(place_find(s, "iabsent"), ABSENT);
        store_close(&s);
        cr_expect_null(s);
        s = place_open();
    }
    store_close(&s);
    store_close(&s);
}

Test(store_commit, shows_nothing_before_it_is_durable)
{
    struct sandbox row = place_sandbox("ia");
    struct change put = {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row};
    struct outcome o = {0, E_COUNT};
    struct store *s = place_open();
    struct pollfd fd = {store_fd(s), POLLIN, 0};

    cr_assert_eq(store_commit(s, &put, 1, place_done, &o), E_OK);
    cr_assert_eq(poll(&fd, 1, 20000), 1, "the descriptor tells");
    cr_expect_eq(place_number("SELECT count(*) FROM sandbox"), 1);
    cr_expect_eq(place_find(s, "ia"), ABSENT, "not before the turn");
    cr_expect_eq(o.times, 0);
    store_turn(s);
    cr_expect_eq(o.times, 1);
    cr_expect_eq(o.err, E_OK);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    store_close(&s);
}

/* What a create waits for: the record is there when done runs. */
static struct store *looked_at;

static void find_it(void *arg, enum err err)
{
    cr_expect_eq(err, E_OK);
    *(enum found *)arg = place_find(looked_at, "ia");
}

Test(store_commit, shows_the_row_when_done_runs)
{
    struct sandbox row = place_sandbox("ia");
    struct change put = {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row};
    enum found found = UNKNOWN;
    struct store *s = looked_at = place_open();

    cr_assert_eq(store_commit(s, &put, 1, find_it, &found), E_OK);
    cr_assert_eq(store_flush(s, 20000), E_OK);
    cr_expect_eq(found, FOUND);
    store_close(&s);
}

Test(store_commit, a_held_record_outlives_its_row)
{
    struct sandbox row = place_sandbox("ia");
    struct change drop = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &row};
    const struct sandbox *held;
    struct store *s = place_open();

    cr_assert_eq(place_put(s, &row), E_OK);
    cr_assert_eq(store_find_sandbox(s, row.id, &held), FOUND);
    sandbox_ref(held);
    cr_expect_eq(place_commit(s, &drop, 1), E_OK);
    cr_expect_eq(place_find(s, "ia"), ABSENT);
    store_close(&s);
    same(held, &row);
    sandbox_unref(&held);
}

static const struct {
    const char *name;
    int before; /* state of the present row, -1: there is none */
    struct change change;
    enum err want;
    int after; /* state of the row then, -1: none */
} conditions[] = {
    {"put over any", SANDBOX_RUNNING, {.kind = CHANGE_PUT_SANDBOX}, E_OK, 2},
    {"put over none", -1, {.kind = CHANGE_PUT_SANDBOX}, E_OK, 2},
    {"put if absent, and it is",
     -1,
     {.kind = CHANGE_PUT_SANDBOX, .condition = IF_ABSENT},
     E_OK,
     2},
    {"put if absent, and it is not",
     SANDBOX_INTENT,
     {.kind = CHANGE_PUT_SANDBOX, .condition = IF_ABSENT},
     E_CONFLICT,
     SANDBOX_INTENT},
    {"put if running, and it is",
     SANDBOX_RUNNING,
     {.kind = CHANGE_PUT_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_RUNNING,
      .if_life = 7},
     E_OK,
     2},
    {"put if running, in another life",
     SANDBOX_RUNNING,
     {.kind = CHANGE_PUT_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_RUNNING,
      .if_life = 8},
     E_CONFLICT,
     SANDBOX_RUNNING},
    {"put if running, but an intent",
     SANDBOX_INTENT,
     {.kind = CHANGE_PUT_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_RUNNING,
      .if_life = 7},
     E_CONFLICT,
     SANDBOX_INTENT},
    {"put if running, but none",
     -1,
     {.kind = CHANGE_PUT_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_RUNNING,
      .if_life = 7},
     E_CONFLICT,
     -1},
    {"drop any", SANDBOX_RUNNING, {.kind = CHANGE_DROP_SANDBOX}, E_OK, -1},
    {"drop none", -1, {.kind = CHANGE_DROP_SANDBOX}, E_OK, -1},
    {"drop if ending, and it is",
     SANDBOX_ENDING,
     {.kind = CHANGE_DROP_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_ENDING,
      .if_life = 7},
     E_OK,
     -1},
    {"drop if ending, but running",
     SANDBOX_RUNNING,
     {.kind = CHANGE_DROP_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_ENDING,
      .if_life = 7},
     E_CONFLICT,
     SANDBOX_RUNNING},
    {"drop if ending, but none",
     -1,
     {.kind = CHANGE_DROP_SANDBOX,
      .condition = IF_STATE,
      .if_state = SANDBOX_ENDING,
      .if_life = 7},
     E_CONFLICT,
     -1},
};

static int state_of(struct store *s, const char *id)
{
    const struct sandbox *found;

    if (store_find_sandbox(s, str_of(id), &found) != FOUND)
        return -1;
    return (int)found->state;
}

Test(store_commit, holds_its_conditions)
{
    struct store *s = place_open();

    for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++) {
        struct sandbox before = place_sandbox("ia");
        struct sandbox after = place_sandbox("ia");
        struct change c = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &before};

        cr_assert_eq(place_commit(s, &c, 1), E_OK);
        before.state = (enum sandbox_state)conditions[i].before;
        if (conditions[i].before >= 0)
            cr_assert_eq(place_put(s, &before), E_OK);
        after.state = SANDBOX_ENDING;
        c = conditions[i].change;
        c.sandbox = &after;
        cr_expect_eq(place_commit(s, &c, 1), conditions[i].want, "%s",
                     conditions[i].name);
        cr_expect_eq(state_of(s, "ia"), conditions[i].after, "%s",
                     conditions[i].name);
    }
    store_close(&s);
}

Test(store_commit, does_all_changes_of_a_unit_or_none)
{
    struct sandbox a = place_sandbox("ia"), b = place_sandbox("ib");
    struct key k = place_key(1);
    struct change unit[] = {
        {.kind = CHANGE_PUT_SANDBOX, .sandbox = &a, .condition = IF_ABSENT},
        {.kind = CHANGE_PUT_KEY, .key = &k},
        {.kind = CHANGE_PUT_SANDBOX, .sandbox = &b, .condition = IF_ABSENT}};
    struct change other = {.kind = CHANGE_PUT_SANDBOX, .sandbox = &b};
    struct outcome first = {0, E_COUNT}, second = {0, E_COUNT};
    struct store *s = place_open();

    /* Queued at once, so that they share a transaction. */
    cr_assert_eq(store_commit(s, &other, 1, place_done, &first), E_OK);
    cr_assert_eq(store_commit(s, unit, 3, place_done, &second), E_OK);
    cr_assert_eq(store_flush(s, 20000), E_OK);
    cr_expect_eq(first.err, E_OK);
    cr_expect_eq(second.err, E_CONFLICT);
    cr_expect_eq(place_find(s, "ia"), ABSENT);
    cr_expect_eq(place_find_key(s, &k), ABSENT);
    cr_expect_eq(place_find(s, "ib"), FOUND);
    cr_expect_eq(place_number("SELECT count(*) FROM sandbox"), 1);
    cr_expect_eq(place_number("SELECT count(*) FROM api_key"), 0);
    b.id = STR("ic");
    cr_expect_eq(place_commit(s, unit, 3), E_OK);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    cr_expect_eq(place_find(s, "ic"), FOUND);
    cr_expect_eq(place_find_key(s, &k), FOUND);
    store_close(&s);
}

Test(store_commit, judges_a_change_after_the_ones_before_it)
{
    struct sandbox row = place_sandbox("ia");
    struct change unit[] = {
        {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row, .condition = IF_ABSENT},
        {.kind = CHANGE_DROP_SANDBOX,
         .sandbox = &row,
         .condition = IF_STATE,
         .if_state = SANDBOX_RUNNING,
         .if_life = 7},
        {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row, .condition = IF_ABSENT}};
    struct store *s = place_open();

    cr_expect_eq(place_commit(s, unit, 3), E_OK);
    cr_expect_eq(place_find(s, "ia"), FOUND);
    cr_expect_eq(place_commit(s, unit + 1, 1), E_OK);
    cr_expect_eq(place_find(s, "ia"), ABSENT);
    store_close(&s);
}

Test(store_commit, takes_4096_changes_and_no_more)
{
    static struct change many[4096];
    struct sandbox row = place_sandbox("ia");
    struct outcome o = {0, E_COUNT};
    struct store *s = place_open();

    for (size_t i = 0; i < 4096; i++)
        many[i] = (struct change){.kind = CHANGE_PUT_SANDBOX, .sandbox = &row};
    cr_assert_eq(store_commit(s, many, 4095, place_done, &o), E_OK);
    cr_expect_eq(store_commit(s, many, 2, place_done, &o), E_FULL, "over");
    cr_assert_eq(store_commit(s, many, 1, place_done, &o), E_OK, "full");
    cr_expect_eq(store_commit(s, many, 1, place_done, &o), E_FULL, "over");
    store_look(s); /* asks for nothing */
    cr_assert_eq(store_flush(s, 20000), E_OK);
    cr_expect_eq(o.times, 2, "not for those that were refused");
    cr_expect_eq(o.err, E_OK);
    cr_expect_eq(store_commit(s, many, 4096, place_done, &o), E_OK);
    cr_assert_eq(store_flush(s, 20000), E_OK);
    cr_expect_eq(o.times, 3);
    store_close(&s);
}

Test(store_commit, is_finished_by_close)
{
    struct sandbox row = place_sandbox("ia");
    struct change put = {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row};
    struct outcome o = {0, E_COUNT};
    struct store *s = place_open();

    cr_assert_eq(store_commit(s, &put, 1, place_done, &o), E_OK);
    cr_assert_eq(store_commit(s, &put, 1, NULL, NULL), E_OK);
    store_close(&s);
    cr_expect_eq(o.times, 1);
    cr_expect_eq(o.err, E_OK);
    s = place_open();
    cr_expect_eq(place_find(s, "ia"), FOUND);
    store_close(&s);
}

/* The command line's `key create`, `key list` and `key revoke`. */
Test(store_commit, numbers_lists_and_revokes_keys)
{
    struct key one = place_key(1), other = place_key(2), found;
    struct change revoke = {.kind = CHANGE_REVOKE_KEY, .key = &found};
    const struct key *list;
    struct arena *a;
    unsigned count;
    struct store *s = place_open();

    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    cr_assert_eq(place_put_key(s, &one), E_OK);
    cr_assert_eq(place_put_key(s, &other), E_OK);
    cr_assert_eq(store_find_key(s, other.hash, &found), FOUND);
    cr_expect_eq(found.number, 2);
    cr_expect_str_eq(found.team, "red");
    cr_expect_str_eq(found.hint, "beef");
    cr_assert_eq(store_find_key(s, one.hash, &found), FOUND);
    cr_expect_eq(found.number, 1);
    found.revoked_ms = 1234;
    cr_assert_eq(place_commit(s, &revoke, 1), E_OK);
    cr_expect_eq(place_find_key(s, &one), ABSENT);
    found = (struct key){.number = 1, .revoked_ms = 9999};
    cr_expect_eq(place_commit(s, &revoke, 1), E_OK, "again");
    found.number = 3;
    cr_expect_eq(place_commit(s, &revoke, 1), E_CONFLICT, "no such key");
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(store_list_keys(s, a, &list, &count), FOUND);
        cr_assert_eq(count, 2);
        cr_expect_eq(list[0].number, 1);
        cr_expect_eq(list[0].revoked_ms, 1234, "the first time stays");
        cr_expect_eq(list[1].number, 2);
        cr_expect_eq(list[1].revoked_ms, 0);
        cr_expect_eq(place_find_key(s, &one), ABSENT);
        cr_expect_eq(place_find_key(s, &other), FOUND);
        store_close(&s);
        s = place_open();
    }
    cr_expect_eq(place_put_key(s, &one), E_CONFLICT, "revoked for good");
    cr_expect_eq(place_put_key(s, &other), E_CONFLICT, "there already");
    other = place_key(3);
    other.number = 2;
    cr_expect_eq(place_put_key(s, &other), E_CONFLICT, "number in use");
    other.number = 0;
    cr_expect_eq(place_put_key(s, &other), E_OK);
    cr_assert_eq(store_find_key(s, other.hash, &found), FOUND);
    cr_expect_eq(found.number, 3);
    arena_free(&a);
    store_close(&s);
}

/* What a create may bring with the largest api_body. */
Test(store_commit, keeps_large_metadata)
{
    static char big[1 << 20];
    struct sandbox row = place_sandbox("ia");
    const struct sandbox *found;
    struct store *s = place_open();

    snprintf(big, sizeof(big), "{\"a\":\"%0*d\"}", (int)sizeof(big) - 100, 0);
    row.metadata = str_of(big);
    cr_assert_eq(place_put(s, &row), E_OK);
    store_close(&s);
    s = place_open();
    cr_assert_eq(store_find_sandbox(s, row.id, &found), FOUND);
    cr_expect(str_eq(found->metadata, row.metadata));
    store_close(&s);
}

Test(store_commit, lists_the_sandboxes_of_a_team)
{
    struct sandbox row = place_sandbox("ia");
    const struct sandbox **list;
    struct arena *a, *small;
    unsigned count;
    struct store *s = place_open();

    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    cr_assert_eq(store_list_sandboxes(s, STR_NONE, a, &list, &count), FOUND);
    cr_expect_eq(count, 0);
    cr_assert_eq(place_put(s, &row), E_OK);
    row.id = STR("ib");
    row.team = STR("blue");
    cr_assert_eq(place_put(s, &row), E_OK);
    cr_assert_eq(store_list_sandboxes(s, STR("blue"), a, &list, &count), FOUND);
    cr_assert_eq(count, 1);
    cr_expect(str_eq(list[0]->id, STR("ib")));
    cr_assert_eq(store_list_sandboxes(s, STR_NONE, a, &list, &count), FOUND);
    cr_expect_eq(count, 2);
    cr_assert_eq(store_list_sandboxes(s, STR("none"), a, &list, &count), FOUND);
    cr_expect_eq(count, 0);
    cr_assert_eq(arena_new(8, &small), E_OK);
    cr_expect_eq(store_list_sandboxes(s, STR_NONE, small, &list, &count),
                 UNKNOWN, "no room is not an empty list");
    arena_free(&small);
    arena_free(&a);
    store_close(&s);
}

Test(store_commit, keeps_idempotency_rows_for_a_day)
{
    int64_t now_ms = 1800000000000;
    struct idempotency old = place_idempotency("old", now_ms);
    struct idempotency next = place_idempotency("next", now_ms + 1);
    struct change put = {.kind = CHANGE_PUT_IDEMPOTENCY,
                         .condition = IF_ABSENT};
    const struct idempotency *found;
    struct store *s;

    clock_set_wall_ms(now_ms);
    s = place_open();
    put.idempotency = &old;
    cr_assert_eq(place_commit(s, &put, 1), E_OK);
    cr_assert_eq(store_find_idempotency(s, old.team, old.key, &found), FOUND);
    cr_expect(str_eq(found->sandbox, STR("ia")));
    cr_expect(str_eq(found->team, STR("red")));
    cr_expect(str_eq(found->key, STR("old")));
    cr_expect_arr_eq(found->request, old.request, 32);
    cr_expect_eq(found->at_ms, now_ms);
    cr_expect_not(found->done);
    cr_expect_eq(place_commit(s, &put, 1), E_CONFLICT, "taken");
    cr_expect_eq(store_find_idempotency(s, STR("blue"), old.key, &found),
                 ABSENT, "another team's");
    old.done = true;
    put.condition = IF_ANY;
    cr_assert_eq(place_commit(s, &put, 1), E_OK);
    cr_assert_eq(store_find_idempotency(s, old.team, old.key, &found), FOUND);
    cr_expect(found->done);

    clock_set_wall_ms(now_ms + STORE_IDEMPOTENCY_MS);
    cr_expect_eq(store_find_idempotency(s, old.team, old.key, &found), FOUND);
    clock_set_wall_ms(now_ms + STORE_IDEMPOTENCY_MS + 1);
    cr_expect_eq(store_find_idempotency(s, old.team, old.key, &found), ABSENT);
    cr_expect_null(found);
    next.at_ms = now_ms + STORE_IDEMPOTENCY_MS + 1;
    put.idempotency = &next;
    cr_assert_eq(place_commit(s, &put, 1), E_OK);
    cr_expect_eq(place_number("SELECT count(*) FROM idempotency"), 1,
                 "the old one is deleted");
    clock_set_wall_ms(now_ms);
    cr_expect_eq(store_find_idempotency(s, old.team, old.key, &found), ABSENT,
                 "and forgotten");
    put.kind = CHANGE_DROP_IDEMPOTENCY;
    cr_assert_eq(place_commit(s, &put, 1), E_OK);
    cr_expect_eq(store_find_idempotency(s, next.team, next.key, &found),
                 ABSENT);
    cr_expect_eq(place_number("SELECT count(*) FROM idempotency"), 0);
    clock_set_wall_ms(-1);
    store_close(&s);
}

Test(store_commit, survives_every_refused_allocation)
{
    struct sandbox row = place_sandbox("ia");
    struct key k = place_key(1);
    struct idempotency i = place_idempotency("word", 1800000000000);
    struct change unit[] = {
        {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row},
        {.kind = CHANGE_PUT_KEY, .key = &k},
        {.kind = CHANGE_PUT_IDEMPOTENCY, .idempotency = &i},
        {.kind = CHANGE_DROP_SANDBOX, .sandbox = &row},
        {.kind = CHANGE_DROP_IDEMPOTENCY, .idempotency = &i}};
    struct outcome o = {0, E_COUNT};
    struct store *s;
    enum err err;
    long n = 0;

    while (mem_refuse(n), err = store_open(str_of(place_path), &s),
           mem_refuse(-1), err != E_OK) {
        cr_assert_eq(err, E_NOMEM);
        cr_assert_null(s);
        cr_assert_lt(n++, 50);
    }
    cr_expect_gt(n, 4);
    n = 0;
    while (mem_refuse(n), err = store_commit(s, unit, 5, place_done, &o),
           mem_refuse(-1), err != E_OK) {
        cr_assert_eq(err, E_NOMEM);
        cr_assert_lt(n++, 50);
    }
    cr_expect_gt(n, 5);
    cr_assert_eq(store_flush(s, 20000), E_OK);
    cr_expect_eq(o.times, 1);
    cr_expect_eq(o.err, E_OK);
    store_close(&s);
}
