/* kernel.h - what is sent to a sandbox's Python kernel: a caller's cell, and
 * cells of our own around it. */
#ifndef TRANSLATE_KERNEL_H
#define TRANSLATE_KERNEL_H

#include "base/arena.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/sandbox.h"

/* Each: the body (one envelope) of a RunCodeStream call, in the arena;
 * absent without memory. */

/* A caller's cell, as it is. */
struct str kernel_cell(struct str code, struct arena *a);

/* Once per kernel: prints its pid (0x1e pid LF on stdout), closes the leak
 * that kills it at a child's output, sets directory and sandbox's variables,
 * makes input() fail at once.  t may be NULL. */
struct str kernel_prelude(const struct sandbox *s,
                          const struct conf_template *t, struct arena *a);

/* Set the variables of one run (a JSON object of texts); and undo it. */
struct str kernel_set(struct str envs, struct arena *a);
struct str kernel_undo(struct arena *a);

/* The pid in the prelude's output; 0 if it is not there. */
uint32_t kernel_pid(struct str output);

#endif
