#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "preview/token.h"
#include "tests/unit/live_rig.h"

static struct conf_preview_key preview_key = {.id = STR("k1"), .secret = {1}};

static void begin(void)
{
    rig_make();
    rig.conf.preview =
        (struct conf_preview){.domain = STR("p.example"),
                              .port = 443,
                              .keys = &preview_key,
                              .key_count = 1,
                              .mitos_secret = "secret-of-16-bytes",
                              .mitos_secret_bytes = 18,
                              .ttl_default_s = 3600,
                              .ttl_max_s = 86400};
    fake_add(rig.fake, "ia");
    fake_add(rig.fake, "ib");
    rig_put("ia", SANDBOX_RUNNING, 1000000);
    rig_put("ib", SANDBOX_RUNNING, 1000000);
    rig_start();
    rig_later(0);
}

TestSuite(live_link, .init = begin, .fini = rig_remove);

/* What a job told. */
struct told {
    bool came;
    enum err err;
    unsigned count;
    struct link link; /* the first */
    char url[1024];
    struct waiter *waiter;
};

static void on_result(void *arg, enum err err, const struct op_result *result)
{
    struct told *t = arg;

    cr_assert_not(t->came, "told twice");
    t->came = true;
    t->err = err;
    t->count = err ? 0 : result->count;
    if (err || !result->links || !result->count)
        return;
    t->link = result->links[0];
    snprintf(t->url, sizeof(t->url), "%.*s", STR_FMT(result->link_url));
}

static enum err ask(const char *team, struct told *t,
                    const struct want_job *want)
{
    memset(t, 0, sizeof(*t));
    cr_assert_eq(
        job_begin(rig.live, str_of(team), want, on_result, t, &t->waiter),
        E_OK);
    cr_assert_not(t->came, "told from inside");
    UNTIL(t->came);
    job_leave(&t->waiter);
    return t->err;
}

static enum err make(const char *id, struct told *t)
{
    struct link link = {.port = 3000};
    struct want_job want = {
        .kind = JOB_LINK_CREATE, .id = str_of(id), .link = &link};

    link_scopes_all(&link.scopes);
    return ask("red", t, &want);
}

static enum err list(const char *id, struct told *t)
{
    struct want_job want = {.kind = JOB_LINK_LIST, .id = str_of(id)};

    return ask("red", t, &want);
}

/* link_id  "" revokes all of before_ms */
static enum err revoke(const char *id, const char *link_id, int64_t before_ms)
{
    struct link link = {.revoked_ms = before_ms};
    struct want_job want = {
        .kind = JOB_LINK_REVOKE, .id = str_of(id), .link = &link};
    struct told t;

    snprintf(link.id, sizeof(link.id), "%s", link_id);
    return ask("red", &t, &want);
}

/* The token of a URL. */
static struct str token_of(const struct told *t)
{
    struct str url = str_of(t->url);

    return str_after(url, str_find_str(url, STR("?token=")) + 7);
}

Test(live_link, is_signed_recorded_and_told)
{
    struct told t;
    struct link out;

    cr_assert_eq(make("ia", &t), E_OK);
    cr_expect(link_id_ok(str_of(t.link.id)));
    cr_expect_eq(t.link.expires_s, rig.wall_ms / 1000 + 3600);
    cr_expect(str_starts(str_of(t.url),
                         STR("https://3000-ia.p.example/?token=sgl1_")),
              "%s", t.url);
    cr_assert_eq(preview_token_verify(&rig.conf.preview, token_of(&t),
                                      clock_wall_ms() / 1000, &out),
                 E_OK);
    cr_expect_str_eq(out.id, t.link.id);
    cr_expect_eq(out.life, 7);
    cr_assert_eq(store_find_link(rig.store, str_of(t.link.id), &out), FOUND);
    cr_expect_str_eq(out.team, "red");
    cr_expect_str_eq(out.sandbox, "ia");
    cr_assert_eq(list("ia", &t), E_OK);
    cr_expect_eq(t.count, 1);
    cr_expect_str_eq(t.link.id, out.id);
    cr_expect_str_eq(t.url, "");
    cr_assert_eq(list("ib", &t), E_OK);
    cr_expect_eq(t.count, 0);
}

