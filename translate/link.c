/* link.c - signed links to ports of a sandbox: POST, GET and DELETE of
 * /sandboxes/{sandbox}/links.  A token is told once, when it is made. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "translate/api.h"
#include "translate/moment.h"
#include "translate/ops.h"
#include "translate/query.h"
#include "translate/record.h"

#define LINK_JSON_MAX 4096
#define LIST_JSON_MAX (8 << 20)
#define NAME_MAX_BYTES 64 /* of a field that is told */

/* Nothing of it is there: neither tokens nor links of old ones. */
static bool is_off(struct op *op, struct want *w)
{
    if (conf_previews(op->in.conf))
        return false;
    want_fail(w, E_UNIMPLEMENTED,
              STR("signed links are not configured on this server"));
    return true;
}

/* The sandbox that {id} names, or *w fails. */
static bool is_here(struct op *op, struct want *w)
{
    if (is_off(op, w))
        return false;
    if (api_sandbox(op))
        return true;
    api_fail_sandbox(op, w, E_SANDBOX_GONE);
    return false;
}

static void want_job(const struct op *op, enum job_kind kind,
                     const struct link *link, struct want *w)
{
    w->kind = WANT_JOB;
    w->job.kind = kind;
    w->job.id = op->in.sandbox->id;
    w->job.link = link;
}

static void fail(struct op *op, const struct op_event *event, struct want *w)
{
    if (event->err == E_NOT_FOUND)
        want_fail(w, E_NOT_FOUND, STR("there is no such link"));
    else if (event->err == E_QUOTA)
        want_fail(w, E_QUOTA, STR("the sandbox has as many links as it may"));
    else
        api_fail_sandbox(op, w, event->err);
}

/* ---- make ---- */

static bool read_port(struct op *op, const json_t *body, struct link *out,
                      struct want *w)
{
    const json_t *value = json_member(body, "port");
    json_int_t port = json_integer_value(value);

    out->port = port > 0 && port <= 65535 ? (unsigned)port : 0;
    if (json_is_integer(value) && link_port_ok(out->port))
        return true;
    api_fail_field(op, w, "port",
                   !value ? "is required"
                          : "must be a port of the sandbox, from 1 to 65535 "
                            "and not one of its own services");
    return false;
}

static bool read_scopes(struct op *op, const json_t *body, struct link *out,
                        struct want *w)
{
    const char *why, *member = link_scopes_read(body, &out->scopes, &why);

    if (!member)
        return true;
    api_fail_field(op, w, member, why);
    return false;
}

/* A field that is not known is a slip of the pen: what it meant to narrow
 * would be forgotten. */
static bool read_names(struct op *op, json_t *body, struct want *w)
{
    static const char *const names[] = {"port",    "ttlSeconds", "opaque",
                                        "methods", "pathPrefix", "cidrs",
                                        "maxUses", "websocket",  "noindex"};

    for (void *at = json_object_iter(body); at;
         at = json_object_iter_next(body, at)) {
        const char *name = json_object_iter_key(at);
        bool known = false;

        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
            known = known || strcmp(name, names[i]) == 0;
        if (!known) {
            api_fail_field(op, w, strlen(name) > NAME_MAX_BYTES ? "body" : name,
                           "is not a field of links");
            return false;
        }
    }
    return true;
}

static void order(struct op *op, struct str text, struct want *w)
{
    struct api_seconds ttl = {"ttlSeconds", 1, op->in.conf->preview.ttl_max_s,
                              op->in.conf->preview.ttl_default_s};
    json_t *body = api_read_body(op, text, false, w);
    struct link *link = arena_new_zero(op->arena, sizeof(*link));
    int64_t seconds;

    if (body && !link)
        want_fail(w, E_NOMEM, STR_NONE);
    if (body && link && read_names(op, body, w) &&
        read_port(op, body, link, w) &&
        api_read_seconds(op, body, &ttl, &seconds, w) &&
        read_scopes(op, body, link, w) &&
        api_read_bool(op, body, "opaque", false, &link->opaque, w)) {
        link->opaque = link->opaque || !sandbox_fits_host(op->in.sandbox->id);
        want_job(op, JOB_LINK_CREATE, link, w);
        w->job.timeout_s = seconds;
    }
    json_decref(body);
}

static void put_moment(struct buf *b, const char *name, int64_t wall_ms)
{
    char text[25];

    clock_text(wall_ms, text);
    buf_text(b, ",\"%s\":\"%s\"", name, text);
}

static void answer_made(struct op *op, const struct op_result *result,
                        struct want *w)
{
    const struct link *link = result->links;
    struct buf b;

    buf_init(&b, LINK_JSON_MAX);
    buf_text(&b, "{\"linkId\":\"%s\",\"url\":", link->id);
    json_write_text(&b, result->link_url, false, false);
    put_moment(&b, "expiresAt", link->expires_s * 1000);
    buf_byte(&b, '}');
    record_answer(op, w, 201, &b);
}

