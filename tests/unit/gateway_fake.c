/* gateway_fake.c - see gateway_fake.h. */
#include "tests/unit/gateway_fake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "gateway/course.h"

/* Stand-ins for what the lower layers hide. */
struct stream {
    const struct stream_events *events;
    void *arg;
    struct request_head head;
    struct field rows[16];
    char text[2048];
    uint64_t out;
};

struct call {
    int unused;
};

struct live_call {
    int unused;
};

struct subscription {
    int unused;
};

struct waiter {
    int unused;
};

struct port_lease {
    int unused;
};

struct fake fake;

static struct buf transcript;
static char shown[65536];
static struct {
    void (*bury)(void *what);
    void *what;
} graves[64];
static unsigned grave_count;

#define TELL(...) buf_text(&transcript, __VA_ARGS__)

/* ---- the world ---- */

void fake_start(void)
{
    static const unsigned char seed[32] = {1};
    static struct sandbox model = {
        .state = SANDBOX_RUNNING,
        .id = STR(FAKE_ID),
        .team = STR("team"),
        .backend = STR("box"),
        .template_id = STR("base"),
        .alias = STR("base"),
        .backend_template = STR("base"),
        .metadata = STR("{}"),
        .envs = STR("{}"),
        .life = 7,
        .secure = true,
    };

    memset(&fake, 0, sizeof(fake));
    clock_set_ms(1000);
    clock_set_wall_ms(1700000000000);
    random_set(seed);
    cr_assert_eq(log_open_access(STR("")), E_OK);
    fake.conf.refs = 1;
    fake.conf.domain = STR("sandgate.localhost");
    fake.conf.api_body_max_bytes = 100;
    fake.sandbox_found = fake.key_found = FOUND;
    fake.key = (struct key){.number = 3, .team = "team"};
    fake.facts = (struct call_facts){.connected = true, .sent = true};
    fake.done_at_once = true;
    cr_assert_eq(sandbox_new(&model, &fake.sandbox), E_OK);
    cr_assert_eq(worker_init(&fake.worker, NULL, NULL, NULL, &fake.conf), E_OK);
    buf_init(&transcript, 1 << 20);
}

void fake_stop(void)
{
    const struct sandbox *s = fake.sandbox;

    course_drop_open(&fake.worker);
    fake_turn();
    worker_clear(&fake.worker);
    sandbox_unref(&s);
    buf_clear(&transcript);
    free(fake.stream);
    clock_set_ms(-1);
    clock_set_wall_ms(-1);
    random_set(NULL);
}

const char *fake_said(void)
{
    snprintf(shown, sizeof(shown), "%.*s", STR_FMT(buf_str(&transcript)));
    buf_empty(&transcript);
    return shown;
}

void fake_request(const char *text, int64_t length)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct request_head *head = &s->head;
    struct str rest, line;

    free(fake.stream);
    fake.stream = s;
    snprintf(s->text, sizeof(s->text), "%s", text);
    rest = str_of(s->text);
    line = str_cut(&rest, '\n');
    for (int m = 0; m < METHOD_COUNT; m++)
        if (str_starts(line, method_text((enum method)m)))
            head->method = (enum method)m;
    str_cut(&line, ' ');
    head->host = str_cut(&line, ' ');
    head->target = line;
    head->path = str_cut(&line, '?');
    head->query = line;
    head->peer = STR("192.0.2.1");
    head->length = length;
    head->fields.at = s->rows;
    s->rows[head->fields.count++] = (struct field){STR("Host"), head->host};
    while (rest.p && rest.n) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, ':');

        s->rows[head->fields.count++] = (struct field){name, str_trim(value)};
        head->expects |= str_ieq(name, STR("expect"));
        head->upgrade |= str_ieq(name, STR("upgrade"));
    }
    course_begin(&fake.worker, s, head);
}

/* ---- events ---- */

static bool has_stream(void)
{
    return fake.stream && fake.stream->events;
}

void fake_client(const char *piece)
{
    fake.stream->events->on_piece(fake.stream->arg, str_of(piece));
}

void fake_client_end(void)
{
    fake.stream->events->on_end(fake.stream->arg);
}

void fake_gone(void)
{
    fake.stream->events->on_gone(fake.stream->arg, E_GONE_CLIENT);
}

