/* store.c - see store.h. */
#include "store/store.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/census.h"
#include "store/table.h"
#include "store/writer.h"

/* Changes that may wait for the disk. */
#define QUEUE_MAX 4096
/* A writer that has not been heard of for so long hangs on its disk: what
 * others wrote meanwhile is not known. */
#define SILENT_MS 10000
/* While the store cannot tell, rows that are remembered count for so long
 * (threats.md 3.12, K-06). */
#define SANDBOX_KEPT_MS (300 * 1000)
#define KEY_KEPT_MS (60 * 1000)

struct store {
    struct writer *writer;             /* owned */
    struct table tables[RECORD_KINDS]; /* by enum record_kind */
    struct census census;              /* owned: sandboxes by team */
    bool known;                        /* the tables are the truth */
    int64_t lost_ms;                   /* clock_ms() when they were no longer */
    unsigned queued; /* changes and looks that have not come back */
    char said[320];  /* last note: the same one is logged once */
};

/* Is the memory the truth, or how long ago was it?  0: it is. */
static int64_t doubt_ms(const struct store *s)
{
    int64_t silent_ms;

    if (!s->known)
        return clock_ms() - s->lost_ms + 1;
    silent_ms = store_writer_age_ms(s->writer);
    return silent_ms > SILENT_MS ? silent_ms : 0;
}

/* What can be said of a row that was found, or was not. */
static enum found judge(const struct store *s, const struct record *r,
                        int64_t kept_ms)
{
    int64_t doubted_ms = doubt_ms(s);

    if (!r)
        return doubted_ms ? UNKNOWN : ABSENT;
    if (r->what == RECORD_BAD || doubted_ms > kept_ms)
        return UNKNOWN;
    return FOUND;
}

/* Rows of the kind that count; of one team, or of all where it is absent. */
static bool counts(const struct record *r, struct str team)
{
    return r->what == RECORD_ROW && (!team.p || str_eq(r->sandbox->team, team));
}

static bool is_sandbox(const struct record *r)
{
    return r && r->kind == RECORD_SANDBOX && counts(r, STR_NONE);
}

/* Uses that are on their way to the disk go with the row's new version. */
static void put_row(struct store *s, struct record *r)
{
    struct record *old = store_table_put(&s->tables[r->kind], r);

    if (is_sandbox(r))
        store_census_add(&s->census, r->sandbox->team);
    if (is_sandbox(old))
        store_census_drop(&s->census, old->sandbox->team);
    if (old && r->kind == RECORD_LINK && r->what == RECORD_ROW &&
        old->what == RECORD_ROW)
        r->linked.pending = old->linked.pending;
    store_record_free(&old);
}

static void drop_row(struct store *s, enum record_kind kind, struct str name)
{
    struct record *old = store_table_take(&s->tables[kind], name);

    if (is_sandbox(old))
        store_census_drop(&s->census, old->sandbox->team);
    store_record_free(&old);
}

static void drop_expired(struct store *s, enum record_kind kind,
                         int64_t before_ms)
{
    struct table *t = &s->tables[kind];
    struct record *r = store_table_next(t, NULL), *next;

    for (; r; r = next) {
        int64_t at_ms = before_ms;

        next = store_table_next(t, r);
        if (r->what == RECORD_ROW && kind == RECORD_IDEMPOTENCY)
            at_ms = r->idempotency.at_ms;
        else if (r->what == RECORD_ROW && kind == RECORD_LINK)
            at_ms = r->linked.link->expires_s * 1000;
        else if (r->what == RECORD_ROW && kind == RECORD_BEFORE)
            at_ms = r->revoked_before_ms;
        if (at_ms < before_ms)
            drop_row(s, kind, r->name);
    }
}

static bool is_link_of(const struct record *r, struct str sandbox)
{
    return r->what == RECORD_ROW &&
           str_eq(str_of(r->linked.link->sandbox), sandbox);
}

/* Its links go with a sandbox.  They are few thousand at most. */
static void drop_sandbox(struct store *s, struct str id)
{
    struct table *t = &s->tables[RECORD_LINK];
    struct record *r = store_table_next(t, NULL), *next;

    for (; r; r = next) {
        next = store_table_next(t, r);
        if (is_link_of(r, id))
            drop_row(s, RECORD_LINK, r->name);
    }
    drop_row(s, RECORD_SANDBOX, id);
}

