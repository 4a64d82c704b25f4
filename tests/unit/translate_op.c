#include <criterion/criterion.h>

#include "translate/op.h"

static const struct find_row {
    const char *name;
    enum op_class class;
    enum method method;
    const char *path;
    enum err err;
    const char *row;   /* of E_OK */
    const char *param; /* the first one of E_OK, or Allow of E_METHOD */
} find_rows[] = {
    {"plain", CLASS_API, METHOD_GET, "/health", E_OK, "api_health", NULL},
    {"HEAD as GET", CLASS_API, METHOD_HEAD, "/health", E_OK, "api_health",
     NULL},
    {"another method", CLASS_API, METHOD_POST, "/health", E_METHOD, NULL,
     "GET, HEAD"},
    {"several methods", CLASS_API, METHOD_PUT, "/templates/x", E_METHOD, NULL,
     "GET, HEAD, POST, DELETE, PATCH"},
    {"unknown", CLASS_API, METHOD_GET, "/nope", E_ROUTE_UNKNOWN, NULL, NULL},
    {"root", CLASS_API, METHOD_GET, "/", E_ROUTE_UNKNOWN, NULL, NULL},
    {"star", CLASS_API, METHOD_OPTIONS, "*", E_ROUTE_UNKNOWN, NULL, NULL},
    {"empty", CLASS_API, METHOD_GET, "", E_ROUTE_UNKNOWN, NULL, NULL},
    {"slash at the end", CLASS_API, METHOD_GET, "/health/", E_ROUTE_UNKNOWN,
     NULL, NULL},
    {"two slashes", CLASS_API, METHOD_GET, "//health", E_ROUTE_UNKNOWN, NULL,
     NULL},
    {"too long", CLASS_API, METHOD_GET, "/a/b/c/d/e/f/g/h/i/j", E_ROUTE_UNKNOWN,
     NULL, NULL},
    {"another class", CLASS_PORT, METHOD_GET, "/health", E_ROUTE_UNKNOWN, NULL,
     NULL},
    {"id", CLASS_API, METHOD_POST, "/sandboxes/i0a9z/pause", E_OK,
     "sandbox_pause", "i0a9z"},
    {"id with suffix", CLASS_API, METHOD_POST,
     "/sandboxes/i0a9z-6532622b/pause", E_OK, "sandbox_pause", "i0a9z"},
    {"id with any suffix", CLASS_API, METHOD_POST, "/sandboxes/i0-A_b.c/pause",
     E_OK, "sandbox_pause", "i0"},
    {"whole id", CLASS_API, METHOD_POST, "/sandboxes/Sandbox-1_x/links", E_OK,
     "link_create", "Sandbox-1_x"},
    {"whole id, not one", CLASS_API, METHOD_POST, "/sandboxes/a.b/links",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"whole id, dots", CLASS_API, METHOD_GET, "/sandboxes/../links",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id with two suffixes", CLASS_API, METHOD_POST,
     "/sandboxes/i0a9z-65-22b/pause", E_BAD_SANDBOX_ID, NULL, NULL},
    {"id upper case", CLASS_API, METHOD_POST, "/sandboxes/I0A/pause",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id underscore", CLASS_API, METHOD_POST, "/sandboxes/i_0/pause",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id suffix only", CLASS_API, METHOD_POST, "/sandboxes/-x/pause",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id empty", CLASS_API, METHOD_POST, "/sandboxes//pause", E_ROUTE_UNKNOWN,
     NULL, NULL},
    {"id of 57", CLASS_API, METHOD_POST,
     "/sandboxes/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/pause",
     E_OK, "sandbox_pause",
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
    {"id of 58", CLASS_API, METHOD_POST,
     "/sandboxes/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/pause",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id dots", CLASS_API, METHOD_POST, "/sandboxes/../pause", E_BAD_SANDBOX_ID,
     NULL, NULL},
    {"id encoded dots", CLASS_API, METHOD_POST, "/sandboxes/%2e%2e/pause",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id semicolon", CLASS_API, METHOD_POST, "/sandboxes/i0;x/pause",
     E_BAD_SANDBOX_ID, NULL, NULL},
    {"id decoded once", CLASS_API, METHOD_POST, "/sandboxes/%690/pause", E_OK,
     "sandbox_pause", "i0"},
    {"id slash", CLASS_API, METHOD_POST, "/sandboxes/i0%2fx/pause",
     E_BAD_REQUEST, NULL, NULL},
    {"NUL", CLASS_API, METHOD_POST, "/sandboxes/i0%00/pause", E_BAD_REQUEST,
     NULL, NULL},
    {"NUL in an unknown path", CLASS_API, METHOD_POST, "/nope%00",
     E_BAD_REQUEST, NULL, NULL},
    {"line end", CLASS_API, METHOD_POST, "/sandboxes/i0%0d%0aX/pause",
     E_BAD_REQUEST, NULL, NULL},
    {"backslash", CLASS_API, METHOD_POST, "/sandboxes/i0%5c/pause",
     E_BAD_REQUEST, NULL, NULL},
    {"encoded twice", CLASS_API, METHOD_POST, "/sandboxes/i0%252e/pause",
     E_BAD_REQUEST, NULL, NULL},
    {"encoded twice, template", CLASS_API, METHOD_GET, "/templates/a%252Fb",
     E_BAD_REQUEST, NULL, NULL},
    {"bad escape", CLASS_API, METHOD_GET, "/templates/a%2", E_BAD_REQUEST, NULL,
     NULL},
    {"bad escape digits", CLASS_API, METHOD_GET, "/templates/a%zz",
     E_BAD_REQUEST, NULL, NULL},
    {"overlong UTF-8", CLASS_API, METHOD_GET, "/templates/a%c0%af",
     E_BAD_REQUEST, NULL, NULL},
    {"template with slash", CLASS_API, METHOD_DELETE,
     "/templates/team%2Fname%3Av1", E_OK, "template_delete", "team/name:v1"},
    {"template with bare slash", CLASS_API, METHOD_DELETE,
     "/templates/team/snap:default", E_OK, "template_delete",
     "team/snap:default"},
    {"bare slash and more", CLASS_API, METHOD_GET, "/templates/team/name/tags",
     E_OK, "template_tags", "team/name"},
    {"alias with bare slash", CLASS_API, METHOD_GET,
     "/templates/aliases/team/name", E_OK, "template_alias", "team/name"},
    {"fixed before template", CLASS_API, METHOD_DELETE, "/templates/tags", E_OK,
     "template_untag", NULL},
    {"fixed word encoded whole", CLASS_API, METHOD_GET, "/%68ealth", E_OK,
     "api_health", NULL},
    {"control path of the daemon", CLASS_ENVD, METHOD_POST, "/init",
     E_ROUTE_UNKNOWN, NULL, NULL},
    {"control path encoded", CLASS_ENVD, METHOD_POST, "/%69nit",
     E_ROUTE_UNKNOWN, NULL, NULL},
    {"control path, slash encoded", CLASS_ENVD, METHOD_POST, "/x%2Finit",
     E_BAD_REQUEST, NULL, NULL},
    {"control path, encoded twice", CLASS_ENVD, METHOD_POST, "/%2569nit",
     E_BAD_REQUEST, NULL, NULL},
    {"control path by dots", CLASS_ENVD, METHOD_POST, "/a/../init",
     E_ROUTE_UNKNOWN, NULL, NULL},
    {"daemon knows no HEAD", CLASS_ENVD, METHOD_HEAD, "/files", E_METHOD, NULL,
     "GET, POST"},
    {"remote call", CLASS_ENVD, METHOD_POST, "/filesystem.Filesystem/Stat",
     E_OK, "filesystem_stat", NULL},
    {"remote call by GET", CLASS_ENVD, METHOD_GET,
     "/filesystem.Filesystem/Stat", E_METHOD, NULL, "POST"},
    {"unknown remote call", CLASS_ENVD, METHOD_POST,
     "/filesystem.Filesystem/Chmod", E_ROUTE_UNKNOWN, NULL, NULL},
    {"slash in a fixed word", CLASS_API, METHOD_GET, "/sandboxes%2Fmetrics",
     E_ROUTE_UNKNOWN, NULL, NULL},
};

Test(op, finds_the_row_for_a_path)
{
    struct arena *a;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    for (size_t i = 0; i < sizeof(find_rows) / sizeof(find_rows[0]); i++) {
        const struct find_row *r = &find_rows[i];
        struct op_found found;
        enum err err = op_find(r->class, r->method, str_of(r->path), a, &found);

        cr_expect_eq(err, r->err, "%s: %s", r->name, err_name(err));
        if (err == E_OK && r->err == E_OK) {
            cr_expect_str_eq(found.row->name, r->row, "%s: %s", r->name,
                             found.row->name);
            cr_expect(str_eq(found.params[0], str_of(r->param)), "%s: %.*s",
                      r->name, STR_FMT(found.params[0]));
        } else {
            cr_expect_null(found.row, "%s", r->name);
        }
        if (err == E_METHOD)
            cr_expect_str_eq(found.allow, r->param, "%s: %s", r->name,
                             found.allow);
    }
    arena_free(&a);
}

Test(op, has_rows_that_can_be_told_apart)
{
    const struct op_row *row, *other;

    for (unsigned i = 0; (row = op_row_at(i)) != NULL; i++) {
        unsigned params = 0;

        cr_expect_not_null(row->hear, "%s", row->name);
        cr_expect_eq(row->path[0], '/', "%s", row->name);
        for (const char *p = row->path; *p; p++)
            params += *p == '{';
        cr_expect_leq(params, OP_PARAMS_MAX, "%s", row->name);
        for (unsigned j = 0; j < i; j++) {
            other = op_row_at(j);
            cr_expect_str_neq(row->name, other->name);
            cr_expect(row->class != other->class ||
                          row->method != other->method ||
                          strcmp(row->path, other->path) != 0,
                      "%s and %s", row->name, other->name);
        }
    }
}

Test(op, says_a_whole_answer_and_is_done_without_being_asked_again)
{
    struct op op = {0};
    struct op_event begin = {.kind = OP_BEGIN}, room = {.kind = OP_ROOM};
    struct want want;
    struct op_found found;

    cr_assert_eq(arena_new(1 << 20, &op.arena), E_OK);
    cr_assert_eq(
        op_find(CLASS_API, METHOD_GET, STR("/health"), op.arena, &found), E_OK);
    op.row = found.row;
    memset(&want, 0xff, sizeof(want));
    op_hear(&op, &begin, &want);
    cr_expect_eq(want.kind, WANT_SAY);
    cr_expect_eq(want.from, 0);
    cr_expect_eq(want.wake_ms, 0);
    cr_expect_eq(want.say.head->status, 200);
    cr_expect_eq(want.say.head->length, 3);
    cr_expect(str_eq(want.say.piece, STR("OK\n")));
    op_hear(&op, &room, &want);
    cr_expect_eq(want.kind, WANT_DONE);
    cr_expect_null(want.say.head);
    arena_free(&op.arena);
}
