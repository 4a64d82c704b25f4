/* link.c - see link.h, and live_link_ask(), passenger_show() of live.h.
 *
 * A link is signed, then recorded, then told: what nobody may have is never
 * on the disk alone, and what somebody has can be revoked.  A revocation is
 * on the disk before those whom the link admitted are kicked, and only then
 * told. */
#include "live/link.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "preview/host.h"
#include "preview/token.h"

#include <sodium.h>

#define LINKS_MAX 1000 /* of one sandbox, those that have expired included */
#define LIST_BYTES (16 << 20)
#define URL_MAX 1024
#define LOOK_MS 250 /* how soon another process' revocation is acted on */

struct link_job {
    struct job job;
    enum job_kind kind;
    bool mitos;
    int64_t timeout_s; /* 0: the configuration's */
    struct link link;  /* what is made or revoked */
    struct buf url;    /* owned: with the token */
};

static struct link_job *of(void *arg)
{
    return arg;
}

static void clear(struct job *job)
{
    struct link_job *k = of(job);

    if (k->url.p)
        sodium_memzero(k->url.p, k->url.room);
    buf_clear(&k->url);
}

static void finish(struct link_job *k, enum err err)
{
    struct op_result result = {
        .links = &k->link, .count = 1, .link_url = buf_str(&k->url)};

    job_tell(&k->job, err, &result);
    job_end(&k->job);
}

static enum err of_commit(enum err err, enum err conflict)
{
    if (err == E_CONFLICT)
        return conflict;
    return err == E_NOMEM ? E_NOMEM : E_STORE;
}

/* ---- who came by a link ---- */

enum preview_standing live_link_ask(void *arg, const struct link *link,
                                    enum preview_source source)
{
    struct live *l = arg;
    const struct link_scopes *scopes = &link->scopes;
    struct link now;
    int64_t before_ms;

    if (!link->id[0]) {
        switch (
            store_find_before(l->store, str_of(link->sandbox), &before_ms)) {
        case FOUND:
            return preview_token_could_predate(&l->conf->preview, link,
                                               before_ms)
                       ? PREVIEW_REVOKED
                       : PREVIEW_STANDS;
        case ABSENT:
            return PREVIEW_STANDS;
        case UNKNOWN:
            break;
        }
        return PREVIEW_UNKNOWN;
    }
    switch (store_find_link(l->store, str_of(link->id), &now)) {
    case FOUND:
        if (now.revoked_ms)
            return PREVIEW_REVOKED;
        return scopes->uses_max && now.uses >= scopes->uses_max &&
                       source != PREVIEW_OF_COOKIE
                   ? PREVIEW_USED_UP
                   : PREVIEW_STANDS;
    case ABSENT:
        return PREVIEW_REVOKED;
    case UNKNOWN:
        break;
    }
    return PREVIEW_UNKNOWN;
}

/* Why p may not stay; E_OK: it may. */
MUST_USE static enum err verdict(struct live *l, const struct passenger *p,
                                 int64_t now_s)
{
    if (p->lasting && p->by.expires_s <= now_s)
        return E_TOKEN_EXPIRED;
    if (live_link_ask(l, &p->by, PREVIEW_OF_COOKIE) == PREVIEW_REVOKED)
        return E_TOKEN_REVOKED;
    return E_OK;
}

/* Kick those whose link is revoked or over.  What is told may take others off
 * the lists. */
static void look(struct live *l)
{
    int64_t now_s = clock_wall_ms() / 1000;
    struct list waiting, *at;

    list_init(&waiting);
    while ((at = list_pop(&l->shown)))
        list_push(&waiting, at);
    while ((at = list_pop(&waiting))) {
        struct passenger *p = LIST_OF(at, struct passenger, shown);

        enum err err = verdict(l, p, now_s);

        if (err)
            p->on_kicked(p->arg, err);
        else
            list_push(&l->shown, &p->shown);
    }
}

static void on_look(void *arg)
{
    struct live *l = arg;

    look(l);
    if (!list_empty(&l->shown))
        timer_set(&l->shown_timer, LOOK_MS);
}

void passenger_show(struct live *l, struct passenger *p,
                    const struct link *link)
{
    if (!p->in)
        return;
    tally_add(&l->tally, l->store, l->hash_key, str_of(link->id),
              clock_wall_ms());
    list_remove(&p->shown);
    p->by = *link;
    if (list_empty(&l->shown))
        timer_set(&l->shown_timer, LOOK_MS);
    list_push(&l->shown, &p->shown);
}

