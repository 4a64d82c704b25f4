/* pressure.c - see pressure.h.
 *
 * What counts is what the kernel would kill for: resident pages, not what
 * was asked for.  They are looked at by a timer; between two looks large
 * pieces are bounded by mem_allow(). */
#include "gateway/pressure.h"

#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define LOOK_MS 250
/* Between two times that free memory is given back: 512 MiB of free pieces take
 * 0.13 s, of tiny ones 0.8 s. */
#define TRIM_MS 1000
#define TRIM_TIMES 20 /* as long as it took */

/* Percent of the limit. */
#define TIGHT_ABOVE 80
#define TIGHT_UNTIL 75
#define FULL_ABOVE 90
#define FULL_UNTIL 85
#define LARGE_UNTIL 95 /* of what is given between two looks */

enum pressure_level pressure_judge(enum pressure_level now, int64_t used_bytes,
                                   int64_t max_bytes)
{
    int64_t percent = max_bytes > 0 ? used_bytes / (max_bytes / 100) : 0;

    if (percent > FULL_ABOVE || (now == PRESSURE_FULL && percent > FULL_UNTIL))
        return PRESSURE_FULL;
    if (percent > TIGHT_ABOVE ||
        (now != PRESSURE_EASY && percent > TIGHT_UNTIL))
        return PRESSURE_TIGHT;
    return PRESSURE_EASY;
}

int64_t pressure_measure(void)
{
    long size, resident;
    char text[128];
    ssize_t n;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    if (sscanf(text, "%ld %ld", &size, &resident) != 2)
        return -1;
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

static void say(const struct pressure *p, enum pressure_level before)
{
    static const char *const words[] = {
        "memory: there is room again",
        "memory is short: what is new is refused",
        "memory is nearly used up: idle connections are closed"};

    if (p->level == before ||
        (p->level == PRESSURE_TIGHT && before == PRESSURE_FULL))
        return;
    log_say(p->level ? LOG_WARN : LOG_INFO,
            "%s (%" PRId64 " of %" PRId64 " MiB)", words[p->level],
            p->used_bytes >> 20, p->max_bytes >> 20);
}

static void judge(struct pressure *p)
{
    int64_t used_bytes = pressure_measure();

    if (used_bytes >= 0)
        p->used_bytes = used_bytes;
    p->level = pressure_judge(p->level, p->used_bytes, p->max_bytes);
}

/* Give back what is free already, and not too often. */
static void trim(struct pressure *p, int64_t now_ms)
{
    int64_t rest_ms;

    malloc_trim(0);
    rest_ms = (clock_ms() - now_ms) * TRIM_TIMES;
    p->trim_ms = now_ms + (rest_ms > TRIM_MS ? rest_ms : TRIM_MS);
}

void pressure_look(struct pressure *p)
{
    enum pressure_level before = p->level;
    int64_t now_ms = clock_ms(), left;

    judge(p);
    if (p->level && now_ms >= p->trim_ms) {
        trim(p, now_ms);
        judge(p);
    }
    left = p->max_bytes / 100 * LARGE_UNTIL - p->used_bytes;
    mem_allow(p->max_bytes ? (long)(left > 0 ? left : 0) : -1);
    say(p, before);
    if (p->level || before)
        p->on_level(p->arg, p->level);
    if (p->max_bytes)
        timer_set(&p->timer, LOOK_MS);
}

static void on_time(void *arg)
{
    pressure_look(arg);
}

void pressure_init(struct pressure *p, struct loop *loop,
                   void (*on_level)(void *arg, enum pressure_level level),
                   void *arg)
{
    *p = (struct pressure){.on_level = on_level, .arg = arg};
    timer_init(&p->timer, loop, on_time, p);
}

void pressure_set(struct pressure *p, int64_t max_bytes)
{
    if (max_bytes && pressure_measure() < 0)
        log_say(LOG_ERROR, "max_memory: the memory in use cannot be measured "
                           "(/proc/self/statm)");
    p->max_bytes = max_bytes;
    timer_stop(&p->timer);
    pressure_look(p);
}

void pressure_clear(struct pressure *p)
{
    if (!p->timer.loop)
        return;
    timer_clear(&p->timer);
    mem_allow(-1);
}
