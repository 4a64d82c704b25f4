# check_base: the tests of base/ and model/.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_base
endif
%C%_check_base_SOURCES = %D%/base_err.c
%C%_check_base_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_base_LDADD = model/libmodel.a base/libbase.a $(BASE_LIBS) \
	$(CRITERION_LIBS)
