#include "store/table.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/unit/store_place.h"

static struct record *make(unsigned n, uint64_t life)
{
    struct sandbox s;
    struct record *r;
    char id[16];

    snprintf(id, sizeof(id), "i%u", n);
    s = place_sandbox(id);
    s.life = life;
    cr_assert_eq(store_record_sandbox(&s, &r), E_OK);
    return r;
}

static struct record *find(const struct table *t, unsigned n)
{
    char id[16];

    snprintf(id, sizeof(id), "i%u", n);
    return store_table_find(t, str_of(id));
}

/* Also where it cannot grow. */
static void fill_and_check(bool may_grow)
{
    struct table t;
    struct record *r;
    unsigned seen = 0;

    cr_assert_eq(store_table_init(&t), E_OK);
    for (unsigned n = 0; n < 1000; n++) {
        r = make(n, n);
        mem_refuse(may_grow ? -1 : 0);
        cr_assert_null(store_table_put(&t, r));
        mem_refuse(-1);
    }
    cr_expect_eq(t.count, 1000);
    cr_expect_eq(t.mask == 63, !may_grow);
    for (unsigned n = 0; n < 1000; n++) {
        cr_assert_not_null(find(&t, n));
        cr_assert_eq(find(&t, n)->sandbox->life, n);
    }
    cr_expect_null(find(&t, 1000));
    for (r = NULL; (r = store_table_next(&t, r));)
        seen++;
    cr_expect_eq(seen, 1000);
    for (unsigned n = 0; n < 1000; n += 2) {
        r = store_table_take(&t, find(&t, n)->name);
        cr_assert_not_null(r);
        store_record_free(&r);
    }
    cr_expect_eq(t.count, 500);
    cr_expect_null(find(&t, 0));
    cr_expect_not_null(find(&t, 1));
    store_table_empty(&t);
    cr_expect_eq(t.count, 0);
    cr_expect_null(store_table_next(&t, NULL));
    store_table_clear(&t);
}

Test(store_table, finds_what_was_put)
{
    fill_and_check(true);
}

Test(store_table, needs_no_memory_to_put)
{
    fill_and_check(false);
}

Test(store_table, gives_back_what_is_replaced)
{
    struct table t;
    struct record *old;

    cr_assert_eq(store_table_init(&t), E_OK);
    cr_expect_null(store_table_put(&t, make(1, 1)));
    old = store_table_put(&t, make(1, 2));
    cr_assert_not_null(old);
    cr_expect_eq(old->sandbox->life, 1);
    cr_expect_eq(find(&t, 1)->sandbox->life, 2);
    cr_expect_eq(t.count, 1);
    store_record_free(&old);
    cr_expect_null(store_table_take(&t, STR("none")));
    store_table_clear(&t);
}

Test(store_table, survives_a_refused_allocation)
{
    struct table t;

    mem_refuse(0);
    cr_expect_eq(store_table_init(&t), E_NOMEM);
    mem_refuse(-1);
    store_table_clear(&t);
}

Test(store_record, joins_team_and_word_without_mistaking_them)
{
    static char word[RECORD_WORD_MAX + 1], team[65];
    char one[RECORD_NAME_MAX], other[RECORD_NAME_MAX];

    cr_expect_not(str_eq(store_record_join(STR("ab"), STR("c"), one),
                         store_record_join(STR("a"), STR("bc"), other)));
    cr_expect_null(store_record_join(STR(""), STR("c"), one).p);
    cr_expect_null(store_record_join(STR("a"), STR(""), one).p);
    cr_expect_null(store_record_join(STR_NONE, STR_NONE, one).p);
    memset(word, 'w', sizeof(word));
    memset(team, 't', sizeof(team));
    cr_expect_eq(store_record_join(str_from(team, 64),
                                   str_from(word, RECORD_WORD_MAX), one)
                     .n,
                 RECORD_NAME_MAX);
    cr_expect_null(store_record_join(str_from(team, 64),
                                     str_from(word, RECORD_WORD_MAX + 1), one)
                       .p);
    cr_expect_null(store_record_join(str_from(team, 65), STR("w"), one).p);
}
