# check_gateway: the tests of gateway/; net, live, store and the operations are
# fakes, so that events come in any order and no clock runs.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_gateway
endif
%C%_check_gateway_SOURCES = %D%/gateway_route.c %D%/gateway_answer.c \
	%D%/gateway_hygiene.c %D%/gateway_forwarded.c %D%/gateway_redirect.c %D%/gateway_exchange.c %D%/gateway_run.c \
	%D%/gateway_carry.c %D%/gateway_quota.c %D%/gateway_pressure.c %D%/gateway_preview.c \
	%D%/preview_make.c %D%/preview_make.h %D%/gateway_fake.c \
	%D%/gateway_fake.h %D%/gateway_records.c \
	%D%/gateway_watchdog.c
%C%_check_gateway_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS) \
	-DDATA_DIR=\"$(abs_top_srcdir)/tests/data\"
%C%_check_gateway_LDADD = gateway/libgateway.a auth/libauth.a preview/libpreview.a \
	translate/libtranslate.a conf/libconf.a model/libmodel.a \
	base/libbase.a $(TRANSLATE_LIBS) $(CONF_LIBS) $(BASE_LIBS) \
	$(CRITERION_LIBS)
EXTRA_DIST += tests/data/answers.txt tests/fuzz/corpus/route
