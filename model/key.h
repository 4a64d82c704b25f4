/* key.h - the record of one API key: its keyed hash, never the key. */
#ifndef MODEL_KEY_H
#define MODEL_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_HASH_BYTES 32

struct key {
    uint64_t number;                    /* 1, 2, ... as the CLI shows it */
    unsigned char hash[KEY_HASH_BYTES]; /* auth_key_hash() */
    char team[65];
    char hint[8];       /* last 4 digits of the key, for people */
    int64_t created_ms; /* wall */
    int64_t revoked_ms; /* wall; 0 while valid */
};

#endif
