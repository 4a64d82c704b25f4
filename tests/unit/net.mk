# check_net: the tests of net/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_net
endif
%C%_check_net_SOURCES = %D%/net_rig.h %D%/net_rig.c %D%/net_loop.c \
	%D%/net_server.c %D%/net_tls.c %D%/net_endings.c %D%/net_pools.c %D%/net_flows.c %D%/net_vector.h %D%/net_vector.c \
	%D%/net_proxy.c %D%/net_peers.c %D%/net_requests.c %D%/net_dial.c %D%/net_fake.h %D%/net_fake.c %D%/net_answers.c %D%/net_breaks.c
%C%_check_net_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS) \
	-DDATA_DIR=\"$(abs_top_srcdir)/tests/data\"
%C%_check_net_LDADD = net/libnet.a net/libllhttp.a model/libmodel.a \
	base/libbase.a $(NET_LIBS) $(BASE_LIBS) $(CRITERION_LIBS)
EXTRA_DIST += tests/data/h1/requests.txt tests/data/h1/answers.txt
