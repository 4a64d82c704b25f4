#include <criterion/criterion.h>

#include "base/mem.h"

#define LEFT ((long)1 << 20)

/* What is given of each size with so much left. */
Test(mem, gives_small_pieces_always_and_large_ones_that_fit)
{
    static const struct {
        const char *name;
        long left;
        size_t size;
        bool given;
    } rows[] = {
        {"no bound", -1, 64 << 20, true},
        {"small, nothing left", 0, MEM_LARGE, true},
        {"large, nothing left", 0, MEM_LARGE + 1, false},
        {"large, a byte left", 1, MEM_LARGE + 1, false},
        {"large that fits", LEFT, (size_t)LEFT, true},
        {"large that does not fit", LEFT, (size_t)LEFT + 1, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        void *was = mem_malloc(8), *p[3];

        for (int how = 0; how < 3; how++) {
            mem_allow(rows[i].left);
            p[how] = how == 0   ? mem_new(rows[i].size)
                     : how == 1 ? mem_malloc(rows[i].size)
                                : mem_realloc(was, rows[i].size);
            cr_expect_eq(p[how] != NULL, rows[i].given, "%s, %d", rows[i].name,
                         how);
        }
        mem_free(p[0]);
        mem_free(p[1]);
        mem_free(p[2] ? p[2] : was);
        mem_allow(-1);
    }
}

Test(mem, counts_what_is_taken_and_what_comes_back)
{
    unsigned long failures = mem_failures();
    void *p[8], *more;

    mem_allow(LEFT);
    for (int i = 0; i < 3; i++)
        cr_assert_not_null(p[i] = mem_malloc(300 << 10));
    cr_expect_null(mem_malloc(300 << 10));
    cr_expect_eq(mem_failures(), failures + 1);
    mem_free(p[0]);
    cr_expect_not_null(p[0] = mem_malloc(300 << 10));
    cr_expect_null(mem_realloc(p[1], 900 << 10), "both are there meanwhile");
    mem_free(p[2]);
    mem_free(p[0]);
    more = mem_realloc(p[1], 600 << 10);
    cr_assert_not_null(more);
    cr_expect_null(mem_malloc(500 << 10));
    mem_free(more);
    cr_expect_not_null(more = mem_malloc(900 << 10));
    cr_expect_not(mem_short());
    cr_expect_not_null(p[0] = mem_malloc(MEM_LARGE));
    cr_expect(mem_short());
    mem_free(p[0]);
    cr_expect_not(mem_short());
    mem_free(more);
    mem_free(NULL);
    mem_allow(-1);
    cr_expect_not_null(more = mem_malloc(LEFT * 4));
    mem_free(more);
}
