/* clock_text.c - a moment as text; apart from clock.c so that pure folders
 * may use it without touching a clock. */
#include "base/clock.h"

#include <string.h>

#define DAY_MS ((int64_t)86400000)
#define YEAR_9999_MS ((int64_t)253402300799999) /* 9999-12-31T23:59:59.999 */
#define YEAR_0_MS ((int64_t)-62167219200000)    /* 0000-01-01T00:00:00.000 */

static void digits(char *out, unsigned count, int64_t value)
{
    while (count--) {
        out[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_text(int64_t wall_ms, char out[25])
{
    static const char form[25] = "0000-00-00T00:00:00.000Z";
    int64_t days, rest, era, day, year, moon;

    if (wall_ms > YEAR_9999_MS)
        wall_ms = YEAR_9999_MS;
    if (wall_ms < YEAR_0_MS)
        wall_ms = YEAR_0_MS;
    rest = wall_ms % DAY_MS;
    rest = rest < 0 ? rest + DAY_MS : rest;
    days = (wall_ms - rest) / DAY_MS;

    /* Proleptic Gregorian calendar, counted from 0000-03-01 so that the leap
     * day is the last of its year; an era is 400 years, 146097 days. */
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day = days - era * 146097;
    year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= year * 365 + year / 4 - year / 100;
    moon = (5 * day + 2) / 153; /* 0 is March */
    day -= (153 * moon + 2) / 5;
    year += era * 400 + (moon >= 10);
    moon = moon < 10 ? moon + 3 : moon - 9;

    memcpy(out, form, sizeof(form));
    digits(out, 4, year);
    digits(out + 5, 2, moon);
    digits(out + 8, 2, day + 1);
    digits(out + 11, 2, rest / 3600000);
    digits(out + 14, 2, rest / 60000 % 60);
    digits(out + 17, 2, rest / 1000 % 60);
    digits(out + 20, 3, rest % 1000);
}
