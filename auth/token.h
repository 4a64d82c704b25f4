/* token.h - tokens that are derived, never stored. */
#ifndef AUTH_TOKEN_H
#define AUTH_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define AUTH_TOKEN_LENGTH 64 /* hex digits */

/* HMAC-SHA256(secret, purpose NUL id NUL life) as 64 hex digits and a NUL:
 * the same over create, connect, detail and restarts.  The purpose is `envd`
 * or `traffic`, life a decimal number.  Source: e2b-control-plane.md 6.2 */
void auth_token_envd(const unsigned char secret[32], struct str id,
                     uint64_t life, char out[AUTH_TOKEN_LENGTH + 1]);

/* Likewise, what a client of a port must show where public traffic is off. */
void auth_token_traffic(const unsigned char secret[32], struct str id,
                        uint64_t life, char out[AUTH_TOKEN_LENGTH + 1]);

/* Constant-time comparison of a header's value with the derived token;
 * absent and other lengths are false. */
bool auth_token_same(struct str given, const char *token);

#endif
