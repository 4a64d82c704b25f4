/* row.c - see row.h. */
#include "store/row.h"

#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "model/identity.h"

#define TEXT_MAX 256
#define WALL_MAX_MS 253402300799999 /* the last of the year 9999 */

/* Printable, and no longer than a name has any reason to be. */
static bool text_ok(struct str text, size_t least)
{
    if (!text.p || text.n < least || text.n > TEXT_MAX)
        return false;
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return encode_is_utf8(text);
}

/* A header's value as it may be repeated to anybody. */
static bool word_ok(struct str word)
{
    if (word.n < 1 || word.n > RECORD_WORD_MAX)
        return false;
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] < 0x20 || word.p[i] > 0x7e)
            return false;
    return true;
}

static bool wall_ok(int64_t ms)
{
    return ms >= 0 && ms <= WALL_MAX_MS;
}

/* An object of strings is as large as the largest body of a call at most. */
static const struct json_limits strings_limits = {32 << 20, 1, 20000};

/* A JSON object of strings.  Most rows have none, which costs nothing. */
static bool strings_ok(struct str text)
{
    const char *name;
    json_t *object, *member;
    bool ok;

    if (str_eq(text, STR("{}")))
        return true;
    if (!text.p || json_read(text, &strings_limits, &object) != E_OK)
        return false;
    ok = json_is_object(object);
    json_object_foreach(object, name, member) ok = ok && json_is_string(member);
    json_decref(object);
    return ok;
}

const char *store_row_sandbox_fault(const struct sandbox *s)
{
    if (!(s->native ? sandbox_native_id_ok(s->id) : sandbox_id_ok(s->id)))
        return "sandbox: id";
    if (!identity_team_ok(s->team))
        return "sandbox: team";
    if (s->state != SANDBOX_INTENT && s->state != SANDBOX_RUNNING &&
        s->state != SANDBOX_ENDING)
        return "sandbox: state";
    if (!text_ok(s->backend, 1))
        return "sandbox: backend";
    if (!text_ok(s->template_id, 0))
        return "sandbox: template_id";
    if (!text_ok(s->alias, 0))
        return "sandbox: alias";
    if (!text_ok(s->backend_template, 0))
        return "sandbox: backend_template";
    if (!strings_ok(s->metadata))
        return "sandbox: metadata";
    if (!strings_ok(s->envs))
        return "sandbox: envs";
    if (!sandbox_mask_ok(s->mask_host))
        return "sandbox: mask_host";
    if (!sandbox_https_ok(s->https_ports))
        return "sandbox: https_ports";
    if (!wall_ok(s->started_ms))
        return "sandbox: started_ms";
    return wall_ok(s->end_ms) ? NULL : "sandbox: end_ms";
}

const char *store_row_key_fault(const struct key *k)
{
    if (k->number > INT64_MAX)
        return "key: number";
    if (!memchr(k->team, '\0', sizeof(k->team)) ||
        !identity_team_ok(str_of(k->team)))
        return "key: team";
    if (!memchr(k->hint, '\0', sizeof(k->hint)) || !text_ok(str_of(k->hint), 0))
        return "key: hint";
    if (!wall_ok(k->created_ms))
        return "key: created_ms";
    return wall_ok(k->revoked_ms) ? NULL : "key: revoked_ms";
}

const char *store_row_idempotency_fault(const struct idempotency *i)
{
    if (!identity_team_ok(i->team))
        return "idempotency: team";
    if (!word_ok(i->key))
        return "idempotency: key";
    if (!sandbox_native_id_ok(i->sandbox))
        return "idempotency: sandbox";
    return wall_ok(i->at_ms) ? NULL : "idempotency: at_ms";
}

bool store_row_sandbox_name_ok(struct str id)
{
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i], low = (char)(c | 0x20);

        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') &&
            c != '-' && c != '_')
            return false;
    }
    return id.n >= 1 && id.n <= LINK_SANDBOX_MAX;
}

