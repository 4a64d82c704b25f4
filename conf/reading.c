/* reading.c - see reading.h. */
#include "conf/reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES 400

/* Room for one more; NULL when there are too many, or no memory. */
static struct mistake *note(struct reading *r, yaml_mark_t mark,
                            const char *text)
{
    struct mistake *m;

    if (!r->mistakes)
        r->mistakes = arena_alloc(r->scratch, (READING_MISTAKES_MAX + 1) *
                                                  sizeof(*r->mistakes));
    if (!r->mistakes) {
        r->no_memory = true;
        return NULL;
    }
    if (r->mistake_count > READING_MISTAKES_MAX)
        return NULL;
    m = &r->mistakes[r->mistake_count];
    m->line = (unsigned)mark.line + 1;
    m->column = (unsigned)mark.column + 1;
    m->number = r->mistake_count;
    m->warning = false;
    m->what = r->mistake_count == READING_MISTAKES_MAX
                  ? "there are more mistakes than are told"
                  : arena_copy(r->scratch, str_of(text)).p;
    r->mistake_count++;
    if (!m->what)
        r->no_memory = true;
    return m;
}

void reading_say(struct reading *r, yaml_mark_t mark, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)note(r, mark, text);
}

void reading_warn(struct reading *r, yaml_mark_t mark, const char *format, ...)
{
    char text[TEXT_BYTES];
    struct mistake *m;
    va_list args;

    if (r->mistake_count >= READING_MISTAKES_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    m = note(r, mark, text);
    if (!m)
        return;
    m->warning = true;
    r->warning_count++;
}

struct str reading_keep(struct reading *r, struct str text)
{
    struct str kept = arena_copy(r->conf->arena, text);

    if (text.p && !kept.p)
        r->no_memory = true;
    return kept;
}

struct str reading_path(struct reading *r, struct str path)
{
    struct str kept;

    if (str_starts(path, STR("/")) || r->folder.n == 0)
        return reading_keep(r, path);
    kept = arena_text(r->conf->arena, "%.*s%.*s", STR_FMT(r->folder),
                      STR_FMT(path));
    if (!kept.p)
        r->no_memory = true;
    return kept;
}

/* The value of a key, or NULL. */
static yaml_node_t *member(yaml_document_t *document, yaml_node_t *map,
                           const char *key)
{
    if (!map || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
         p < map->data.mapping.pairs.top; p++) {
        yaml_node_t *name = yaml_document_get_node(document, p->key);

        if (name && name->type == YAML_SCALAR_NODE &&
            strcmp((const char *)name->data.scalar.value, key) == 0)
            return yaml_document_get_node(document, p->value);
    }
    return NULL;
}

yaml_mark_t reading_mark(const struct reading *r, const char *list,
                         unsigned index, const char *key)
{
    yaml_node_t *root = yaml_document_get_root_node(r->document);
    yaml_node_t *items = member(r->document, root, list), *item, *value;

    if (!items)
        return root->start_mark;
    if (items->type != YAML_SEQUENCE_NODE) { /* a mapping has no index */
        value = member(r->document, items, key);
        return value ? value->start_mark : items->start_mark;
    }
    item = yaml_document_get_node(r->document,
                                  items->data.sequence.items.start[index]);
    value = member(r->document, item, key);
    return value ? value->start_mark : item->start_mark;
}

static int by_place(const void *a, const void *b)
{
    const struct mistake *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

void reading_report(struct reading *r, struct conf_report *report)
{
    unsigned told = r->mistake_count < READING_MISTAKES_MAX
                        ? r->mistake_count
                        : READING_MISTAKES_MAX;

    /* The last one says that there are more: it stays the last. */
    if (told)
        qsort(r->mistakes, told, sizeof(*r->mistakes), by_place);
    for (unsigned i = 0; i < r->mistake_count; i++) {
        const struct mistake *m = &r->mistakes[i];

        if (!m->warning) {
            report->say(report->arg, r->conf->file, m->line, m->column,
                        m->what);
            report->count++;
        } else if (report->warn) {
            report->warn(report->arg, r->conf->file, m->line, m->column,
                         m->what);
        }
    }
}
