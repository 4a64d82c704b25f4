/* mem.h - the one door to memory; tests can count and refuse. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed memory for one object of size bytes, or NULL.  Given: mem_free(). */
void *mem_new(size_t size);

/* malloc() for what is written before it is read, and for libraries that
 * take an allocator (libevent, jansson).  Given: mem_free(). */
void *mem_malloc(size_t size);

/* realloc() likewise; old may be NULL. */
void *mem_realloc(void *old, size_t size);

/* Taken: what the functions above gave, or NULL. */
void mem_free(void *p);

/*
 * From now on this thread may take that many bytes more than it gives back.
 * Pieces larger than MEM_LARGE must fit in what is left of them, others are
 * given all the same: without those no stream goes on.  Negative: there is no
 * bound.  Whoever measures how much there is says it anew from time to time.
 */
void mem_allow(long bytes);

#define MEM_LARGE ((size_t)192 << 10) /* of what is collected whole */

/* So much of what was given before is filled now: a large piece has no pages
 * until then. */
void mem_fill(size_t bytes);

/* Is nothing left of them?  Who collects should give up. */
bool mem_short(void);

/* How many times memory was not given to this thread since its start: tells
 * a library's "failed" from "no memory". */
unsigned long mem_failures(void);

/* Tests only: refuse this thread's allocation number n counted from now (0 is
 * the next one); -1 refuses none.  Returns how many were asked for since last
 * time. */
long mem_refuse(long n);

#endif
