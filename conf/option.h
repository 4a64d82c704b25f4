/* option.h - the rows of options.def as a table. */
#ifndef CONF_OPTION_H
#define CONF_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* The mappings of the file. */
enum section {
    SECTION_ROOT,
    SECTION_LISTENER,
    SECTION_CERTIFICATE,
    SECTION_STATUS,
    SECTION_LOG,
    SECTION_BACKEND,
    SECTION_TEMPLATE,
    SECTION_TEAM,
    SECTION_LIMITS,
    SECTION_PREVIEW,
    SECTION_PREVIEW_KEY,
    SECTION_PREVIEW_HOST,
    SECTION_FORWARD_AUTH
};

enum kind {
    KIND_MAP,       /* a section */
    KIND_LIST,      /* a list of sections */
    KIND_FLAG,      /* bool */
    KIND_COUNT,     /* unsigned */
    KIND_NUMBER,    /* int64_t, as are the next two */
    KIND_SECONDS,   /* written with a unit */
    KIND_BYTES,     /* written with a unit */
    KIND_CHOICE,    /* enum or bool of the size of int: index of the word */
    KIND_DOMAIN,    /* struct str, as are the following */
    KIND_HOST,      /* host name or IP address */
    KIND_ADDRESS,   /* IP address */
    KIND_BLOCK,     /* struct address_block, in lists only */
    KIND_NAME,      /* [a-z0-9][a-z0-9_-]* */
    KIND_REFERENCE, /* name at a back end */
    KIND_USER,      /* Linux user */
    KIND_FIELD,     /* name of a header field */
    KIND_WORKDIR,   /* absolute path in a sandbox, or empty */
    KIND_PATH,      /* file whose directory exists */
    KIND_LOG,       /* the same, or "-", or (least 0) empty */
    KIND_READABLE,  /* file that can be read */
    KIND_PRIVATE,   /* the same, by its owner only */
    KIND_SECRET,    /* unsigned char [32], made of the file */
    KIND_SHARED,    /* struct conf_preview: mitos_secret, as the file has it */
    KIND_URL,       /* struct conf_backend: address and port */
    KIND_ASKED      /* struct conf_forward_auth: address, port and path */
};

struct option {
    enum section section;
    const char *key;
    enum kind kind;
    bool must;            /* an error if it is not there */
    bool many;            /* a list of values */
    int64_t least, most;  /* of the value, its bytes, or items of a list */
    const char *fallback; /* as written in the file, or NULL */
    const char *words;    /* of a choice, with spaces between */
    size_t at, count_at;  /* place in the section's struct */
    enum section inner;   /* of MAP and LIST */
    size_t inner_bytes;   /* of one item of a LIST */
    const char *example;  /* or NULL: the fallback */
    const char *text;     /* for people */
};

#define OPTION_MAX 96 /* rows at most, for sets of them */

extern const struct option options[];
extern const unsigned option_count;

/* The row of that key in a section, or NULL. */
const struct option *option_find(enum section section, struct str key);

/* The row whose key is most like what was written, in the section or, spelled
 * exactly so, in another one; NULL when none is near. */
const struct option *option_nearest(enum section section, struct str key);

/* The row of a MAP or LIST whose keys are in that section; NULL for the
 * root. */
const struct option *option_parent(enum section section);

#endif
