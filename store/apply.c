/* apply.c - see apply.h. */
#include "store/apply.h"

#include <string.h>

#include "store/row.h"

#define EXPIRE_EVERY_MS (10 * 60 * 1000)
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

/* The record becomes what stands in the row: also the time of the first
 * revocation, where it was one of a revoked key. */
static enum err revoke_key(struct file *f, struct step *s)
{
    const struct key *k = &s->record->key;
    sqlite3_stmt *t = store_sql_start(&f->sql, SQL_KEY_REVOKE);
    struct record *found = NULL;
    const char *why;
    enum err err;
    bool row;

    if (t) {
        sqlite3_bind_int64(t, 1, ++f->stamp);
        sqlite3_bind_int64(t, 2, k->revoked_ms);
        sqlite3_bind_int64(t, 3, (int64_t)k->number);
    }
    err = store_sql_step(&f->sql, t, &row);
    if (err != E_OK)
        return err;
    if (!row)
        return E_CONFLICT;
    err = store_row_read(t, RECORD_KEY, &why, &found);
    if (err == E_OK)
        err = store_sql_step(&f->sql, t, &row);
    store_sql_end(t);
    if (err == E_OK && !found)
        err = E_CONFLICT; /* a row without a hash opens nothing anyway */
    if (err != E_OK) {
        store_record_free(&found);
        return err;
    }
    store_record_free(&s->record);
    s->record = found;
    return E_OK;
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

enum err store_apply_age(struct file *f, struct batch *b, int64_t now_ms)
{
    int64_t before_ms = now_ms - STORE_IDEMPOTENCY_MS;
    struct record *r;
    sqlite3_stmt *t;
    enum err err;

    if (now_ms - f->expired_ms < EXPIRE_EVERY_MS || before_ms <= 0)
        return forget_dropped(f);
    t = store_sql_start(&f->sql, SQL_IDEMPOTENCY_EXPIRE);
    if (t)
        sqlite3_bind_int64(t, 1, before_ms);
    err = store_sql_step(&f->sql, t, NULL);
    if (err == E_OK && sqlite3_changes(f->sql.db) > 0) {
        err = put_dropped(f, RECORD_IDEMPOTENCY, STR(""), before_ms);
        if (err == E_OK)
            err = store_record_name(RECORD_IDEMPOTENCY, RECORD_EXPIRED, STR(""),
                                    &r);
        if (err == E_OK) {
            r->before_ms = before_ms;
            store_batch_add(b, r);
        }
    }
    f->expired_ms = now_ms;
    return err == E_OK ? forget_dropped(f) : err;
}
