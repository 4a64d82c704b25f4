/* files.c - see files.h. */
#include "translate/files.h"

#include <stdarg.h>

#include "base/json.h"
#include "translate/fault.h"
#include "translate/path.h"
#include "translate/proto.h"
#include "translate/query.h"

#define TEXT_MAX 8192

void files_fail(struct op *op, struct want *w, enum err err, const char *format,
                ...)
{
    char *text = arena_alloc(op->arena, TEXT_MAX);
    va_list args;
    int n;

    if (!text) {
        want_fail(w, E_NOMEM, STR_NONE);
        return;
    }
    va_start(args, format);
    n = vsnprintf(text, TEXT_MAX, format, args);
    va_end(args);
    if (n < 0)
        n = 0;
    want_fail(w, err, str_from(text, n < TEXT_MAX ? (size_t)n : TEXT_MAX - 1));
}

void files_say_text(struct op *op, struct want *w, int status, struct str text)
{
    struct fields fields = {0};

    if (fields_add(&fields, op->arena, STR("Content-Type"),
                   STR("text/plain; charset=utf-8")) ||
        fields_add(&fields, op->arena, STR("X-Content-Type-Options"),
                   STR("nosniff")))
        want_fail(w, E_NOMEM, STR_NONE);
    else
        want_answer(op, w, status, &fields, text);
}

static bool once(struct op *op, const char *name, struct str *out,
                 struct want *w)
{
    bool twice;

    *out = query_value(op->in.head->query, str_of(name), op->arena, &twice);
    if (twice)
        files_say_text(op, w, 400,
                       arena_text(op->arena,
                                  "Invalid format for parameter %s: multiple "
                                  "values for single value parameter '%s'\n",
                                  name, name));
    return !twice;
}

bool files_target(struct op *op, struct files_target *out, struct want *w)
{
    const struct conf_template *t = proto_template(op);
    struct str user;

    out->user = t && t->user.n ? t->user : STR("user");
    out->workdir = t ? t->workdir : STR("");
    if (!once(op, "path", &out->path, w) || !once(op, "username", &user, w))
        return false;
    if (user.p && user.n == 0) {
        want_fail(w, E_UNAUTHENTICATED,
                  STR("error looking up user '': user: unknown user "));
        return false;
    }
    if (user.p)
        out->user = user;
    return true;
}

struct str files_expand(struct op *op, const struct files_target *t,
                        struct str path, struct want *w)
{
    struct str fault;
    struct str out = path_expand(path, t->workdir, t->user, op->arena, &fault);

    if (!out.p && fault.p)
        files_fail(op, w, E_BAD_REQUEST,
                   "error expanding and resolving path '%.*s': %.*s",
                   STR_FMT(path), STR_FMT(fault));
    else if (!out.p)
        want_fail(w, E_NOMEM, STR_NONE);
    return out;
}

bool files_read(struct op *op, const struct op_event *event,
                const struct files_target *t, struct guest_answer *out,
                struct want *w)
{
    if (guest_read(op, event, out, w))
        return true;
    if (w->err == E_UNAUTHENTICATED)
        files_fail(op, w, E_UNAUTHENTICATED,
                   "error looking up user '%.*s': user: unknown user %.*s",
                   STR_FMT(t->user), STR_FMT(t->user));
    return false;
}

bool files_frame(unsigned flags, struct str payload, struct files_frame *out)
{
    size_t at;
    json_t *json;

    *out = (struct files_frame){.err = E_OK};
    if (flags & ENVELOPE_END) {
        const json_t *error;

        out->end = true;
        if (json_read(payload, &json_limits_api, &json) != E_OK)
            return false;
        error = json_member(json, "error");
        if (error)
            out->err = fault_classify(json_str(error, "code"),
                                      json_str(error, "message"));
        json_decref(json);
        return true;
    }
    /* Data frames are the many: {"data":"<base64>","eof":true}, blanks
     * anywhere; base64 has no quotes, so the text ends at the next one. */
    at = str_find_str(payload, STR("\"data\""));
    if (at == payload.n)
        return payload.n >= 2 && payload.p[0] == '{';
    payload = str_trim(str_after(payload, at + 6));
    if (payload.n == 0 || payload.p[0] != ':')
        return false;
    payload = str_trim(str_after(payload, 1));
    if (payload.n == 0 || payload.p[0] != '"')
        return false;
    payload = str_after(payload, 1);
    at = str_find(payload, '"');
    out->data = str_from(payload.p, at);
    return at < payload.n;
}
