/* io_tls.h - inside net: a connection's bytes through TLS. */
#ifndef NET_IO_TLS_H
#define NET_IO_TLS_H

#include "net/io.h"
#include "net/tls.h"

/* From now on io speaks TLS; the handshake has not begun.
 * tls     counted
 * Errors: E_NOMEM. */
MUST_USE enum err io_tls_begin(struct io *io, struct tls *tls, bool direct);

/* The same as a client; name for SNI, unless it is none (an address, "").
 * tls     borrowed: the caller keeps a reference as long as io lives
 * Errors: E_NOMEM. */
MUST_USE enum err io_tls_dial(struct io *io, struct tls *tls, const char *name);

/* Go on with the handshake: IO_GOT when it is done, IO_AGAIN to be called at
 * the next event, IO_LOST when it failed (an alert was sent). */
enum io_got io_tls_hello(struct io *io);

/* The name that the client asked for; NULL: none, or no TLS. */
const char *io_tls_name(const struct io *io);

#endif
