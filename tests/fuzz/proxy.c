/* Fuzzer of net/proxy: cutting the bytes changes nothing, a header is never
 * longer than what there is or than its limit, and what is one begins so. */
#include <assert.h>
#include <stdint.h>

#include "net/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_from((const char *)data, size);
    struct proxy_header whole, part;
    enum proxy_got got = proxy_read(all, &whole), part_got = PROXY_MORE;
    char text[ADDRESS_TEXT_BYTES];
    struct address again;
    size_t n;

    for (n = 0; n < size && part_got == PROXY_MORE; n++)
        part_got = proxy_read(str_from(all.p, n + 1), &part);
    if (size == 0)
        part_got = proxy_read(all, &part);
    assert(got == part_got);
    assert(got != PROXY_MORE || size < PROXY_MAX_BYTES);
    if (got != PROXY_DONE)
        return 0;
    assert(whole.bytes == n && whole.bytes == part.bytes);
    assert(whole.bytes <= PROXY_MAX_BYTES);
    assert(data[0] == 'P' || data[0] == '\r');
    assert(whole.known == part.known);
    if (whole.known) {
        assert(address_read(address_text(&whole.from, text), &again));
        assert(memcmp(&again, &whole.from, sizeof(again)) == 0);
    }
    return 0;
}
