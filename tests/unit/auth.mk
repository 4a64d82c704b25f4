# check_auth: the tests of auth/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_auth
endif
%C%_check_auth_SOURCES = %D%/auth_key.c %D%/auth_token.c \
	%D%/auth_signature.c %D%/auth_limiter.c
%C%_check_auth_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_auth_LDADD = auth/libauth.a model/libmodel.a base/libbase.a \
	$(BASE_LIBS) $(CRITERION_LIBS)
