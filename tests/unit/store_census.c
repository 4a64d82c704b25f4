#include <criterion/criterion.h>
#include <stdio.h>

#include "base/mem.h"
#include "store/census.h"
#include "tests/unit/store_place.h"

TestSuite(store_census, .init = place_make, .fini = place_remove);

static long count(struct store *s, const char *team)
{
    unsigned n;

    return store_count_sandboxes(s, str_of(team), &n) == FOUND ? (long)n : -1;
}

static void put(struct store *s, const char *id, const char *team,
                enum sandbox_state state)
{
    struct sandbox row = place_sandbox(id);

    row.team = str_of(team);
    row.state = state;
    cr_assert_eq(place_put(s, &row), E_OK);
}

static void drop(struct store *s, const char *id)
{
    struct sandbox row = {.id = str_of(id)};
    struct change change = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &row};

    cr_assert_eq(place_commit(s, &change, 1), E_OK);
}

Test(store_census, follows_every_change_and_a_restart)
{
    struct store *s = place_open();

    cr_expect_eq(count(s, "red"), 0);
    put(s, "i1", "red", SANDBOX_INTENT);
    put(s, "i2", "red", SANDBOX_RUNNING);
    put(s, "i3", "blue", SANDBOX_RUNNING);
    cr_expect_eq(count(s, "red"), 2);
    put(s, "i1", "red", SANDBOX_RUNNING);
    put(s, "i2", "red", SANDBOX_ENDING);
    cr_expect_eq(count(s, "red"), 2, "a new version is no new sandbox");
    store_close(&s);
    s = place_open();
    cr_expect_eq(count(s, "red"), 2);
    cr_expect_eq(count(s, "blue"), 1);
    drop(s, "i2");
    cr_expect_eq(count(s, "red"), 1);
    drop(s, "i1");
    drop(s, "i1");
    cr_expect_eq(count(s, "red"), 0);
    cr_expect_eq(count(s, "blue"), 1);
    store_close(&s);
}

Test(store_census, hears_of_what_another_process_writes)
{
    struct store *s = place_open(), *other = place_open();

    put(other, "i1", "red", SANDBOX_RUNNING);
    place_look(s);
    cr_expect_eq(count(s, "red"), 1);
    drop(other, "i1");
    place_look(s);
    cr_expect_eq(count(s, "red"), 0);
    store_close(&other);
    store_close(&s);
}

Test(store_census, is_right_after_a_time_without_memory)
{
    struct census c;
    char team[32];
    unsigned n;

    store_census_init(&c);
    for (int i = 0; i < 600; i++) {
        snprintf(team, sizeof(team), "t%d", i % 300);
        store_census_add(&c, str_of(team));
    }
    cr_expect(store_census_count(&c, STR("t7"), &n));
    cr_expect_eq(n, 2);
    store_census_drop(&c, STR("t7"));
    store_census_drop(&c, STR("t7"));
    store_census_drop(&c, STR("t7"));
    cr_expect(store_census_count(&c, STR("t7"), &n));
    cr_expect_eq(n, 0);
    mem_refuse(0);
    store_census_add(&c, STR("new"));
    mem_refuse(-1);
    cr_expect_not(store_census_count(&c, STR("t8"), &n), "asked of the rows");
    store_census_clear(&c);
    cr_expect(store_census_count(&c, STR("t8"), &n));
    cr_expect_eq(n, 0);
    store_census_clear(&c);
}
