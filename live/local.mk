%C%_PUBLIC = %D%/live.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/liblive.a
%C%_liblive_a_SOURCES = $(%C%_PUBLIC) %D%/sandbox.h %D%/order.h
