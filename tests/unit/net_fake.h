/* net_fake.h - an upstream on a Unix socket whose bytes the test writes, and
 * a caller that notes what it hears. */
#ifndef TESTS_UNIT_NET_FAKE_H
#define TESTS_UNIT_NET_FAKE_H

#include "tests/unit/net_rig.h"

struct fake {
    struct rig *rig;
    int fd; /* listens */
    char folder[64], path[80];
};

struct caller {
    struct call *call;
    int status; /* 0: no head */
    int64_t length;
    unsigned fields;
    struct buf body;
    unsigned pieces;
    bool ended, cut, room;
    enum err why;
    bool pause; /* at the head */
};

void fake_open(struct fake *f, struct rig *r);
void fake_close(struct fake *f);

/* The next connection that was made to it, after turns; fails without. */
void fake_accept(struct fake *f, struct raw *raw);

/* Has another connection been made?  Takes it and closes it. */
bool fake_called(struct fake *f);

/* A request with sensible values, to be changed before caller_start(). */
struct call_request fake_request(const struct fake *f);

void caller_start(struct caller *c, struct fake *f,
                  const struct call_request *r);
void caller_clear(struct caller *c);

#endif
