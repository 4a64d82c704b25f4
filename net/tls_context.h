/* tls_context.h - inside net: what tls.c made of certificates and settings. */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "net/tls.h"

/* What a client's SSL is given by SSL_set_app_data(). */
struct tls_asker {
    struct tls *tls; /* counted */
    bool direct;     /* no name: the default certificate */
    char *sni;       /* owned: the name that was asked for */
};

/* The context that a new connection begins with; borrowed. */
SSL_CTX *tls_context(struct tls *t);

/* How its connections read and write; borrowed. */
BIO_METHOD *tls_method(struct tls *t);

#endif
