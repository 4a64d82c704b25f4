%C%_PUBLIC = %D%/store.h
EXTRA_DIST += %D%/README
noinst_LIBRARIES += %D%/libstore.a
%C%_libstore_a_SOURCES = $(%C%_PUBLIC) %D%/store.c %D%/census.c \
	%D%/census.h %D%/table.c %D%/table.h \
	%D%/record.c %D%/record.h %D%/unit.c %D%/unit.h %D%/batch.c \
	%D%/batch.h %D%/writer.c %D%/writer.h %D%/apply.c %D%/apply.h \
	%D%/file.c %D%/file.h %D%/marker.c %D%/marker.h %D%/row.c \
	%D%/row.h %D%/schema.c %D%/schema.h %D%/sql.c %D%/sql.h %D%/statements.def %D%/schema.def
