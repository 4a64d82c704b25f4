/* conf_find.c - names looked up in a configuration; see conf.h. */
#include "conf/conf.h"

const struct conf_template *conf_template(const struct conf *c, struct str name)
{
    for (unsigned i = 0; i < c->template_count; i++) {
        const struct conf_template *t = &c->templates[i];

        if (str_eq(t->id, name))
            return t;
        for (unsigned k = 0; k < t->name_count; k++)
            if (str_eq(t->names[k], name))
                return t;
    }
    return NULL;
}

const struct conf_backend *conf_backend(const struct conf *c, struct str name)
{
    for (unsigned i = 0; i < c->backend_count; i++)
        if (str_eq(c->backends[i].name, name))
            return &c->backends[i];
    return NULL;
}

struct conf_team conf_team(const struct conf *c, struct str team)
{
    for (unsigned i = 0; i < c->team_count; i++)
        if (str_eq(c->teams[i].name, team))
            return c->teams[i];
    return (struct conf_team){team, c->team_sandboxes, c->team_creates};
}

bool conf_previews(const struct conf *c)
{
    return c->preview.domain.n > 0;
}
