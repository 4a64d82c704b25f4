/* forwarded.c - see forwarded.h. */
#include "gateway/forwarded.h"

#include "base/buf.h"

#define NAME STR("x-forwarded-for")
/* An address and a comma each. */
#define CHAIN_BYTES ((size_t)FORWARDED_MAX * (ADDRESS_TEXT_BYTES + 2))

/* What is found from the right to the left; the peer is the first. */
struct chain {
    const struct conf *conf;
    struct address at[FORWARDED_MAX];
    unsigned count;
    bool over; /* no more of it is believed */
};

static bool is_trusted(const struct conf *conf, const struct address *a)
{
    return address_is_among(a, conf->trusted_proxies,
                            conf->trusted_proxy_count);
}

/* An address as some proxies write it: with a port, v6 in brackets. */
static bool read_entry(struct str text, struct address *out)
{
    size_t colon = str_find(text, ':');
    struct str rest;

    if (str_starts(text, STR("["))) {
        rest = str_after(text, 1);
        text = str_cut(&rest, ']');
        return rest.p && (rest.n == 0 || rest.p[0] == ':') &&
               str_find(text, ':') < text.n && address_read(text, out);
    }
    rest = str_after(text, colon + 1);
    if (colon < text.n && str_find(rest, ':') == rest.n)
        text.n = colon;
    return address_read(text, out);
}

/* The next one to the left. */
static void take_entry(struct chain *c, struct str text)
{
    struct address *a = &c->at[c->count];

    text = str_trim(text);
    if (text.n == 0)
        return;
    if (!read_entry(text, a)) {
        c->over = true;
        return;
    }
    c->count++;
    c->over = c->count == FORWARDED_MAX || !is_trusted(c->conf, a);
}

/* One field, from its last entry on. */
static void take_field(struct chain *c, struct str value)
{
    size_t end = value.n;

    for (size_t at = value.n; at > 0 && !c->over; at--) {
        if (value.p[at - 1] != ',')
            continue;
        take_entry(c, str_from(value.p + at, end - at));
        end = at - 1;
    }
    if (!c->over)
        take_entry(c, str_from(value.p, end));
}

MUST_USE static enum err write_chain(const struct chain *c, struct arena *a,
                                     struct forwarded *out)
{
    char memory[CHAIN_BYTES], text[ADDRESS_TEXT_BYTES];
    struct buf b;

    buf_init_at(&b, memory, sizeof(memory));
    for (unsigned i = c->count; i-- > 0;) {
        buf_put(&b, address_text(&c->at[i], text));
        if (i)
            buf_put(&b, STR(", "));
    }
    out->chain = arena_copy(a, buf_str(&b));
    if (!out->chain.p)
        return E_NOMEM;
    out->client = str_from(out->chain.p, str_find(out->chain, ','));
    return E_OK;
}

enum err forwarded_read(const struct request_head *head,
                        const struct conf *conf, struct arena *a,
                        struct forwarded *out)
{
    const struct fields *f = &head->fields;
    struct chain c = {.conf = conf, .count = 1};

    *out = (struct forwarded){.trusted = false};
    if (!conf->trusted_proxy_count || !address_read(head->peer, &c.at[0]) ||
        !is_trusted(conf, &c.at[0]))
        return E_OK;
    out->trusted = true;
    out->https = fields_count(f, STR("x-forwarded-proto")) == 1 &&
                 str_ieq(fields_get(f, STR("x-forwarded-proto")), STR("https"));
    for (unsigned i = f->count; i-- > 0 && !c.over;)
        if (str_ieq(f->at[i].name, NAME))
            take_field(&c, f->at[i].value);
    return write_chain(&c, a, out);
}
