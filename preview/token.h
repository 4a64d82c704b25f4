/* token.h - tokens of signed links: made and believed.
 *
 * Two forms.  Sandgate's own, `sgl1_` and base64url of a body and the first
 * 128 bits of HMAC-SHA256(key, "sandgate-preview-v1" NUL body); and
 * `mitos-preview-v1`, base64url of JSON, a dot and base64url of its HMAC.
 * Neither names an algorithm; each has one spelling. */
#ifndef PREVIEW_TOKEN_H
#define PREVIEW_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "model/link.h"

/* How each form begins. */
#define PREVIEW_TOKEN_BEGIN "sgl1_"
#define PREVIEW_TOKEN_BEGIN_MITOS "eyJzIjoi" /* {"s":" */

/*
 * Could the token of the sandbox server's form, which does not say when it was
 * made, be from before that time?  It could have been made for ttl_max.
 * before_ms  wall
 */
bool preview_token_could_predate(const struct conf_preview *conf,
                                 const struct link *link, int64_t before_ms);

/* Longest token of either form. */
#define PREVIEW_TOKEN_MAX 640

/*
 * Append the token of the link: its id, sandbox, life, port, times and
 * scopes, signed with the first key.
 * Errors: E_RANGE (a value that would not be believed: our mistake),
 * E_UNIMPLEMENTED (there is no key), E_NOMEM.
 */
MUST_USE enum err preview_token_mint(const struct conf_preview *conf,
                                     const struct link *link, struct buf *out);

/*
 * Append a token of the sandbox server's form: sandbox, port and expires_s
 * of the link alone.
 * Errors: E_RANGE, E_UNIMPLEMENTED (there is no shared secret), E_NOMEM.
 * Source: mitos-sandbox-server.md 4.1
 */
MUST_USE enum err preview_token_mint_mitos(const struct conf_preview *conf,
                                           const struct link *link,
                                           struct buf *out);

/*
 * Believe a token of either form: MAC first, in constant time, under the key
 * that it names (any of the configured ones); then its values; then its
 * times: now < expiry (the sandbox server's form: through it) <= now +
 * ttl_max_s.
 *
 * now_s  wall
 * out    what it says; id "" and life 0 for the sandbox server's form.  Set
 *        for E_OK and E_TOKEN_EXPIRED, else zeroed
 *
 * Errors: E_TOKEN_INVALID, E_TOKEN_EXPIRED, E_NOMEM.
 * Source: threats.md P-01, P-02, P-04, P-05
 */
MUST_USE enum err preview_token_verify(const struct conf_preview *conf,
                                       struct str text, int64_t now_s,
                                       struct link *out);

/* Could it be a token of ours, and not an app's own?  By how it begins. */
bool preview_token_like(struct str text);

#endif