Test(live_link, takes_what_is_asked_and_no_longer_a_life_than_may_be)
{
    struct link link = {.id = "lzzzzzzzzzzzzzzzzzzzzzzzzz",
                        .port = 80,
                        .opaque = true,
                        .revoked_ms = 5,
                        .uses = 9,
                        .life = 3};
    struct want_job want = {.kind = JOB_LINK_CREATE,
                            .id = STR("ia"),
                            .timeout_s = 90000,
                            .link = &link};
    struct told t;
    char begins[80];

    link_scopes_all(&link.scopes);
    link.scopes.uses_max = 2;
    cr_assert_eq(ask("red", &t, &want), E_OK);
    cr_expect_str_neq(t.link.id, link.id);
    cr_expect_eq(t.link.expires_s, rig.wall_ms / 1000 + 86400);
    cr_expect_eq(t.link.scopes.uses_max, 2);
    cr_expect_eq(t.link.uses, 0);
    cr_expect_eq(t.link.revoked_ms, 0);
    cr_expect_eq(t.link.life, 7);
    snprintf(begins, sizeof(begins), "https://%s.p.example/?token=", t.link.id);
    cr_expect(str_starts(str_of(t.url), str_of(begins)), "%s", t.url);
}

Test(live_link, of_the_sandbox_servers_form_is_not_recorded)
{
    struct link link = {.port = 3000}, out;
    struct want_job want = {
        .kind = JOB_LINK_CREATE, .id = STR("ia"), .link = &link, .mitos = true};
    struct told t;

    cr_assert_eq(ask("red", &t, &want), E_OK);
    cr_expect(str_starts(str_of(t.url), STR("https://ia.p.example/?token=eyJ")),
              "%s", t.url);
    cr_assert_eq(preview_token_verify(&rig.conf.preview, token_of(&t),
                                      clock_wall_ms() / 1000, &out),
                 E_OK);
    cr_expect_str_eq(out.sandbox, "ia");
    cr_expect_eq(out.port, 3000);
    cr_assert_eq(list("ia", &t), E_OK);
    cr_expect_eq(t.count, 0);
}

/* An id that a client chose may be taken again, by another team even. */
Test(live_link, of_the_sandbox_servers_form_does_not_open_the_next_of_an_id)
{
    struct link link = {.port = 3000}, old;
    struct want_job want = {.kind = JOB_LINK_CREATE,
                            .id = STR("my-app"),
                            .link = &link,
                            .mitos = true};
    struct told t;
    struct heard h;

    link_scopes_all(&link.scopes);
    fake_add(rig.fake, "my-app");
    rig_put("my-app", SANDBOX_RUNNING, 1000000);
    cr_assert_eq(ask("red", &t, &want), E_OK);
    cr_assert_eq(preview_token_verify(&rig.conf.preview, token_of(&t),
                                      clock_wall_ms() / 1000, &old),
                 E_OK);
    cr_expect_eq(live_link_ask(rig.live, &old, PREVIEW_QUERY), PREVIEW_STANDS);
    rig_kill(&h, "my-app");
    UNTIL(h.came);
    job_leave(&h.waiter);
    UNTIL(rig_record("my-app") == NULL);
    rig_put("my-app", SANDBOX_RUNNING, 1000000);
    cr_expect_eq(live_link_ask(rig.live, &old, PREVIEW_QUERY), PREVIEW_REVOKED);
    /* A new one of that form could not be told from it. */
    cr_assert_eq(ask("red", &t, &want), E_OK);
    cr_expect(str_starts(str_of(t.url),
                         STR("https://3000-my-app.p.example/?token=sgl1_")),
              "%s", t.url);
    cr_expect_eq(live_link_ask(rig.live, &t.link, PREVIEW_QUERY),
                 PREVIEW_STANDS);
}

/* 3000-app.p.example is port 3000 of app. */
Test(live_link, is_of_our_form_where_the_id_cannot_stand_alone)
{
    struct link link = {.port = 80};
    struct want_job want = {.kind = JOB_LINK_CREATE,
                            .id = STR("3000-app"),
                            .link = &link,
                            .mitos = true};
    struct told t;

    link_scopes_all(&link.scopes);
    rig_put("3000-app", SANDBOX_RUNNING, 1000);
    cr_assert_eq(ask("red", &t, &want), E_OK);
    cr_expect(str_starts(str_of(t.url),
                         STR("https://80-3000-app.p.example/?token=sgl1_")),
              "%s", t.url);
}

