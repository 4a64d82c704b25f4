/* moment.c - see moment.h. */
#include "translate/moment.h"

#define DAY_MS (24 * 3600 * (int64_t)1000)

/* The number of the n digits at text.p + at; -1 if they are not there. */
static int digits(struct str text, size_t at, size_t n)
{
    int value = 0;

    if (at + n > text.n)
        return -1;
    for (size_t i = at; i < at + n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return -1;
        value = value * 10 + (text.p[i] - '0');
    }
    return value;
}

static bool is_at(struct str text, size_t at, char c, char other)
{
    return at < text.n && (text.p[at] == c || text.p[at] == other);
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970 to a date; -1 if there is no such date. */
static int64_t days(int year, int month, int day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30,
                                  31, 31, 30, 31, 30, 31};
    int64_t sum = 0;

    if (year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return -1;
    for (int y = 1970; y < year; y++)
        sum += is_leap(y) ? 366 : 365;
    for (int m = 1; m < month; m++)
        sum += lengths[m - 1] + (m == 2 && is_leap(year));
    return sum + day - 1;
}

/* ".123456789" at *at: milliseconds of it. */
static bool read_fraction(struct str text, size_t *at, int64_t *ms, bool *exact)
{
    int scale = 100;

    *ms = 0;
    *exact = true;
    if (!is_at(text, *at, '.', '.'))
        return true;
    ++*at;
    if (digits(text, *at, 1) < 0)
        return false;
    for (; digits(text, *at, 1) >= 0; ++*at) {
        *ms += (int64_t)digits(text, *at, 1) * scale;
        if (scale == 0 && digits(text, *at, 1) > 0)
            *exact = false;
        scale /= 10;
    }
    return true;
}

/* "Z" or "+hh:mm" up to the end: minutes east. */
static bool read_zone(struct str text, size_t at, int *minutes)
{
    int hour, minute;

    *minutes = 0;
    if (is_at(text, at, 'Z', 'z'))
        return at + 1 == text.n;
    hour = digits(text, at + 1, 2);
    minute = digits(text, at + 4, 2);
    if (!is_at(text, at, '+', '-') || !is_at(text, at + 3, ':', ':') ||
        at + 6 != text.n || hour < 0 || hour > 23 || minute < 0 || minute > 59)
        return false;
    *minutes = hour * 60 + minute;
    if (text.p[at] == '-')
        *minutes = -*minutes;
    return true;
}

bool moment_read(struct str text, int64_t *wall_ms, bool *exact)
{
    int64_t day =
        days(digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2));
    int hour = digits(text, 11, 2), minute = digits(text, 14, 2);
    int second = digits(text, 17, 2), zone;
    size_t at = 19;
    int64_t ms;

    *wall_ms = 0;
    *exact = true;
    if (day < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60)
        return false;
    if (!is_at(text, 4, '-', '-') || !is_at(text, 7, '-', '-') ||
        !is_at(text, 10, 'T', 't') || !is_at(text, 13, ':', ':') ||
        !is_at(text, 16, ':', ':'))
        return false;
    if (!read_fraction(text, &at, &ms, exact) || !read_zone(text, at, &zone))
        return false;
    *wall_ms = day * DAY_MS +
               ((hour * 60 + minute - zone) * (int64_t)60 + second) * 1000 + ms;
    return true;
}
