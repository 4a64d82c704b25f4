/* record.c - see record.h. */
#include "store/record.h"

#include "base/mem.h"

/* Zeroed, with room for that many bytes behind. */
static enum err make(enum record_kind kind, size_t behind, struct record **out)
{
    *out = mem_new(sizeof(**out) + behind);
    if (!*out)
        return E_NOMEM;
    (*out)->kind = kind;
    return E_OK;
}

/* Copy to *at, which moves on; the copy ends in a NUL. */
static struct str copy(char **at, struct str s)
{
    struct str out = str_from(*at, s.n);

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    (*at)[s.n] = '\0';
    *at += s.n + 1;
    return out;
}

enum err store_record_sandbox(const struct sandbox *s, struct record **out)
{
    struct sandbox *held;

    if (make(RECORD_SANDBOX, 0, out) != E_OK)
        return E_NOMEM;
    if (sandbox_new(s, &held) != E_OK) {
        store_record_free(out);
        return E_NOMEM;
    }
    (*out)->sandbox = held;
    (*out)->name = held->id;
    return E_OK;
}

enum err store_record_key(const struct key *k, struct record **out)
{
    if (make(RECORD_KEY, 0, out) != E_OK)
        return E_NOMEM;
    (*out)->key = *k;
    (*out)->name = str_from((const char *)(*out)->key.hash, KEY_HASH_BYTES);
    return E_OK;
}

enum err store_record_idempotency(const struct idempotency *i,
                                  struct record **out)
{
    size_t behind = i->team.n + i->key.n + i->sandbox.n + 3;
    char *at;

    if (make(RECORD_IDEMPOTENCY, behind, out) != E_OK)
        return E_NOMEM;
    at = (char *)(*out + 1);
    (*out)->name = str_from(at, i->team.n + 1 + i->key.n);
    (*out)->idempotency = *i;
    (*out)->idempotency.team = copy(&at, i->team);
    (*out)->idempotency.key = copy(&at, i->key);
    (*out)->idempotency.sandbox = copy(&at, i->sandbox);
    return E_OK;
}

enum err store_record_link(const struct link *l, struct record **out)
{
    if (make(RECORD_LINK, sizeof(*l), out) != E_OK)
        return E_NOMEM;
    (*out)->linked.link = (struct link *)(void *)(*out + 1);
    *(*out)->linked.link = *l;
    (*out)->name = str_of((*out)->linked.link->id);
    return E_OK;
}

enum err store_record_before(struct str sandbox, int64_t before_ms,
                             struct record **out)
{
    char *at;

    if (make(RECORD_BEFORE, sandbox.n + 1, out) != E_OK)
        return E_NOMEM;
    at = (char *)(*out + 1);
    (*out)->name = copy(&at, sandbox);
    (*out)->revoked_before_ms = before_ms;
    return E_OK;
}

enum err store_record_name(enum record_kind kind, enum record_what what,
                           struct str name, struct record **out)
{
    char *at;

    if (make(kind, name.n + 1, out) != E_OK)
        return E_NOMEM;
    at = (char *)(*out + 1);
    (*out)->what = what;
    (*out)->name = copy(&at, name);
    return E_OK;
}

struct str store_record_join(struct str team, struct str key,
                             char out[RECORD_NAME_MAX])
{
    char *at = out;

    if (team.n == 0 || team.n > 64 || key.n == 0 || key.n > RECORD_WORD_MAX)
        return STR_NONE;
    memcpy(at, team.p, team.n);
    at += team.n;
    *at++ = '\0';
    memcpy(at, key.p, key.n);
    return str_from(out, team.n + 1 + key.n);
}

void store_record_free(struct record **r)
{
    if (*r && (*r)->kind == RECORD_SANDBOX && (*r)->what == RECORD_ROW)
        sandbox_unref(&(*r)->sandbox);
    mem_free(*r);
    *r = NULL;
}