void link_init(struct live *l)
{
    timer_init(&l->shown_timer, l->loop, on_look, l);
}

void link_clear(struct live *l)
{
    tally_clear(&l->tally);
    if (l->shown_timer.loop)
        timer_clear(&l->shown_timer);
}

/* ---- the end of a sandbox ---- */

unsigned link_drop_changes(const struct live *l, const struct sandbox *s,
                           const struct change *drop, struct link *before,
                           struct change out[2])
{
    unsigned n = 0;

    if (s->native && l->conf->preview.mitos_secret_bytes &&
        s->id.n < sizeof(before->sandbox)) {
        *before = (struct link){.revoked_ms = clock_wall_ms()};
        memcpy(before->sandbox, s->id.p, s->id.n);
        out[n++] =
            (struct change){.kind = CHANGE_REVOKE_LINKS_BEFORE, .link = before};
    }
    out[n++] = *drop;
    return n;
}

/* ---- make ---- */

static void on_made(void *arg, enum err err)
{
    struct link_job *k = arg;

    k->job.commit = NULL;
    finish(k, err ? of_commit(err, E_SANDBOX_GONE) : E_OK);
}

/* Errors: E_QUOTA, E_STORE. */
MUST_USE static enum err check_quota(struct live *l, struct str sandbox)
{
    const struct link *list;
    struct arena *a;
    unsigned count;
    enum found found;

    if (arena_new(LIST_BYTES, &a))
        return E_NOMEM;
    found = store_list_links(l->store, sandbox, a, &list, &count);
    arena_free(&a);
    if (found != FOUND)
        return E_STORE;
    return count >= LINKS_MAX ? E_QUOTA : E_OK;
}

/* What the caller does not say: id, life, times. */
static void fill(struct link_job *k, const struct sandbox *s)
{
    const struct conf_preview *p = &k->job.live->conf->preview;
    unsigned char random[LINK_ID_LENGTH - 1];
    int64_t ttl_s = k->timeout_s ? k->timeout_s : p->ttl_default_s;

    if (ttl_s > p->ttl_max_s)
        ttl_s = p->ttl_max_s;
    k->link.created_ms = clock_wall_ms();
    k->link.expires_s = k->link.created_ms / 1000 + ttl_s;
    k->link.revoked_ms = 0;
    k->link.uses = 0;
    /* The sandbox server's form cannot be told from one that was made before
     * all of its sandbox's were revoked, or for an earlier one of that id. */
    k->mitos = k->mitos && live_link_ask(k->job.live, &k->link,
                                         PREVIEW_QUERY) == PREVIEW_STANDS;
    if (k->mitos)
        return;
    random_bytes(random, sizeof(random));
    link_id_make(random, k->link.id);
    k->link.life = s->life;
}

/* The URL, with its token. */
MUST_USE static enum err sign(struct link_job *k)
{
    const struct conf_preview *p = &k->job.live->conf->preview;
    struct buf token;
    enum err err;

    buf_init(&token, PREVIEW_TOKEN_MAX);
    err = k->mitos ? preview_token_mint_mitos(p, &k->link, &token)
                   : preview_token_mint(p, &k->link, &token);
    if (!err)
        preview_host_url(p, &k->link, buf_str(&token), &k->url);
    if (token.p)
        sodium_memzero(token.p, token.room);
    buf_clear(&token);
    return !err && k->url.failed ? E_NOMEM : err;
}

static void make(struct link_job *k, const struct sandbox *s)
{
    struct change change = {.kind = CHANGE_PUT_LINK, .link = &k->link};
    enum err err = E_UNIMPLEMENTED;

    /* That form's host is the id alone. */
    k->mitos = k->mitos && preview_host_stands(s->id);
    if (!link_port_ok(k->link.port))
        err = E_BAD_PORT;
    else if (conf_previews(k->job.live->conf))
        err = E_OK;
    if (!err)
        fill(k, s);
    if (!err && !k->mitos)
        err = check_quota(k->job.live, s->id);
    if (!err)
        err = sign(k);
    if (!err && k->mitos) {
        finish(k, E_OK);
        return;
    }
    if (!err)
        err = job_commit(&k->job, &change, 1, on_made);
    if (err)
        finish(k, err == E_FULL ? E_STORE : err);
}

