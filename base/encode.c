/* encode.c - see encode.h. */
#include "base/encode.h"

#include <endian.h>

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Digits of base64: 64 + value, so that 0 is what is no digit and one bit,
 * kept over a whole text, tells whether all were digits. */
/* clang-format off */
#define LETTERS                                                                \
    ['A'] = 64 + 0, ['B'] = 64 + 1, ['C'] = 64 + 2, ['D'] = 64 + 3, \
    ['E'] = 64 + 4, ['F'] = 64 + 5, ['G'] = 64 + 6, ['H'] = 64 + 7, \
    ['I'] = 64 + 8, ['J'] = 64 + 9, ['K'] = 64 + 10, ['L'] = 64 + 11, \
    ['M'] = 64 + 12, ['N'] = 64 + 13, ['O'] = 64 + 14, ['P'] = 64 + 15, \
    ['Q'] = 64 + 16, ['R'] = 64 + 17, ['S'] = 64 + 18, ['T'] = 64 + 19, \
    ['U'] = 64 + 20, ['V'] = 64 + 21, ['W'] = 64 + 22, ['X'] = 64 + 23, \
    ['Y'] = 64 + 24, ['Z'] = 64 + 25, ['a'] = 64 + 26, ['b'] = 64 + 27, \
    ['c'] = 64 + 28, ['d'] = 64 + 29, ['e'] = 64 + 30, ['f'] = 64 + 31, \
    ['g'] = 64 + 32, ['h'] = 64 + 33, ['i'] = 64 + 34, ['j'] = 64 + 35, \
    ['k'] = 64 + 36, ['l'] = 64 + 37, ['m'] = 64 + 38, ['n'] = 64 + 39, \
    ['o'] = 64 + 40, ['p'] = 64 + 41, ['q'] = 64 + 42, ['r'] = 64 + 43, \
    ['s'] = 64 + 44, ['t'] = 64 + 45, ['u'] = 64 + 46, ['v'] = 64 + 47, \
    ['w'] = 64 + 48, ['x'] = 64 + 49, ['y'] = 64 + 50, ['z'] = 64 + 51, \
    ['0'] = 64 + 52, ['1'] = 64 + 53, ['2'] = 64 + 54, ['3'] = 64 + 55, \
    ['4'] = 64 + 56, ['5'] = 64 + 57, ['6'] = 64 + 58, ['7'] = 64 + 59, \
    ['8'] = 64 + 60, ['9'] = 64 + 61
/* clang-format on */
#define DIGIT 64

enum alphabet { STANDARD, URL, BOTH };

