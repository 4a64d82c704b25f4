#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/store_place.h"

#define HOUR_MS (60 * 60 * 1000LL)
#define START_MS 1800000000000LL

static void begin(void)
{
    place_make();
    clock_set_wall_ms(START_MS);
}

static void end(void)
{
    clock_set_wall_ms(-1);
    place_remove();
}

TestSuite(store_link, .init = begin, .fini = end);

/* One of the sandbox ia, life 7; ids differ by a letter. */
static struct link make(char letter)
{
    struct link l = {.id = "labcdefghijklmnopqrstuvwx2",
                     .team = "red",
                     .sandbox = "ia",
                     .life = 7,
                     .port = 3000,
                     .created_ms = START_MS,
                     .expires_s = START_MS / 1000 + 3600};

    l.id[1] = letter;
    link_scopes_all(&l.scopes);
    return l;
}

/* A store in which the sandbox ia runs. */
static struct store *open_with_sandbox(void)
{
    struct store *s = place_open();
    struct sandbox row = place_sandbox("ia");

    cr_assert_eq(place_put(s, &row), E_OK);
    return s;
}

static enum err change(struct store *s, enum change_kind kind,
                       const struct link *link)
{
    struct change c = {.kind = kind, .link = link};

    return place_commit(s, &c, 1);
}

static enum err put(struct store *s, const struct link *link)
{
    return change(s, CHANGE_PUT_LINK, link);
}

static enum found find(struct store *s, const struct link *link,
                       struct link *out)
{
    return store_find_link(s, str_of(link->id), out);
}

static struct store *reopen(struct store *s)
{
    store_close(&s);
    return place_open();
}

Test(store_link, keeps_every_field_over_a_restart)
{
    struct link l = make('a'), out;
    struct store *s = open_with_sandbox();

    l.opaque = true;
    l.scopes.methods = 5;
    l.scopes.websocket = false;
    memcpy(l.scopes.path, "/a\"'x", 6);
    l.scopes.uses_max = 9;
    l.scopes.index = LINK_INDEX_YES;
    l.scopes.cidr_count = 2;
    l.scopes.cidrs[0] = (struct address_block){.bits = 8, .bytes = {10}};
    l.scopes.cidrs[1] =
        (struct address_block){.v6 = true, .bits = 32, .bytes = {0x20, 1, 13}};
    cr_assert_eq(put(s, &l), E_OK);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(find(s, &l, &out), FOUND);
        cr_expect_str_eq(out.id, l.id);
        cr_expect_str_eq(out.team, "red");
        cr_expect_str_eq(out.sandbox, "ia");
        cr_expect_eq(out.life, 7);
        cr_expect_eq(out.port, 3000);
        cr_expect(out.opaque);
        cr_expect_eq(out.created_ms, START_MS);
        cr_expect_eq(out.expires_s, l.expires_s);
        cr_expect_eq(out.revoked_ms, 0);
        cr_expect_eq(out.scopes.methods, 5);
        cr_expect_not(out.scopes.websocket);
        cr_expect_str_eq(out.scopes.path, "/a\"'x");
        cr_expect_eq(out.scopes.uses_max, 9);
        cr_expect_eq(out.scopes.index, LINK_INDEX_YES);
        cr_assert_eq(out.scopes.cidr_count, 2);
        cr_expect_eq(memcmp(out.scopes.cidrs, l.scopes.cidrs,
                            2 * sizeof(l.scopes.cidrs[0])),
                     0);
        s = reopen(s);
    }
    l.id[1] = 'z';
    cr_expect_eq(find(s, &l, &out), ABSENT);
    cr_expect_str_eq(out.id, "");
    store_close(&s);
}

Test(store_link, is_for_a_sandbox_that_runs_in_that_life)
{
    struct link l = make('a'), out;
    struct sandbox row = place_sandbox("ia");
    struct store *s = place_open();

    cr_expect_eq(put(s, &l), E_CONFLICT, "no such sandbox");
    row.state = SANDBOX_INTENT;
    cr_assert_eq(place_put(s, &row), E_OK);
    cr_expect_eq(put(s, &l), E_CONFLICT, "it does not run yet");
    row.state = SANDBOX_RUNNING;
    row.life = 8;
    cr_assert_eq(place_put(s, &row), E_OK);
    cr_expect_eq(put(s, &l), E_CONFLICT, "another life");
    l.life = 8;
    cr_expect_eq(put(s, &l), E_OK);
    cr_expect_eq(put(s, &l), E_CONFLICT, "the id is there");
    cr_expect_eq(find(s, &l, &out), FOUND);
    store_close(&s);
}

