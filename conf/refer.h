/* refer.h - what one part of the file says about another. */
#ifndef CONF_REFER_H
#define CONF_REFER_H

#include "conf/reading.h"

/* After walk_file(): names that are there twice or not at all, and values
 * that do not fit each other, are noted; backend_template is filled in. */
void refer_check(struct reading *r);

#endif
