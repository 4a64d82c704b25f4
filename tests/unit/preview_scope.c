#include <criterion/criterion.h>

#include "base/json.h"
#include "preview/scope.h"

/* ---- paths of a scope ---- */

static const struct {
    const char *prefix, *path;
    bool covered;
} path_rows[] = {
    {"/app", "/app", true},
    {"/app", "/app/", true},
    {"/app", "/app/x", true},
    {"/app", "/app//x", true},
    {"/app", "/app/%20x", true},
    {"/app", "/app/.x", true},
    {"/app", "/app/...", true},
    {"/app", "/app/a..b", true},
    {"/app", "/app/x;y", true},
    {"/app/", "/app/x", true},
    {"/app/", "/app", false},
    {"/app", "/apple", false},
    {"/app", "/App", false},
    {"/app", "/", false},
    {"/app", "//app", false},
    {"/app", "/%61pp", false},
    {"/app", "/app/../x", false},
    {"/app", "/app/..", false},
    {"/app", "/app/%2e%2e/x", false},
    {"/app", "/app/.%2E/x", false},
    {"/app", "/app/..;/x", false},
    {"/app", "/app/..%3bx/y", false},
    {"/app", "/app/./x", false},
    {"/app", "/app/..%2fx", false},
    {"/app", "/app/%2e%2e%2fx", false},
    {"/app", "/app/..%5cx", false},
    {"/app", "/app\\..\\x", false},
    {"/app", "/app/%252e%252e/x", false},
    {"/app", "/app/%00", false},
    {"/app", "/app/%zz", false},
    {"/app", "/app/%", false},
    {"/", "/x", true},
    {"/", "/../x", false},
    {"", "/../x", true},
    {"", "*", true},
};

Test(preview_scope, covers_paths_that_have_one_reading)
{
    for (size_t i = 0; i < sizeof(path_rows) / sizeof(*path_rows); i++) {
        struct request_head head = {.method = METHOD_GET,
                                    .path = str_of(path_rows[i].path),
                                    .peer = STR("192.0.2.7")};
        struct link_scopes scopes;

        link_scopes_all(&scopes);
        strncpy(scopes.path, path_rows[i].prefix, LINK_PATH_MAX);
        cr_expect(link_scopes_ok(&scopes));
        cr_expect_eq(preview_scope_lacks(&scopes, &head) == NULL,
                     path_rows[i].covered, "%s of %s", path_rows[i].path,
                     path_rows[i].prefix);
    }
}

static const struct {
    struct address_block cidr;
    const char *peer;
    bool holds;
} peer_rows[] = {
    {{.bits = 0}, "192.0.2.7", true},
    {{.bits = 0}, "::1", false},
    {{.bits = 32, .bytes = {192, 0, 2, 7}}, "192.0.2.7", true},
    {{.bits = 32, .bytes = {192, 0, 2, 7}}, "::ffff:192.0.2.7", true},
    {{.bits = 32, .bytes = {192, 0, 2, 7}}, "192.0.2.8", false},
    {{.bits = 31, .bytes = {192, 0, 2, 6}}, "192.0.2.7", true},
    {{.bits = 31, .bytes = {192, 0, 2, 6}}, "192.0.2.8", false},
    {{.bits = 9, .bytes = {10, 128}}, "10.127.0.0", false},
    {{.bits = 9, .bytes = {10, 128}}, "10.255.0.0", true},
    {{.v6 = true, .bits = 32, .bytes = {0x20, 1, 0xd, 0xb8}},
     "2001:db8::1",
     true},
    {{.v6 = true, .bits = 32, .bytes = {0x20, 1, 0xd, 0xb8}},
     "2001:db9::1",
     false},
    {{.v6 = true, .bits = 128, .bytes = {[15] = 1}}, "::1", true},
    {{.v6 = true, .bits = 128, .bytes = {[15] = 1}}, "::", false},
    {{.v6 = true, .bits = 0}, "192.0.2.7", false},
    {{.bits = 0}, "", false},
    {{.bits = 0}, "x", false},
    {{.bits = 0}, "192.0.2.7 ", false},
    {{.bits = 0},
     "1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20:21",
     false},
};

Test(preview_scope, knows_the_addresses_of_a_block)
{
    for (size_t i = 0; i < sizeof(peer_rows) / sizeof(*peer_rows); i++)
        cr_expect_eq(
            link_cidr_holds(&peer_rows[i].cidr, str_of(peer_rows[i].peer)),
            peer_rows[i].holds, "row %zu: %s", i, peer_rows[i].peer);
    cr_expect_not(link_cidr_holds(&peer_rows[0].cidr, STR_NONE));
}

/* ---- ids ---- */

Test(preview_scope, knows_the_id_of_a_link)
{
    static const struct {
        const char *id;
        bool ok;
    } rows[] = {
        {"labcdefghijklmnopqrstuvwx2", true},
        {"l2222222222222222222222222", true},
        {"l777777777777777777777777z", true},
        {"labcdefghijklmnopqrstuvwx", false},
        {"labcdefghijklmnopqrstuvwx22", false},
        {"iabcdefghijklmnopqrstuvwx2", false},
        {"labcdefghijklmnopqrstuvwx1", false},
        {"labcdefghijklmnopqrstuvwx8", false},
        {"Labcdefghijklmnopqrstuvwx2", false},
        {"labcdefghijklmnopqrstuvw-2", false},
        {"", false},
    };
    unsigned char random[LINK_ID_LENGTH - 1];
    char id[LINK_ID_LENGTH + 1];

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(link_id_ok(str_of(rows[i].id)), rows[i].ok, "%s",
                     rows[i].id);
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(random, (int)byte, sizeof(random));
        link_id_make(random, id);
        cr_expect(link_id_ok(str_of(id)), "%s", id);
    }
}

/* What is written is read as the same. */
Test(preview_scope, is_written_as_it_is_read)
{
    static const char *const rows[] = {
        "{}",
        "{\"methods\":[\"GET\",\"OPTIONS\"]}",
        "{\"pathPrefix\":\"/a\\\"b\"}",
        "{\"cidrs\":[\"0.0.0.0/0\",\"::/0\",\"2001:db8::/33\"]}",
        "{\"maxUses\":1000000000,\"websocket\":false}",
        "{\"noindex\":true}",
        "{\"noindex\":false}",
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct link_scopes scopes, again;
        const char *why;
        json_t *json;
        struct buf b;

        buf_init(&b, 4096);
        cr_assert_eq(json_read(str_of(rows[i]), &json_limits_api, &json), E_OK);
        cr_assert_null(link_scopes_read(json, &scopes, &why), "%s", rows[i]);
        json_decref(json);
        cr_expect(link_scopes_ok(&scopes));
        buf_put(&b, STR("{\"v\":1"));
        link_scopes_write(&b, &scopes);
        buf_byte(&b, '}');
        cr_assert_eq(json_read(buf_str(&b), &json_limits_api, &json), E_OK);
        cr_assert_null(link_scopes_read(json, &again, &why));
        json_decref(json);
        cr_expect_eq(memcmp(&scopes, &again, sizeof(scopes)), 0, "%s", rows[i]);
        buf_clear(&b);
    }
}
