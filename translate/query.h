/* query.h - the query of a request target.  For the files of translate/. */
#ifndef TRANSLATE_QUERY_H
#define TRANSLATE_QUERY_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define QUERY_PAIRS_MAX 64

struct query_pair {
    struct str name, value;
};

/* Inside other structs; texts are the arena's and end in a NUL. */
struct query {
    struct query_pair at[QUERY_PAIRS_MAX];
    unsigned count;
};

/*
 * Split text at & and the first =, decode both sides once as a form does (+
 * is a space).  An absent text has no pairs; empty pairs are dropped.
 * Returns false: a bad escape, not UTF-8, a control character, too many
 * pairs, or no memory.
 */
bool query_read(struct str text, struct arena *a, struct query *out);

/* The first value of that name; absent if there is none. */
struct str query_get(const struct query *q, struct str name);

/*
 * The `metadata` filter of lists, once decoded as a query's value: pairs as
 * in query_read(), and each side percent-decoded once more.  Source:
 * e2b-control-plane.md 8.3 (three layers).
 */
bool query_read_metadata(struct str text, struct arena *a, struct query *out);

/*
 * The decoded value of one name, as the sandbox's daemon reads it: a pair with
 * a bad escape or a semicolon counts as absent; twice is set when the name
 * comes more than once.  Source: e2b-data-plane.md 4.1, 4.5.
 * query  raw; may be absent.  Absent if the name is not there.
 */
struct str query_value(struct str query, struct str name, struct arena *a,
                       bool *twice);

#endif
