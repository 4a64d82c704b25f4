# check_live: the tests of live/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_live
endif
%C%_check_live_SOURCES = %D%/live_fake.h %D%/live_fake.c %D%/live_rig.h \
	%D%/live_rig.c
%C%_check_live_SOURCES += %D%/live_call.c %D%/live_crash.c %D%/live_create.c \
	%D%/live_allowance.c \
	%D%/live_native.c \
	%D%/live_health.c %D%/live_life.c %D%/live_port.c \
	%D%/live_reconcile.c %D%/live_link.c
%C%_check_live_SOURCES += %D%/live_script.h %D%/live_script.c \
	%D%/live_process.c %D%/live_context.c
# live_script.c takes the place of these while a test of its kind runs.
%C%_check_live_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=live_call_start \
	-Wl,--wrap=live_call_free -Wl,--wrap=live_call_pause \
	-Wl,--wrap=live_call_resume -Wl,--wrap=timer_set \
	-Wl,--wrap=timer_stop -Wl,--wrap=timer_pending -Wl,--wrap=timer_clear
%C%_check_live_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_live_LDADD = live/liblive.a net/libnet.a net/libllhttp.a \
	store/libstore.a translate/libtranslate.a preview/libpreview.a \
	conf/libconf.a \
	model/libmodel.a base/libbase.a $(NET_LIBS) $(STORE_LIBS) \
	$(TRANSLATE_LIBS) $(CONF_LIBS) $(BASE_LIBS) $(CRITERION_LIBS)
