/* mem.h - the one door to memory; tests can count and refuse. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

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

/* How many times memory was not given to this thread since its start: tells
 * a library's "failed" from "no memory". */
unsigned long mem_failures(void);

/* Tests only: refuse this thread's allocation number n counted from now (0 is
 * the next one); -1 refuses none.  Returns how many were asked for since last
 * time. */
long mem_refuse(long n);

#endif
