/* client.c - the calls of client.h: one request to an upstream, one answer.
 *
 * As on the other side every event ends in step(), and users are called from
 * the loop's events only. */
#include "net/client.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/h1_body.h"
#include "net/h1_head.h"
#include "net/h1_write.h"
#include "net/io_tls.h"
#include "net/upstream.h"

#define CALL_MAGIC 0xca11ca11u

/* Source: threats.md U-08. */
#define INTERIM_MAX 8

/* More than the kernel holds for us (upstream.c). */
#define RESCUE_READS 8

/* A request that is kept until its answer begins. */
#define REQUEST_MAX_BYTES ((size_t)64 << 20)

struct call {
    unsigned magic;
    enum call_state {
        CALL_CONNECT, /* the connection is being made */
        CALL_HELLO,   /* it stands, TLS is being agreed on */
        CALL_HEAD,    /* the request goes out, no answer yet */
        CALL_BODY,    /* the head came */
        CALL_TUNNEL,  /* after 101 */
        CALL_OVER     /* on_end or on_cut was told, or will be by post */
    } state;
    const struct call_events *events; /* borrowed; NULL: freed by its user */
    void *arg;                        /* borrowed */
    struct loop *loop;                /* borrowed */
    struct pool *pool;                /* counted */
    struct up *up;                    /* owned while there is one */
    struct post post;                 /* tells why, without a connection */
    struct buf request;               /* until the answer begins */
    struct h1_body body;              /* of the answer */
    struct h1_answer answer;
    struct call_facts facts;
    enum method method;
    enum err why;
    unsigned pauses; /* enum pause_reason */
    unsigned interim_count;
    int64_t left; /* of the request's body, or LENGTH_CHUNKED */
    int64_t begun_ms, connect_ms, head_ms;
    uint64_t sent_before; /* by the connection, for others */
    bool said_end;        /* the request is complete */
    bool streamed;        /* pieces of it were not kept */
    bool idempotent, upgrade;
    bool full;       /* false was answered: on_room is due */
    bool ended;      /* tunnel: the upstream half-closed */
    bool shut;       /* tunnel: our direction is shut down */
    char accept[32]; /* Sec-WebSocket-Accept that is right */
    char name[256];  /* for SNI; "" none */
};

static void on_up(void *user, unsigned what);

/* ---- ends ---- */

static void bury(void *what)
{
    struct call *c = what;

    c->magic = 0;
    mem_free(c);
}

static void let_go(struct call *c)
{
    if (c->up) {
        c->facts.sent = c->facts.sent || c->up->io.sent_bytes > c->sent_before;
        up_cut(&c->up);
    }
    buf_clear(&c->request);
}

/* The call is over and did not end well. */
static void fail(struct call *c, enum err why)
{
    c->state = CALL_OVER;
    let_go(c);
    if (c->events)
        c->events->on_cut(c->arg, why);
}

/* The answer is whole.  rest_bytes came behind it. */
static void complete(struct call *c, size_t rest_bytes)
{
    bool reuse = c->answer.keep && c->said_end && !rest_bytes &&
                 !io_pending(&c->up->io) && !io_holds(&c->up->io) &&
                 !c->up->io.failed;

    c->state = CALL_OVER;
    c->facts.sent = true;
    if (reuse)
        up_give(&c->up);
    else if (c->said_end)
        up_close(&c->up);
    let_go(c);
    if (c->events)
        c->events->on_end(c->arg);
}

/* ---- sending ---- */

static int64_t due(const struct call *c)
{
    if (c->state <= CALL_HELLO)
        return c->connect_ms ? c->begun_ms + c->connect_ms : IO_NEVER;
    if (c->state == CALL_HEAD)
        return c->head_ms ? c->begun_ms + c->head_ms : IO_NEVER;
    return IO_NEVER;
}

static void frame(struct buf *b, struct str piece, bool chunk)
{
    char size[H1_SIZE_BYTES];

    if (chunk)
        buf_put(b, str_from(size, h1_write_size(size, piece.n)));
    buf_put(b, piece);
    if (chunk)
        buf_put(b, STR("\r\n"));
}

