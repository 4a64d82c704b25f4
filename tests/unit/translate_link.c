#include "tests/unit/translate_stage.h"

#define LINKS "/sandboxes/i0/links"
#define ONE "labcdefghijklmnopqrstuvwx2"

static void open_at(struct stage *s, enum method method, const char *target)
{
    stage_open(s, CLASS_API, method, target, NULL);
    cr_assert_eq(s->found, E_OK, "%s", target);
    s->conf.preview.domain = STR("p.example");
    s->conf.preview.ttl_default_s = 3600;
    s->conf.preview.ttl_max_s = 86400;
}

static const struct {
    const char *body, *line;
} create_rows[] = {
    {"{\"port\":3000}", "job link create i0 port 3000 3600 s"},
    {"{\"port\":1,\"ttlSeconds\":1}", "job link create i0 port 1 1 s"},
    {"{\"port\":65535,\"ttlSeconds\":86400,\"opaque\":true}",
     "job link create i0 port 65535 86400 s opaque"},
    {"{\"port\":80,\"ttlSeconds\":null,\"methods\":null,\"pathPrefix\":null,"
     "\"cidrs\":null,\"maxUses\":null,\"websocket\":null,\"opaque\":null}",
     "job link create i0 port 80 3600 s"},
    {"{\"port\":80,\"methods\":[\"HEAD\",\"GET\",\"GET\"],\"pathPrefix\":"
     "\"/a/b\",\"cidrs\":[\"10.0.0.0/8\",\"2001:db8::/32\",\"192.0.2.7\","
     "\"::ffff:192.0.2.8\"],\"maxUses\":5,\"websocket\":false}",
     "job link create i0 port 80 3600 s,\"methods\":[\"GET\",\"HEAD\"],"
     "\"pathPrefix\":\"/a/b\",\"cidrs\":[\"10.0.0.0/8\",\"2001:db8::/32\","
     "\"192.0.2.7/32\",\"192.0.2.8/32\"],\"maxUses\":5,\"websocket\":false"},
    {"", "fail BAD_JSON: a JSON object is required as the body"},
    {"[]", "fail BAD_JSON: the body must be a JSON object"},
    {"{}", "fail BAD_FIELD: validation error: port: is required"},
    {"{\"port\":80,\"ttl\":60}",
     "fail BAD_FIELD: validation error: ttl: is not a field of links"},
    {"{\"port\":80,\"max_uses\":null}",
     "fail BAD_FIELD: validation error: max_uses: is not a field of links"},
    {"{\"port\":80,\"MaxUses\":1}",
     "fail BAD_FIELD: validation error: MaxUses: is not a field of links"},
    {"{\"port\":80,"
     "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\":1}",
     "fail BAD_FIELD: validation error: body: is not a field of links"},
#define BAD_PORT \
    "fail BAD_FIELD: validation error: port: must be a port of the sandbox, " \
    "from 1 to 65535 and not one of its own services"
    {"{\"port\":0}", BAD_PORT},
    {"{\"port\":65536}", BAD_PORT},
    {"{\"port\":-1}", BAD_PORT},
    {"{\"port\":4294967376}", BAD_PORT},
    {"{\"port\":\"80\"}", BAD_PORT},
    {"{\"port\":80.0}", BAD_PORT},
    {"{\"port\":49983}", BAD_PORT},
    {"{\"port\":49999}", BAD_PORT},
    {"{\"port\":80,\"ttlSeconds\":0}",
     "fail BAD_FIELD: validation error: ttlSeconds: must be greater than 0"},
    {"{\"port\":80,\"ttlSeconds\":86401}",
     "fail BAD_FIELD: validation error: ttlSeconds: must not be greater than "
     "86400"},
    {"{\"port\":80,\"ttlSeconds\":\"1h\"}",
     "fail BAD_FIELD: validation error: ttlSeconds: must be a whole number of "
     "seconds"},
#define BAD_METHOD \
    "fail BAD_FIELD: validation error: methods: must be GET, HEAD, POST, " \
    "PUT, " \
    "DELETE, PATCH or OPTIONS"
    {"{\"port\":80,\"methods\":[\"get\"]}", BAD_METHOD},
    {"{\"port\":80,\"methods\":[\"TRACE\"]}", BAD_METHOD},
    {"{\"port\":80,\"methods\":[7]}", BAD_METHOD},
    {"{\"port\":80,\"methods\":[]}",
     "fail BAD_FIELD: validation error: methods: must be a list of methods"},
    {"{\"port\":80,\"methods\":\"GET\"}",
     "fail BAD_FIELD: validation error: methods: must be a list of methods"},
#define BAD_PATH \
    "fail BAD_FIELD: validation error: pathPrefix: must begin with /, of at " \
    "most 200 plain characters, without escapes, // or dots to clean"
    {"{\"port\":80,\"pathPrefix\":\"\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"a\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"//a\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/a/..\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/a/./b\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/a/..;x/b\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/%61\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/a?b\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/a b\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":\"/\\\\\"}", BAD_PATH},
    {"{\"port\":80,\"pathPrefix\":5}", BAD_PATH},
#define BAD_CIDR \
    "fail BAD_FIELD: validation error: cidrs: must be addresses or blocks " \
    "such as 192.0.2.0/24"
    {"{\"port\":80,\"cidrs\":[\"10.0.0.0/33\"]}", BAD_CIDR},
    {"{\"port\":80,\"cidrs\":[\"10.0.0.0/08\"]}", BAD_CIDR},
    {"{\"port\":80,\"cidrs\":[\"10.0.0\"]}", BAD_CIDR},
    {"{\"port\":80,\"cidrs\":[\"a.example\"]}", BAD_CIDR},
    {"{\"port\":80,\"cidrs\":[\"::/129\"]}", BAD_CIDR},
    {"{\"port\":80,\"cidrs\":[7]}", BAD_CIDR},
    {"{\"port\":80,\"cidrs\":[\"10.0.0.1/8\"]}",
     "fail BAD_FIELD: validation error: cidrs: has a block with bits behind "
     "its prefix"},
    {"{\"port\":80,\"cidrs\":[]}",
     "fail BAD_FIELD: validation error: cidrs: must be a list of 1 to 8 "
     "addresses or blocks"},
    {"{\"port\":80,\"cidrs\":[\"::1\",\"::2\",\"::3\",\"::4\",\"::5\",\"::6\","
     "\"::7\",\"::8\",\"::9\"]}",
     "fail BAD_FIELD: validation error: cidrs: must be a list of 1 to 8 "
     "addresses or blocks"},
    {"{\"port\":80,\"maxUses\":0}",
     "fail BAD_FIELD: validation error: maxUses: must be a number from 1 to "
     "1000000000"},
    {"{\"port\":80,\"maxUses\":1000000001}",
     "fail BAD_FIELD: validation error: maxUses: must be a number from 1 to "
     "1000000000"},
    {"{\"port\":80,\"websocket\":\"no\"}",
     "fail BAD_FIELD: validation error: websocket: must be true or false"},
    {"{\"port\":80,\"opaque\":1}",
     "fail BAD_FIELD: validation error: opaque: must be true or false"},
};

