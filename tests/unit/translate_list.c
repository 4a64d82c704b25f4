#include "tests/unit/translate_stage.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"
#include "translate/moment.h"

#define ROWS 7
#define TEXT(literal) \
    { \
        literal, sizeof(literal) - 1 \
    }
#define T0 1789984800000 /* 2026-09-21T10:00:00Z */

/* Records by their ids: what stands in lists of ids below. */
static const struct sandbox models[ROWS] = {
    {.id = TEXT("a"),
     .state = SANDBOX_RUNNING,
     .started_ms = T0,
     .template_id = TEXT("tplbase"),
     .metadata = TEXT("{\"user\":\"ann\",\"a b\":\"c&d\"}")},
    {.id = TEXT("b"),
     .state = SANDBOX_RUNNING,
     .started_ms = T0 + 1,
     .template_id = TEXT("tplcode"),
     .metadata = TEXT("{\"user\":\"ann\"}")},
    {.id = TEXT("c"),
     .state = SANDBOX_RUNNING,
     .started_ms = T0 + 1,
     .template_id = TEXT("tplbase"),
     .metadata = TEXT("{\"\xc3\xbc=%\":\"100% + \xe2\x82\xac\"}")},
    {.id = TEXT("d"),
     .state = SANDBOX_INTENT,
     .started_ms = T0 + 2,
     .template_id = TEXT("tplbase"),
     .metadata = TEXT("{\"user\":\"ann\"}")},
    {.id = TEXT("e"),
     .state = SANDBOX_ENDING,
     .started_ms = T0 + 2,
     .template_id = TEXT("tplbase"),
     .metadata = TEXT("{\"user\":\"ann\"}")},
    {.id = TEXT("f"),
     .state = SANDBOX_RUNNING,
     .started_ms = T0 + 5000,
     .template_id = TEXT("tplold"),
     .metadata = TEXT("{}")},
    {.id = TEXT("g"),
     .state = SANDBOX_RUNNING,
     .started_ms = T0 + 3000,
     .template_id = TEXT("tplbase"),
     .metadata = TEXT("{\"user\":\"bob\",\"k\":\"v\"}")},
};

/* The ids of a page, in order. */
static void ids_of(struct str body, char out[64])
{
    json_t *page, *row;
    size_t i;

    out[0] = '\0';
    cr_assert_eq(json_read(body, &json_limits_list, &page), E_OK);
    json_array_foreach(page, i, row)
        snprintf(out + strlen(out), 64 - strlen(out), "%s",
                 json_str(row, "sandboxID").p);
    json_decref(page);
}

/* Ask for a page; false: it failed and line says how. */
static bool ask(struct stage *s, const char *target)
{
    static const struct sandbox *rows[ROWS];

    for (int i = 0; i < ROWS; i++)
        rows[i] = &models[i];
    stage_open(s, CLASS_API, METHOD_GET, target, NULL);
    cr_assert_eq(s->found, E_OK);
    stage_tell(s, OP_BEGIN, NULL);
    if (s->want.kind != WANT_RECORDS)
        return false;
    s->result.list = rows;
    s->result.count = ROWS;
    stage_result(s, E_OK);
    cr_assert_eq(s->want.kind, WANT_SAY);
    return true;
}

