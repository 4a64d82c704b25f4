# check_translate: the tests of translate/ and of what lies below it.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_translate
endif
%C%_check_translate_SOURCES =
%C%_check_translate_SOURCES += %D%/translate_op.c %D%/translate_path.c \
	%D%/translate_stage.h %D%/translate_stage.c %D%/translate_control.c \
	%D%/translate_list.c %D%/translate_link.c %D%/translate_native.c \
	%D%/translate_native_rpc.c \
	%D%/translate_sdk.c \
	%D%/translate_shell.h %D%/translate_shell.c %D%/translate_filesystem.c
%C%_check_translate_SOURCES += %D%/translate_envelope.c %D%/translate_fault.c \
	%D%/translate_exec.c %D%/translate_cell.c \
	%D%/translate_proto.c %D%/translate_process.c \
	%D%/translate_execute.c
%C%_check_translate_SOURCES += %D%/translate_multipart.c %D%/translate_files.c
%C%_check_translate_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS) \
	-DDATA_DIR=\"$(abs_top_srcdir)/tests/data\"
%C%_check_translate_LDADD = translate/libtranslate.a conf/libconf.a \
	model/libmodel.a base/libbase.a $(TRANSLATE_LIBS) $(CONF_LIBS) \
	$(BASE_LIBS) $(CRITERION_LIBS)
EXTRA_DIST += tests/data/sdk-control.jsonl tests/data/envd-filesystem.jsonl
EXTRA_DIST += tests/data/exec-frames.txt tests/data/run-frames.txt
