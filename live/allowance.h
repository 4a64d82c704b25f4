/* allowance.h - how many sandboxes a team has made in the last minute.
 *
 * For the files of live/ only. */
#ifndef LIVE_ALLOWANCE_H
#define LIVE_ALLOWANCE_H

#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"

#define ALLOWANCE_BUCKETS 64

/* Counted by the second: no 60 s in a row have more than the limit. */
#define ALLOWANCE_SECONDS 61

/* Inside struct live. */
struct allowance {
    struct list buckets[ALLOWANCE_BUCKETS]; /* owned: a row of each team that
                                               made any of late */
    const unsigned char *hash_key;          /* borrowed: 16 bytes */
};

void allowance_init(struct allowance *a, const unsigned char hash_key[16]);
void allowance_clear(struct allowance *a);

/*
 * One more of the team, now (monotonic, not before the last time).
 * most     in a minute, at least 1
 * retry_s  set with E_TEAM_FAST: seconds until there is a place
 * Errors: E_TEAM_FAST, E_NOMEM: it does not count then.
 */
MUST_USE enum err allowance_take(struct allowance *a, struct str team,
                                 int64_t most, int64_t now_ms,
                                 unsigned *retry_s);

#endif
