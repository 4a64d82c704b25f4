/* answer.c - see answer.h.  The table is answer.def. */
#include "gateway/answer.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/json.h"
#include "live/live.h"
#include "preview/page.h"
#include "translate/envelope.h"

/* Longest body: a detail of the guest is clipped well before. */
#define BODY_MAX PREVIEW_PAGE_MAX
#define DETAIL_MAX 1024

enum shape {
    SHAPE_PLAIN,
    SHAPE_FACT,
    SHAPE_TOKEN,
    SHAPE_CONTROL,
    SHAPE_PATH,
    SHAPE_MEDIA,
    SHAPE_SCHEMA,
    SHAPE_COUNT
};

struct row {
    enum shape shape;
    unsigned short api, edge, unary, envd, code;
    unsigned short retry_s;
    const char *word;
    const char *text;
};

/* clang-format off */
static const struct row rows[] = {
#define ANSWER(name, shape, api, edge, unary, envd, code, word, retry, text) \
    [E_##name] = {SHAPE_##shape, api, edge, unary, envd, code, retry, word, \
                  text},
#include "gateway/answer.def"
#undef ANSWER
};

#define ANSWER(...) +1
enum {
    ROWS = 0
#include "gateway/answer.def"
};
#undef ANSWER
_Static_assert((int)ROWS == (int)E_COUNT,
               "answer.def has a row for each error");

static const char *link_code(enum err err)
{
    static const struct { enum err err; const char *code; } names[] = {
#define ANSWER(...)
#define ANSWER_LINK(name, code) {E_##name, code},
#include "gateway/answer.def"
#undef ANSWER_LINK
#undef ANSWER
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].err == err)
            return names[i].code;
    return NULL;
}

static const char *error_code(enum err err)
{
    static const struct { enum err err; const char *code; } names[] = {
#define ANSWER(...)
#define ANSWER_CODE(name, code) {E_##name, code},
#include "gateway/answer.def"
#undef ANSWER_CODE
#undef ANSWER
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].err == err)
            return names[i].code;
    return link_code(err);
}

/* The form of each shape in each dialect. */
static const enum answer_form forms[SHAPE_COUNT][DIALECT_COUNT] = {
    /*                  api       edge          unary         stream        envd          code          page        native        proxy */
    [SHAPE_PLAIN]   = {FORM_API, FORM_EDGE,    FORM_CONNECT, FORM_END,     FORM_ENVD,    FORM_TEXT,    FORM_PAGE,          FORM_NATIVE, FORM_TEXT},
    [SHAPE_FACT]    = {FORM_API, FORM_EDGE,    FORM_EDGE,    FORM_EDGE,    FORM_EDGE,    FORM_EDGE,    FORM_PAGE,          FORM_NATIVE, FORM_TEXT},
    [SHAPE_TOKEN]   = {FORM_API, FORM_ENVD,    FORM_ENVD,    FORM_ENVD,    FORM_ENVD,    FORM_ENVD,    FORM_PAGE,          FORM_NATIVE, FORM_TEXT},
    [SHAPE_CONTROL] = {FORM_API, FORM_CONTROL, FORM_CONTROL, FORM_CONTROL, FORM_CONTROL, FORM_CONTROL, FORM_CONTROL,       FORM_NATIVE, FORM_TEXT},
    [SHAPE_PATH]    = {FORM_API, FORM_EDGE,    FORM_ROUTER,  FORM_ROUTER,  FORM_ROUTER,  FORM_DETAIL,  FORM_PAGE,          FORM_NATIVE, FORM_TEXT},
    [SHAPE_MEDIA]   = {FORM_API, FORM_EDGE,    FORM_EMPTY,   FORM_EMPTY,   FORM_ENVD,    FORM_TEXT,    FORM_PAGE,          FORM_NATIVE, FORM_TEXT},
    [SHAPE_SCHEMA]  = {FORM_API, FORM_EDGE,    FORM_CONNECT, FORM_END,     FORM_ENVD,    FORM_SCHEMA,  FORM_PAGE,          FORM_NATIVE, FORM_TEXT},
};
/* clang-format on */

