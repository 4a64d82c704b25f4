/* conf_print.c - the table of options as an example file and as a reference;
 * see conf.h. */
#include "conf/conf.h"

#include <stdlib.h>

#include "conf/option.h"
#include "conf/scalar.h"

#define WIDTH 78

/* Words of text as a comment, indented, wrapped. */
static void put_comment(FILE *out, unsigned indent, const char *text)
{
    struct str rest = str_of(text);
    size_t column = 0;

    while (rest.p) {
        struct str word = str_cut(&rest, ' ');

        if (column && column + 1 + word.n > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0)
            column = (size_t)fprintf(out, "%*s#", (int)indent, "");
        column += (size_t)fprintf(out, " %.*s", STR_FMT(word));
    }
    fputc('\n', out);
}

static bool is_text(enum kind kind)
{
    return kind >= KIND_DOMAIN;
}

/* One value as YAML. */
static void put_value(FILE *out, enum kind kind, struct str text)
{
    static const char special[] = ":#{}[],&*!|>'\"%@`";
    bool quote = text.n == 0 || str_starts(text, STR("-"));

    for (size_t i = 0; i < text.n; i++)
        quote = quote || strchr(special, text.p[i]);
    quote = quote && is_text(kind);
    fprintf(out, quote ? "\"%.*s\"" : "%.*s", STR_FMT(text));
}

/* What the example shows behind a key. */
static void put_values(FILE *out, const struct option *o)
{
    struct str rest = str_of(o->example ? o->example : o->fallback);

    if (!o->many) {
        put_value(out, o->kind, rest);
        return;
    }
    fputc('[', out);
    for (const char *before = ""; rest.n; before = ", ") {
        fputs(before, out);
        put_value(out, o->kind, str_trim(str_cut(&rest, ',')));
    }
    fputc(']', out);
}

static void put_key(FILE *out, const struct option *o, unsigned indent,
                    const char *before);

/* The keys of a MAP, or of the first item of a LIST, whose own key stands at
 * that indent. */
static void put_inner(FILE *out, const struct option *of, unsigned indent)
{
    bool list = of->kind == KIND_LIST, first = true;

    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &options[i];

        if (o->section != of->inner)
            continue;
        put_comment(out, indent + (list ? 4 : 2), o->text);
        put_key(out, o, indent + 2, !list ? "" : first ? "- " : "  ");
        first = false;
    }
}

/* A key with what the example shows behind it. */
static void put_key(FILE *out, const struct option *o, unsigned indent,
                    const char *before)
{
    fprintf(out, "%*s%s%s:", (int)indent, "", before, o->key);
    if (o->kind == KIND_MAP || o->kind == KIND_LIST) {
        fputc('\n', out);
        put_inner(out, o, indent);
        return;
    }
    fputc(' ', out);
    put_values(out, o);
    fputc('\n', out);
}

static void put_further_items(FILE *out, const struct option *of)
{
    struct str rest = of->inner_bytes ? str_of(of->example) : STR_NONE;

    while (rest.n) {
        struct str line = str_cut(&rest, '\n');

        fprintf(out, "  %.*s\n", STR_FMT(line));
    }
}

void conf_print_example(FILE *out)
{
    put_comment(out, 0,
                "Configuration of Sandgate: every key, with its default or an "
                "example. Relative paths start at the directory of this file. "
                "Times are written with s, m, h or d, sizes with B, KiB, MiB, "
                "GiB or TiB. `sandgate check` tells every mistake.");
    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &options[i];

        if (o->section != SECTION_ROOT)
            continue;
        fputc('\n', out);
        put_comment(out, 0, o->text);
        put_key(out, o, 0, "");
        put_further_items(out, o);
    }
}

