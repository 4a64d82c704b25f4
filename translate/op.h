/* op.h - an operation: what a caller asked for, as a machine without I/O.
 *
 * It is told events and answers each with the one thing it wants next.  The
 * driver (gateway/) does what is wanted and tells what came of it.  Rows of
 * ops.def say which operations exist. */
#ifndef TRANSLATE_OP_H
#define TRANSLATE_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/head.h"
#include "model/identity.h"
#include "model/link.h"
#include "model/sandbox.h"

/* How errors are told; a column of gateway/answer.def. */
enum dialect {
    DIALECT_API,    /* api.<domain>: {"code":N,"message":".."} */
    DIALECT_EDGE,   /* sandbox hosts: {"sandboxId","message","code"} */
    DIALECT_UNARY,  /* Connect, one answer: {"code":"..","message":".."} */
    DIALECT_STREAM, /* Connect, 200 and an end frame */
    DIALECT_ENVD,   /* REST of 49983: {"code":N,"message":".."} LF */
    DIALECT_CODE,   /* 49999: plain text */
    DIALECT_PAGE,   /* HTML for a browser */
    DIALECT_NATIVE, /* the sandbox server's: {"error":{"code","message",..}} */
    DIALECT_PROXY,  /* its HTTP proxy to ports: plain text */
    DIALECT_COUNT
};

/* Where a request is aimed, as gateway/route found it by the host. */
enum op_class {
    CLASS_API,    /* api.<domain>, or an API path of a direct host */
    CLASS_ENVD,   /* port 49983 of a sandbox */
    CLASS_CODE,   /* port 49999 of a sandbox */
    CLASS_NATIVE, /* the sandbox server's own paths, for its own clients */
    CLASS_PORT,   /* any other port: passed through, no operation */
    CLASS_LINK    /* a host of the preview domain: the same, by a signed link */
};

enum credential {
    CREDENTIAL_NONE,
    CREDENTIAL_KEY,      /* X-API-Key of a team; CLASS_NATIVE: or Bearer */
    CREDENTIAL_ENVD,     /* X-Access-Token, when the sandbox is secure */
    CREDENTIAL_SIGNATURE /* the same, or a signed URL (/files) */
};

/* What a vanished client means; always told as OP_CLIENT_GONE. */
enum gone {
    GONE_CUT, /* the driver drops the call and the operation: default */
    GONE_TELL /* the operation goes on and decides (jobs, /execute) */
};

struct op;
struct op_event;
struct want;

/* One row of ops.def. */
struct op_row {
    const char *name; /* for logs and metrics: "sandbox_create" */
    enum op_class class;
    enum method method;
    const char *path; /* "/sandboxes/{id}/timeout": {x} is one segment */
    enum dialect dialect;
    enum credential credential;
    size_t body_limit; /* most bytes WANT_BODY collects; 0: the
                          configuration's api_body_max_bytes */
    enum gone gone;
    int variant; /* for rows that share functions: 1, 2 = v1, v2 */
    void (*hear)(struct op *op, const struct op_event *event,
                 struct want *want);
};

#define OP_PARAMS_MAX 3

/* What an operation is born with. */
struct op_input {
    const struct request_head *head;
    struct str params[OP_PARAMS_MAX]; /* decoded segments for {x}, in order */
    struct identity identity;         /* CREDENTIAL_KEY rows */
    const struct sandbox *sandbox;    /* the record: CLASS_ENVD, CLASS_CODE,
                                         and API rows with {id} when the
                                         team has it; after WANT_RECORD; else
                                         NULL */
    const struct conf *conf;
    const char *envd_token;    /* of sandbox; NULL without one */
    const char *traffic_token; /* of sandbox; NULL unless private */
    unsigned char random[32];  /* fresh for each request */
    uint64_t trace;            /* request number, for upstream ids in logs */
};

/* The machine. */
struct op {
    const struct op_row *row;
    struct op_input in;
    struct arena *arena;   /* the exchange's: never per piece */
    struct arena *scratch; /* the worker's: emptied after each want is done;
                              must bear 64 MiB (a long directory listing) */
    void *state;           /* of the row's functions, in arena */
    void (*drop)(struct op *op); /* set by an operation whose state holds
                                    more than arena memory */
    bool answered; /* op_hear()'s own: a whole answer has been said */
};

