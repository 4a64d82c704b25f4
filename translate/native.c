/* native.c - see native.h. */
#include "translate/native.h"

#include "base/json.h"

/* ---- reading ---- */

static const char *read_text(const json_t *value, struct arena *a,
                             struct str *out, const char *wrong)
{
    if (!json_is_string(value))
        return wrong;
    *out = arena_copy(
        a, str_from(json_string_value(value), json_string_length(value)));
    return out->p ? NULL : "no memory";
}

static const char *read_number(const json_t *value, int64_t *out,
                               const char *wrong)
{
    if (!json_is_integer(value))
        return wrong;
    *out = json_integer_value(value);
    return NULL;
}

/* Does a value ask for nothing: [] or {}? */
static bool is_nothing(const json_t *value)
{
    return (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static void read_asks(const char *name, const json_t *value,
                      struct native_body *out)
{
    static const char *const names[] = {"network", "workload", "resources"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_ieq(str_of(name), str_of(names[i])))
            out->asks = is_nothing(value) ? NULL : names[i];
}

static const char *read_member(const char *key, const json_t *value,
                               struct arena *a, struct native_body *out)
{
    struct str name = str_of(key);

    if (json_is_null(value))
        return NULL;
    if (str_ieq(name, STR("id")))
        return read_text(value, a, &out->id, "id must be a string");
    if (str_ieq(name, STR("template")))
        return read_text(value, a, &out->template, "template must be a string");
    if (str_ieq(name, STR("sandbox")))
        return read_text(value, a, &out->sandbox, "sandbox must be a string");
    if (str_ieq(name, STR("timeout_seconds")))
        return read_number(value, &out->timeout_s,
                           "timeout_seconds must be a whole number");
    if (str_ieq(name, STR("port")))
        return read_number(value, &out->port, "port must be a whole number");
    if (str_ieq(name, STR("pause_source"))) {
        out->pause_source = json_is_true(value);
        return json_is_boolean(value) ? NULL
                                      : "pause_source must be true or false";
    }
    read_asks(key, value, out);
    return NULL;
}

const char *native_read(struct str text, struct arena *a,
                        struct native_body *out)
{
    const char *wrong = NULL, *key;
    json_t *body, *value;

    *out = (struct native_body){0};
    if (json_read_first(text, &json_limits_api, &body) != E_OK)
        return "invalid json";
    if (!json_is_object(body) && !json_is_null(body))
        wrong = "the body must be an object";
    json_object_foreach(body, key, value) if (!wrong) wrong =
        read_member(key, value, a, out);
    json_decref(body);
    return wrong;
}

/* ---- answering ---- */

void native_fail(struct want *w, const char *why)
{
    want_fail(w, E_BAD_FIELD, str_of(why));
}

void native_fail_unknown(struct op *op, struct want *w, struct str id)
{
    want_fail(w, E_SANDBOX_GONE,
              arena_text(op->arena, "sandbox \"%.*s\" not found", STR_FMT(id)));
}

void native_put(struct buf *b, const char *before, struct str text)
{
    buf_put(b, str_of(before));
    json_write_text(b, text, false, true);
}

void native_answer(struct op *op, struct want *w, int status, struct buf *b)
{
    struct str body;

    buf_byte(b, '\n');
    body = arena_copy(op->scratch, buf_str(b));
    if (b->failed || !body.p)
        want_fail(w, E_NOMEM, STR_NONE);
    else
        want_json(op, w, status, body);
    buf_clear(b);
}

enum err native_pick(struct op *op, const struct fields *from,
                     const struct str *names, size_t count, struct fields *out)
{
    enum err err = E_OK;

    for (size_t i = 0; i < count && err == E_OK; i++) {
        struct str value = fields_get(from, names[i]);

        if (value.p)
            err = fields_add(out, op->arena, names[i],
                             arena_copy(op->arena, value));
    }
    return err;
}
