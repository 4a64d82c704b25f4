/* process.h - a command in a sandbox and the upstream stream that carries it.
 *
 * For the files of live/ only; process_order() and process_table_end() are
 * in process_table.c. */
#ifndef LIVE_PROCESS_H
#define LIVE_PROCESS_H

#include "base/arena.h"
#include "base/buf.h"
#include "live/ask.h"
#include "live/follower.h"
#include "translate/envelope.h"

enum process_state {
    PROCESS_STARTING, /* its pid has not come yet */
    PROCESS_RUNNING,
    PROCESS_LOST, /* its stream broke: it may run on, nobody hears it */
    PROCESS_KEPT, /* ended: its exit is kept for a while */
    PROCESS_DEAD  /* in its grave */
};

/* All processes of one sandbox. */
struct process_table {
    struct live_sandbox *ls; /* borrowed */
    struct list processes;   /* struct process, oldest first */
    struct list loose;       /* struct follower: told the end when they read */
    struct list orders;      /* struct process_inquiry: lists and signals */
    struct buf out;          /* frames of the piece that is being read */
    struct arena *scratch;   /* owned: emptied after each frame */
};

struct process {
    struct list link;            /* in its table's processes */
    struct process_table *table; /* borrowed */
    enum process_state state;
    uint32_t pid;
    struct str config, tag; /* owned; tag absent if none */
    struct str title;       /* owned: command and arguments, for errors */
    struct list followers;  /* struct follower */
    struct live_call *call; /* owned; NULL once it is over */
    struct envelope_reader in;
    struct buf early;   /* frames of output that came before the pid */
    struct timer timer; /* its deadline, then how long the exit is kept */
    struct timer look;  /* after a signal: when to look whether it is gone */
    struct ask *kill;   /* owned: the deadline's SIGKILL */
    struct ask *stat;   /* owned: a look under way */
    struct subscription *doubt; /* owned: is the sandbox there at all? */
    int64_t look_ms;            /* until the next look */
    int signal;                 /* the last one of ours that was delivered; 0 */
    int exit_code;              /* KEPT */
    int exit_signal;            /* KEPT */
    unsigned quiet;             /* looks at the pipes since it is gone */
    bool heard;                 /* output came since the last of them */
    bool expired;               /* the deadline has passed */
    bool stale;                 /* KEPT: long enough */
    bool gone;                  /* seen: only its children hold the pipes */
};

/*
 * Start a command; f hears the result and what follows.
 * Errors: E_NOMEM, E_SYSTEM; E_INVALID with *why (in table's scratch).
 */
MUST_USE enum err process_start(struct process_table *t,
                                const struct want_live *want,
                                struct follower *f, struct str *why);

/* f is told the result and then what comes from now on; for a kept one its
 * exit at once. */
void process_follow(struct process *p, struct follower *f);

/* A signal of ours has reached it. */
void process_signalled(struct process *p, int signal);

/* May its output come?  Asked whenever a follower's state changes. */
void process_flow(struct process *p);

/* It is taken off its table; its followers must be gone. */
void process_drop(struct process *p);

/* Something went away: free the table when it holds nothing. */
void process_table_settle(struct process_table *t);

#endif