/* ---- events ---- */

enum op_event_kind {
    OP_BEGIN,        /* head, identity and record are there */
    OP_BODY,         /* after WANT_BODY: the whole body */
    OP_CLIENT_PIECE, /* a piece of the client's body */
    OP_CLIENT_END,
    OP_CLIENT_GONE,
    OP_ANSWER, /* a collected call: status, fields, bytes; err if it failed */
    OP_HEAD,   /* a streamed call: status and fields */
    OP_PIECE,  /* a piece of it, or of a live object (from) */
    OP_END,    /* its clean end */
    OP_CUT,    /* its other end: err */
    OP_RESULT, /* of a job, a live order or a list: err, result */
    OP_ROOM,   /* what WANT_SAY or WANT_SEND gave has gone out far enough */
    OP_TIME    /* wake_ms has come */
};

enum op_from {
    FROM_CLIENT = 1 << 0,
    FROM_CALL = 1 << 1,
    FROM_LIVE = 1 << 2,
    FROM_APART = 1 << 3 /* not a source: client and call are heard each by its
                           own: a client that does not read may still send */
};

/* A row of LIVE_PROCESS_LIST's result. */
struct live_process {
    uint32_t pid;
    struct str config; /* JSON of the ProcessConfig, as Start got it */
    struct str tag;    /* absent if none */
};

/* What a job or a live object brought; members by what was asked. */
struct op_result {
    const struct sandbox *sandbox; /* jobs: the record now */
    const char *envd_token;        /* of that record */
    const char *traffic_token;     /* of that record; NULL unless private */
    bool replayed;                 /* create: an idempotent repeat */
    bool effect;                   /* a job that failed may have changed
                                      something at the back end */
    const struct sandbox **list;   /* WANT_RECORDS */
    unsigned count;                /* rows of list, processes or links */
    uint32_t pid;                  /* process start, connect */
    const struct live_process *processes; /* process list */
    uint64_t executions;                  /* context: runs so far */
    bool fresh_kernel;                    /* context: no code has run yet */
    const struct link *links; /* LINK_CREATE: the one; LINK_LIST: count of
                                 them, the newest first */
    struct str link_url;      /* LINK_CREATE: with its token; never logged */
    struct str detail;        /* text of an error, or absent */
    unsigned retry_s;         /* of an error: a repeat fares better then; 0: the
                                 table's */
};

struct op_event {
    enum op_event_kind kind;
    enum op_from from;           /* PIECE, END, CUT */
    enum err err;                /* ANSWER, CUT, RESULT, CLIENT_GONE */
    int status;                  /* ANSWER, HEAD */
    const struct fields *fields; /* ANSWER, HEAD */
    struct str bytes;            /* BODY, CLIENT_PIECE, ANSWER, PIECE:
                                    borrowed for the event */
    const struct op_result *result;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 */
};

/* ---- wants ---- */

enum want_kind {
    WANT_NEXT,    /* go on reading the sources in `from`, tell what comes */
    WANT_BODY,    /* collect the client's body: OP_BODY */
    WANT_CALL,    /* a call to the sandbox server: OP_ANSWER, or OP_HEAD .. */
    WANT_SEND,    /* a piece of that call's request body */
    WANT_JOB,     /* live/life does it: OP_RESULT */
    WANT_LIVE,    /* an order to a live object: OP_RESULT, then pieces */
    WANT_RECORDS, /* every record of the team: OP_RESULT */
    WANT_RECORD,  /* the team's running sandbox of that id is this call's from
                     now on: OP_RESULT, with in.sandbox set or NULL */
    WANT_SAY,     /* head and / or piece to the client */
    WANT_DONE,    /* the answer is complete (a stream: its clean end) */
    WANT_FAIL     /* tell err in the row's dialect; after the head: a cut */
};

/* Which of a sandbox's streams a call takes (see live/slots). */
enum slot { SLOT_NONE, SLOT_EXEC, SLOT_FILE };

