/* tls.c - see tls.h.  One context per certificate; the client's hello picks
 * one before anything else of it is believed. */
#include "net/tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/tls_bio.h"
#include "net/tls_context.h"

/* Source: threats.md T-05. */
#define TICKET_KEY_MS ((int64_t)12 * 3600 * 1000)

#define NAME_MAX_BYTES 255

/* Protocols of ALPN in our order of preference. */
static const struct str protocols[] = {STR("http/1.1")};

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
    int64_t made_ms;
};

struct certificate {
    SSL_CTX *context; /* owned */
    char **names;     /* owned: DNS names, lower case */
    unsigned count;
};

struct tls {
    unsigned uses;
    BIO_METHOD *method;              /* owned */
    struct certificate *certificate; /* owned */
    unsigned count;
    struct ticket_key keys[2]; /* the newer one first */
};

/* ---- tickets ---- */

static void rotate(struct tls *t)
{
    int64_t now_ms = clock_ms();
    struct ticket_key *key = &t->keys[0];

    if (key->made_ms && now_ms - key->made_ms < TICKET_KEY_MS)
        return;
    t->keys[1] = t->keys[0];
    random_bytes(key, sizeof(*key));
    key->made_ms = now_ms > 0 ? now_ms : 1;
}

static int use_key(struct ticket_key *key, EVP_CIPHER_CTX *cipher,
                   EVP_MAC_CTX *mac, const unsigned char *iv, int enc)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac,
                                          sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};

    return EVP_MAC_CTX_set_params(mac, params) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv,
                             enc) == 1;
}

/* The result is OpenSSL's: 1 good, 2 good and give a new one, 0 a ticket that
 * we cannot read, -1 an error. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv,
                     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
    struct tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    int64_t oldest_ms = clock_ms() - 2 * TICKET_KEY_MS;

    rotate(t);
    if (enc) {
        memcpy(name, t->keys[0].name, sizeof(t->keys[0].name));
        random_bytes(iv, (size_t)EVP_CIPHER_get_iv_length(EVP_aes_256_cbc()));
        return use_key(&t->keys[0], cipher, mac, iv, 1) ? 1 : -1;
    }
    for (int i = 0; i < 2; i++) {
        struct ticket_key *key = &t->keys[i];

        if (key->made_ms && key->made_ms >= oldest_ms &&
            memcmp(key->name, name, sizeof(key->name)) == 0)
            return use_key(key, cipher, mac, iv, 0) ? i + 1 : -1;
    }
    return 0;
}

/* ---- names ---- */

static bool is_wild(struct str name)
{
    return name.n > 2 && name.p[0] == '*' && name.p[1] == '.';
}

static bool matches(struct str pattern, struct str name, bool wild)
{
    size_t dot = str_find(name, '.');

    if (is_wild(pattern) != wild)
        return false;
    if (!wild)
        return str_eq(pattern, name);
    return dot > 0 && str_eq(str_after(name, dot), str_after(pattern, 1));
}

/* The certificate for a name: an exact one before a wildcard. */
static struct certificate *find(struct tls *t, struct str name)
{
    for (int wild = 0; wild < 2; wild++)
        for (unsigned i = 0; i < t->count; i++)
            for (unsigned k = 0; k < t->certificate[i].count; k++)
                if (matches(str_of(t->certificate[i].names[k]), name, wild))
                    return &t->certificate[i];
    return NULL;
}

/* The host name of the extension server_name: one entry of type 0.  Source:
 * RFC 6066 3. */
static bool hello_name(SSL *ssl, struct str *out)
{
    const unsigned char *p;
    size_t n, list, name;

    *out = STR_NONE;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n))
        return true;
    if (n < 5)
        return false;
    list = (size_t)p[0] << 8 | p[1];
    name = (size_t)p[3] << 8 | p[4];
    if (list != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name || name != n - 5 ||
        name == 0 || name > NAME_MAX_BYTES)
        return false;
    *out = str_from((const char *)p + 5, name);
    return true;
}

