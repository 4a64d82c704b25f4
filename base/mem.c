/* mem.c - see mem.h. */
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>

static long asked;       /* tests: since the last mem_refuse() */
static long refuse = -1; /* tests: which one is refused */

static bool refused(void)
{
    return asked++ == refuse;
}

void *mem_new(size_t size)
{
    return refused() ? NULL : calloc(1, size);
}

void *mem_malloc(size_t size)
{
    return refused() ? NULL : malloc(size);
}

void *mem_realloc(void *old, size_t size)
{
    return refused() ? NULL : realloc(old, size);
}

void mem_free(void *p)
{
    free(p);
}

long mem_refuse(long n)
{
    long before = asked;

    asked = 0;
    refuse = n;
    return before;
}
