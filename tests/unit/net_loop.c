#include <criterion/criterion.h>
#include <time.h>
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
    timer_init(&t, l, on_time, NULL);
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

/* Timers that a timer's own event sets, stops and clears. */
struct crowd {
    struct timer timers[4];
    char order[16];
    unsigned count;
};

static void on_first(void *arg)
{
    struct crowd *c = arg;

    c->order[c->count++] = 'a';
    timer_clear(&c->timers[1]); /* due in this turn */
    timer_set(&c->timers[2], 0);
    timer_set(&c->timers[3], 0);
    timer_stop(&c->timers[3]);
}

static void on_never(void *arg)
{
    (void)arg;
    cr_expect_fail("was stopped");
}

static void on_again(void *arg)
{
    struct crowd *c = arg;

    c->order[c->count++] = 'b';
    if (c->count < 4)
        timer_set(&c->timers[2], 0);
}

Test(loop, lets_timers_set_and_stop_each_other)
{
    struct crowd c = {.count = 0};
    struct loop *l;

    cr_assert_eq(loop_new(&l), E_OK);
    timer_init(&c.timers[0], l, on_first, &c);
    timer_init(&c.timers[1], l, on_never, &c);
    timer_init(&c.timers[2], l, on_again, &c);
    timer_init(&c.timers[3], l, on_never, &c);
    timer_set(&c.timers[0], 0);
    timer_set(&c.timers[1], 0);
    loop_turn(l, true);
    cr_expect_str_eq(c.order, "a");
    loop_turn(l, true);
    cr_expect_str_eq(c.order, "ab", "what is set to 0 waits for another turn");
    while (c.count < 4)
        loop_turn(l, true);
    cr_expect(!timer_pending(&c.timers[2]));
    loop_free(&l);
}

static int64_t real_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The longer ones are set first, and then moved before each other. */
Test(loop, waits_for_the_timer_that_is_due_first)
{
    struct loop *l;
    struct timer far, near;
    int64_t begun_ms = real_ms();

    cr_assert_eq(loop_new(&l), E_OK);
    timer_init(&far, l, on_never, NULL);
    timer_init(&near, l, on_time, NULL);
    timer_set(&far, 20);
    timer_set(&far, 3600000);
    timer_set(&near, 60000);
    timer_set(&near, 40);
    while (!fired)
        loop_turn(l, true);
    cr_expect_geq(real_ms() - begun_ms, 40);
    cr_expect_lt(real_ms() - begun_ms, 10000);
    cr_expect(timer_pending(&far));
    timer_clear(&far);
    loop_free(&l);
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
        struct watch *w = NULL;

        mem_refuse(n);
        err = loop_new(&l);
        if (err == E_OK)
            err = watch_new(l, 0, on_time, NULL, &w);
        mem_refuse(-1);
        watch_free(&w);
        loop_free(&l);
    }
    cr_expect_eq(err, E_OK);
}