/* Fields that an operation may have sent instead of ours. */
#define OP_CALL_FIELDS_MAX 12

struct want_call {
    struct str method; /* RPC name: "ExecStream", "Stat", ... */
    struct str path;   /* instead of it, a path of the server's REST, or with
                          upgrade its target; absent: the RPC */
    const struct fields *fields; /* of the request, instead of our own
                                    Content-Type and version; NULL: those;
                                    OP_CALL_FIELDS_MAX at most */
    bool upgrade; /* a GET that becomes a tunnel: OP_HEAD with 101, then pieces
                     and WANT_SENDs both ways */
    bool stream;  /* application/connect+json, else json */
    struct str body; /* whole request body, envelopes included */
    bool send;       /* WANT_SENDs follow (chunked), body is first; with
                        from 0 OP_ROOM is told at once */
    bool collect;    /* answer as one OP_ANSWER of at most limit */
    size_t limit;
    enum slot slot;
    int64_t deadline_ms; /* relative; 0: none.  Over it: E_UPSTREAM_
                            DEADLINE as OP_ANSWER or OP_CUT */
};

enum job_kind {
    JOB_CREATE,
    JOB_KILL,
    JOB_TIMEOUT,
    JOB_EXTEND,
    JOB_LINK_CREATE, /* E_UNIMPLEMENTED while previews are not configured */
    JOB_LINK_LIST,
    JOB_LINK_REVOKE /* one, or all of before a time; E_NOT_FOUND: no such */
};

struct want_job {
    enum job_kind kind;
    struct str id;     /* all but CREATE; CREATE, native: the new one's */
    int64_t timeout_s; /* CREATE, TIMEOUT (end = now + it), EXTEND (end =
                          max(end, now + it)) */
    const struct conf_template *template; /* CREATE */
    struct str alias;    /* CREATE: the name that was asked for */
    struct str metadata; /* CREATE: JSON object text */
    struct str envs;     /* CREATE: JSON object text */
    bool secure;         /* CREATE */
    bool native;         /* CREATE: by a native client, which chose the id; its
                            Idempotency-Key is as the server has it */
    struct str source;   /* CREATE, native: a copy of this running sandbox, and
                            template is NULL; absent: of template */
    bool pause_source;   /* CREATE, source: it stands still meanwhile */
    struct str idempotency_key;     /* CREATE; absent if none */
    unsigned char request_hash[32]; /* CREATE with a key */
    bool private_traffic;           /* CREATE */
    struct str mask_host;           /* CREATE; absent or "": not masked */
    struct str https_ports;         /* CREATE; absent or "": none */
    const struct link *link; /* LINK_CREATE: port, scopes, opaque; the rest is
                                live's (and timeout_s).  LINK_REVOKE: id, or
                                "" and revoked_ms: all made before it */
    bool mitos;              /* LINK_CREATE: a token of the sandbox server's
                                form, which no record is kept of */
};

enum live_kind {
    LIVE_PROCESS_START,     /* -> pid, then pieces until its end */
    LIVE_PROCESS_CONNECT,   /* -> pid, then pieces until its end */
    LIVE_PROCESS_LIST,      /* -> processes */
    LIVE_PROCESS_SIGNAL,    /* -> err */
    LIVE_HEALTH,            /* -> E_OK, E_SANDBOX_GONE, E_SANDBOX_UNKNOWN */
    LIVE_CONTEXT_ENTER,     /* -> when it is this run's turn */
    LIVE_CONTEXT_INTERRUPT, /* SIGINT to the kernel, best effort */
    LIVE_CONTEXT_LEAVE      /* the run is over; the next one may enter */
};

/* What to run, decoded from a Start request. */
struct process_config {
    struct str cmd;
    struct str *args; /* arena */
    unsigned arg_count;
    struct str *env_names, *env_values; /* arena; per call, over the
                                           sandbox's own */
    unsigned env_count;
    struct str cwd;  /* as given, maybe empty */
    struct str user; /* Linux user; never absent */
    struct str tag;  /* absent if none */
    struct str json; /* the config as List gives it back */
};

