/* io_tls.c - see io_tls.h.
 *
 * OpenSSL reads from the socket with read-ahead: what it holds already is in
 * no socket, and no event tells of it.  It never waits for room to write: see
 * tls_bio.c. */
#include "net/io_tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "net/tls_bio.h"
#include "net/tls_context.h"

/* One record: pieces up to it are copied behind what waits, so that a head
 * and a small body are one record. */
#define RECORD_BYTES 16384

/* ---- the table ---- */

static enum io_got end_of(struct io *io, int result)
{
    switch (SSL_get_error(io->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        io->dry = true;
        return IO_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return IO_END;
    default:
        ERR_clear_error();
        return IO_LOST;
    }
}

static enum io_got tls_read(struct io *io, char *p, size_t room, size_t *n)
{
    enum io_got got = io->held;

    *n = 0;
    if (got != IO_AGAIN)
        return got;
    io->dry = io->drained = false;
    if (buf_len(&io->out) > IO_UNREAD_BYTES)
        return IO_AGAIN;
    ERR_clear_error();
    while (*n < room) {
        size_t part = 0;
        int result = SSL_read_ex(io->ssl, p + *n, room - *n, &part);

        if (result != 1) {
            got = end_of(io, result);
            break;
        }
        *n += part;
    }
    tls_bio_send(io);
    if (!*n)
        return got;
    io->held = got;
    return IO_GOT;
}

static bool seal(struct io *io, const void *p, size_t n)
{
    size_t written = 0;

    return !n || (SSL_write_ex(io->ssl, p, n, &written) == 1 && written == n);
}

static void tls_write(struct io *io, const struct iovec *v, int count)
{
    bool good = true;

    ERR_clear_error();
    for (int i = 0; i < count && good; i++)
        good = seal(io, v[i].iov_base, v[i].iov_len);
    tls_bio_send(io);
    if (!good)
        io_fail(io);
}

static void tls_shutdown(struct io *io)
{
    ERR_clear_error();
    if (!(SSL_get_shutdown(io->ssl) & SSL_SENT_SHUTDOWN))
        SSL_shutdown(io->ssl);
    ERR_clear_error();
    tls_bio_send(io);
    if (!buf_len(&io->out) && !io->failed)
        shutdown(io->fd, SHUT_WR);
}

static void tls_close(struct io *io)
{
    struct tls_asker *asker = SSL_get_app_data((SSL *)io->ssl);

    SSL_free(io->ssl);
    io->ssl = NULL;
    if (!asker)
        return;
    tls_unref(&asker->tls);
    mem_free(asker->sni);
    mem_free(asker);
}

static bool tls_holds(const struct io *io)
{
    if (io->held != IO_AGAIN)
        return true;
    return io->ssl && !io->dry && buf_len(&io->out) <= IO_UNREAD_BYTES &&
           SSL_has_pending(io->ssl);
}

static const struct io_ops io_tls = {tls_read,  tls_write, tls_shutdown,
                                     tls_close, tls_holds, RECORD_BYTES};

/* ---- the handshake ---- */

/* Errors: E_NOMEM. */
MUST_USE static enum err make_ssl(struct io *io, struct tls *tls, SSL **out)
{
    SSL *ssl = SSL_new(tls_context(tls));
    BIO *bio = ssl ? BIO_new(tls_method(tls)) : NULL;

    *out = ssl;
    if (!bio) {
        SSL_free(ssl);
        ERR_clear_error();
        return E_NOMEM;
    }
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return E_OK;
}

enum err io_tls_begin(struct io *io, struct tls *tls, bool direct)
{
    struct tls_asker *asker = mem_new(sizeof(*asker));
    SSL *ssl;

    if (!asker || make_ssl(io, tls, &ssl) != E_OK) {
        mem_free(asker);
        return E_NOMEM;
    }
    asker->tls = tls_ref(tls);
    asker->direct = direct;
    SSL_set_app_data(ssl, asker);
    SSL_set_accept_state(ssl);
    io->ssl = ssl;
    io->ops = &io_tls;
    return E_OK;
}

static bool is_name(const char *name)
{
    unsigned char address[16];

    return name[0] && inet_pton(AF_INET, name, address) != 1 &&
           !strchr(name, ':');
}

enum err io_tls_dial(struct io *io, struct tls *tls, const char *name)
{
    SSL *ssl;

    if (make_ssl(io, tls, &ssl) != E_OK)
        return E_NOMEM;
    if (is_name(name) && SSL_set_tlsext_host_name(ssl, name) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return E_NOMEM;
    }
    SSL_set_connect_state(ssl);
    io->ssl = ssl;
    io->ops = &io_tls;
    return E_OK;
}

enum io_got io_tls_hello(struct io *io)
{
    enum io_got got = IO_GOT;
    int result;

    io->dry = io->drained = false;
    ERR_clear_error();
    result = SSL_do_handshake(io->ssl);
    if (result != 1)
        got = end_of(io, result);
    tls_bio_send(io);
    return io->failed ? IO_LOST : got;
}

const char *io_tls_name(const struct io *io)
{
    const struct tls_asker *asker =
        io->ssl ? SSL_get_app_data((SSL *)io->ssl) : NULL;

    return asker ? asker->sni : NULL;
}