const char *store_row_link_fault(const struct link *l)
{
    if (!memchr(l->id, '\0', sizeof(l->id)) || !link_id_ok(str_of(l->id)))
        return "link: id";
    if (!memchr(l->team, '\0', sizeof(l->team)) ||
        !identity_team_ok(str_of(l->team)))
        return "link: team";
    if (!memchr(l->sandbox, '\0', sizeof(l->sandbox)) ||
        !store_row_sandbox_name_ok(str_of(l->sandbox)))
        return "link: sandbox";
    if (l->port < 1 || l->port > 65535)
        return "link: port";
    if (!wall_ok(l->created_ms))
        return "link: created_ms";
    if (l->expires_s < 1 || l->expires_s > WALL_MAX_MS / 1000)
        return "link: expires_s";
    if (!wall_ok(l->revoked_ms))
        return "link: revoked_ms";
    return link_scopes_ok(&l->scopes) ? NULL : "link: scopes";
}

static struct str column(sqlite3_stmt *t, int at)
{
    const char *text = (const char *)sqlite3_column_text(t, at);

    return str_from(text ? text : "", (size_t)sqlite3_column_bytes(t, at));
}

static struct str column_bytes(sqlite3_stmt *t, int at)
{
    const char *bytes = sqlite3_column_blob(t, at);

    return str_from(bytes ? bytes : "", (size_t)sqlite3_column_bytes(t, at));
}

static bool column_bool(sqlite3_stmt *t, int at, bool *bad)
{
    int64_t value = sqlite3_column_int64(t, at);

    *bad |= value != 0 && value != 1;
    return value == 1;
}

/* Copy into an array with a NUL; too long leaves no NUL, which is a fault. */
static void fill(char *out, size_t room, struct str text)
{
    memset(out, 1, room);
    if (text.n >= room || memchr(text.p, '\0', text.n))
        return;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
}

static enum err read_sandbox(sqlite3_stmt *t, const char **why,
                             struct record **out)
{
    int64_t state = sqlite3_column_int64(t, 2);
    bool bad = state < SANDBOX_INTENT || state > SANDBOX_ENDING;
    struct sandbox s = {.id = column(t, 0),
                        .state =
                            bad ? SANDBOX_ENDING : (enum sandbox_state)state,
                        .team = column(t, 3),
                        .backend = column(t, 4),
                        .template_id = column(t, 5),
                        .alias = column(t, 6),
                        .backend_template = column(t, 7),
                        .metadata = column(t, 8),
                        .envs = column(t, 9),
                        .life = (uint64_t)sqlite3_column_int64(t, 10),
                        .started_ms = sqlite3_column_int64(t, 11),
                        .end_ms = sqlite3_column_int64(t, 12),
                        .secure = column_bool(t, 13, &bad),
                        .native = column_bool(t, 14, &bad),
                        .private_traffic = column_bool(t, 15, &bad),
                        .mask_host = column(t, 16),
                        .https_ports = column(t, 17)};

    *why = bad ? "sandbox: state or flag" : store_row_sandbox_fault(&s);
    if (!*why)
        return store_record_sandbox(&s, out);
    return sandbox_native_id_ok(s.id)
               ? store_record_name(RECORD_SANDBOX, RECORD_BAD, s.id, out)
               : E_OK;
}

static enum err read_key(sqlite3_stmt *t, const char **why, struct record **out)
{
    struct str hash = column_bytes(t, 2);
    struct key k = {.number = (uint64_t)sqlite3_column_int64(t, 0),
                    .created_ms = sqlite3_column_int64(t, 5),
                    .revoked_ms = sqlite3_column_int64(t, 6)};

    if (hash.n != KEY_HASH_BYTES) {
        *why = "key: hash";
        return E_OK;
    }
    memcpy(k.hash, hash.p, sizeof(k.hash));
    fill(k.team, sizeof(k.team), column(t, 3));
    fill(k.hint, sizeof(k.hint), column(t, 4));
    *why = store_row_key_fault(&k);
    return *why ? store_record_name(RECORD_KEY, RECORD_BAD, hash, out)
                : store_record_key(&k, out);
}

static enum err read_idempotency(sqlite3_stmt *t, const char **why,
                                 struct record **out)
{
    char name[RECORD_NAME_MAX];
    bool bad = false;
    struct str request = column_bytes(t, 3);
    struct idempotency i = {.team = column(t, 0),
                            .key = column(t, 1),
                            .sandbox = column(t, 4),
                            .at_ms = sqlite3_column_int64(t, 5),
                            .done = column_bool(t, 6, &bad)};
    struct str joined = store_record_join(i.team, i.key, name);

