#include <criterion/criterion.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fields.h"
#include "base/mem.h"

Test(arena, hands_out_aligned_pieces_that_do_not_overlap)
{
    struct arena *a;
    unsigned char *p[200];

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    for (unsigned i = 0; i < 200; i++) {
        p[i] = arena_alloc(a, i * 3);
        cr_assert_not_null(p[i]);
        cr_expect_eq((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)i, i * 3);
    }
    for (unsigned i = 0; i < 200; i++)
        for (unsigned k = 0; k < i * 3; k++)
            cr_assert_eq(p[i][k], i);
    cr_expect_geq(arena_used(a), 199 * 200 / 2 * 3);
    arena_free(&a);
    cr_expect_null(a);
    arena_free(&a);
}

Test(arena, never_hands_out_more_than_its_maximum)
{
    static const struct {
        size_t max, size;
        bool given;
    } rows[] = {
        {100, 99, true},        {100, 100, true},
        {100, 101, false},      {10000, 9999, true},
        {10000, 10000, true},   {10000, 10001, false},
        {0, 0, true},           {0, 1, false},
        {100, SIZE_MAX, false}, {SIZE_MAX, SIZE_MAX, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena *a;

        cr_assert_eq(arena_new(rows[i].max, &a), E_OK);
        cr_expect_eq(arena_alloc(a, rows[i].size) != NULL, rows[i].given,
                     "%zu of %zu", rows[i].size, rows[i].max);
        if (rows[i].given && rows[i].max)
            cr_expect_null(arena_alloc(a, rows[i].max - rows[i].size + 1));
        arena_free(&a);
    }
}

Test(arena, asks_for_memory_only_when_its_first_block_is_used_up)
{
    struct arena *a;

    mem_refuse(-1);
    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    cr_expect_eq(mem_refuse(-1), 1);
    for (unsigned turn = 0; turn < 3; turn++) {
        cr_expect_not_null(arena_alloc(a, 2000));
        cr_expect_not_null(arena_alloc(a, 2000));
        cr_expect_eq(mem_refuse(-1), 0);
        cr_expect_not_null(arena_alloc(a, 2000));
        cr_expect_eq(mem_refuse(-1), 1);
        arena_reset(a);
        cr_expect_eq(arena_used(a), 0);
    }
    arena_free(&a);
}

Test(arena, gives_a_large_piece_a_block_of_its_own_and_goes_on_in_the_old)
{
    struct arena *a;

    cr_assert_eq(arena_new(1 << 22, &a), E_OK);
    cr_expect_not_null(arena_alloc(a, 100));
    cr_expect_not_null(arena_alloc(a, 1 << 20));
    mem_refuse(-1);
    cr_expect_not_null(arena_alloc(a, 1000));
    cr_expect_eq(mem_refuse(-1), 0);
    arena_free(&a);
}

Test(arena, says_so_when_memory_is_refused)
{
    struct arena *a;

    mem_refuse(0);
    cr_expect_eq(arena_new(100000, &a), E_NOMEM);
    cr_expect_null(a);
    mem_refuse(1);
    cr_assert_eq(arena_new(100000, &a), E_OK);
    cr_expect_null(arena_alloc(a, 5000));
    cr_expect_not_null(arena_alloc(a, 5000));
    cr_expect_not_null(arena_alloc(a, 3000));
    mem_refuse(0);
    cr_expect_null(arena_copy(a, STR("x")).p ? NULL : a);
    mem_refuse(0);
    cr_expect_null(arena_new_zero(a, 3000));
    mem_refuse(-1);
    arena_free(&a);
}

Test(arena, copies_and_writes_text_with_a_nul_behind)
{
    struct arena *a;
    struct str s;
    unsigned char *zero;

    cr_assert_eq(arena_new(8000, &a), E_OK);
    s = arena_copy(a, STR("a\0b"));
    cr_expect_arr_eq(s.p, "a\0b", 4);
    cr_expect_eq(s.n, 3);
    s = arena_copy(a, STR(""));
    cr_expect_not_null(s.p);
    cr_expect_eq(s.n, 0);
    cr_expect_null(arena_copy(a, STR_NONE).p);
    s = arena_text(a, "%d-%s", 12, "x");
    cr_expect_str_eq(s.p, "12-x");
    cr_expect_eq(s.n, 4);
    s = arena_text(a, "%*d", 5000, 1);
    cr_expect_eq(s.n, 5000);
    cr_expect_null(arena_text(a, "%*d", 5000, 1).p);
    zero = arena_new_zero(a, 64);
    for (unsigned i = 0; i < 64; i++)
        cr_expect_eq(zero[i], 0);
    arena_free(&a);
}

static struct fields three(struct arena *a)
{
    struct fields f = {0};

    cr_assert_eq(fields_add(&f, a, STR("Accept"), STR("a")), E_OK);
    cr_assert_eq(fields_add(&f, a, STR("X-One"), STR("")), E_OK);
    cr_assert_eq(fields_add(&f, a, STR("accept"), STR(" b ,C\t, d")), E_OK);
    return f;
}

Test(fields, are_found_counted_and_removed_by_name_in_any_case)
{
    struct arena *a;
    struct fields f;

    cr_assert_eq(arena_new(100000, &a), E_OK);
    f = three(a);
    cr_expect(str_eq(fields_get(&f, STR("ACCEPT")), STR("a")));
    cr_expect_eq(fields_get(&f, STR("x-one")).n, 0);
    cr_expect_not_null(fields_get(&f, STR("x-one")).p);
    cr_expect_null(fields_get(&f, STR("x-two")).p);
    cr_expect_eq(fields_count(&f, STR("Accept")), 2);
    cr_expect_eq(fields_count(&f, STR("x")), 0);
    cr_expect_eq(fields_remove(&f, STR("aCCept")), 2);
    cr_expect_eq(fields_remove(&f, STR("aCCept")), 0);
    cr_expect_eq(f.count, 1);
    cr_expect(str_eq(f.at[0].name, STR("X-One")));
    arena_free(&a);
}

Test(fields, have_tokens_in_comma_lists)
{
    static const struct {
        const char *token;
        bool there;
    } rows[] = {{"a", true},  {"b", true},     {"c", true}, {"D", true},
                {"e", false}, {"b ,c", false}, {"", false}};
    struct arena *a;
    struct fields f;

    cr_assert_eq(arena_new(100000, &a), E_OK);
    f = three(a);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(fields_has_token(&f, STR("accept"), str_of(rows[i].token)),
                     rows[i].there, "%s", rows[i].token);
    cr_expect_not(fields_has_token(&f, STR("x-none"), STR("a")));
    arena_free(&a);
}

Test(fields, keep_wire_order_as_they_grow_and_survive_a_full_arena)
{
    struct arena *a;
    struct fields f = {0};
    unsigned count = 0;

    cr_assert_eq(arena_new(20000, &a), E_OK);
    while (fields_add(&f, a, STR("n"), str_from("", count)) == E_OK)
        count++;
    cr_expect_gt(count, 100);
    cr_expect_eq(f.count, count);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(f.at[i].value.n, i);
    arena_free(&a);
}
