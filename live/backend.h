/* backend.h - a configured sandbox server: where it is, how it is. */
#ifndef LIVE_BACKEND_H
#define LIVE_BACKEND_H

#include "base/list.h"
#include "live/root.h"

struct reconcile; /* live/reconcile.c */
struct templates; /* live/template.c */

/* As known from calls and probes. */
enum backend_health { BACKEND_UNKNOWN, BACKEND_UP, BACKEND_DOWN };

struct backend {
    struct list link;  /* in live's backends */
    struct live *live; /* borrowed */
    enum backend_health health;
    bool configured; /* still named by the configuration */
    bool doubted;    /* a call was cut: looked at before it is believed */
    enum conf_ports ports;
    unsigned streams; /* per sandbox; 0 unlimited */
    bool adopt;       /* what has no record is removed */
    unsigned port;
    char *texts;        /* owned: the four texts below */
    struct str name;    /* as configured */
    struct str address; /* IP literal */
    struct str host;    /* the Host field */
    struct str pool;    /* key of the pool of our own calls */
    struct list rests;  /* struct rest: questions under way */
    unsigned rest_count;
    struct reconcile *reconcile; /* owned, NULL until used */
    struct templates *templates; /* owned, NULL until used */
};

/* Make live's back ends what its configuration says.  One that is named no
 * more stays for the records that name it.  Errors: E_NOMEM. */
MUST_USE enum err backend_configure(struct live *l);

/* NULL if there is none of that name. */
struct backend *backend_find(struct live *l, struct str name);

/* What a call to it showed: it answered, or it could not be reached. */
void backend_heard(struct backend *b, enum backend_health health);

/* A call broke off or took too long: nothing is known by that, look. */
void backend_doubt(struct backend *b);

/* Is its address one of this machine's own (127/8, ::1)? */
bool backend_is_local(const struct backend *b);

/* Address, port, pool, host and limits of a call of ours to it. */
void backend_request(const struct backend *b, struct call_request *r);

/* live.c's: its parts are gone already. */
void backend_clear(struct live *l);

#endif
