/* list.c - GET /sandboxes and GET /v2/sandboxes: the team's sandboxes, the
 * newest first, page by page. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "translate/api.h"
#include "translate/moment.h"
#include "translate/ops.h"
#include "translate/query.h"
#include "translate/record.h"

#define LIMIT_MAX 100
#define TOKEN_MAX 256
#define LIST_MAX (256 << 20)

/* What was asked. */
struct list_request {
    bool running;        /* states: running ones */
    bool ascending;      /* oldest first */
    unsigned limit;      /* 0: no pages (v1) */
    int64_t after_ms;    /* started then or later */
    struct str template; /* an id or a name; absent: every one */
    struct query pairs;  /* of metadata: all must be there */
    bool turned;         /* a page that begins behind the cursor */
    int64_t cursor_ms;
    struct str cursor_id;
};

/* ---- what is asked ---- */

static bool read_states(struct op *op, const struct query *q,
                        struct list_request *r, struct want *w)
{
    bool given = false;

    for (unsigned i = 0; i < q->count; i++) {
        struct str rest = q->at[i].value;

        if (!str_eq(q->at[i].name, STR("state")))
            continue;
        while (rest.p) {
            struct str state = str_trim(str_cut(&rest, ','));

            if (state.n == 0)
                continue;
            given = true;
            if (str_eq(state, STR("running"))) {
                r->running = true;
            } else if (!str_eq(state, STR("paused"))) {
                api_fail_field(op, w, "state", "must be running or paused");
                return false;
            }
        }
    }
    r->running = r->running || !given;
    return true;
}

static bool read_limit(struct op *op, const struct query *q,
                       struct list_request *r, struct want *w)
{
    struct str text = query_get(q, STR("limit"));
    uint64_t limit = LIMIT_MAX;

    if (text.n && (!str_u64(text, LIMIT_MAX, &limit) || limit == 0)) {
        api_fail_field(op, w, "limit", "must be a number from 1 to 100");
        return false;
    }
    r->limit = (unsigned)limit;
    return true;
}

static bool read_order(struct op *op, const struct query *q,
                       struct list_request *r, struct want *w)
{
    struct str text = query_get(q, STR("order"));

    r->ascending = str_eq(text, STR("asc"));
    if (text.n == 0 || r->ascending || str_eq(text, STR("desc")))
        return true;
    api_fail_field(op, w, "order", "must be asc or desc");
    return false;
}

static bool read_after(struct op *op, const struct query *q,
                       struct list_request *r, struct want *w)
{
    struct str text = query_get(q, STR("startedAfter"));
    bool exact = true;

    if (text.n && !moment_read(text, &r->after_ms, &exact)) {
        api_fail_field(op, w, "startedAfter",
                       "must be a date and time as in RFC 3339");
        return false;
    }
    r->after_ms += !exact; /* a start at the millisecond before is sooner */
    return true;
}

static bool read_template(struct op *op, const struct query *q,
                          struct list_request *r, struct want *w)
{
    struct str text = query_get(q, STR("template"));

    if (text.n)
        r->template = text;
    if (str_find(text, ':') == text.n)
        return true;
    api_fail_field(op, w, "template", "must be an id or a name without a tag");
    return false;
}

static bool read_metadata(struct op *op, const struct query *q,
                          struct list_request *r, struct want *w)
{
    if (query_read_metadata(query_get(q, STR("metadata")), op->arena,
                            &r->pairs))
        return true;
    api_fail_field(op, w, "metadata", "is not a list of encoded pairs");
    return false;
}

/* ---- pages ---- */

/* The token for the page behind s: base64url of "<start>__<id>[__asc]".
 * Source: e2b-control-plane.md 8.3 */
static struct str make_token(struct op *op, const struct sandbox *s,
                             bool ascending)
{
    char start[25];
    struct buf plain, token;
    struct str out = STR_NONE;

    clock_text(s->started_ms, start);
    buf_init(&plain, TOKEN_MAX);
    buf_init(&token, 2 * TOKEN_MAX);
    buf_text(&plain, "%s__%.*s%s", start, STR_FMT(s->id),
             ascending ? "__asc" : "");
    encode_base64url(&token, buf_str(&plain));
    if (!plain.failed && !token.failed)
        out = arena_copy(op->arena, buf_str(&token));
    buf_clear(&plain);
    buf_clear(&token);
    return out;
}

