/* link.h - the record of one signed link, and what it may be used for. */
#ifndef MODEL_LINK_H
#define MODEL_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "model/address.h"

#define LINK_ID_LENGTH 26   /* `l` and 25 of [a-z2-7]: a host label too */
#define LINK_SANDBOX_MAX 64 /* ids of a native client's choice are longer */
#define LINK_PATH_MAX 200
#define LINK_CIDRS_MAX 8
#define LINK_USES_MAX 1000000000
#define LINK_TTL_MAX_S (7 * 24 * 60 * 60) /* threats.md P-02 */

struct json_t; /* jansson's */

/* Are search engines told to keep away from what a link shows? */
enum link_index {
    LINK_INDEX_AS_CONFIGURED,
    LINK_INDEX_NO, /* "noindex": true */
    LINK_INDEX_YES /* "noindex": false */
};

/* What a link may be used for; all of it stands in the token's MAC. */
struct link_scopes {
    unsigned methods;             /* set of 1U << enum method; never 0 */
    bool websocket;               /* WebSocket upgrades may be made */
    char path[LINK_PATH_MAX + 1]; /* prefix, on a segment's end; "" all */
    struct address_block cidrs[LINK_CIDRS_MAX];
    unsigned cidr_count; /* 0: from anywhere */
    uint32_t uses_max;   /* requests that bring the token itself (not the
                            cookie got for it); 0 no limit */
    enum link_index index;
};

/* A plain value. */
struct link {
    char id[LINK_ID_LENGTH + 1]; /* "": a token of the sandbox server's form */
    char team[65];
    char sandbox[LINK_SANDBOX_MAX + 1];
    uint64_t life; /* of the sandbox; 0 only where id is "" */
    unsigned port; /* 1..65535 */
    bool opaque;   /* its URL's host is <id>.<preview domain> */
    int64_t created_ms;
    int64_t expires_s;  /* wall: valid before it */
    int64_t revoked_ms; /* wall; 0 while valid */
    uint32_t uses;      /* so far */
    uint64_t requests;  /* that it admitted since this worker started; not in
                           the store */
    int64_t seen_ms;    /* wall: the last of them; 0 none */
    struct link_scopes scopes;
};

/* Every method, path and peer, WebSockets, no limit of uses. */
void link_scopes_all(struct link_scopes *out);

/*
 * Read methods, pathPrefix, cidrs, maxUses, websocket, noindex (all optional,
 * null is absent; others are left alone) of a JSON object.
 * Returns NULL, or the name of the member that is wrong, and *why it is
 * (static texts).
 */
const char *link_scopes_read(const struct json_t *object,
                             struct link_scopes *out, const char **why);

/* Append the members that restrict something, as the above reads them, each
 * with a comma before. */
void link_scopes_write(struct buf *b, const struct link_scopes *scopes);

/* Is every value in its range, and in its one spelling? */
bool link_scopes_ok(const struct link_scopes *scopes);

/* Is the IP address, as text, in the block?  ::ffff:a.b.c.d is a.b.c.d. */
bool link_cidr_holds(const struct address_block *cidr, struct str address);

/* May a link be for that port?  Not for those of the sandbox's own services,
 * which ask for credentials of their own. */
bool link_port_ok(unsigned port);

/* ^l[a-z2-7]{25}$ */
bool link_id_ok(struct str id);

/* Make a new id from random bytes. */
void link_id_make(const unsigned char random[LINK_ID_LENGTH - 1],
                  char out[LINK_ID_LENGTH + 1]);

#endif
