/* arena.h - memory that is given back all at once. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct arena;

/*
 * An arena that never hands out more than max_bytes (what alignment costs is
 * counted too); its first block (4 KiB) comes with it.
 * out  given: arena_free().
 * Errors: E_NOMEM; *out is NULL then.
 */
MUST_USE enum err arena_new(size_t max_bytes, struct arena **out);

/* Aligned, not zeroed; NULL when memory or the maximum is used up. */
void *arena_alloc(struct arena *a, size_t size);

/* The same, zeroed. */
void *arena_new_zero(struct arena *a, size_t size);

/* A copy that ends in a NUL behind its n bytes; absent on failure, and the
 * copy of what is absent. */
struct str arena_copy(struct arena *a, struct str s);

/* printf into the arena (NUL behind); absent on failure. */
__attribute__((format(printf, 2, 3))) struct str
arena_text(struct arena *a, const char *format, ...);

/* Bytes handed out since arena_new() or arena_reset(). */
size_t arena_used(const struct arena *a);

/* All that was handed out becomes invalid; the first block stays. */
void arena_reset(struct arena *a);

/* Taken: free and set *a to NULL; *a may be NULL. */
void arena_free(struct arena **a);

#endif
