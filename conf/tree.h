/* tree.h - from the text of a file to libyaml's tree of nodes. */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include "conf/reading.h"

/*
 * Read text into document.  What would make the tree no tree (aliases), more
 * than one document, too deep nesting and wrong syntax are mistakes.
 * False: mistakes (or r->no_memory), and document is nothing; true: the
 * caller ends it with yaml_document_delete().
 */
bool tree_load(struct reading *r, struct str text, yaml_document_t *document);

#endif
