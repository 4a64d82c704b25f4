/* str.c - see str.h. */
#include "base/str.h"

#include <sodium.h>

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        unsigned char c = (unsigned char)a.p[i] | 0x20;

        if (a.p[i] == b.p[i])
            continue;
        if ((a.p[i] ^ b.p[i]) != 0x20 || c < 'a' || c > 'z')
            return false;
    }
    return true;
}

bool str_istarts(struct str s, struct str with)
{
    return s.n >= with.n && str_ieq(str_from(s.p, with.n), with);
}

bool str_starts(struct str s, struct str with)
{
    return s.n >= with.n && str_eq(str_from(s.p, with.n), with);
}

bool str_ends(struct str s, struct str with)
{
    return s.n >= with.n && str_eq(str_from(s.p + s.n - with.n, with.n), with);
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

size_t str_find_str(struct str s, struct str what)
{
    const char *at;

    if (what.n == 0)
        return 0;
    at = s.n ? memmem(s.p, s.n, what.p, what.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

struct str str_cut(struct str *rest, char sep)
{
    size_t at = str_find(*rest, sep);
    struct str part = str_from(rest->p, at);

    *rest = at < rest->n ? str_after(*rest, at + 1) : STR_NONE;
    return part;
}

struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_from(s.p + 1, s.n - 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool str_u64(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;

    *out = 0;
    if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *out = value;
    return true;
}

uint64_t str_hash(struct str s, const unsigned char key[16])
{
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t hash;

    crypto_shorthash(out, (const unsigned char *)s.p, s.n, key);
    memcpy(&hash, out, sizeof(hash));
    return hash;
}
