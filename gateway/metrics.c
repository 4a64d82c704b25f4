/* metrics.c - see metrics.h. */
#include "gateway/metrics.h"

#include <inttypes.h>

#include "base/log.h"
#include "gateway/access.h"

/* Upper bounds of the buckets, milliseconds. */
static const int64_t bounds[METRICS_BUCKETS] = {1,   5,    25,    100,
                                                500, 2000, 10000, 60000};

/* The limits that requests are refused for. */
static const struct {
    enum err why;
    const char *name;
} limits[METRICS_LIMITS] = {
    {E_TEAM_FULL, "team_sandboxes"},
    {E_TEAM_FAST, "team_creates"},
    {E_TIGHT, "memory"},
    {E_QUOTA, "other"},
    {E_CROWDED, "sandbox_requests"},
};

void metrics_count_limit(struct metrics *m, enum err why)
{
    for (unsigned i = 0; i < METRICS_LIMITS; i++)
        m->limited[i] += limits[i].why == why;
}

void metrics_count_head(struct metrics *m, int64_t head_ms)
{
    unsigned i = 0;

    while (i < METRICS_BUCKETS && head_ms > bounds[i])
        i++;
    m->head_ms[i]++;
    m->head_ms_sum += (uint64_t)head_ms;
}

static void put_head(struct buf *b, const char *name, const char *type,
                     const char *help)
{
    buf_text(b, "# HELP sandgate_%s %s\n# TYPE sandgate_%s %s\n", name, help,
             name, type);
}

static void put_one(struct buf *b, const char *name, const char *type,
                    const char *help, uint64_t value)
{
    put_head(b, name, type, help);
    buf_text(b, "sandgate_%s %" PRIu64 "\n", name, value);
}

static void put_requests(const struct metrics *m, struct buf *b)
{
    static const char *const hundreds[] = {"none", "1xx", "2xx",
                                           "3xx",  "4xx", "5xx"};

    put_head(b, "requests_total", "counter",
             "Requests that are over, by aim and status.");
    for (unsigned c = 0; c <= CLASS_LINK; c++)
        for (unsigned s = 0; s < 6; s++)
            buf_text(b,
                     "sandgate_requests_total{class=\"%s\",status=\"%s\"} "
                     "%" PRIu64 "\n",
                     access_class(c), hundreds[s], m->requests[c][s]);
    put_head(b, "refused_total", "counter",
             "Heads refused before they became a request, by status.");
    for (unsigned s = 0; s < 6; s++)
        buf_text(b, "sandgate_refused_total{status=\"%s\"} %" PRIu64 "\n",
                 hundreds[s], m->refused[s]);
}

static void put_limits(const struct metrics *m, struct buf *b)
{
    put_head(b, "limited_total", "counter",
             "Requests refused because a limit was reached, by limit.");
    for (unsigned i = 0; i < METRICS_LIMITS; i++)
        buf_text(b, "sandgate_limited_total{limit=\"%s\"} %" PRIu64 "\n",
                 limits[i].name, m->limited[i]);
}

static void put_head_times(const struct metrics *m, struct buf *b)
{
    uint64_t sum = 0;

    put_head(b, "head_seconds", "histogram",
             "Time from a request's head to the head of its answer.");
    for (unsigned i = 0; i < METRICS_BUCKETS; i++) {
        sum += m->head_ms[i];
        buf_text(b, "sandgate_head_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                 (double)bounds[i] / 1000, sum);
    }
    sum += m->head_ms[METRICS_BUCKETS];
    buf_text(b, "sandgate_head_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", sum);
    buf_text(b, "sandgate_head_seconds_sum %.3f\n",
             (double)m->head_ms_sum / 1000);
    buf_text(b, "sandgate_head_seconds_count %" PRIu64 "\n", sum);
}

void metrics_write(const struct metrics *m, const struct metrics_now *now,
                   struct buf *b)
{
    put_requests(m, b);
    put_limits(m, b);
    put_head_times(m, b);
    put_one(b, "request_bytes_total", "counter",
            "Bytes of request bodies received.", m->bytes_in);
    put_one(b, "answer_bytes_total", "counter",
            "Bytes of answers' bodies sent.", m->bytes_out);
    put_one(b, "cut_total", "counter",
            "Answers that were cut after their head.", m->cut);
    put_one(b, "clients_gone_total", "counter",
            "Requests whose client left before the end.", m->gone);
    put_one(b, "failed_keys_total", "counter",
            "Control plane calls without a valid key.", m->failed_keys);
    put_one(b, "redirects_total", "counter",
            "Requests on listeners that only redirect, sent to https.",
            m->redirects);
    put_one(b, "connections_refused_total", "counter",
            "Connections closed at once: their address has as many as it may.",
            now->crowded);
    put_one(b, "proxy_headers_refused_total", "counter",
            "Connections closed for their PROXY header, or for want of one.",
            now->greetings);
    put_one(b, "log_lines_dropped_total", "counter",
            "Log lines that could not be written at once.", log_dropped());
    put_one(b, "reloads_total", "counter", "Configurations taken over.",
            m->reloads);
    put_one(b, "reload_failures_total", "counter",
            "Reloads refused: the old configuration stayed.",
            m->reload_failures);
    put_one(b, "connections", "gauge", "Client connections open now.",
            now->connections);
    put_one(b, "streams", "gauge", "Requests in progress now.", now->streams);
    put_one(b, "ready", "gauge", "1 when every back end answers.", now->ready);
    put_one(b, "memory_bytes", "gauge", "Memory that the worker uses.",
            (uint64_t)now->memory_bytes);
    put_one(b, "memory_limit_bytes", "gauge",
            "limits.max_memory; 0 when there is none.",
            (uint64_t)now->memory_max_bytes);
    put_one(b, "draining", "gauge", "1 while it waits for its last requests.",
            now->draining);
    put_one(b, "uptime_seconds", "gauge", "Since this worker started.",
            (uint64_t)now->uptime_s);
}
