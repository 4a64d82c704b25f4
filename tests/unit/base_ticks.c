#include <criterion/criterion.h>

#include "base/ticks.h"

struct item {
    struct tick tick;
    bool set;
};

static int64_t next_due(const struct item *items, unsigned count)
{
    int64_t least = TICKS_NEVER;

    for (unsigned i = 0; i < count; i++)
        if (items[i].set && items[i].tick.at_ms < least)
            least = items[i].tick.at_ms;
    return least;
}

/* What is due comes, in order, and nothing else does; how many came. */
static unsigned take(struct ticks *h, struct item *items, unsigned count,
                     int64_t now_ms)
{
    struct list due, *link;
    int64_t last_ms = 0;
    unsigned taken = 0;

    list_init(&due);
    ticks_take_due(h, now_ms, &due);
    while ((link = list_pop(&due))) {
        struct tick *t = LIST_OF(link, struct tick, link);
        struct item *item = LIST_OF(t, struct item, tick);

        cr_expect(item->set);
        cr_expect_leq(t->at_ms, now_ms);
        cr_expect_geq(t->at_ms, last_ms);
        last_ms = t->at_ms;
        item->set = false;
        taken++;
    }
    cr_expect_gt(next_due(items, count), now_ms);
    return taken;
}

Test(ticks, are_due_at_their_time_and_not_before)
{
    static const int64_t waits_ms[] = {
        0, 1, 2, 3, 7, 8, 1000, 620000, 3600000, (int64_t)365 * 86400000,
    };
    static const int64_t begins_ms[] = {
        0, 1, 1023, 1024, 123456789, ((int64_t)1 << 40) - 1};

    for (unsigned b = 0; b < sizeof(begins_ms) / sizeof(*begins_ms); b++)
        for (unsigned w = 0; w < sizeof(waits_ms) / sizeof(*waits_ms); w++) {
            int64_t at_ms = begins_ms[b] + waits_ms[w], now_ms;
            struct item item = {.set = true};
            struct ticks h;
            unsigned looks = 0;

            ticks_init(&h, begins_ms[b]);
            cr_expect_eq(ticks_next(&h), TICKS_NEVER);
            ticks_set(&h, &item.tick, at_ms);
            do {
                now_ms = ticks_next(&h);
                cr_assert_leq(now_ms, at_ms);
                looks++;
            } while (!take(&h, &item, 1, now_ms) && looks < 64);
            cr_expect_eq(now_ms, at_ms);
            cr_expect_eq(ticks_next(&h), TICKS_NEVER);
            cr_expect_not(list_linked(&item.tick.link));
        }
}

Test(ticks, that_have_passed_are_due_at_once)
{
    struct item item = {.set = true};
    struct ticks h;

    ticks_init(&h, 1000);
    ticks_set(&h, &item.tick, 10);
    cr_expect_eq(ticks_next(&h), 1000);
    cr_expect_eq(take(&h, &item, 1, 1000), 1);
}

Test(ticks, keep_order_whatever_is_set_and_forgotten)
{
    static struct item items[200];
    struct ticks h;
    uint64_t seed = 1;
    int64_t now_ms = 5;
    unsigned taken = 0;

    ticks_init(&h, now_ms);
    for (int i = 0; i < 100000; i++) {
        struct item *item;
        unsigned what, spread;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        what = (unsigned)(seed >> 33);
        item = &items[what % 200];
        spread = 1u << (seed >> 59) / 2;
        if (what / 200 % 4 == 0) {
            list_remove(&item->tick.link);
            item->set = false;
        } else if (what / 200 % 4 < 3) {
            ticks_set(&h, &item->tick, now_ms + what / 800 % spread);
            item->set = true;
        } else {
            now_ms += what / 800 % spread / 8;
            cr_expect_leq(ticks_next(&h), next_due(items, 200));
            taken += take(&h, items, 200, now_ms);
        }
    }
    cr_expect_gt(taken, 10000);
}
