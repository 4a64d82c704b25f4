#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "gateway/answer.h"

#define ID STR("i0abc")

static const char *const dialects[DIALECT_COUNT] = {
    "api",  "edge", "unary",  "stream", "envd",
    "code", "page", "native", "proxy"};

static struct arena *arena_of(size_t max)
{
    struct arena *a;

    cr_assert_eq(arena_new(max, &a), E_OK);
    return a;
}

/* What an answer is, in one line: the row of the golden file. */
static void put_row(struct buf *b, enum err err, enum dialect dialect)
{
    struct arena *a = arena_of(65536);
    struct answer_request r = {.err = err,
                               .dialect = dialect,
                               .sandbox_id = ID,
                               .port = 3000,
                               .path = STR("/init")};
    struct answer cell = answer_find(err, dialect);
    struct answer_head head;
    struct str body;

    answer_build(&r, a, &head, &body);
    buf_text(b, "%-20s %-6s %d ", err_name(err), dialects[dialect],
             head.status);
    for (unsigned i = 0; i < head.fields.count; i++)
        if (str_eq(head.fields.at[i].name, STR("Should-Retry")) ||
            str_eq(head.fields.at[i].name, STR("Retry-After")))
            buf_text(b, "%.*s: %.*s; ", STR_FMT(head.fields.at[i].name),
                     STR_FMT(head.fields.at[i].value));
    if (cell.form == FORM_END) {
        buf_put(b, STR("end frame "));
        body = str_after(body, 5);
    } else if (cell.form == FORM_PAGE) {
        buf_text(b, "page: %s\n", cell.text);
        arena_free(&a);
        return;
    }
    if (body.n && body.p[body.n - 1] == '\n') {
        body.n--;
        buf_text(b, "%.*s LF\n", STR_FMT(body));
    } else {
        buf_text(b, "%.*s\n", STR_FMT(body));
    }
    arena_free(&a);
}

/* tests/data/answers.txt is the table of the manual, too.  After a change of
 * answer.def: ANSWERS=write makes it anew. */
Test(answer, is_as_the_golden_file_has_it)
{
    static char want[1 << 20];
    struct buf have;
    size_t n;
    FILE *f;

    buf_init(&have, sizeof(want));
    for (int e = E_OK + 1; e < E_COUNT; e++)
        for (int d = 0; d < DIALECT_COUNT; d++)
            put_row(&have, (enum err)e, (enum dialect)d);
    if (getenv("ANSWERS")) {
        f = fopen(DATA_DIR "/answers.txt", "w");
        cr_assert_not_null(f);
        fwrite(have.p, 1, have.n, f);
        fclose(f);
    }
    f = fopen(DATA_DIR "/answers.txt", "r");
    cr_assert_not_null(f, "tests/data/answers.txt is missing");
    n = fread(want, 1, sizeof(want), f);
    fclose(f);
    cr_expect(str_eq(buf_str(&have), str_from(want, n)),
              "answer.def and tests/data/answers.txt differ");
    buf_clear(&have);
}

Test(answer, holds_the_texts_that_are_contract)
{
    static const struct {
        enum err err;
        enum dialect dialect;
        int status;
        const char *body;
    } cells[] = {
        {E_SANDBOX_GONE, DIALECT_EDGE, 502,
         "{\"sandboxId\":\"i0abc\",\"message\":\"The sandbox was not found\","
         "\"code\":502}"},
        {E_SANDBOX_GONE, DIALECT_STREAM, 502,
         "{\"sandboxId\":\"i0abc\",\"message\":\"The sandbox was not found\","
         "\"code\":502}"},
        {E_PORT_CLOSED, DIALECT_EDGE, 502,
         "{\"sandboxId\":\"i0abc\",\"message\":\"The sandbox is running but "
         "port is not open\",\"port\":3000,\"code\":502}"},
        {E_SANDBOX_UNKNOWN, DIALECT_UNARY, 503,
         "{\"code\":\"internal\",\"message\":\"It cannot be told at the moment "
         "whether the sandbox is running\"}"},
        {E_RATE_LIMITED, DIALECT_UNARY, 429,
         "{\"code\":\"resource_exhausted\",\"message\":\"Too many "
         "requests\"}"},
        {E_TOKEN_WRONG, DIALECT_STREAM, 401,
         "{\"code\":401,\"message\":\"unauthorized access, please provide a "
         "valid access token or method signing if supported\"}\n"},
        {E_PORT_BLOCKED, DIALECT_ENVD, 404,
         "{\"message\":\"This path is not served from outside the sandbox\","
         "\"path\":\"/init\",\"code\":404}"},
        {E_ROUTE_UNKNOWN, DIALECT_ENVD, 404, "404 page not found\n"},
        {E_ROUTE_UNKNOWN, DIALECT_CODE, 404, "{\"detail\":\"Not Found\"}"},
        {E_METHOD, DIALECT_CODE, 405, "{\"detail\":\"Method Not Allowed\"}"},
        {E_METHOD, DIALECT_UNARY, 405, ""},
        {E_MEDIA_TYPE, DIALECT_UNARY, 415, ""},
    };

    for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
        struct arena *a = arena_of(65536);
        struct answer_request r = {.err = cells[i].err,
                                   .dialect = cells[i].dialect,
                                   .sandbox_id = ID,
                                   .port = 3000,
                                   .path = STR("/init")};
        struct answer_head head;
        struct str body;

        answer_build(&r, a, &head, &body);
        cr_expect_eq(head.status, cells[i].status, "%s in %s",
                     err_name(cells[i].err), dialects[cells[i].dialect]);
        cr_expect(str_eq(body, str_of(cells[i].body)), "%s in %s: %.*s",
                  err_name(cells[i].err), dialects[cells[i].dialect],
                  STR_FMT(body));
        arena_free(&a);
    }
}