Test(store_link, is_refused_with_a_value_that_would_not_be_believed)
{
    struct store *s = open_with_sandbox();
    struct link rows[9];

    for (unsigned i = 0; i < 9; i++)
        rows[i] = make('a');
    rows[0].id[3] = 'A';
    rows[1].team[0] = '\0';
    rows[2].sandbox[0] = '/';
    rows[3].port = 0;
    rows[4].port = 65536;
    rows[5].expires_s = 0;
    rows[6].scopes.methods = 0;
    rows[7].created_ms = -1;
    rows[8].scopes.path[0] = 'x';
    for (unsigned i = 0; i < 9; i++)
        cr_expect_eq(put(s, &rows[i]), E_RANGE, "row %u", i);
    store_close(&s);
}

/* threats.md S-04 */
Test(store_link, stays_revoked_since_the_first_time)
{
    struct link l = make('a'), out;
    struct store *s = open_with_sandbox();

    cr_assert_eq(put(s, &l), E_OK);
    l.revoked_ms = START_MS + 5;
    cr_expect_eq(change(s, CHANGE_REVOKE_LINK, &l), E_OK);
    l.revoked_ms = START_MS + 9;
    cr_expect_eq(change(s, CHANGE_REVOKE_LINK, &l), E_OK);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(find(s, &l, &out), FOUND);
        cr_expect_eq(out.revoked_ms, START_MS + 5);
        cr_expect_eq(store_use_link(s, str_of(l.id)), E_TOKEN_REVOKED);
        s = reopen(s);
    }
    l.id[1] = 'z';
    cr_expect_eq(change(s, CHANGE_REVOKE_LINK, &l), E_CONFLICT);
    store_close(&s);
}

Test(store_link, is_revoked_with_all_of_before_a_time)
{
    struct link old = make('a'), young = make('b'), out;
    struct link before = {.sandbox = "ia", .revoked_ms = START_MS + 10};
    int64_t ms;
    struct store *s = open_with_sandbox();

    young.created_ms = START_MS + 10;
    cr_assert_eq(put(s, &old), E_OK);
    cr_assert_eq(put(s, &young), E_OK);
    cr_expect_eq(store_find_before(s, STR("ia"), &ms), ABSENT);
    cr_expect_eq(ms, 0);
    cr_expect_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_OK);
    before.revoked_ms = START_MS + 3;
    cr_expect_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_OK,
                 "an earlier time changes nothing");
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(find(s, &old, &out), FOUND);
        cr_expect_eq(out.revoked_ms, START_MS + 10);
        cr_assert_eq(find(s, &young, &out), FOUND);
        cr_expect_eq(out.revoked_ms, 0);
        cr_expect_eq(store_find_before(s, STR("ia"), &ms), FOUND);
        cr_expect_eq(ms, START_MS + 10);
        s = reopen(s);
    }
    memcpy(before.sandbox, "ib", 3);
    cr_expect_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_CONFLICT);
    store_close(&s);
}

static void copy(const char *from, const char *to)
{
    char command[256];

    snprintf(command, sizeof(command), "cp %s%s %s%s", place_path, from,
             place_path, to);
    cr_assert_eq(system(command), 0);
}

