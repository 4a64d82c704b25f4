/* access.h - one line for each request.
 *
 * For the files of gateway/ only. */
#ifndef GATEWAY_ACCESS_H
#define GATEWAY_ACCESS_H

#include "base/err.h"
#include "base/str.h"

struct exchange;

/* The line of an exchange that is over; never with a secret in it. */
void access_say(const struct exchange *x);

/* The line of a head that was refused before it became a request. */
void access_refused(struct str peer, int status, enum err why);

/* Name of a request's aim for logs and metrics; static. */
const char *access_class(unsigned class);

#endif
