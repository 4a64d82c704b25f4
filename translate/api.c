/* api.c - see api.h. */
#include "translate/api.h"

#include "base/json.h"
#include "translate/media.h"
#include "translate/ops.h"

void api_health_hear(struct op *op, const struct op_event *event,
                     struct want *want)
{
    struct fields fields = {0};

    (void)event;
    if (fields_add(&fields, op->arena, STR("Content-Type"),
                   STR("text/plain; charset=utf-8")) != E_OK)
        want_fail(want, E_NOMEM, STR_NONE);
    else
        want_answer(op, want, 200, &fields, STR("OK\n"));
}

const struct sandbox *api_sandbox(const struct op *op)
{
    const struct sandbox *s = op->in.sandbox;

    return s && s->state == SANDBOX_RUNNING ? s : NULL;
}

void api_fail_sandbox(struct op *op, struct want *w, enum err err)
{
    /* Source: e2b-control-plane.md 5.1 */
    want_fail(w, err,
              err != E_SANDBOX_GONE
                  ? STR_NONE
                  : arena_text(op->arena,
                               "Sandbox \"%.*s\" doesn't exist or you don't "
                               "have access to it",
                               STR_FMT(op->in.params[0])));
}

void api_fail_create(struct op *op, const struct op_event *event,
                     struct want *w)
{
    struct conf_team may = conf_team(op->in.conf, op->in.identity.team);
    struct str text = STR_NONE;

    /* Source: e2b-control-plane.md 5.5: it names the limit. */
    if (event->err == E_TEAM_FULL)
        text = arena_text(op->arena,
                          "The team has as many sandboxes as it may have at a "
                          "time: %lld",
                          (long long)may.sandboxes);
    else if (event->err == E_TEAM_FAST)
        text = arena_text(op->arena,
                          "The team has made as many sandboxes as it may in a "
                          "minute: %lld",
                          (long long)may.creates);
    want_fail(w, event->err, text);
    w->retry_s = event->result ? event->result->retry_s : 0;
}

/* ---- the body ---- */

void api_want_body(struct op *op, struct want *w)
{
    const struct fields *fields = &op->in.head->fields;
    struct str type = fields_get(fields, STR("Content-Type"));

    if (op->in.head->length != 0 && !media_is_identity(fields))
        want_fail(w, E_MEDIA_TYPE,
                  STR("Content-Encoding must be absent or identity"));
    else if (op->in.head->length != 0 && type.p &&
             (!media_is(type, STR("application/json")) ||
              fields_count(fields, STR("Content-Type")) > 1))
        want_fail(w, E_MEDIA_TYPE,
                  STR("Content-Type must be application/json in utf-8"));
    else
        w->kind = WANT_BODY;
}

json_t *api_read_body(struct op *op, struct str body, bool optional,
                      struct want *w)
{
    struct json_limits limits = json_limits_api;
    json_t *json = NULL;
    enum err err;

    if (op->in.conf->api_body_max_bytes > 0)
        limits.max_bytes = (size_t)op->in.conf->api_body_max_bytes;
    if (body.n == 0 && optional)
        body = STR("{}");
    err = json_read(body, &limits, &json);
    if (err == E_OK && json_is_object(json))
        return json;
    json_decref(json);
    if (body.n == 0)
        want_fail(w, E_BAD_JSON, STR("a JSON object is required as the body"));
    else
        want_fail(w, err == E_OK ? E_BAD_JSON : err,
                  err == E_OK ? STR("the body must be a JSON object")
                              : STR_NONE);
    return NULL;
}

/* ---- its fields ---- */

void api_fail_field(struct op *op, struct want *w, const char *field,
                    const char *what)
{
    want_fail(w, E_BAD_FIELD,
              arena_text(op->arena, "validation error: %s: %s", field, what));
}

void api_fail_promise(struct op *op, struct want *w, const char *field)
{
    want_fail(w, E_NOT_KEPT,
              arena_text(op->arena,
                         "%s: what this asks for is not supported by this "
                         "server",
                         field));
}

/* Over the most: in hours when it is whole ones, as E2B says it. */
static struct str too_long(struct op *op, const char *name, int64_t most)
{
    if (most % 3600 != 0 || strcmp(name, "timeout") != 0)
        return arena_text(op->arena,
                          "validation error: %s: must not be greater than "
                          "%lld",
                          name, (long long)most);
    return arena_text(op->arena, "Timeout cannot be greater than %lld hours",
                      (long long)(most / 3600));
}

bool api_read_seconds(struct op *op, const json_t *body,
                      const struct api_seconds *member, int64_t *out,
                      struct want *w)
{
    const json_t *value = json_member(body, member->name);
    int64_t most = member->most ? member->most : op->in.conf->timeout_max_s;

    *out = member->fallback;
    if (!value && member->fallback >= 0)
        return true;
    if (!json_is_integer(value)) {
        api_fail_field(op, w, member->name,
                       value ? "must be a whole number of seconds"
                             : "is required");
        return false;
    }
    *out = json_integer_value(value);
    if (*out >= member->least && *out <= most)
        return true;
    if (*out > most)
        want_fail(w, E_BAD_FIELD, too_long(op, member->name, most));
    else
        api_fail_field(op, w, member->name,
                       member->least > 0 ? "must be greater than 0"
                                         : "must not be negative");
    return false;
}

bool api_read_bool(struct op *op, const json_t *body, const char *name,
                   bool fallback, bool *out, struct want *w)
{
    const json_t *value = json_member(body, name);

    *out = value ? json_is_true(value) : fallback;
    if (!value || json_is_boolean(value))
        return true;
    api_fail_field(op, w, name, "must be true or false");
    return false;
}

bool api_keep_bool(struct op *op, const json_t *body, const char *name,
                   bool kept, struct want *w)
{
    bool value;

    if (!api_read_bool(op, body, name, kept, &value, w))
        return false;
    if (value == kept)
        return true;
    api_fail_promise(op, w, name);
    return false;
}

void api_leave(struct want *w)
{
    want_fail(w, E_GONE_CLIENT, STR_NONE);
}
