/* mem.c - see mem.h. */
#include "base/mem.h"

#include <stdlib.h>

/* Per thread, so that counting needs no lock and a refusal hits whom it was
 * meant for. */
static _Thread_local long asked;       /* tests: since the last mem_refuse() */
static _Thread_local long refuse = -1; /* tests: which one is refused */
static _Thread_local unsigned long failures;

static void *given(void *p)
{
    failures += p == NULL;
    return p;
}

void *mem_new(size_t size)
{
    return given(asked++ == refuse ? NULL : calloc(1, size));
}

void *mem_malloc(size_t size)
{
    return given(asked++ == refuse ? NULL : malloc(size));
}

void *mem_realloc(void *old, size_t size)
{
    return given(asked++ == refuse ? NULL : realloc(old, size));
}

void mem_free(void *p)
{
    free(p);
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
