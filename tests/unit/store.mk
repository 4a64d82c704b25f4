# check_store: the tests of store/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_store
endif
%C%_check_store_SOURCES = %D%/store_place.c %D%/store_place.h \
	%D%/store_commit.c %D%/store_process.c \
	%D%/store_state.c %D%/store_table.c %D%/store_file.c \
	%D%/store_link.c %D%/store_census.c
%C%_check_store_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_store_LDADD = store/libstore.a model/libmodel.a base/libbase.a \
	$(STORE_LIBS) $(BASE_LIBS) $(CRITERION_LIBS)
