/* mem.c - see mem.h. */
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>

/* Per thread, so that counting needs no lock and a refusal hits whom it was
 * meant for. */
static _Thread_local long asked;       /* tests: since the last mem_refuse() */
static _Thread_local long refuse = -1; /* tests: which one is refused */
static _Thread_local unsigned long failures;
static _Thread_local bool bounded; /* the next one counts */
static _Thread_local long allowed; /* by mem_allow() */
static _Thread_local long left;    /* of them */

static bool may_be_given(size_t size)
{
    if (asked++ == refuse)
        return false;
    return !bounded || size <= MEM_LARGE || (left > 0 && size <= (size_t)left);
}

/* What comes back may never have been filled: it makes no more room than there
 * was when it was measured. */
static void put_back(long bytes)
{
    left = left + bytes < allowed ? left + bytes : allowed;
}

static void *given(void *p)
{
    failures += p == NULL;
    if (bounded)
        left -= (long)malloc_usable_size(p);
    return p;
}

void *mem_new(size_t size)
{
    return given(may_be_given(size) ? calloc(1, size) : NULL);
}

void *mem_malloc(size_t size)
{
    return given(may_be_given(size) ? malloc(size) : NULL);
}

void *mem_realloc(void *old, size_t size)
{
    long before = bounded ? (long)malloc_usable_size(old) : 0;
    void *p = given(may_be_given(size) ? realloc(old, size) : NULL);

    if (p)
        put_back(before);
    return p;
}

void mem_free(void *p)
{
    if (bounded)
        put_back((long)malloc_usable_size(p));
    free(p);
}

bool mem_short(void)
{
    return bounded && left <= 0;
}

void mem_allow(long bytes)
{
    bounded = bytes >= 0;
    left = allowed = bytes;
}

void mem_fill(size_t bytes)
{
    if (bounded)
        left -= (long)bytes;
}

unsigned long mem_failures(void)
{
    return failures;
}

long mem_refuse(long n)
{
    long before = asked;

    asked = 0;
    refuse = n;
    return before;
}