static void drop_any(struct store *s, const struct record *r)
{
    if (r->what == RECORD_EXPIRED)
        drop_expired(s, r->kind, r->before_ms);
    else if (r->kind == RECORD_SANDBOX)
        drop_sandbox(s, r->name);
    else
        drop_row(s, r->kind, r->name);
}

static void take_rows(struct store *s, struct batch *b)
{
    if (b->reset)
        store_census_clear(&s->census);
    if (b->reset)
        for (unsigned i = 0; i < RECORD_KINDS; i++)
            store_table_empty(&s->tables[i]);
    while (b->rows) {
        struct record *r = b->rows;

        b->rows = r->next;
        if (r->what == RECORD_ROW || r->what == RECORD_BAD) {
            put_row(s, r);
            continue;
        }
        drop_any(s, r);
        store_record_free(&r);
    }
    b->rows_end = &b->rows;
}

/* The rows of a unit that is durable. */
static void take_unit(struct store *s, struct unit *u)
{
    for (unsigned i = 0; i < u->count; i++) {
        struct record *r = u->steps[i].record;

        if (r->what == RECORD_GONE) {
            drop_any(s, r);
        } else {
            put_row(s, r);
            u->steps[i].record = NULL;
        }
        if (u->steps[i].change.kind == CHANGE_USE_LINK &&
            r->what == RECORD_ROW && r->linked.pending > 0)
            r->linked.pending--;
    }
}

/* The same trouble at every turn is one line; its end is one more. */
static void say(struct store *s, const struct batch *b)
{
    if (b->note[0] && strcmp(b->note, s->said) != 0) {
        log_say(b->level, "%s", b->note);
        snprintf(s->said, sizeof(s->said), "%s", b->note);
    }
    if (b->err == E_OK && b->known && !b->note[0] && s->said[0]) {
        log_say(LOG_INFO, "store: reads and writes again");
        s->said[0] = '\0';
    }
}

static void take_state(struct store *s, const struct batch *b)
{
    bool known = b->err == E_OK && b->known;

    /* A transaction that failed says nothing of what was read before. */
    if (b->err != E_OK && !list_empty(&b->units))
        return;
    if (s->known && !known)
        s->lost_ms = clock_ms();
    s->known = known;
}

static void take_batch(struct store *s, struct batch *b)
{
    struct list *link;

    say(s, b);
    take_state(s, b);
    take_rows(s, b);
    while ((link = list_pop(&b->units))) {
        struct unit *u = LIST_OF(link, struct unit, link);

        s->queued -= u->count ? u->count : 1;
        if (u->err == E_OK)
            take_unit(s, u);
        if (u->done)
            u->done(u->arg, u->err);
        store_unit_free(&u);
    }
    store_batch_free(&b);
}

static void clear(struct store **s)
{
    if (*s)
        store_census_clear(&(*s)->census);
    for (unsigned i = 0; *s && i < RECORD_KINDS; i++)
        store_table_clear(&(*s)->tables[i]);
    mem_free(*s);
    *s = NULL;
}

enum err store_open(struct str path, struct store **out)
{
    struct store *s = *out = mem_new(sizeof(*s));
    struct list batches, *link;
    enum err err = s ? E_OK : E_NOMEM;

    list_init(&batches);
    if (s)
        store_census_init(&s->census);
    for (unsigned i = 0; i < RECORD_KINDS && err == E_OK; i++)
        err = store_table_init(&s->tables[i]);
    if (err == E_OK)
        err = store_writer_start(path, &batches, &s->writer);
    if (err == E_OK)
        s->lost_ms = INT64_MIN / 2; /* never were */
    while ((link = list_pop(&batches)))
        take_batch(s, LIST_OF(link, struct batch, link));
    if (err != E_OK)
        clear(out);
    return err;
}

int store_fd(const struct store *s)
{
    return store_writer_fd(s->writer);
}

void store_turn(struct store *s)
{
    struct list batches, *link;

    list_init(&batches);
    store_writer_take(s->writer, &batches);
    while ((link = list_pop(&batches)))
        take_batch(s, LIST_OF(link, struct batch, link));
}

enum found store_find_sandbox(struct store *s, struct str id,
                              const struct sandbox **out)
{
    struct record *r = store_table_find(&s->tables[RECORD_SANDBOX], id);
    enum found found = judge(s, r, SANDBOX_KEPT_MS);

    *out = found == FOUND ? r->sandbox : NULL;
    return found;
}

