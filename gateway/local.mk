%C%_PUBLIC =
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libgateway.a
%C%_libgateway_a_SOURCES = $(%C%_PUBLIC)
