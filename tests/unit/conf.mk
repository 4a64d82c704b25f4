# check_conf: the tests of conf/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_conf
endif
%C%_check_conf_SOURCES = %D%/conf_file.c %D%/conf_file.h %D%/conf_load.c \
	%D%/conf_option.c %D%/conf_preview.c
%C%_check_conf_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS) \
	-DTOP_SRCDIR='"$(abs_top_srcdir)"'
%C%_check_conf_LDADD = conf/libconf.a model/libmodel.a base/libbase.a \
	$(CONF_LIBS) $(BASE_LIBS) $(CRITERION_LIBS)
