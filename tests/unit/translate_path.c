#include <criterion/criterion.h>

#include "translate/path.h"

static const struct {
    const char *path, *clean;
} clean_rows[] = {
    {"", "."},
    {"/", "/"},
    {"//", "/"},
    {"/a", "/a"},
    {"/a/", "/a"},
    {"//a///b", "/a/b"},
    {"/a/./b", "/a/b"},
    {"/a/../b", "/b"},
    {"/a/b/..", "/a"},
    {"/..", "/"},
    {"/../..", "/"},
    {"/../a", "/a"},
    {"/a/b/../..", "/"},
    {"a", "a"},
    {"a/..", "."},
    {"a/b/..", "a"},
    {"./a", "a"},
    {"..", ".."},
    {"../a", "../a"},
    {"../../a", "../../a"},
    {"../a/..", ".."},
    {"../a/../..", "../.."},
    {"a/../..", ".."},
    {"a/../../b", "../b"},
    {"a//b/./c/", "a/b/c"},
    {"...", "..."},
    {"/a/.../b", "/a/.../b"},
};

Test(path, is_cleaned_as_gos_filepath_does)
{
    struct arena *a;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    for (size_t i = 0; i < sizeof(clean_rows) / sizeof(clean_rows[0]); i++) {
        struct str got = path_clean(str_of(clean_rows[i].path), a);

        cr_expect(str_eq(got, str_of(clean_rows[i].clean)), "%s: %.*s",
                  clean_rows[i].path, STR_FMT(got));
    }
    arena_free(&a);
}

static const struct {
    const char *path, *workdir, *expanded;
} expand_rows[] = {
    {"", "", "."},          {"", "/work", "/work"},
    {".", "/work", "."},    {"a", "/work", "a"},
    {"~", "/work", "."},    {"~/", "", "."},
    {"~/a//b", "", "a/b"},  {"~/../x", "", "../x"},
    {"~\\fs", "", "\\fs"},  {"~other", "", NULL},
    {"~other/x", "", NULL}, {"../user/x", "", "../user/x"},
    {"a/../b", "", "b"},    {"//a/../b/", "", "//a/../b/"},
};

Test(path, is_expanded_below_the_home)
{
    struct arena *a;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    for (size_t i = 0; i < sizeof(expand_rows) / sizeof(expand_rows[0]); i++) {
        struct str fault;
        struct str got =
            path_expand(str_of(expand_rows[i].path),
                        str_of(expand_rows[i].workdir), STR("ann"), a, &fault);

        cr_expect(str_eq(got, str_of(expand_rows[i].expanded)), "%s: %.*s",
                  expand_rows[i].path, STR_FMT(got));
        cr_expect_eq(fault.p != NULL, got.p == NULL);
        if (fault.p)
            cr_expect(str_eq(fault, STR("failed to expand path '' for user "
                                        "'ann': cannot expand user-specific "
                                        "home dir")));
    }
    arena_free(&a);
}

Test(path, has_a_name)
{
    cr_expect(str_eq(path_name(STR("/")), STR("/")));
    cr_expect(str_eq(path_name(STR("//")), STR("/")));
    cr_expect(str_eq(path_name(STR("/a/b")), STR("b")));
    cr_expect(str_eq(path_name(STR("/a/b//")), STR("b")));
    cr_expect(str_eq(path_name(STR("b")), STR("b")));
}
