/* run_call.h - the one call to the sandbox server that an operation has under
 * way.  For run.c only. */
#ifndef GATEWAY_RUN_CALL_H
#define GATEWAY_RUN_CALL_H

#include "gateway/run.h"

/* WANT_CALL: begin it in place of the present one.  X_RUN always: a call that
 * could not begin has ended. */
enum state run_call_begin(struct exchange *x, const struct want *w);

/* WANT_SEND: a piece of its request body. */
enum state run_call_send(struct exchange *x, const struct want *w);

/* Cut it unless it is complete; harmless without one. */
void run_call_drop(struct run *r);

#endif
