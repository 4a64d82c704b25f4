# check_live: the tests of live/ and of what lies below it.