/* The value that accepts the key.  Source: RFC 6455 4.2.2. */
static bool set_accept(struct call *c, const struct fields *fields)
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct str key = fields_get(fields, STR("sec-websocket-key"));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char text[128];

    if (!key.n || key.n > sizeof(text) - sizeof(suffix))
        return false;
    snprintf(text, sizeof(text), "%.*s%s", STR_FMT(key), suffix);
    if (!EVP_Digest(text, strlen(text), digest, &n, EVP_sha1(), NULL))
        return false;
    EVP_EncodeBlock((unsigned char *)c->accept, digest, (int)n);
    return true;
}

static enum err write_request(struct call *c, const struct call_request *r)
{
    struct h1_request_head head = {r->method, r->target, r->host,
                                   r->fields, r->length, r->upgrade};
    size_t bound = h1_request_bound(&head), n;
    char *room = buf_room(&c->request, bound);

    if (!room)
        return E_NOMEM;
    n = h1_write_request(room, &head);
    if (!n || (r->upgrade && !set_accept(c, r->fields)))
        return E_BAD_FIELD;
    buf_grew(&c->request, n);
    c->left = r->length > 0 ? r->length
                            : (r->length == LENGTH_CHUNKED ? r->length : 0);
    if (r->body.n) {
        frame(&c->request, r->body, c->left == LENGTH_CHUNKED);
        c->left -= c->left > 0 ? (int64_t)r->body.n : 0;
    }
    c->said_end = c->left == 0;
    return c->request.failed || c->left < LENGTH_CHUNKED ? E_NOMEM : E_OK;
}

/* The connection stands: send what there is, and keep it. */
static void send_request(struct call *c)
{
    c->state = CALL_HEAD;
    c->facts.connected = true;
    c->begun_ms = clock_ms();
    c->sent_before = c->up->io.sent_bytes;
    io_watch(&c->up->io, true);
    if (c->request.failed)
        io_fail(&c->up->io);
    else
        io_say(&c->up->io, buf_str(&c->request));
}

static enum err begin(struct call *c, bool fresh)
{
    enum err err = E_OK;

    c->facts.reused = false;
    c->up = fresh ? NULL : up_take(c->pool, !c->idempotent);
    if (!c->up) {
        err = up_connect(c->pool, &c->up);
        c->state = CALL_CONNECT;
        c->begun_ms = clock_ms();
    }
    if (err != E_OK)
        return err;
    c->up->on_io = on_up;
    c->up->user = c;
    if (c->up->served) {
        c->facts.reused = true;
        send_request(c);
    } else {
        io_due(&c->up->io, due(c));
    }
    io_step(&c->up->io);
    return E_OK;
}

/* The connection died before a byte of an answer.  Source: threats.md U-11. */
static void lose_before_answer(struct call *c, enum err why)
{
    bool sent = c->up->io.sent_bytes > c->sent_before;
    enum err err;

    c->facts.sent = sent;
    if (c->state <= CALL_HELLO || !c->facts.reused || c->streamed ||
        (sent && !c->idempotent)) {
        fail(c, why);
        return;
    }
    up_cut(&c->up);
    c->facts = (struct call_facts){.connected = false};
    err = begin(c, true);
    if (err != E_OK)
        fail(c, err == E_BACKEND_DOWN ? E_BACKEND_DOWN : E_CUT);
}

static void lose(struct call *c, enum err why)
{
    if (c->facts.answered)
        fail(c, why);
    else
        lose_before_answer(c, c->state == CALL_CONNECT ? E_BACKEND_DOWN : why);
}

/* ---- what came ---- */

/* A head that is not the final one, or 101; false: it breaks the rules. */
static bool take_interim(struct call *c, struct h1_lines *lines)
{
    if (lines->status != 101)
        return ++c->interim_count <= INTERIM_MAX;
    return c->upgrade && h1_accepts(lines, str_of(c->accept));
}

