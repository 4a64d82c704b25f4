/* What an upstream may send, as bytes, to a real call. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/net_fake.h"
#include "tests/unit/net_vector.h"

struct run {
    struct rig rig;
    struct fake fake;
    struct raw raw;
    unsigned vectors, ways, failures;
};

static void feed(struct str piece, void *arg)
{
    struct run *run = arg;

    raw_send(&run->raw, piece);
    rig_turn(&run->rig, NULL);
}

static void transcript(struct run *run, const struct caller *c, bool any,
                       struct buf *out)
{
    if (c->status)
        buf_text(out, "%d %.*s\n", c->status,
                 STR_FMT(any                  ? STR("*")
                         : !buf_len(&c->body) ? STR("-")
                                              : buf_str(&c->body)));
    if (c->cut)
        buf_text(out, "cut E_%s\n", err_name(c->why));
    else if (c->ended)
        buf_text(out, "end %s\n",
                 c->status == 101            ? "half"
                 : run->raw.end == SEEN_OPEN ? "keep"
                                             : "drop");
    else
        buf_text(out, "wait\n");
}

static void start(struct run *run, const struct vector *v, struct caller *c)
{
    struct call_request r = fake_request(&run->fake);
    struct field row = {STR("Sec-WebSocket-Key"),
                        STR("dGhlIHNhbXBsZSBub25jZQ==")};
    struct fields fields = {&row, 1, 1};

    r.fresh = true;
    if (strncmp(v->ask, "HEAD", 4) == 0)
        r.method = METHOD_HEAD;
    r.upgrade = strncmp(v->ask, "upgrade", 7) == 0;
    if (r.upgrade)
        r.fields = &fields;
    caller_start(c, &run->fake, &r);
    fake_accept(&run->fake, &run->raw);
    rig_turn(&run->rig, NULL);
    rig_turn(&run->rig, NULL);
}

/* Close; what was not read of the request makes it a reset. */
static void end(struct run *run, const struct vector *v)
{
    char bytes[4096];

    if (strstr(v->ask, "fin"))
        while (recv(run->raw.fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            ;
    if (strstr(v->ask, "fin") || strstr(v->ask, "rst")) {
        close(run->raw.fd);
        run->raw.fd = -1;
        run->raw.end = SEEN_FIN;
    }
}

static bool try_way(struct run *run, struct vector *v, size_t at)
{
    bool any =
        str_find_str(buf_str(&v->expect), STR("200 *")) < buf_len(&v->expect);
    struct caller c = {.call = NULL};
    struct buf is;
    bool tried;

    buf_init(&is, 1 << 20);
    start(run, v, &c);
    tried = vector_feed(v, at, feed, run);
    end(run, v);
    for (int i = 0; i < 4; i++)
        rig_turn(&run->rig, &run->raw);
    if (tried) {
        transcript(run, &c, any, &is);
        run->ways++;
        if (!str_eq(buf_str(&is), buf_str(&v->expect)) && ++run->failures < 20)
            cr_expect_fail("%s (way %zu): %.*s instead of %.*s", v->name, at,
                           STR_FMT(buf_str(&is)), STR_FMT(buf_str(&v->expect)));
    }
    buf_clear(&is);
    caller_clear(&c);
    raw_close(&run->raw);
    pools_drop(run->rig.pools, STR("b"));
    rig_turn(&run->rig, NULL);
    return tried;
}

static void on_vector(struct vector *v, void *arg)
{
    struct run *run = arg;
    unsigned before = run->failures;

    run->vectors++;
    for (size_t at = 0; run->failures == before && try_way(run, v, at); at++)
        ;
}

Test(answers, are_heard_or_refused_however_they_are_cut)
{
    static struct run run;

    clock_set_ms(1000);
    rig_open(&run.rig, NULL, false);
    fake_open(&run.fake, &run.rig);
    vector_each(DATA_DIR "/h1/answers.txt", on_vector, &run);
    fake_close(&run.fake);
    rig_close(&run.rig);
    cr_expect_geq(run.vectors, 100);
    cr_log_info("%u vectors, %u ways", run.vectors, run.ways);
}
