#include <criterion/criterion.h>

#include "base/list.h"
#include "base/str.h"

static bool same(struct str s, const char *text)
{
    return text ? s.p && str_eq(s, str_of(text)) : !s.p && s.n == 0;
}

Test(str, compares_without_the_case_of_ascii_letters)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"", "", true},          {"a", "A", true},   {"Z", "z", true},
        {"aBc", "AbC", true},    {"a", "b", false},  {"a", "aa", false},
        {"@", "`", false},       {"[", "{", false},  {"0", "P", false},
        {"\xc3", "\xe3", false}, {"-", "\r", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(str_ieq(str_of(rows[i].a), str_of(rows[i].b)),
                     rows[i].equal, "%s %s", rows[i].a, rows[i].b);
    cr_expect(str_ieq(STR_NONE, STR("")));
}

Test(str, finds_starts_ends_and_places)
{
    struct str s = STR("abcabc");

    cr_expect(str_starts(s, STR("")));
    cr_expect(str_starts(s, STR("abc")));
    cr_expect_not(str_starts(s, STR("abcabcd")));
    cr_expect(str_istarts(s, STR("aBC")));
    cr_expect(str_istarts(s, STR("")));
    cr_expect_not(str_istarts(s, STR("aBd")));
    cr_expect_not(str_istarts(s, STR("ABCABCD")));
    cr_expect_not(str_istarts(STR("@"), STR("`")));
    cr_expect(str_ends(s, STR("bc")));
    cr_expect(str_ends(s, s));
    cr_expect_not(str_ends(s, STR("b")));
    cr_expect_not(str_ends(STR_NONE, STR("b")));
    cr_expect_eq(str_find(s, 'c'), 2);
    cr_expect_eq(str_find(s, 'x'), 6);
    cr_expect_eq(str_find(STR_NONE, 'x'), 0);
    cr_expect_eq(str_find_str(s, STR("ca")), 2);
    cr_expect_eq(str_find_str(s, STR("cb")), 6);
    cr_expect_eq(str_find_str(s, STR("")), 0);
    cr_expect_eq(str_find_str(STR_NONE, STR("a")), 0);
    cr_expect(same(str_after(s, 4), "bc"));
    cr_expect(same(str_after(s, 6), ""));
    cr_expect(same(str_after(s, 7), ""));
}

Test(str, cuts_at_separators_until_none_is_left)
{
    static const struct {
        const char *text, *parts[4];
    } rows[] = {
        {"a,b,c", {"a", "b", "c", NULL}},
        {"a", {"a", NULL}},
        {"", {"", NULL}},
        {",", {"", "", NULL}},
        {"a,", {"a", "", NULL}},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str rest = str_of(rows[i].text);
        unsigned n = 0;

        while (rest.p)
            cr_expect(same(str_cut(&rest, ','), rows[i].parts[n++]));
        cr_expect_null(rows[i].parts[n]);
        cr_expect_eq(rest.n, 0);
    }
}

Test(str, trims_spaces_and_tabs_only)
{
    cr_expect(same(str_trim(STR(" \ta b\t ")), "a b"));
    cr_expect(same(str_trim(STR(" \t")), ""));
    cr_expect(same(str_trim(STR("\ra\n")), "\ra\n"));
    cr_expect(same(str_trim(STR_NONE), NULL));
}

Test(str, reads_decimal_numbers_up_to_the_maximum)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", 0, true, 0},
        {"1", 0, false, 0},
        {"00", 9, false, 0},
        {"01", 9, false, 0},
        {"", 9, false, 0},
        {"+1", 9, false, 0},
        {"-1", 9, false, 0},
        {" 1", 9, false, 0},
        {"1 ", 9, false, 0},
        {"0x1", 9, false, 0},
        {"1a", 99, false, 0},
        {"65534", 65535, true, 65534},
        {"65535", 65535, true, 65535},
        {"65536", 65535, false, 0},
        {"18446744073709551614", UINT64_MAX, true, UINT64_MAX - 1},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"18446744073709551620", UINT64_MAX, false, 0},
        {"99999999999999999999", UINT64_MAX, false, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t out = 77;

        cr_expect_eq(str_u64(str_of(rows[i].text), rows[i].max, &out),
                     rows[i].ok, "%s", rows[i].text);
        cr_expect_eq(out, rows[i].value, "%s", rows[i].text);
    }
}

Test(str, hashes_under_a_key)
{
    /* SipHash 2-4, first and second vector of its reference. */
    static const unsigned char key[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                          8, 9, 10, 11, 12, 13, 14, 15};
    static const unsigned char other[16] = {1};

    cr_expect_eq(str_hash(STR(""), key), 0x726fdb47dd0e0e31);
    cr_expect_eq(str_hash(STR("\0"), key), 0x74f839c593dc67fd);
    cr_expect_neq(str_hash(STR("a"), key), str_hash(STR("a"), other));
}

struct thing {
    int number;
    struct list link;
};

Test(list, keeps_order_and_lets_members_leave)
{
    struct thing things[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    struct list head;

    list_init(&head);
    cr_expect(list_empty(&head));
    cr_expect_null(list_pop(&head));
    for (unsigned i = 0; i < 3; i++)
        list_push(&head, &things[i].link);
    list_remove(&things[1].link);
    list_remove(&things[1].link);
    cr_expect_not(list_linked(&things[1].link));
    cr_expect_eq(LIST_OF(list_pop(&head), struct thing, link)->number, 0);
    cr_expect_eq(LIST_OF(list_pop(&head), struct thing, link)->number, 2);
    cr_expect(list_empty(&head));
}
