/* live_fake.h - a sandbox server for the tests of live/: in the same loop,
 * on a loopback port, scripted. */
#ifndef TESTS_UNIT_LIVE_FAKE_H
#define TESTS_UNIT_LIVE_FAKE_H

#include <stdbool.h>

#include "net/loop.h"

struct fake;

/* What to do with a request instead of answering it as the server would. */
enum fake_act {
    FAKE_ANSWER,   /* status and text */
    FAKE_RAW,      /* these bytes, then FIN */
    FAKE_HOLD,     /* nothing, until fake_release() or fake_cut() */
    FAKE_RESET,    /* RST, nothing done */
    FAKE_DO_RESET, /* done, but RST instead of an answer */
    FAKE_DO_ANSWER /* done, but this answer */
};

struct fake *fake_new(struct loop *l);
void fake_free(struct fake **f);
unsigned fake_port(const struct fake *f);

/* Its sandboxes.  A restart loses them and the templates, and every
 * connection. */
bool fake_has(const struct fake *f, const char *id);
void fake_add(struct fake *f, const char *id);
void fake_remove(struct fake *f, const char *id);
unsigned fake_count(const struct fake *f);
void fake_restart(struct fake *f);

/* Nobody listens any more, and open connections are reset; or again. */
void fake_down(struct fake *f, bool down);

/* The next `times` requests that begin so ("POST /v1/fork") are dealt with
 * like this; times 0: from now on no more. */
void fake_rule(struct fake *f, const char *begins, enum fake_act act,
               int status, const char *text, unsigned times);

/* Answer what was held as the server would, or reset it. */
void fake_release(struct fake *f);
void fake_release_one(struct fake *f, const char *begins);
void fake_cut(struct fake *f);

/* End the exec streams that are open. */
void fake_finish(struct fake *f);

/* How many requests began so; how many are held or stream now. */
unsigned fake_seen(const struct fake *f, const char *begins);
unsigned fake_open(const struct fake *f);

/* The head and the body of the newest request that began so; "". */
const char *fake_head(const struct fake *f, const char *begins);
const char *fake_body(const struct fake *f, const char *begins);

#endif
