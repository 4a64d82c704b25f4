/* head.h - the heads of a request and of an answer, whatever carried them. */
#ifndef MODEL_HEAD_H
#define MODEL_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fields.h"
#include "base/str.h"

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_COUNT
};

/* "GET", ...; static.  Not for METHOD_COUNT. */
struct str method_text(enum method method);

/* Lengths of a body that are not numbers. */
#define LENGTH_CHUNKED (-1) /* unknown beforehand: chunked, or h2 DATA */
#define LENGTH_NONE (-2)    /* no body at all and no length field */
#define LENGTH_CLOSE (-3)   /* an upstream's answer up to its FIN */

/* What the scan of threats.md 2.3 let through.  Texts are borrowed from the
 * stream and live as long as it does. */
struct request_head {
    enum method method;
    struct str target;    /* origin form, raw: path and query */
    struct str path;      /* raw, begins with / (or is *) */
    struct str query;     /* raw, without ?; absent if there is no ? */
    struct str host;      /* lower case, without port and trailing dot */
    struct fields fields; /* all as they came, hop-by-hop ones included */
    int64_t length;       /* >= 0, or LENGTH_CHUNKED; 0 without a body */
    bool upgrade;         /* a valid WebSocket upgrade (threats.md H1-26) */
    bool expects;         /* Expect: 100-continue */
    bool tls;
    bool http10;
    struct str peer; /* client's IP address as text */
    struct str sni;  /* absent without TLS or SNI */
};

/* Texts are borrowed from the call, for the time of the event or of the
 * call as the giver says. */
struct answer_head {
    int status;        /* 200..599, or 101 */
    struct str reason; /* may be absent */
    struct fields fields;
    int64_t length; /* >= 0, or one of LENGTH_ */
};

#endif
