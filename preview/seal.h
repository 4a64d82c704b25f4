/* seal.h - a link as signed bytes: what token and cookie are made of.
 *
 * For the files of preview/ only. */
#ifndef PREVIEW_SEAL_H
#define PREVIEW_SEAL_H

#include "base/buf.h"
#include "base/err.h"
#include "conf/conf.h"
#include "model/link.h"

#define SEAL_TAG_BYTES 16

/* What a text is signed for: no token is a cookie, no host's cookie another
 * one's. */
struct seal_purpose {
    struct str name;
    struct str host; /* absent for tokens */
};

/* Append base64url of body and tag.  Errors: E_RANGE, E_UNIMPLEMENTED,
 * E_NOMEM. */
MUST_USE enum err preview_seal_put(const struct conf_preview *conf,
                                   const struct seal_purpose *purpose,
                                   const struct link *link, struct buf *out);

/* Read it back, times not judged.  Errors: E_TOKEN_INVALID, E_NOMEM. */
MUST_USE enum err preview_seal_open(const struct conf_preview *conf,
                                    const struct seal_purpose *purpose,
                                    struct str text, struct link *out);

/* Are the times of a sealed link such that it counts?  Errors:
 * E_TOKEN_EXPIRED, E_TOKEN_INVALID. */
MUST_USE enum err preview_seal_time(const struct conf_preview *conf,
                                    const struct link *link, int64_t now_s);

/* ^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$  Source: mitos-sandbox-server.md 1.2 */
bool preview_seal_sandbox_ok(struct str id);

/* HMAC-SHA256(secret, name NUL parts ...): each part but the last is followed
 * by a NUL. */
void preview_seal_mac(struct str secret, const struct str *parts,
                      unsigned count, unsigned char out[32]);

#endif
