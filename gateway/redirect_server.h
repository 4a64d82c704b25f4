/* redirect_server.h - listeners without TLS that serve nothing: who asks there
 * for a name of ours is sent to it through TLS.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_REDIRECT_SERVER_H
#define GATEWAY_REDIRECT_SERVER_H

#include "base/err.h"
#include "conf/conf.h"
#include "gateway/metrics.h"
#include "net/loop.h"
#include "net/server.h"

struct redirect;

/*
 * No listener yet.
 * conf      counted
 * port      of the names of conf->domain; those of previews have their own
 * settings  as of the gateway's own server; borrowed for the call
 * m         borrowed: what is counted
 * out       given: redirect_free().  Errors: E_NOMEM.
 */
MUST_USE enum err redirect_new(struct loop *loop, struct conf *conf,
                               unsigned port,
                               const struct server_settings *settings,
                               struct metrics *m, struct redirect **out);

/* A newer snapshot. */
void redirect_set(struct redirect *r, struct conf *conf,
                  const struct server_settings *settings);

/* Accept on fd; borrowed.  Errors: E_NOMEM. */
MUST_USE enum err redirect_listen(struct redirect *r, int fd,
                                  struct listener **out);

/* Taken; its listeners must be gone. */
void redirect_free(struct redirect **r);

#endif
