/* path.h - paths of a sandbox's file system as texts. */
#ifndef TRANSLATE_PATH_H
#define TRANSLATE_PATH_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/*
 * A caller's path as the scripts of guest.h take it: "" is workdir (the home
 * if that is "" too), ~ is the home, an absolute path stays byte for byte, a
 * relative one becomes what is below the home, cleaned (it may begin with
 * ../).  Source: e2b-data-plane.md 2.5, 3.
 *
 * user   whose home it is: for *fault
 * fault  set, with absent returned, for "~other": what envd says to it
 * Returns absent without memory as well (*fault is absent then).
 */
struct str path_expand(struct str path, struct str workdir, struct str user,
                       struct arena *a, struct str *fault);

/* Without //, /./, /../ and slashes at the end, as Go's filepath.Clean(); ""
 * is ".".  Absent without memory. */
struct str path_clean(struct str path, struct arena *a);

/* The last element, "/" of what has none; borrowed from path. */
struct str path_name(struct str path);

#endif
