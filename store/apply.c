/* apply.c - see apply.h. */
#include "store/apply.h"

#include <string.h>

#include "store/row.h"

#define EXPIRE_EVERY_MS (10 * 60 * 1000)
/* So long a link is listed after its end. */
#define LINK_KEPT_MS (60 * 60 * 1000)
/* No link that was made before that time lives longer. */
#define BEFORE_KEPT_MS (LINK_TTL_MAX_S * INT64_C(1000) + LINK_KEPT_MS)
/* So many deletions a process may have missed before it must read all. */
#define DROPPED_KEPT 10000

/* One row of two numbers, or none. */
static enum err look_up(struct file *f, sqlite3_stmt *t, bool *row,
                        int64_t out[2])
{
    enum err err = store_sql_step(&f->sql, t, row);

    if (err != E_OK || !*row)
        return err;
    for (int i = 0; i < 2 && i < sqlite3_column_count(t); i++)
        out[i] = sqlite3_column_int64(t, i);
    store_sql_end(t);
    return E_OK;
}

/* The condition of a change of a sandbox, asked of the row as it stands. */
static enum err check_sandbox(struct file *f, const struct step *s)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_SANDBOX_STATE);
    int64_t now[2] = {0, 0};
    bool row, holds;
    enum err err;

    if (s->change.condition == IF_ANY)
        return E_OK;
    if (t)
        store_sql_bind(t, 1, s->record->name);
    err = look_up(f, t, &row, now);
    if (err != E_OK)
        return err;
    if (s->change.condition == IF_ABSENT)
        holds = !row;
    else
        holds = row && now[0] == (int64_t)s->change.if_state &&
                (uint64_t)now[1] == s->change.if_life;
    return holds ? E_OK : E_CONFLICT;
}

/* An idempotency row whose time is over counts as absent. */
static enum err check_idempotency(struct file *f, const struct step *s)
{
    const struct idempotency *i = &s->record->idempotency;
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_IDEMPOTENCY_TIME);
    int64_t at_ms[2] = {0, 0};
    enum err err;
    bool row;

    if (s->change.condition == IF_ANY)
        return E_OK;
    if (t) {
        store_sql_bind(t, 1, i->team);
        store_sql_bind(t, 2, i->key);
    }
    err = look_up(f, t, &row, at_ms);
    if (err != E_OK)
        return err;
    if (s->change.condition == IF_STATE)
        return E_CONFLICT; /* it has no state */
    return row && at_ms[0] >= i->at_ms - STORE_IDEMPOTENCY_MS ? E_CONFLICT
                                                              : E_OK;
}

static enum err put(struct file *f, enum sql_statement which,
                    const struct record *r)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, which);

    if (t)
        store_row_bind(t, r, ++f->stamp);
    return store_sql_step(&f->sql, t, NULL);
}

/* Tell other processes of a deletion. */
static enum err put_dropped(struct file *f, enum record_kind kind,
                            struct str name, int64_t before_ms)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_DROPPED_PUT);

    if (t) {
        sqlite3_bind_int64(t, 1, ++f->stamp);
        sqlite3_bind_int64(t, 2, kind);
        store_sql_bind_bytes(t, 3, name);
        sqlite3_bind_int64(t, 4, before_ms);
    }
    return store_sql_step(&f->sql, t, NULL);
}

static enum err drop(struct file *f, enum sql_statement which,
                     const struct record *r)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, which);
    struct str rest = r->name;
    enum err err;

    if (t && r->kind == RECORD_IDEMPOTENCY) {
        store_sql_bind(t, 1, str_cut(&rest, '\0'));
        store_sql_bind(t, 2, rest);
    } else if (t) {
        store_sql_bind(t, 1, r->name);
    }
    err = store_sql_step(&f->sql, t, NULL);
    if (err != E_OK || sqlite3_changes(f->sql.db) == 0)
        return err;
    return put_dropped(f, r->kind, r->name, 0);
}

/* A link goes with the record of its sandbox; other processes drop it when
 * they hear of that one. */
static enum err drop_links(struct file *f, struct str sandbox)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_LINK_DROP_SANDBOX);

    if (t)
        store_sql_bind(t, 1, sandbox);
    return store_sql_step(&f->sql, t, NULL);
}

