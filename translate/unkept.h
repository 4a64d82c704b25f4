/* unkept.h - which of E2B's features are not kept: the variants of
 * unkept_hear() in ops.def. */
#ifndef TRANSLATE_UNKEPT_H
#define TRANSLATE_UNKEPT_H

enum unkept {
    UNKEPT_PAUSE,  /* 400 */
    UNKEPT_RESUME, /* 409: what is not paused cannot be resumed */
    UNKEPT_METRICS,
    UNKEPT_LOGS,
    UNKEPT_NETWORK, /* 400: a promise about safety */
    UNKEPT_SNAPSHOTS,
    UNKEPT_FORK,
    UNKEPT_TEMPLATES,
    UNKEPT_VOLUMES,
    UNKEPT_SECRETS,
    UNKEPT_ACCOUNTS,
    UNKEPT_WATCH,
    UNKEPT_COUNT
};

#endif