void fake_lost(enum err why)
{
    fake.stream->events->on_gone(fake.stream->arg, why);
}

void fake_room(void)
{
    fake.full = false;
    fake.stream->events->on_room(fake.stream->arg);
}

void fake_done(void)
{
    fake.stream->events->on_done(fake.stream->arg);
}

void fake_call_head(int status, int64_t length)
{
    struct field rows[] = {{STR("X-App"), STR("1")},
                           {STR("Connection"), STR("close")},
                           {STR("Alt-Svc"), STR("h3")}};
    struct answer_head head = {
        .status = status, .length = length, .fields = {rows, 3, 3}};

    fake.call_events->on_head(fake.call_arg, &head);
}

void fake_call(const char *piece)
{
    fake.call_events->on_piece(fake.call_arg, str_of(piece));
}

void fake_call_end(void)
{
    fake.call_events->on_end(fake.call_arg);
}

void fake_call_cut(enum err why)
{
    fake.call_events->on_cut(fake.call_arg, why);
}

void fake_result(enum err err, const struct op_result *result)
{
    if (fake.on_result)
        fake.on_result(fake.result_arg, err, result);
    else
        fake.live_events->on_result(fake.live_arg, err, result);
}

void fake_live(const char *piece)
{
    if (piece)
        fake.live_events->on_piece(fake.live_arg, str_of(piece));
    else
        fake.live_events->on_end(fake.live_arg);
}

void fake_time(int64_t now_ms)
{
    clock_set_ms(now_ms);
    if (fake.timer_ms && fake.timer_ms <= now_ms) {
        fake.timer_ms = 0;
        fake.timer->on_time(fake.timer->arg);
    }
}

/* ---- the loop ---- */

void fake_turn(void)
{
    for (unsigned i = 0; i < grave_count; i++)
        graves[i].bury(graves[i].what);
    grave_count = 0;
}

void loop_bury(struct loop *l, void (*bury)(void *what), void *what)
{
    (void)l;
    graves[grave_count].bury = bury;
    graves[grave_count++].what = what;
}

void timer_init(struct timer *t, struct loop *l, void (*on_time)(void *arg),
                void *arg)
{
    *t = (struct timer){.loop = l, .on_time = on_time, .arg = arg};
}

void timer_set(struct timer *t, int64_t ms)
{
    fake.timer = t;
    fake.timer_ms = clock_ms() + ms;
}

void timer_stop(struct timer *t)
{
    (void)t;
    fake.timer_ms = 0;
}

void timer_clear(struct timer *t)
{
    timer_stop(t);
}

/* ---- the client's stream ---- */

void stream_own(struct stream *s, const struct stream_events *events, void *arg)
{
    s->events = events;
    s->arg = arg;
}

void stream_pause(struct stream *s, enum pause_reason why)
{
    (void)s;
    TELL("pause %d; ", why);
}

void stream_resume(struct stream *s, enum pause_reason why)
{
    (void)s;
    TELL("resume %d; ", why);
}

void stream_continue(struct stream *s)
{
    (void)s;
    TELL("continue; ");
}

void stream_limit_body(struct stream *s, int64_t first_ms, uint64_t rate)
{
    (void)s;
    TELL("limit %d %u; ", (int)first_ms, (unsigned)rate);
}

static void tell_fields(const struct fields *f)
{
    for (unsigned i = 0; i < f->count; i++)
        TELL(" %.*s=%.*s", STR_FMT(f->at[i].name), STR_FMT(f->at[i].value));
}

void stream_say_head(struct stream *s, const struct answer_head *head)
{
    (void)s;
    TELL("head %d", head->status);
    tell_fields(&head->fields);
    TELL("; ");
}

bool stream_say(struct stream *s, struct str piece)
{
    s->out += piece.n;
    TELL("say %.*s; ", STR_FMT(piece));
    return !fake.full;
}

void stream_say_end(struct stream *s)
{
    TELL("end; ");
    if (fake.done_at_once)
        s->events->on_done(s->arg);
}

void stream_say_all(struct stream *s, const struct answer_head *head,
                    struct str body)
{
    s->out += body.n;
    TELL("all %d", head->status);
    if (head->status < 400 || fake.show_fields)
        tell_fields(&head->fields);
    TELL(" %.*s; ", STR_FMT(body));
    if (fake.done_at_once)
        s->events->on_done(s->arg);
}