/* A key stays what it was: an existing number and a hash that is or was there
 * are conflicts, so that nothing revoked comes back. */
static enum err put_key(struct file *f, struct record *r)
{
    sqlite3_stmt *t;
    enum err err;
    bool row;

    if (store_marker_has(&f->marker, r->name))
        return E_CONFLICT;
    t = store_sql_start(&f->sql, SQL_KEY_PUT);
    if (t)
        store_row_bind(t, r, ++f->stamp);
    err = store_sql_step(&f->sql, t, &row);
    if (err == E_OK && row) {
        r->key.number = (uint64_t)sqlite3_column_int64(t, 0);
        err = store_sql_step(&f->sql, t, &row);
    }
    return err;
}

/* Step t, which is bound and RETURNS *: the record of the step becomes what
 * stands in the row then. */
static enum err take_row(struct file *f, sqlite3_stmt *t, struct step *s)
{
    struct record *found = NULL;
    const char *why;
    enum err err;
    bool row;

    err = store_sql_step(&f->sql, t, &row);
    if (err != E_OK)
        return err;
    if (!row)
        return E_CONFLICT;
    err = store_row_read(t, s->record->kind, &why, &found);
    if (err == E_OK)
        err = store_sql_step(&f->sql, t, &row);
    store_sql_end(t);
    if (err == E_OK && !found)
        err = E_CONFLICT; /* a row without a name opens nothing anyway */
    if (err != E_OK) {
        store_record_free(&found);
        return err;
    }
    store_record_free(&s->record);
    s->record = found;
    return E_OK;
}

/* Also the time of the first revocation, where it was one of a revoked
 * key. */
static enum err revoke_key(struct file *f, struct step *s)
{
    const struct key *k = &s->record->key;
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_KEY_REVOKE);

    if (t) {
        sqlite3_bind_int64(t, 1, ++f->stamp);
        sqlite3_bind_int64(t, 2, k->revoked_ms);
        sqlite3_bind_int64(t, 3, (int64_t)k->number);
    }
    return take_row(f, t, s);
}

/* Is there a record of the sandbox, and in a life that links are for?
 * life  NULL: any state and life will do */
static enum err check_linked(struct file *f, struct str sandbox,
                             const uint64_t *life)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_SANDBOX_STATE);
    int64_t now[2] = {0, 0};
    enum err err;
    bool row;

    if (t)
        store_sql_bind(t, 1, sandbox);
    err = look_up(f, t, &row, now);
    if (err != E_OK)
        return err;
    if (!row ||
        (life && (now[0] != SANDBOX_RUNNING || (uint64_t)now[1] != *life)))
        return E_CONFLICT;
    return E_OK;
}

static enum err put_link(struct file *f, const struct record *r)
{
    const struct link *l = r->linked.link;
    enum err err = check_linked(f, str_of(l->sandbox), &l->life);

    return err == E_OK ? put(f, SQL_LINK_PUT, r) : err;
}

static enum err revoke_link(struct file *f, struct step *s)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_LINK_REVOKE);

    if (t) {
        sqlite3_bind_int64(t, 1, ++f->stamp);
        sqlite3_bind_int64(t, 2, s->record->linked.link->revoked_ms);
        store_sql_bind(t, 3, s->record->name);
    }
    return take_row(f, t, s);
}

static enum err revoke_before(struct file *f, struct step *s)
{
    enum err err = check_linked(f, s->record->name, NULL);
    sqlite3_stmt *t;

    if (err != E_OK)
        return err;
    t = store_sql_start(&f->sql, SQL_BEFORE_PUT);
    if (t)
        store_row_bind(t, s->record, ++f->stamp);
    return take_row(f, t, s);
}

static enum err use_link(struct file *f, struct step *s)
{
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_LINK_USE);

    if (t) {
        sqlite3_bind_int64(t, 1, ++f->stamp);
        store_sql_bind(t, 2, s->record->name);
    }
    return take_row(f, t, s);
}

static enum err apply_step(struct file *f, struct step *s)
{
    enum err err = E_OK;

