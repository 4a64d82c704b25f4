/* sandbox.h - the record of one sandbox: a counted, unchanging value. */
#ifndef MODEL_SANDBOX_H
#define MODEL_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Sandbox ids are `i` and 20 characters of [a-z0-9]; what is accepted is
 * ^[a-z0-9]{1,57}$ (threats.md R-02). */
#define SANDBOX_ID_MAX 57

/* A native client chooses the id of its sandbox: ^[a-zA-Z0-9][a-zA-Z0-9_-]
 * {0,63}$ (mitos-sandbox-server.md 1.2).  Every id of the other kind is one
 * of these too. */
#define SANDBOX_NATIVE_ID_MAX 64

enum sandbox_state {
    SANDBOX_INTENT,  /* create is under way; not yet answered to anybody */
    SANDBOX_RUNNING, /* answered, lives */
    SANDBOX_ENDING   /* kill or expiry is under way: gone for every client */
};

/* One version of a record.  Never changed after sandbox_new(): a change is a
 * new version that the store puts in its place.  All texts lie behind the
 * struct in one block. */
struct sandbox {
    unsigned refs;
    enum sandbox_state state;
    struct str id;
    struct str team;
    struct str backend;          /* name of a backend of the configuration */
    struct str template_id;      /* E2B's templateID as configured */
    struct str alias;            /* name the template was asked by */
    struct str backend_template; /* the back end's own template */
    struct str metadata;         /* JSON object of strings, "{}" if none */
    struct str envs;             /* JSON object of strings, "{}" if none */
    struct str mask_host;        /* Host that apps see, ${PORT} in it; "" as
                                    it came */
    struct str https_ports;      /* ports that speak TLS inside, "443,8443"; ""
                                    none */
    uint64_t life;               /* one run between create and kill; random */
    int64_t started_ms;          /* wall */
    int64_t end_ms;              /* wall: endAt; the sandbox is deleted then */
    bool secure; /* the envd token is enforced (v2, or secure:true) */
    bool native; /* created through the native door: its id is the client's
                    choice, and it is in no list of E2B's */
    bool private_traffic; /* allowPublicTraffic:false */
};

/*
 * A counted copy of what model points to (texts copied).
 * out  given: sandbox_unref().
 * Errors: E_NOMEM; *out is NULL then.
 */
MUST_USE enum err sandbox_new(const struct sandbox *model,
                              struct sandbox **out);

/* One more holder; returns s. */
const struct sandbox *sandbox_ref(const struct sandbox *s);

/* Taken: one holder less; *s becomes NULL.  *s may be NULL. */
void sandbox_unref(const struct sandbox **s);

/* ^[a-z0-9]{1,57}$ */
bool sandbox_id_ok(struct str id);

/* ^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$ */
bool sandbox_native_id_ok(struct str id);

/* Can the id stand in the label of a host, behind a port and a dash? */
bool sandbox_fits_host(struct str id);

/* Longest mask_host, with its ${PORT}. */
#define SANDBOX_MASK_MAX 253
#define SANDBOX_HTTPS_PORTS_MAX 32

/* A host name or address, maybe with a port or ${PORT} behind a colon, as it
 * may stand in Host; or empty. */
bool sandbox_mask_ok(struct str mask);

/* Decimal ports 1 to 65535 with commas between, ascending; or empty. */
bool sandbox_https_ok(struct str ports);

/* Append the Host that an app on that port sees; nothing when it is not
 * masked. */
void sandbox_put_host(const struct sandbox *s, unsigned port, struct buf *out);

/* Does that port speak TLS inside the sandbox? */
bool sandbox_port_https(const struct sandbox *s, unsigned port);

/* Make a new id (22 bytes with NUL) from 20 random bytes. */
void sandbox_id_make(const unsigned char random[20], char out[22]);

#endif
