%C%_PUBLIC = %D%/key.h %D%/token.h %D%/signature.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libauth.a
%C%_libauth_a_SOURCES = $(%C%_PUBLIC)
