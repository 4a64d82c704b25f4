#include "tests/unit/translate_stage.h"

#include <stdio.h>

#define LINE_MAX_BYTES 4096

void stage_open(struct stage *s, enum op_class class, enum method method,
                const char *target, const char *const *headers)
{
    struct str rest = str_of(target);
    struct op_found found;

    memset(s, 0, sizeof(*s));
    cr_assert_eq(arena_new(1 << 20, &s->op.arena), E_OK);
    cr_assert_eq(arena_new(64 << 20, &s->op.scratch), E_OK);
    s->backends[0] = (struct conf_backend){
        .name = STR("open"), .egress = true, .ports = PORTS_EXPOSE};
    s->backends[1] = (struct conf_backend){.name = STR("shut")};
    s->names[0] = STR("base");
    s->names[1] = STR("code-interpreter-v1");
    s->names[2] = STR("team/code:v1");
    s->templates[0] = (struct conf_template){.id = STR("tplbase"),
                                             .names = s->names,
                                             .name_count = 1,
                                             .backend = STR("shut"),
                                             .cpu_count = 2,
                                             .memory_mb = 1024,
                                             .disk_mb = 5120,
                                             .user = STR("user"),
                                             .workdir = STR("")};
    s->templates[1] = (struct conf_template){.id = STR("tplcode"),
                                             .names = s->names + 1,
                                             .name_count = 2,
                                             .backend = STR("open"),
                                             .user = STR("user"),
                                             .workdir = STR("")};
    s->conf.backends = s->backends;
    s->conf.backend_count = 2;
    s->conf.templates = s->templates;
    s->conf.template_count = 2;
    s->conf.timeout_default_s = 300;
    s->conf.timeout_max_s = 86400;
    s->conf.api_body_max_bytes = 256 << 10;
    s->wall_ms = 1800000000000;
    s->head.method = method;
    s->head.target = rest;
    s->head.path = str_cut(&rest, '?');
    s->head.query = rest;
    for (; headers && headers[0]; headers += 2)
        cr_assert_eq(fields_add(&s->head.fields, s->op.arena,
                                str_of(headers[0]), str_of(headers[1])),
                     E_OK);
    s->found = op_find(class, method, s->head.path, s->op.arena, &found);
    s->op.row = found.row;
    memcpy(s->op.in.params, found.params, sizeof(found.params));
    s->op.in.head = &s->head;
    s->op.in.conf = &s->conf;
    s->op.in.identity.team = STR("red");
    s->sandbox = (struct sandbox){
        .refs = 1,
        .state = SANDBOX_RUNNING,
        .id = STR("i0"),
        .team = STR("red"),
        .backend = STR("shut"),
        .template_id = STR("tplbase"),
        .alias = STR("base"),
        .metadata = STR("{\"user\":\"ann\"}"),
        .envs = STR("{}"),
        .started_ms = 1789984800000,
        .end_ms = 1789985100000,
    };
    s->result.sandbox = &s->sandbox;
    s->result.envd_token = "9f";
}

void stage_have(struct stage *s)
{
    s->op.in.sandbox = &s->sandbox;
    s->op.in.envd_token = "9f";
}

void stage_tell_bytes(struct stage *s, enum op_event_kind kind,
                      struct str bytes)
{
    struct op_event event = {
        .kind = kind, .status = 200, .bytes = bytes, .wall_ms = s->wall_ms};

    op_hear(&s->op, &event, &s->want);
}

void stage_tell(struct stage *s, enum op_event_kind kind, const char *bytes)
{
    stage_tell_bytes(s, kind, str_of(bytes));
}

void stage_send(struct stage *s, const char *body)
{
    s->head.length = body ? (int64_t)strlen(body) : 0;
    stage_tell(s, OP_BEGIN, NULL);
    if (s->want.kind == WANT_BODY)
        stage_tell(s, OP_BODY, body ? body : "");
}

void stage_result(struct stage *s, enum err err)
{
    struct op_event event = {.kind = OP_RESULT,
                             .err = err,
                             .result = &s->result,
                             .wall_ms = s->wall_ms};

    op_hear(&s->op, &event, &s->want);
}

void stage_close(struct stage *s)
{
    op_end(&s->op);
    arena_free(&s->op.arena);
    arena_free(&s->op.scratch);
}

static struct str link_line(struct stage *s)
{
    const struct want_job *j = &s->want.job;
    struct buf scopes;
    struct str line;

    if (j->kind == JOB_LINK_LIST)
        return arena_text(s->op.arena, "job link list %.*s", STR_FMT(j->id));
    if (j->kind == JOB_LINK_REVOKE)
        return arena_text(s->op.arena, "job link revoke %.*s %s %lld",
                          STR_FMT(j->id), j->link->id,
                          (long long)j->link->revoked_ms);
    buf_init(&scopes, 4096);
    link_scopes_write(&scopes, &j->link->scopes);
    line =
        arena_text(s->op.arena, "job link create %.*s port %u %lld s%s%.*s",
                   STR_FMT(j->id), j->link->port, (long long)j->timeout_s,
                   j->link->opaque ? " opaque" : "", STR_FMT(buf_str(&scopes)));
    buf_clear(&scopes);
    return line;
}

static struct str job_line(struct stage *s)
{
    const struct want_job *j = &s->want.job;

    if (j->kind >= JOB_LINK_CREATE)
        return link_line(s);
    if (j->kind != JOB_CREATE)
        return arena_text(s->op.arena, "job %s %.*s %lld",
                          j->kind == JOB_KILL      ? "kill"
                          : j->kind == JOB_TIMEOUT ? "timeout"
                                                   : "extend",
                          STR_FMT(j->id), (long long)j->timeout_s);
    return arena_text(
        s->op.arena,
        "job create %.*s as %.*s %lld s%s %.*s %.*s%s%.*s%s%s%.*s%s%.*s",
        STR_FMT(j->template->id), STR_FMT(j->alias), (long long)j->timeout_s,
        j->secure ? " secure" : "", STR_FMT(j->metadata), STR_FMT(j->envs),
        j->idempotency_key.p ? " key " : "", STR_FMT(j->idempotency_key),
        j->private_traffic ? " private" : "", j->mask_host.n ? " mask " : "",
        STR_FMT(j->mask_host), j->https_ports.n ? " https " : "",
        STR_FMT(j->https_ports));
}

const char *stage_line(struct stage *s)
{
    const struct want *w = &s->want;
    struct arena *a = s->op.arena;
    struct str line;

    switch (w->kind) {
    case WANT_FAIL:
        line = arena_text(a, "fail %s%s%.*s%s%.*s%s", err_name(w->err),
                          w->detail.p ? ": " : "", STR_FMT(w->detail),
                          w->error_code.p ? " (" : "", STR_FMT(w->error_code),
                          w->error_code.p ? ")" : "");
        break;
    case WANT_SAY:
        line = arena_text(a, "say %d %.*s", w->say.head->status,
                          STR_FMT(w->say.piece));
        break;
    case WANT_JOB:
        line = job_line(s);
        break;
    case WANT_BODY:
        line = STR("body");
        break;
    case WANT_RECORDS:
        line = STR("records");
        break;
    case WANT_DONE:
        line = STR("done");
        break;
    case WANT_RECORD:
        line = arena_text(a, "record %.*s", STR_FMT(w->record));
        break;
    case WANT_NEXT:
    case WANT_CALL:
    case WANT_SEND:
    case WANT_LIVE:
    default:
        line = arena_text(a, "want %d", w->kind);
        break;
    }
    return line.p ? line.p : "";
}
