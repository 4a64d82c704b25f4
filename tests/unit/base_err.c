#include <criterion/criterion.h>

#include "base/err.h"

Test(err, has_a_name_and_a_text_for_every_row)
{
    for (int e = 0; e < E_COUNT; e++) {
        cr_expect_neq(err_name((enum err)e)[0], '\0');
        cr_expect_neq(err_text((enum err)e)[0], '\0');
    }
}
