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
struct rest;

struct live_sandbox {
    struct list link;             /* in live's table; in none once ended */
    struct live *live;            /* borrowed */
    const struct sandbox *record; /* counted: the newest version */
    bool ended;                   /* its record is gone */
    bool telling;                 /* ending.c tells them: it must stay */
    bool suspect;                 /* a call said so; asked for at present */
    unsigned streams_used;        /* exec streams open at the back end */
    struct list calls;            /* struct live_call */
    struct list passengers;       /* struct passenger */
    unsigned passenger_count;
    struct list jobs;                /* struct job: the first one runs */
    struct process_table *processes; /* owned, NULL until used */
    struct context_table *contexts;  /* owned, NULL until used */
    struct port_table *ports;        /* owned, NULL until used */
    enum err health;            /* E_OK, E_SANDBOX_GONE, E_SANDBOX_UNKNOWN */
    int64_t health_ms;          /* when that was told; 0 never */
    struct rest *health_call;   /* owned, NULL if none is under way */
    struct list health_waiting; /* struct subscription of health.c */
    int64_t due_ms;             /* monotonic: its end */
    unsigned due_at;            /* 1 + place in live's heap; 0: in none */
};

/* Find or make; NULL without memory. */
struct live_sandbox *live_sandbox_find(struct live *l, const struct sandbox *s);

/* Only find. */
struct live_sandbox *live_sandbox_known(struct live *l, struct str id);

/* May something be begun with it?  False when the records say that it is
 * ending or not there; true also when they cannot tell. */
bool live_sandbox_alive(struct live *l, const struct sandbox *s);

/* A newer version of its record. */
void live_sandbox_renew(struct live_sandbox *ls, const struct sandbox *record);

/* Something stopped to hang on it: freed after the turn if that was all. */
void live_sandbox_settle(struct live_sandbox *ls);

/* A call said that the back end has no such sandbox: the back end's list is
 * asked before that is believed. */
void live_sandbox_suspect(struct live_sandbox *ls);

/* live.c's: the table.  Errors: E_NOMEM. */
MUST_USE enum err live_sandbox_init(struct live *l);
void live_sandbox_clear(struct live *l);

/* The sandbox ended (its record is gone already): kick passengers, end
 * processes and contexts of it with E_SANDBOX_GONE, drop pools and ports.
 * In ending.c. */
void live_sandbox_end(struct live *l, struct str id);

/* Parts of live/ that keep things per sandbox; each is told of its end. */
void process_table_end(struct process_table **t, enum err why);
void context_table_end(struct context_table **t, enum err why);
void port_table_end(struct port_table **t);

#endif
