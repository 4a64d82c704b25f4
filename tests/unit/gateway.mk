# check_gateway: the tests of gateway/ and of what lies below it.
