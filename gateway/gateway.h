/* gateway.h - the worker: all that serves requests, put together. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "base/err.h"
#include "conf/conf.h"

struct gateway;

/* The listening sockets, opened by the master and inherited by the worker. */
struct gateway_sockets {
    int *fds; /* owned: one for each conf->listeners */
    unsigned count;
    int status_fd; /* -1: no status listener */
};

/*
 * Open them all.
 * which  set to the index of the listener that failed, count for the status
 *        listener; errno says why
 * Errors: E_SYSTEM, E_NOMEM; nothing is open then.
 */
MUST_USE enum err gateway_sockets_open(const struct conf *conf,
                                       struct gateway_sockets *out,
                                       unsigned *which);
void gateway_sockets_close(struct gateway_sockets *s);

/*
 * Everything of a worker: loop, store, pools, live objects, servers.  Signals
 * (HUP, TERM, INT, USR1) are blocked and read from a descriptor.
 *
 * conf     counted
 * sockets  borrowed, longer-lived; closed when it no longer accepts
 * out      given: gateway_free()
 * Errors: E_NOMEM, E_SYSTEM, E_STORE, E_BAD_FIELD (certificates); the reason
 * is logged.
 */
MUST_USE enum err gateway_new(struct conf *conf,
                              struct gateway_sockets *sockets,
                              struct gateway **out);

/* Say on standard error what is listened on: it is ready then. */
void gateway_say_ready(const struct gateway *g);

/* Serve until SIGTERM and the end of what was open then (at most
 * conf->drain_s; a second signal ends it at once). */
void gateway_run(struct gateway *g);

/* Taken; *g becomes NULL. */
void gateway_free(struct gateway **g);

#endif
