/* intent.c - see intent.h. */
#include "live/intent.h"

#include "base/clock.h"
#include "base/random.h"
#include "live/root.h"

/* What it has of its template, or of the running sandbox that it is to be a
 * copy of.  Errors: E_SANDBOX_GONE, E_STORE. */
MUST_USE static enum err inherit(struct live *l, struct str team,
                                 const struct want_job *want,
                                 struct sandbox *model)
{
    const struct sandbox *from;

    if (!want->source.p) {
        model->backend = want->template->backend;
        model->template_id = want->template->id;
        model->backend_template = want->template->backend_template;
        return E_OK;
    }
    switch (store_find_sandbox(l->store, want->source, &from)) {
    case FOUND:
        break;
    case ABSENT:
        return E_SANDBOX_GONE;
    case UNKNOWN:
        return E_STORE;
    }
    if (from->state != SANDBOX_RUNNING || !str_eq(from->team, team))
        return E_SANDBOX_GONE;
    model->backend = from->backend;
    model->template_id = from->template_id;
    model->alias = from->alias;
    model->backend_template = from->backend_template;
    model->metadata = from->metadata;
    model->envs = from->envs;
    return E_OK;
}

static struct str or_else(struct str text, const char *fallback)
{
    return text.p ? text : str_of(fallback);
}

enum err intent_new(struct live *l, struct str team,
                    const struct want_job *want, const struct sandbox **out)
{
    unsigned char random[28];
    char id[22];
    struct sandbox *record;
    struct sandbox model = {
        .state = SANDBOX_INTENT,
        .team = team,
        .alias = or_else(want->alias, ""),
        .metadata = or_else(want->metadata, "{}"),
        .envs = or_else(want->envs, "{}"),
        .started_ms = clock_wall_ms(),
        .secure = want->secure,
        .native = want->native,
        /* Nobody is told its tokens: its hosts are closed, its ports are
         * reached through the door or by links. */
        .private_traffic = want->native || want->private_traffic,
        .mask_host = or_else(want->mask_host, ""),
        .https_ports = or_else(want->https_ports, ""),
    };
    enum err err = inherit(l, team, want, &model);

    *out = NULL;
    if (err)
        return err;
    random_bytes(random, sizeof(random));
    sandbox_id_make(random, id);
    model.id = want->native ? want->id : str_of(id);
    memcpy(&model.life, random + 20, sizeof(model.life));
    /* SQLite's integers have a sign; 0 is never a life. */
    model.life = (model.life & (UINT64_MAX >> 2)) + 1;
    model.end_ms = model.started_ms + want->timeout_s * 1000;
    err = sandbox_new(&model, &record);
    *out = record;
    return err;
}

enum err intent_id_free(struct live *l, struct str id)
{
    const struct sandbox *s;

    switch (store_find_sandbox(l->store, id, &s)) {
    case FOUND:
        return E_ALREADY_EXISTS;
    case ABSENT:
        return E_OK;
    case UNKNOWN:
        break;
    }
    return E_STORE;
}
