#include <criterion/criterion.h>

#include "base/mem.h"
#include "gateway/quota.h"

Test(quota, counts_the_open_requests_of_each_key)
{
    static struct quota_row *rows[QUOTA_OPEN_MAX];
    struct quota_row *other, *more;
    struct quota q;

    quota_init(&q);
    for (unsigned i = 0; i < QUOTA_OPEN_MAX - 1; i++)
        cr_assert_eq(quota_take(&q, 7, &rows[i]), E_OK);
    cr_expect_eq(quota_take(&q, 7, &rows[QUOTA_OPEN_MAX - 1]), E_OK, "limit");
    cr_expect_eq(quota_take(&q, 7, &more), E_QUOTA, "limit + 1");
    cr_expect_null(more);
    /* Another key of the same bucket. */
    cr_expect_eq(quota_take(&q, 7 + QUOTA_BUCKETS, &other), E_OK);
    quota_give(&other);
    quota_give(&rows[0]);
    cr_expect_null(rows[0]);
    cr_expect_eq(quota_take(&q, 7, &rows[0]), E_OK, "one went");
    for (unsigned i = 0; i < QUOTA_OPEN_MAX; i++)
        quota_give(&rows[i]);
    cr_expect(list_empty(&q.buckets[7]));
    quota_give(&rows[0]);
}

Test(quota, tells_that_there_is_no_memory)
{
    struct quota_row *row;
    struct quota q;

    quota_init(&q);
    mem_refuse(0);
    cr_expect_eq(quota_take(&q, 1, &row), E_NOMEM);
    mem_refuse(-1);
    cr_expect_null(row);
    cr_expect(list_empty(&q.buckets[1]));
}
