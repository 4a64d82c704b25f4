/* clock.h - the two clocks; tests can set them. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic time, milliseconds, 0 or more.  For every wait and limit. */
int64_t clock_ms(void);

/* Wall time, milliseconds since 1970.  For what people and records see. */
int64_t clock_wall_ms(void);

/* Tests only: the clocks stand still at these; -1 lets one run again. */
void clock_set_ms(int64_t now_ms);
void clock_set_wall_ms(int64_t now_ms);

/*
 * Write wall_ms as RFC 3339 in UTC with milliseconds and Z
 * (2026-09-21T10:00:00.123Z, 24 characters) into out, at least 25 bytes.
 * Pure: may be used where the clock itself may not.
 */
void clock_text(int64_t wall_ms, char out[25]);

#endif
