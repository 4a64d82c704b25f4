%C%_PUBLIC = %D%/conf.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libconf.a
%C%_libconf_a_SOURCES = $(%C%_PUBLIC)
