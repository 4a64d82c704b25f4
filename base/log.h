/* log.h - lines for the operator: never blocking, never a secret. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/*
 * Where lines go.  path "-" is standard error; a file is appended to, opened
 * O_NONBLOCK, and may be opened again with log_reopen() (rotation).  A line
 * that cannot be written at once is dropped and counted (threats.md G-03).
 * Errors: E_SYSTEM (errno is kept); the old place stays then.
 */
MUST_USE enum err log_open(struct str path, enum log_level least);

/* Where the lines of log_line() go: a path, "-", or "" for nowhere.  Until
 * this is called they go where the others go.  Errors: as log_open(). */
MUST_USE enum err log_open_access(struct str path);

/* Open both files again under their names.  Errors: as log_open(). */
MUST_USE enum err log_reopen(void);

/* One line `{"time":...,"level":...,"msg":...}`, at most 4 KiB; control
 * bytes, quotes and bytes >= 0x7f of the text are escaped. */
__attribute__((format(printf, 2, 3))) void log_say(enum log_level level,
                                                   const char *format, ...);

/* Is that level written at all?  Ask before costly arguments. */
bool log_wants(enum log_level level);

/* A line made by the caller (access log): one complete JSON object without
 * the line end; at most 4 KiB, else dropped and counted. */
void log_line(struct str json);

/* Does log_line() write at all? */
bool log_wants_lines(void);

/* Append ,"name":"value" with everything suspicious escaped and long values
 * clipped; the value of a name in the secrets table (authorization, cookie,
 * x-api-key, ...) becomes "-".  Numbers likewise. */
void log_put(struct buf *line, const char *name, struct str value);
void log_put_number(struct buf *line, const char *name, int64_t value);

/* Append the request target with the values of token=, signature=, api_key=
 * and the like replaced by "-" (threats.md G-01, K-04, L-13). */
void log_put_target(struct buf *line, const char *name, struct str target);

/* Lines dropped since the start. */
uint64_t log_dropped(void);

#endif
