/* conf_file.h - a configuration in a folder of its own, for tests. */
#ifndef TESTS_UNIT_CONF_FILE_H
#define TESTS_UNIT_CONF_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "conf/conf.h"

/* A fresh folder with good/secret.key, good/cert.pem, good/key.pem. */
void conf_file_start(void);

/* The folder goes, with all that is in it. */
void conf_file_stop(void);

/* Write a file of the folder (and its directory). */
void conf_file_write(const char *name, struct str content, mode_t mode);

/* Load the text as file x.yaml of the folder; what was reported is in
 * conf_file_said as lines LINE:COL: WHAT, warnings likewise in
 * conf_file_warned. */
enum err conf_file_load(struct str text, struct conf **out);

extern struct buf conf_file_said, conf_file_warned;

#endif
