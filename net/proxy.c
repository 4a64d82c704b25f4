/* proxy.c - see proxy.h. */
#include "net/proxy.h"

static const struct str line_begin = STR("PROXY ");
static const struct str signature = STR("\r\n\r\n\0\r\nQUIT\n");

/* Do both agree as far as the shorter one goes? */
static bool agrees(struct str bytes, struct str begin)
{
    size_t n = bytes.n < begin.n ? bytes.n : begin.n;

    return n == 0 || memcmp(bytes.p, begin.p, n) == 0;
}

/* ---- version 1: PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 ---- */

/* An address of that family; a mapped one is of v6. */
static bool read_family(struct str text, bool v6, struct address *out)
{
    return address_read(text, out) && (str_find(text, ':') < text.n) == v6;
}

static bool is_port(struct str text)
{
    uint64_t number;

    return str_u64(text, 65535, &number);
}

/* The line without its CR LF. */
static enum proxy_got read_line(struct str line, struct proxy_header *out)
{
    struct str rest = str_after(line, line_begin.n);
    struct str family = str_cut(&rest, ' '), word[4];
    struct address to;
    bool v6 = str_eq(family, STR("TCP6"));

    /* What follows is not for us. */
    if (str_eq(family, STR("UNKNOWN")))
        return PROXY_DONE;
    if (!v6 && !str_eq(family, STR("TCP4")))
        return PROXY_BAD;
    for (int i = 0; i < 4; i++) {
        if (!rest.p)
            return PROXY_BAD;
        word[i] = str_cut(&rest, ' ');
    }
    if (rest.p || !read_family(word[0], v6, &out->from) ||
        !read_family(word[1], v6, &to) || !is_port(word[2]) ||
        !is_port(word[3]))
        return PROXY_BAD;
    out->known = true;
    return PROXY_DONE;
}

static enum proxy_got read_first(struct str bytes, struct proxy_header *out)
{
    size_t end = str_find(bytes, '\n');

    if (end == bytes.n)
        return bytes.n < PROXY_LINE_BYTES ? PROXY_MORE : PROXY_BAD;
    if (end >= PROXY_LINE_BYTES || bytes.p[end - 1] != '\r')
        return PROXY_BAD;
    out->bytes = end + 1;
    return read_line(str_from(bytes.p, end - 1), out);
}

/* ---- version 2: binary ---- */

#define FIXED_BYTES 16 /* signature, version and command, family, length */
#define VERSION_LOCAL 0x20
#define VERSION_PROXY 0x21
#define FAMILY_UNKNOWN 0x00
#define FAMILY_TCP4 0x11
#define FAMILY_TCP6 0x21

static size_t number(const char *p)
{
    return (size_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* Type, length and value, one behind the other up to the end. */
static bool values_fit(struct str rest)
{
    while (rest.n) {
        size_t n = rest.n < 3 ? rest.n : number(rest.p + 1);

        if (rest.n < 3 || n > rest.n - 3)
            return false;
        rest = str_after(rest, 3 + n);
    }
    return true;
}

static enum proxy_got read_addresses(unsigned family, struct str body,
                                     struct proxy_header *out)
{
    bool v6 = family == FAMILY_TCP6;
    size_t bytes = v6 ? 36 : 12; /* two addresses, two ports */

    if (family == FAMILY_UNKNOWN)
        return PROXY_DONE;
    if ((!v6 && family != FAMILY_TCP4) || body.n < bytes ||
        !values_fit(str_after(body, bytes)))
        return PROXY_BAD;
    address_set(&out->from, v6, (const unsigned char *)body.p);
    out->known = true;
    return PROXY_DONE;
}

static enum proxy_got read_second(struct str bytes, struct proxy_header *out)
{
    unsigned version = 0, family;
    size_t n;

    if (bytes.n > signature.n) {
        version = (unsigned char)bytes.p[signature.n];
        if (version != VERSION_LOCAL && version != VERSION_PROXY)
            return PROXY_BAD;
    }
    if (bytes.n < FIXED_BYTES)
        return PROXY_MORE;
    family = (unsigned char)bytes.p[13];
    n = number(bytes.p + 14);
    if (n > PROXY_MAX_BYTES - FIXED_BYTES)
        return PROXY_BAD;
    if (bytes.n < FIXED_BYTES + n)
        return PROXY_MORE;
    out->bytes = FIXED_BYTES + n;
    if (version == VERSION_LOCAL)
        return PROXY_DONE;
    return read_addresses(family, str_from(bytes.p + FIXED_BYTES, n), out);
}

enum proxy_got proxy_read(struct str bytes, struct proxy_header *out)
{
    *out = (struct proxy_header){.bytes = 0};
    if (agrees(bytes, line_begin))
        return bytes.n < line_begin.n ? PROXY_MORE : read_first(bytes, out);
    if (!agrees(bytes, signature))
        return PROXY_NONE;
    return bytes.n < signature.n ? PROXY_MORE : read_second(bytes, out);
}
