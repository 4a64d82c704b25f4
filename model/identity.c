/* identity.c - see identity.h. */
#include "model/identity.h"

bool identity_team_ok(struct str team)
{
    if (team.n < 1 || team.n > TEAM_MAX)
        return false;
    for (size_t i = 0; i < team.n; i++) {
        char c = team.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (i > 0 && (c == '_' || c == '-'))))
            return false;
    }
    return true;
}
