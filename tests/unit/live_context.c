/* live_context.c - tests of the code context: whose turn it is. */
#include "live/order.h"
#include "tests/unit/live_script.h"

TestSuite(live_context, .init = script_open, .fini = script_close);

static void order(struct ear *e, struct want_live want)
{
    ear_open(e);
    want.context = STR("");
    cr_assert_eq(
        context_order(script_sandbox(), &want, &ear_events, e, &e->sub), E_OK);
    cr_expect_eq(e->results, 0, "told from inside");
}

static void enter(struct ear *e)
{
    order(e, (struct want_live){.kind = LIVE_CONTEXT_ENTER});
    script_turn();
}

static void leave(struct ear *e, bool used, bool dead, uint32_t pid)
{
    order(e, (struct want_live){.kind = LIVE_CONTEXT_LEAVE,
                                .kernel_used = used,
                                .kernel_dead = dead,
                                .pid = pid});
    script_turn();
    cr_expect_eq(e->results, 1);
    ear_close(e);
}

Test(live_context, lets_one_in_after_the_other)
{
    struct ear a, b, c, l;

    enter(&a);
    enter(&b);
    enter(&c);
    cr_expect_eq(a.results, 1);
    cr_expect(a.fresh);
    cr_expect_eq(a.executions, 0);
    cr_expect_eq(b.results + c.results, 0);
    leave(&l, true, false, 23);
    cr_expect_eq(b.results, 1);
    cr_expect_not(b.fresh);
    cr_expect_eq(b.executions, 1);
    cr_expect_eq(b.pid, 23);
    cr_expect_eq(c.results, 0);
    leave(&l, false, false, 0);
    cr_expect_eq(c.executions, 1);
    cr_expect_eq(c.pid, 23);
    ear_close(&a);
    ear_close(&b);
    ear_close(&c);
}

Test(live_context, who_stops_waiting_is_forgotten)
{
    struct ear a, b, c, l;

    enter(&a);
    enter(&b);
    enter(&c);
    ear_close(&b);
    leave(&l, true, false, 1);
    cr_expect_eq(c.results, 1);
    ear_close(&a);
    ear_close(&c);
}

Test(live_context, a_turn_that_was_given_but_not_heard_goes_to_the_next)
{
    struct ear a, b;

    order(&a, (struct want_live){.kind = LIVE_CONTEXT_ENTER});
    ear_close(&a);
    enter(&b);
    cr_expect_eq(b.results, 1);
    ear_close(&b);
}

Test(live_context, a_torn_run_gives_its_turn_back)
{
    struct ear a, b;

    enter(&a);
    enter(&b);
    ear_close(&a);
    script_turn();
    cr_expect_eq(b.results, 1);
    ear_close(&b);
}

Test(live_context, a_dead_kernel_is_prepared_anew)
{
    struct ear a, l;

    enter(&a);
    leave(&l, true, false, 23);
    ear_close(&a);
    enter(&a);
    leave(&l, true, true, 23);
    ear_close(&a);
    enter(&a);
    cr_expect(a.fresh);
    cr_expect_eq(a.pid, 0);
    cr_expect_eq(a.executions, 2);
    ear_close(&a);
}

Test(live_context, interrupts_by_the_kernels_pid)
{
    struct want_live want = {.kind = LIVE_CONTEXT_INTERRUPT, .pid = 23};
    struct ear a, i;

    enter(&a);
    order(&i, want);
    cr_expect(str_eq(buf_str(&script_call("Signal")->body),
                     STR("{\"pid\":23,\"signal\":2}")));
    script_cut(script_call("Signal"), E_BACKEND_DOWN);
    cr_expect_eq(i.results, 1);
    cr_expect_eq(i.err, E_OK);
    ear_close(&i);
    /* Nothing is known yet: nothing is done. */
    want.pid = 0;
    order(&i, want);
    script_turn();
    cr_expect_eq(i.results, 1);
    cr_expect_eq(script_count("Signal"), 1);
    ear_close(&i);
    ear_close(&a);
}

Test(live_context, the_end_of_the_sandbox_is_told_to_those_who_wait)
{
    struct ear a, b, c;

    enter(&a);
    enter(&b);
    order(&c, (struct want_live){.kind = LIVE_CONTEXT_INTERRUPT, .pid = 9});
    context_table_end(&script_sandbox()->contexts, E_SANDBOX_GONE);
    cr_expect_eq(b.err, E_SANDBOX_GONE);
    cr_expect_eq(c.err, E_SANDBOX_GONE);
    ear_close(&a);
    ear_close(&b);
    ear_close(&c);
}