Test(answer, gives_one_body_for_every_bad_key)
{
    cr_expect_str_eq(answer_find(E_KEY_MISSING, DIALECT_API).text,
                     answer_find(E_KEY_UNKNOWN, DIALECT_API).text);
}

Test(answer, says_whether_to_repeat)
{
    static const struct {
        int status;
        bool effect;
        const char *want;
    } cells[] = {
        {200, true, NULL},    {404, false, NULL},    {429, false, "true"},
        {429, true, "false"}, {500, false, "false"}, {501, false, "false"},
        {502, false, "true"}, {503, false, "true"},  {503, true, "false"},
        {504, false, "true"}, {504, true, "false"},
    };

    for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
        const char *have =
            answer_should_retry(cells[i].status, cells[i].effect);

        cr_expect(str_eq(str_of(have), str_of(cells[i].want)), "%d",
                  cells[i].status);
    }
}

Test(answer, names_no_time_to_wait_when_it_must_not_be_repeated)
{
    struct arena *a = arena_of(65536);
    struct answer_request r = {.err = E_BACKEND_DOWN, .dialect = DIALECT_API};
    struct answer_head head;
    struct str body;

    answer_build(&r, a, &head, &body);
    cr_expect(str_eq(fields_get(&head.fields, STR("retry-after")), STR("1")));
    cr_expect(
        str_eq(fields_get(&head.fields, STR("should-retry")), STR("true")));
    r.effect = true;
    answer_build(&r, a, &head, &body);
    cr_expect_null(fields_get(&head.fields, STR("retry-after")).p);
    cr_expect(
        str_eq(fields_get(&head.fields, STR("should-retry")), STR("false")));
    arena_free(&a);
}

Test(answer, survives_without_memory)
{
    struct answer_request r = {.err = E_SANDBOX_GONE,
                               .dialect = DIALECT_EDGE,
                               .sandbox_id = ID,
                               .cors = true};
    struct answer_head head;
    struct str body;

    for (long n = 0;; n++) {
        struct arena *a = arena_of(65536);

        mem_refuse(n);
        answer_build(&r, a, &head, &body);
        mem_refuse(-1);
        cr_expect(head.status == 502 || head.status == 503, "%d", head.status);
        cr_expect_not_null(body.p);
        arena_free(&a);
        if (head.status == 502)
            break;
    }
}

Test(answer, shows_a_page_to_navigating_browsers_only)
{
    static const struct {
        const char *name, *agent, *accept, *mode, *with;
        bool page;
    } rows[] = {
        {"curl", "curl/8", "*/*", 0, 0, false},
        {"no agent", 0, 0, 0, 0, false},
        {"browser", "Mozilla/5.0", "text/html,*/*", "navigate", 0, true},
        {"old browser", "Opera/9", 0, 0, 0, true},
        {"fetch", "Mozilla/5.0", "*/*", "cors", 0, false},
        {"image", "Mozilla/5.0", "*/*", "no-cors", 0, false},
        {"websocket", "Mozilla/5.0", "*/*", "websocket", 0, false},
        {"wants JSON", "Mozilla/5.0", "application/json", 0, 0, false},
        {"wants both", "Mozilla/5.0", "application/json, text/html", 0, 0,
         true},
        {"XHR", "Mozilla/5.0", "*/*", 0, "XMLHttpRequest", false},
        {"XHR that navigates", "Mozilla/5.0", "*/*", "navigate", "x", true},
        {"node", "node", "*/*", "cors", 0, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct field at[4];
        struct fields f = {at, 0, 4};
        const char *pairs[][2] = {{"User-Agent", rows[i].agent},
                                  {"Accept", rows[i].accept},
                                  {"Sec-Fetch-Mode", rows[i].mode},
                                  {"X-Requested-With", rows[i].with}};

        for (int p = 0; p < 4; p++)
            if (pairs[p][1])
                at[f.count++] =
                    (struct field){str_of(pairs[p][0]), str_of(pairs[p][1])};
        cr_expect_eq(answer_for_browser(&f), rows[i].page, "%s", rows[i].name);
    }
}

Test(answer, answers_a_preflight_as_the_daemon_does)
{
    struct arena *a = arena_of(65536);
    struct field at[] = {
        {STR("Origin"), STR("https://app.example")},
        {STR("Access-Control-Request-Method"), STR("POST")},
        {STR("Access-Control-Request-Headers"), STR("x-access-token, a")},
    };
    struct request_head request = {.fields = {at, 3, 3}};
    struct answer_head head;
    struct str body;

    answer_preflight(&request, CLASS_ENVD, a, &head, &body);
    cr_expect_eq(head.status, 204);
    cr_expect_eq(head.fields.count, 5);
    cr_expect(
        str_eq(fields_get(&head.fields, STR("access-control-allow-headers")),
               STR("x-access-token, a")));
    cr_expect(
        str_eq(fields_get(&head.fields, STR("access-control-allow-methods")),
               STR("POST")));
    at[1].value = STR("post");
    answer_preflight(&request, CLASS_ENVD, a, &head, &body);
    cr_expect_eq(head.status, 204);
    cr_expect_eq(head.fields.count, 1, "a method that nobody may use");
    answer_preflight(&request, CLASS_CODE, a, &head, &body);
    cr_expect_eq(head.status, 200);
    cr_expect(str_eq(body, STR("OK")));
    answer_preflight(&request, CLASS_API, a, &head, &body);
    cr_expect_eq(head.status, 204);
    arena_free(&a);
}
