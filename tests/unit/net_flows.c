/* Much through little memory: what one side does not take is not fetched from
 * the other. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net_fake.h"

#define MIB ((uint64_t)1 << 20)

/* More than the buffers of both directions, libevent's and OpenSSL's. */
#define BUDGET_BYTES ((size_t)512 << 10)

/* A request that is carried to an upstream: the least that carries. */
struct relay {
    struct stream *stream;
    struct call *call;
};

static struct rig r;
static struct fake fake;
static struct raw client, up;
static struct relay relay;
static char bytes[65536];

static void on_head(void *arg, const struct answer_head *head)
{
    stream_say_head(((struct relay *)arg)->stream, head);
}

static void on_piece(void *arg, struct str piece)
{
    struct relay *x = arg;

    if (!stream_say(x->stream, piece))
        call_pause(x->call, PAUSE_FULL);
}

static void on_end(void *arg)
{
    stream_say_end(((struct relay *)arg)->stream);
}

static void on_cut(void *arg, enum err why)
{
    (void)why;
    stream_cut(((struct relay *)arg)->stream);
}

static void on_room(void *arg)
{
    stream_resume(((struct relay *)arg)->stream, PAUSE_FULL);
}

static const struct call_events up_events = {on_head, on_piece, on_end, on_cut,
                                             on_room};

static void on_up_piece(void *arg, struct str piece)
{
    struct relay *x = arg;

    if (!call_say(x->call, piece))
        stream_pause(x->stream, PAUSE_FULL);
}

static void on_up_end(void *arg)
{
    call_say_end(((struct relay *)arg)->call);
}

static void drop(struct relay *x)
{
    stream_free(&x->stream);
    call_free(&x->call);
}

static void on_gone(void *arg, enum err why)
{
    (void)why;
    drop(arg);
}

static void on_down_room(void *arg)
{
    call_resume(((struct relay *)arg)->call, PAUSE_FULL);
}

static void on_done(void *arg)
{
    drop(arg);
}

static const struct stream_events down_events = {
    on_up_piece, on_up_end, on_gone, on_down_room, on_done};

static void carry(struct desk *d, const struct request_head *head)
{
    struct call_request q = fake_request(&fake);

    relay.stream = d->stream;
    d->stream = NULL;
    stream_own(relay.stream, &down_events, &relay);
    q.method = head->method;
    q.length = head->length ? head->length : LENGTH_NONE;
    cr_assert_eq(call_start(r.pools, &q, &up_events, &relay, &relay.call),
                 E_OK);
    stream_resume(relay.stream, PAUSE_WAIT);
}

static void begin(const char *request)
{
    rig_open(&r, NULL, false);
    fake_open(&fake, &r);
    r.on_request = carry;
    raw_connect(&client, &r);
    raw_send(&client, str_of(request));
    fake_accept(&fake, &up);
    fcntl(up.fd, F_SETFL, O_NONBLOCK);
    fcntl(client.fd, F_SETFL, O_NONBLOCK);
}

static void finish(void)
{
    raw_close(&client);
    raw_close(&up);
    RIG_UNTIL(&r, NULL, server_connections(r.server) == 0);
    fake_close(&fake);
    rig_close(&r);
}

/* As much as goes into the socket; how much that was. */
static uint64_t push(int fd, uint64_t left)
{
    size_t n = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
    ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

    return sent > 0 ? (uint64_t)sent : 0;
}

static uint64_t pull(int fd)
{
    ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    return got > 0 ? (uint64_t)got : 0;
}

/* Carry total bytes from one descriptor to another, the reader slower than
 * the writer; the memory in use must stay where it was. */
static void flow(int from, int to, uint64_t total)
{
    size_t before = mallinfo2().uordblks, most = 0;
    uint64_t sent = 0, got = 0;

    for (unsigned turn = 0; got < total && turn < 1000000; turn++) {
        sent += push(from, total - sent);
        sent += push(from, total - sent);
        rig_turn(&r, NULL);
        if (turn % 3)
            got += pull(to);
        if (turn % 64 == 0 && mallinfo2().uordblks > before + most)
            most = mallinfo2().uordblks - before;
    }
    cr_expect_eq(got, total, "%lu of %lu", (unsigned long)got,
                 (unsigned long)sent);
    cr_expect_lt(most, BUDGET_BYTES, "%zu bytes more", most);
}

Test(flows, an_answer_of_256_mib_through_flat_memory)
{
    begin("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n"));
    RIG_UNTIL(&r, &client, raw_has(&client, "\r\n\r\n"));
    flow(up.fd, client.fd, 256 * MIB);
    finish();
}