struct want_live {
    enum live_kind kind;
    const struct process_config *process; /* START */
    int64_t deadline_ms; /* START: relative life time, 0 none */
    uint32_t pid;        /* CONNECT, SIGNAL; 0: by tag */
    struct str tag;
    int signal;         /* 9 or 15 */
    struct str context; /* CONTEXT_*: "" is the default */
    bool kernel_used;   /* LEAVE: code has run in the kernel */
    bool kernel_dead;   /* LEAVE: it answered 127 or died */
};

struct want_say {
    const struct answer_head *head; /* first time only; NULL after */
    struct str piece;               /* may be absent */
};

struct want {
    enum want_kind kind;
    unsigned from;   /* WANT_NEXT; with SAY, SEND and a CALL that sends: go on
                        with these and without an OP_ROOM (0: tell OP_ROOM).
                        A new CALL takes the place of the present one, which
                        is cut unless it is complete. */
    int64_t wake_ms; /* monotonic: OP_TIME then; 0: none.  Each want sets it
                        anew */
    struct want_call call;
    struct want_job job;
    struct want_live live;
    struct want_say say;
    struct str record;     /* WANT_RECORD: an id as the client gave it */
    struct str send;       /* WANT_SEND */
    bool send_end;         /* WANT_SEND: the request body ends here */
    enum err err;          /* WANT_FAIL */
    struct str detail;     /* WANT_FAIL: text for the client instead of the
                              table's; absent: the table's */
    struct str error_code; /* WANT_FAIL, API: "error_code"; absent if none */
    unsigned retry_s;      /* WANT_FAIL: seconds of Retry-After instead of the
                              table's; 0: the table's */
};

/* All texts and pointers in a want live in op->arena, op->scratch or are
 * borrowed from the event: the driver is done with them before it tells the
 * next event. */

/* What op_find() found. */
struct op_found {
    const struct op_row *row;         /* static; NULL but on E_OK */
    struct str params[OP_PARAMS_MAX]; /* of E_OK: borrowed from path or arena */
    const char *allow; /* of E_METHOD: text in the arena for the Allow field */
};

/*
 * The row for a request.  path is the raw path; each segment is decoded
 * once; rules of threats.md L-05 (%00, %5C, double encoding: E_BAD_REQUEST;
 * %2F in template segments only).
 *
 * {id} of an API row loses its "-suffix"; HEAD is served by the GET row of
 * the API class.
 *
 * Errors: E_ROUTE_UNKNOWN, E_METHOD, E_BAD_REQUEST, E_BAD_SANDBOX_ID,
 * E_NOMEM.
 */
MUST_USE enum err op_find(enum op_class class, enum method method,
                          struct str path, struct arena *a,
                          struct op_found *out);

/* The row at index i, NULL behind the last: for metrics and tests. */
const struct op_row *op_row_at(unsigned i);

/* Tell an event, get the want (zeroed first). */
void op_hear(struct op *op, const struct op_event *event, struct want *want);

/* Once, when the operation is over in whatever way (done, failed, client
 * gone): gives back what its state holds outside the arena. */
void op_end(struct op *op);

/* Short forms that operations use; each returns by filling *want. */
void want_next(struct want *w, unsigned from);
void want_fail(struct want *w, enum err err, struct str detail);
/* A whole answer: its status, fields (may be NULL; borrowed until it is told)
 * and body (absent: none; 204, or Content-Length: 0).  DONE is told after
 * OP_ROOM by op_hear() itself: the operation is not asked again. */
void want_answer(struct op *op, struct want *w, int status,
                 const struct fields *fields, struct str body);
/* A whole JSON answer likewise. */
void want_json(struct op *op, struct want *w, int status, struct str body);
/* The same with what a writer holds; taken: the buffer is cleared.  A failed
 * writer, or no room in the arena, is E_NOMEM. */
void want_json_take(struct op *op, struct want *w, int status, struct buf *b);
/* The same without a body: 204, or Content-Length: 0. */
void want_empty(struct op *op, struct want *w, int status);

#endif
