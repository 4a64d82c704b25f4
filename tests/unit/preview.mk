# check_preview: the tests of preview/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_preview
endif
%C%_check_preview_SOURCES = %D%/preview_make.h %D%/preview_make.c \
	%D%/preview_token.c %D%/preview_check.c \
	%D%/preview_cookie.c %D%/preview_target.c %D%/preview_host.c \
	%D%/preview_page.c %D%/preview_scope.c
%C%_check_preview_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_preview_LDADD = preview/libpreview.a conf/libconf.a \
	model/libmodel.a base/libbase.a $(CONF_LIBS) $(BASE_LIBS) \
	$(CRITERION_LIBS)
