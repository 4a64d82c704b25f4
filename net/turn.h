/* turn.h - inside net: what a loop keeps between the events of a turn. */
#ifndef NET_TURN_H
#define NET_TURN_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fields.h"
#include "base/list.h"
#include "net/loop.h"

/* Something to do when the present event is over; inside other structs.  Who
 * ends one that may be linked takes it out by list_remove(&post.link). */
struct post {
    struct list link; /* borrowed: in the loop's list, or in none */
    void (*run)(struct post *p);
};

#define TURN_READ_BYTES 65536  /* one read from a socket */
#define TURN_READS 4           /* of one socket in one event */
#define TURN_CORK_BYTES 114688 /* one head of an upstream and more */
#define TURN_SEAL_BYTES 81920  /* a piece of 64 KiB as TLS records */
#define TURN_ROWS 256          /* fields of one head */

/* Memory that is used within one event and means nothing after it; and what
 * waits for the end of the event, of the turn, or for the next turn. */
struct loop {
    struct event_base *base; /* owned */
    struct event *alarm;     /* owned: looks at ticks, for all of them */
    int64_t alarm_ms;        /* when it looks next */
    struct ticks ticks;      /* of the kernel's clock */
    struct list posts;       /* when the event is over */
    struct list later;       /* when the next turn begins */
    struct grave *graves;    /* owned */
    unsigned grave_count, grave_room;
    bool stopping;

    /* Bytes to be written that wait for the end of the event, so that a head
     * and its body go out in one write; of one connection at a time. */
    void *cork_owner; /* borrowed: struct io */
    size_t cork_n;
    void (*uncork)(struct loop *l); /* set by io, which knows the owner */

    int64_t date_s; /* the second that date is of */
    char date[32];  /* as in the field Date */
    char read[TURN_READ_BYTES];
    char cork[TURN_CORK_BYTES];
    char seal[TURN_SEAL_BYTES];
    size_t seal_n;
    struct field rows[TURN_ROWS];
};

/* Run p when the present event is over; once, however often it is asked. */
void turn_post(struct loop *l, struct post *p);

/* Run t->run in in_ms (>= 0, cut to a year); an earlier setting is forgotten.
 * Cannot fail. */
void turn_tick(struct loop *l, struct tick *t, int64_t in_ms);

/* Run p when the next turn begins, after others had theirs. */
void turn_later(struct loop *l, struct post *p);

/* The present event is over: run what waits for that.  Every function that
 * libevent calls ends with it. */
void turn_settle(struct loop *l);

#endif
