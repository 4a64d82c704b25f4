/* net_rig.c - see net_rig.h. */
#include "tests/unit/net_rig.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/h1_conn.h"

/* ---- the user of streams ---- */

static void on_piece(void *arg, struct str piece)
{
    struct desk *d = arg;

    d->pieces++;
    if (d->rig->on_piece)
        d->rig->on_piece(d, piece);
    else
        buf_put(&d->body, piece);
}

void desk_echo(struct desk *d)
{
    struct answer_head head = {.status = 200};
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_text(&b, "%s ", d->head);
    buf_put(&b, buf_str(&d->body));
    stream_say_all(d->stream, &head, buf_str(&b));
    buf_clear(&b);
}

static void on_end(void *arg)
{
    struct desk *d = arg;

    d->ended = true;
    if (d->rig->on_end)
        d->rig->on_end(d);
    else
        desk_echo(d);
}

static void on_gone(void *arg, enum err why)
{
    struct desk *d = arg;

    cr_assert(!d->gone && !d->done, "an event after the last one");
    d->gone = true;
    d->why = why;
    if (!d->keep_stream)
        stream_free(&d->stream);
}

static void on_room(void *arg)
{
    struct desk *d = arg;

    d->room = true;
}

static void on_done(void *arg)
{
    struct desk *d = arg;

    cr_assert(!d->gone && !d->done, "an event after the last one");
    d->done = true;
    if (!d->keep_stream)
        stream_free(&d->stream);
}

static const struct stream_events events = {on_piece, on_end, on_gone, on_room,
                                            on_done};

static void on_request(void *arg, struct stream *s,
                       const struct request_head *head)
{
    struct rig *r = arg;
    struct desk *d = &r->desks[r->requests++ % RIG_DESKS];

    buf_clear(&d->body);
    *d = (struct desk){.rig = r, .stream = s};
    buf_init(&d->body, 16 << 20);
    snprintf(d->head, sizeof(d->head), "%.*s %.*s %.*s",
             STR_FMT(method_text(head->method)), STR_FMT(head->target),
             STR_FMT(head->host));
    snprintf(d->sni, sizeof(d->sni), "%.*s", STR_FMT(head->sni));
    snprintf(d->peer, sizeof(d->peer), "%.*s", STR_FMT(head->peer));
    stream_own(s, &events, d);
    if (r->on_request)
        r->on_request(d, head);
    else
        stream_resume(s, PAUSE_WAIT);
}

static void on_refused(void *arg, struct str peer, int status, enum err why)
{
    struct rig *r = arg;

    (void)peer;
    r->refused++;
    r->refused_status = status;
    r->refused_why = why;
}

/* ---- the rig ---- */

void rig_open(struct rig *r, struct tls *tls, bool direct)
{
    *r = (struct rig){.settings = {.head_ms = 10000,
                                   .idle_ms = 620000,
                                   .stall_ms = 60000,
                                   .tunnel_idle_ms = 3600000,
                                   .half_open_ms = 60000,
                                   .connections_max = 1000,
                                   .keep_alive_s = 600}};
    r->tls = tls;
    cr_assert_eq(loop_new(&r->loop), E_OK);
    cr_assert_eq(server_new(r->loop, &r->settings, on_request, on_refused, r,
                            &r->server),
                 E_OK);
    cr_assert_eq(pools_new(r->loop, 8, 4000, &r->pools), E_OK);
    cr_assert_eq(listener_open(STR("127.0.0.1"), 0, &r->fd), E_OK);
    r->port = listener_port(r->fd);
    cr_assert_eq(listener_new(r->server, r->fd, tls, direct, &r->listener),
                 E_OK);
}

void rig_close(struct rig *r)
{
    listener_free(&r->listener);
    server_free(&r->server);
    for (unsigned i = 0; i < RIG_DESKS; i++) {
        stream_free(&r->desks[i].stream);
        buf_clear(&r->desks[i].body);
    }
    pools_free(&r->pools);
    loop_turn(r->loop, false);
    loop_turn(r->loop, false);
    loop_free(&r->loop);
    close(r->fd);
}

void rig_turn(struct rig *r, struct raw *raw)
{
    loop_turn(r->loop, false);
    if (raw)
        raw_read(raw);
}

void rig_settle(struct rig *r, struct raw *raw)
{
    for (int i = 0; i < 4; i++)
        rig_turn(r, raw);
}

/* ---- the raw side ---- */

