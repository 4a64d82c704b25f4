%C%_PUBLIC = %D%/op.h %D%/ops.def %D%/envelope.h %D%/exec.h %D%/fault.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libtranslate.a
%C%_libtranslate_a_SOURCES = $(%C%_PUBLIC) %D%/ops.h \
	%D%/op.c %D%/want.c \
	%D%/media.h %D%/media.c %D%/api.h %D%/api.c \
	%D%/unkept.h %D%/unkept.c \
	%D%/path.h %D%/path.c %D%/guest.h %D%/guest.c \
	%D%/record.h %D%/record.c %D%/query.h %D%/query.c \
	%D%/moment.h %D%/moment.c \
	%D%/network.h %D%/network.c %D%/link.c \
	%D%/create.c %D%/connect.c %D%/detail.c %D%/kill.c %D%/timeout.c \
	%D%/list.c %D%/entry.h %D%/entry.c %D%/filesystem.c
%C%_libtranslate_a_SOURCES += %D%/proto.h %D%/proto.c %D%/envelope.c \
	%D%/fault.c %D%/exec.c %D%/process.c %D%/daemon.c
%C%_libtranslate_a_SOURCES += %D%/files.h %D%/files.c %D%/multipart.h \
	%D%/multipart.c %D%/inflate.h %D%/inflate.c %D%/download.c \
	%D%/upload.c
%C%_libtranslate_a_SOURCES += %D%/native.h %D%/native.c \
	%D%/native_sandbox.c %D%/native_rest.c %D%/native_rpc.c \
	%D%/native_socket.c
%C%_libtranslate_a_SOURCES += %D%/cell.h %D%/cell.c %D%/kernel.h \
	%D%/kernel.c %D%/execute.c