    switch (s->change.kind) {
    case CHANGE_PUT_SANDBOX:
        err = check_sandbox(f, s);
        return err == E_OK ? put(f, SQL_SANDBOX_PUT, s->record) : err;
    case CHANGE_DROP_SANDBOX:
        err = check_sandbox(f, s);
        if (err == E_OK)
            err = drop_links(f, s->record->name);
        return err == E_OK ? drop(f, SQL_SANDBOX_DROP, s->record) : err;
    case CHANGE_PUT_KEY:
        return put_key(f, s->record);
    case CHANGE_REVOKE_KEY:
        return revoke_key(f, s);
    case CHANGE_PUT_IDEMPOTENCY:
        err = check_idempotency(f, s);
        return err == E_OK ? put(f, SQL_IDEMPOTENCY_PUT, s->record) : err;
    case CHANGE_DROP_IDEMPOTENCY:
        return drop(f, SQL_IDEMPOTENCY_DROP, s->record);
    case CHANGE_PUT_LINK:
        return put_link(f, s->record);
    case CHANGE_REVOKE_LINK:
        return revoke_link(f, s);
    case CHANGE_REVOKE_LINKS_BEFORE:
        return revoke_before(f, s);
    case CHANGE_USE_LINK:
        return use_link(f, s);
    }
    return E_CONFLICT;
}

enum err store_apply(struct file *f, struct unit *u)
{
    int64_t stamp = f->stamp;
    enum err err = store_sql_run(&f->sql, SQL_UNIT_BEGIN);

    if (err != E_OK)
        return err;
    u->err = E_OK;
    for (unsigned i = 0; i < u->count && u->err == E_OK; i++)
        u->err = apply_step(f, &u->steps[i]);
    if (u->err != E_OK && u->err != E_CONFLICT)
        return u->err;
    if (u->err == E_CONFLICT) {
        f->stamp = stamp;
        err = store_sql_run(&f->sql, SQL_UNIT_BACK);
    }
    return err == E_OK ? store_sql_run(&f->sql, SQL_UNIT_END) : err;
}

static enum err forget_dropped(struct file *f)
{
    sqlite3_stmt *t;

    if (f->stamp - f->floor <= 2 * DROPPED_KEPT)
        return E_OK;
    f->floor = f->stamp - DROPPED_KEPT;
    t = store_sql_start(&f->sql, SQL_DROPPED_FORGET);
    if (t)
        sqlite3_bind_int64(t, 1, f->floor);
    return store_sql_step(&f->sql, t, NULL);
}

/* Delete by time, and tell of it. */
static enum err expire(struct file *f, struct batch *b, enum record_kind kind,
                       int64_t before_ms)
{
    static const enum sql_statement which[] = {
        [RECORD_IDEMPOTENCY] = SQL_IDEMPOTENCY_EXPIRE,
        [RECORD_LINK] = SQL_LINK_EXPIRE,
        [RECORD_BEFORE] = SQL_BEFORE_EXPIRE};
    sqlite3_stmt *t = store_sql_start(&f->sql, which[kind]);
    struct record *r;
    enum err err;

    if (t)
        sqlite3_bind_int64(t, 1,
                           kind == RECORD_LINK ? before_ms / 1000 : before_ms);
    err = store_sql_step(&f->sql, t, NULL);
    if (err != E_OK || sqlite3_changes(f->sql.db) == 0)
        return err;
    err = put_dropped(f, kind, STR(""), before_ms);
    if (err == E_OK)
        err = store_record_name(kind, RECORD_EXPIRED, STR(""), &r);
    if (err != E_OK)
        return err;
    r->before_ms = before_ms;
    store_batch_add(b, r);
    return E_OK;
}

enum err store_apply_age(struct file *f, struct batch *b, int64_t now_ms)
{
    int64_t before_ms = now_ms - STORE_IDEMPOTENCY_MS;
    enum err err;

    if (now_ms - f->expired_ms < EXPIRE_EVERY_MS || before_ms <= 0)
        return forget_dropped(f);
    err = expire(f, b, RECORD_IDEMPOTENCY, before_ms);
    if (err == E_OK)
        err = expire(f, b, RECORD_LINK, now_ms - LINK_KEPT_MS);
    if (err == E_OK)
        err = expire(f, b, RECORD_BEFORE, now_ms - BEFORE_KEPT_MS);
    f->expired_ms = now_ms;
    return err == E_OK ? forget_dropped(f) : err;
}
