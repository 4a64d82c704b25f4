/* tls_bio.h - inside net: between OpenSSL and the socket. */
#ifndef NET_TLS_BIO_H
#define NET_TLS_BIO_H

#include <openssl/bio.h>

#include "net/io.h"

/* How OpenSSL reads and writes; the data of such a BIO is its struct io.
 * Given: BIO_meth_free(); NULL: no memory. */
BIO_METHOD *tls_bio_new(void);

/* Give the socket the records that OpenSSL wrote since the last time.  To be
 * called after every call of OpenSSL that may write. */
void tls_bio_send(struct io *io);

#endif
