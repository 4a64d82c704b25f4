# Plain programs for the thread sanitizer; built by name (see tests/tsan/*.c).
EXTRA_PROGRAMS += %D%/tsan_store
%C%_tsan_store_SOURCES = %D%/store.c
%C%_tsan_store_LDADD = store/libstore.a model/libmodel.a base/libbase.a \
	$(STORE_LIBS) $(BASE_LIBS)
