/* store_place.h - a directory for one test, and rows to put into a store. */
#ifndef TESTS_UNIT_STORE_PLACE_H
#define TESTS_UNIT_STORE_PLACE_H

#include "store/store.h"

/* What `done` was told; put it in as arg. */
struct outcome {
    unsigned times;
    enum err err;
};

extern char place_path[64]; /* of the store in the test's directory */

/* As .init and .fini of a suite. */
void place_make(void);
void place_remove(void);

/* Path of a file beside the store; static. */
const char *place_beside(const char *end);

/* The store opened; the test fails where it cannot be. */
struct store *place_open(void);

/* SQL run by a connection of its own; the test fails where it cannot be. */
void place_sql(const char *text);

/* The first number that the SQL gives. */
long long place_number(const char *text);

/* The file passes SQLite's own check. */
void place_check(void);

/* A row for every field. */
struct sandbox place_sandbox(const char *id);
struct key place_key(unsigned char first_byte);
struct idempotency place_idempotency(const char *key, int64_t at_ms);

/* Note the outcome in arg. */
void place_done(void *arg, enum err err);

/* Commit, flush, and say what became of it. */
enum err place_commit(struct store *s, const struct change *changes,
                      unsigned count);
enum err place_put(struct store *s, const struct sandbox *sandbox);
enum err place_put_key(struct store *s, const struct key *key);

/* What the store says of that id. */
enum found place_find(struct store *s, const char *id);
enum found place_find_key(struct store *s, const struct key *key);

/* Wait until the store has something to tell, and take it. */
void place_await(struct store *s);

/* Look now, and have what was seen. */
void place_look(struct store *s);

#endif