static const struct {
    const char *target;
    const char *ids;   /* or what fails */
    const char *total; /* NULL: not told */
} list_rows[] = {
    {"/sandboxes", "fgcba", NULL},
    {"/sandboxes?metadata=user%3Dann", "ba", NULL},
    {"/sandboxes?limit=1", "fgcba", NULL},
    {"/v2/sandboxes", "fgcba", "5"},
    {"/v2/sandboxes?", "fgcba", "5"},
    {"/v2/sandboxes?order=asc", "abcgf", "5"},
    {"/v2/sandboxes?order=desc", "fgcba", "5"},
    {"/v2/sandboxes?order=up",
     "fail BAD_FIELD: validation error: order: must be asc or desc", NULL},
    /* States, one value or several. */
    {"/v2/sandboxes?state=running", "fgcba", "5"},
    {"/v2/sandboxes?state=running,paused", "fgcba", "5"},
    {"/v2/sandboxes?state=running%2Cpaused", "fgcba", "5"},
    {"/v2/sandboxes?state=paused&state=running", "fgcba", "5"},
    {"/v2/sandboxes?state=paused", "", NULL},
    {"/v2/sandboxes?state=", "fgcba", "5"},
    {"/v2/sandboxes?state=pausing",
     "fail BAD_FIELD: validation error: state: must be running or paused",
     NULL},
    /* Limits. */
    {"/v2/sandboxes?limit=100", "fgcba", "5"},
    {"/v2/sandboxes?limit=2", "fg", "5"},
    {"/v2/sandboxes?limit=5", "fgcba", "5"},
    {"/v2/sandboxes?limit=1", "f", "5"},
    {"/v2/sandboxes?limit=0",
     "fail BAD_FIELD: validation error: limit: must be a number from 1 to 100",
     NULL},
    {"/v2/sandboxes?limit=101",
     "fail BAD_FIELD: validation error: limit: must be a number from 1 to 100",
     NULL},
    {"/v2/sandboxes?limit=-1",
     "fail BAD_FIELD: validation error: limit: must be a number from 1 to 100",
     NULL},
    {"/v2/sandboxes?limit=ten",
     "fail BAD_FIELD: validation error: limit: must be a number from 1 to 100",
     NULL},
    /* Times, inclusive. */
    {"/v2/sandboxes?startedAfter=2026-09-21T10:00:00.001Z", "fgcb", "4"},
    {"/v2/sandboxes?startedAfter=2026-09-21T10:00:00.0011Z", "fg", "2"},
    {"/v2/sandboxes?startedAfter=2026-09-21T12:00:03%2B02:00", "fg", "2"},
    {"/v2/sandboxes?startedAfter=2026-09-21T10:00:05.001Z", "", "0"},
    {"/v2/sandboxes?startedAfter=yesterday",
     "fail BAD_FIELD: validation error: startedAfter: must be a date and time "
     "as in RFC 3339",
     NULL},
    /* Templates by id and name. */
    {"/v2/sandboxes?template=base", "gca", "3"},
    {"/v2/sandboxes?template=tplbase", "gca", "3"},
    {"/v2/sandboxes?template=code-interpreter-v1", "b", "1"},
    {"/v2/sandboxes?template=tplold", "f", "1"},
    {"/v2/sandboxes?template=nope", "", "0"},
    {"/v2/sandboxes?template=base:v1",
     "fail BAD_FIELD: validation error: template: must be an id or a name "
     "without a tag",
     NULL},
    /* Metadata, three layers deep. */
    {"/v2/sandboxes?metadata=user%3Dann", "ba", "2"},
    {"/v2/sandboxes?metadata=user=ann", "ba", "2"},
    {"/v2/sandboxes?metadata=user%3Dann%26a%252520b%3Dc%252526d", "a", "1"},
    {"/v2/sandboxes?metadata=a%252520b%3Dc%252526d", "a", "1"},
    {"/v2/sandboxes?metadata=a+b%3Dc%252526d", "a", "1"},
    {"/v2/sandboxes?metadata=%2525C3%2525BC%25253D%252525%3D100%252525%252520"
     "%25252B%252520%2525E2%252582%2525AC",
     "c", "1"},
    {"/v2/sandboxes?metadata=user%3Dbob%26k%3Dv", "g", "1"},
    {"/v2/sandboxes?metadata=user%3Dbob%26k%3Dw", "", "0"},
    {"/v2/sandboxes?metadata=user%3Dbob%26other%3Dv", "", "0"},
    {"/v2/sandboxes?metadata=", "fgcba", "5"},
    {"/v2/sandboxes?metadata=user", "", "0"},
    {"/v2/sandboxes?metadata=a%3D%25",
     "fail BAD_FIELD: validation error: metadata: is not a list of encoded "
     "pairs",
     NULL},
    {"/v2/sandboxes?metadata=%zz", "fail BAD_REQUEST: the query is malformed",
     NULL},
    {"/v2/sandboxes?metadata=%ff", "fail BAD_REQUEST: the query is malformed",
     NULL},
    /* Everything at once. */
    {"/v2/sandboxes?metadata=user%3Dann&state=running&limit=1&order=asc", "a",
     "2"},
    {"/v2/sandboxes?unknown=1", "fgcba", "5"},
    /* Tokens of nobody. */
    {"/v2/sandboxes?nextToken=", "fgcba", "5"},
    {"/v2/sandboxes?nextToken=x", "fail BAD_FIELD: Invalid next token", NULL},
    {"/v2/sandboxes?nextToken=bm9wZQ", "fail BAD_FIELD: Invalid next token",
     NULL},
};

