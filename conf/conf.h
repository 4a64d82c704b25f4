/* conf.h - what the operator said, read once, shared by counting. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "model/address.h"

struct conf_listener {
    struct str address; /* 127.0.0.1 or ::1 or 0.0.0.0 or :: */
    unsigned port;      /* 0: any (tests) */
    bool tls;
    bool direct;   /* certificate without SNI: the default certificate */
    bool redirect; /* serves nothing, sends to https */
    struct address_block *proxies; /* begin with a PROXY header; no others */
    unsigned proxy_count;
};

struct conf_certificate {
    struct str cert; /* path of a PEM chain */
    struct str key;  /* path of a PEM key, 0600 or start is refused */
};

enum conf_ports { PORTS_FORWARD, PORTS_EXPOSE };

struct conf_backend {
    struct str name;
    struct str address; /* IP literal */
    unsigned port;
    enum conf_ports ports; /* how user ports are reached */
    unsigned streams;      /* its --max-streams-per-sandbox; 16 */
    bool egress;           /* its sandboxes have a way out */
    bool adopt; /* sandboxes without a record: removed, else reported */
};

struct conf_template {
    struct str id;     /* templateID in answers: [a-z0-9][a-z0-9_-]* */
    struct str *names; /* aliases it is asked by */
    unsigned name_count;
    struct str backend;          /* a backend's name */
    struct str backend_template; /* never empty: the id if not given */
    unsigned cpu_count, memory_mb, disk_mb; /* for list and detail */
    struct str user;                        /* default Linux user; "user" */
    struct str workdir; /* default working directory; "" = the user's home */
};

/* A secret that signs links; the first one signs, all of them verify. */
struct conf_preview_key {
    struct str id; /* stands in the token: 1 to 16 bytes */
    unsigned char secret[32];
};

/* A customer's own host name. */
struct conf_preview_host {
    struct str host;
    struct str target; /* a sandbox id or a link id */
    unsigned port;     /* 0: the link's, or the token's */
};

/* A further rule: who is asked before a request of a preview passes. */
struct conf_forward_auth {
    struct str address; /* IP literal; absent: nobody is asked */
    unsigned port;
    struct str path;     /* with its /, maybe a query */
    struct str *headers; /* of its answer, copied to the app */
    unsigned header_count;
    int64_t timeout_s;
};

/* How many sandboxes a team may have at a time and may make in a minute; 0:
 * any number. */
struct conf_team {
    struct str name;
    int64_t sandboxes;
    int64_t creates;
};

struct conf_preview {
    struct str domain;             /* absent: links are not configured */
    unsigned port;                 /* that URLs of links name; 443: none */
    struct conf_preview_key *keys; /* at least one where domain is there */
    unsigned key_count;
    unsigned char mitos_secret[256]; /* as the file has it */
    unsigned mitos_secret_bytes;     /* 0: the form is not served */
    int64_t ttl_default_s;
    int64_t ttl_max_s; /* 7 days at most */
    struct conf_preview_host *hosts;
    unsigned host_count;
    struct conf_forward_auth forward_auth;
    bool noindex; /* X-Robots-Tag: noindex on what apps answer */
};

/* One snapshot.  All texts belong to it. */
struct conf {
    unsigned refs;
    struct arena *arena; /* owned: every text and list */
    struct str file;
    struct str domain; /* "sandgate.localhost", lower case, no port */
    struct conf_listener *listeners;
    unsigned listener_count;
    struct conf_certificate *certificates;
    unsigned certificate_count; /* the first is the default one */
    struct str *direct_hosts;   /* hosts with header routing: localhost, ... */
    unsigned direct_host_count;
    struct conf_listener status; /* port 0: none */
    struct conf_backend *backends;
    unsigned backend_count;
    struct conf_template *templates;
    unsigned template_count;
    struct conf_team *teams; /* those with limits of their own */
    unsigned team_count;
    struct conf_preview preview;
    struct str store_path;      /* SQLite file */
    unsigned char secret[32];   /* of secret_file: keys' hashes and tokens */
    struct str access_log;      /* path, "-" or "" */
    struct str log;             /* path or "-" */
    int log_level;              /* enum log_level */
    int64_t timeout_default_s;  /* 300 */
    int64_t timeout_max_s;      /* 86400: above it 400 */
    int64_t files_max_bytes;    /* limit of one uploaded file */
    int64_t api_body_max_bytes; /* 256 KiB */
    unsigned address_max;       /* connections of one address; 0: any */
    bool address_all;           /* private ones are counted, too */
    int64_t connections_max;    /* 0: from RLIMIT_NOFILE */
    int64_t idle_s;             /* keep-alive, 620 */
    int64_t head_timeout_s;     /* 10 */
    int64_t drain_s;            /* 30 */
    int64_t create_timeout_s;   /* 55 */
    int64_t max_memory_bytes;   /* of the worker; 0: no limit of its own */
    int64_t team_sandboxes;     /* at a time; 0: any number */
    int64_t team_creates;       /* in a minute; 0: any number */
    struct address_block *trusted_proxies; /* X-Forwarded-* is theirs */
    unsigned trusted_proxy_count;
};

/* Where mistakes go: one call each, in the order of the file. */
struct conf_report {
    void (*say)(void *arg, struct str file, unsigned line, unsigned column,
                const char *what);
    void *arg;
    unsigned count; /* mistakes so far */
    /* What is no mistake, but should be known; may be NULL. */
    void (*warn)(void *arg, struct str file, unsigned line, unsigned column,
                 const char *what);
};

/*
 * Read and check the whole file and the files it names.  Every mistake is
 * reported, not the first only: unknown key (with the nearest known one),
 * wrong type, out of range, duplicate, missing, a reference to a name that
 * is not there, a file that cannot be read, a secret that others can read
 * or that is too short.  A preview domain beside the API's is warned of.
 *
 * path  of the YAML file
 * out   given: conf_unref(); NULL on error
 *
 * Errors: E_BAD_FIELD (report->count > 0); E_SYSTEM (the file itself cannot
 * be read: errno; nothing is reported); E_NOMEM.
 */
MUST_USE enum err conf_load(const char *path, struct conf_report *report,
                            struct conf **out);

/* One more holder; returns c. */
struct conf *conf_ref(struct conf *c);

/* Taken: one holder less; *c becomes NULL, the secret is wiped with the last
 * holder.  *c may be NULL. */
void conf_unref(struct conf **c);

/* The template asked for by its id or one of its names; NULL if none. */
const struct conf_template *conf_template(const struct conf *c,
                                          struct str name);

/* The backend of that name; NULL if none. */
const struct conf_backend *conf_backend(const struct conf *c, struct str name);

/* The limits of that team: its own, or everybody's.  name is team. */
struct conf_team conf_team(const struct conf *c, struct str team);

/* Are links configured? */
bool conf_previews(const struct conf *c);

/* Write the example file with every key (from options.def). */
void conf_print_example(FILE *out);

/* Write the reference of all keys as Markdown (from options.def). */
void conf_print_reference(FILE *out);

#endif
