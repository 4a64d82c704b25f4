/* store.h - the records: read from memory, written durably.  Knows no HTTP.
 *
 * One writer thread owns the SQLite file (WAL, synchronous=FULL) and is known
 * to store/ alone.  Reads answer from memory and never wait. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "model/key.h"
#include "model/link.h"
#include "model/sandbox.h"

struct store;

/* Never a bool: "never say gone when it is unknown" is a type that
 * -Wswitch-enum checks. */
enum found { FOUND, ABSENT, UNKNOWN };

/* So long an idempotency row counts. */
#define STORE_IDEMPOTENCY_MS (24LL * 60 * 60 * 1000)

/* The outcome of creating by an Idempotency-Key. */
struct idempotency {
    struct str team;
    struct str key;
    unsigned char request[32]; /* hash of the request's body */
    struct str sandbox;        /* id that the create used */
    int64_t at_ms;             /* wall; rows are dropped after 24 h */
    bool done;                 /* answered 201; else running or lost */
};

enum change_kind {
    CHANGE_PUT_SANDBOX,     /* insert, or replace the row of that id */
    CHANGE_DROP_SANDBOX,    /* remove the row of sandbox->id */
    CHANGE_PUT_KEY,         /* insert; number 0: the store gives the next one;
                             * E_CONFLICT when number or hash are there */
    CHANGE_REVOKE_KEY,      /* key->number, key->revoked_ms; E_CONFLICT when
                             * there is none; the first time stays */
    CHANGE_PUT_IDEMPOTENCY, /* insert or replace */
    CHANGE_DROP_IDEMPOTENCY,
    CHANGE_PUT_LINK,    /* insert; E_CONFLICT when the id is there, or its
                         * sandbox is not running in that life */
    CHANGE_REVOKE_LINK, /* link->id, link->revoked_ms; E_CONFLICT when there
                         * is none; the first time stays */
    CHANGE_REVOKE_LINKS_BEFORE, /* link->sandbox: all made before
                                 * link->revoked_ms; the latest time stays,
                                 * longer than the sandbox and any such link;
                                 * E_CONFLICT when there is no such sandbox */
    CHANGE_USE_LINK             /* store_use_link()'s own */
};

/* One change of one row.  What it points to is copied by store_commit(). */
struct change {
    enum change_kind kind;
    const struct sandbox *sandbox;
    const struct key *key;
    const struct idempotency *idempotency;
    const struct link *link;
    /* CHANGE_PUT_SANDBOX and DROP: must hold for the present row, or the
     * whole commit fails with E_CONFLICT.  IF_ABSENT also for
     * CHANGE_PUT_IDEMPOTENCY: no row, or one that no longer counts. */
    enum { IF_ANY, IF_ABSENT, IF_STATE } condition;
    enum sandbox_state if_state; /* IF_STATE: and the same life */
    uint64_t if_life;
};

/* done runs in store_turn(), never inside store_commit(), and exactly once;
 * for what is still queued then, in store_close().  It may call all of these
 * but store_turn(), store_flush() and store_close(). */
typedef void store_done(void *arg, enum err err);

/*
 * Open (and make, mode 0600) the file, read all rows, start the thread.
 * An SQLite file that cannot be read: E_STORE, with the reason logged.
 * A file whose marker row is missing although the marker file beside it says
 * that it once had rows opens in the state UNKNOWN: every find is UNKNOWN
 * and every commit E_STORE (threats.md S-03).  So does one that vanishes or
 * is replaced while it is open, but what is remembered still counts for 60 s
 * (keys) or 300 s (the rest).  The file is looked for every second, and read
 * anew when it is there.
 *
 * out  given: store_close()
 * Errors: E_STORE, E_SYSTEM, E_NOMEM.
 */
MUST_USE enum err store_open(struct str path, struct store **out);

/* Becomes readable when store_turn() has something to do. */
int store_fd(const struct store *s);

