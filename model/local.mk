%C%_PUBLIC = %D%/head.h %D%/sandbox.h %D%/identity.h %D%/key.h \
	%D%/link.h %D%/address.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libmodel.a
%C%_libmodel_a_SOURCES = $(%C%_PUBLIC) %D%/head.c %D%/identity.c %D%/sandbox.c \
	%D%/link.c %D%/address.c
