# check_auth: the tests of auth/ and of what lies below it.
