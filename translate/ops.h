/* ops.h - the functions that ops.def names: for the files of translate/. */
#ifndef TRANSLATE_OPS_H
#define TRANSLATE_OPS_H

#include "translate/op.h"

#define OP(name, class, method, path, dialect, credential, limit, gone, \
           variant, function) \
    void function(struct op *op, const struct op_event *event, \
                  struct want *want);
#include "translate/ops.def"
#undef OP

#endif
