/* root.h - struct live: what the parts of live/ share.
 *
 * For the files of live/ only.  Calls between the files go down this list
 * and never back: live, reconcile, life, link, create, template, ending,
 * (process, context), health, port, call, rest, expiry, job, passenger,
 * sandbox, backend, commit, later, allowance.  What must go up is a hook below,
 * set by live.c. */
#ifndef LIVE_ROOT_H
#define LIVE_ROOT_H

#include "base/list.h"
#include "live/allowance.h"
#include "live/live.h"
#include "live/tally.h"

struct backend;
struct live_sandbox;

struct live {
    struct loop *loop;   /* borrowed */
    struct pools *pools; /* borrowed */
    struct store *store; /* borrowed */
    struct conf *conf;   /* counted */

    struct list *buckets;  /* owned: live sandboxes by id */
    unsigned bucket_count; /* a power of two */
    unsigned sandbox_count;
    unsigned char hash_key[16];

    struct list backends; /* owned: struct backend */

    struct list laters; /* struct later: what waits for the next turn */
    struct timer later_timer;

    struct list commits; /* owned: struct commit, under way at the store */
    struct list jobs;    /* owned: struct job */

    struct list shown; /* struct passenger: those that links admitted */
    struct timer shown_timer;

    struct live_sandbox **due; /* owned: heap, earliest end first */
    unsigned due_count, due_room;
    struct timer due_timer;

    struct tally tally; /* owned: requests of links */

    struct allowance allowance; /* owned: what teams made of late */

    /* The end of a sandbox has come. */
    void (*on_due)(struct live_sandbox *ls);
    /* A back end's health changed. */
    void (*on_health)(struct backend *b);
    /* Something at the back end may not be as the records say: look. */
    void (*on_doubt)(struct backend *b);
};

#endif