Test(link, reads_every_field_and_names_the_wrong_one)
{
    for (size_t i = 0; i < sizeof(create_rows) / sizeof(*create_rows); i++) {
        struct stage s;

        open_at(&s, METHOD_POST, LINKS);
        stage_have(&s);
        stage_send(&s, create_rows[i].body);
        cr_expect_str_eq(stage_line(&s), create_rows[i].line, "%s: %s",
                         create_rows[i].body, stage_line(&s));
        stage_close(&s);
    }
}

/* 80-Sandbox_1.p.example is no host. */
Test(link, is_opaque_where_the_id_cannot_stand_in_a_host)
{
    struct stage s;

    open_at(&s, METHOD_POST, "/sandboxes/Sandbox_1/links");
    stage_have(&s);
    s.sandbox.id = STR("Sandbox_1");
    stage_send(&s, "{\"port\":80}");
    cr_expect_str_eq(stage_line(&s),
                     "job link create Sandbox_1 port 80 3600 s opaque");
    stage_close(&s);
}

Test(link, tells_the_url_once_and_when_it_ends)
{
    static const struct link link = {.id = ONE, .expires_s = 1800003600};
    struct stage s;

    open_at(&s, METHOD_POST, LINKS);
    stage_have(&s);
    stage_send(&s, "{\"port\":80}");
    s.result.links = &link;
    s.result.count = 1;
    s.result.link_url = STR("https://80-i0.p.example/?token=sgl1_x");
    stage_result(&s, E_OK);
    cr_expect_str_eq(
        stage_line(&s),
        "say 201 {\"linkId\":\"" ONE "\",\"url\":\"https://80-i0.p.example/"
        "?token=sgl1_x\",\"expiresAt\":\"2027-01-15T09:00:00.000Z\"}");
    stage_close(&s);
}

