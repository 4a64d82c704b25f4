/* record.h - one row in memory, of any kind. */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "model/key.h"
#include "store/store.h"

enum record_kind {
    RECORD_SANDBOX,     /* named by its id */
    RECORD_KEY,         /* named by its hash */
    RECORD_IDEMPOTENCY, /* named by team, NUL, key */
    RECORD_LINK,        /* named by its id */
    RECORD_BEFORE,      /* named by a sandbox: its links of before a time */
    RECORD_KINDS
};

enum record_what {
    RECORD_ROW,    /* as it stands in the file */
    RECORD_BAD,    /* there, but not believed: nothing can be said */
    RECORD_GONE,   /* there no longer; only in a batch */
    RECORD_EXPIRED /* all of the kind from before before_ms are gone */
};

/* Bytes of an Idempotency-Key. */
#define RECORD_WORD_MAX 255
/* Bytes of the longest name. */
#define RECORD_NAME_MAX (64 + 1 + RECORD_WORD_MAX)

struct record {
    struct record *next; /* in a slot of a table, or in a batch; owned */
    uint64_t hash;       /* of the name; the table's */
    enum record_kind kind;
    enum record_what what;
    struct str name;                   /* lies in the record */
    union {                            /* of a RECORD_ROW, by kind */
        const struct sandbox *sandbox; /* owned: one count */
        struct key key;
        struct idempotency idempotency; /* texts lie behind */
        struct {
            struct link *link; /* lies behind */
            uint32_t pending;  /* uses on their way to the disk */
        } linked;
        int64_t revoked_before_ms; /* RECORD_BEFORE */
        int64_t before_ms;         /* RECORD_EXPIRED */
    };
};

/* A record with a copy of the row.  out given: store_record_free(); NULL on
 * error.  Errors: E_NOMEM. */
MUST_USE enum err store_record_sandbox(const struct sandbox *s,
                                       struct record **out);
MUST_USE enum err store_record_key(const struct key *k, struct record **out);
MUST_USE enum err store_record_idempotency(const struct idempotency *i,
                                           struct record **out);

MUST_USE enum err store_record_link(const struct link *l, struct record **out);
MUST_USE enum err store_record_before(struct str sandbox, int64_t before_ms,
                                      struct record **out);

/* A record that is a name only.  As above. */
MUST_USE enum err store_record_name(enum record_kind kind,
                                    enum record_what what, struct str name,
                                    struct record **out);

/* Write the name of an idempotency row; absent when it can have none. */
struct str store_record_join(struct str team, struct str key,
                             char out[RECORD_NAME_MAX]);

/* Taken, may be NULL; *r becomes NULL.  What follows it is left alone. */
void store_record_free(struct record **r);

#endif
