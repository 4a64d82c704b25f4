%C%_PUBLIC = %D%/key.h %D%/token.h %D%/signature.h %D%/limiter.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libauth.a
%C%_libauth_a_SOURCES = $(%C%_PUBLIC) %D%/key.c %D%/token.c %D%/signature.c \
	%D%/limiter.c
