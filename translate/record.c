/* record.c - see record.h. */
#include "translate/record.h"

#include "base/clock.h"
#include "base/json.h"
#include "translate/network.h"

static void put_text(struct buf *b, const char *name, struct str value)
{
    buf_text(b, "\"%s\":", name);
    json_write_text(b, value, false, false);
}

/* ,"name":"value" or ,"name":null */
static void put_token(struct buf *b, const char *name, const char *token)
{
    buf_byte(b, ',');
    if (token)
        put_text(b, name, str_of(token));
    else
        buf_text(b, "\"%s\":null", name);
}

static void put_moment(struct buf *b, const char *name, int64_t wall_ms)
{
    char text[25];

    clock_text(wall_ms, text);
    buf_text(b, ",\"%s\":\"%s\"", name, text);
}

/* The fields that every object begins with. */
static void put_names(struct buf *b, const struct sandbox *s)
{
    buf_byte(b, '{');
    put_text(b, "sandboxID", s->id);
    buf_byte(b, ',');
    put_text(b, "templateID", s->template_id);
    if (s->alias.n) {
        buf_byte(b, ',');
        put_text(b, "alias", s->alias);
    }
    buf_text(b, ",\"clientID\":\"%s\"", RECORD_CLIENT_ID);
}

void record_put_sandbox(struct buf *b, const struct sandbox *s,
                        const char *envd_token, const char *traffic_token)
{
    put_names(b, s);
    buf_text(b, ",\"envdVersion\":\"%s\"", RECORD_ENVD_VERSION);
    if (envd_token)
        put_token(b, "envdAccessToken", envd_token);
    put_token(b, "trafficAccessToken", traffic_token);
    buf_put(b, STR(",\"domain\":null}"));
}

/* From startedAt to metadata: what list and detail have in common. */
static void put_times(struct buf *b, const struct sandbox *s)
{
    put_moment(b, "startedAt", s->started_ms);
    put_moment(b, "endAt", s->end_ms);
    buf_text(b, ",\"envdVersion\":\"%s\"", RECORD_ENVD_VERSION);
}

static void put_size(struct buf *b, const struct sandbox *s,
                     const struct conf *conf)
{
    const struct conf_template *t = conf_template(conf, s->template_id);

    buf_text(b, ",\"cpuCount\":%u,\"memoryMB\":%u,\"diskSizeMB\":%u",
             t ? t->cpu_count : 0, t ? t->memory_mb : 0, t ? t->disk_mb : 0);
    buf_put(b, STR(",\"state\":\"running\",\"metadata\":"));
    buf_put(b, s->metadata.n ? s->metadata : STR("{}"));
}

void record_put_listed(struct buf *b, const struct sandbox *s,
                       const struct conf *conf)
{
    put_names(b, s);
    put_times(b, s);
    put_size(b, s, conf);
    buf_byte(b, '}');
}

void record_put_detail(struct buf *b, const struct sandbox *s,
                       const struct conf *conf, const char *envd_token)
{
    const struct conf_backend *backend = conf_backend(conf, s->backend);

    put_names(b, s);
    put_times(b, s);
    if (envd_token)
        put_token(b, "envdAccessToken", envd_token);
    buf_put(b, STR(",\"domain\":null"));
    put_size(b, s, conf);
    buf_text(b, ",\"allowInternetAccess\":%s",
             !backend          ? "null"
             : backend->egress ? "true"
                               : "false");
    network_put(b, s);
    buf_put(b, STR(",\"lifecycle\":{\"autoResume\":false,"
                   "\"onTimeout\":\"kill\"}}"));
}

void record_answer(struct op *op, struct want *w, int status, struct buf *b)
{
    struct str body = arena_copy(op->scratch, buf_str(b));

    if (b->failed || !body.p)
        want_fail(w, E_NOMEM, STR_NONE);
    else
        want_json(op, w, status, body);
    buf_clear(b);
}
