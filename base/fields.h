/* fields.h - a list of header fields in wire order. */
#ifndef BASE_FIELDS_H
#define BASE_FIELDS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct field {
    struct str name; /* borrowed or arena; as it came, case kept */
    struct str value;
};

/* Inside other structs; zero is an empty list.  The rows are of the arena. */
struct fields {
    struct field *at;
    unsigned count;
    unsigned room;
};

/* Append; the texts are borrowed (copy them first if they would not live as
 * long).  Errors: E_NOMEM. */
MUST_USE enum err fields_add(struct fields *f, struct arena *a, struct str name,
                             struct str value);

/* Value of the first field of that name (case of ASCII letters ignored), or
 * absent. */
struct str fields_get(const struct fields *f, struct str name);

/* How many fields have that name. */
unsigned fields_count(const struct fields *f, struct str name);

/* Remove every field of that name; returns how many there were. */
unsigned fields_remove(struct fields *f, struct str name);

/* Is the token one of the comma separated list in any field of that name?
 * Case ignored.  Source: RFC 9110 5.6.1. */
bool fields_has_token(const struct fields *f, struct str name,
                      struct str token);

#endif