enum found store_find_key(struct store *s,
                          const unsigned char hash[KEY_HASH_BYTES],
                          struct key *out)
{
    struct str name = str_from((const char *)hash, KEY_HASH_BYTES);
    struct record *r = store_table_find(&s->tables[RECORD_KEY], name);
    enum found found = judge(s, r, KEY_KEPT_MS);

    memset(out, 0, sizeof(*out));
    if (found == FOUND && r->key.revoked_ms != 0)
        return ABSENT;
    if (found == FOUND)
        *out = r->key;
    return found;
}

enum found store_find_idempotency(struct store *s, struct str team,
                                  struct str key,
                                  const struct idempotency **out)
{
    char joined[RECORD_NAME_MAX];
    struct str name = store_record_join(team, key, joined);
    struct record *r = NULL;
    enum found found;

    *out = NULL;
    if (name.p)
        r = store_table_find(&s->tables[RECORD_IDEMPOTENCY], name);
    if (r && r->what == RECORD_ROW &&
        clock_wall_ms() - r->idempotency.at_ms > STORE_IDEMPOTENCY_MS)
        r = NULL;
    found = judge(s, r, SANDBOX_KEPT_MS);
    if (found == FOUND)
        *out = &r->idempotency;
    return found;
}

/* What can be said of the link of a row: with the uses on their way, and
 * with the revocation of all before a time. */
static struct link link_of(const struct store *s, const struct record *r)
{
    struct link out = *r->linked.link;
    const struct record *before =
        store_table_find(&s->tables[RECORD_BEFORE], str_of(out.sandbox));

    out.uses += r->linked.pending;
    if (before && before->what == RECORD_ROW && out.revoked_ms == 0 &&
        out.created_ms < before->revoked_before_ms)
        out.revoked_ms = before->revoked_before_ms;
    return out;
}

/* A time before which links are revoked that is not believed revokes none,
 * and admits none. */
static bool is_doubted(const struct store *s, struct str sandbox)
{
    const struct record *r =
        store_table_find(&s->tables[RECORD_BEFORE], sandbox);

    return r && r->what != RECORD_ROW;
}

enum found store_find_link(struct store *s, struct str id, struct link *out)
{
    struct record *r = store_table_find(&s->tables[RECORD_LINK], id);
    enum found found = judge(s, r, KEY_KEPT_MS);

    memset(out, 0, sizeof(*out));
    if (found == FOUND && is_doubted(s, str_of(r->linked.link->sandbox)))
        return UNKNOWN;
    if (found == FOUND)
        *out = link_of(s, r);
    return found;
}

enum found store_find_before(struct store *s, struct str sandbox,
                             int64_t *before_ms)
{
    struct record *r = store_table_find(&s->tables[RECORD_BEFORE], sandbox);
    enum found found = judge(s, r, KEY_KEPT_MS);

    *before_ms = found == FOUND ? r->revoked_before_ms : 0;
    return found;
}

static int by_creation(const void *one, const void *other)
{
    const struct link *a = one, *b = other;

    if (a->created_ms != b->created_ms)
        return a->created_ms < b->created_ms ? 1 : -1;
    return strcmp(a->id, b->id);
}

enum found store_list_links(struct store *s, struct str sandbox,
                            struct arena *a, const struct link **out,
                            unsigned *count)
{
    const struct table *t = &s->tables[RECORD_LINK];
    struct link *links;
    unsigned n = 0;

    *out = NULL;
    *count = 0;
    if (doubt_ms(s) || is_doubted(s, sandbox))
        return UNKNOWN;
    for (struct record *r = NULL; (r = store_table_next(t, r));)
        n += is_link_of(r, sandbox);
    links = arena_alloc(a, (n + 1) * sizeof(*links));
    if (!links)
        return UNKNOWN;
    for (struct record *r = NULL; (r = store_table_next(t, r));)
        if (is_link_of(r, sandbox))
            links[(*count)++] = link_of(s, r);
    qsort(links, *count, sizeof(*links), by_creation);
    *out = links;
    return FOUND;
}

enum err store_use_link(struct store *s, struct str id)
{
    struct change change = {.kind = CHANGE_USE_LINK};
    struct link link;
    enum err err;

