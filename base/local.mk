%C%_PUBLIC = %D%/err.h %D%/err.def %D%/mem.h %D%/clock.h %D%/str.h \
	%D%/arena.h %D%/buf.h %D%/fields.h %D%/encode.h %D%/json.h \
	%D%/log.h %D%/random.h %D%/list.h %D%/ticks.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libbase.a
%C%_libbase_a_SOURCES = $(%C%_PUBLIC) %D%/err.c %D%/mem.c \
	%D%/arena.c %D%/buf.c %D%/clock.c %D%/clock_text.c %D%/encode.c \
	%D%/fields.c %D%/json.c %D%/log.c %D%/random.c %D%/str.c %D%/ticks.c
