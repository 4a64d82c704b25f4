/* unit.c - see unit.h. */
#include "store/unit.h"

#include "base/mem.h"
#include "store/row.h"

/* Would the row be believed when it is read? */
static const char *fault(const struct change *c)
{
    char name[RECORD_NAME_MAX];

    switch (c->kind) {
    case CHANGE_PUT_SANDBOX:
        return store_row_sandbox_fault(c->sandbox);
    case CHANGE_DROP_SANDBOX:
        return sandbox_native_id_ok(c->sandbox->id) ? NULL : "sandbox: id";
    case CHANGE_PUT_KEY:
        return store_row_key_fault(c->key);
    case CHANGE_REVOKE_KEY:
        return c->key->revoked_ms > 0 && c->key->number <= INT64_MAX
                   ? NULL
                   : "key: revoked_ms or number";
    case CHANGE_PUT_IDEMPOTENCY:
        return store_row_idempotency_fault(c->idempotency);
    case CHANGE_DROP_IDEMPOTENCY:
        return store_record_join(c->idempotency->team, c->idempotency->key,
                                 name)
                       .p
                   ? NULL
                   : "idempotency: team or key";
    case CHANGE_PUT_LINK:
        return store_row_link_fault(c->link);
    case CHANGE_REVOKE_LINK:
        return link_id_ok(str_of(c->link->id)) && c->link->revoked_ms > 0
                   ? NULL
                   : "link: id or revoked_ms";
    case CHANGE_REVOKE_LINKS_BEFORE:
        return store_row_sandbox_name_ok(str_of(c->link->sandbox)) &&
                       c->link->revoked_ms > 0
                   ? NULL
                   : "link: sandbox or revoked_ms";
    case CHANGE_USE_LINK:
        return link_id_ok(str_of(c->link->id)) ? NULL : "link: id";
    }
    return "kind";
}

static enum err copy(const struct change *c, struct record **out)
{
    char name[RECORD_NAME_MAX];

    switch (c->kind) {
    case CHANGE_PUT_SANDBOX:
        return store_record_sandbox(c->sandbox, out);
    case CHANGE_DROP_SANDBOX:
        return store_record_name(RECORD_SANDBOX, RECORD_GONE, c->sandbox->id,
                                 out);
    case CHANGE_PUT_KEY:
    case CHANGE_REVOKE_KEY:
        return store_record_key(c->key, out);
    case CHANGE_PUT_IDEMPOTENCY:
        return store_record_idempotency(c->idempotency, out);
    case CHANGE_DROP_IDEMPOTENCY:
        return store_record_name(
            RECORD_IDEMPOTENCY, RECORD_GONE,
            store_record_join(c->idempotency->team, c->idempotency->key, name),
            out);
    case CHANGE_PUT_LINK:
    case CHANGE_REVOKE_LINK:
    case CHANGE_USE_LINK:
        return store_record_link(c->link, out);
    case CHANGE_REVOKE_LINKS_BEFORE:
        return store_record_before(str_of(c->link->sandbox),
                                   c->link->revoked_ms, out);
    }
    return E_RANGE;
}

enum err store_unit_new(const struct change *changes, unsigned count,
                        const char **why, struct unit **out)
{
    struct unit *u;
    enum err err = E_OK;

    *out = NULL;
    *why = NULL;
    for (unsigned i = 0; i < count && !*why; i++)
        *why = fault(&changes[i]);
    if (*why)
        return E_RANGE;
    u = mem_new(sizeof(*u) + count * sizeof(u->steps[0]));
    if (!u)
        return E_NOMEM;
    u->count = count;
    for (unsigned i = 0; i < count && err == E_OK; i++) {
        u->steps[i].change = changes[i];
        u->steps[i].change.sandbox = NULL;
        u->steps[i].change.key = NULL;
        u->steps[i].change.idempotency = NULL;
        u->steps[i].change.link = NULL;
        err = copy(&changes[i], &u->steps[i].record);
    }
    if (err != E_OK)
        store_unit_free(&u);
    *out = u;
    return err;
}

void store_unit_free(struct unit **u)
{
    for (unsigned i = 0; *u && i < (*u)->count; i++)
        store_record_free(&(*u)->steps[i].record);
    mem_free(*u);
    *u = NULL;
}
