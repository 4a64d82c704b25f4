/* create.c - POST /sandboxes, v1 and v2: a new sandbox.
 *
 * What is promised is kept: a field that asks for what cannot be done is an
 * error that names it, never an answer that forgets it. */
#include <sodium.h>

#include "base/json.h"
#include "translate/api.h"
#include "translate/network.h"
#include "translate/ops.h"
#include "translate/record.h"

#define SANDBOX_MAX (64 << 10)
#define KEY_MAX 255 /* e2b-control-plane.md 3.5 */

struct create {
    struct str key; /* Idempotency-Key; absent if none */
};

/* ---- the head ---- */

/* ^[a-z0-9-]{1,255}$ */
static bool is_key(struct str key)
{
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return key.n >= 1 && key.n <= KEY_MAX;
}

static void begin(struct op *op, struct want *want)
{
    const struct fields *fields = &op->in.head->fields;
    struct create *c = arena_new_zero(op->arena, sizeof(*c));

    op->state = c;
    if (!c) {
        want_fail(want, E_NOMEM, STR_NONE);
        return;
    }
    c->key = fields_get(fields, STR("Idempotency-Key"));
    if (c->key.p &&
        (!is_key(c->key) || fields_count(fields, STR("Idempotency-Key")) > 1))
        api_fail_field(op, want, "Idempotency-Key",
                       "must be 1 to 255 characters of a-z, 0-9 and -");
    else
        api_want_body(op, want);
}

/* ---- the promises ---- */

/* Does a value ask for nothing: null, [], {}? */
static bool is_nothing(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static bool keep_auto_resume(struct op *op, const json_t *body, struct want *w)
{
    const json_t *resume = json_member(body, "autoResume");
    const json_t *enabled = json_member(resume, "enabled");

    if (resume && !json_is_object(resume)) {
        api_fail_field(op, w, "autoResume", "must be an object");
        return false;
    }
    if (resume && !json_is_boolean(enabled)) {
        api_fail_field(op, w, "autoResume.enabled", "must be true or false");
        return false;
    }
    if (!json_is_true(enabled))
        return true;
    api_fail_promise(op, w, "autoResume.enabled");
    return false;
}

/* Identities of other services; {"tokens":{}} asks for none. */
static bool keep_iam(struct op *op, const json_t *body, struct want *w)
{
    json_t *iam = json_member(body, "iam");

    if (iam && !json_is_object(iam)) {
        api_fail_field(op, w, "iam", "must be an object");
        return false;
    }
    for (void *at = json_object_iter(iam); at;
         at = json_object_iter_next(iam, at))
        if (!is_nothing(json_object_iter_value(at))) {
            api_fail_promise(op, w, "iam");
            return false;
        }
    return true;
}

static bool keep_volumes(struct op *op, const json_t *body, struct want *w)
{
    const json_t *mounts = json_member(body, "volumeMounts");

    if (mounts && !json_is_array(mounts))
        api_fail_field(op, w, "volumeMounts", "must be an array");
    else if (json_array_size(mounts) > 0)
        api_fail_promise(op, w, "volumeMounts");
    else
        return true;
    return false;
}

static bool keep_internet(struct op *op, const json_t *body,
                          const struct conf_template *t, struct want *w)
{
    const struct conf_backend *backend = conf_backend(op->in.conf, t->backend);
    bool allowed;

    if (!api_read_bool(op, body, "allow_internet_access", true, &allowed, w))
        return false;
    if (allowed || (backend && !backend->egress))
        return true;
    api_fail_promise(op, w, "allow_internet_access");
    return false;
}

static bool keep_promises(struct op *op, const json_t *body,
                          const struct conf_template *t, struct want *w)
{
    const json_t *mcp = json_member(body, "mcp");

    if (mcp && !json_is_object(mcp)) {
        api_fail_field(op, w, "mcp", "must be an object");
        return false;
    }
    return api_keep_bool(op, body, "autoPause", false, w) &&
           api_keep_bool(op, body, "autoPauseMemory", true, w) &&
           keep_auto_resume(op, body, w) && keep_iam(op, body, w) &&
           keep_volumes(op, body, w) && keep_internet(op, body, t, w);
}

/* The back end's HTTP proxy speaks no TLS into a sandbox; a forward carries
 * ours. */
static bool keep_https(struct op *op, const struct conf_template *t,
                       struct want *w)
{
    const struct conf_backend *backend = conf_backend(op->in.conf, t->backend);

    if (!w->job.https_ports.n || (backend && backend->ports == PORTS_FORWARD))
        return true;
    api_fail_promise(op, w, "network.httpsPorts");
    return false;
}

/* ---- the fields ---- */

/* One element of a template's name: ^[a-z0-9_-]+$, and dots in a tag. */
static bool is_word(struct str word, bool dots)
{
    for (size_t i = 0; i < word.n; i++) {
        char c = word.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
            c != '-' && !(dots && c == '.'))
            return false;
    }
    return word.n > 0;
}

/* ([a-z0-9_-]+/)?[a-z0-9_-]+(:[a-z0-9_.-]+)?  Source: threats.md L-06 */
static bool is_reference(struct str name)
{
    struct str tag = name;
    struct str alias = str_cut(&tag, ':');
    struct str rest = alias;
    struct str space = str_cut(&rest, '/');

    if (tag.p && !is_word(tag, true))
        return false;
    return is_word(space, false) && (!rest.p || is_word(rest, false));
}