static void take_answer(struct call *c)
{
    /* It has begun: the request will not be sent again. */
    buf_clear(&c->request);
    if (c->answer.head.status == 101) {
        c->state = CALL_TUNNEL;
        c->said_end = false;
        h1_body_begin(&c->body, LENGTH_CLOSE);
    } else {
        c->state = CALL_BODY;
        h1_body_begin(&c->body, c->answer.body);
    }
    if (c->events)
        c->events->on_head(c->arg, &c->answer.head);
}

/* A whole head or a part of one; how many bytes were used. */
static size_t take_head(struct call *c, struct str bytes, bool *more)
{
    struct h1_lines lines = {.rows = c->loop->rows};
    struct h1_scan *scan = &c->up->scan;
    bool again = scan->at > 0, done;
    enum err err = h1_scan_answer(scan, bytes, &lines, &done);

    if (err == E_OK && done && again) {
        *scan = (struct h1_scan){.at = 0};
        err = h1_scan_answer(scan, bytes, &lines, &done);
    }
    *more = done;
    if (err == E_OK && !done)
        return 0;
    *scan = (struct h1_scan){.at = 0};
    if (err == E_OK && lines.status < 200 && !take_interim(c, &lines))
        err = E_BACKEND_GARBAGE;
    if (err == E_OK)
        err = h1_answer(&lines, c->method, &c->answer);
    if (err != E_OK) {
        fail(c, E_BACKEND_GARBAGE);
        return 0;
    }
    if (lines.status >= 200 || lines.status == 101)
        take_answer(c);
    return lines.bytes;
}

static size_t take_body(struct call *c, struct str bytes, bool *more)
{
    struct str piece;
    size_t used = 0;
    enum h1_body_got got = h1_body_next(&c->body, bytes, &used, &piece);

    *more = got == BODY_PIECE;
    if (got == BODY_PIECE)
        c->events->on_piece(c->arg, piece);
    else if (got == BODY_END)
        complete(c, bytes.n - used);
    else if (got == BODY_BAD)
        fail(c, E_BACKEND_GARBAGE);
    return used;
}

static bool wants_body(const struct call *c)
{
    return (c->state == CALL_BODY || c->state == CALL_TUNNEL) && c->events &&
           !c->pauses && !c->ended;
}

static size_t feed(struct call *c, struct str bytes)
{
    size_t at = 0;
    bool more = true;

    while (more) {
        struct str rest = str_after(bytes, at);

        if (c->state == CALL_HEAD)
            at += take_head(c, rest, &more);
        else if (wants_body(c))
            at += take_body(c, rest, &more);
        else
            more = false;
    }
    return at;
}

static void take(struct call *c, struct str bytes)
{
    struct buf *in = &c->up->in;
    size_t used;

    c->facts.answered = true;
    if (!buf_len(in)) {
        used = feed(c, bytes);
        if (c->up)
            buf_put(in, str_after(bytes, used));
    } else {
        buf_put(in, bytes);
        used = feed(c, buf_str(in));
        if (c->up)
            buf_drop(in, used);
    }
    if (c->up && in->failed)
        fail(c, E_NOMEM);
}

static bool feed_kept(struct call *c)
{
    struct buf *in = &c->up->in;
    size_t used = feed(c, buf_str(in));

    if (!c->up)
        return true;
    buf_drop(in, used);
    if (!buf_len(in))
        buf_clear(in);
    return used > 0;
}

static void on_eof(struct call *c)
{
    if (c->state == CALL_TUNNEL) {
        c->ended = true;
        if (c->events)
            c->events->on_end(c->arg);
    } else if (c->state == CALL_BODY && c->body.left == LENGTH_CLOSE) {
        complete(c, 0);
    } else {
        lose(c, E_CUT);
    }
}

/* How many bytes came; 0: none, now or any more. */
static size_t read_once(struct call *c)
{
    struct io *io = &c->up->io;
    size_t n = 0;
    enum io_got got = io->ops->read(io, c->loop->read, TURN_READ_BYTES, &n);

    /* A socket tells of a reset once, to who writes, and then of an end. */
    if (got == IO_END && io->failed && !io->ssl)
        got = IO_LOST;
    if (got == IO_GOT)
        take(c, str_from(c->loop->read, n));
    else if (got == IO_END)
        on_eof(c);
    else if (got == IO_LOST)
        lose(c, E_CUT);
    return n;
}

