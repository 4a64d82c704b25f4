/* Every row of the threat model's section 2.3 as bytes for a real server. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/unit/net_rig.h"
#include "tests/unit/net_vector.h"

struct run {
    struct rig rig;
    struct raw raw;
    unsigned vectors, ways, failures;
};

static void on_request(struct desk *d, const struct request_head *head)
{
    if (head->upgrade) {
        buf_put(&d->body, STR("upgrade"));
        desk_echo(d);
        return;
    }
    stream_continue(d->stream);
    stream_resume(d->stream, PAUSE_WAIT);
}

static void on_end(struct desk *d)
{
    struct field row = {STR("X-Head"), STR("1")};
    struct answer_head head = {
        .status = 200, .fields = {&row, 1, 1}, .length = 7};

    if (strncmp(d->head, "HEAD", 4) != 0) {
        desk_echo(d);
        return;
    }
    stream_say_head(d->stream, &head);
    stream_say_end(d->stream);
}

/* One answer of those that came, as a line; what follows it. */
static struct str tell(struct run *run, struct str rest, struct buf *out)
{
    size_t head = str_find_str(rest, STR("\r\n\r\n")) + 4;
    struct str lines = str_from(rest.p, head < rest.n ? head : rest.n);
    size_t at = str_find_str(lines, STR("Content-Length: "));
    unsigned long n = at < lines.n ? strtoul(lines.p + at + 16, NULL, 10) : 0;
    struct str body;

    if (!str_starts(rest, STR("HTTP/1.1 ")) || head > rest.n) {
        buf_put(out, STR("broken\n"));
        return STR("");
    }
    if (str_find_str(lines, STR("X-Head: 1")) < lines.n) {
        buf_put(out, STR("HEAD\n"));
        return str_after(rest, head);
    }
    body = str_from(str_after(rest, head).p, n);
    if (!str_starts(rest, STR("HTTP/1.1 200"))) {
        if (!run->rig.refused && rest.p[9] != '1')
            buf_put(out, STR("gone "));
        buf_put(out, str_from(rest.p + 9, 3));
        if (n > 512 ||
            (rest.p[9] != '1' &&
             str_find_str(lines, STR("Connection: close")) == lines.n))
            buf_put(out, STR(" in a bad form"));
    } else {
        buf_put(out, body);
        if (body.p[body.n - 1] == ' ')
            buf_byte(out, '-');
    }
    buf_byte(out, '\n');
    return str_after(rest, head + n);
}

static void transcript(struct run *run, struct buf *out)
{
    struct str rest = raw_got(&run->raw);
    bool refused = false;

    if (!rest.n && run->raw.end == SEEN_OPEN)
        buf_put(out, STR("wait\n"));
    while (rest.n) {
        refused = rest.n > 9 && rest.p[9] >= '4';
        rest = tell(run, rest, out);
    }
    if (refused != (run->raw.end != SEEN_OPEN))
        buf_put(out, refused ? STR("not closed\n") : STR("end\n"));
}

/* "20 x LINE" stands for 20 lines. */
static void multiply(struct str expect, struct buf *out)
{
    char *behind;
    unsigned long n = strtoul(expect.p, &behind, 10);

    if (strncmp(behind, " x ", 3) != 0) {
        buf_put(out, expect);
        return;
    }
    while (n--)
        buf_put(out, str_after(expect, (size_t)(behind + 3 - expect.p)));
}

static void feed(struct str piece, void *arg)
{
    struct run *run = arg;

    raw_send(&run->raw, piece);
    rig_turn(&run->rig, &run->raw);
    rig_turn(&run->rig, &run->raw);
}

static bool try_way(struct run *run, struct vector *v, size_t at)
{
    struct buf is, want;
    bool tried;

    buf_init(&is, 1 << 20);
    buf_init(&want, 1 << 20);
    run->rig.refused = 0;
    raw_pair(&run->raw, &run->rig);
    tried = vector_feed(v, at, feed, run);
    if (tried) {
        rig_settle(&run->rig, &run->raw);
        transcript(run, &is);
        multiply(buf_str(&v->expect), &want);
        run->ways++;
        if (!str_eq(buf_str(&is), buf_str(&want)) && ++run->failures < 20)
            cr_expect_fail("%s (way %zu): %.*s instead of %.*s", v->name, at,
                           STR_FMT(buf_str(&is)), STR_FMT(buf_str(&want)));
    }
    buf_clear(&is);
    buf_clear(&want);
    raw_close(&run->raw);
    RIG_UNTIL(&run->rig, NULL, server_connections(run->rig.server) == 0);
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

Test(requests, are_served_or_refused_however_they_are_cut)
{
    static struct run run;

    clock_set_ms(1000);
    rig_open(&run.rig, NULL, false);
    run.rig.on_request = on_request;
    run.rig.on_end = on_end;
    vector_each(DATA_DIR "/h1/requests.txt", on_vector, &run);
    rig_close(&run.rig);
    cr_expect_geq(run.vectors, 260);
    cr_log_info("%u vectors, %u ways", run.vectors, run.ways);
}
