/* template.h - the templates that a back end must have. */
#ifndef LIVE_TEMPLATE_H
#define LIVE_TEMPLATE_H

#include "live/rest.h"

/* POST /v1/templates {"id": name}: made if it is not there; that may take
 * minutes.  As rest_start(). */
MUST_USE enum err template_post(struct backend *b, struct str name,
                                void (*on_answer)(void *arg,
                                                  const struct rest_answer *a),
                                void *arg, struct rest **out);

/* Have every template that the configuration names of b, one after the
 * other; what fails is tried again later.  Once more after it was down. */
void template_register(struct backend *b);

/* live.c's. */
void template_clear(struct backend *b);

#endif
