/* clock.c - see clock.h. */
#include "base/clock.h"

#include <time.h>

static int64_t fixed_ms = -1; /* tests only, as is the next */
static int64_t fixed_wall_ms = -1;

static int64_t read_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_ms(void)
{
    return fixed_ms >= 0 ? fixed_ms : read_ms(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return fixed_wall_ms >= 0 ? fixed_wall_ms : read_ms(CLOCK_REALTIME);
}

void clock_set_ms(int64_t now_ms)
{
    fixed_ms = now_ms;
}

void clock_set_wall_ms(int64_t now_ms)
{
    fixed_wall_ms = now_ms;
}
