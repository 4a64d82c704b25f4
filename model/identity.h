/* identity.h - who calls: the result of a successful key check. */
#ifndef MODEL_IDENTITY_H
#define MODEL_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define TEAM_MAX 64 /* bytes of a team's name: ^[a-z0-9][a-z0-9_-]*$ */

/* Passed by value; texts borrowed from the key's record. */
struct identity {
    struct str team;
    uint64_t key_number; /* for logs: which key, never the key */
};

/* ^[a-z0-9][a-z0-9_-]{0,63}$ */
bool identity_team_ok(struct str team);

#endif