void link_create_hear(struct op *op, const struct op_event *event,
                      struct want *w)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(w);
    else if (event->kind == OP_BODY)
        order(op, event->bytes, w);
    else if (event->kind != OP_BEGIN && event->err == E_OK)
        answer_made(op, event->result, w);
    else if (event->kind != OP_BEGIN)
        fail(op, event, w);
    else if (is_here(op, w))
        api_want_body(op, w);
}

/* ---- list ---- */

static const char *state_of(const struct link *link, int64_t wall_ms)
{
    if (link->revoked_ms)
        return "revoked";
    if (link->expires_s * 1000 <= wall_ms)
        return "expired";
    return link->scopes.uses_max && link->uses >= link->scopes.uses_max
               ? "used"
               : "active";
}

static void put_link(struct buf *b, const struct link *link, int64_t wall_ms)
{
    buf_text(b, "{\"linkId\":\"%s\",\"port\":%u,\"state\":\"%s\"", link->id,
             link->port, state_of(link, wall_ms));
    put_moment(b, "createdAt", link->created_ms);
    put_moment(b, "expiresAt", link->expires_s * 1000);
    if (link->revoked_ms)
        put_moment(b, "revokedAt", link->revoked_ms);
    if (link->opaque)
        buf_put(b, STR(",\"opaque\":true"));
    link_scopes_write(b, &link->scopes);
    if (link->scopes.uses_max)
        buf_text(b, ",\"uses\":%u", link->uses);
    buf_text(b, ",\"requests\":%" PRIu64, link->requests);
    if (link->seen_ms)
        put_moment(b, "lastRequestAt", link->seen_ms);
    buf_byte(b, '}');
}

static void answer_list(struct op *op, const struct op_event *event,
                        struct want *w)
{
    struct buf b;

    buf_init(&b, LIST_JSON_MAX);
    buf_byte(&b, '[');
    for (unsigned i = 0; i < event->result->count; i++) {
        if (i > 0)
            buf_byte(&b, ',');
        put_link(&b, &event->result->links[i], event->wall_ms);
    }
    buf_byte(&b, ']');
    record_answer(op, w, 200, &b);
}

void link_list_hear(struct op *op, const struct op_event *event, struct want *w)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(w);
    else if (event->kind == OP_BEGIN && is_here(op, w))
        want_job(op, JOB_LINK_LIST, NULL, w);
    else if (event->kind != OP_BEGIN && event->err == E_OK)
        answer_list(op, event, w);
    else if (event->kind != OP_BEGIN)
        fail(op, event, w);
}

/* ---- revoke ---- */

/* The one that the path names. */
static bool read_id(struct op *op, struct link *out, struct want *w)
{
    struct str id = op->in.params[1];

    if (!link_id_ok(id)) {
        want_fail(w, E_NOT_FOUND, STR("there is no such link"));
        return false;
    }
    memcpy(out->id, id.p, id.n);
    return true;
}

/* All of before the moment that the query names.  One to come is now: links
 * that are not made yet are not revoked. */
static bool read_before(struct op *op, int64_t wall_ms, struct link *out,
                        struct want *w)
{
    struct query *q = arena_alloc(op->arena, sizeof(*q));
    struct str text;
    bool exact = true;

    if (!q) {
        want_fail(w, E_NOMEM, STR_NONE);
        return false;
    }
    text = query_read(op->in.head->query, op->arena, q)
               ? query_get(q, STR("before"))
               : STR_NONE;
    if (!text.p || !moment_read(text, &out->revoked_ms, &exact)) {
        api_fail_field(op, w, "before",
                       "must be a date and time as in RFC 3339");
        return false;
    }
    out->revoked_ms += !exact;
    if (out->revoked_ms > wall_ms)
        out->revoked_ms = wall_ms;
    if (out->revoked_ms < 1)
        out->revoked_ms = 1;
    return true;
}

static void order_end(struct op *op, const struct op_event *event,
                      struct want *w)
{
    struct link *link;

    if (!is_here(op, w))
        return;
    link = arena_new_zero(op->arena, sizeof(*link));
    if (!link)
        want_fail(w, E_NOMEM, STR_NONE);
    else if (op->row->variant == 1 ? read_id(op, link, w)
                                   : read_before(op, event->wall_ms, link, w))
        want_job(op, JOB_LINK_REVOKE, link, w);
}

void link_revoke_hear(struct op *op, const struct op_event *event,
                      struct want *w)
{
    if (event->kind == OP_CLIENT_GONE)
        api_leave(w);
    else if (event->kind == OP_BEGIN)
        order_end(op, event, w);
    else if (event->err == E_OK)
        want_empty(op, w, 204);
    else
        fail(op, event, w);
}
