# check_net: the tests of net/ and of what lies below it.
