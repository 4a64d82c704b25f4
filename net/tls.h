/* tls.h - what OpenSSL is told: certificates by name, versions, ALPN. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

/* Certificates and settings of the listeners; counted, so that a reload can
 * put a new one beside the old. */
struct tls;

struct tls_pair {
    struct str cert; /* path of a PEM chain */
    struct str key;  /* path of its PEM key */
};

/*
 * TLS 1.2 and 1.3, AEAD suites only, no renegotiation, no compression, no
 * early data, ALPN http/1.1 chosen by our preference (no overlap: alert
 * 120), tickets with keys that rotate.  A certificate is chosen by SNI:
 * exact name, then wildcard of one label.  A name that none has, or no SNI
 * on a listener that is not direct: alert 112.  The first pair is the
 * default of direct listeners.  Source: threats.md 2.5.
 *
 * why  set to a static text when a pair is refused (which one is in *bad)
 * out  given: tls_unref()
 * Errors: E_BAD_FIELD, E_NOMEM.
 */
MUST_USE enum err tls_new(const struct tls_pair *pairs, unsigned count,
                          struct tls **out, unsigned *bad, const char **why);
/*
 * For our calls to what speaks TLS inside a sandbox: TLS 1.2 and 1.3, no
 * certificate is looked at (it is the sandbox's own make, and the way there is
 * the back end's), no ALPN.
 * out  given: tls_unref().  Errors: E_NOMEM.
 */
MUST_USE enum err tls_new_dial(struct tls **out);

/* One more holder; returns t. */
struct tls *tls_ref(struct tls *t);
/* Taken: one holder less; *t becomes NULL.  *t may be NULL. */
void tls_unref(struct tls **t);

#endif
