/* watchdog.c - see watchdog.h. */
#include "gateway/watchdog.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 1000

static void on_alarm(int signal, siginfo_t *info, void *context)
{
    static const char line[] = "sandgate: the event loop is stuck\n";
    struct watchdog *w = info->si_value.sival_ptr;
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};

    (void)signal;
    (void)context;
    if (info->si_code != SI_TIMER || !w)
        return; /* somebody else's */
    if (!w->warned) {
        w->warned = 1;
        return;
    }
    /* Waiting for a reader may be what it is stuck in. */
    if (poll(&out, 1, 0) == 1 && out.revents & POLLOUT &&
        write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
        _exit(1);
    abort();
}

static struct timespec span(int64_t ms)
{
    return (struct timespec){ms / 1000, ms % 1000 * 1000000};
}

static void on_tick(void *arg)
{
    struct watchdog *w = arg;
    struct itimerspec when = {.it_value = span(w->first_ms),
                              .it_interval = span(w->again_ms)};

    /* In this order: an alarm in between is only the first one. */
    timer_settime(w->alarm, 0, &when, NULL);
    w->warned = 0;
    timer_set(&w->tick, w->first_ms / 4 < TICK_MS ? w->first_ms / 4 : TICK_MS);
}

enum err watchdog_start(struct watchdog *w, struct loop *loop, int64_t first_ms,
                        int64_t again_ms)
{
    struct sigaction action = {.sa_sigaction = on_alarm,
                               .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                             .sigev_signo = SIGALRM,
                             .sigev_value = {.sival_ptr = w}};

    memset(w, 0, sizeof(*w));
    w->first_ms = first_ms;
    w->again_ms = again_ms;
    timer_init(&w->tick, loop, on_tick, w);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGALRM, &action, NULL) ||
        timer_create(CLOCK_MONOTONIC, &event, &w->alarm))
        return E_SYSTEM;
    w->armed = true;
    on_tick(w);
    return E_OK;
}

void watchdog_stop(struct watchdog *w)
{
    if (w->armed)
        timer_delete(w->alarm);
    w->armed = false;
    if (w->tick.loop)
        timer_clear(&w->tick);
    w->tick.loop = NULL;
}
