# Fuzzers, one program a parser; built by make fuzz.
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_route
%C%_fuzz_route_SOURCES = %D%/route.c
%C%_fuzz_route_LDADD = gateway/libgateway.a preview/libpreview.a \
	conf/libconf.a model/libmodel.a base/libbase.a $(CONF_LIBS) $(BASE_LIBS)
%C%_fuzz_route_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += %D%/conf.dict %D%/corpus/conf
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_conf
%C%_fuzz_conf_SOURCES = %D%/conf.c
%C%_fuzz_conf_LDADD = conf/libconf.a model/libmodel.a base/libbase.a \
	$(CONF_LIBS) $(BASE_LIBS)
%C%_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += %D%/corpus/envelope
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_envelope
%C%_fuzz_envelope_SOURCES = %D%/envelope.c
%C%_fuzz_envelope_LDADD = translate/libtranslate.a conf/libconf.a \
	model/libmodel.a base/libbase.a $(TRANSLATE_LIBS) $(CONF_LIBS) \
	$(BASE_LIBS)
%C%_fuzz_envelope_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += %D%/corpus/head %D%/corpus/answer
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_head %D%/fuzz_answer
%C%_fuzz_head_SOURCES = %D%/head.c
%C%_fuzz_head_LDADD = net/libnet.a net/libllhttp.a model/libmodel.a \
	base/libbase.a $(NET_LIBS) $(BASE_LIBS)
%C%_fuzz_head_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_answer_SOURCES = %D%/answer.c
%C%_fuzz_answer_LDADD = net/libnet.a net/libllhttp.a model/libmodel.a \
	base/libbase.a $(NET_LIBS) $(BASE_LIBS)
%C%_fuzz_answer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += %D%/token.dict %D%/cookie.dict %D%/corpus/token \
	%D%/corpus/cookie
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_token %D%/fuzz_cookie
%C%_fuzz_token_SOURCES = %D%/token.c
%C%_fuzz_token_LDADD = preview/libpreview.a conf/libconf.a model/libmodel.a \
	base/libbase.a $(CONF_LIBS) $(BASE_LIBS)
%C%_fuzz_token_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
%C%_fuzz_cookie_SOURCES = %D%/cookie.c
%C%_fuzz_cookie_LDADD = preview/libpreview.a conf/libconf.a model/libmodel.a \
	base/libbase.a $(CONF_LIBS) $(BASE_LIBS)
%C%_fuzz_cookie_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif

EXTRA_DIST += %D%/corpus/proxy
if FUZZERS
EXTRA_PROGRAMS += %D%/fuzz_proxy
%C%_fuzz_proxy_SOURCES = %D%/proxy.c
%C%_fuzz_proxy_LDADD = net/libnet.a model/libmodel.a base/libbase.a \
	$(BASE_LIBS)
%C%_fuzz_proxy_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