static bool parse_token(struct str plain, struct arena *a,
                        struct list_request *r)
{
    size_t at = str_find_str(plain, STR("__"));
    struct str id = str_after(plain, at + 2);
    bool exact, ascending = str_ends(id, STR("__asc"));

    if (ascending)
        id.n -= strlen("__asc");
    r->turned = true;
    r->cursor_id = arena_copy(a, id);
    return ascending == r->ascending && sandbox_id_ok(id) &&
           moment_read(str_from(plain.p, at), &r->cursor_ms, &exact) && exact &&
           r->cursor_id.p;
}

static bool read_token(struct op *op, const struct query *q,
                       struct list_request *r, struct want *w)
{
    struct str text = query_get(q, STR("nextToken"));
    struct buf plain;
    bool ok;

    if (text.n == 0)
        return true;
    buf_init(&plain, TOKEN_MAX);
    ok = decode_base64url(&plain, text) && !plain.failed &&
         parse_token(buf_str(&plain), op->arena, r);
    buf_clear(&plain);
    if (!ok)
        want_fail(w, E_BAD_FIELD, STR("Invalid next token"));
    return ok;
}

/* ---- what there is ---- */

/* Are all pairs in the sandbox's metadata?  Errors: E_NOMEM. */
MUST_USE static enum err has_pairs(const struct sandbox *s,
                                   const struct query *pairs, bool *has)
{
    json_t *metadata = NULL;
    enum err err = E_OK;

    *has = true;
    if (pairs->count > 0)
        err = json_read(s->metadata, &json_limits_rpc, &metadata);
    for (unsigned i = 0; i < pairs->count && *has; i++) {
        const json_t *value = json_object_get(metadata, pairs->at[i].name.p);

        *has =
            json_is_string(value) && str_eq(str_from(json_string_value(value),
                                                     json_string_length(value)),
                                            pairs->at[i].value);
    }
    json_decref(metadata);
    return err == E_NOMEM ? err : E_OK;
}

static bool has_template(const struct sandbox *s, struct str name,
                         const struct conf *conf)
{
    const struct conf_template *t;

    if (!name.p || str_eq(s->template_id, name))
        return true;
    t = conf_template(conf, name);
    return t && str_eq(s->template_id, t->id);
}

/* Is it one of those that were asked for?  Errors: E_NOMEM. */
MUST_USE static enum err is_asked(const struct sandbox *s,
                                  const struct list_request *r,
                                  const struct conf *conf, bool *asked)
{
    *asked = s->state == SANDBOX_RUNNING && !s->native && r->running &&
             s->started_ms >= r->after_ms && has_template(s, r->template, conf);
    return *asked ? has_pairs(s, &r->pairs, asked) : E_OK;
}

/* Oldest first; of the same millisecond by id. */
static int compare(int64_t a_ms, struct str a_id, int64_t b_ms, struct str b_id)
{
    size_t n = a_id.n < b_id.n ? a_id.n : b_id.n;
    int order = memcmp(a_id.p, b_id.p, n);

    if (a_ms != b_ms)
        return a_ms < b_ms ? -1 : 1;
    return order ? order : (a_id.n > b_id.n) - (a_id.n < b_id.n);
}

static int compare_sandboxes(const void *a, const void *b)
{
    const struct sandbox *const *one = a, *const *two = b;

    return compare((*one)->started_ms, (*one)->id, (*two)->started_ms,
                   (*two)->id);
}

/* Does s stand on an earlier page? */
static bool is_past(const struct sandbox *s, const struct list_request *r)
{
    int order = r->turned
                    ? compare(s->started_ms, s->id, r->cursor_ms, r->cursor_id)
                    : 0;

    if (!r->turned)
        return false;
    return r->ascending ? order <= 0 : order >= 0;
}

/* ---- the answer ---- */

/* Rows of rows[count], in the order asked, as a JSON array; *last is the last
 * row written when more follow, else NULL. */