static int status_of(const struct row *row, enum dialect dialect,
                     enum answer_form form)
{
    if (form == FORM_END)
        return 200;
    if (form == FORM_EDGE || form == FORM_PAGE)
        return row->edge;
    switch (dialect) {
    case DIALECT_API:
    case DIALECT_NATIVE:
        return row->api;
    case DIALECT_UNARY:
    case DIALECT_STREAM:
        return row->unary;
    case DIALECT_ENVD:
        return row->envd;
    case DIALECT_CODE:
        return row->code;
    case DIALECT_EDGE:
    case DIALECT_PAGE:
    case DIALECT_PROXY:
    case DIALECT_COUNT:
        break;
    }
    return row->edge;
}

struct answer answer_find(enum err err, enum dialect dialect)
{
    const struct row *row = &rows[err];
    enum answer_form form = forms[row->shape][dialect];

    /* A method that is not served has no body, as the daemon's router has
     * it; the Allow field says which one is. */
    if (form == FORM_ROUTER && err == E_METHOD)
        form = FORM_EMPTY;
    return (struct answer){
        .status = status_of(row, dialect, form),
        .form = form,
        .word = row->word,
        .text = row->text,
        .retry_s = row->retry_s,
        .error_code = error_code(err),
    };
}

const char *answer_should_retry(int status, bool effect)
{
    if (status != 429 && status < 500)
        return NULL;
    /* Of the others no repeat would fare better. */
    if (status != 429 && status != 502 && status != 503 && status != 504)
        return "false";
    return effect ? "false" : "true";
}

/* ---- bodies ---- */

static void put_text(struct buf *b, const char *before, struct str text)
{
    buf_put(b, str_of(before));
    json_write_text(b, text, false, false);
}

static void put_edge(struct buf *b, const struct answer_request *r, int status,
                     struct str text)
{
    buf_byte(b, '{');
    if (r->sandbox_id.p) {
        put_text(b, "\"sandboxId\":", r->sandbox_id);
        buf_byte(b, ',');
    }
    put_text(b, "\"message\":", text);
    if (r->err == E_PORT_CLOSED)
        buf_text(b, ",\"port\":%u", r->port);
    buf_text(b, ",\"code\":%d", status);
    if (r->err == E_CROWDED)
        buf_text(b, ",\"connectionLimit\":%u", PASSENGERS_MAX);
    if (link_code(r->err))
        buf_text(b, ",\"error_code\":\"%s\"", link_code(r->err));
    buf_byte(b, '}');
}

static void put_page(struct buf *b, const struct answer_request *r, int status,
                     struct str text)
{
    struct preview_page page = {
        .err = r->err,
        .status = status,
        .text = text,
        .host = r->host,
        .port = r->port,
        .sandbox = r->sandbox_id,
        .request = r->id,
    };

    preview_page_put(&page, b);
}

static void put_api(struct buf *b, const struct answer_request *r,
                    const struct answer *cell, struct str text)
{
    struct str code =
        r->error_code.p ? r->error_code : str_of(cell->error_code);

    buf_text(b, "{\"code\":%d", cell->status);
    put_text(b, ",\"message\":", text);
    if (code.p)
        put_text(b, ",\"error_code\":", code);
    buf_byte(b, '}');
}

/* The sandbox server's codes, by status.  Source: mitos-sandbox-server.md
 * 1.2; its clients choose their exception by the code. */
static const struct native {
    int status; /* 0: every other one, from 500 on */
    const char *code;
    const char *remedy;
} natives[] = {
    {400, "invalid_json", "Compare the request with what this call takes."},
    {401, "unauthorized",
     "Send Authorization: Bearer with a key of this gateway."},
    {403, "forbidden", "Ask whoever runs this gateway."},
    {404, "not_found", "See what there is with GET /v1/sandboxes."},
    {405, "invalid_input", "Use a method that the Allow field names."},
    {409, "conflict", "Choose another id, or wait for the other call."},
    {413, "body_too_large", "Send less at once."},
    {422, "invalid_input", "Choose another Idempotency-Key."},
    {429, "rate_limited", "Wait and try again."},
    {501, "internal", "This gateway does not serve it."},
    {503, "unavailable", "Wait and try again."},
    {504, "unavailable", "Wait and try again."},
    {0, "internal", "If it happens again, look into the gateway's log."},
};