Test(list, selects_and_orders)
{
    for (size_t i = 0; i < sizeof(list_rows) / sizeof(list_rows[0]); i++) {
        struct stage s;

        if (!ask(&s, list_rows[i].target)) {
            cr_expect_str_eq(stage_line(&s), list_rows[i].ids, "%s: %s",
                             list_rows[i].target, stage_line(&s));
        } else {
            struct str total =
                fields_get(&s.want.say.head->fields, STR("x-total-running"));
            char ids[64];

            ids_of(s.want.say.piece, ids);
            cr_expect_str_eq(ids, list_rows[i].ids, "%s: %s",
                             list_rows[i].target, ids);
            cr_expect(str_eq(total, str_of(list_rows[i].total)), "%s: %.*s",
                      list_rows[i].target, STR_FMT(total));
        }
        stage_close(&s);
    }
}

static const struct {
    const char *query;
    const char *pages[4];
} page_rows[] = {
    {"limit=2", {"fg", "cb", "a", NULL}},
    {"limit=2&order=asc", {"ab", "cg", "f", NULL}},
    {"limit=5", {"fgcba", NULL}},
    {"limit=4", {"fgcb", "a", NULL}},
    /* An exactly full last page has no token. */
    {"limit=1&metadata=user%3Dann", {"b", "a", NULL}},
    {"limit=3&template=base", {"gca", NULL}},
};

Test(list, turns_pages_until_there_is_none)
{
    for (size_t i = 0; i < sizeof(page_rows) / sizeof(page_rows[0]); i++) {
        char target[512];
        int n = 0;

        snprintf(target, sizeof(target), "/v2/sandboxes?%s",
                 page_rows[i].query);
        for (bool more = true; more; n++) {
            struct str token;
            struct stage s;
            char ids[64];

            cr_assert_not_null(page_rows[i].pages[n], "%s", target);
            cr_assert(ask(&s, target), "%s", target);
            ids_of(s.want.say.piece, ids);
            cr_expect_str_eq(ids, page_rows[i].pages[n], "%s: %s", target, ids);
            token = fields_get(&s.want.say.head->fields, STR("X-Next-Token"));
            snprintf(target, sizeof(target), "/v2/sandboxes?%s&nextToken=%.*s",
                     page_rows[i].query, STR_FMT(token));
            more = token.p != NULL;
            stage_close(&s);
        }
        cr_expect_null(page_rows[i].pages[n], "%s", page_rows[i].query);
    }
}

Test(list, refuses_a_token_of_the_other_order)
{
    struct stage s;
    char target[256];

    cr_assert(ask(&s, "/v2/sandboxes?limit=1"));
    snprintf(
        target, sizeof(target),
        "/v2/sandboxes?limit=1&order=asc&nextToken=%.*s",
        STR_FMT(fields_get(&s.want.say.head->fields, STR("X-Next-Token"))));
    stage_close(&s);
    cr_expect_not(ask(&s, target));
    cr_expect_str_eq(stage_line(&s), "fail BAD_FIELD: Invalid next token");
    stage_close(&s);
}

Test(list, has_every_field_that_sdks_need)
{
    struct stage s;

    cr_assert(ask(&s, "/v2/sandboxes?template=tplold"));
    cr_expect_str_eq(
        stage_line(&s),
        "say 200 [{\"sandboxID\":\"f\",\"templateID\":\"tplold\","
        "\"clientID\":\"6532622b\",\"startedAt\":\"2026-09-21T10:00:05.000Z\","
        "\"endAt\":\"1970-01-01T00:00:00.000Z\",\"envdVersion\":\"0.5.7\","
        "\"cpuCount\":0,\"memoryMB\":0,\"diskSizeMB\":0,\"state\":\"running\","
        "\"metadata\":{}}]");
    stage_close(&s);
}

