/* scalar.h - one value of the file, checked and stored. */
#ifndef CONF_SCALAR_H
#define CONF_SCALAR_H

#include "conf/option.h"
#include "conf/reading.h"

struct scalar {
    struct str text;
    bool given; /* by the file, else the fallback of the row */
    bool plain; /* written without quotes */
    yaml_mark_t mark;
};

/* Store at to what the row's kind makes of it, or note a mistake. */
void scalar_read(struct reading *r, const struct option *o,
                 const struct scalar *s, void *to);

/* Bytes of one item of a list of that kind. */
size_t scalar_bytes(enum kind kind);

/* How a number of that kind is written, shortest unit form, into out. */
void scalar_text(enum kind kind, int64_t value, char out[32]);

#endif