Test(live_link, is_for_a_running_sandbox_of_the_team)
{
    struct link link = {.port = 3000};
    struct want_job want = {.id = STR("ia"), .link = &link};
    struct told t;

    link_scopes_all(&link.scopes);
    rig_put("ic", SANDBOX_INTENT, 1000);
    for (int kind = JOB_LINK_CREATE; kind <= JOB_LINK_REVOKE; kind++) {
        want.kind = (enum job_kind)kind;
        want.id = STR("ia");
        cr_expect_eq(ask("blue", &t, &want), E_SANDBOX_GONE);
        want.id = STR("inone");
        cr_expect_eq(ask("red", &t, &want), E_SANDBOX_GONE);
        want.id = STR("ic");
        cr_expect_eq(ask("red", &t, &want), E_SANDBOX_GONE);
    }
}

Test(live_link, is_not_made_while_previews_are_not_configured)
{
    struct told t;

    rig.conf.preview.domain = STR_NONE;
    cr_expect_eq(make("ia", &t), E_UNIMPLEMENTED);
}

Test(live_link, is_not_made_for_the_sandboxs_own_services)
{
    struct link link = {.port = 49983};
    struct want_job want = {
        .kind = JOB_LINK_CREATE, .id = STR("ia"), .link = &link};
    struct told t;

    link_scopes_all(&link.scopes);
    cr_expect_eq(ask("red", &t, &want), E_BAD_PORT);
    want.mitos = true;
    cr_expect_eq(ask("red", &t, &want), E_BAD_PORT);
}

Test(live_link, is_one_of_a_thousand_at_most)
{
    static struct link rows[1000];
    static struct change changes[1000];
    struct told t;

    for (unsigned i = 0; i < 1000; i++) {
        unsigned char random[25] = {(unsigned char)i, (unsigned char)(i >> 5)};

        rows[i] = (struct link){.team = "red",
                                .sandbox = "ia",
                                .life = 7,
                                .port = 1,
                                .created_ms = rig.wall_ms,
                                .expires_s = rig.wall_ms / 1000 + 60};
        link_id_make(random, rows[i].id);
        link_scopes_all(&rows[i].scopes);
        changes[i] = (struct change){.kind = CHANGE_PUT_LINK, .link = &rows[i]};
    }
    cr_assert_eq(store_commit(rig.store, changes, 999, NULL, NULL), E_OK);
    cr_assert_eq(store_flush(rig.store, 5000), E_OK);
    cr_expect_eq(make("ia", &t), E_OK, "the thousandth");
    cr_expect_eq(make("ia", &t), E_QUOTA);
    cr_expect_eq(make("ib", &t), E_OK);
}

/* ---- revocation ---- */

struct traveller {
    struct passenger p;
    enum err why;
    unsigned kicked;
    struct traveller *with; /* leaves when this one is kicked */
};

static void on_kicked(void *arg, enum err why)
{
    struct traveller *t = arg;

    t->kicked++;
    t->why = why;
    passenger_leave(rig.live, &t->p);
    if (t->with)
        passenger_leave(rig.live, &t->with->p);
}

static void board(struct traveller *t, const char *id, const struct link *by)
{
    memset(t, 0, sizeof(*t));
    t->p.on_kicked = on_kicked;
    t->p.arg = t;
    cr_assert_eq(passenger_board(rig.live, rig_record(id), &t->p), E_OK);
    if (by)
        passenger_show(rig.live, &t->p, by);
}

Test(live_link, kicks_those_that_it_admitted_when_it_is_revoked)
{
    struct told one, other;
    struct traveller by_one, by_other, by_none;

    cr_assert_eq(make("ia", &one), E_OK);
    cr_assert_eq(make("ia", &other), E_OK);
    board(&by_one, "ia", &one.link);
    board(&by_other, "ia", &other.link);
    board(&by_none, "ia", NULL);
    cr_expect_eq(revoke("ia", one.link.id, 0), E_OK);
    cr_expect_eq(by_one.kicked, 1, "before it is told");
    cr_expect_eq(by_one.why, E_TOKEN_REVOKED);
    cr_expect_eq(by_other.kicked, 0);
    cr_expect_eq(by_none.kicked, 0);
    cr_expect_eq(live_link_ask(rig.live, &one.link, PREVIEW_OF_COOKIE),
                 PREVIEW_REVOKED);
    cr_expect_eq(live_link_ask(rig.live, &other.link, PREVIEW_OF_COOKIE),
                 PREVIEW_STANDS);
    cr_expect_eq(revoke("ia", one.link.id, 0), E_OK, "once more");
    passenger_leave(rig.live, &by_other.p);
    passenger_leave(rig.live, &by_none.p);
}

