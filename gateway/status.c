/* status.c - see status.h. */
#include "gateway/status.h"

#include "base/mem.h"
#include "gateway/orphan.h"

#define TEXT_MAX ((size_t)256 << 10)

static const struct server_settings settings = {
    .head_ms = 10000,
    .idle_ms = 60000,
    .stall_ms = 60000,
    .tunnel_idle_ms = 60000,
    .half_open_ms = 60000,
    .connections_max = 64,
    .keep_alive_s = 55,
};

struct status {
    struct status_source source;
    struct server *server;     /* owned */
    struct listener *listener; /* owned */
    struct buf text;           /* owned: the answer of the moment */
};

/* ---- answers ---- */

static void say(struct stream *s, int status, struct str type, struct str body)
{
    struct field rows[] = {
        {STR("Content-Type"), type},
        {STR("Cache-Control"), STR("no-store")},
        {STR("X-Content-Type-Options"), STR("nosniff")},
        {STR("Allow"), STR("GET, HEAD")},
    };
    struct answer_head head = {.status = status,
                               .fields = {rows, status == 405 ? 4 : 3, 4}};

    stream_say_all(s, &head, body);
}

static void say_text(struct stream *s, int status, struct str body)
{
    say(s, status, STR("text/plain; charset=utf-8"), body);
}

static void say_metrics(struct status *st, struct stream *s)
{
    struct metrics_now now = st->source.now(st->source.arg);

    buf_empty(&st->text);
    metrics_write(st->source.metrics, &now, &st->text);
    if (st->text.failed)
        say_text(s, 503, STR("no memory left\n"));
    else
        say(s, 200, STR("text/plain; version=0.0.4; charset=utf-8"),
            buf_str(&st->text));
}

static void say_ready(struct status *st, struct stream *s)
{
    struct metrics_now now = st->source.now(st->source.arg);

    if (now.draining)
        say_text(s, 503, STR("draining\n"));
    else if (now.tight)
        say_text(s, 503, STR("memory is short\n"));
    else if (!now.ready)
        say_text(s, 503, STR("a back end does not answer\n"));
    else
        say_text(s, 200, STR("ready\n"));
}

static void on_request(void *arg, struct stream *s,
                       const struct request_head *head)
{
    struct status *st = arg;

    orphan_own(s);
    if (head->length != 0)
        stream_close_after(s);
    if (head->method != METHOD_GET && head->method != METHOD_HEAD)
        say_text(s, 405, STR("method not allowed\n"));
    else if (str_eq(head->path, STR("/healthz")))
        say_text(s, 200, STR("ok\n"));
    else if (str_eq(head->path, STR("/readyz")))
        say_ready(st, s);
    else if (str_eq(head->path, STR("/metrics")))
        say_metrics(st, s);
    else
        say_text(s, 404, STR("not found\n"));
}

static void on_refused(void *arg, struct str peer, int status, enum err why)
{
    (void)arg;
    (void)peer;
    (void)status;
    (void)why;
}

enum err status_new(struct loop *loop, int fd,
                    const struct status_source *source, struct status **out)
{
    struct status *st = mem_new(sizeof(*st));
    enum err err;

    *out = NULL;
    if (!st)
        return E_NOMEM;
    st->source = *source;
    buf_init(&st->text, TEXT_MAX);
    err = server_new(loop, &settings, on_request, on_refused, st, &st->server);
    if (err == E_OK)
        err = listener_new(st->server, fd, NULL, true, &st->listener);
    if (err) {
        status_free(&st);
        return err;
    }
    *out = st;
    return E_OK;
}

void status_free(struct status **sp)
{
    struct status *st = *sp;

    *sp = NULL;
    if (!st)
        return;
    listener_free(&st->listener);
    server_free(&st->server);
    buf_clear(&st->text);
    mem_free(st);
}
