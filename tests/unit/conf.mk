# check_conf: the tests of conf/ and of what lies below it.