static char *lower_copy(struct str s)
{
    char *z = mem_malloc(s.n + 1);

    if (!z)
        return NULL;
    for (size_t i = 0; i < s.n; i++)
        z[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    z[s.n] = '\0';
    return z;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
    struct tls *t = arg;
    struct tls_asker *asker = SSL_get_app_data(ssl);
    struct certificate *found = NULL;
    struct str name;

    *alert = SSL_AD_UNRECOGNIZED_NAME;
    if (!asker || asker->sni || !hello_name(ssl, &name) ||
        memchr(name.n ? name.p : "", '\0', name.n))
        return SSL_CLIENT_HELLO_ERROR;
    if (!name.n)
        return asker->direct ? SSL_CLIENT_HELLO_SUCCESS
                             : SSL_CLIENT_HELLO_ERROR;
    asker->sni = lower_copy(name);
    if (!asker->sni) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    found = find(t, str_of(asker->sni));
    if (!found)
        return SSL_CLIENT_HELLO_ERROR;
    return SSL_set_SSL_CTX(ssl, found->context) ? SSL_CLIENT_HELLO_SUCCESS
                                                : SSL_CLIENT_HELLO_ERROR;
}

/* ---- protocols ---- */

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
        for (unsigned at = 0; at < in_n; at += in[at] + 1u) {
            struct str offer = str_from((const char *)in + at + 1, in[at]);

            if (at + 1 + in[at] > in_n || !str_eq(offer, protocols[i]))
                continue;
            *out = in + at + 1;
            *out_n = in[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol(120) */
}

/* ---- contexts ---- */

/* What holds for both sides. */
static bool set_common(SSL_CTX *context)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* No partial writes: our BIO takes all, and keeps what must wait. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
}

static bool set_up(struct tls *t, SSL_CTX *context, unsigned number)
{
    SSL_CTX_set_app_data(context, t);
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_client_hello_cb(context, on_hello, t);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket);
    /* A ticket is good for the certificate that it was given under. */
    return SSL_CTX_set_session_id_context(context, (unsigned char *)&number,
                                          sizeof(number)) == 1 &&
           set_common(context) &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

static bool add_name(struct certificate *c, struct str name)
{
    char **names = mem_realloc(c->names, (c->count + 1) * sizeof(*names));

    if (!names)
        return false;
    c->names = names;
    names[c->count] = lower_copy(name);
    return names[c->count] && ++c->count;
}

/* The DNS names of a certificate; other kinds cannot be asked for by SNI. */
static bool read_names(struct certificate *c)
{
    X509 *x509 = SSL_CTX_get0_certificate(c->context);
    GENERAL_NAMES *all =
        X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    bool good = true;

    for (int i = 0; i < sk_GENERAL_NAME_num(all) && good; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        const ASN1_STRING *text = name->d.dNSName;

        if (name->type == GEN_DNS)
            good =
                add_name(c, str_from((const char *)ASN1_STRING_get0_data(text),
                                     (size_t)ASN1_STRING_length(text)));
    }
    GENERAL_NAMES_free(all);
    return good;
}

/* Is the key's file closed to everybody but its owner and group? */
static bool is_private(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 || !(st.st_mode & (S_IROTH | S_IWOTH));
}

/* NULL, or what is wrong with the pair. */
static const char *load(struct tls *t, struct certificate *c,
                        const struct tls_pair *pair)
{
    char cert[4096], key[4096];

    if (pair->cert.n >= sizeof(cert) || pair->key.n >= sizeof(key))
        return "path is too long";
    snprintf(cert, sizeof(cert), "%.*s", STR_FMT(pair->cert));
    snprintf(key, sizeof(key), "%.*s", STR_FMT(pair->key));
    c->context = SSL_CTX_new(TLS_server_method());
    if (!c->context || !set_up(t, c->context, (unsigned)(c - t->certificate)))
        return "TLS cannot be set up";
    if (SSL_CTX_use_certificate_chain_file(c->context, cert) != 1)
        return "certificate cannot be read";
    if (!is_private(key))
        return "key can be read by others";
    if (SSL_CTX_use_PrivateKey_file(c->context, key, SSL_FILETYPE_PEM) != 1)
        return "key cannot be read or is not the certificate's";
    if (SSL_CTX_check_private_key(c->context) != 1)
        return "key is not the certificate's";
    return read_names(c) ? NULL : "names cannot be read";
}

enum err tls_new(const struct tls_pair *pairs, unsigned count, struct tls **out,
                 unsigned *bad, const char **why)
{
    struct tls *t = *out = mem_new(sizeof(*t));
    const char *wrong = NULL;

    *bad = 0;
    *why = NULL;
    if (!t)
        return E_NOMEM;
    t->uses = 1;
    t->method = tls_bio_new();
    t->certificate = mem_new((count ? count : 1) * sizeof(*t->certificate));
    if (!t->method || !t->certificate) {
        tls_unref(out);
        return E_NOMEM;
    }
    rotate(t);
    if (!count)
        wrong = "no certificate";
    for (; t->count < count && !wrong; t->count++) {
        *bad = t->count;
        wrong = load(t, &t->certificate[t->count], &pairs[t->count]);
    }
    ERR_clear_error();
    if (!wrong)
        return E_OK;
    *why = wrong;
    tls_unref(out);
    return E_BAD_FIELD;
}

enum err tls_new_dial(struct tls **out)
{
    struct tls *t = *out = mem_new(sizeof(*t));
    SSL_CTX *context;

    if (!t)
        return E_NOMEM;
    t->uses = 1;
    t->method = tls_bio_new();
    t->certificate = mem_new(sizeof(*t->certificate));
    context =
        t->method && t->certificate ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (context) {
        t->certificate[0].context = context;
        t->count = 1;
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    }
    if (context && set_common(context))
        return E_OK;
    tls_unref(out);
    ERR_clear_error();
    return E_NOMEM;
}

struct tls *tls_ref(struct tls *t)
{
    t->uses++;
    return t;
}

void tls_unref(struct tls **out)
{
    struct tls *t = *out;

    *out = NULL;
    if (!t || --t->uses)
        return;
    for (unsigned i = 0; i < t->count; i++) {
        struct certificate *c = &t->certificate[i];

        SSL_CTX_free(c->context);
        for (unsigned k = 0; k < c->count; k++)
            mem_free(c->names[k]);
        mem_free(c->names);
    }
    BIO_meth_free(t->method);
    mem_free(t->certificate);
    OPENSSL_cleanse(t->keys, sizeof(t->keys));
    mem_free(t);
}

SSL_CTX *tls_context(struct tls *t)
{
    return t->certificate[0].context;
}

BIO_METHOD *tls_method(struct tls *t)
{
    return t->method;
}
