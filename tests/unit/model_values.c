#include <criterion/criterion.h>

#include "base/mem.h"
#include "model/head.h"
#include "model/identity.h"
#include "model/sandbox.h"

Test(sandbox, is_copied_whole_and_freed_with_its_last_holder)
{
    char id[] = "i0";
    struct sandbox model = {.state = SANDBOX_RUNNING,
                            .id = str_of(id),
                            .team = STR("t"),
                            .backend = STR(""),
                            .metadata = STR("{\"a\":\"b\"}"),
                            .envs = STR("{}"),
                            .life = 7,
                            .end_ms = 9,
                            .secure = true};
    struct sandbox *made;
    const struct sandbox *s, *other;

    mem_refuse(-1);
    cr_assert_eq(sandbox_new(&model, &made), E_OK);
    cr_expect_eq(mem_refuse(-1), 1);
    id[0] = 'x';
    s = made;
    cr_expect(str_eq(s->id, STR("i0")));
    cr_expect_eq(s->id.p[2], '\0');
    cr_expect(str_eq(s->metadata, model.metadata));
    cr_expect_neq(s->metadata.p, model.metadata.p);
    cr_expect_not_null(s->backend.p);
    cr_expect_null(s->alias.p);
    cr_expect(s->secure && s->life == 7 && s->end_ms == 9);
    other = sandbox_ref(s);
    sandbox_unref(&s);
    cr_expect_null(s);
    cr_expect(str_eq(other->team, STR("t")));
    sandbox_unref(&other);
    sandbox_unref(&other);
}

Test(sandbox, is_not_there_when_memory_is_refused)
{
    struct sandbox model = {.id = STR("i")}, *made;

    mem_refuse(0);
    cr_expect_eq(sandbox_new(&model, &made), E_NOMEM);
    cr_expect_null(made);
    mem_refuse(-1);
}

Test(sandbox, ids_are_1_to_57_small_letters_and_digits)
{
    static const char most[] =
        "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuv";
    static const struct {
        struct str id;
        bool ok;
    } rows[] = {
        {STR(""), false},    {STR_NONE, false},   {STR("a"), true},
        {STR("A"), false},   {STR("a-b"), false}, {STR("a\0"), false},
        {STR("a.b"), false}, {STR("0z"), true},   {STR("\xe9"), false},
        {{most, 56}, true},  {{most, 57}, true},  {{most, 58}, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(sandbox_id_ok(rows[i].id), rows[i].ok, "row %zu", i);
}

Test(sandbox, native_ids_may_have_capitals_dashes_and_underscores)
{
    static const char most[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"
                               "KLMNOPQRSTUVWXYZ-_-";
    static const struct {
        struct str id;
        bool ok;
    } rows[] = {
        {STR(""), false},    {STR_NONE, false},   {STR("a"), true},
        {STR("A-_9"), true}, {STR("-a"), false},  {STR("_a"), false},
        {STR("9-"), true},   {STR("a.b"), false}, {STR("a/b"), false},
        {STR("a b"), false}, {STR("a\0"), false}, {STR("\xe9"), false},
        {{most, 64}, true},  {{most, 65}, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(sandbox_native_id_ok(rows[i].id), rows[i].ok, "row %zu",
                     i);
}

Test(sandbox, ids_of_small_letters_digits_and_dashes_fit_a_host)
{
    static const struct {
        const char *id;
        bool fits;
    } rows[] = {{"i0", true},  {"sandbox-1", true}, {"3000-a", true},
                {"a-", false}, {"a_b", false},      {"Caps", false},
                {"", false}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(sandbox_fits_host(str_of(rows[i].id)), rows[i].fits, "%s",
                     rows[i].id);
}

Test(sandbox, ids_are_made_of_random_bytes)
{
    unsigned char random[20] = {0, 35, 36, 255};
    char id[22];

    sandbox_id_make(random, id);
    cr_expect_str_eq(id, "ia9adaaaaaaaaaaaaaaaa");
    cr_expect(sandbox_id_ok(str_of(id)));
}

Test(identity, teams_follow_their_grammar)
{
    static const char most[] = "abcdefghijklmnopqrstuvwxyz0123456789_-"
                               "abcdefghijklmnopqrstuvwxyz0";
    static const struct {
        struct str team;
        bool ok;
    } rows[] = {
        {STR(""), false},    {STR("a"), true},    {STR("0a_-"), true},
        {STR("-a"), false},  {STR("_a"), false},  {STR("A"), false},
        {STR("a b"), false}, {STR("a\n"), false}, {{most, 63}, true},
        {{most, 64}, true},  {{most, 65}, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(identity_team_ok(rows[i].team), rows[i].ok, "row %zu", i);
}

Test(head, methods_have_their_texts)
{
    cr_expect(str_eq(method_text(METHOD_GET), STR("GET")));
    cr_expect(str_eq(method_text(METHOD_OPTIONS), STR("OPTIONS")));
    for (int m = 0; m < METHOD_COUNT; m++)
        cr_expect_gt(method_text((enum method)m).n, 0);
}
