/* net_vector.c - see net_vector.h. */
#include "tests/unit/net_vector.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* Longer vectors are fed byte by byte at both ends only. */
#define LONG_BYTES 1024
#define ENDS_BYTES 200

static char unhex(const char *p)
{
    char digits[3] = {p[0], p[1], '\0'};

    return (char)strtoul(digits, NULL, 16);
}

static void unescape(struct buf *out, const char *p, const char *end);

/* \{TEXT*N}; returns what is behind it. */
static const char *repeat(struct buf *out, const char *p, const char *end)
{
    const char *close = memchr(p, '}', (size_t)(end - p));
    const char *star = close;
    unsigned long n;

    cr_assert_not_null(close);
    while (star > p && *star != '*')
        star--;
    n = strtoul(star + 1, NULL, 10);
    for (unsigned long i = 0; i < n; i++)
        unescape(out, p, star);
    return close + 1;
}

static void unescape(struct buf *out, const char *p, const char *end)
{
    while (p < end) {
        char c = *p++;

        if (c != '\\') {
            buf_byte(out, c);
            continue;
        }
        c = *p++;
        if (c == '{') {
            p = repeat(out, p, end);
        } else if (c == 'x') {
            buf_byte(out, unhex(p));
            p += 2;
        } else {
            buf_byte(out, c == 'r'   ? '\r'
                          : c == 'n' ? '\n'
                          : c == 't' ? '\t'
                                     : c);
        }
    }
}

static void hand_over(struct vector *v,
                      void (*on_vector)(struct vector *v, void *arg), void *arg)
{
    if (v->name[0])
        on_vector(v, arg);
    buf_empty(&v->bytes);
    buf_empty(&v->expect);
    v->name[0] = v->ask[0] = '\0';
}

unsigned vector_each(const char *path,
                     void (*on_vector)(struct vector *v, void *arg), void *arg)
{
    FILE *file = fopen(path, "r");
    struct vector v = {.name = ""};
    char line[4096];
    unsigned count = 0;

    cr_assert_not_null(file, "%s", path);
    buf_init(&v.bytes, 1 << 20);
    buf_init(&v.expect, 1 << 20);
    while (fgets(line, sizeof(line), file)) {
        char *end = line + strcspn(line, "\n");

        if (strncmp(line, "  ", 2) == 0) {
            unescape(&v.bytes, line + 2, end);
        } else if (strncmp(line, "> ", 2) == 0) {
            unescape(&v.expect, line + 2, end);
            buf_byte(&v.expect, '\n');
        } else if (strncmp(line, "? ", 2) == 0) {
            snprintf(v.ask, sizeof(v.ask), "%.*s", (int)(end - line - 2),
                     line + 2);
        } else if (line[0] != '#' && end > line) {
            hand_over(&v, on_vector, arg);
            snprintf(v.name, sizeof(v.name), "%.*s", (int)(end - line), line);
            count++;
        }
    }
    hand_over(&v, on_vector, arg);
    buf_clear(&v.bytes);
    buf_clear(&v.expect);
    fclose(file);
    return count;
}

static void bytewise(struct str all, void (*feed)(struct str piece, void *arg),
                     void *arg)
{
    size_t n;

    for (size_t i = 0; i < all.n; i += n) {
        n = 1;
        if (all.n > LONG_BYTES && i >= ENDS_BYTES &&
            i + 97 < all.n - ENDS_BYTES)
            n = 97;
        feed(str_from(all.p + i, n), arg);
    }
}

bool vector_feed(const struct vector *v, size_t at,
                 void (*feed)(struct str piece, void *arg), void *arg)
{
    struct str all = buf_str(&v->bytes);

    if (at == 0) {
        feed(all, arg);
    } else if (at == 1) {
        bytewise(all, feed, arg);
    } else {
        /* at - 1 runs over 1 .. n - 1; in steps where it would take long. */
        size_t cut = at - 1;

        if (all.n > LONG_BYTES)
            cut = cut <= 8 ? cut : (cut - 8) * 509;
        if (cut >= all.n)
            return false;
        feed(str_from(all.p, cut), arg);
        feed(str_after(all, cut), arg);
    }
    return true;
}
