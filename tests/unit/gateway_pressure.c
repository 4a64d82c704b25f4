#include <criterion/criterion.h>

#include "base/mem.h"
#include "gateway/pressure.h"
#include "tests/unit/gateway_fake.h"

TestSuite(pressure, .init = fake_start, .fini = fake_stop);

#define MIB INT64_C(1048576)

Test(pressure, rises_at_80_and_90_percent_and_falls_some_way_below)
{
    static const struct {
        enum pressure_level before;
        int64_t used;
        enum pressure_level after;
    } rows[] = {
        {PRESSURE_EASY, 0, PRESSURE_EASY},
        {PRESSURE_EASY, 80 * MIB, PRESSURE_EASY},
        {PRESSURE_EASY, 81 * MIB, PRESSURE_TIGHT},
        {PRESSURE_EASY, 90 * MIB, PRESSURE_TIGHT},
        {PRESSURE_EASY, 91 * MIB, PRESSURE_FULL},
        {PRESSURE_EASY, 300 * MIB, PRESSURE_FULL},
        {PRESSURE_TIGHT, 76 * MIB, PRESSURE_TIGHT},
        {PRESSURE_TIGHT, 75 * MIB, PRESSURE_EASY},
        {PRESSURE_TIGHT, 91 * MIB, PRESSURE_FULL},
        {PRESSURE_FULL, 86 * MIB, PRESSURE_FULL},
        {PRESSURE_FULL, 85 * MIB, PRESSURE_TIGHT},
        {PRESSURE_FULL, 75 * MIB, PRESSURE_EASY},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_expect_eq(pressure_judge(rows[i].before, rows[i].used, 100 * MIB),
                     rows[i].after, "%zu", i);
        cr_expect_eq(pressure_judge(rows[i].before, rows[i].used, 0),
                     PRESSURE_EASY, "%zu: no limit", i);
    }
}

static unsigned told;
static enum pressure_level level;

static void on_level(void *arg, enum pressure_level now)
{
    (void)arg;
    told++;
    level = now;
}

Test(pressure, looks_by_a_timer_and_bounds_large_pieces_between_two_looks)
{
    int64_t used = pressure_measure();
    struct pressure p;
    void *piece;

    cr_assert_gt(used, MIB, "it is measured");
    pressure_init(&p, NULL, on_level, NULL);
    pressure_set(&p, 0);
    cr_expect_eq(fake.timer_ms, 0, "nothing to look for");
    pressure_set(&p, used * 10 + 100 * MIB);
    cr_expect_eq(told, 0, "all is well");
    cr_expect_gt(fake.timer_ms, 0);
    cr_expect_not_null(piece = mem_malloc(64 * MIB));
    mem_free(piece);
    cr_expect_null(mem_malloc((size_t)used * 10 + 100 * MIB));
    pressure_set(&p, used * 105 / 100);
    cr_expect_eq(level, PRESSURE_FULL);
    cr_expect_eq(told, 1);
    cr_expect_null(mem_malloc(64 * MIB));
    pressure_look(&p);
    cr_expect_eq(told, 2, "what has become idle meanwhile goes too");
    pressure_set(&p, used * 10 + 100 * MIB);
    cr_expect_eq(level, PRESSURE_EASY);
    cr_expect_eq(told, 3);
    pressure_look(&p);
    cr_expect_eq(told, 3);
    pressure_set(&p, used * 105 / 100);
    pressure_set(&p, 0);
    cr_expect_eq(level, PRESSURE_EASY, "the limit was taken away");
    cr_expect_eq(fake.timer_ms, 0);
    cr_expect_not_null(piece = mem_malloc(64 * MIB));
    mem_free(piece);
    pressure_clear(&p);
}
