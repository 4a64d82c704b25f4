%C%_PUBLIC = %D%/conf.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libconf.a
%C%_libconf_a_SOURCES = $(%C%_PUBLIC) %D%/conf.c %D%/conf_find.c %D%/conf_print.c \
	%D%/named.c %D%/named.h %D%/option.c %D%/option.h %D%/options.def \
	%D%/reading.c %D%/reading.h %D%/refer.c %D%/refer.h %D%/scalar.c \
	%D%/scalar.h %D%/tree.c %D%/tree.h %D%/walk.c %D%/walk.h