Test(live_link, lets_a_kicked_one_take_others_along)
{
    struct told t;
    struct traveller a, b, c;

    cr_assert_eq(make("ia", &t), E_OK);
    board(&a, "ia", &t.link);
    board(&b, "ia", &t.link);
    board(&c, "ia", &t.link);
    a.with = &b;
    cr_expect_eq(revoke("ia", t.link.id, 0), E_OK);
    cr_expect_eq(a.kicked + b.kicked + c.kicked, 2);
    cr_expect_eq(b.kicked, 0);
}

Test(live_link, counts_the_requests_that_it_admitted)
{
    struct told one, other, t;
    struct traveller by[100];

    cr_assert_eq(make("ia", &one), E_OK);
    cr_assert_eq(list("ia", &t), E_OK);
    cr_expect_eq(t.link.requests, 0);
    cr_expect_eq(t.link.seen_ms, 0);
    for (int i = 0; i < 100; i++) {
        /* Enough links to make the table grow. */
        cr_assert_eq(make("ib", &other), E_OK);
        board(&by[i], "ib", &other.link);
        passenger_leave(rig.live, &by[i].p);
        board(&by[i], "ia", &one.link);
        passenger_leave(rig.live, &by[i].p);
    }
    cr_assert_eq(list("ia", &t), E_OK);
    cr_expect_eq(t.link.requests, 100);
    cr_expect_eq(t.link.seen_ms, rig.wall_ms);
    cr_assert_eq(list("ib", &t), E_OK);
    cr_expect_eq(t.link.requests, 1);
}

Test(live_link, revokes_only_what_is_the_sandboxs)
{
    struct told t;

    cr_assert_eq(make("ia", &t), E_OK);
    cr_expect_eq(revoke("ib", t.link.id, 0), E_NOT_FOUND);
    cr_expect_eq(revoke("ia", "lzzzzzzzzzzzzzzzzzzzzzzzzz", 0), E_NOT_FOUND);
    cr_expect_eq(live_link_ask(rig.live, &t.link, PREVIEW_QUERY),
                 PREVIEW_STANDS);
}

Test(live_link, revokes_all_of_before_a_time)
{
    struct told old, young;
    struct link mitos = {.sandbox = "ia", .port = 3000};
    struct traveller by_old, by_young, by_mitos;

    cr_assert_eq(make("ia", &old), E_OK);
    rig_later(1000);
    cr_assert_eq(make("ia", &young), E_OK);
    link_scopes_all(&mitos.scopes);
    mitos.expires_s = (rig.wall_ms + 500) / 1000 + 86399;
    board(&by_old, "ia", &old.link);
    board(&by_young, "ia", &young.link);
    board(&by_mitos, "ia", &mitos);
    cr_expect_eq(live_link_ask(rig.live, &mitos, PREVIEW_QUERY),
                 PREVIEW_STANDS);
    cr_expect_eq(revoke("ia", "", rig.wall_ms + 500), E_OK);
    cr_expect_eq(by_old.kicked, 1);
    cr_expect_eq(by_young.kicked, 0);
    cr_expect_eq(by_mitos.kicked, 1, "it could have been made before");
    mitos.expires_s += 2;
    cr_expect_eq(live_link_ask(rig.live, &mitos, PREVIEW_QUERY),
                 PREVIEW_STANDS);
    passenger_leave(rig.live, &by_young.p);
}

/* Another process: the timer finds it. */
Test(live_link, kicks_when_somebody_else_has_revoked)
{
    struct told t;
    struct traveller by;
    struct link link;
    struct change change = {.kind = CHANGE_REVOKE_LINK, .link = &link};

    cr_assert_eq(make("ia", &t), E_OK);
    board(&by, "ia", &t.link);
    link = t.link;
    link.revoked_ms = rig.wall_ms;
    cr_assert_eq(store_commit(rig.store, &change, 1, NULL, NULL), E_OK);
    UNTIL(by.kicked);
    cr_expect_eq(by.why, E_TOKEN_REVOKED);
}

