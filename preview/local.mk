%C%_PUBLIC = %D%/token.h %D%/check.h %D%/cookie.h %D%/target.h %D%/host.h \
	%D%/page.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libpreview.a
%C%_libpreview_a_SOURCES = $(%C%_PUBLIC) %D%/seal.h %D%/seal.c %D%/token.c \
	%D%/scope.h %D%/scope.c %D%/cookie.c %D%/target.c %D%/host.c \
	%D%/check.c %D%/page.c
