# check_base: the tests of base/ and model/.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_base
endif
%C%_check_base_SOURCES = %D%/base_arena.c %D%/base_buf.c \
	%D%/base_clock.c %D%/base_encode.c %D%/base_err.c %D%/base_json.c \
	%D%/base_log.c %D%/base_mem.c %D%/base_str.c %D%/base_ticks.c \
	%D%/model_values.c
%C%_check_base_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_base_LDADD = model/libmodel.a base/libbase.a $(BASE_LIBS) \
	$(CRITERION_LIBS)
