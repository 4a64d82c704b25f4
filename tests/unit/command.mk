# check_command: the commands at the root of the tree, called as main() does.
if HAVE_CRITERION
check_PROGRAMS += %D%/check_command
endif
%C%_check_command_SOURCES = %D%/command_link.c link.c link.h
%C%_check_command_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
%C%_check_command_LDADD = store/libstore.a preview/libpreview.a \
	conf/libconf.a model/libmodel.a base/libbase.a $(STORE_LIBS) \
	$(CONF_LIBS) $(BASE_LIBS) $(CRITERION_LIBS)
