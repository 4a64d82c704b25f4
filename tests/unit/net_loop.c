#include <criterion/criterion.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"

static unsigned fired;

static void on_time(void *arg)
{
    (void)arg;
    fired++;
}

static void bury(void *what)
{
    ++*(unsigned *)what;
}

Test(loop, fires_a_timer_once)
{
    struct loop *l;
    struct timer t;

    cr_assert_eq(loop_new(&l), E_OK);
    cr_assert_eq(timer_init(&t, l, on_time, NULL), E_OK);
    cr_expect(!timer_pending(&t));
    timer_set(&t, 0);
    cr_expect(timer_pending(&t));
    loop_turn(l, true);
    cr_expect_eq(fired, 1);
    cr_expect(!timer_pending(&t));
    loop_turn(l, false);
    cr_expect_eq(fired, 1);
    timer_set(&t, 0);
    timer_stop(&t);
    loop_turn(l, false);
    cr_expect_eq(fired, 1);
    timer_clear(&t);
    loop_free(&l);
    cr_expect_null(l);
}

Test(loop, buries_after_the_turn_and_any_number)
{
    struct loop *l;
    unsigned buried = 0;

    cr_assert_eq(loop_new(&l), E_OK);
    for (int i = 0; i < 1000; i++)
        loop_bury(l, bury, &buried);
    cr_expect_eq(buried, 0);
    loop_turn(l, true);
    cr_expect_eq(buried, 1000);
    loop_free(&l);
}

static void on_ready(void *arg)
{
    char byte;

    cr_expect_eq(read(*(int *)arg, &byte, 1), 1);
    fired++;
}

Test(loop, watches_a_descriptor)
{
    struct loop *l;
    struct watch *w;
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(loop_new(&l), E_OK);
    cr_assert_eq(watch_new(l, fds[0], on_ready, fds, &w), E_OK);
    cr_assert_eq(write(fds[1], "ab", 2), 2);
    loop_turn(l, true);
    loop_turn(l, true);
    cr_expect_eq(fired, 2);
    watch_free(&w);
    loop_free(&l);
}

Test(loop, gives_everything_back_when_memory_is_refused)
{
    enum err err = E_NOMEM;

    for (long n = 0; err != E_OK && n < 100; n++) {
        struct loop *l = NULL;
        struct timer t = {.event = NULL};
        struct watch *w = NULL;

        mem_refuse(n);
        err = loop_new(&l);
        if (err == E_OK)
            err = timer_init(&t, l, on_time, NULL);
        if (err == E_OK)
            err = watch_new(l, 0, on_time, NULL, &w);
        mem_refuse(-1);
        watch_free(&w);
        timer_clear(&t);
        loop_free(&l);
    }
    cr_expect_eq(err, E_OK);
}
