/* h1_refuse.h - inside net: the answer to what never became a request. */
#ifndef NET_H1_REFUSE_H
#define NET_H1_REFUSE_H

#include "net/io.h"

/* One whole answer with that status; the caller ends the connection. */
void h1_refuse(struct io *io, int status);

#endif
