/* address.c - see address.h. */
#include "model/address.h"

#include <arpa/inet.h>

_Static_assert(ADDRESS_TEXT_BYTES >= INET6_ADDRSTRLEN, "room for any text");

void address_set(struct address *a, bool v6, const unsigned char *bytes)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0,    0,
                                             0, 0, 0, 0, 0xff, 0xff};

    *a = (struct address){.v6 = v6};
    if (v6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        a->v6 = false;
        bytes += sizeof(mapped);
    }
    memcpy(a->bytes, bytes, a->v6 ? 16 : 4);
}

bool address_read(struct str text, struct address *out)
{
    unsigned char bytes[16];
    char z[ADDRESS_TEXT_BYTES];
    bool v6;

    *out = (struct address){.v6 = false};
    if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    v6 = strchr(z, ':') != NULL;
    if (inet_pton(v6 ? AF_INET6 : AF_INET, z, bytes) != 1)
        return false;
    address_set(out, v6, bytes);
    return true;
}

struct str address_text(const struct address *a, char out[ADDRESS_TEXT_BYTES])
{
    /* Fails for want of room or of a family only. */
    inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->bytes, out, ADDRESS_TEXT_BYTES);
    return str_of(out);
}

bool address_is_public(const struct address *a)
{
    static const unsigned char loopback[8];
    const unsigned char *b = a->bytes;

    if (!a->v6)
        return !(b[0] == 127 || b[0] == 10 || (b[0] == 192 && b[1] == 168) ||
                 (b[0] == 172 && (b[1] & 0xf0) == 16) ||
                 (b[0] == 169 && b[1] == 254) ||
                 (b[0] == 100 && (b[1] & 0xc0) == 64));
    return !(memcmp(b, loopback, sizeof(loopback)) == 0 ||
             (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80));
}

/* ---- blocks ---- */

bool address_block_ok(const struct address_block *b)
{
    unsigned all = b->v6 ? 128 : 32;

    if (b->bits > all)
        return false;
    for (unsigned i = b->bits; i < 128; i++)
        if (b->bytes[i / 8] & (0x80U >> i % 8))
            return false;
    return true;
}

const char *address_block_read(struct str text, struct address_block *out)
{
    struct str rest = text;
    struct str prefix = str_cut(&rest, '/');
    struct address a;
    uint64_t bits;

    *out = (struct address_block){.v6 = false};
    if (!address_read(prefix, &a))
        return "must be addresses or blocks such as 192.0.2.0/24";
    bits = a.v6 ? 128 : 32;
    if (rest.p && !str_u64(rest, bits, &bits))
        return "must be addresses or blocks such as 192.0.2.0/24";
    out->v6 = a.v6;
    out->bits = (unsigned char)bits;
    memcpy(out->bytes, a.bytes, sizeof(out->bytes));
    return address_block_ok(out) ? NULL
                                 : "has a block with bits behind its prefix";
}

bool address_block_holds(const struct address_block *b, const struct address *a)
{
    unsigned whole = b->bits / 8;
    unsigned char rest = (unsigned char)(0xff00U >> b->bits % 8);

    if (a->v6 != b->v6 || memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return b->bits % 8 == 0 || (a->bytes[whole] & rest) == b->bytes[whole];
}

bool address_is_among(const struct address *a,
                      const struct address_block *blocks, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (address_block_holds(&blocks[i], a))
            return true;
    return false;
}
