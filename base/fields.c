/* fields.c - see fields.h. */
#include "base/fields.h"

#include <limits.h>

#define LEAST_ROWS 16

enum err fields_add(struct fields *f, struct arena *a, struct str name,
                    struct str value)
{
    if (f->count == f->room) {
        unsigned room = f->room ? f->room * 2 : LEAST_ROWS;
        struct field *at;

        if (f->room > UINT_MAX / 2 / sizeof(*at))
            return E_NOMEM;
        at = arena_alloc(a, room * sizeof(*at));
        if (!at)
            return E_NOMEM;
        if (f->count)
            memcpy(at, f->at, f->count * sizeof(*at));
        f->at = at;
        f->room = room;
    }
    f->at[f->count++] = (struct field){name, value};
    return E_OK;
}

struct str fields_get(const struct fields *f, struct str name)
{
    for (unsigned i = 0; i < f->count; i++)
        if (str_ieq(f->at[i].name, name))
            return f->at[i].value;
    return STR_NONE;
}

unsigned fields_count(const struct fields *f, struct str name)
{
    unsigned count = 0;

    for (unsigned i = 0; i < f->count; i++)
        count += str_ieq(f->at[i].name, name);
    return count;
}

unsigned fields_remove(struct fields *f, struct str name)
{
    unsigned kept = 0, before = f->count;

    for (unsigned i = 0; i < f->count; i++)
        if (!str_ieq(f->at[i].name, name))
            f->at[kept++] = f->at[i];
    f->count = kept;
    return before - kept;
}

static bool has_token(struct str list, struct str token)
{
    while (list.p)
        if (str_ieq(str_trim(str_cut(&list, ',')), token))
            return true;
    return false;
}

bool fields_has_token(const struct fields *f, struct str name, struct str token)
{
    for (unsigned i = 0; i < f->count; i++)
        if (str_ieq(f->at[i].name, name) && has_token(f->at[i].value, token))
            return true;
    return false;
}
