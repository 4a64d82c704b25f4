# What `make install` puts beside the program: its unit and user for systemd,
# and the documents that an operator reads.
systemdunitdir = $(prefix)/lib/systemd/system
sysusersdir = $(prefix)/lib/sysusers.d
nodist_systemdunit_DATA = %D%/systemd/sandgate.service
dist_sysusers_DATA = %D%/systemd/sandgate.conf
dist_doc_DATA = README.md NEWS.md SECURITY.md docs/configuration.md \
	docs/differences.md docs/operations.md docs/performance.md \
	docs/previews.md docs/threats.md docs/threat-rows.md \
	docs/sandgate.example.yaml
EXTRA_DIST += HACKING.md %D%/systemd/sandgate.service.in
CLEANFILES += %D%/systemd/sandgate.service
%D%/systemd/sandgate.service: %D%/systemd/sandgate.service.in Makefile
	$(AM_V_GEN)mkdir -p %D%/systemd && sed -e 's,@bindir[@],$(bindir),' \
	    -e 's,@docdir[@],$(docdir),' $(srcdir)/%D%/systemd/sandgate.service.in >$@