static const char *kind_text(enum kind kind)
{
    static const char *const texts[] = {
        [KIND_MAP] = "mapping, below",
        [KIND_LIST] = "list, below",
        [KIND_FLAG] = "`true` or `false`",
        [KIND_COUNT] = "number",
        [KIND_NUMBER] = "number",
        [KIND_SECONDS] = "time",
        [KIND_BYTES] = "size",
        [KIND_CHOICE] = "word",
        [KIND_DOMAIN] = "domain",
        [KIND_HOST] = "host name or IP address",
        [KIND_ADDRESS] = "IP address",
        [KIND_BLOCK] = "IP address or block",
        [KIND_NAME] = "name",
        [KIND_REFERENCE] = "name at the back end",
        [KIND_USER] = "Linux user",
        [KIND_FIELD] = "name of a header field",
        [KIND_WORKDIR] = "absolute path in the sandbox",
        [KIND_PATH] = "file",
        [KIND_LOG] = "file",
        [KIND_READABLE] = "file, must be there",
        [KIND_PRIVATE] = "file, must be there, mode 0600",
        [KIND_SECRET] = "file, must be there, mode 0600",
        [KIND_SHARED] = "file, must be there, mode 0600",
        [KIND_URL] = "`http://ADDRESS:PORT`",
        [KIND_ASKED] = "`http://ADDRESS:PORT/PATH`",
    };

    return texts[kind];
}

/* The words of a choice, each in backquotes. */
static void put_words(FILE *out, const char *words)
{
    struct str rest = str_of(words);

    while (rest.p) {
        struct str word = str_cut(&rest, ' ');

        fprintf(out, "`%.*s`%s", STR_FMT(word), rest.p ? ", " : "");
    }
}

/* Type and range. */
static void put_type(FILE *out, const struct option *o)
{
    char least[32], most[32];

    if (o->kind == KIND_CHOICE) {
        put_words(out, o->words);
        return;
    }
    if (o->many)
        fputs("list: ", out);
    fputs(kind_text(o->kind), out);
    if (o->kind < KIND_COUNT || o->kind > KIND_BYTES)
        return;
    scalar_text(o->kind, o->least, least);
    scalar_text(o->kind, o->most, most);
    fprintf(out, ", %s to %s", least, most);
}

static void put_row(FILE *out, const struct option *o)
{
    fprintf(out, "| `%s` | ", o->key);
    put_type(out, o);
    if (o->must)
        fputs(" | required | ", out);
    else if (o->fallback && *o->fallback)
        fprintf(out, " | `%s` | ", o->fallback);
    else if (o->fallback && !o->many)
        fputs(" | `\"\"` | ", out);
    else
        fputs(" | none | ", out);
    for (const char *p = o->text; *p; p++) {
        if (*p == '<' || *p == '*')
            fputc('\\', out);
        fputc(*p, out);
    }
    fputs(" |\n", out);
}

static void put_table(FILE *out, enum section section)
{
    fputs("\n| key | value | default | meaning |\n|---|---|---|---|\n", out);
    for (unsigned i = 0; i < option_count; i++)
        if (options[i].section == section)
            put_row(out, &options[i]);
}

void conf_print_reference(FILE *out)
{
    fputs(
        "# Configuration\n\n"
        "One YAML file. Relative paths start at its directory. Times are "
        "written with a unit\n(`s`, `m`, `h`, `d`), sizes too (`B`, `KiB`, "
        "`MiB`, `GiB`, `TiB`). Aliases (`*x`), tags and a second\ndocument "
        "are refused. `sandgate check` tells every mistake with its line and "
        "column;\n[sandgate.example.yaml](sandgate.example.yaml) holds every "
        "key.\n\nThis page and the example are made from `conf/options.def`.\n"
        "\n## Top level\n",
        out);
    put_table(out, SECTION_ROOT);
    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &options[i];

        if (o->kind != KIND_MAP && o->kind != KIND_LIST)
            continue;
        fprintf(out, "\n## %s%s%s\n\n%s%s\n",
                o->section == SECTION_ROOT ? ""
                                           : option_parent(o->section)->key,
                o->section == SECTION_ROOT ? "" : ".", o->key,
                o->kind == KIND_LIST ? "A list; the keys of one entry. " : "",
                o->text);
        put_table(out, o->inner);
    }
}
