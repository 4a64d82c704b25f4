/* walk.h - the tree of the file against the table of options. */
#ifndef CONF_WALK_H
#define CONF_WALK_H

#include "conf/reading.h"

/* Fill r->conf from r->document, with fallbacks where keys are not there;
 * unknown, double and missing keys and wrong values are noted. */
void walk_file(struct reading *r);

#endif
