%C%_PUBLIC = %D%/store.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libstore.a
%C%_libstore_a_SOURCES = $(%C%_PUBLIC)
