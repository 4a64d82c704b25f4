/* admit.c - see admit.h. */
#include "gateway/admit.h"

#include <string.h>

#include "auth/key.h"
#include "auth/signature.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/encode.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"

/* ---- lookup ---- */

/* Is the call one of a client of the sandbox server itself? */
static bool is_native(const struct exchange *x)
{
    return x->route.class == CLASS_NATIVE || x->route.native;
}

/* The credentials of a Bearer; absent for another scheme. */
static struct str bearer(const struct exchange *x)
{
    static const struct str word = STR("bearer ");
    struct str value = fields_get(&x->head->fields, STR("authorization"));

    if (!str_istarts(value, word))
        return STR_NONE;
    return str_trim(str_after(value, word.n));
}

static struct str given_key(const struct exchange *x)
{
    struct str key = fields_get(&x->head->fields, STR("x-api-key"));

    return !key.p && is_native(x) ? bearer(x) : key;
}

static bool wants_key(const struct exchange *x)
{
    if (x->route.native)
        return true;
    return x->row && x->row->credential == CREDENTIAL_KEY;
}

/* Does the path of the row name a sandbox of either kind, by its whole id? */
static bool takes_any_id(const struct exchange *x)
{
    return x->row && strstr(x->row->path, "/{sandbox}");
}

/* The id of a control plane's path; absent when it names none.  It is always
 * the first parameter. */
static struct str path_id(const struct exchange *x)
{
    if (!takes_any_id(x) && !(x->row && strstr(x->row->path, "/{id}")))
        return STR_NONE;
    return x->params[0];
}

static enum found find_record(struct exchange *x, struct str id)
{
    const struct sandbox *record;
    enum found found = store_find_sandbox(x->worker->store, id, &record);

    if (found != FOUND)
        return found;
    /* What is being made is not answered to anybody yet, what is ending is
     * gone for every client. */
    if (record->state != SANDBOX_RUNNING)
        return ABSENT;
    x->record = sandbox_ref(record);
    return FOUND;
}

/* What another team has is as absent as what nobody has. */
enum found admit_find(struct exchange *x, struct str id)
{
    enum found found = find_record(x, id);

    if (found != FOUND || str_eq(x->record->team, str_of(x->key.team)))
        return found;
    sandbox_unref(&x->record);
    return ABSENT;
}

/* By key: the key, and the sandbox of the path if its team has it. */
static enum found lookup_key(struct exchange *x, struct str id)
{
    unsigned char hash[KEY_HASH_BYTES];
    struct str key = given_key(x);
    enum found found;

    x->key_found = ABSENT;
    if (wants_key(x) && auth_key_ok(key)) {
        auth_key_hash(key, x->conf->secret, hash);
        x->key_found = store_find_key(x->worker->store, hash, &x->key);
        if (x->key_found == UNKNOWN)
            return UNKNOWN;
    }
    if (x->key_found != FOUND || !id.p)
        return FOUND;
    found = admit_find(x, id);
    /* Old SDKs put -<client> behind the ids of E2B's kind. */
    if (found == ABSENT && takes_any_id(x))
        found = admit_find(x, str_from(id.p, str_find(id, '-')));
    return found == UNKNOWN ? UNKNOWN : FOUND;
}

enum found admit_lookup(struct exchange *x)
{
    if (x->route.class == CLASS_API || is_native(x))
        return lookup_key(x, x->route.native ? x->route.id : path_id(x));
    if (x->route.class == CLASS_LINK)
        return preview_gate_lookup(x);
    return find_record(x, x->route.id);
}

/* ---- the control plane's key ---- */

MUST_USE static enum err check_key(struct exchange *x)
{
    struct worker *w = x->worker;
    unsigned keys = fields_count(&x->head->fields, STR("x-api-key"));

    if (is_native(x))
        keys += fields_count(&x->head->fields, STR("authorization"));
    if (keys > 1) {
        x->detail = is_native(x) ? STR("One key is wanted: in X-API-Key or in "
                                       "Authorization")
                                 : STR("X-API-Key is given twice");
        return E_BAD_REQUEST;
    }
    if (x->key_found == FOUND)
        return E_OK;
    w->metrics.failed_keys++;
    if (keys == 0)
        return E_KEY_MISSING;
    if (!auth_limiter_counts(x->head->peer))
        return E_KEY_UNKNOWN;
    if (!auth_limiter_allow(w->limiter, x->head->peer, clock_ms(), &x->retry_s))
        return E_RATE_LIMITED;
    auth_limiter_fail(w->limiter, x->head->peer, clock_ms());
    return E_KEY_UNKNOWN;
}

/* ---- 49983 ---- */

