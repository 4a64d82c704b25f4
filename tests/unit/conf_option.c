#include <criterion/criterion.h>

#include "conf/option.h"

Test(option, finds_the_key_that_was_meant)
{
    static const struct {
        enum section section;
        const char *key, *near;
    } rows[] = {
        {SECTION_ROOT, "domian", "domain"},
        {SECTION_ROOT, "listner", "listeners"},
        {SECTION_ROOT, "Store", "store"},
        {SECTION_ROOT, "timeout_max", "timeout_max"},
        {SECTION_ROOT, "s", NULL},
        {SECTION_ROOT, "", NULL},
        {SECTION_ROOT, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         NULL},
        {SECTION_LISTENER, "ports", "port"},
        {SECTION_LISTENER, "tsl", "tls"},
        {SECTION_LIMITS, "drian", "drain"},
        {SECTION_LIMITS, "head-timeout", "head_timeout"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct option *o =
            option_nearest(rows[i].section, str_of(rows[i].key));

        cr_expect_eq(o != NULL, rows[i].near != NULL, "%s", rows[i].key);
        if (o && rows[i].near)
            cr_expect_str_eq(o->key, rows[i].near);
    }
}

Test(option, every_row_is_whole)
{
    for (unsigned i = 0; i < option_count; i++) {
        const struct option *o = &options[i];

        cr_expect_eq(option_find(o->section, str_of(o->key)), o, "%s", o->key);
        cr_expect_gt(strlen(o->text), 0, "%s", o->key);
        if (o->kind == KIND_MAP || o->kind == KIND_LIST)
            cr_expect_eq(option_parent(o->inner), o, "%s", o->key);
        else
            cr_expect(o->must ? o->fallback == NULL && o->example
                              : o->fallback != NULL,
                      "%s", o->key);
    }
}
