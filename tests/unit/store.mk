# check_store: the tests of store/ and of what lies below it.
