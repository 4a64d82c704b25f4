%C%_PUBLIC = %D%/loop.h %D%/tls.h %D%/server.h %D%/client.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libnet.a %D%/libllhttp.a
%C%_libnet_a_SOURCES = $(%C%_PUBLIC) %D%/turn.h %D%/loop.c %D%/io.h %D%/io.c \
	%D%/tls_bio.h %D%/tls_bio.c %D%/tls_context.h %D%/tls.c %D%/io_tls.h \
	%D%/io_tls.c %D%/h1_scan.h %D%/h1_scan.c %D%/h1_name.h %D%/h1_name.c \
	%D%/h1_head.h %D%/h1_head.c %D%/h1_body.h %D%/h1_body.c \
	%D%/h1_write.h %D%/h1_write.c %D%/h1_refuse.h %D%/h1_refuse.c %D%/proxy.h %D%/proxy.c %D%/arrive.h %D%/arrive.c %D%/peers.h %D%/peers.c %D%/serving.h %D%/stream.c \
	%D%/kept.h %D%/kept.c %D%/h1_stream.h %D%/h1_stream.c %D%/h1_conn.h %D%/h1_conn.c \
	%D%/tune.h %D%/tune.c %D%/server.c %D%/upstream.h %D%/upstream.c %D%/client.c

# llhttp comes as C sources; copied into the build tree, compiled without the
# house's warnings.
%C%_libllhttp_a_SOURCES =
nodist_%C%_libllhttp_a_SOURCES = %D%/llhttp_api.c %D%/llhttp_http.c \
	%D%/llhttp_llhttp.c
%C%_libllhttp_a_CPPFLAGS = -I$(LLHTTP_INCLUDE)/llhttp -DLLHTTP_STRICT_MODE=1
%C%_libllhttp_a_CFLAGS = $(HARD_CFLAGS) $(SAN_CFLAGS) -O2 -w
CLEANFILES += $(nodist_%C%_libllhttp_a_SOURCES)
%D%/llhttp_api.c: $(LLHTTP_SRC)/api.c
	$(AM_V_GEN)mkdir -p %D% && cp $(LLHTTP_SRC)/api.c $@
%D%/llhttp_http.c: $(LLHTTP_SRC)/http.c
	$(AM_V_GEN)mkdir -p %D% && cp $(LLHTTP_SRC)/http.c $@
%D%/llhttp_llhttp.c: $(LLHTTP_SRC)/llhttp.c
	$(AM_V_GEN)mkdir -p %D% && cp $(LLHTTP_SRC)/llhttp.c $@
