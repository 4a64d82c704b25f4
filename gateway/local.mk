%C%_PUBLIC = %D%/gateway.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libgateway.a
%C%_libgateway_a_SOURCES = $(%C%_PUBLIC) \
	%D%/access.h %D%/access.c \
	%D%/admit.h %D%/admit.c \
	%D%/answer.h %D%/answer.c %D%/answer.def \
	%D%/carry.h %D%/carry.c \
	%D%/course.h %D%/course.c \
	%D%/exchange.h %D%/exchange.c %D%/state.h \
	%D%/forward_auth.h %D%/forward_auth.c \
	%D%/forwarded.h %D%/forwarded.c \
	%D%/gateway.c \
	%D%/hygiene.h %D%/hygiene.c \
	%D%/metrics.h %D%/metrics.c \
	%D%/orphan.h %D%/orphan.c \
	%D%/preview_fields.h %D%/preview_fields.c \
	%D%/preview_gate.h %D%/preview_gate.c \
	%D%/pressure.h %D%/pressure.c \
	%D%/quota.h %D%/quota.c \
	%D%/redirect.h %D%/redirect.c %D%/redirect_server.h \
	%D%/redirect_server.c \
	%D%/route.h %D%/route.c \
	%D%/run.h %D%/run.c %D%/run_call.h %D%/run_call.c \
	%D%/status.h %D%/status.c \
	%D%/watchdog.h %D%/watchdog.c \
	%D%/worker.h %D%/worker.c