static const unsigned char base64_digits[][256] = {
    [STANDARD] = {LETTERS, ['+'] = 64 + 62, ['/'] = 64 + 63},
    [URL] = {LETTERS, ['-'] = 64 + 62, ['_'] = 64 + 63},
    [BOTH] = {LETTERS, ['+'] = 64 + 62, ['/'] = 64 + 63, ['-'] = 64 + 62,
              ['_'] = 64 + 63},
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

void encode_hex(const unsigned char *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

bool decode_hex(struct str s, unsigned char *out, size_t n)
{
    if (s.n % 2 || s.n / 2 != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

/* Three bytes, big end first, as four letters. */
static void put_four(char *out, const char *letters, uint32_t word)
{
    out[0] = letters[word >> 18];
    out[1] = letters[word >> 12 & 63];
    out[2] = letters[word >> 6 & 63];
    out[3] = letters[word & 63];
}

static void encode(struct buf *b, struct str bytes, const char *letters,
                   bool padded)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = bytes.n, rest = n % 3;
    size_t length = n / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1);
    char *out, last[4];

    if (n == 0)
        return;
    out = buf_room(b, length);
    if (!out)
        return;
    /* Eight bytes are read and six of them used at a time. */
    for (; n >= 8; n -= 6, p += 6, out += 8) {
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        word = be64toh(word);
        put_four(out, letters, (uint32_t)(word >> 40));
        put_four(out + 4, letters, (uint32_t)(word >> 16) & 0xffffff);
    }
    for (; n >= 3; n -= 3, p += 3, out += 4)
        put_four(out, letters, (uint32_t)p[0] << 16 | p[1] << 8 | p[2]);
    if (n) {
        put_four(last, letters, (uint32_t)p[0] << 16 | (n > 1 ? p[1] << 8 : 0));
        last[2] = n > 1 ? last[2] : '=';
        last[3] = '=';
        memcpy(out, last, padded ? 4 : n + 1);
    }
    buf_grew(b, length);
}

void encode_base64(struct buf *b, struct str bytes)
{
    encode(b, bytes, base64_letters, true);
}

void encode_base64url(struct buf *b, struct str bytes)
{
    encode(b, bytes, base64url_letters, false);
}

/* Four digits as 24 bits; *all keeps DIGIT only if all were digits. */
static uint32_t take_four(const unsigned char *p, const unsigned char *table,
                          unsigned *all)
{
    uint32_t a = table[p[0]], b = table[p[1]], c = table[p[2]], d = table[p[3]];

    *all &= a & b & c & d;
    return (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
}

/* The digits of s, without padding, to out; false when malformed. */
static bool decode(struct str s, enum alphabet alphabet, bool spare_bits,
                   char *out)
{
    const unsigned char *p = (const unsigned char *)s.p;
    const unsigned char *table = base64_digits[alphabet];
    unsigned char last[4] = "AAAA";
    unsigned all = DIGIT;
    uint32_t word;

    for (; s.n >= 4; s.n -= 4, p += 4) {
        word = take_four(p, table, &all);
        *out++ = (char)(word >> 16);
        *out++ = (char)(word >> 8);
        *out++ = (char)word;
    }
    if (s.n) {
        memcpy(last, p, s.n);
        word = take_four(last, table, &all);
        *out++ = (char)(word >> 16);
        if (s.n == 3)
            *out++ = (char)(word >> 8);
        if (!spare_bits && word & (s.n == 3 ? 0xff : 0xffff))
            return false;
    }
    return all & DIGIT;
}

static bool append_decoded(struct buf *b, struct str s, enum alphabet alphabet,
                           bool spare_bits)
{
    size_t length = s.n / 4 * 3 + (s.n % 4 ? s.n % 4 - 1 : 0);
    char *out;

    if (s.n % 4 == 1)
        return false;
    if (s.n == 0)
        return true;
    out = buf_room(b, length);
    if (!out || !decode(s, alphabet, spare_bits, out))
        return false;
    buf_grew(b, length);
    return true;
}

bool decode_base64(struct buf *b, struct str s, bool lenient)
{
    bool padded = s.n && s.p[s.n - 1] == '=';

    if ((padded || !lenient) && s.n % 4)
        return false;
    if (padded)
        s.n -= s.p[s.n - 2] == '=' ? 2 : 1;
    return append_decoded(b, s, lenient ? BOTH : STANDARD, lenient);
}

bool decode_base64url(struct buf *b, struct str s)
{
    return append_decoded(b, s, URL, false);
}

/* A hex digit of either case, or -1. */
static int any_hex_value(char c)
{
    return hex_value(c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c);
}

bool decode_percent(struct str s, bool form, struct arena *a, struct str *out)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;

    *out = STR_NONE;
    if (!p)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        int high, low;

        if (s.p[i] != '%') {
            p[n++] = form && s.p[i] == '+' ? ' ' : s.p[i];
            continue;
        }
        high = i + 2 < s.n ? any_hex_value(s.p[i + 1]) : -1;
        low = i + 2 < s.n ? any_hex_value(s.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        p[n++] = (char)(high << 4 | low);
        i += 2;
    }
    p[n] = '\0';
    *out = str_from(p, n);
    return true;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

void encode_percent(struct buf *b, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        char escape[] = {'%', digits[(unsigned char)s.p[i] >> 4],
                         digits[s.p[i] & 15]};

        if (is_unreserved(s.p[i]))
            continue;
        buf_put(b, str_from(s.p + from, i - from));
        buf_put(b, str_from(escape, sizeof(escape)));
        from = i + 1;
    }
    buf_put(b, str_after(s, from));
}

static struct str html_escape(char c)
{
    switch (c) {
    case '&':
        return STR("&amp;");
    case '<':
        return STR("&lt;");
    case '>':
        return STR("&gt;");
    case '"':
        return STR("&quot;");
    case '\'':
        return STR("&#39;");
    default:
        return STR_NONE;
    }
}

void encode_html(struct buf *b, struct str s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.n; i++) {
        struct str escape = html_escape(s.p[i]);

        if (!escape.p)
            continue;
        buf_put(b, str_from(s.p + from, i - from));
        buf_put(b, escape);
        from = i + 1;
    }
    buf_put(b, str_after(s, from));
}

/* Source: RFC 3629 4. */
unsigned decode_utf8(struct str s, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned n;

    *point = 0;
    if (s.n == 0)
        return 0;
    n = p[0] < 0x80   ? 1
        : p[0] < 0xc2 ? 0
        : p[0] < 0xe0 ? 2
        : p[0] < 0xf0 ? 3
                      : 4;
    if (n == 0 || n > s.n || p[0] > 0xf4)
        return 0;
    *point = n == 1 ? p[0] : p[0] & (0x7fU >> n);
    for (unsigned i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (p[i] & 0x3f);
    }
    if (*point < least[n] || *point > 0x10ffff ||
        (*point >= 0xd800 && *point <= 0xdfff))
        return 0;
    return n;
}

bool encode_is_utf8(struct str s)
{
    while (s.n) {
        uint64_t word = 0;
        uint32_t point;
        unsigned n = 8;

        if (s.n >= 8)
            memcpy(&word, s.p, sizeof(word));
        /* Eight ASCII bytes at once where there are some. */
        if (s.n < 8 || word & 0x8080808080808080)
            n = decode_utf8(s, &point);
        if (n == 0)
            return false;
        s = str_after(s, n);
    }
    return true;
}