static const struct {
    enum err err;
    const char *line;
} failures[] = {
    {E_SANDBOX_GONE, "fail SANDBOX_GONE: Sandbox \"i0\" doesn't exist or you "
                     "don't have access to it"},
    {E_NOT_FOUND, "fail NOT_FOUND: there is no such link"},
    {E_QUOTA, "fail QUOTA: the sandbox has as many links as it may"},
    {E_STORE, "fail STORE"},
    {E_NOMEM, "fail NOMEM"},
};

static const struct {
    enum method method;
    const char *target, *body;
} calls[] = {
    {METHOD_POST, LINKS, "{\"port\":80}"},
    {METHOD_GET, LINKS, NULL},
    {METHOD_DELETE, LINKS "/" ONE, NULL},
    {METHOD_DELETE, LINKS "?before=2026-01-01T00:00:00Z", NULL},
};

Test(link, tells_what_the_job_could_not_do)
{
    for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++)
        for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++) {
            struct stage s;

            open_at(&s, calls[k].method, calls[k].target);
            stage_have(&s);
            stage_send(&s, calls[k].body);
            cr_assert_eq(s.want.kind, WANT_JOB);
            stage_result(&s, failures[i].err);
            cr_expect_str_eq(stage_line(&s), failures[i].line);
            stage_close(&s);
        }
}

Test(link, is_501_by_name_while_previews_are_not_configured)
{
    for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++) {
        struct stage s;

        open_at(&s, calls[k].method, calls[k].target);
        s.conf.preview.domain = STR_NONE;
        stage_have(&s);
        stage_send(&s, calls[k].body);
        cr_expect_str_eq(stage_line(&s),
                         "fail UNIMPLEMENTED: signed links are not configured "
                         "on this server");
        stage_close(&s);
    }
}

Test(link, is_for_a_sandbox_that_the_team_has)
{
    for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++)
        for (int ending = 0; ending < 2; ending++) {
            struct stage s;

            open_at(&s, calls[k].method, calls[k].target);
            if (ending)
                stage_have(&s);
            s.sandbox.state = SANDBOX_ENDING;
            stage_send(&s, calls[k].body);
            cr_expect_str_eq(stage_line(&s), failures[0].line);
            stage_close(&s);
        }
}

