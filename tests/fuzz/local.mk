# Fuzzers, one program a parser; built by make fuzz.
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_route
%C%_fuzz_route_SOURCES = %D%/route.c
%C%_fuzz_route_LDADD = gateway/libgateway.a model/libmodel.a base/libbase.a \
	$(BASE_LIBS)
%C%_fuzz_route_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += %D%/conf.dict %D%/corpus/conf
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_conf
%C%_fuzz_conf_SOURCES = %D%/conf.c
%C%_fuzz_conf_LDADD = conf/libconf.a base/libbase.a $(CONF_LIBS) $(BASE_LIBS)
%C%_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