static void put_page(struct buf *b, const struct sandbox **rows, unsigned count,
                     const struct list_request *r, const struct conf *conf,
                     const struct sandbox **last)
{
    unsigned written = 0;

    *last = NULL;
    buf_byte(b, '[');
    for (unsigned i = 0; i < count; i++) {
        const struct sandbox *s = rows[r->ascending ? i : count - 1 - i];

        if (is_past(s, r))
            continue;
        if (r->limit && written == r->limit)
            break;
        if (written++)
            buf_byte(b, ',');
        record_put_listed(b, s, conf);
        *last = s;
        if (i + 1 == count)
            *last = NULL;
    }
    buf_byte(b, ']');
}

MUST_USE static enum err put_fields(struct op *op, const struct list_request *r,
                                    unsigned total, const struct sandbox *last,
                                    struct fields *fields)
{
    struct str number = arena_text(op->arena, "%u", total);
    struct str token = last ? make_token(op, last, r->ascending) : STR_NONE;
    enum err err = fields_add(fields, op->arena, STR("Content-Type"),
                              STR("application/json"));

    if (r->limit == 0)
        return err;
    if (!number.p || (last && !token.p))
        return E_NOMEM;
    if (err == E_OK && r->running)
        err = fields_add(fields, op->arena, STR("X-Total-Running"), number);
    if (err == E_OK && last)
        err = fields_add(fields, op->arena, STR("X-Next-Token"), token);
    return err;
}

/* Those that were asked for, oldest first, in the scratch arena. */
MUST_USE static enum err select_rows(struct op *op,
                                     const struct op_result *result,
                                     const struct sandbox ***rows,
                                     unsigned *count)
{
    const struct sandbox **kept =
        arena_alloc(op->scratch, (result->count + 1) * sizeof(*kept));
    enum err err = kept ? E_OK : E_NOMEM;
    bool asked;

    *rows = kept;
    *count = 0;
    for (unsigned i = 0; i < result->count && err == E_OK; i++) {
        err = is_asked(result->list[i], op->state, op->in.conf, &asked);
        if (err == E_OK && asked)
            kept[(*count)++] = result->list[i];
    }
    if (err == E_OK)
        qsort(kept, *count, sizeof(*kept), compare_sandboxes);
    return err;
}

static void answer(struct op *op, const struct op_result *result,
                   struct want *want)
{
    const struct list_request *r = op->state;
    const struct sandbox **rows, *last;
    struct fields fields = {0};
    struct str body;
    unsigned count;
    struct buf b;
    enum err err = select_rows(op, result, &rows, &count);

    if (err != E_OK) {
        want_fail(want, err, STR_NONE);
        return;
    }
    buf_init(&b, LIST_MAX);
    put_page(&b, rows, count, r, op->in.conf, &last);
    body = b.failed ? STR_NONE : arena_copy(op->scratch, buf_str(&b));
    buf_clear(&b);
    err = put_fields(op, r, count, last, &fields);
    if (err != E_OK || !body.p)
        want_fail(want, E_NOMEM, STR_NONE);
    else
        want_answer(op, want, 200, &fields, body);
}

static void begin(struct op *op, struct want *want)
{
    struct list_request *r = arena_new_zero(op->arena, sizeof(*r));
    struct query *q = arena_alloc(op->arena, sizeof(*q));
    bool ok;

    op->state = r;
    if (!r || !q) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    if (!query_read(op->in.head->query, op->arena, q)) {
        want_fail(want, E_BAD_REQUEST, STR("the query is malformed"));
        return;
    }
    r->running = op->row->variant == 1;
    ok = read_metadata(op, q, r, want);
    if (ok && op->row->variant == 2)
        ok = read_states(op, q, r, want) && read_limit(op, q, r, want) &&
             read_order(op, q, r, want) && read_after(op, q, r, want) &&
             read_template(op, q, r, want) && read_token(op, q, r, want);
    if (ok)
        want->kind = WANT_RECORDS;
}

void list_hear(struct op *op, const struct op_event *event, struct want *want)
{
    if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->err != E_OK)
        want_fail(want, event->err, STR_NONE);
    else
        answer(op, event->result, want);
}
