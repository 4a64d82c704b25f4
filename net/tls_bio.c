/* tls_bio.c - see tls_bio.h.
 *
 * OpenSSL writes records into the loop's seal, which goes to the socket in one
 * write; so it never has to wait for room, and what a read makes it write (a
 * key update) goes the same way. */
#include "net/tls_bio.h"

#include <errno.h>
#include <sys/socket.h>

void tls_bio_send(struct io *io)
{
    struct loop *l = io->loop;
    struct iovec v = {l->seal, l->seal_n};

    l->seal_n = 0;
    if (v.iov_len && io->fd >= 0 && !io->failed)
        io_send(io, &v, 1);
}

static int write_some(BIO *bio, const char *p, int n)
{
    struct io *io = BIO_get_data(bio);
    struct loop *l = io->loop;
    size_t left = n > 0 ? (size_t)n : 0;

    BIO_clear_retry_flags(bio);
    while (left) {
        size_t room = sizeof(l->seal) - l->seal_n;
        size_t part = left < room ? left : room;

        memcpy(l->seal + l->seal_n, p, part);
        l->seal_n += part;
        p += part;
        left -= part;
        if (left)
            tls_bio_send(io);
    }
    return io->failed ? -1 : n;
}

static int read_some(BIO *bio, char *p, int room)
{
    struct io *io = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    if (io->drained) {
        BIO_set_retry_read(bio);
        return -1;
    }
    n = recv(io->fd, p, (size_t)room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        io->drained = true;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (n > 0 && n < room)
        io->drained = true;
    return (int)n;
}

static long control(BIO *bio, int what, long number, void *p)
{
    (void)bio;
    (void)number;
    (void)p;
    return what == BIO_CTRL_FLUSH || what == BIO_CTRL_PUSH ||
           what == BIO_CTRL_POP || what == BIO_CTRL_DUP;
}

BIO_METHOD *tls_bio_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sandgate");

    if (!method)
        return NULL;
    BIO_meth_set_write(method, write_some);
    BIO_meth_set_read(method, read_some);
    BIO_meth_set_ctrl(method, control);
    return method;
}