    switch (store_find_link(s, id, &link)) {
    case FOUND:
        break;
    case ABSENT:
        return E_TOKEN_REVOKED;
    case UNKNOWN:
        return E_STORE;
    }
    if (link.revoked_ms)
        return E_TOKEN_REVOKED;
    if (link.scopes.uses_max && link.uses >= link.scopes.uses_max)
        return E_TOKEN_EXPIRED;
    change.link = &link;
    err = store_commit(s, &change, 1, NULL, NULL);
    if (err == E_OK)
        store_table_find(&s->tables[RECORD_LINK], id)->linked.pending++;
    return err;
}

enum found store_count_sandboxes(struct store *s, struct str team,
                                 unsigned *count)
{
    const struct table *t = &s->tables[RECORD_SANDBOX];

    *count = 0;
    if (doubt_ms(s))
        return UNKNOWN;
    if (store_census_count(&s->census, team, count))
        return FOUND;
    *count = 0;
    for (struct record *r = NULL; (r = store_table_next(t, r));)
        *count += counts(r, team);
    return FOUND;
}

enum found store_list_sandboxes(struct store *s, struct str team,
                                struct arena *a, const struct sandbox ***out,
                                unsigned *count)
{
    const struct table *t = &s->tables[RECORD_SANDBOX];
    unsigned n = 0;

    *out = NULL;
    *count = 0;
    if (doubt_ms(s))
        return UNKNOWN; /* by a list, rows are judged to be missing */
    for (struct record *r = NULL; (r = store_table_next(t, r));)
        n += counts(r, team);
    *out = arena_alloc(a, (n + 1) * sizeof(**out));
    if (!*out)
        return UNKNOWN;
    for (struct record *r = NULL; (r = store_table_next(t, r));)
        if (counts(r, team))
            (*out)[(*count)++] = r->sandbox;
    return FOUND;
}

static int by_number(const void *one, const void *other)
{
    const struct key *a = one, *b = other;

    return (a->number > b->number) - (a->number < b->number);
}

enum found store_list_keys(struct store *s, struct arena *a,
                           const struct key **out, unsigned *count)
{
    const struct table *t = &s->tables[RECORD_KEY];
    struct key *keys;

    *out = NULL;
    *count = 0;
    if (doubt_ms(s))
        return UNKNOWN;
    keys = arena_alloc(a, (t->count + 1) * sizeof(*keys));
    if (!keys)
        return UNKNOWN;
    for (struct record *r = NULL; (r = store_table_next(t, r));)
        if (r->what == RECORD_ROW)
            keys[(*count)++] = r->key;
    qsort(keys, *count, sizeof(*keys), by_number);
    *out = keys;
    return FOUND;
}

enum err store_commit(struct store *s, const struct change *changes,
                      unsigned count, store_done *done, void *arg)
{
    struct unit *u;
    const char *why;
    enum err err;

    if (!s->known)
        return E_STORE;
    if (count > QUEUE_MAX || s->queued > QUEUE_MAX - (count ? count : 1))
        return E_FULL;
    err = store_unit_new(changes, count, &why, &u);
    if (why)
        log_say(LOG_ERROR, "store: a change is refused for its %s", why);
    if (err != E_OK)
        return err;
    u->done = done;
    u->arg = arg;
    s->queued += count ? count : 1;
    store_writer_put(s->writer, u);
    return E_OK;
}

enum err store_flush(struct store *s, int ms)
{
    int64_t end_ms = ms + store_writer_now_ms();

    store_turn(s);
    while (s->queued > 0) {
        struct pollfd fd = {store_fd(s), POLLIN, 0};
        int64_t left_ms = end_ms - store_writer_now_ms();

        if (left_ms <= 0)
            return E_DEADLINE;
        (void)poll(&fd, 1, (int)left_ms);
        store_turn(s);
    }
    return E_OK;
}

void store_look(struct store *s)
{
    struct unit *u;
    const char *why;

    if (s->queued >= QUEUE_MAX || store_unit_new(NULL, 0, &why, &u) != E_OK)
        return; /* every transaction looks, and so does the next second */
    s->queued++;
    store_writer_put(s->writer, u);
}

void store_close(struct store **s)
{
    if (!*s)
        return;
    store_writer_stop((*s)->writer);
    store_turn(*s);
    store_writer_free(&(*s)->writer);
    clear(s);
}