    if (request.n == sizeof(i.request))
        memcpy(i.request, request.p, sizeof(i.request));
    else
        bad = true;
    *why =
        bad ? "idempotency: request or done" : store_row_idempotency_fault(&i);
    if (!*why)
        return store_record_idempotency(&i, out);
    return joined.p
               ? store_record_name(RECORD_IDEMPOTENCY, RECORD_BAD, joined, out)
               : E_OK;
}

/* The scopes as they were written; NULL, or what is wrong. */
static const char *read_scopes(struct str text, struct link_scopes *out)
{
    static const struct json_limits limits = {8192, 2, 64};
    const char *why = "link: scopes";
    json_t *object;

    if (json_read(text, &limits, &object) != E_OK)
        return why;
    if (json_is_object(object) && !link_scopes_read(object, out, &why))
        why = NULL;
    json_decref(object);
    return why ? "link: scopes" : NULL;
}

static enum err read_link(sqlite3_stmt *t, const char **why,
                          struct record **out)
{
    bool bad = false;
    int64_t port = sqlite3_column_int64(t, 5);
    int64_t uses = sqlite3_column_int64(t, 10);
    struct link l = {.life = (uint64_t)sqlite3_column_int64(t, 4),
                     .port = port > 0 && port <= 65535 ? (unsigned)port : 0,
                     .opaque = column_bool(t, 6, &bad),
                     .created_ms = sqlite3_column_int64(t, 7),
                     .expires_s = sqlite3_column_int64(t, 8),
                     .revoked_ms = sqlite3_column_int64(t, 9)};

    fill(l.id, sizeof(l.id), column(t, 0));
    fill(l.team, sizeof(l.team), column(t, 2));
    fill(l.sandbox, sizeof(l.sandbox), column(t, 3));
    if (uses < 0 || uses > UINT32_MAX)
        bad = true;
    l.uses = (uint32_t)uses;
    *why = read_scopes(column(t, 11), &l.scopes);
    if (!*why)
        *why = bad ? "link: uses or opaque" : store_row_link_fault(&l);
    if (!*why)
        return store_record_link(&l, out);
    return link_id_ok(column(t, 0))
               ? store_record_name(RECORD_LINK, RECORD_BAD, column(t, 0), out)
               : E_OK;
}

static enum err read_before(sqlite3_stmt *t, const char **why,
                            struct record **out)
{
    struct str sandbox = column(t, 0);
    int64_t before_ms = sqlite3_column_int64(t, 2);

    if (!store_row_sandbox_name_ok(sandbox)) {
        *why = "link_before: sandbox";
        return E_OK;
    }
    if (wall_ok(before_ms))
        return store_record_before(sandbox, before_ms, out);
    *why = "link_before: before_ms";
    return store_record_name(RECORD_BEFORE, RECORD_BAD, sandbox, out);
}

enum err store_row_read(sqlite3_stmt *t, enum record_kind kind,
                        const char **why, struct record **out)
{
    *why = NULL;
    *out = NULL;
    switch (kind) {
    case RECORD_SANDBOX:
        return read_sandbox(t, why, out);
    case RECORD_KEY:
        return read_key(t, why, out);
    case RECORD_IDEMPOTENCY:
        return read_idempotency(t, why, out);
    case RECORD_LINK:
        return read_link(t, why, out);
    case RECORD_BEFORE:
        return read_before(t, why, out);
    case RECORD_KINDS:
        break;
    }
    return E_OK;
}

static void bind_sandbox(sqlite3_stmt *t, const struct sandbox *s,
                         int64_t stamp)
{
    store_sql_bind(t, 1, s->id);
    sqlite3_bind_int64(t, 2, stamp);
    sqlite3_bind_int64(t, 3, s->state);
    store_sql_bind(t, 4, s->team);
    store_sql_bind(t, 5, s->backend);
    store_sql_bind(t, 6, s->template_id);
    store_sql_bind(t, 7, s->alias);
    store_sql_bind(t, 8, s->backend_template);
    store_sql_bind(t, 9, s->metadata);
    store_sql_bind(t, 10, s->envs);
    sqlite3_bind_int64(t, 11, (int64_t)s->life);
    sqlite3_bind_int64(t, 12, s->started_ms);
    sqlite3_bind_int64(t, 13, s->end_ms);
    sqlite3_bind_int64(t, 14, s->secure);
    sqlite3_bind_int64(t, 15, s->native);
    sqlite3_bind_int64(t, 16, s->private_traffic);
    store_sql_bind(t, 17, s->mask_host);
    store_sql_bind(t, 18, s->https_ports);
}

