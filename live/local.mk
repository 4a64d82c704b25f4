%C%_PUBLIC = %D%/live.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/liblive.a
%C%_liblive_a_SOURCES = $(%C%_PUBLIC) %D%/sandbox.h %D%/order.h \
	%D%/root.h %D%/later.h %D%/later.c %D%/commit.h %D%/commit.c \
	%D%/backend.h %D%/backend.c %D%/rest.h %D%/rest.c \
	%D%/sandbox.c %D%/passenger.c %D%/call.h %D%/call.c %D%/order.c \
	%D%/health.h %D%/health.c %D%/port.c %D%/ending.c \
	%D%/expiry.h %D%/expiry.c %D%/job.h %D%/job.c \
	%D%/template.h %D%/template.c %D%/create.h %D%/create.c \
	%D%/allowance.h %D%/allowance.c \
	%D%/intent.h %D%/intent.c %D%/link.h %D%/link.c %D%/tally.h \
	%D%/tally.c \
	%D%/life.h %D%/life.c %D%/reconcile.h %D%/reconcile.c %D%/live.c
%C%_liblive_a_SOURCES += %D%/ask.h %D%/ask.c %D%/follower.h \
	%D%/follower.c %D%/process.h %D%/process.c %D%/process_table.c \
	%D%/context.c
