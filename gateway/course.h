/* course.h - the way of an exchange from its head to its end: the steps, which
 * moves exist, and the only mover.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_COURSE_H
#define GATEWAY_COURSE_H

#include "model/head.h"
#include "net/server.h"

struct worker;

/* A new request: the server's on_request.  Without memory it is answered 503
 * at once. */
void course_begin(struct worker *w, struct stream *s,
                  const struct request_head *head);

/* The worker ends: cut what is open, buried after the turn. */
void course_drop_open(struct worker *w);

/* Give back the spare ones. */
void course_drop_spare(struct worker *w);

#endif
