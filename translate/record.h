/* record.h - a sandbox as E2B's API shows it.  For the files of translate/
 * only. */
#ifndef TRANSLATE_RECORD_H
#define TRANSLATE_RECORD_H

#include "base/buf.h"
#include "translate/op.h"

/* What SDKs choose features by; it promises what of E2B's daemon is served.
 * Source: e2b-control-plane.md 6.4 */
#define RECORD_ENVD_VERSION "0.5.7"

/* A constant that SDKs of 2024 append to ids.  Source: 6.1 */
#define RECORD_CLIENT_ID "6532622b"

/*
 * Append the Sandbox of create and connect.  Source: 7.1
 * tokens  NULL where there is none
 */
void record_put_sandbox(struct buf *b, const struct sandbox *s,
                        const char *envd_token, const char *traffic_token);

/* Append the ListedSandbox, and the SandboxDetail of its GET.  Source: 7.2 */
void record_put_listed(struct buf *b, const struct sandbox *s,
                       const struct conf *conf);
void record_put_detail(struct buf *b, const struct sandbox *s,
                       const struct conf *conf, const char *envd_token);

/* SAY what was put into b (cleared here), or fail: over its maximum. */
void record_answer(struct op *op, struct want *w, int status, struct buf *b);

#endif