Test(list, tells_that_the_store_cannot_tell)
{
    struct stage s;

    stage_open(&s, CLASS_API, METHOD_GET, "/v2/sandboxes", NULL);
    stage_tell(&s, OP_BEGIN, NULL);
    stage_result(&s, E_STORE);
    cr_expect_str_eq(stage_line(&s), "fail STORE");
    stage_close(&s);
}

Test(list, fails_cleanly_without_memory)
{
    static const struct sandbox *rows[ROWS];
    bool done = false;

    json_start();
    for (int i = 0; i < ROWS; i++)
        rows[i] = &models[i];
    for (long n = 0; !done; n++) {
        struct stage s;

        cr_assert_lt(n, 1000);
        stage_open(&s, CLASS_API, METHOD_GET,
                   "/v2/sandboxes?limit=1&metadata=user%3Dann", NULL);
        s.result.list = rows;
        s.result.count = ROWS;
        mem_refuse(n);
        stage_tell(&s, OP_BEGIN, NULL);
        if (s.want.kind == WANT_RECORDS)
            stage_result(&s, E_OK);
        done = s.want.kind == WANT_SAY;
        mem_refuse(-1);
        if (done)
            cr_expect_eq(
                fields_count(&s.want.say.head->fields, STR("X-Next-Token")), 1);
        else
            cr_expect_eq(s.want.kind, WANT_FAIL, "%ld: %s", n, stage_line(&s));
        stage_close(&s);
    }
}

static const struct {
    const char *text;
    int64_t wall_ms; /* -1: none */
    bool exact;
} moment_rows[] = {
    {"1970-01-01T00:00:00Z", 0, true},
    {"2026-09-21T10:00:00Z", T0, true},
    {"2026-09-21t10:00:00z", T0, true},
    {"2026-09-21T12:30:00+02:30", T0, true},
    {"2026-09-21T08:00:00-02:00", T0, true},
    {"2026-09-21T10:00:00.5Z", T0 + 500, true},
    {"2026-09-21T10:00:00.123000000Z", T0 + 123, true},
    {"2026-09-21T10:00:00.123000001Z", T0 + 123, false},
    {"2024-02-29T00:00:00Z", 1709164800000, true},
    {"2000-03-01T00:00:00Z", 951868800000, true},
    {"9999-12-31T23:59:59Z", 253402300799000, true},
    {"2023-02-29T00:00:00Z", -1, false},
    {"2100-02-29T00:00:00Z", -1, false},
    {"1969-12-31T23:59:59Z", -1, false},
    {"2026-13-01T00:00:00Z", -1, false},
    {"2026-00-01T00:00:00Z", -1, false},
    {"2026-09-31T00:00:00Z", -1, false},
    {"2026-09-21T24:00:00Z", -1, false},
    {"2026-09-21T10:60:00Z", -1, false},
    {"2026-09-21T10:00:00", -1, false},
    {"2026-09-21T10:00:00.Z", -1, false},
    {"2026-09-21T10:00:00ZZ", -1, false},
    {"2026-09-21T10:00:00+0200", -1, false},
    {"2026-09-21T10:00:00+02:00x", -1, false},
    {"2026-09-21", -1, false},
    {"2026-09-21 10:00:00Z", -1, false},
    {"1789984800", -1, false},
    {"", -1, false},
};

Test(moment, is_read_as_rfc_3339_says)
{
    for (size_t i = 0; i < sizeof(moment_rows) / sizeof(moment_rows[0]); i++) {
        int64_t ms;
        bool exact, ok = moment_read(str_of(moment_rows[i].text), &ms, &exact);

        cr_expect_eq(ok, moment_rows[i].wall_ms >= 0, "%s",
                     moment_rows[i].text);
        if (!ok)
            continue;
        cr_expect_eq(ms, moment_rows[i].wall_ms, "%s: %lld",
                     moment_rows[i].text, (long long)ms);
        cr_expect_eq(exact, moment_rows[i].exact, "%s", moment_rows[i].text);
    }
}
