/* reading.h - what the parts share while one file is read. */
#ifndef CONF_READING_H
#define CONF_READING_H

#include <stdbool.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/str.h"
#include "conf/conf.h"

/* After so many mistakes a file is another file. */
#define READING_MISTAKES_MAX 1000

struct mistake {
    unsigned line, column; /* from 1 */
    unsigned number;       /* in the order in which they were found */
    const char *what;      /* of the scratch arena */
    bool warning;          /* no mistake, but to be known */
};

struct reading {
    struct conf *conf;         /* borrowed: what is being made */
    struct arena *scratch;     /* owned: what ends with the reading */
    struct str folder;         /* of the file, with its / ; or empty */
    yaml_document_t *document; /* borrowed; NULL before the walk */
    struct mistake *mistakes;  /* of the scratch arena */
    unsigned mistake_count;    /* of all rows */
    unsigned warning_count;    /* of those that are no mistakes */
    bool no_memory;
};

/* Note a mistake at that place. */
__attribute__((format(printf, 3, 4))) void
reading_say(struct reading *r, yaml_mark_t mark, const char *format, ...);

/* Note what is no mistake, but should be known. */
__attribute__((format(printf, 3, 4))) void
reading_warn(struct reading *r, yaml_mark_t mark, const char *format, ...);

/* A copy that lives as long as the configuration; absent without memory. */
struct str reading_keep(struct reading *r, struct str text);

/* A path as the file means it: its own directory stands before a relative
 * one.  Lives as the above. */
struct str reading_path(struct reading *r, struct str path);

/* Where key of item number index of a list of the file stands, or the item
 * if the key is not there. */
yaml_mark_t reading_mark(const struct reading *r, const char *list,
                         unsigned index, const char *key);

/* Tell what was noted, in the order of the file. */
void reading_report(struct reading *r, struct conf_report *report);

#endif