/* threats.md S-04 */
Test(store_link, an_older_file_does_not_bring_a_revoked_one_back)
{
    struct link one = make('a'), all = make('b'), other = make('c'), out;
    struct sandbox row = place_sandbox("ib");
    struct link before = {.sandbox = "ib", .revoked_ms = START_MS + 10};
    int64_t ms;
    struct store *s = open_with_sandbox();

    memcpy(all.sandbox, "ib", 3);
    cr_assert_eq(place_put(s, &row), E_OK);
    cr_assert_eq(put(s, &one), E_OK);
    cr_assert_eq(put(s, &all), E_OK);
    cr_assert_eq(put(s, &other), E_OK);
    store_close(&s);
    copy("", ".backup");
    s = place_open();
    one.revoked_ms = START_MS + 5;
    cr_assert_eq(change(s, CHANGE_REVOKE_LINK, &one), E_OK);
    cr_assert_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_OK);
    store_close(&s);
    copy(".backup", "");
    for (int again = 0; again < 2; again++) {
        s = place_open();
        cr_assert_eq(find(s, &one, &out), FOUND);
        cr_expect_gt(out.revoked_ms, 0);
        cr_assert_eq(find(s, &all, &out), FOUND);
        cr_expect_eq(out.revoked_ms, START_MS + 10);
        cr_expect_eq(store_find_before(s, STR("ib"), &ms), FOUND);
        cr_expect_eq(ms, START_MS + 10);
        cr_assert_eq(find(s, &other, &out), FOUND);
        cr_expect_eq(out.revoked_ms, 0);
        store_close(&s);
    }
    cr_expect_eq(place_number("SELECT count(*) FROM link WHERE revoked_ms > 0"),
                 1, "the row says so too");
}

Test(store_link, leaves_the_marker_when_it_could_be_valid_no_longer)
{
    struct link l = make('a');
    struct store *s = open_with_sandbox();
    char text[4096];
    size_t n;
    FILE *f;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(put(s, &l), E_OK);
        l.revoked_ms = 1;
        cr_assert_eq(change(s, CHANGE_REVOKE_LINK, &l), E_OK);
        clock_set_wall_ms(START_MS + 2 * HOUR_MS + 1000);
        l = make('b');
        l.created_ms = START_MS + 2 * HOUR_MS;
        l.expires_s = l.created_ms / 1000 + 3600;
    }
    store_close(&s);
    f = fopen(place_beside(".marker"), "r");
    cr_assert_not_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    fclose(f);
    cr_expect_null(strstr(text, "link laa"), "%s", text);
    cr_expect_null(strstr(text, "link labc"), "%s", text);
    cr_expect_not_null(strstr(text, "link lbbc"), "%s", text);
}

/* ---- uses ---- */

Test(store_link, counts_uses_at_once_and_up_to_the_last)
{
    struct link l = make('a'), out;
    struct store *s = open_with_sandbox();

    l.scopes.uses_max = 3;
    cr_assert_eq(put(s, &l), E_OK);
    for (unsigned i = 1; i <= 3; i++) {
        cr_expect_eq(store_use_link(s, str_of(l.id)), E_OK);
        cr_assert_eq(find(s, &l, &out), FOUND);
        cr_expect_eq(out.uses, i, "before the disk has it");
    }
    cr_expect_eq(store_use_link(s, str_of(l.id)), E_TOKEN_EXPIRED);
    cr_assert_eq(store_flush(s, 5000), E_OK);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(find(s, &l, &out), FOUND);
        cr_expect_eq(out.uses, 3);
        cr_expect_eq(store_use_link(s, str_of(l.id)), E_TOKEN_EXPIRED);
        s = reopen(s);
    }
    l.id[1] = 'z';
    cr_expect_eq(store_use_link(s, str_of(l.id)), E_TOKEN_REVOKED);
    store_close(&s);
}

Test(store_link, counts_uses_of_two_processes_together)
{
    struct link l = make('a'), out;
    struct store *s = open_with_sandbox(), *other;

    l.scopes.uses_max = 10;
    cr_assert_eq(put(s, &l), E_OK);
    other = place_open();
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(store_use_link(s, str_of(l.id)), E_OK);
        cr_expect_eq(store_use_link(other, str_of(l.id)), E_OK);
    }
    cr_assert_eq(store_flush(s, 5000), E_OK);
    cr_assert_eq(store_flush(other, 5000), E_OK);
    place_look(s);
    place_look(other);
    cr_assert_eq(find(s, &l, &out), FOUND);
    cr_expect_eq(out.uses, 6);
    cr_assert_eq(find(other, &l, &out), FOUND);
    cr_expect_eq(out.uses, 6);
    store_close(&s);
    store_close(&other);
}

Test(store_link, counts_no_use_that_cannot_be_counted)
{
    struct link l = make('a'), out;
    struct store *s = open_with_sandbox();

    l.scopes.uses_max = 10;
    cr_assert_eq(put(s, &l), E_OK);
    mem_refuse(0);
    cr_expect_eq(store_use_link(s, str_of(l.id)), E_NOMEM);
    mem_refuse(-1);
    cr_assert_eq(find(s, &l, &out), FOUND);
    cr_expect_eq(out.uses, 0);
    store_close(&s);
}

