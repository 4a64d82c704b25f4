#include <criterion/criterion.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"

Test(buf, holds_what_was_put_until_it_is_dropped)
{
    struct buf b;

    buf_init(&b, 100);
    cr_expect_not_null(buf_str(&b).p);
    cr_expect_eq(buf_len(&b), 0);
    buf_put(&b, STR("abc"));
    buf_byte(&b, 'd');
    buf_text(&b, "%d", 56);
    buf_put(&b, STR_NONE);
    buf_text(&b, "%s", "");
    cr_expect(str_eq(buf_str(&b), STR("abcd56")));
    buf_drop(&b, 2);
    cr_expect(str_eq(buf_str(&b), STR("cd56")));
    buf_drop(&b, 4);
    buf_drop(&b, 0);
    cr_expect_eq(buf_len(&b), 0);
    cr_expect_not(b.failed);
    buf_clear(&b);
    buf_put(&b, STR("again"));
    cr_expect(str_eq(buf_str(&b), STR("again")));
    buf_clear(&b);
}

Test(buf, fails_beyond_its_maximum_and_stays_failed)
{
    static const struct {
        size_t max, first, second;
        bool fails;
    } rows[] = {
        {10, 9, 0, false},     {10, 10, 0, false},   {10, 11, 0, true},
        {10, 5, 5, false},     {10, 5, 6, true},     {1000, 999, 1, false},
        {1000, 1000, 1, true}, {0, 0, 0, false},     {0, 1, 0, true},
        {300, 256, 44, false}, {300, 256, 45, true},
    };
    char text[2000] = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b;

        buf_init(&b, rows[i].max);
        buf_put(&b, str_from(text, rows[i].first));
        buf_put(&b, str_from(text, rows[i].second));
        cr_expect_eq(b.failed, rows[i].fails, "row %zu", i);
        if (b.failed) {
            size_t held = buf_len(&b);

            buf_byte(&b, 'x');
            buf_text(&b, "x");
            cr_expect_null(buf_room(&b, 0));
            cr_expect_eq(buf_len(&b), held);
            buf_empty(&b);
            cr_expect_not(b.failed);
            cr_expect_eq(buf_len(&b), 0);
        }
        buf_clear(&b);
    }
}

Test(buf, counts_text_to_the_last_byte)
{
    struct buf b;

    buf_init(&b, 5);
    buf_text(&b, "%05d", 7);
    cr_expect_not(b.failed);
    cr_expect(str_eq(buf_str(&b), STR("00007")));
    buf_text(&b, "%s", "");
    cr_expect_not(b.failed);
    buf_text(&b, "x");
    cr_expect(b.failed);
    buf_clear(&b);
}

Test(buf, refuses_an_absurd_size)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    buf_byte(&b, 'x');
    cr_expect_not(b.failed);
    cr_expect_null(buf_room(&b, SIZE_MAX));
    cr_expect(b.failed);
    buf_clear(&b);
}

Test(buf, is_a_queue_that_moves_each_byte_a_few_times_at_most)
{
    struct buf b;
    unsigned char next_in = 0, next_out = 0;
    uint64_t moved = 0, passed = 0;

    buf_init(&b, 1000);
    for (unsigned turn = 0; turn < 20000; turn++) {
        size_t n = turn % 7, at = b.at, held;

        while (buf_len(&b) + n <= 1000 && n) {
            char *was = b.p;
            char *p;

            at = b.at;
            held = buf_len(&b);
            p = buf_room(&b, n);
            cr_assert_not_null(p);
            if (b.at < at || b.p != was)
                moved += held;
            for (size_t i = 0; i < n; i++)
                p[i] = (char)next_in++;
            buf_grew(&b, n);
            passed += n;
        }
        for (size_t i = 0; i < n && i < buf_len(&b); i++)
            cr_assert_eq((unsigned char)buf_str(&b).p[i],
                         (unsigned char)(next_out + i));
        n = n < buf_len(&b) ? n : buf_len(&b);
        buf_drop(&b, n);
        next_out = (unsigned char)(next_out + n);
    }
    cr_expect_leq(b.room, 1500);
    cr_expect_leq(moved, 3 * passed);
    buf_clear(&b);
}

Test(buf, works_in_memory_of_the_caller)
{
    char memory[11];
    struct buf b;

    mem_refuse(-1);
    buf_init_at(&b, memory, sizeof(memory));
    buf_text(&b, "%010d", 1);
    cr_expect(str_eq(buf_str(&b), STR("0000000001")));
    buf_drop(&b, 1);
    buf_put(&b, STR("2"));
    cr_expect(str_eq(buf_str(&b), STR("0000000012")));
    cr_expect_not(b.failed);
    buf_drop(&b, 4);
    buf_text(&b, "%s", "abcd");
    cr_expect(str_eq(buf_str(&b), STR("000012abcd")));
    buf_byte(&b, 'x');
    cr_expect(b.failed);
    cr_expect_eq(mem_refuse(-1), 0);
    buf_clear(&b);
}

Test(buf, says_so_when_memory_is_refused)
{
    for (long n = 0; n < 3; n++) {
        struct buf b;

        buf_init(&b, 10000);
        mem_refuse(n);
        for (unsigned i = 0; i < 1000; i++)
            buf_byte(&b, (char)i);
        cr_expect(b.failed);
        for (size_t i = 0; i < buf_len(&b); i++)
            cr_expect_eq(buf_str(&b).p[i], (char)i);
        mem_refuse(-1);
        buf_clear(&b);
    }
}
