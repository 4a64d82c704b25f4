/* option.c - see option.h.  The rows are options.def. */
#include "conf/option.h"

#include "conf/conf.h"

#define MUST true
#define MAY false
#define NEAR_MAX 3   /* changes between what is meant and what is written */
#define KEY_BYTES 32 /* longer ones are like nothing */

const struct option options[] = {
/* clang-format off */
#define SECTION(name, key_, shape, need, least_, most_, in, member, count, \
                item, example_, text_) \
    {.section = SECTION_ROOT, .key = key_, .kind = KIND_##shape, \
     .must = need, .least = least_, .most = most_, \
     .at = offsetof(struct in, member), \
     .count_at = offsetof(struct in, count), .inner = SECTION_##name, \
     .inner_bytes = sizeof(struct item), .example = example_, .text = text_},
#define INNER(of, name, key_, shape, need, least_, most_, in, member, count, \
              item, example_, text_) \
    {.section = SECTION_##of, .key = key_, .kind = KIND_##shape, \
     .must = need, .least = least_, .most = most_, \
     .at = offsetof(struct in, member), \
     .count_at = offsetof(struct in, count), .inner = SECTION_##name, \
     .inner_bytes = sizeof(struct item), .example = example_, .text = text_},
#define OPTION(name, key_, kind_, need, least_, most_, fallback_, in, member, \
               example_, text_) \
    {.section = SECTION_##name, .key = key_, .kind = KIND_##kind_, \
     .must = need, .least = least_, .most = most_, .fallback = fallback_, \
     .at = offsetof(struct in, member), .example = example_, .text = text_},
#define NAMES(name, key_, kind_, need, least_, most_, fallback_, in, member, \
              count, example_, text_) \
    {.section = SECTION_##name, .key = key_, .kind = KIND_##kind_, \
     .must = need, .many = true, .least = least_, .most = most_, \
     .fallback = fallback_, .at = offsetof(struct in, member), \
     .count_at = offsetof(struct in, count), .example = example_, \
     .text = text_},
#define CHOICE(name, key_, words_, fallback_, in, member, example_, text_) \
    {.section = SECTION_##name, .key = key_, .kind = KIND_CHOICE, \
     .fallback = fallback_, .words = words_, \
     .at = offsetof(struct in, member), .example = example_, .text = text_},
/* clang-format on */
#include "conf/options.def"
#undef SECTION
#undef INNER
#undef OPTION
#undef NAMES
#undef CHOICE
};

const unsigned option_count = sizeof(options) / sizeof(options[0]);
_Static_assert(sizeof(options) / sizeof(options[0]) <= OPTION_MAX,
               "more rows than a set of them holds");

const struct option *option_find(enum section section, struct str key)
{
    for (unsigned i = 0; i < option_count; i++)
        if (options[i].section == section &&
            str_eq(str_of(options[i].key), key))
            return &options[i];
    return NULL;
}

static unsigned least_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Letters put in, left out, exchanged or swapped with their neighbour. */
static unsigned distance(struct str a, struct str b)
{
    unsigned rows[3][KEY_BYTES + 1];
    unsigned *old = rows[0], *last = rows[1], *now = rows[2];

    if (a.n > KEY_BYTES || b.n > KEY_BYTES)
        return KEY_BYTES;
    for (unsigned k = 0; k <= b.n; k++)
        last[k] = k;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *spare = old;

        now[0] = i;
        for (unsigned k = 1; k <= b.n; k++) {
            unsigned same = a.p[i - 1] == b.p[k - 1];

            now[k] = least_of(last[k - 1] + !same,
                              least_of(last[k], now[k - 1]) + 1);
            if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] &&
                a.p[i - 2] == b.p[k - 1])
                now[k] = least_of(now[k], old[k - 2] + 1);
        }
        old = last;
        last = now;
        now = spare;
    }
    return last[b.n];
}

static const struct option *elsewhere(struct str key)
{
    for (unsigned i = 0; i < option_count; i++)
        if (str_eq(str_of(options[i].key), key))
            return &options[i];
    return NULL;
}

const struct option *option_nearest(enum section section, struct str key)
{
    const struct option *nearest = NULL, *other = elsewhere(key);
    unsigned best = NEAR_MAX + 1;

    for (unsigned i = 0; i < option_count; i++) {
        struct str known = str_of(options[i].key);
        unsigned away = distance(key, known);

        /* Half of a short word changed is another word. */
        if (options[i].section != section || 2 * away > known.n)
            continue;
        if (away < best) {
            best = away;
            nearest = &options[i];
        }
    }
    return best > 1 && other ? other : nearest;
}

const struct option *option_parent(enum section section)
{
    for (unsigned i = 0; i < option_count; i++)
        if (options[i].inner == section && section != SECTION_ROOT)
            return &options[i];
    return NULL;
}
