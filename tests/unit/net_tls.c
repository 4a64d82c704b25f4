#include <criterion/criterion.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/net_rig.h"

static struct certificate_files files[2];
static struct tls *tls;
static struct rig r;

static void open_all(bool direct)
{
    certificate_make(&files[0], "DNS:api.test,DNS:*.test,DNS:a.b.test");
    certificate_make(&files[1], "DNS:Other.Example,DNS:x.test");
    tls = certificate_tls(files, 2);
    rig_open(&r, tls, direct);
}

static void close_all(void)
{
    rig_close(&r);
    tls_unref(&tls);
    certificate_remove(&files[0]);
    certificate_remove(&files[1]);
}

/* Which certificate does the server show? */
static const char *shown(struct raw *c)
{
    static char name[256];
    X509 *x = SSL_get1_peer_certificate(c->ssl);

    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name,
                              sizeof(name));
    X509_free(x);
    return name;
}

Test(tls, picks_a_certificate_by_name)
{
    static const struct {
        const char *sni, *certificate;
    } rows[] = {
        {"api.test", "DNS:api.test,DNS:*.test,DNS:a.b.test"},
        {"API.Test", "DNS:api.test,DNS:*.test,DNS:a.b.test"},
        {"any.test", "DNS:api.test,DNS:*.test,DNS:a.b.test"},
        {"a.b.test", "DNS:api.test,DNS:*.test,DNS:a.b.test"},
        {"x.test", "DNS:Other.Example,DNS:x.test"}, /* exact before wild */
        {"other.example", "DNS:Other.Example,DNS:x.test"},
    };
    struct raw c;

    open_all(false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        cr_assert(raw_connect_tls(&c, &r, rows[i].sni, "http/1.1"), "%s",
                  rows[i].sni);
        cr_expect_str_eq(shown(&c), rows[i].certificate, "%s", rows[i].sni);
        raw_send(&c, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        RIG_UNTIL(&r, &c, raw_has(&c, "GET / a"));
        raw_close(&c);
    }
    close_all();
}

Test(tls, refuses_names_that_no_certificate_has)
{
    static const char *const names[] = {
        "evil.example",    "test",      "c.b.test", "127.0.0.1",
        "x.other.example", "api.test.", NULL};
    struct raw c;

    open_all(false);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        cr_expect(!raw_connect_tls(&c, &r, names[i], NULL));
        cr_expect_eq(c.alert, 112, "%s: %d", names[i] ? names[i] : "none",
                     c.alert);
        raw_close(&c);
    }
    close_all();
}

Test(tls, gives_a_direct_listener_a_default)
{
    struct raw c;

    open_all(true);
    cr_expect(raw_connect_tls(&c, &r, NULL, NULL));
    cr_expect_str_eq(shown(&c), "DNS:api.test,DNS:*.test,DNS:a.b.test");
    raw_close(&c);
    cr_expect(!raw_connect_tls(&c, &r, "evil.example", NULL));
    cr_expect_eq(c.alert, 112);
    raw_close(&c);
    close_all();
}

Test(tls, speaks_http_1_1_only)
{
    struct raw c;

    open_all(false);
    cr_expect(!raw_connect_tls(&c, &r, "api.test", "h2"));
    cr_expect_eq(c.alert, 120, "%d", c.alert);
    raw_close(&c);
    cr_expect(raw_connect_tls(&c, &r, "api.test", NULL));
    raw_close(&c);
    close_all();
}

static bool try_with(int version, const char *ciphers, int *alert)
{
    struct raw c;
    bool good;

    raw_connect(&c, &r);
    c.context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(c.context, 0);
    SSL_CTX_set_min_proto_version(c.context, version);
    SSL_CTX_set_max_proto_version(c.context, version);
    if (ciphers)
        SSL_CTX_set_cipher_list(c.context, ciphers);
    c.ssl = SSL_new(c.context);
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_tlsext_host_name((SSL *)c.ssl, "api.test");
    good = raw_shake_hands(&c, &r);
    *alert = c.alert;
    raw_close(&c);
    return good;
}

