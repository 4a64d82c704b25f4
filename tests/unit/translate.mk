# check_translate: the tests of translate/ and of what lies below it.