/* Take what the thread has done: memory is brought up to date, done
 * functions run.  Call when store_fd() is readable. */
void store_turn(struct store *s);

/* out: borrowed until the next store_turn(); sandbox_ref() to keep it.  NULL
 * unless FOUND.  Rows in every state are found; a row that is not believed
 * (threats.md S-01) is UNKNOWN. */
enum found store_find_sandbox(struct store *s, struct str id,
                              const struct sandbox **out);

/* The key of that hash; a revoked one is ABSENT.  *out by value. */
enum found store_find_key(struct store *s,
                          const unsigned char hash[KEY_HASH_BYTES],
                          struct key *out);

/* out: borrowed until the next store_turn(). */
enum found store_find_idempotency(struct store *s, struct str team,
                                  struct str key,
                                  const struct idempotency **out);

/*
 * The link of that id, by value; a revoked one is FOUND, with its revoked_ms
 * (also when all of its sandbox before a time were).  uses counts what is not
 * on the disk yet.  Links go with the record of their sandbox, and some time
 * after they have expired: one that is ABSENT opens nothing.
 */
enum found store_find_link(struct store *s, struct str id, struct link *out);

/* Wall time before which every link of the sandbox is revoked; ABSENT and 0:
 * none was ever.  For tokens that have no record. */
enum found store_find_before(struct store *s, struct str sandbox,
                             int64_t *before_ms);

/* Every link of a sandbox, the newest first, as of store_find_link(); in the
 * arena.  UNKNOWN likewise as for sandboxes. */
enum found store_list_links(struct store *s, struct str sandbox,
                            struct arena *a, const struct link **out,
                            unsigned *count);

/*
 * Count one use of a link with uses_max, before it is answered.  It counts
 * here at once, and on the disk soon after: a crash may forget the uses of its
 * last moment, and another process hears of them within 1 s.
 *
 * Errors: E_TOKEN_EXPIRED (used up), E_TOKEN_REVOKED (no such link, or
 * revoked), E_STORE, E_FULL, E_NOMEM: nothing was counted.
 */
MUST_USE enum err store_use_link(struct store *s, struct str id);

/* Every sandbox row (of team, or of all when team is absent), in no order,
 * as an array in the arena: borrowed until the next store_turn().  Returns
 * UNKNOWN (and nothing) when the store cannot tell. */
enum found store_list_sandboxes(struct store *s, struct str team,
                                struct arena *a, const struct sandbox ***out,
                                unsigned *count);

/* How many rows of sandboxes the team has, in every state.  UNKNOWN when the
 * store cannot tell. */
enum found store_count_sandboxes(struct store *s, struct str team,
                                 unsigned *count);

/* Every key row, newest last, likewise. */
enum found store_list_keys(struct store *s, struct arena *a,
                           const struct key **out, unsigned *count);

/*
 * Queue the changes as one unit; done is called when they are durable (E_OK)
 * or have failed as a whole (E_CONFLICT, E_STORE).  Memory shows them just
 * before done(E_OK) runs.  Nothing may be answered to a client before.
 *
 * changes  borrowed during the call
 * done     may be NULL
 *
 * Errors (done is not called then): E_FULL (4096 changes wait), E_STORE,
 * E_NOMEM, E_RANGE (a value that would not be believed when it is read: our
 * mistake, logged).
 */
MUST_USE enum err store_commit(struct store *s, const struct change *changes,
                               unsigned count, store_done *done, void *arg);

/* For the CLI: run store_turn() until nothing is queued (looks included), at
 * most ms.  Errors: E_DEADLINE. */
MUST_USE enum err store_flush(struct store *s, int ms);

/* Another process' writes are seen within 1 s; this has the thread look at
 * once, and store_turn() has what it saw. */
void store_look(struct store *s);

/* Taken: waits for the queue to be written, joins the thread; *s is NULL. */
void store_close(struct store **s);

#endif