void raw_connect(struct raw *raw, struct rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)r->port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};

    int on = 1;

    *raw = (struct raw){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    buf_init(&raw->got, 64 << 20);
    setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    cr_assert_eq(connect(raw->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

void raw_pair(struct raw *raw, struct rig *r)
{
    int fds[2];
    struct h1_conn_opening opening = {.peer = STR("local")};

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    opening.fd = fds[1];
    cr_assert_eq(h1_conn_open(r->server, &opening), E_OK);
    *raw = (struct raw){.fd = fds[0]};
    buf_init(&raw->got, 64 << 20);
}

void raw_send(struct raw *raw, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = raw->ssl ? SSL_write(raw->ssl, bytes.p, (int)bytes.n)
                             : send(raw->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        bytes = str_after(bytes, (size_t)n);
    }
}

/* What the last call of OpenSSL says about the end. */
static void note_end(struct raw *raw, int result)
{
    int code = SSL_get_error(raw->ssl, result);
    int reason = ERR_GET_REASON(ERR_peek_error());

    if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE)
        return;
    if (code == SSL_ERROR_ZERO_RETURN)
        raw->end = SEEN_NOTIFY;
    else if (code == SSL_ERROR_SYSCALL && errno == ECONNRESET)
        raw->end = SEEN_RST;
    else
        raw->end = SEEN_FIN; /* without a word */
    if (code == SSL_ERROR_SSL && reason > SSL_AD_REASON_OFFSET)
        raw->alert = reason - SSL_AD_REASON_OFFSET;
    ERR_clear_error();
}

static void read_tls(struct raw *raw)
{
    char bytes[16384];
    int n;

    errno = 0;
    ERR_clear_error();
    n = SSL_read(raw->ssl, bytes, sizeof(bytes));
    if (n > 0)
        buf_put(&raw->got, str_from(bytes, (size_t)n));
    else
        note_end(raw, n);
}

bool raw_shake_hands(struct raw *raw, struct rig *r)
{
    int done = 0;

    fcntl(raw->fd, F_SETFL, O_NONBLOCK);
    SSL_set_connect_state(raw->ssl);
    for (int i = 0; i < 10000 && done != 1 && raw->end == SEEN_OPEN; i++) {
        errno = 0;
        ERR_clear_error();
        done = SSL_do_handshake(raw->ssl);
        if (done != 1)
            note_end(raw, done);
        loop_turn(r->loop, false);
    }
    /* TLS 1.3: the client is done before the server has looked. */
    for (int i = 0; i < 20 && raw->end == SEEN_OPEN; i++)
        rig_turn(r, raw);
    return done == 1 && raw->end == SEEN_OPEN;
}

bool raw_connect_tls(struct raw *raw, struct rig *r, const char *sni,
                     const char *alpn)
{
    unsigned char protocol[32];

    raw_connect(raw, r);
    raw_send(raw, r->greeting);
    raw->context = SSL_CTX_new(TLS_client_method());
    raw->ssl = SSL_new(raw->context);
    SSL_set_fd(raw->ssl, raw->fd);
    if (sni)
        SSL_set_tlsext_host_name((SSL *)raw->ssl, sni);
    if (alpn) {
        protocol[0] = (unsigned char)strlen(alpn);
        memcpy(protocol + 1, alpn, protocol[0]);
        SSL_set_alpn_protos(raw->ssl, protocol, protocol[0] + 1u);
    }
    return raw_shake_hands(raw, r);
}

void raw_read(struct raw *raw)
{
    char bytes[65536];
    ssize_t n;

    if (raw->end != SEEN_OPEN || raw->stalled || raw->fd < 0)
        return;
    if (raw->ssl) {
        struct pollfd p = {raw->fd, POLLIN, 0};

        if (SSL_pending(raw->ssl) || poll(&p, 1, 0) > 0)
            read_tls(raw);
        return;
    }
    n = recv(raw->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0)
        buf_put(&raw->got, str_from(bytes, (size_t)n));
    else if (n == 0)
        raw->end = SEEN_FIN;
    else if (errno == ECONNRESET || errno == EPIPE)
        raw->end = SEEN_RST;
}

void raw_close(struct raw *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->context);
    raw->ssl = raw->context = NULL;
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
    buf_clear(&raw->got);
}

int raw_push_tls(struct raw *raw, const char *p, size_t n, uint64_t left)
{
    int put;

    SSL_set_mode((SSL *)raw->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    put = SSL_write(raw->ssl, p, (int)(left < n ? left : n));
    ERR_clear_error();
    return put > 0 ? put : 0;
}

void raw_reset(struct raw *raw)
{
    struct linger now = {1, 0};

    setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(raw->fd);
    raw->fd = -1;
}

struct str raw_got(const struct raw *raw)
{
    return buf_str(&raw->got);
}

bool raw_has(const struct raw *raw, const char *text)
{
    return str_find_str(raw_got(raw), str_of(text)) < raw_got(raw).n;
}

/* ---- certificates ---- */

void certificate_make(struct certificate_files *c, const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509V3_CTX context;
    X509_EXTENSION *san;
    FILE *file;

    snprintf(c->folder, sizeof(c->folder), "/tmp/net_cert.XXXXXX");
    cr_assert_not_null(mkdtemp(c->folder));
    snprintf(c->cert, sizeof(c->cert), "%s/cert", c->folder);
    snprintf(c->key, sizeof(c->key), "%s/key", c->folder);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)names, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    san = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
    cr_assert_not_null(san);
    X509_add_ext(x, san, -1);
    cr_assert(X509_sign(x, key, EVP_sha256()));
    file = fopen(c->cert, "w");
    PEM_write_X509(file, x);
    fclose(file);
    umask(077);
    file = fopen(c->key, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_EXTENSION_free(san);
    X509_free(x);
    EVP_PKEY_free(key);
}

void certificate_remove(struct certificate_files *c)
{
    unlink(c->cert);
    unlink(c->key);
    rmdir(c->folder);
}

struct tls *certificate_tls(const struct certificate_files *c, unsigned count)
{
    struct tls_pair pairs[4];
    struct tls *tls;
    unsigned bad;
    const char *why;

    for (unsigned i = 0; i < count; i++)
        pairs[i] = (struct tls_pair){str_of(c[i].cert), str_of(c[i].key)};
    cr_assert_eq(tls_new(pairs, count, &tls, &bad, &why), E_OK, "%s", why);
    return tls;
}
