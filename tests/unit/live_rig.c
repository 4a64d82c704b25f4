#include "tests/unit/live_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "live/backend.h"

#define PATIENCE_MS 5000

struct rig rig;
static struct timespec since;
static const char *waited_for;

/* ---- turns ---- */

static int64_t real_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - since.tv_sec) * 1000 +
           (now.tv_nsec - since.tv_nsec) / 1000000;
}

void rig_patience(const char *what)
{
    waited_for = what;
    clock_gettime(CLOCK_MONOTONIC, &since);
}

static void on_guard(void *arg)
{
    (void)arg;
    timer_set(&rig.guard, 50);
}

/* Not in the guard's event: a failed test leaves by a jump. */
void rig_turn(void)
{
    loop_turn(rig.loop, true);
    if (real_ms() > PATIENCE_MS)
        cr_assert_fail("waited too long for %s", waited_for);
}

void rig_settle(void)
{
    for (int i = 0; i < 20; i++)
        loop_turn(rig.loop, false);
}

void rig_later(int64_t ms)
{
    clock_set_ms(rig.ms + ms);
    clock_set_wall_ms(rig.wall_ms + ms);
}

/* ---- parts ---- */

static void on_store(void *arg)
{
    (void)arg;
    store_turn(rig.store);
}

static void open_store(void)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/store.db", rig.dir);
    cr_assert_eq(store_open(str_of(path), &rig.store), E_OK);
    cr_assert_eq(
        watch_new(rig.loop, store_fd(rig.store), on_store, NULL, &rig.watch),
        E_OK);
}

static void close_store(void)
{
    watch_free(&rig.watch);
    store_close(&rig.store);
}

static void configure(void)
{
    rig.backend = (struct conf_backend){.name = STR("main"),
                                        .address = STR("127.0.0.1"),
                                        .port = fake_port(rig.fake),
                                        .ports = PORTS_FORWARD,
                                        .streams = 16};
    rig.template = (struct conf_template){.id = STR("base"),
                                          .backend = STR("main"),
                                          .backend_template = STR("t"),
                                          .user = STR("user"),
                                          .workdir = STR("")};
    rig.conf = (struct conf){.refs = 1000, /* never the last holder */
                             .domain = STR("sandgate.localhost"),
                             .backends = &rig.backend,
                             .backend_count = 1,
                             .templates = &rig.template,
                             .template_count = 1,
                             .create_timeout_s = 55};
}

void rig_make(void)
{
    json_start();
    snprintf(rig.dir, sizeof(rig.dir), "/tmp/live-XXXXXX");
    cr_assert_not_null(mkdtemp(rig.dir));
    cr_assert_eq(loop_new(&rig.loop), E_OK);
    cr_assert_eq(pools_new(rig.loop, 32, 60000, &rig.pools), E_OK);
    timer_init(&rig.guard, rig.loop, on_guard, NULL);
    rig_patience("the beginning");
    timer_set(&rig.guard, 50);
    rig.fake = fake_new(rig.loop);
    rig.ms = clock_ms();
    rig.wall_ms = clock_wall_ms();
    configure();
    open_store();
}

void rig_remove(void)
{
    char command[128];

    live_free(&rig.live);
    rig_settle();
    if (rig.store)
        close_store();
    fake_free(&rig.fake);
    pools_free(&rig.pools);
    timer_clear(&rig.guard);
    rig_settle();
    loop_free(&rig.loop);
    clock_set_ms(-1);
    clock_set_wall_ms(-1);
    snprintf(command, sizeof(command), "rm -rf %s", rig.dir);
    cr_assert_eq(system(command), 0);
}

void rig_begin(void)
{
    if (!rig.store)
        open_store();
    cr_assert_eq(live_new(rig.loop, rig.pools, rig.store, &rig.conf, &rig.live),
                 E_OK);
}

void rig_start(void)
{
    unsigned lists = fake_seen(rig.fake, "GET /v1/sandboxes");

    rig_begin();
    UNTIL(fake_seen(rig.fake, "GET /v1/sandboxes") > lists);
    UNTIL(live_ready(rig.live));
    rig_settle();
}

void rig_stop(void)
{
    live_free(&rig.live);
    close_store();
    rig_settle();
}

void rig_restart(void)
{
    rig_stop();
    rig_start();
}

