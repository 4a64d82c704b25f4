%C%_PUBLIC =
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libtranslate.a
%C%_libtranslate_a_SOURCES = $(%C%_PUBLIC)
