/* gateway_records.c - what the store finds, for gateway_fake.h. */
#include "tests/unit/gateway_fake.h"

#include <criterion/criterion.h>

enum found store_find_sandbox(struct store *s, struct str id,
                              const struct sandbox **out)
{
    (void)s;
    *out = NULL;
    if (fake.sandbox_found == FOUND && !str_eq(id, fake.sandbox->id))
        return ABSENT;
    if (fake.sandbox_found == FOUND)
        *out = fake.sandbox;
    return fake.sandbox_found;
}

enum found store_find_key(struct store *s,
                          const unsigned char hash[KEY_HASH_BYTES],
                          struct key *out)
{
    (void)s;
    (void)hash;
    if (fake.key_found == FOUND)
        *out = fake.key;
    return fake.key_found;
}

enum found store_find_link(struct store *s, struct str id, struct link *out)
{
    (void)s;
    if (fake.link_found == FOUND && !str_eq(id, str_of(fake.link.id)))
        return ABSENT;
    if (fake.link_found == FOUND)
        *out = fake.link;
    return fake.link_found;
}

enum preview_standing live_link_ask(void *arg, const struct link *link,
                                    enum preview_source source)
{
    (void)arg;
    (void)source;
    if (fake.link_found == UNKNOWN)
        return PREVIEW_UNKNOWN;
    if (!link->id[0])
        return fake.before_ms ? PREVIEW_REVOKED : PREVIEW_STANDS;
    return fake.link_found == ABSENT || fake.link.revoked_ms ? PREVIEW_REVOKED
                                                             : PREVIEW_STANDS;
}

void passenger_show(struct live *l, struct passenger *p,
                    const struct link *link)
{
    (void)l;
    cr_expect_eq(p, fake.passenger);
    fake.shown = link;
}
