/* str.h - a piece of text or bytes that belongs to somebody else. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Passed by value; p is borrowed and need not end in NUL.  p == NULL: absent
 * (n is 0 then); an empty text has p != NULL. */
struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf("%.*s"). */
#define STR_FMT(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline struct str str_from(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* Byte for byte. */
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The part of s from byte at (clipped) on. */
static inline struct str str_after(struct str s, size_t at)
{
    return at < s.n ? str_from(s.p + at, s.n - at) : str_from(s.p + s.n, 0);
}

/* Equal but for the case of ASCII letters. */
bool str_ieq(struct str a, struct str b);

/* Does s begin with that, but for the case of ASCII letters? */
bool str_istarts(struct str s, struct str with);

/* Does s begin / end with that? */
bool str_starts(struct str s, struct str with);
bool str_ends(struct str s, struct str with);

/* Index of the first byte c, or s.n. */
size_t str_find(struct str s, char c);

/* Index of the first place where what stands (0 if that is empty), or s.n. */
size_t str_find_str(struct str s, struct str what);

/*
 * Cut the part before the first sep off *rest and return it; *rest keeps
 * what follows, and is absent (p NULL) when there was no sep.  Call while
 * rest->p != NULL.
 */
struct str str_cut(struct str *rest, char sep);

/* s without spaces and tabs at both ends. */
struct str str_trim(struct str s);

/*
 * Decimal digits only, no sign, no leading zero but "0" itself, at most max;
 * false when it is not (or empty), *out is 0 then.
 */
bool str_u64(struct str s, uint64_t max, uint64_t *out);

/* Keyed hash of the bytes (SipHash 2-4, libsodium), for hash tables. */
uint64_t str_hash(struct str s, const unsigned char key[16]);

#endif