static void bind_key(sqlite3_stmt *t, const struct key *k, int64_t stamp)
{
    if (k->number > 0) /* else NULL: the next one */
        sqlite3_bind_int64(t, 1, (int64_t)k->number);
    sqlite3_bind_int64(t, 2, stamp);
    store_sql_bind_bytes(t, 3,
                         str_from((const char *)k->hash, sizeof(k->hash)));
    store_sql_bind(t, 4, str_of(k->team));
    store_sql_bind(t, 5, str_of(k->hint));
    sqlite3_bind_int64(t, 6, k->created_ms);
    sqlite3_bind_int64(t, 7, k->revoked_ms);
}

static void bind_idempotency(sqlite3_stmt *t, const struct idempotency *i,
                             int64_t stamp)
{
    store_sql_bind(t, 1, i->team);
    store_sql_bind(t, 2, i->key);
    sqlite3_bind_int64(t, 3, stamp);
    store_sql_bind_bytes(
        t, 4, str_from((const char *)i->request, sizeof(i->request)));
    store_sql_bind(t, 5, i->sandbox);
    sqlite3_bind_int64(t, 6, i->at_ms);
    sqlite3_bind_int64(t, 7, i->done);
}

static void bind_link(sqlite3_stmt *t, const struct link *l, int64_t stamp)
{
    struct buf scopes;

    buf_init(&scopes, 8192);
    buf_put(&scopes, STR("{\"v\":1"));
    link_scopes_write(&scopes, &l->scopes);
    buf_byte(&scopes, '}');
    store_sql_bind(t, 1, str_of(l->id));
    sqlite3_bind_int64(t, 2, stamp);
    store_sql_bind(t, 3, str_of(l->team));
    store_sql_bind(t, 4, str_of(l->sandbox));
    sqlite3_bind_int64(t, 5, (int64_t)l->life);
    sqlite3_bind_int64(t, 6, l->port);
    sqlite3_bind_int64(t, 7, l->opaque);
    sqlite3_bind_int64(t, 8, l->created_ms);
    sqlite3_bind_int64(t, 9, l->expires_s);
    sqlite3_bind_int64(t, 10, l->revoked_ms);
    sqlite3_bind_int64(t, 11, l->uses);
    /* Without memory NULL stays, which the table does not take. */
    if (!scopes.failed)
        sqlite3_bind_text(t, 12, buf_str(&scopes).p, (int)buf_len(&scopes),
                          SQLITE_TRANSIENT);
    buf_clear(&scopes);
}

void store_row_bind(sqlite3_stmt *t, const struct record *r, int64_t stamp)
{
    switch (r->kind) {
    case RECORD_SANDBOX:
        bind_sandbox(t, r->sandbox, stamp);
        break;
    case RECORD_KEY:
        bind_key(t, &r->key, stamp);
        break;
    case RECORD_IDEMPOTENCY:
        bind_idempotency(t, &r->idempotency, stamp);
        break;
    case RECORD_LINK:
        bind_link(t, r->linked.link, stamp);
        break;
    case RECORD_BEFORE:
        store_sql_bind(t, 1, r->name);
        sqlite3_bind_int64(t, 2, stamp);
        sqlite3_bind_int64(t, 3, r->revoked_before_ms);
        break;
    case RECORD_KINDS:
        break;
    }
}

enum err store_row_read_dropped(sqlite3_stmt *t, struct record **out)
{
    int64_t kind = sqlite3_column_int64(t, 0);
    int64_t before_ms = sqlite3_column_int64(t, 2);
    enum err err;

    *out = NULL;
    if (kind < 0 || kind >= RECORD_KINDS)
        return E_OK;
    err = store_record_name((enum record_kind)kind,
                            before_ms ? RECORD_EXPIRED : RECORD_GONE,
                            column_bytes(t, 1), out);
    if (err == E_OK)
        (*out)->before_ms = before_ms;
    return err;
}