/* ---- beginning and end ---- */

Test(store_link, goes_with_the_record_of_its_sandbox_everywhere)
{
    struct link l = make('a'), kept = make('b'), out;
    struct link before = {.sandbox = "ia", .revoked_ms = START_MS + 10};
    struct sandbox row = place_sandbox("ia"), stays = place_sandbox("ib");
    struct change drop = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &row};
    int64_t ms;
    struct store *s = open_with_sandbox(), *other;

    cr_assert_eq(place_put(s, &stays), E_OK);
    memcpy(kept.sandbox, "ib", 3);
    cr_assert_eq(put(s, &l), E_OK);
    cr_assert_eq(put(s, &kept), E_OK);
    cr_assert_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_OK);
    other = place_open();
    cr_expect_eq(find(other, &l, &out), FOUND);
    cr_assert_eq(place_commit(s, &drop, 1), E_OK);
    place_look(other);
    cr_expect_eq(find(s, &l, &out), ABSENT);
    cr_expect_eq(find(other, &l, &out), ABSENT);
    /* Tokens without a record stay revoked: the id may be taken again. */
    cr_expect_eq(store_find_before(s, STR("ia"), &ms), FOUND);
    cr_expect_eq(store_find_before(other, STR("ia"), &ms), FOUND);
    cr_expect_eq(ms, START_MS + 10);
    cr_expect_eq(find(s, &kept, &out), FOUND);
    cr_expect_eq(find(other, &kept, &out), FOUND);
    store_close(&s);
    store_close(&other);
    cr_expect_eq(place_number("SELECT count(*) FROM link"), 1);
    cr_expect_eq(place_number("SELECT count(*) FROM link_before"), 1);
    place_check();
}

Test(store_link, forgets_a_time_before_when_no_link_can_be_older)
{
    struct link before = {.sandbox = "ia"}, l = make('a');
    struct store *s = open_with_sandbox();
    int64_t ms;

    for (int64_t more = -1; more < 1; more++) {
        before.revoked_ms =
            START_MS - LINK_TTL_MAX_S * INT64_C(1000) - 3600000 + more;
        cr_assert_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_OK);
        s = reopen(s);
        cr_assert_eq(put(s, &l), E_OK); /* it looks at the first change */
        cr_expect_eq(store_find_before(s, STR("ia"), &ms),
                     more < 0 ? ABSENT : FOUND);
        l.id[1]++;
    }
    store_close(&s);
    place_check();
}

Test(store_link, is_listed_for_an_hour_after_its_end)
{
    struct link old = make('a'), edge = make('b'), now = make('c'), out;
    struct store *s = open_with_sandbox();

    old.expires_s = START_MS / 1000 - 3601;
    edge.expires_s = START_MS / 1000 - 3600;
    cr_assert_eq(put(s, &old), E_OK);
    cr_assert_eq(put(s, &edge), E_OK);
    s = reopen(s); /* it looks for old rows at the first change, then seldom */
    cr_assert_eq(put(s, &now), E_OK);
    cr_expect_eq(find(s, &old, &out), ABSENT);
    cr_expect_eq(find(s, &edge, &out), FOUND);
    cr_expect_eq(find(s, &now, &out), FOUND);
    store_close(&s);
}

Test(store_link, lists_those_of_one_sandbox_the_newest_first)
{
    struct sandbox row = place_sandbox("ib");
    const struct link *list;
    struct arena *a;
    unsigned count;
    struct store *s = open_with_sandbox();

    cr_assert_eq(place_put(s, &row), E_OK);
    for (unsigned i = 0; i < 5; i++) {
        struct link l = make((char)('a' + i));

        l.created_ms += i % 3;
        if (i == 4)
            memcpy(l.sandbox, "ib", 3);
        cr_assert_eq(put(s, &l), E_OK);
    }
    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    cr_assert_eq(store_list_links(s, STR("ia"), a, &list, &count), FOUND);
    cr_assert_eq(count, 4);
    cr_expect_eq(list[0].id[1], 'c');
    cr_expect_eq(list[1].id[1], 'b');
    cr_expect_eq(list[2].id[1], 'a');
    cr_expect_eq(list[3].id[1], 'd');
    cr_expect_eq(store_list_links(s, STR("ic"), a, &list, &count), FOUND);
    cr_expect_eq(count, 0);
    arena_free(&a);
    store_close(&s);
}