static const struct native *native_of(int status)
{
    static const struct native other = {0, "invalid_input",
                                        "Change the request."};
    const struct native *n = natives;

    while (n->status && n->status != status)
        n++;
    return n->status || status >= 500 ? n : &other;
}

static void put_native(struct buf *b, const struct answer_request *r,
                       const struct answer *cell)
{
    const struct native *n = native_of(cell->status);

    buf_text(b, "{\"error\":{\"code\":\"%s\"",
             r->err == E_SLOTS ? "too_many_streams" : n->code);
    put_text(b, ",\"message\":", str_of(cell->text));
    if (r->detail.p)
        put_text(b, ",\"cause\":",
                 r->detail.n > DETAIL_MAX ? str_from(r->detail.p, DETAIL_MAX)
                                          : r->detail);
    buf_text(b, ",\"remediation\":\"%s\"}}\n", n->remedy);
}

static void put_body(struct buf *b, const struct answer_request *r,
                     const struct answer *cell, struct str text)
{
    switch (cell->form) {
    case FORM_API:
        put_api(b, r, cell, text);
        break;
    case FORM_EDGE:
        put_edge(b, r, cell->status, text);
        break;
    case FORM_CONNECT:
        buf_text(b, "{\"code\":\"%s\"", cell->word);
        put_text(b, ",\"message\":", text);
        buf_byte(b, '}');
        break;
    case FORM_END:
        envelope_put_end(b, cell->word, text);
        break;
    case FORM_ENVD:
        buf_text(b, "{\"code\":%d", cell->status);
        put_text(b, ",\"message\":", text);
        buf_put(b, STR("}\n"));
        break;
    case FORM_CONTROL:
        put_text(b, "{\"message\":", text);
        put_text(b, ",\"path\":", r->path);
        buf_text(b, ",\"code\":%d}", cell->status);
        break;
    case FORM_TEXT:
        buf_put(b, text);
        break;
    case FORM_ROUTER:
        buf_put(b, STR("404 page not found\n"));
        break;
    case FORM_DETAIL:
        put_text(b, "{\"detail\":",
                 r->err == E_METHOD ? STR("Method Not Allowed")
                                    : STR("Not Found"));
        buf_byte(b, '}');
        break;
    case FORM_SCHEMA:
        put_text(b,
                 "{\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\"],"
                 "\"msg\":",
                 text);
        buf_put(b, STR("}]}"));
        break;
    case FORM_PAGE:
        put_page(b, r, cell->status, text);
        break;
    case FORM_NATIVE:
        put_native(b, r, cell);
        break;
    case FORM_EMPTY:
        break;
    }
}

static struct str type_of(enum answer_form form)
{
    switch (form) {
    case FORM_API:
    case FORM_CONNECT:
    case FORM_DETAIL:
    case FORM_SCHEMA:
    case FORM_NATIVE:
        return STR("application/json");
    case FORM_END:
        return STR("application/connect+json");
    case FORM_EDGE:
    case FORM_ENVD:
    case FORM_CONTROL:
        return STR("application/json; charset=utf-8");
    case FORM_TEXT:
    case FORM_ROUTER:
        return STR("text/plain; charset=utf-8");
    case FORM_PAGE:
        return STR("text/html; charset=utf-8");
    case FORM_EMPTY:
        break;
    }
    return STR_NONE;
}

/* ---- heads ---- */

/* A list of fields that remembers that one could not be added. */
struct adding {
    struct fields *fields;
    struct arena *arena;
    enum err err;
};

static void add(struct adding *to, struct str name, struct str value)
{
    if (value.p && to->err == E_OK)
        to->err = fields_add(to->fields, to->arena, name, value);
}

static void add_retry(struct adding *to, const struct answer_request *r,
                      const struct answer *cell)
{
    unsigned retry_s = r->retry_s ? r->retry_s : cell->retry_s;
    const char *should = NULL;

    if (r->dialect == DIALECT_API)
        should = answer_should_retry(cell->status, r->effect);
    add(to, STR("Should-Retry"), str_of(should));
    if (retry_s && cell->status >= 400 && !r->effect)
        add(to, STR("Retry-After"), arena_text(to->arena, "%u", retry_s));
}