/* What has no end of its own ends with the link; an answer goes on. */
Test(live_link, kicks_what_lasts_when_the_link_is_over)
{
    struct told t, other;
    struct traveller lasting, answer, by_other;
    struct link link;
    struct change change = {.kind = CHANGE_REVOKE_LINK, .link = &link};

    cr_assert_eq(make("ia", &t), E_OK);
    cr_assert_eq(make("ia", &other), E_OK);
    board(&lasting, "ia", &t.link);
    board(&answer, "ia", &t.link);
    board(&by_other, "ia", &other.link);
    lasting.p.lasting = true;
    clock_set_wall_ms(t.link.expires_s * 1000 - 1);
    link = other.link;
    link.revoked_ms = rig.wall_ms;
    cr_assert_eq(store_commit(rig.store, &change, 1, NULL, NULL), E_OK);
    UNTIL(by_other.kicked); /* so all have been looked at */
    cr_expect_eq(lasting.kicked, 0);
    clock_set_wall_ms(t.link.expires_s * 1000);
    UNTIL(lasting.kicked);
    cr_expect_eq(lasting.why, E_TOKEN_EXPIRED);
    cr_expect_eq(answer.kicked, 0);
    passenger_leave(rig.live, &answer.p);
}

Test(live_link, is_used_up_for_tokens_and_not_for_cookies)
{
    struct link link = {.port = 3000};
    struct want_job want = {
        .kind = JOB_LINK_CREATE, .id = STR("ia"), .link = &link};
    struct told t;

    link_scopes_all(&link.scopes);
    link.scopes.uses_max = 1;
    cr_assert_eq(ask("red", &t, &want), E_OK);
    cr_expect_eq(live_link_ask(rig.live, &t.link, PREVIEW_QUERY),
                 PREVIEW_STANDS);
    cr_expect_eq(store_use_link(rig.store, str_of(t.link.id)), E_OK);
    cr_expect_eq(live_link_ask(rig.live, &t.link, PREVIEW_QUERY),
                 PREVIEW_USED_UP);
    cr_expect_eq(live_link_ask(rig.live, &t.link, PREVIEW_OF_COOKIE),
                 PREVIEW_STANDS);
}

Test(live_link, goes_with_its_sandbox)
{
    struct told t;
    struct traveller by;
    struct heard h;
    struct link out;

    cr_assert_eq(make("ia", &t), E_OK);
    board(&by, "ia", &t.link);
    rig_kill(&h, "ia");
    UNTIL(h.came);
    cr_expect_eq(h.err, E_OK);
    job_leave(&h.waiter);
    cr_expect_eq(by.kicked, 1);
    cr_expect_eq(by.why, E_SANDBOX_GONE);
    UNTIL(store_find_link(rig.store, str_of(t.link.id), &out) == ABSENT);
    cr_expect_eq(live_link_ask(rig.live, &t.link, PREVIEW_QUERY),
                 PREVIEW_REVOKED);
}

/* Whatever is refused while it is made: it is told, and what is told to have
 * failed is not there. */
Test(live_link, says_no_memory_for_every_refused_allocation)
{
    struct link link = {.port = 3000};
    struct want_job want = {
        .kind = JOB_LINK_CREATE, .id = STR("ia"), .link = &link};
    enum err err = E_NOMEM;
    struct told t;
    long n = 0;

    link_scopes_all(&link.scopes);
    for (; err != E_OK; n++) {
        cr_assert_lt(n, 100);
        memset(&t, 0, sizeof(t));
        mem_refuse(n);
        err = job_begin(rig.live, STR("red"), &want, on_result, &t, &t.waiter);
        if (err == E_OK) {
            UNTIL(t.came);
            err = t.err;
        }
        mem_refuse(-1);
        job_leave(&t.waiter);
        cr_assert(err == E_OK || err == E_NOMEM || err == E_STORE, "%s",
                  err_name(err));
    }
    cr_expect_gt(n, 3);
    cr_assert_eq(list("ia", &t), E_OK);
    cr_expect_eq(t.count, 1);
}

Test(live_link, leaves_passengers_alone_when_live_ends)
{
    struct told t;
    struct traveller by;

    cr_assert_eq(make("ia", &t), E_OK);
    board(&by, "ia", &t.link);
    live_free(&rig.live);
    rig_settle();
    cr_expect_eq(by.kicked, 0);
    cr_expect_null(by.p.in);
}
