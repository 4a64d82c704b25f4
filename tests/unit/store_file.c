/* What the writer's thread does, done by the test itself: memory can be
 * refused to it here. */
#include "store/file.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/mem.h"
#include "store/apply.h"
#include "store/unit.h"
#include "tests/unit/store_place.h"

TestSuite(store_file, .init = place_make, .fini = place_remove);

static void fill(unsigned first_byte)
{
    struct sandbox row = place_sandbox("ia");
    struct key k = place_key((unsigned char)first_byte);
    struct key gone = {.number = first_byte, .revoked_ms = 5};
    struct change revoke = {.kind = CHANGE_REVOKE_KEY, .key = &gone};
    struct change drop = {.kind = CHANGE_DROP_SANDBOX, .sandbox = &row};
    struct store *s = place_open();

    cr_assert_eq(place_put(s, &row), E_OK);
    cr_assert_eq(place_commit(s, &drop, 1), E_OK);
    row.id = STR("ib");
    cr_assert_eq(place_put(s, &row), E_OK);
    cr_assert_eq(place_put_key(s, &k), E_OK);
    cr_assert_eq(place_commit(s, &revoke, 1), E_OK);
    store_close(&s);
}

Test(store_file, tells_all_rows_or_fails_when_memory_is_refused)
{
    struct file f;
    struct batch *b;
    enum err err = E_NOMEM;
    long n = 0;

    fill(1);
    while (mem_refuse(n), (err = store_file_init(&f, str_of(place_path))),
           mem_refuse(-1), err != E_OK)
        cr_assert_lt(n++, 10);
    for (n = 0, err = E_NOMEM; err != E_OK; n++) {
        b = store_batch_new();
        mem_refuse(n);
        err = store_file_open(&f, b);
        mem_refuse(-1);
        cr_assert_lt(n, 50);
        cr_expect(err == E_OK || (b->row_count == 0 && !b->known));
        if (err == E_OK)
            break;
        store_batch_free(&b);
    }
    cr_expect_gt(n, 3);
    cr_expect(b->known);
    cr_expect_eq(b->row_count, 2);
    store_batch_free(&b);

    fill(2); /* as another process */
    for (n = 0, err = E_NOMEM; err != E_OK; n++) {
        b = store_batch_new();
        mem_refuse(n);
        err = store_file_look(&f, b);
        mem_refuse(-1);
        cr_assert_lt(n, 50);
        cr_expect(err == E_OK || b->row_count == 0);
        if (err == E_OK)
            break;
        store_batch_free(&b);
    }
    cr_expect_gt(n, 3);
    cr_expect_not(b->reset, "the newer ones only");
    cr_expect_eq(b->row_count, 3, "a deletion, a sandbox, a key");
    store_batch_free(&b);
    store_file_clear(&f);
}

/* The whole transaction with a refusal at each place; every failure leaves
 * the file as it was. */
Test(store_file, undoes_a_transaction_when_memory_is_refused)
{
    struct key k = place_key(1);
    struct change unit[] = {{.kind = CHANGE_PUT_KEY, .key = &k},
                            {.kind = CHANGE_REVOKE_KEY, .key = &k}};
    struct file f;
    struct batch *b = store_batch_new();
    enum err err = E_NOMEM;
    const char *why;
    struct unit *u;

    cr_assert_eq(store_file_init(&f, str_of(place_path)), E_OK);
    cr_assert_eq(store_file_open(&f, b), E_OK);
    store_batch_free(&b);
    k.number = 1;
    k.revoked_ms = 9;
    for (long n = 0; err != E_OK; n++) {
        b = store_batch_new();
        cr_assert_eq(store_unit_new(unit, 2, &why, &u), E_OK);
        list_push(&b->units, &u->link);
        cr_assert_eq(store_file_begin(&f, b), E_OK);
        mem_refuse(n);
        err = store_apply(&f, u);
        mem_refuse(-1);
        if (err == E_OK)
            err = store_file_commit(&f, b);
        else
            store_file_undo(&f, b);
        cr_expect_eq(place_number("SELECT count(*) FROM api_key"), err == E_OK);
        cr_assert_lt(n, 20);
        store_batch_free(&b);
    }
    store_file_clear(&f);
}
