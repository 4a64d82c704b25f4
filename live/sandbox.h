/* sandbox.h - the live side of one sandbox: what its parts hang on.
 *
 * For the files of live/ only: one live sandbox per (id, life), made at first
 * use, freed when nothing hangs on it. */
#ifndef LIVE_SANDBOX_H
#define LIVE_SANDBOX_H

#include "base/list.h"
#include "live/live.h"

struct context_table; /* live/context.c */
struct process_table; /* live/process.c */
struct port_table;    /* live/port.c */

struct live_sandbox {
    struct list link;              /* in live's table */
    struct live *live;             /* borrowed */
    const struct sandbox *record;  /* counted: the newest version */
    unsigned streams_used;         /* exec streams open at the back end */
    struct list waiting;           /* calls that wait for a slot: none now */
    struct list passengers;
    struct process_table *processes; /* owned, NULL until used */
    struct context_table *contexts;  /* owned, NULL until used */
    struct port_table *ports;        /* owned, NULL until used */
    enum err health;               /* E_OK, E_SANDBOX_GONE, E_SANDBOX_UNKNOWN */
    int64_t health_ms;             /* when that was asked; 0 never */
};

/* Find or make; NULL without memory. */
struct live_sandbox *live_sandbox_find(struct live *l, const struct sandbox *s);

/* Only find. */
struct live_sandbox *live_sandbox_known(struct live *l, struct str id);

/* The sandbox ended (its record is gone already): kick passengers, end
 * processes and contexts of it with E_SANDBOX_GONE, drop pools and ports. */
void live_sandbox_end(struct live *l, struct str id);

/* Parts of live/ that keep things per sandbox; each is told of its end. */
void process_table_end(struct process_table **t, enum err why);
void context_table_end(struct context_table **t, enum err why);
void port_table_end(struct port_table **t);

#endif