/* Names are lower-cased.  Source: e2b-control-plane.md 10.1 */
static struct str lower(struct op *op, struct str s)
{
    struct str copy = arena_copy(op->arena, s);
    char *p = (char *)(uintptr_t)copy.p;

    for (size_t i = 0; i < copy.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] - 'A' + 'a');
    return copy;
}

static const struct conf_template *
read_template(struct op *op, const json_t *body, struct want *want)
{
    const json_t *value = json_member(body, "templateID");
    struct str name = json_str(body, "templateID");
    const struct conf_template *t;

    if (!json_is_string(value)) {
        api_fail_field(op, want, "templateID",
                       value ? "must be a string" : "is required");
        return NULL;
    }
    name = lower(op, name);
    if (!is_reference(name)) {
        api_fail_field(op, want, "templateID", "is not a template's name");
        return NULL;
    }
    t = conf_template(op->in.conf, name);
    if (!t && str_ends(name, STR(":default"))) {
        name.n -= strlen(":default");
        t = conf_template(op->in.conf, name);
    }
    if (!t) {
        want_fail(
            want, E_TEMPLATE_UNKNOWN,
            arena_text(op->arena, "template '%.*s' not found", STR_FMT(name)));
        return NULL;
    }
    want->job.template = t;
    want->job.alias = name;
    if (str_eq(name, t->id))
        want->job.alias = t->name_count ? t->names[0] : STR("");
    return t;
}

/* Can it be a variable's name? */
static bool is_variable(const char *name)
{
    for (const char *p = name; *p; p++)
        if (*p == '=' || (unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return name[0] != '\0';
}

/* What is wrong with a map of strings, whose null values are taken out; NULL
 * if nothing.  variables: its names must be fit for an environment. */
static const char *judge_map(json_t *map, bool variables)
{
    const char *key;
    json_t *value;
    void *next;

    if (map && !json_is_object(map))
        return "must be an object of strings";
    json_object_foreach_safe(map, next, key, value)
    {
        if (variables && !is_variable(key))
            return "a name is empty or has '=' or a control character";
        if (json_is_null(value))
            json_object_del(map, key);
        else if (!json_is_string(value))
            return "values must be strings";
    }
    return NULL;
}

/* Such a map as JSON text. */
static bool read_map(struct op *op, const json_t *body, const char *name,
                     bool variables, struct str *out, struct want *w)
{
    json_t *map = json_member(body, name);
    const char *wrong = judge_map(map, variables);
    struct buf b;

    if (wrong) {
        api_fail_field(op, w, name, wrong);
        return false;
    }
    buf_init(&b, json_limits_rpc.max_bytes);
    if (map)
        json_write(&b, map);
    else
        buf_put(&b, STR("{}"));
    *out = b.failed ? STR_NONE : arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    if (!out->p)
        want_fail(w, E_NOMEM, STR_NONE);
    return out->p != NULL;
}

/* Same key, same body: the same sandbox. */
static void hash_request(const struct op *op, struct str text,
                         unsigned char out[32])
{
    crypto_generichash_state state;
    unsigned char version = (unsigned char)op->row->variant;

    crypto_generichash_init(&state, NULL, 0, 32);
    crypto_generichash_update(&state, &version, 1);
    crypto_generichash_update(&state, (const unsigned char *)text.p, text.n);
    crypto_generichash_final(&state, out, 32);
}

/* v1 sandboxes are secure when asked; those of v2 always. */
static bool read_secure(struct op *op, const json_t *body, struct want *want)
{
    bool asked;

    if (!api_read_bool(op, body, "secure", false, &asked, want))
        return false;
    want->job.secure = asked || op->row->variant == 2;
    return true;
}

static void order(struct op *op, struct str text, struct want *want)
{
    const struct create *c = op->state;
    struct api_seconds timeout = {"timeout", 1, 0,
                                  op->in.conf->timeout_default_s};
    const struct conf_template *t;
    json_t *body = api_read_body(op, text, false, want);

    if (!body)
        return;
    want->kind = WANT_JOB;
    want->job.kind = JOB_CREATE;
    t = read_template(op, body, want);
    if (t && keep_promises(op, body, t, want) &&
        api_read_seconds(op, body, &timeout, &want->job.timeout_s, want) &&
        read_secure(op, body, want) && network_read(op, body, want) &&
        keep_https(op, t, want) &&
        read_map(op, body, "metadata", false, &want->job.metadata, want) &&
        read_map(op, body, "envVars", true, &want->job.envs, want)) {
        want->job.idempotency_key = c->key;
        if (c->key.p)
            hash_request(op, text, want->job.request_hash);
    }
    json_decref(body);
}

/* ---- events ---- */

static void answer(struct op *op, const struct op_result *result,
                   struct want *want)
{
    struct buf b;

    buf_init(&b, SANDBOX_MAX);
    record_put_sandbox(&b, result->sandbox, result->envd_token,
                       result->traffic_token);
    record_answer(op, want, 201, &b);
}

void create_hear(struct op *op, const struct op_event *event, struct want *want)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(want);
    else if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->kind == OP_BODY)
        order(op, event->bytes, want);
    else if (event->err != E_OK)
        api_fail_create(op, event, want);
    else
        answer(op, event->result, want);
}
