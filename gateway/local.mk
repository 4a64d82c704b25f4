%C%_PUBLIC = %D%/gateway.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libgateway.a
%C%_libgateway_a_SOURCES = %D%/route.c %D%/route.h %D%/answer.c %D%/answer.h \
	%D%/answer.def
