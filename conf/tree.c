/* tree.c - see tree.h. */
#include "conf/tree.h"

#define DEPTH_MAX 16 /* the options need four */

static void set_input(yaml_parser_t *parser, struct str text)
{
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)text.p, text.n);
}

/* The place of byte number at of the text. */
static yaml_mark_t place_of(struct str text, size_t at)
{
    yaml_mark_t mark = {.index = at};

    for (size_t i = 0; i < at && i < text.n; i++) {
        mark.line += text.p[i] == '\n';
        mark.column = text.p[i] == '\n' ? 0 : mark.column + 1;
    }
    return mark;
}

static void say_why(struct reading *r, const yaml_parser_t *parser,
                    struct str text)
{
    const char *problem = parser->problem ? parser->problem : "unreadable";

    if (parser->error == YAML_MEMORY_ERROR)
        r->no_memory = true;
    else if (parser->error == YAML_READER_ERROR)
        reading_say(r, place_of(text, parser->problem_offset), "%s", problem);
    else
        reading_say(r, parser->problem_mark, "syntax: %s%s%s", problem,
                    parser->context ? " " : "",
                    parser->context ? parser->context : "");
}

/* One event of the first pass; false ends it. */
static bool look_at(struct reading *r, const yaml_event_t *event,
                    unsigned *documents, unsigned *depth)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents == 1)
            return true;
        reading_say(r, event->start_mark, "a second document");
        return false;
    case YAML_ALIAS_EVENT:
        reading_say(r, event->start_mark, "aliases (*%s) are not served",
                    (const char *)event->data.alias.anchor);
        return true;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        if (++*depth <= DEPTH_MAX)
            return true;
        reading_say(r, event->start_mark, "nested too deeply");
        return false;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        --*depth;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SCALAR_EVENT:
    default:
        return true;
    }
}

/* The pass before the loader's: after it there is one document that is a
 * tree of a known depth. */
static bool scan(struct reading *r, struct str text)
{
    unsigned before = r->mistake_count, documents = 0, depth = 0;
    yaml_event_type_t type = YAML_NO_EVENT;
    yaml_parser_t parser;
    bool go_on = true;

    if (!yaml_parser_initialize(&parser)) {
        r->no_memory = true;
        return false;
    }
    set_input(&parser, text);
    while (go_on && type != YAML_STREAM_END_EVENT) {
        yaml_event_t event;

        if (!yaml_parser_parse(&parser, &event)) {
            say_why(r, &parser, text);
            break;
        }
        type = event.type;
        go_on = look_at(r, &event, &documents, &depth);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (documents == 0 && r->mistake_count == before)
        reading_say(r, (yaml_mark_t){0}, "the file is empty");
    return r->mistake_count == before && !r->no_memory;
}

bool tree_load(struct reading *r, struct str text, yaml_document_t *document)
{
    yaml_parser_t parser;
    bool loaded;

    if (!scan(r, text))
        return false;
    if (!yaml_parser_initialize(&parser)) {
        r->no_memory = true;
        return false;
    }
    set_input(&parser, text);
    loaded = yaml_parser_load(&parser, document);
    if (!loaded)
        say_why(r, &parser, text);
    yaml_parser_delete(&parser);
    return loaded;
}