Test(flows, a_request_of_256_mib_through_flat_memory)
{
    begin("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n");
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    flow(client.fd, up.fd, 256 * MIB);
    finish();
}

/* Threats 3.7: what is taken from an upstream for a client that reads nothing,
 * the small buffers of both peers included. */
static void stall(int from, uint64_t *absorbed)
{
    int small = 32768;
    unsigned idle = 0;

    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    setsockopt(client.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    setsockopt(up.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    *absorbed = 0;
    while (idle < 50) {
        uint64_t n = push(from, MIB * 64 - *absorbed);

        *absorbed += n;
        idle = n ? 0 : idle + 1;
        rig_turn(&r, NULL);
    }
}

Test(flows, little_is_absorbed_for_a_stalled_reader)
{
    uint64_t absorbed;

    begin("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n"));
    RIG_UNTIL(&r, &client, raw_has(&client, "\r\n\r\n"));
    stall(up.fd, &absorbed);
    cr_expect_lt(absorbed, 768 << 10, "%lu KiB", (unsigned long)absorbed >> 10);
    cr_log_info("download: %lu KiB", (unsigned long)absorbed >> 10);
    finish();
}

Test(flows, little_is_absorbed_for_a_stalled_upstream)
{
    uint64_t absorbed;

    begin("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 268435456\r\n\r\n");
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    stall(client.fd, &absorbed);
    cr_expect_lt(absorbed, 768 << 10, "%lu KiB", (unsigned long)absorbed >> 10);
    cr_log_info("upload: %lu KiB", (unsigned long)absorbed >> 10);
    finish();
}

/* Pieces of a bulk that stops in its midst: what the kernel keeps back for
 * the next one comes without it. */
Test(flows, what_came_arrives_though_nothing_follows)
{
    const uint64_t came = 100000;
    uint64_t sent = 0, got = 0;

    begin("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n"));
    RIG_UNTIL(&r, &client, raw_has(&client, "\r\n\r\n"));
    while (sent < came) {
        sent += push(up.fd, came - sent);
        rig_turn(&r, NULL);
    }
    RIG_UNTIL(&r, NULL, (got += pull(client.fd)) == came);
    finish();
}