Test(link, lists_without_tokens)
{
    struct link links[4] = {
        {.id = ONE,
         .port = 3000,
         .created_ms = 1799999990000,
         .expires_s = 1800000001},
        {.id = ONE,
         .port = 80,
         .opaque = true,
         .created_ms = 1799999990000,
         .expires_s = 1800000000},
        {.id = ONE,
         .port = 80,
         .created_ms = 1799999990000,
         .expires_s = 1800000100,
         .revoked_ms = 1799999995000},
        {.id = ONE,
         .port = 80,
         .created_ms = 1799999990000,
         .expires_s = 1800000100,
         .uses = 2,
         .requests = 7,
         .seen_ms = 1799999999000},
    };
    struct stage s;

    for (int i = 0; i < 4; i++)
        link_scopes_all(&links[i].scopes);
    links[3].scopes.uses_max = 2;
    open_at(&s, METHOD_GET, LINKS);
    stage_have(&s);
    stage_send(&s, NULL);
    cr_expect_str_eq(stage_line(&s), "job link list i0");
    s.result.links = links;
    s.result.count = 4;
    stage_result(&s, E_OK);
#define TIMES(end) \
    "\"createdAt\":\"2027-01-15T07:59:50.000Z\"," \
    "\"expiresAt\":\"2027-01-15T08:" end ".000Z\""
    cr_expect_str_eq(
        stage_line(&s),
        "say 200 [{\"linkId\":\"" ONE
        "\",\"port\":3000,\"state\":\"active\"," TIMES(
            "00:01") ",\"requests\":0},"
                     "{\"linkId\":\"" ONE
                     "\",\"port\":80,\"state\":\"expired\"," TIMES(
                         "00:00") ",\"opaque\":true,\"requests\":0},"
                                  "{\"linkId\":\"" ONE
                                  "\",\"port\":80,\"state\":\"revoked\"," TIMES(
                                      "01:40") ",\"revokedAt\":\"2027-01-15T07:"
                                               "59:55.000Z\",\"requests\":0},"
                                               "{\"linkId\":\"" ONE
                                               "\",\"port\":80,\"state\":"
                                               "\"used\"," TIMES(
                                                   "01:40") ",\"maxUses\":2,"
                                                            "\"uses\":2,"
                                                            "\"requests\":7,"
                                                            "\"lastRequestAt\""
                                                            ":\"2027-01-15T07:"
                                                            "59:59.000Z\"}]");
    stage_close(&s);
    open_at(&s, METHOD_GET, LINKS);
    stage_have(&s);
    stage_send(&s, NULL);
    stage_result(&s, E_OK);
    cr_expect_str_eq(stage_line(&s), "say 200 []");
    stage_close(&s);
}

static const struct {
    const char *target, *line;
} end_rows[] = {
    {LINKS "/" ONE, "job link revoke i0 " ONE " 0"},
    {LINKS "/labc", "fail NOT_FOUND: there is no such link"},
    {LINKS "/LABCDEFGHIJKLMNOPQRSTUVWX2",
     "fail NOT_FOUND: there is no such link"},
    {LINKS "?before=2027-01-15T07:00:00Z", "job link revoke i0  1799996400000"},
    {LINKS "?before=2027-01-15T07:00:00.0001Z",
     "job link revoke i0  1799996400001"},
    {LINKS "?before=2030-01-01T00:00:00Z", "job link revoke i0  1800000000000"},
    {LINKS "?before=1970-01-01T00:00:00Z", "job link revoke i0  1"},
#define BAD_BEFORE \
    "fail BAD_FIELD: validation error: before: must be a date and time as " \
    "in RFC 3339"
    {LINKS, BAD_BEFORE},
    {LINKS "?before=", BAD_BEFORE},
    {LINKS "?before=now", BAD_BEFORE},
    {LINKS "?after=2027-01-15T07:00:00Z", BAD_BEFORE},
    {LINKS "?before=%zz", BAD_BEFORE},
};

Test(link, revokes_one_or_all_of_before_a_time)
{
    for (size_t i = 0; i < sizeof(end_rows) / sizeof(*end_rows); i++) {
        struct stage s;

        open_at(&s, METHOD_DELETE, end_rows[i].target);
        stage_have(&s);
        stage_send(&s, NULL);
        cr_expect_str_eq(stage_line(&s), end_rows[i].line, "%s: %s",
                         end_rows[i].target, stage_line(&s));
        if (s.want.kind == WANT_JOB) {
            stage_result(&s, E_OK);
            cr_expect_eq(s.want.say.head->status, 204);
        }
        stage_close(&s);
    }
}

Test(link, network_of_a_sandbox_is_shown_in_detail)
{
    struct stage s;
    const char *line;

    stage_open(&s, CLASS_API, METHOD_GET, "/sandboxes/i0", NULL);
    stage_have(&s);
    s.sandbox.private_traffic = true;
    s.sandbox.mask_host = STR("localhost:${PORT}");
    s.sandbox.https_ports = STR("443,8443");
    stage_send(&s, NULL);
    line = stage_line(&s);
    cr_expect_not_null(strstr(line,
                              ",\"network\":{\"allowPublicTraffic\":false,"
                              "\"maskRequestHost\":\"localhost:${PORT}\","
                              "\"httpsPorts\":[443,8443]},\"lifecycle\""),
                       "%s", line);
    stage_close(&s);
}