MUST_USE static enum err check_token(struct exchange *x)
{
    struct str given = fields_get(&x->head->fields, STR("x-access-token"));

    exchange_make_tokens(x);
    return auth_token_same(given, x->envd_token) ? E_OK : E_TOKEN_WRONG;
}

/* The query of a signed link; what is malformed counts as absent. */
struct signed_query {
    struct signature_claim claim;
    unsigned seen[4]; /* path, username, signature, signature_expiration */
};

static void take_parameter(struct signed_query *q, struct str name,
                           struct str value)
{
    static const struct str names[] = {STR("path"), STR("username"),
                                       STR("signature"),
                                       STR("signature_expiration")};
    struct str *to[] = {&q->claim.path, &q->claim.username, &q->claim.signature,
                        &q->claim.expiration};

    for (int i = 0; i < 4; i++) {
        if (!str_eq(name, names[i]))
            continue;
        if (q->seen[i]++ == 0)
            *to[i] = value;
    }
}

MUST_USE static enum err read_query(struct exchange *x, struct signed_query *q)
{
    struct str rest = x->head->query;

    *q = (struct signed_query){
        .claim = {.path = STR(""),
                  .username = STR(""),
                  .write = x->head->method == METHOD_POST}};
    while (rest.p) {
        struct str value = str_cut(&rest, '&');
        struct str name = str_cut(&value, '=');

        if (!value.p)
            value = STR("");
        if (str_find(name, ';') < name.n || str_find(value, ';') < value.n)
            continue;
        if (decode_percent(name, true, x->arena, &name) &&
            decode_percent(value, true, x->arena, &value))
            take_parameter(q, name, value);
    }
    for (int i = 0; i < 4; i++)
        if (q->seen[i] > 1) {
            x->detail = STR("a query parameter is given twice");
            return E_BAD_REQUEST;
        }
    return E_OK;
}

MUST_USE static enum err check_signature(struct exchange *x)
{
    struct str given = fields_get(&x->head->fields, STR("x-access-token"));
    struct signed_query q;
    enum err err;

    if (given.n) {
        err = check_token(x);
        if (err)
            x->detail =
                STR("access token present in header but does not match");
        return err;
    }
    err = read_query(x, &q);
    if (err)
        return err;
    if (q.claim.expiration.p &&
        !auth_signature_expiration_ok(q.claim.expiration)) {
        x->detail = STR("signature_expiration must be an integer");
        return E_BAD_REQUEST;
    }
    exchange_make_tokens(x);
    switch (
        auth_signature_check(&q.claim, x->envd_token, clock_wall_ms() / 1000)) {
    case SIGNATURE_OK:
        return E_OK;
    case SIGNATURE_MISSING:
        x->detail = STR("missing signature query parameter");
        break;
    case SIGNATURE_WRONG:
        break;
    case SIGNATURE_EXPIRED:
        x->detail = STR("signature is already expired");
        break;
    }
    return E_SIGNATURE;
}

/* Paths that nobody serves need the token as well. */
MUST_USE static enum err check_envd(struct exchange *x)
{
    enum credential credential = x->row ? x->row->credential : CREDENTIAL_ENVD;

    if (!x->record->secure || credential == CREDENTIAL_NONE)
        return E_OK;
    if (credential == CREDENTIAL_SIGNATURE)
        return check_signature(x);
    return check_token(x);
}

/* ---- every other port ---- */

MUST_USE static enum err check_traffic(struct exchange *x)
{
    struct str given =
        fields_get(&x->head->fields, STR("e2b-traffic-access-token"));

    if (!x->record->private_traffic)
        return E_OK;
    exchange_make_tokens(x);
    if (auth_token_same(given, x->traffic_token))
        return E_OK;
    if (given.n)
        x->detail = STR("Sandbox is secured with traffic access token. "
                        "Provided token in header 'e2b-traffic-access-token' "
                        "is invalid");
    return E_TRAFFIC_TOKEN;
}

/* The way to a port by the sandbox server's own path. */
MUST_USE static enum err check_native(struct exchange *x)
{
    enum err err = check_key(x);

    if (err == E_OK && !x->record) {
        x->detail = STR("no route to guest port");
        err = E_SANDBOX_GONE;
    }
    return err;
}

enum err admit_check(struct exchange *x)
{
    if (x->route.native)
        return check_native(x);
    switch (x->route.class) {
    case CLASS_API:
    case CLASS_NATIVE:
        return wants_key(x) ? check_key(x) : E_OK;
    case CLASS_ENVD:
        return check_envd(x);
    case CLASS_LINK:
        return E_OK; /* its link was enough: preview_gate.h */
    case CLASS_CODE:
    case CLASS_PORT:
        break;
    }
    return check_traffic(x);
}