void stream_close_after(struct stream *s)
{
    (void)s;
    TELL("close after; ");
}

void stream_cut(struct stream *s)
{
    (void)s;
    TELL("cut; ");
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->out;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    (void)s;
    return 0;
}

void stream_free(struct stream **s)
{
    TELL("free; ");
    (*s)->events = NULL;
    *s = NULL;
    cr_assert(!has_stream());
}

/* ---- calls ---- */

enum err call_start(struct pools *p, const struct call_request *r,
                    const struct call_events *events, void *arg,
                    struct call **out)
{
    static struct call call;

    (void)p;
    *out = NULL;
    if (fake.call_err)
        return fake.call_err;
    fake.call_events = events;
    fake.call_arg = arg;
    *out = &call;
    TELL("start %.*s %.*s:%u %.*s host=%.*s length=%d%s%s%s",
         STR_FMT(method_text(r->method)), STR_FMT(r->address), r->port,
         STR_FMT(r->target), STR_FMT(r->host), (int)r->length,
         r->fresh ? " fresh" : "", r->idempotent ? " idempotent" : "",
         r->upgrade ? " upgrade" : "");
    tell_fields(r->fields);
    TELL("; ");
    return E_OK;
}

static bool tell_say(struct str piece)
{
    TELL("send %.*s; ", STR_FMT(piece));
    return !fake.call_full;
}

bool call_say(struct call *c, struct str piece)
{
    (void)c;
    return tell_say(piece);
}

void call_say_end(struct call *c)
{
    (void)c;
    TELL("send end; ");
}

void call_pause(struct call *c, enum pause_reason why)
{
    (void)c;
    TELL("call pause %d; ", why);
}

void call_resume(struct call *c, enum pause_reason why)
{
    (void)c;
    TELL("call resume %d; ", why);
}

struct call_facts call_facts(const struct call *c)
{
    (void)c;
    return fake.facts;
}

void call_free(struct call **c)
{
    if (*c)
        TELL("call free; ");
    *c = NULL;
}

enum err live_call_start(struct live *l, const struct sandbox *s,
                         const struct want_call *want,
                         const struct call_events *events, void *arg,
                         struct live_call **out)
{
    static struct live_call call;

    (void)l;
    (void)s;
    *out = NULL;
    if (fake.call_err)
        return fake.call_err;
    fake.call_events = events;
    fake.call_arg = arg;
    *out = &call;
    TELL("call %.*s; ", STR_FMT(want->method));
    return E_OK;
}

bool live_call_say(struct live_call *c, struct str piece)
{
    (void)c;
    return tell_say(piece);
}

void live_call_say_end(struct live_call *c)
{
    (void)c;
    TELL("send end; ");
}

void live_call_pause(struct live_call *c, enum pause_reason why)
{
    (void)c;
    TELL("call pause %d; ", why);
}

void live_call_resume(struct live_call *c, enum pause_reason why)
{
    (void)c;
    TELL("call resume %d; ", why);
}

void live_call_free(struct live_call **c)
{
    if (*c)
        TELL("call free; ");
    *c = NULL;
}

/* ---- live ---- */

enum err passenger_board(struct live *l, const struct sandbox *s,
                         struct passenger *p)
{
    (void)l;
    (void)s;
    fake.passenger = p;
    return fake.board_err;
}

void passenger_leave(struct live *l, struct passenger *p)
{
    (void)l;
    (void)p;
    fake.passenger = NULL;
}

enum err live_order(struct live *l, const struct sandbox *s,
                    const struct want_live *want,
                    const struct live_events *events, void *arg,
                    struct subscription **out)
{
    static struct subscription subscription;

    (void)l;
    (void)s;
    fake.live_events = events;
    fake.live_arg = arg;
    fake.on_result = NULL;
    *out = &subscription;
    TELL("order %d; ", want->kind);
    return E_OK;
}

void subscription_pause(struct subscription *s)
{
    (void)s;
    TELL("live pause; ");
}

void subscription_resume(struct subscription *s)
{
    (void)s;
    TELL("live resume; ");
}

