/* sandbox.c - see sandbox.h. */
#include "model/sandbox.h"

#include "base/mem.h"

/* Every text of a record. */
#define TEXTS(s) \
    { \
        &(s)->id, &(s)->team, &(s)->backend, &(s)->template_id, &(s)->alias, \
            &(s)->backend_template, &(s)->metadata, &(s)->envs, \
            &(s)->mask_host, &(s)->https_ports \
    }
#define TEXT_COUNT 10

enum err sandbox_new(const struct sandbox *model, struct sandbox **out)
{
    const struct str *from[TEXT_COUNT] = TEXTS(model);
    size_t bytes = sizeof(*model);
    struct sandbox *s;
    char *at;

    for (unsigned i = 0; i < TEXT_COUNT; i++)
        bytes += from[i]->n + 1;
    s = *out = mem_malloc(bytes);
    if (!s)
        return E_NOMEM;
    *s = *model;
    s->refs = 1;
    at = (char *)(s + 1);
    {
        struct str *to[TEXT_COUNT] = TEXTS(s);

        for (unsigned i = 0; i < TEXT_COUNT; i++) {
            if (!from[i]->p)
                continue;
            memcpy(at, from[i]->p, from[i]->n);
            at[from[i]->n] = '\0';
            *to[i] = str_from(at, from[i]->n);
            at += from[i]->n + 1;
        }
    }
    return E_OK;
}

/* The count is the one field that changes; atomic, because the thread that
 * writes records may hold one too. */
static unsigned *refs(const struct sandbox *s)
{
    return &((struct sandbox *)(uintptr_t)s)->refs;
}

const struct sandbox *sandbox_ref(const struct sandbox *s)
{
    __atomic_add_fetch(refs(s), 1, __ATOMIC_RELAXED);
    return s;
}

void sandbox_unref(const struct sandbox **s)
{
    const struct sandbox *gone = *s;

    *s = NULL;
    if (gone && __atomic_sub_fetch(refs(gone), 1, __ATOMIC_ACQ_REL) == 0)
        mem_free((void *)(uintptr_t)gone);
}

bool sandbox_id_ok(struct str id)
{
    if (id.n < 1 || id.n > SANDBOX_ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= 'a' && id.p[i] <= 'z') ||
              (id.p[i] >= '0' && id.p[i] <= '9')))
            return false;
    return true;
}

bool sandbox_native_id_ok(struct str id)
{
    if (id.n < 1 || id.n > SANDBOX_NATIVE_ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool inner = i > 0 && (c == '_' || c == '-');

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
            !(c >= '0' && c <= '9') && !inner)
            return false;
    }
    return true;
}

bool sandbox_fits_host(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] == '_' || (id.p[i] >= 'A' && id.p[i] <= 'Z'))
            return false;
    return id.n <= SANDBOX_ID_MAX && id.n && id.p[id.n - 1] != '-';
}

#define PORT_WORD "${PORT}"

/* Letters, digits, and what else a host name or an address in brackets may
 * hold. */
static bool is_host_byte(char c)
{
    char low = (char)(c | 0x20);

    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '[' || c == ']' || c == ':';
}

bool sandbox_mask_ok(struct str mask)
{
    size_t word = str_find_str(mask, STR(PORT_WORD)), at = 0;

    if (mask.n > SANDBOX_MASK_MAX)
        return false;
    while (at < mask.n) {
        if (at == word) {
            at += sizeof(PORT_WORD) - 1;
            word = at + str_find_str(str_after(mask, at), STR(PORT_WORD));
            continue;
        }
        if (!is_host_byte(mask.p[at++]))
            return false;
    }
    return mask.n == 0 || mask.p[0] != ':';
}

bool sandbox_https_ok(struct str ports)
{
    uint64_t port, last = 0;
    unsigned count = 0;

    if (ports.n == 0)
        return true;
    while (ports.p) {
        if (!str_u64(str_cut(&ports, ','), 65535, &port) || port <= last ||
            ++count > SANDBOX_HTTPS_PORTS_MAX)
            return false;
        last = port;
    }
    return true;
}

void sandbox_put_host(const struct sandbox *s, unsigned port, struct buf *out)
{
    struct str rest = s->mask_host;

    while (rest.n > 0) {
        size_t word = str_find_str(rest, STR(PORT_WORD));

        buf_put(out, str_from(rest.p, word));
        if (word < rest.n)
            buf_text(out, "%u", port);
        rest = str_after(rest, word + sizeof(PORT_WORD) - 1);
    }
}

bool sandbox_port_https(const struct sandbox *s, unsigned port)
{
    struct str rest = s->https_ports;
    uint64_t one;

    while (rest.n > 0)
        if (str_u64(str_cut(&rest, ','), 65535, &one) && one == port)
            return true;
    return false;
}

void sandbox_id_make(const unsigned char random[20], char out[22])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    /* 256 is no multiple of 36: four letters come 8/7 as often, which costs
     * a thousandth of a bit each. */
    out[0] = 'i';
    for (unsigned i = 0; i < 20; i++)
        out[i + 1] = letters[random[i] % 36];
    out[21] = '\0';
}