static bool wants_bytes(const struct call *c)
{
    return c->state == CALL_HEAD || (wants_body(c) && !buf_len(&c->up->in));
}

static void on_readable(struct call *c)
{
    const struct up *up = c->up;
    unsigned reads = 0;

    /* A read that filled its room has left more. */
    while (read_once(c) == TURN_READ_BYTES && ++reads < TURN_READS &&
           c->up == up && wants_bytes(c))
        ;
}

/* Writing failed; what came before that is still to be heard: a refusal of a
 * body that the upstream would not read, the last words of a tunnel.  These
 * wait in the socket while the user pauses. */
static void rescue(struct call *c)
{
    struct up *up = c->up;
    bool more = c->state > CALL_HELLO;

    for (int i = 0; more && !c->pauses && i < RESCUE_READS; i++) {
        more = buf_len(&up->in) && feed_kept(c);
        if (c->up == up && !c->pauses)
            more = read_once(c) || more;
        more = more && c->up == up;
    }
    if (c->up == up && !(more && c->pauses && c->state == CALL_TUNNEL))
        lose(c, E_CUT);
}

/* ---- steps ---- */

static void step(struct call *c)
{
    if (c->up && c->full && c->state > CALL_HELLO && !buf_len(&c->up->io.out)) {
        c->full = false;
        if (c->events)
            c->events->on_room(c->arg);
    }
    while (c->up && wants_body(c) && (buf_len(&c->up->in) || c->body.ended) &&
           feed_kept(c))
        ;
    if (c->up && c->state == CALL_TUNNEL && c->said_end && !c->shut &&
        !io_pending(&c->up->io)) {
        c->shut = true;
        c->up->io.ops->shutdown(&c->up->io);
    }
    if (!c->up || c->state <= CALL_HELLO)
        return;
    io_watch(&c->up->io, wants_bytes(c));
    io_due(&c->up->io, due(c));
    if (c->up->io.reads && io_holds(&c->up->io))
        turn_later(c->loop, &c->up->io.post);
}

/* TLS is agreed on step by step, and then the request goes out. */
static void shake_hands(struct call *c)
{
    switch (io_tls_hello(&c->up->io)) {
    case IO_GOT:
        send_request(c);
        break;
    case IO_AGAIN:
        break;
    case IO_END:
    case IO_LOST:
        c->sent_before = c->up->io.sent_bytes;
        fail(c, E_CUT);
        break;
    }
}

/* The connection stands. */
static void connected(struct call *c)
{
    struct tls *tls = pool_tls(c->pool);

    if (!tls) {
        send_request(c);
        return;
    }
    c->state = CALL_HELLO;
    c->facts.connected = true;
    io_watch(&c->up->io, true);
    if (io_tls_dial(&c->up->io, tls, c->name) != E_OK)
        fail(c, E_NOMEM);
    else
        shake_hands(c);
}

static void on_up(void *user, unsigned what)
{
    struct call *c = user;

    assert(c->magic == CALL_MAGIC);
    /* What the handshake sends is nothing of the request. */
    if (c->state == CALL_HELLO)
        c->sent_before = c->up->io.sent_bytes;
    if (c->up->io.failed)
        rescue(c);
    else if (what & IO_WRITABLE && c->state == CALL_CONNECT)
        connected(c);
    else if (what & IO_READABLE && c->state == CALL_HELLO)
        shake_hands(c);
    else if (what & IO_DUE && clock_ms() >= due(c))
        fail(c,
             c->state == CALL_CONNECT ? E_BACKEND_DOWN : E_UPSTREAM_DEADLINE);
    else if (what & IO_READABLE || (c->up->io.reads && io_holds(&c->up->io)))
        on_readable(c);
    if (c->up)
        step(c);
}

/* ---- orders ---- */

static void on_post(struct post *p)
{
    struct call *c = LIST_OF(p, struct call, post);

    fail(c, c->why);
}