static bool is_plain_answer(enum answer_form form)
{
    return form == FORM_ENVD || form == FORM_ROUTER;
}

/* A page stands at an address that may hold a token, on a host whose scripts
 * are not ours. */
static void add_page(struct adding *to)
{
    add(to, STR("Content-Security-Policy"), preview_page_policy());
    add(to, STR("X-Content-Type-Options"), STR("nosniff"));
    add(to, STR("Referrer-Policy"), STR("no-referrer"));
    add(to, STR("X-Robots-Tag"), STR("noindex"));
}

enum err answer_add_cors(struct fields *fields, struct arena *a,
                         enum op_class class, bool origin)
{
    struct adding to = {fields, a, E_OK};

    add(&to, STR("Access-Control-Allow-Origin"), STR("*"));
    if (origin && class == CLASS_API)
        add(&to, STR("Access-Control-Expose-Headers"),
            STR("X-Next-Token, X-Total-Running, RateLimit-Limit, "
                "RateLimit-Remaining, RateLimit-Reset, Retry-After, "
                "Should-Retry"));
    if (origin && class == CLASS_ENVD)
        add(&to, STR("Access-Control-Expose-Headers"),
            STR("Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, "
                "Location, Cache-Control, X-Content-Type-Options"));
    return to.err;
}

/* What is told when there is no memory to tell anything. */
static void say_nothing(struct answer_head *head, struct str *body)
{
    *head = (struct answer_head){.status = 503};
    *body = STR("{\"code\":503,\"message\":\"The gateway has no memory "
                "left\"}");
}

void answer_build(const struct answer_request *r, struct arena *a,
                  struct answer_head *head, struct str *body)
{
    struct answer cell = answer_find(r->err, r->dialect);
    struct str text = r->detail.p ? r->detail : str_of(cell.text);
    struct adding to = {&head->fields, a, E_OK};
    struct buf b;

    if (r->page && (cell.form == FORM_EDGE || cell.form == FORM_PAGE))
        cell.form = FORM_PAGE;
    if (text.n > DETAIL_MAX)
        text.n = DETAIL_MAX;
    *head = (struct answer_head){.status = cell.status};
    buf_init(&b, BODY_MAX);
    put_body(&b, r, &cell, text);
    *body = arena_copy(a, buf_str(&b));
    add(&to, STR("Content-Type"), type_of(cell.form));
    if (is_plain_answer(cell.form))
        add(&to, STR("X-Content-Type-Options"), STR("nosniff"));
    if (cell.form == FORM_PAGE)
        add_page(&to);
    if (cell.status >= 400)
        add(&to, STR("Cache-Control"), STR("no-store"));
    for (unsigned i = 0; r->back && i < r->back->count; i++)
        add(&to, r->back->at[i].name, r->back->at[i].value);
    add(&to, STR("Allow"), str_of(r->allow));
    if (r->cors)
        add(&to, STR("Access-Control-Allow-Origin"), STR("*"));
    add_retry(&to, r, &cell);
    if (to.err || !body->p || b.failed)
        say_nothing(head, body);
    buf_clear(&b);
}

/* ---- preflights ---- */

/* The method asked for is one that a browser may use. */
static bool may_be_asked(struct str method)
{
    for (int m = 0; m < METHOD_COUNT; m++)
        if (str_eq(method, method_text((enum method)m)))
            return true;
    return false;
}

static void preflight_envd(struct adding *to, struct str method,
                           struct str names, bool origin)
{
    if (origin && may_be_asked(method)) {
        add(to, STR("Access-Control-Allow-Headers"), names);
        add(to, STR("Access-Control-Allow-Methods"), method);
        add(to, STR("Access-Control-Allow-Origin"), STR("*"));
        add(to, STR("Access-Control-Max-Age"), STR("7200"));
    }
    add(to, STR("Vary"),
        STR("Origin, Access-Control-Request-Method, "
            "Access-Control-Request-Headers"));
}