/* ---- jobs ---- */

static void on_result(void *arg, enum err err, const struct op_result *result)
{
    struct heard *h = arg;

    cr_assert_not(h->came, "told twice");
    h->came = true;
    h->err = err;
    h->retry_s = result ? result->retry_s : 0;
    if (err || !result->sandbox)
        return;
    h->replayed = result->replayed;
    h->end_ms = result->sandbox->end_ms;
    h->started_ms = result->sandbox->started_ms;
    snprintf(h->id, sizeof(h->id), "%.*s", STR_FMT(result->sandbox->id));
}

enum err rig_try(struct heard *h, const struct want_job *want)
{
    memset(h, 0, sizeof(*h));
    return job_begin(rig.live, STR("red"), want, on_result, h, &h->waiter);
}

void rig_job_of(const char *team, struct heard *h, const struct want_job *want)
{
    memset(h, 0, sizeof(*h));
    cr_assert_eq(
        job_begin(rig.live, str_of(team), want, on_result, h, &h->waiter),
        E_OK);
    cr_assert_not(h->came, "told from inside");
}

void rig_job(struct heard *h, const struct want_job *want)
{
    rig_job_of("red", h, want);
}

void rig_create(struct heard *h)
{
    struct want_job want = {.kind = JOB_CREATE,
                            .timeout_s = 300,
                            .template = &rig.template,
                            .alias = STR("base"),
                            .metadata = STR("{\"a\":\"b\"}"),
                            .envs = STR("{}"),
                            .secure = true};

    rig_job(h, &want);
}

void rig_kill(struct heard *h, const char *id)
{
    struct want_job want = {.kind = JOB_KILL, .id = str_of(id)};

    rig_job(h, &want);
}

const char *rig_sandbox(void)
{
    static struct heard made[32];
    static unsigned count;
    struct heard *h = &made[count++ % 32];

    rig_create(h);
    UNTIL(h->came);
    cr_assert_eq(h->err, E_OK, "create: %s", err_name(h->err));
    job_leave(&h->waiter);
    return h->id;
}

/* ---- records ---- */

const struct sandbox *rig_record(const char *id)
{
    const struct sandbox *s;

    return store_find_sandbox(rig.store, str_of(id), &s) == FOUND ? s : NULL;
}

bool rig_is(const char *id, enum sandbox_state state)
{
    const struct sandbox *s = rig_record(id);

    return s && s->state == state;
}

static const struct sandbox **all(struct arena *a, unsigned *count)
{
    const struct sandbox **rows;

    cr_assert_eq(store_list_sandboxes(rig.store, STR_NONE, a, &rows, count),
                 FOUND);
    return rows;
}

unsigned rig_records(void)
{
    struct arena *a;
    unsigned count;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    all(a, &count);
    arena_free(&a);
    return count;
}

void rig_put(const char *id, enum sandbox_state state, int64_t end_in_ms)
{
    struct sandbox row = {.state = state,
                          .id = str_of(id),
                          .team = STR("red"),
                          .backend = STR("main"),
                          .template_id = STR("base"),
                          .alias = STR("base"),
                          .backend_template = STR("t"),
                          .metadata = STR("{}"),
                          .envs = STR("{}"),
                          .native = !sandbox_id_ok(str_of(id)),
                          .life = 7,
                          .started_ms = clock_wall_ms() - 1000,
                          .end_ms = clock_wall_ms() + end_in_ms};
    struct change put = {.kind = CHANGE_PUT_SANDBOX, .sandbox = &row};

    cr_assert_eq(store_commit(rig.store, &put, 1, NULL, NULL), E_OK);
    cr_assert_eq(store_flush(rig.store, 2000), E_OK);
}

void rig_agrees(void)
{
    struct arena *a;
    unsigned count;
    const struct sandbox **rows;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    rows = all(a, &count);
    for (unsigned i = 0; i < count; i++) {
        char id[64];

        snprintf(id, sizeof(id), "%.*s", STR_FMT(rows[i]->id));
        cr_expect_eq(rows[i]->state, SANDBOX_RUNNING, "%s", id);
        cr_expect(fake_has(rig.fake, id), "%s has no sandbox", id);
    }
    cr_expect_eq(count, fake_count(rig.fake));
    arena_free(&a);
}
