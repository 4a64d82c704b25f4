/* network.h - what a create asks of a sandbox's network, and what of it is
 * shown again.  For the files of translate/ only. */
#ifndef TRANSLATE_NETWORK_H
#define TRANSLATE_NETWORK_H

#include <jansson.h>

#include "base/buf.h"
#include "translate/op.h"

/*
 * Read member `network` of a create into want->job, whose `secure` is known:
 * allowPublicTraffic, maskRequestHost and httpsPorts are kept; whatever else
 * restricts something is refused by its name.  Source: e2b-control-plane.md
 * 7.3.  false when *w fails.
 */
bool network_read(struct op *op, const json_t *body, struct want *w);

/* Append ,"network":{..} of a sandbox that has any of it. */
void network_put(struct buf *b, const struct sandbox *s);

#endif