Test(flows, a_chunked_answer_arrives_whole)
{
    static const char chunk[] = "a\r\n0123456789\r\n";
    struct buf all;

    begin("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    buf_init(&all, 1 << 20);
    for (int i = 0; i < 3000; i++)
        buf_put(&all, str_of(chunk));
    buf_put(&all, STR("0\r\n\r\n"));
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
    fcntl(up.fd, F_SETFL, 0);
    raw_send(&up, buf_str(&all));
    RIG_UNTIL(&r, &client, raw_has(&client, "0\r\n\r\n"));
    cr_expect(str_ends(raw_got(&client), buf_str(&all)));
    buf_clear(&all);
    finish();
}

/* ---- through TLS ---- */

static struct certificate_files files;
static struct tls *tls;
static uint64_t to_say;

static void hold(struct desk *d, const struct request_head *head)
{
    struct answer_head answer = {.status = 200, .length = LENGTH_CHUNKED};

    (void)head;
    stream_say_head(d->stream, &answer);
    d->room = true;
}

static void say_on(struct desk *d)
{
    while (d->room && to_say) {
        to_say -= sizeof(bytes);
        d->room = stream_say(d->stream, str_from(bytes, sizeof(bytes)));
    }
    if (!to_say && d->stream)
        stream_say_end(d->stream);
}

static void begin_tls(const char *request)
{
    certificate_make(&files, "DNS:a");
    tls = certificate_tls(&files, 1);
    rig_open(&r, tls, false);
    r.on_request = hold;
    cr_assert(raw_connect_tls(&client, &r, "a", NULL));
    raw_send(&client, str_of(request));
    RIG_UNTIL(&r, NULL, r.requests == 1);
}

static void finish_tls(void)
{
    raw_close(&client);
    RIG_UNTIL(&r, NULL, server_connections(r.server) == 0);
    rig_close(&r);
    tls_unref(&tls);
    certificate_remove(&files);
}

Test(flows, an_answer_of_32_mib_through_tls)
{
    size_t before, most = 0;

    begin_tls("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    before = mallinfo2().uordblks;
    to_say = 32 * MIB;
    for (unsigned turn = 0; !r.desks[0].done && turn < 100000; turn++) {
        say_on(&r.desks[0]);
        rig_turn(&r, turn % 3 ? &client : NULL);
        buf_empty(&client.got);
        if (mallinfo2().uordblks > before + most)
            most = mallinfo2().uordblks - before;
    }
    cr_expect(r.desks[0].done);
    cr_expect_lt(most, BUDGET_BYTES, "%zu bytes more", most);
    finish_tls();
}

static uint64_t heard;

static void count(struct desk *d, struct str piece)
{
    (void)d;
    heard += piece.n;
    if (heard % 5 == 0)
        stream_pause(d->stream, PAUSE_USER);
}

static void read_on(struct desk *d, const struct request_head *head)
{
    (void)head;
    stream_resume(d->stream, PAUSE_WAIT);
}

/* Bytes that OpenSSL holds already come without an event. */
Test(flows, a_request_of_8_mib_through_tls_with_pauses)
{
    uint64_t sent = 0, total = 8 * MIB;

    begin_tls("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    stream_cut(r.desks[0].stream);
    stream_free(&r.desks[0].stream);
    raw_close(&client);
    r.on_request = read_on;
    r.on_piece = count;
    cr_assert(raw_connect_tls(&client, &r, "a", NULL));
    raw_send(&client,
             STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n"
                 "\r\n"));
    RIG_UNTIL(&r, NULL, r.requests == 2);
    for (unsigned turn = 0; !r.desks[1].ended && turn < 100000; turn++) {
        int n = sent < total ? raw_push_tls(&client, bytes, 10007, total - sent)
                             : 0;

        sent += n > 0 ? (uint64_t)n : 0;
        rig_turn(&r, NULL);
        if (turn % 2 && r.desks[1].stream)
            stream_resume(r.desks[1].stream, PAUSE_USER);
    }
    cr_expect(r.desks[1].ended);
    cr_expect_eq(heard, total);
    finish_tls();
}

/* ---- what became of an upstream, as the client sees it ---- */

static void answer_and_close(const char *answer, bool reset)
{
    begin("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if (!reset)
        RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, str_of(answer));
    RIG_UNTIL(&r, &client, raw_has(&client, "abc"));
    raw_close(&up); /* with the request unread this is a reset */
}

Test(flows, a_length_that_is_not_reached_is_a_reset)
{
    answer_and_close("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc",
                     false);
    RIG_UNTIL(&r, &client, client.end != SEEN_OPEN);
    cr_expect_eq(client.end, SEEN_RST);
    finish();
}

Test(flows, a_missing_last_chunk_is_a_reset)
{
    answer_and_close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n",
                     false);
    RIG_UNTIL(&r, &client, client.end != SEEN_OPEN);
    cr_expect_eq(client.end, SEEN_RST);
    cr_expect(!raw_has(&client, "0\r\n\r\n"));
    finish();
}

Test(flows, an_end_by_fin_is_a_last_chunk)
{
    answer_and_close("HTTP/1.1 200 OK\r\n\r\nabc", false);
    RIG_UNTIL(&r, &client, raw_has(&client, "3\r\nabc\r\n0\r\n\r\n"));
    cr_expect_eq(client.end, SEEN_OPEN);
    finish();
}

Test(flows, an_end_by_reset_is_a_reset)
{
    answer_and_close("HTTP/1.1 200 OK\r\n\r\nabc", true);
    RIG_UNTIL(&r, &client, client.end != SEEN_OPEN);
    cr_expect_eq(client.end, SEEN_RST);
    cr_expect(!raw_has(&client, "0\r\n\r\n"));
    finish();
}

Test(flows, a_client_that_leaves_cuts_the_upstream)
{
    begin("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    RIG_UNTIL(&r, &up, raw_has(&up, "\r\n\r\n"));
    raw_send(&up, STR("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
    RIG_UNTIL(&r, &client, raw_has(&client, "abc"));
    raw_close(&client);
    RIG_UNTIL(&r, &up, up.end != SEEN_OPEN);
    finish();
}

/* H1-18, H1-20: no clean last chunk goes up. */
Test(flows, a_broken_body_cuts_the_upstream)
{
    begin("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    raw_send(&client, STR("3\r\nabc\r\n"));
    RIG_UNTIL(&r, &up, raw_has(&up, "abc\r\n"));
    raw_send(&client, STR("zz\r\n"));
    RIG_UNTIL(&r, &up, up.end != SEEN_OPEN);
    cr_expect(!raw_has(&up, "0\r\n\r\n"));
    RIG_UNTIL(&r, &client, client.end == SEEN_FIN);
    cr_expect(raw_has(&client, "HTTP/1.1 400 "));
    finish();
}