/* ---- list ---- */

static void list(struct link_job *k, const struct sandbox *s)
{
    struct op_result result = {0};
    struct live *l = k->job.live;
    struct link *rows = NULL;
    struct arena *a = NULL;
    enum err err = arena_new(LIST_BYTES, &a);

    if (!err && store_list_links(l->store, s->id, a, &result.links,
                                 &result.count) != FOUND)
        err = E_STORE;
    if (!err && result.count) {
        rows = arena_alloc(a, result.count * sizeof(*rows));
        err = rows ? E_OK : E_NOMEM;
    }
    for (unsigned i = 0; !err && i < result.count; i++) {
        rows[i] = result.links[i];
        tally_fill(&l->tally, l->hash_key, &rows[i]);
    }
    if (rows)
        result.links = rows;
    job_tell(&k->job, err, &result);
    arena_free(&a);
    job_end(&k->job);
}

/* ---- revoke ---- */

static void on_revoked(void *arg, enum err err)
{
    struct link_job *k = arg;

    k->job.commit = NULL;
    if (!err)
        look(k->job.live);
    finish(k, err ? of_commit(err, E_NOT_FOUND) : E_OK);
}

/* Is there such a link, and is it the sandbox's?  Errors: E_NOT_FOUND,
 * E_STORE. */
MUST_USE static enum err check_link(struct link_job *k)
{
    struct link now;

    switch (store_find_link(k->job.live->store, str_of(k->link.id), &now)) {
    case FOUND:
        return strcmp(now.sandbox, k->link.sandbox) == 0 ? E_OK : E_NOT_FOUND;
    case ABSENT:
        return E_NOT_FOUND;
    case UNKNOWN:
        break;
    }
    return E_STORE;
}

static void revoke(struct link_job *k)
{
    struct change change = {.kind = CHANGE_REVOKE_LINKS_BEFORE,
                            .link = &k->link};
    enum err err = E_OK;

    if (k->link.id[0]) {
        change.kind = CHANGE_REVOKE_LINK;
        k->link.revoked_ms = clock_wall_ms();
        err = check_link(k);
    }
    if (!err)
        err = job_commit(&k->job, &change, 1, on_revoked);
    if (err)
        finish(k, err == E_FULL ? E_STORE : err);
}

/* ---- the door ---- */

static void start(struct job *job)
{
    struct link_job *k = of(job);
    const struct sandbox *s;

    switch (store_find_sandbox(job->live->store, str_of(k->link.sandbox), &s)) {
    case FOUND:
        break;
    case ABSENT:
        finish(k, E_SANDBOX_GONE);
        return;
    case UNKNOWN:
        finish(k, E_STORE);
        return;
    }
    if (s->state != SANDBOX_RUNNING || !str_eq(s->team, str_of(k->link.team)))
        finish(k, E_SANDBOX_GONE); /* another team's is as unknown */
    else if (k->kind == JOB_LINK_CREATE)
        make(k, s);
    else if (k->kind == JOB_LINK_LIST)
        list(k, s);
    else
        revoke(k);
}

static void on_start(void *arg)
{
    start(arg);
}

enum err link_begin(struct live *l, struct str team,
                    const struct want_job *want, struct job **out)
{
    struct link_job *k;
    enum err err = job_new(l, sizeof(*k), start, out);

    if (err)
        return err;
    k = of(*out);
    k->job.clear = clear;
    k->kind = want->kind;
    k->mitos = want->mitos;
    k->timeout_s = want->timeout_s;
    buf_init(&k->url, URL_MAX);
    if (want->link)
        k->link = *want->link;
    if (team.n >= sizeof(k->link.team) || want->id.n > LINK_SANDBOX_MAX) {
        job_fail_later(*out, E_SANDBOX_GONE);
        return E_OK;
    }
    memset(k->link.team, 0, sizeof(k->link.team));
    memcpy(k->link.team, team.p, team.n);
    memset(k->link.sandbox, 0, sizeof(k->link.sandbox));
    memcpy(k->link.sandbox, want->id.p, want->id.n);
    later_do(l, &k->job.later, on_start, k);
    return E_OK;
}