Test(tls, refuses_old_versions_and_weak_ciphers)
{
    int alert;

    open_all(false);
    cr_expect(try_with(TLS1_3_VERSION, NULL, &alert));
    cr_expect(
        try_with(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", &alert));
    cr_expect(!try_with(TLS1_1_VERSION, NULL, &alert));
    cr_expect_eq(alert, 70, "%d", alert);
    cr_expect(!try_with(TLS1_VERSION, NULL, &alert));
    cr_expect(!try_with(TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", &alert));
    cr_expect_eq(alert, 40, "%d", alert);
    cr_expect(!try_with(TLS1_2_VERSION, "AES128-GCM-SHA256", &alert));
    close_all();
}

Test(tls, closes_on_plain_http)
{
    struct raw c;

    open_all(false);
    raw_connect(&c, &r);
    raw_send(&c, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(&r, &c, c.end != SEEN_OPEN);
    cr_expect(!raw_has(&c, "HTTP"));
    cr_expect_eq(r.requests, 0);
    raw_close(&c);
    close_all();
}

Test(tls, resumes_by_a_ticket_of_the_same_certificate)
{
    struct raw c;
    SSL_SESSION *session;

    open_all(false);
    cr_assert(raw_connect_tls(&c, &r, "other.example", NULL));
    session = SSL_get1_session(c.ssl);
    SSL_set_shutdown(c.ssl, SSL_SENT_SHUTDOWN); /* else it is forgotten */
    raw_close(&c);
    for (int other = 0; other < 2; other++) {
        raw_connect(&c, &r);
        c.context = SSL_CTX_new(TLS_client_method());
        c.ssl = SSL_new(c.context);
        SSL_set_fd(c.ssl, c.fd);
        SSL_set_session(c.ssl, session);
        if (other)
            SSL_set_tlsext_host_name((SSL *)c.ssl, "api.test");
        else
            SSL_set_tlsext_host_name((SSL *)c.ssl, "other.example");
        cr_expect(raw_shake_hands(&c, &r));
        cr_expect_eq(SSL_session_reused(c.ssl), !other);
        raw_close(&c);
    }
    SSL_SESSION_free(session);
    close_all();
}

Test(tls, tells_the_name_and_the_peer)
{
    struct raw c;

    open_all(false);
    cr_assert(raw_connect_tls(&c, &r, "Any.Test", NULL));
    r.on_request = NULL;
    raw_send(&c, STR("GET / HTTP/1.1\r\nHost: any.test\r\n\r\n"));
    RIG_UNTIL(&r, &c, r.requests == 1 && r.desks[0].ended);
    cr_expect_str_eq(r.desks[0].sni, "any.test");
    cr_expect_str_eq(r.desks[0].peer, "127.0.0.1");
    raw_close(&c);
    close_all();
}

Test(tls, says_what_is_wrong_with_a_pair)
{
    struct certificate_files c, other;
    struct tls_pair pairs[2];
    struct tls *none;
    unsigned bad;
    const char *why;

    certificate_make(&c, "DNS:a.test");
    certificate_make(&other, "DNS:b.test");
    pairs[0] = (struct tls_pair){str_of(c.cert), str_of(c.key)};
    pairs[1] = (struct tls_pair){str_of(c.cert), str_of(other.key)};
    cr_expect_eq(tls_new(pairs, 2, &none, &bad, &why), E_BAD_FIELD);
    cr_expect_eq(bad, 1);
    cr_expect_str_eq(why, "key cannot be read or is not the certificate's");
    cr_expect_null(none);
    pairs[1].cert = STR("/nowhere/at/all");
    cr_expect_eq(tls_new(pairs, 2, &none, &bad, &why), E_BAD_FIELD);
    cr_expect_str_eq(why, "certificate cannot be read");
    chmod(c.key, 0644);
    cr_expect_eq(tls_new(pairs, 1, &none, &bad, &why), E_BAD_FIELD);
    cr_expect_eq(bad, 0);
    cr_expect_str_eq(why, "key can be read by others");
    cr_expect_eq(tls_new(pairs, 0, &none, &bad, &why), E_BAD_FIELD);
    certificate_remove(&c);
    certificate_remove(&other);
}

Test(tls, changes_certificates_for_new_connections_only)
{
    struct certificate_files next;
    struct tls *newer;
    struct raw old, c;

    open_all(false);
    certificate_make(&next, "DNS:api.test");
    newer = certificate_tls(&next, 1);
    cr_assert(raw_connect_tls(&old, &r, "api.test", NULL));
    listener_set_tls(r.listener, newer);
    tls_unref(&newer);
    cr_assert(raw_connect_tls(&c, &r, "api.test", NULL));
    cr_expect_str_eq(shown(&c), "DNS:api.test");
    raw_send(&old, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(&r, &old, raw_has(&old, "GET / a"));
    raw_close(&c);
    raw_close(&old);
    certificate_remove(&next);
    close_all();
}

/* T-06. */
Test(tls, ends_a_handshake_that_takes_too_long)
{
    struct raw silent, slow;

    open_all(false);
    r.settings.handshake_ms = 30;
    server_set(r.server, &r.settings);
    raw_connect(&silent, &r);
    raw_connect(&slow, &r);
    raw_send(&slow, str_from("\x16\x03\x01\x02\x00\x01\x00\x01", 8));
    RIG_UNTIL(&r, &silent, silent.end != SEEN_OPEN);
    RIG_UNTIL(&r, &slow, slow.end != SEEN_OPEN);
    cr_expect_eq(raw_got(&silent).n, 0);
    cr_expect_eq(server_connections(r.server), 0);
    raw_close(&silent);
    raw_close(&slow);
    close_all();
}

Test(tls, has_no_more_than_512_handshakes_under_way)
{
    static struct raw many[520];
    struct raw c;

    open_all(false);
    for (int i = 0; i < 520; i++) {
        raw_connect(&many[i], &r);
        rig_turn(&r, NULL);
    }
    rig_settle(&r, NULL);
    cr_expect_eq(server_connections(r.server), 512);
    for (int i = 0; i < 520; i++)
        raw_close(&many[i]);
    cr_expect(raw_connect_tls(&c, &r, "api.test", NULL));
    raw_close(&c);
    close_all();
}

static void hold(struct desk *d)
{
    (void)d;
}

static bool resumes_after(SSL_SESSION *session, int64_t hours)
{
    struct raw c;
    bool reused;

    clock_set_ms(1000 + hours * 3600 * 1000);
    raw_connect(&c, &r);
    c.context = SSL_CTX_new(TLS_client_method());
    c.ssl = SSL_new(c.context);
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_session(c.ssl, session);
    SSL_set_tlsext_host_name((SSL *)c.ssl, "api.test");
    cr_expect(raw_shake_hands(&c, &r));
    reused = SSL_session_reused(c.ssl);
    SSL_set_shutdown(c.ssl, SSL_SENT_SHUTDOWN);
    raw_close(&c);
    return reused;
}

/* T-05: a key makes tickets for 12 hours and reads them for as long again. */
Test(tls, rotates_the_keys_of_tickets)
{
    SSL_SESSION *session;
    struct raw c;

    clock_set_ms(1000);
    open_all(false);
    cr_assert(raw_connect_tls(&c, &r, "api.test", NULL));
    session = SSL_get1_session(c.ssl);
    SSL_set_shutdown(c.ssl, SSL_SENT_SHUTDOWN);
    raw_close(&c);
    cr_expect(resumes_after(session, 11));
    cr_expect(resumes_after(session, 13));
    cr_expect(!resumes_after(session, 26));
    SSL_SESSION_free(session);
    close_all();
}

/* T-03. */
Test(tls, does_not_renegotiate)
{
    struct raw c;

    open_all(false);
    raw_connect(&c, &r);
    c.context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(c.context, TLS1_2_VERSION);
    c.ssl = SSL_new(c.context);
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_tlsext_host_name((SSL *)c.ssl, "api.test");
    cr_assert(raw_shake_hands(&c, &r));
    cr_assert_eq(SSL_renegotiate(c.ssl), 1);
    for (int i = 0; i < 20 && c.end == SEEN_OPEN; i++) {
        SSL_do_handshake(c.ssl);
        rig_turn(&r, &c);
    }
    cr_expect_neq(SSL_num_renegotiations(c.ssl), 0);
    cr_expect(!SSL_is_init_finished(c.ssl) || c.end != SEEN_OPEN);
    raw_close(&c);
    close_all();
}

/* Each asks for an answer that the client does not read: it must not pile up
 * here. */
Test(tls, is_not_made_to_write_without_end)
{
    struct raw c;
    size_t before, after;
    unsigned asked = 0;

    open_all(false);
    cr_assert(raw_connect_tls(&c, &r, "api.test", NULL));
    cr_assert_eq(SSL_version(c.ssl), TLS1_3_VERSION);
    rig_settle(&r, &c);
    before = mallinfo2().uordblks;
    for (int i = 0; i < 6000 && c.end == SEEN_OPEN; i++) {
        if (SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
            SSL_do_handshake(c.ssl) == 1)
            asked++;
        if (i % 16 == 0)
            loop_turn(r.loop, false);
    }
    after = mallinfo2().uordblks;
    cr_expect_gt(asked, 1000);
    cr_expect_lt(after, before + (512 << 10), "%zu", after - before);
    raw_close(&c);
    close_all();
}

Test(tls, survives_refused_allocations)
{
    struct raw c;

    open_all(false);
    for (long n = 0; n < 16; n++) {
        mem_refuse(n);
        raw_connect_tls(&c, &r, "api.test", NULL);
        mem_refuse(-1);
        raw_close(&c);
        for (int i = 0; i < 4; i++)
            rig_turn(&r, NULL);
        cr_expect_eq(server_connections(r.server), 0, "allocation %ld", n);
    }
    cr_expect(raw_connect_tls(&c, &r, "api.test", NULL));
    raw_close(&c);
    for (long n = 0; n < 32; n++) {
        struct tls_pair pair = {str_of(files[0].cert), str_of(files[0].key)};
        struct tls *other;
        unsigned bad;
        const char *why;
        enum err err;

        mem_refuse(n);
        err = tls_new(&pair, 1, &other, &bad, &why);
        mem_refuse(-1);
        cr_expect(err == E_OK || err == E_NOMEM || err == E_BAD_FIELD);
        tls_unref(&other);
    }
    close_all();
}

/* However large a piece of an answer is, it arrives whole, in chunks. */
Test(tls, takes_pieces_of_any_size)
{
    static const size_t sizes[] = {1,      16384,  45056,  65536,  65537,
                                   114687, 114688, 114689, 350000, 5 << 20};
    static char piece[5 << 20];
    struct answer_head head = {.status = 200, .length = LENGTH_CHUNKED};
    size_t least = 0;
    struct raw c;

    open_all(false);
    r.on_end = hold;
    cr_assert(raw_connect_tls(&c, &r, "api.test", NULL));
    raw_send(&c, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(&r, &c, r.desks[0].ended);
    memset(piece, 'x', sizeof(piece));
    stream_say_head(r.desks[0].stream, &head);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        least += sizes[i];
        stream_say(r.desks[0].stream, str_from(piece, sizes[i]));
    }
    stream_say_end(r.desks[0].stream);
    RIG_UNTIL(&r, &c, raw_has(&c, "\r\n0\r\n\r\n"));
    cr_expect_gt(buf_len(&c.got), least);
    RIG_UNTIL(&r, &c, r.desks[0].done);
    raw_close(&c);
    close_all();
}

/* Answer the first piece with more than any socket takes. */
static void answer_much(struct desk *d, struct str piece)
{
    static char much[8 << 20];

    if (d->pieces == 1)
        stream_say(d->stream, str_from(much, sizeof(much)));
    buf_put(&d->body, piece);
}

static void open_tunnel(struct desk *d, const struct request_head *head)
{
    struct answer_head answer = {.status = 101};

    (void)head;
    stream_say_head(d->stream, &answer);
    stream_resume(d->stream, PAUSE_WAIT);
}

static void on_time(void *arg)
{
    *(bool *)arg = true;
}

/* How often the loop wakes up while nothing can be done. */
static unsigned turns_in(int ms)
{
    struct timer t;
    bool over = false;
    unsigned turns = 0;

    timer_init(&t, r.loop, on_time, &over);
    timer_set(&t, ms);
    for (; !over; turns++)
        loop_turn(r.loop, true);
    timer_clear(&t);
    return turns;
}

/* A client that does not read is not read either, and costs no turns of the
 * loop; when it reads again, nothing is left behind inside OpenSSL. */
Test(tls, reads_on_when_what_it_wrote_is_read)
{
    static char up[65536 + 1000];
    struct raw c;

    open_all(false);
    r.on_request = open_tunnel;
    r.on_piece = answer_much;
    for (size_t more = 0; more < 2; more++) {
        struct desk *d = &r.desks[more];

        cr_assert(raw_connect_tls(&c, &r, "api.test", NULL));
        raw_send(&c,
                 STR("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                     "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"));
        RIG_UNTIL(&r, &c, raw_has(&c, "101"));
        c.stalled = true;
        raw_send(&c, str_from(up, sizeof(up)));
        RIG_UNTIL(&r, &c, d->pieces);
        rig_settle(&r, &c);
        raw_send(&c, str_from(up, more));
        cr_expect_leq(turns_in(30), 10);
        cr_expect_lt(buf_len(&d->body), sizeof(up));
        c.stalled = false;
        RIG_UNTIL(&r, &c, buf_len(&c.got) > 8 << 20);
        RIG_UNTIL(&r, &c, buf_len(&d->body) == sizeof(up) + more);
        raw_close(&c);
    }
    close_all();
}
