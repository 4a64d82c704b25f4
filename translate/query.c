/* query.c - see query.h. */
#include "translate/query.h"

#include "base/encode.h"

/* One layer off, with a NUL behind; control characters and what is not UTF-8
 * are refused. */
static bool decode(struct str s, bool form, struct arena *a, struct str *out)
{
    if (!decode_percent(s, form, a, out) || !encode_is_utf8(*out))
        return false;
    *out = arena_copy(a, *out);
    if (!out->p)
        return false;
    for (size_t i = 0; i < out->n; i++)
        if ((unsigned char)out->p[i] < 0x20 || out->p[i] == 0x7f)
            return false;
    return true;
}

bool query_read(struct str text, struct arena *a, struct query *out)
{
    struct str rest = text;

    out->count = 0;
    while (rest.p) {
        struct str value = str_cut(&rest, '&');
        struct query_pair *pair = &out->at[out->count];
        struct str name;

        if (value.n == 0)
            continue;
        if (out->count == QUERY_PAIRS_MAX)
            return false;
        name = str_cut(&value, '=');
        if (!decode(name, true, a, &pair->name) ||
            !decode(value.p ? value : STR(""), true, a, &pair->value))
            return false;
        out->count++;
    }
    return true;
}

struct str query_get(const struct query *q, struct str name)
{
    for (unsigned i = 0; i < q->count; i++)
        if (str_eq(q->at[i].name, name))
            return q->at[i].value;
    return STR_NONE;
}

bool query_read_metadata(struct str text, struct arena *a, struct query *out)
{
    if (!query_read(text, a, out))
        return false;
    for (unsigned i = 0; i < out->count; i++) {
        struct query_pair *pair = &out->at[i];

        if (!decode(pair->name, false, a, &pair->name) ||
            !decode(pair->value, false, a, &pair->value))
            return false;
    }
    return true;
}

struct str query_value(struct str query, struct str name, struct arena *a,
                       bool *twice)
{
    struct str found = STR_NONE;

    *twice = false;
    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str pair = value, key, text;

        if (str_find(pair, ';') < pair.n)
            continue;
        key = str_cut(&value, '=');
        if (!decode_percent(key, true, a, &key) || !str_eq(key, name))
            continue;
        if (!value.p)
            value = STR("");
        if (!decode_percent(value, true, a, &text))
            continue;
        if (found.p)
            *twice = true;
        else
            found = text;
    }
    return found;
}
