/* template.c - see template.h. */
#include "live/template.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#define BUILD_MS 600000 /* a template may be built: minutes */
#define BACK_OFF_MS 250
#define BACK_OFF_MAX_MS 60000

struct templates {
    struct backend *backend;
    unsigned at; /* row of the configuration that is next */
    bool missed; /* one of this round failed */
    int64_t back_off_ms;
    struct rest *rest; /* owned */
    struct timer timer;
};

enum err template_post(struct backend *b, struct str name,
                       void (*on_answer)(void *arg,
                                         const struct rest_answer *a),
                       void *arg, struct rest **out)
{
    struct rest_request want = {.method = METHOD_POST,
                                .target = STR("/v1/templates"),
                                .idempotent = true,
                                .deadline_ms = BUILD_MS};
    struct buf body;
    enum err err = E_NOMEM;

    *out = NULL;
    buf_init(&body, 4096);
    buf_put(&body, STR("{\"id\":"));
    json_write_text(&body, name, false, false);
    buf_byte(&body, '}');
    want.body = buf_str(&body);
    if (!body.failed)
        err = rest_start(b, &want, on_answer, arg, out);
    buf_clear(&body);
    return err;
}

/* Has an earlier row asked for the same? */
static bool seen(const struct conf *conf, unsigned at)
{
    for (unsigned i = 0; i < at; i++)
        if (str_eq(conf->templates[i].backend, conf->templates[at].backend) &&
            str_eq(conf->templates[i].backend_template,
                   conf->templates[at].backend_template))
            return true;
    return false;
}

static void next(struct templates *t);

static void on_answer(void *arg, const struct rest_answer *a)
{
    struct templates *t = arg;

    if (a->err) {
        t->missed = true;
        log_say(LOG_WARN, "back end %.*s has not made a template: %s",
                STR_FMT(t->backend->name), err_text(a->err));
    }
    rest_free(&t->rest);
    next(t);
}

/* Ask for the next one, or look back at the round. */
static void next(struct templates *t)
{
    struct conf *conf = t->backend->live->conf;

    while (t->at < conf->template_count) {
        unsigned at = t->at++;

        if (!str_eq(conf->templates[at].backend, t->backend->name) ||
            seen(conf, at))
            continue;
        if (!template_post(t->backend, conf->templates[at].backend_template,
                           on_answer, t, &t->rest))
            return;
        t->missed = true;
    }
    if (!t->missed) {
        t->back_off_ms = BACK_OFF_MS;
        return;
    }
    timer_set(&t->timer, t->back_off_ms);
    t->back_off_ms *= 2;
    if (t->back_off_ms > BACK_OFF_MAX_MS)
        t->back_off_ms = BACK_OFF_MAX_MS;
}

static void begin(struct templates *t)
{
    timer_stop(&t->timer);
    t->at = 0;
    t->missed = false;
    next(t);
}

static void on_time(void *arg)
{
    struct templates *t = arg;

    /* While it is down nothing is asked; it will be when it is back. */
    if (t->backend->health != BACKEND_DOWN)
        begin(t);
}

void template_register(struct backend *b)
{
    struct templates *t = b->templates;

    if (!t) {
        t = mem_new(sizeof(*t));
        if (!t)
            return; /* a create will ask for the one it needs */
        timer_init(&t->timer, b->live->loop, on_time, t);
        t->backend = b;
        t->back_off_ms = BACK_OFF_MS;
        b->templates = t;
    }
    if (t->rest)
        t->at = 0; /* once more, behind the one that is under way */
    else
        begin(t);
}

static void bury(void *what)
{
    mem_free(what);
}

void template_clear(struct backend *b)
{
    struct templates *t = b->templates;

    b->templates = NULL;
    if (!t)
        return;
    rest_free(&t->rest);
    timer_clear(&t->timer);
    loop_bury(b->live->loop, bury, t);
}
