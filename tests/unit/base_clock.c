#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/random.h"

Test(clock, writes_moments_as_rfc_3339)
{
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {86399999, "1970-01-01T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1709164800000, "2024-02-29T00:00:00.000Z"},
        {1735689599999, "2024-12-31T23:59:59.999Z"},
        {1735689600000, "2025-01-01T00:00:00.000Z"},
        {1789984800123, "2026-09-21T10:00:00.123Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
        {4107542399000, "2100-02-28T23:59:59.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-62167219200000, "0000-01-01T00:00:00.000Z"},
        {-62167219200001, "0000-01-01T00:00:00.000Z"},
        {INT64_MIN, "0000-01-01T00:00:00.000Z"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[25];

        clock_text(rows[i].wall_ms, out);
        cr_expect_str_eq(out, rows[i].text);
    }
}

Test(clock, stands_still_where_a_test_sets_it)
{
    int64_t before = clock_ms(), wall = clock_wall_ms();

    cr_expect_geq(before, 0);
    cr_expect_gt(wall, 1600000000000);
    clock_set_ms(5);
    clock_set_wall_ms(0);
    cr_expect_eq(clock_ms(), 5);
    cr_expect_eq(clock_wall_ms(), 0);
    clock_set_ms(-1);
    clock_set_wall_ms(-1);
    cr_expect_geq(clock_ms(), before);
    cr_expect_geq(clock_wall_ms(), wall - 1000);
}

Test(random, differs_from_call_to_call_and_repeats_under_a_seed)
{
    static const unsigned char seed[32] = {7};
    unsigned char a[40], b[40], c[40], none[40] = {0};

    cr_assert_eq(random_start(), E_OK);
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    cr_expect_arr_neq(a, b, sizeof(a));
    cr_expect_arr_neq(a, none, sizeof(a));
    random_set(seed);
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    cr_expect_arr_neq(a, b, sizeof(a));
    random_set(seed);
    random_bytes(c, sizeof(c));
    cr_expect_arr_eq(a, c, sizeof(a));
    random_set(NULL);
    random_bytes(c, sizeof(c));
    cr_expect_arr_neq(a, c, sizeof(a));
}
