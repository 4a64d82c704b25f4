/* moment.h - dates as E2B writes them.  For the files of translate/ only. */
#ifndef TRANSLATE_MOMENT_H
#define TRANSLATE_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/*
 * Read an RFC 3339 date with time and zone, years 1970 to 9999.
 * wall_ms  since 1970, rounded down
 * exact    false when digits below a millisecond were dropped
 */
bool moment_read(struct str text, int64_t *wall_ms, bool *exact);

#endif
