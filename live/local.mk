%C%_PUBLIC =
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/liblive.a
%C%_liblive_a_SOURCES = $(%C%_PUBLIC)