void subscription_free(struct subscription **s)
{
    if (*s)
        TELL("live free; ");
    *s = NULL;
}

enum err job_begin(struct live *l, struct str team, const struct want_job *want,
                   void (*on_result)(void *arg, enum err err,
                                     const struct op_result *result),
                   void *arg, struct waiter **out)
{
    static struct waiter waiter;

    (void)l;
    fake.on_result = on_result;
    fake.result_arg = arg;
    *out = &waiter;
    TELL("job %d of %.*s; ", want->kind, STR_FMT(team));
    return E_OK;
}

void job_leave(struct waiter **w)
{
    if (*w)
        TELL("job left; ");
    *w = NULL;
}

enum err port_find(struct live *l, const struct sandbox *s, unsigned port,
                   void (*on_target)(void *arg, enum err err,
                                     const struct port_target *t),
                   void *arg, struct port_lease **out)
{
    static struct port_lease lease;
    struct port_target target = {.address = STR("127.0.0.1"),
                                 .port = 4000,
                                 .pool = STR("pool"),
                                 .prefix = fake.prefix};

    (void)l;
    (void)s;
    *out = &lease;
    TELL("find %u; ", port);
    on_target(arg, fake.port_err, fake.port_err ? NULL : &target);
    return E_OK;
}

void port_forget(struct port_lease *p)
{
    (void)p;
    TELL("port forget; ");
}

void port_leave(struct port_lease **p)
{
    if (*p)
        TELL("port left; ");
    *p = NULL;
}

/* ---- the store; what it finds is in gateway_records.c ---- */

enum err store_use_link(struct store *s, struct str id)
{
    (void)s;
    TELL("use %.*s; ", STR_FMT(id));
    return fake.use_err;
}

enum found store_list_sandboxes(struct store *s, struct str team,
                                struct arena *a, const struct sandbox ***out,
                                unsigned *count)
{
    const struct sandbox **list = arena_alloc(a, sizeof(*list));

    (void)s;
    TELL("list of %.*s; ", STR_FMT(team));
    list[0] = fake.sandbox;
    *out = list;
    *count = 1;
    return fake.sandbox_found;
}

/* ---- the operation ---- */

enum err op_find(enum op_class class, enum method method, struct str path,
                 struct arena *a, struct op_found *out)
{
    static struct op_row row;
    struct str id = path;

    (void)method;
    (void)a;
    *out = (struct op_found){NULL};
    out->allow = fake.find_err == E_METHOD ? "POST" : NULL;
    if (fake.find_err)
        return fake.find_err;
    row = fake.row;
    row.class = class;
    row.name = "fake";
    if (!row.path)
        row.path = "/fake";
    if (class == CLASS_API)
        row.dialect = DIALECT_API;
    else if (class == CLASS_NATIVE)
        row.dialect = DIALECT_NATIVE;
    else if (row.dialect == DIALECT_API)
        row.dialect = DIALECT_EDGE;
    out->row = &row;
    str_cut(&id, '/');
    str_cut(&id, '/');
    out->params[0] = id.p ? str_cut(&id, '/') : STR_NONE;
    return E_OK;
}

void op_hear(struct op *op, const struct op_event *event, struct want *want)
{
    static const char *const names[] = {
        [OP_BEGIN] = "BEGIN",
        [OP_BODY] = "BODY",
        [OP_CLIENT_PIECE] = "CLIENT_PIECE",
        [OP_CLIENT_END] = "CLIENT_END",
        [OP_CLIENT_GONE] = "CLIENT_GONE",
        [OP_ANSWER] = "ANSWER",
        [OP_HEAD] = "HEAD",
        [OP_PIECE] = "PIECE",
        [OP_END] = "END",
        [OP_CUT] = "CUT",
        [OP_RESULT] = "RESULT",
        [OP_ROOM] = "ROOM",
        [OP_TIME] = "TIME",
    };

    TELL("%s", names[event->kind]);
    if (event->bytes.p)
        TELL("(%.*s)", STR_FMT(event->bytes));
    if (event->err)
        TELL(":%s", err_name(event->err));
    TELL("; ");
    memset(want, 0, sizeof(*want));
    fake.hear(op, event, want);
}

void op_end(struct op *op)
{
    (void)op;
    TELL("op end; ");
}
