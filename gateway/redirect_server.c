/* redirect_server.c - see redirect_server.h. */
#include "gateway/redirect_server.h"

#include "base/mem.h"
#include "gateway/access.h"
#include "gateway/orphan.h"
#include "gateway/redirect.h"

#define CONNECTIONS_MAX 1024
#define IDLE_MS 10000
#define KEEP_ALIVE_S 5
/* Host and target are under the limit of a head. */
#define URL_MAX ((size_t)64 << 10)

struct redirect {
    struct server *server;   /* owned */
    struct conf *conf;       /* counted */
    struct metrics *metrics; /* borrowed */
    unsigned port;
};

static void on_refused(void *arg, struct str peer, int status, enum err why)
{
    struct redirect *r = arg;

    r->metrics->refused[status / 100]++;
    if (status)
        access_refused(peer, status, why);
}

static void say(struct stream *s, int status, struct str url, struct str body)
{
    struct field rows[] = {
        {STR("Content-Type"), STR("text/plain; charset=utf-8")},
        {STR("Cache-Control"), STR("no-store")},
        {STR("Location"), url},
    };
    struct answer_head head = {.status = status,
                               .fields = {rows, url.p ? 3 : 2, 3}};

    stream_say_all(s, &head, body);
}

static void on_request(void *arg, struct stream *s,
                       const struct request_head *head)
{
    struct redirect *r = arg;
    struct buf url;
    enum err err;

    orphan_own(s);
    buf_init(&url, URL_MAX);
    err = redirect_find(head, r->conf, r->port, &url);
    if (err) {
        on_refused(r, head->peer, 400, err);
        stream_close_after(s);
        say(s, 400, STR_NONE,
            STR("Use https; a key or token that was sent here was sent in "
                "the open: make a new one\n"));
    } else {
        r->metrics->redirects++;
        say(s, 308, buf_str(&url), STR("Use https\n"));
    }
    buf_clear(&url);
}

/* ---- life ---- */

static struct server_settings settings_of(const struct server_settings *all)
{
    struct server_settings own = *all;

    own.idle_ms = IDLE_MS;
    own.keep_alive_s = KEEP_ALIVE_S;
    if (own.connections_max > CONNECTIONS_MAX)
        own.connections_max = CONNECTIONS_MAX;
    return own;
}

enum err redirect_new(struct loop *loop, struct conf *conf, unsigned port,
                      const struct server_settings *settings, struct metrics *m,
                      struct redirect **out)
{
    struct server_settings own = settings_of(settings);
    struct redirect *r = *out = mem_new(sizeof(*r));
    enum err err;

    if (!r)
        return E_NOMEM;
    r->conf = conf_ref(conf);
    r->port = port;
    r->metrics = m;
    err = server_new(loop, &own, on_request, on_refused, r, &r->server);
    if (err)
        redirect_free(out);
    return err;
}

void redirect_set(struct redirect *r, struct conf *conf,
                  const struct server_settings *settings)
{
    struct server_settings own = settings_of(settings);
    struct conf *old = r->conf;

    r->conf = conf_ref(conf);
    server_set(r->server, &own);
    conf_unref(&old);
}

enum err redirect_listen(struct redirect *r, int fd, struct listener **out)
{
    return listener_new(r->server, fd, NULL, false, out);
}

void redirect_free(struct redirect **out)
{
    struct redirect *r = *out;

    *out = NULL;
    if (!r)
        return;
    server_free(&r->server);
    conf_unref(&r->conf);
    mem_free(r);
}
