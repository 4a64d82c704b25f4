#include <criterion/criterion.h>
#include <unistd.h>

#include "gateway/watchdog.h"
#include "tests/unit/gateway_fake.h"

TestSuite(watchdog, .init = fake_start, .fini = fake_stop, .timeout = 20);

static struct watchdog dog;
static struct loop *const loop = (struct loop *)&dog; /* nobody looks */

/* The alarm's signals, and nothing else, end each pause(). */
static void wait_for_alarm(void)
{
    while (!dog.warned)
        pause();
}

Test(watchdog, ends_a_loop_that_is_stuck, .signal = SIGABRT)
{
    cr_assert_eq(watchdog_start(&dog, loop, 40, 10), E_OK);
    for (;;)
        pause();
}

Test(watchdog, ends_a_loop_that_spins, .signal = SIGABRT)
{
    volatile unsigned long turns = 0;

    cr_assert_eq(watchdog_start(&dog, loop, 40, 10), E_OK);
    for (;;)
        turns++;
}

/* As after SIGSTOP and SIGCONT: the first time is over, then the loop
 * turns. */
Test(watchdog, spares_who_was_stopped_and_goes_on)
{
    cr_assert_eq(watchdog_start(&dog, loop, 40, 3600000), E_OK);
    for (int i = 0; i < 3; i++) {
        wait_for_alarm();
        fake.timer->on_time(fake.timer->arg);
        cr_expect_eq(dog.warned, 0);
    }
    watchdog_stop(&dog);
}

Test(watchdog, looks_every_second)
{
    cr_assert_eq(watchdog_start(&dog, loop, 4000, 1000), E_OK);
    cr_expect_eq(fake.timer_ms, 2000); /* it was 1000 */
    watchdog_stop(&dog);
    cr_expect_eq(fake.timer_ms, 0);
}