/* threats.md S-01 */
Test(store_link, of_a_row_that_is_not_believed_is_unknown)
{
    static const char *const rows[] = {
        "UPDATE link SET scopes = '{\"methods\":[\"TRACE\"]}'",
        "UPDATE link SET scopes = '[]'",
        "UPDATE link SET scopes = ''",
        "UPDATE link SET port = 70000",
        "UPDATE link SET port = -1",
        "UPDATE link SET team = 'A B'",
        "UPDATE link SET sandbox = '../x'",
        "UPDATE link SET opaque = 2",
        "UPDATE link SET uses = -1",
        "UPDATE link SET expires_s = 0",
        "UPDATE link SET revoked_ms = -5",
    };
    struct link l = make('a'), out;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct store *s = open_with_sandbox();

        (void)!put(s, &l);
        store_close(&s);
        place_sql("CREATE TABLE IF NOT EXISTS good AS SELECT * FROM link");
        place_sql(rows[i]);
        s = place_open();
        cr_expect_eq(find(s, &l, &out), UNKNOWN, "%s", rows[i]);
        cr_expect_eq(store_use_link(s, str_of(l.id)), E_STORE, "%s", rows[i]);
        store_close(&s);
        place_sql("DELETE FROM link");
        place_sql("INSERT INTO link SELECT * FROM good");
    }
}

Test(store_link, of_a_sandbox_whose_time_is_not_believed_is_unknown)
{
    struct link l = make('a'), out;
    struct link before = {.sandbox = "ia", .revoked_ms = START_MS - 10};
    const struct link *list;
    struct arena *a;
    unsigned count;
    struct store *s = open_with_sandbox();

    cr_assert_eq(put(s, &l), E_OK);
    cr_assert_eq(change(s, CHANGE_REVOKE_LINKS_BEFORE, &before), E_OK);
    store_close(&s);
    unlink(place_beside(".marker"));
    place_sql("UPDATE link_before SET before_ms = -1");
    s = place_open();
    cr_expect_eq(find(s, &l, &out), UNKNOWN);
    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    cr_expect_eq(store_list_links(s, STR("ia"), a, &list, &count), UNKNOWN);
    arena_free(&a);
    store_close(&s);
}

/* ---- files of before there were links ---- */

Test(store_link, comes_to_a_file_of_the_version_before)
{
    struct link l = make('a'), out;
    const struct sandbox *row;
    struct store *s = open_with_sandbox();

    store_close(&s);
    place_sql("DROP TABLE link; DROP TABLE link_before;"
              "ALTER TABLE sandbox DROP COLUMN mask_host;"
              "ALTER TABLE sandbox DROP COLUMN https_ports;"
              "PRAGMA user_version = 1");
    s = place_open();
    cr_assert_eq(store_find_sandbox(s, STR("ia"), &row), FOUND);
    cr_expect_eq(row->mask_host.n, 0);
    cr_expect_eq(row->https_ports.n, 0);
    cr_expect_eq(put(s, &l), E_OK);
    cr_expect_eq(find(s, &l, &out), FOUND);
    store_close(&s);
    cr_expect_eq(place_number("PRAGMA user_version"), 2);
    place_check();
}

Test(store_link, is_of_the_same_tables_in_old_and_new_files)
{
    long long fresh, upgraded;
    struct store *s = open_with_sandbox();

    store_close(&s);
    fresh = place_number("SELECT count(*) FROM sqlite_schema");
    place_sql("DROP TABLE link; DROP TABLE link_before;"
              "ALTER TABLE sandbox DROP COLUMN mask_host;"
              "ALTER TABLE sandbox DROP COLUMN https_ports;"
              "PRAGMA user_version = 1");
    s = place_open();
    store_close(&s);
    upgraded = place_number("SELECT count(*) FROM sqlite_schema");
    cr_expect_eq(fresh, upgraded);
    cr_expect_eq(place_number("SELECT count(*) FROM pragma_table_info('link')"),
                 12);
}