static void preflight_api(struct adding *to)
{
    add(to, STR("Access-Control-Allow-Origin"), STR("*"));
    add(to, STR("Access-Control-Allow-Methods"),
        STR("GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD"));
    add(to, STR("Access-Control-Allow-Headers"),
        STR("content-type, authorization, x-api-key, x-team-id, user-agent, "
            "idempotency-key, browser, lang, lang_version, machine, os, "
            "package_version, processor, publisher, release, sdk_runtime, "
            "system"));
    add(to, STR("Access-Control-Max-Age"), STR("43200"));
}

static void preflight_code(struct adding *to, struct str names)
{
    add(to, STR("Content-Type"), STR("text/plain; charset=utf-8"));
    add(to, STR("Access-Control-Allow-Origin"), STR("*"));
    add(to, STR("Access-Control-Allow-Methods"),
        STR("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
    add(to, STR("Access-Control-Allow-Headers"), names);
    add(to, STR("Access-Control-Max-Age"), STR("600"));
    add(to, STR("Vary"), STR("Origin"));
}

void answer_preflight(const struct request_head *request, enum op_class class,
                      struct arena *a, struct answer_head *head,
                      struct str *body)
{
    const struct fields *f = &request->fields;
    struct str method = fields_get(f, STR("access-control-request-method"));
    struct str names = fields_get(f, STR("access-control-request-headers"));
    struct adding to = {&head->fields, a, E_OK};

    *head = (struct answer_head){.status = 204, .length = LENGTH_NONE};
    *body = STR_NONE;
    if (class == CLASS_CODE) {
        head->status = 200;
        *body = STR("OK");
        preflight_code(&to, names);
    } else if (class == CLASS_ENVD) {
        preflight_envd(&to, method, names, fields_get(f, STR("origin")).n > 0);
    } else {
        preflight_api(&to);
    }
    if (to.err)
        say_nothing(head, body);
}

/* ---- who asks ---- */

static bool contains(struct str text, struct str what)
{
    for (size_t i = 0; i + what.n <= text.n; i++)
        if (str_ieq(str_from(text.p + i, what.n), what))
            return true;
    return false;
}

static bool looks_like_browser(struct str agent)
{
    static const struct str names[] = {
        STR("mozilla"), STR("chrome"), STR("safari"), STR("firefox"),
        STR("edge"),    STR("opera"),  STR("msie"),
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (contains(agent, names[i]))
            return true;
    return false;
}

bool answer_for_browser(const struct fields *fields)
{
    struct str accept = fields_get(fields, STR("accept"));
    struct str mode = fields_get(fields, STR("sec-fetch-mode"));

    if (!looks_like_browser(fields_get(fields, STR("user-agent"))))
        return false;
    if (contains(accept, STR("application/json")) &&
        !contains(accept, STR("text/html")))
        return false;
    if (str_ieq(mode, STR("cors")) || str_ieq(mode, STR("no-cors")) ||
        str_ieq(mode, STR("same-origin")) || str_ieq(mode, STR("websocket")))
        return false;
    return !fields_get(fields, STR("x-requested-with")).p ||
           str_ieq(mode, STR("navigate"));
}

enum dialect answer_dialect(enum op_class class,
                            const struct request_head *head)
{
    struct str type;

    switch (class) {
    case CLASS_API:
        return DIALECT_API;
    case CLASS_CODE:
        return DIALECT_CODE;
    case CLASS_PORT:
    case CLASS_LINK:
        return DIALECT_EDGE;
    case CLASS_NATIVE:
        if (head->method != METHOD_POST ||
            !str_starts(head->path, STR("/sandbox.v1.Sandbox/")))
            return DIALECT_NATIVE;
        break;
    case CLASS_ENVD:
        if (!str_starts(head->path, STR("/process.Process/")) &&
            !str_starts(head->path, STR("/filesystem.Filesystem/")))
            return DIALECT_ENVD;
        break;
    }
    type = fields_get(&head->fields, STR("content-type"));
    return contains(type, STR("application/connect+")) ? DIALECT_STREAM
                                                       : DIALECT_UNARY;
}
