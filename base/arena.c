/* arena.c - see arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

/* Under the sanitizer what is not handed out is poisoned, and a gap lies
 * between two pieces, so that writing past one is seen. */
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#define GAP 16
#else
#define GAP 0
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN 16
#define TEXT_ALIGN (GAP ? 8 : 1) /* the sanitizer marks 8 bytes at a time */
#define FIRST_BYTES 4096
#define BLOCK_MAX_BYTES 65536

struct block {
    struct block *next; /* owned */
    _Alignas(ALIGN) char p[];
};

struct arena {
    char *at, *end;    /* free part of the newest block */
    size_t used_bytes; /* at most max_bytes */
    size_t max_bytes;
    size_t block_bytes;   /* of the next block */
    struct block *blocks; /* owned; newest first, without the first one */
    _Alignas(ALIGN) char first[FIRST_BYTES];
};

static void rewind_first(struct arena *a)
{
    a->at = a->first;
    a->end = a->first + sizeof(a->first);
    a->used_bytes = 0;
    a->block_bytes = 2 * (size_t)FIRST_BYTES;
    ASAN_POISON_MEMORY_REGION(a->first, sizeof(a->first));
}

enum err arena_new(size_t max_bytes, struct arena **out)
{
    struct arena *a = *out = mem_malloc(sizeof(*a));

    if (!a)
        return E_NOMEM;
    a->max_bytes = max_bytes;
    a->blocks = NULL;
    rewind_first(a);
    return E_OK;
}

/* One more block of that many bytes; its place, or NULL. */
static char *add_block(struct arena *a, size_t bytes)
{
    struct block *block = mem_malloc(sizeof(*block) + bytes);

    if (!block)
        return NULL;
    block->next = a->blocks;
    a->blocks = block;
    ASAN_POISON_MEMORY_REGION(block->p, bytes);
    return block->p;
}

/* Place for size bytes where the newest block has no room. */
static char *grow(struct arena *a, size_t size)
{
    char *p;

    /* A large piece gets a block of its own; the newest one stays in use. */
    if (size + GAP > a->block_bytes / 2)
        return add_block(a, size + GAP);
    p = add_block(a, a->block_bytes);
    if (!p)
        return NULL;
    a->at = p + size + GAP;
    a->end = p + a->block_bytes;
    if (a->block_bytes < BLOCK_MAX_BYTES)
        a->block_bytes *= 2;
    return p;
}

static void *take(struct arena *a, size_t size, size_t align)
{
    size_t skip = -(size_t)(uintptr_t)a->at & (align - 1);
    size_t left = a->max_bytes - a->used_bytes;
    char *p;

    if (size > left || size > SIZE_MAX / 2)
        return NULL;
    if (skip + size + GAP <= (size_t)(a->end - a->at)) {
        p = a->at + skip;
        a->at = p + size + GAP;
    } else {
        skip = 0;
        p = grow(a, size);
        if (!p)
            return NULL;
    }
    /* What alignment costs is counted, but never refuses what is asked. */
    a->used_bytes += skip + size < left ? skip + size : left;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return take(a, size, ALIGN);
}

void *arena_new_zero(struct arena *a, size_t size)
{
    void *p = take(a, size, ALIGN);

    return p ? memset(p, 0, size) : NULL;
}

struct str arena_copy(struct arena *a, struct str s)
{
    char *p = s.p && s.n < SIZE_MAX ? take(a, s.n + 1, TEXT_ALIGN) : NULL;

    if (!p)
        return STR_NONE;
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_from(p, s.n);
}

struct str arena_text(struct arena *a, const char *format, ...)
{
    va_list args;
    char *p;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    p = n < 0 ? NULL : take(a, (size_t)n + 1, TEXT_ALIGN);
    if (!p)
        return STR_NONE;
    va_start(args, format);
    vsnprintf(p, (size_t)n + 1, format, args);
    va_end(args);
    return str_from(p, (size_t)n);
}

size_t arena_used(const struct arena *a)
{
    return a->used_bytes;
}

void arena_reset(struct arena *a)
{
    while (a->blocks) {
        struct block *block = a->blocks;

        a->blocks = block->next;
        mem_free(block);
    }
    rewind_first(a);
}

void arena_free(struct arena **a)
{
    if (!*a)
        return;
    arena_reset(*a);
    ASAN_UNPOISON_MEMORY_REGION((*a)->first, sizeof((*a)->first));
    mem_free(*a);
    *a = NULL;
}
