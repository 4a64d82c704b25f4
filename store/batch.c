/* batch.c - see batch.h. */
#include "store/batch.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "store/unit.h"

struct batch *store_batch_new(void)
{
    struct batch *b = mem_new(sizeof(*b));

    if (!b)
        return NULL;
    b->rows_end = &b->rows;
    list_init(&b->units);
    return b;
}

void store_batch_add(struct batch *b, struct record *r)
{
    r->next = NULL;
    *b->rows_end = r;
    b->rows_end = &r->next;
    b->row_count++;
}

void store_batch_forget(struct batch *b)
{
    while (b->rows) {
        struct record *r = b->rows;

        b->rows = r->next;
        store_record_free(&r);
    }
    b->rows_end = &b->rows;
    b->row_count = 0;
    b->reset = false;
}

void store_batch_note(struct batch *b, enum log_level level, const char *format,
                      ...)
{
    va_list args;

    if (b->note[0] && level <= b->level)
        return;
    b->level = level;
    va_start(args, format);
    vsnprintf(b->note, sizeof(b->note), format, args);
    va_end(args);
}

void store_batch_free(struct batch **b)
{
    struct list *link;

    if (!*b)
        return;
    store_batch_forget(*b);
    while ((link = list_pop(&(*b)->units))) {
        struct unit *u = LIST_OF(link, struct unit, link);

        store_unit_free(&u);
    }
    mem_free(*b);
    *b = NULL;
}
