/* walk.c - see walk.h. */
#include "conf/walk.h"

#include "base/encode.h"
#include "conf/option.h"
#include "conf/scalar.h"

static void walk_map(struct reading *r, yaml_node_t *node, enum section section,
                     void *base);

static const char *type_name(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SCALAR_NODE:
        return "a single value";
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_MAPPING_NODE:
        return "a mapping";
    case YAML_NO_NODE:
    default:
        return "nothing";
    }
}

/* Is it a node of that type, without a tag of its own? */
static bool is_type(struct reading *r, const char *key, const yaml_node_t *node,
                    yaml_node_type_t type)
{
    static const char *const tags[] = {
        [YAML_NO_NODE] = "",
        [YAML_SCALAR_NODE] = YAML_STR_TAG,
        [YAML_SEQUENCE_NODE] = YAML_SEQ_TAG,
        [YAML_MAPPING_NODE] = YAML_MAP_TAG,
    };
    const yaml_node_t wanted = {.type = type};

    if (node->type != type) {
        reading_say(r, node->start_mark, "%s: %s is needed, not %s", key,
                    type_name(&wanted), type_name(node));
        return false;
    }
    if (node->tag && strcmp((const char *)node->tag, tags[type]) != 0) {
        reading_say(r, node->start_mark, "%s: tags are not served", key);
        return false;
    }
    return true;
}

static void read_node(struct reading *r, const struct option *o,
                      yaml_node_t *node, void *to)
{
    struct scalar s;

    if (!is_type(r, o->key, node, YAML_SCALAR_NODE))
        return;
    s = (struct scalar){.text = str_from((const char *)node->data.scalar.value,
                                         node->data.scalar.length),
                        .given = true,
                        .plain =
                            node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
                        .mark = node->start_mark};
    scalar_read(r, o, &s, to);
}

/* Memory for the items of a list, its place and count set in base. */
static char *make_list(struct reading *r, const struct option *o,
                       unsigned count, size_t item_bytes, void *base)
{
    char *items = arena_new_zero(r->conf->arena, count * item_bytes);

    if (!items) {
        r->no_memory = true;
        return NULL;
    }
    memcpy((char *)base + o->at, &items, sizeof(items));
    memcpy((char *)base + o->count_at, &count, sizeof(count));
    return items;
}

static void walk_list(struct reading *r, const struct option *o,
                      yaml_node_t *node, void *base)
{
    size_t item_bytes = o->many ? scalar_bytes(o->kind) : o->inner_bytes;
    ptrdiff_t count;
    char *items;

    if (!is_type(r, o->key, node, YAML_SEQUENCE_NODE))
        return;
    count = node->data.sequence.items.top - node->data.sequence.items.start;
    if (count < o->least || count > o->most) {
        reading_say(r, node->start_mark,
                    "%s: between %d and %d entries are needed", o->key,
                    (int)o->least, (int)o->most);
        return;
    }
    items = make_list(r, o, (unsigned)count, item_bytes, base);
    for (ptrdiff_t i = 0; items && i < count; i++) {
        yaml_node_t *item = yaml_document_get_node(
            r->document, node->data.sequence.items.start[i]);

        if (o->many)
            read_node(r, o, item, items);
        else
            walk_map(r, item, o->inner, items);
        items += item_bytes;
    }
}

static void walk_value(struct reading *r, const struct option *o,
                       yaml_node_t *node, void *base)
{
    char *to = (char *)base + o->at;

    if (o->kind == KIND_MAP)
        walk_map(r, node, o->inner, to);
    else if (o->kind == KIND_LIST || o->many)
        walk_list(r, o, node, base);
    else
        read_node(r, o, node, to);
}

static void read_fallback(struct reading *r, const struct option *o,
                          struct str text, void *to)
{
    struct scalar s = {.text = text, .plain = true};

    scalar_read(r, o, &s, to);
}

static void take_fallbacks(struct reading *r, enum section section,
                           const bool *seen, void *base);

/* What stands when the key is not there. */
static void take_fallback(struct reading *r, const struct option *o, void *base)
{
    static const bool none[OPTION_MAX];
    struct str rest = str_of(o->fallback);
    unsigned count = 0;
    char *items;

    if (o->kind == KIND_MAP) {
        take_fallbacks(r, o->inner, none, (char *)base + o->at);
    } else if (o->fallback && !o->many) {
        read_fallback(r, o, rest, (char *)base + o->at);
    } else if (o->fallback && rest.n) {
        for (struct str left = rest; left.p; count++)
            str_cut(&left, ',');
        items = make_list(r, o, count, scalar_bytes(o->kind), base);
        for (; items && rest.p; items += scalar_bytes(o->kind))
            read_fallback(r, o, str_trim(str_cut(&rest, ',')), items);
    }
}

static void take_fallbacks(struct reading *r, enum section section,
                           const bool *seen, void *base)
{
    for (unsigned i = 0; i < option_count; i++)
        if (options[i].section == section && !seen[i])
            take_fallback(r, &options[i], base);
}

static void say_unknown(struct reading *r, enum section section,
                        const yaml_node_t *node, struct str key)
{
    const struct option *near = option_nearest(section, key);
    const struct option *of = near ? option_parent(near->section) : NULL;
    bool utf8 = key.n <= 64 && encode_is_utf8(key);

    if (!near)
        reading_say(r, node->start_mark, "unknown key %.*s",
                    STR_FMT(utf8 ? key : STR("")));
    else if (near->section == section)
        reading_say(r, node->start_mark, "unknown key %.*s: did you mean %s?",
                    STR_FMT(key), near->key);
    else
        reading_say(r, node->start_mark,
                    "unknown key %.*s: did you mean %s%s%s?", STR_FMT(key),
                    of ? of->key : "the top level's ", of ? "." : "",
                    near->key);
}

/* One key and its value; seen says which keys were there. */
static void walk_pair(struct reading *r, enum section section,
                      const yaml_node_pair_t *pair, bool *seen, void *base)
{
    yaml_node_t *name = yaml_document_get_node(r->document, pair->key);
    yaml_node_t *value = yaml_document_get_node(r->document, pair->value);
    const struct option *o;
    struct str key;

    if (!is_type(r, "key", name, YAML_SCALAR_NODE))
        return;
    key = str_from((const char *)name->data.scalar.value,
                   name->data.scalar.length);
    o = option_find(section, key);
    if (!o) {
        say_unknown(r, section, name, key);
    } else if (seen[o - options]) {
        reading_say(r, name->start_mark, "%s: is here twice", o->key);
    } else {
        seen[o - options] = true;
        walk_value(r, o, value, base);
    }
}

static void walk_map(struct reading *r, yaml_node_t *node, enum section section,
                     void *base)
{
    const struct option *of = option_parent(section);
    bool seen[OPTION_MAX] = {false};

    if (!is_type(r, of ? of->key : "the file", node, YAML_MAPPING_NODE))
        return;
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++)
        walk_pair(r, section, p, seen, base);
    for (unsigned i = 0; i < option_count; i++)
        if (options[i].section == section && options[i].must && !seen[i])
            reading_say(r, node->start_mark, "%s is missing%s%s",
                        options[i].key, of ? " in " : "", of ? of->key : "");
    take_fallbacks(r, section, seen, base);
}

void walk_file(struct reading *r)
{
    walk_map(r, yaml_document_get_root_node(r->document), SECTION_ROOT,
             r->conf);
}