enum err call_start(struct pools *p, const struct call_request *r,
                    const struct call_events *events, void *arg,
                    struct call **out)
{
    struct call *c = *out = mem_new(sizeof(*c));
    enum err err;

    if (!c)
        return E_NOMEM;
    c->magic = CALL_MAGIC;
    c->events = events;
    c->arg = arg;
    c->method = r->method;
    c->idempotent = r->idempotent;
    c->upgrade = r->upgrade;
    c->connect_ms = r->connect_ms;
    c->head_ms = r->head_ms;
    c->post = (struct post){.run = on_post};
    if (r->tls)
        snprintf(c->name, sizeof(c->name), "%.*s", (int)str_find(r->host, ':'),
                 r->host.p);
    buf_init(&c->request, REQUEST_MAX_BYTES);
    err = pool_find(p, r, &c->pool);
    if (err == E_OK) {
        c->loop = pool_loop(c->pool);
        err = write_request(c, r);
    }
    if (err == E_OK)
        err = begin(c, r->fresh);
    if (err == E_OK)
        return E_OK;
    if (err == E_BACKEND_DOWN) {
        c->why = err;
        c->state = CALL_OVER;
        turn_post(c->loop, &c->post);
        return E_OK;
    }
    buf_clear(&c->request);
    pool_unref(&c->pool);
    mem_free(c);
    *out = NULL;
    return err;
}

bool call_say(struct call *c, struct str piece)
{
    bool chunk = c->left == LENGTH_CHUNKED;

    if (c->state == CALL_OVER || c->said_end || !piece.n)
        return true;
    if (c->left >= 0 && c->state != CALL_TUNNEL) {
        /* More than was promised is our mistake and never goes out. */
        if (piece.n > (uint64_t)c->left)
            piece.n = (size_t)c->left;
        c->left -= (int64_t)piece.n;
    }
    if (c->state <= CALL_HELLO) {
        frame(&c->request, piece, chunk);
        c->full = true;
        return false;
    }
    c->streamed = true;
    if (chunk && c->state != CALL_TUNNEL) {
        char size[H1_SIZE_BYTES];

        io_say_framed(&c->up->io, str_from(size, h1_write_size(size, piece.n)),
                      piece, STR("\r\n"));
    } else {
        io_say_on(&c->up->io, piece, c->left > 0 ? (uint64_t)c->left : 0);
    }
    c->full = buf_len(&c->up->io.out) > 0;
    return !c->full;
}

void call_say_end(struct call *c)
{
    if (c->state == CALL_OVER || (c->said_end && c->state != CALL_TUNNEL))
        return;
    c->said_end = true;
    if (c->left == LENGTH_CHUNKED && c->state <= CALL_HELLO) {
        buf_put(&c->request, STR("0\r\n\r\n"));
    } else if (c->left == LENGTH_CHUNKED && c->state != CALL_TUNNEL) {
        c->streamed = true;
        io_say(&c->up->io, STR("0\r\n\r\n"));
    } else if (c->left > 0 && c->state != CALL_TUNNEL) {
        /* Less than was promised: the upstream must not take it for whole. */
        io_fail(&c->up->io);
    }
    if (c->up)
        io_step(&c->up->io);
}

void call_pause(struct call *c, enum pause_reason why)
{
    c->pauses |= why;
}

void call_resume(struct call *c, enum pause_reason why)
{
    c->pauses &= ~(unsigned)why;
    if (!c->pauses && c->up)
        io_step(&c->up->io);
}

struct call_facts call_facts(const struct call *c)
{
    struct call_facts facts = c->facts;

    if (c->up && c->up->io.sent_bytes > c->sent_before)
        facts.sent = true;
    return facts;
}

void call_free(struct call **out)
{
    struct call *c = *out;

    if (!c)
        return;
    *out = NULL;
    assert(c->magic == CALL_MAGIC);
    c->events = NULL;
    c->state = CALL_OVER;
    let_go(c);
    list_remove(&c->post.link);
    pool_unref(&c->pool);
    loop_bury(c->loop, bury, c);
}
