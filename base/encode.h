/* encode.h - hex, base64 and percent encoding. */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

/* Lower-case hex of n bytes into out, 2n + 1 bytes with a NUL. */
void encode_hex(const unsigned char *p, size_t n, char *out);

/* Exactly n bytes from 2n lower-case hex digits, else false. */
bool decode_hex(struct str s, unsigned char *out, size_t n);

/* Length of the padded standard base64 of n bytes. */
#define ENCODE_BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* Append the base64 of bytes: standard alphabet with padding, or the URL
 * alphabet without.  Source: RFC 4648 4, 5. */
void encode_base64(struct buf *b, struct str bytes);
void encode_base64url(struct buf *b, struct str bytes);

/* Append the bytes of s; false (and nothing appended) when it is malformed or
 * b has no room (b->failed then).
 * lenient: both alphabets, padding optional (proto-JSON); else standard
 * alphabet with exact padding and zero spare bits. */
bool decode_base64(struct buf *b, struct str s, bool lenient);

/* One spelling only: URL alphabet, no padding, zero spare bits. */
bool decode_base64url(struct buf *b, struct str s);

/* Percent-decode once into the arena; false on a bad escape (or no memory).
 * form: + is a space.  Source: RFC 3986 2.1, WHATWG URL 5.1. */
bool decode_percent(struct str s, bool form, struct arena *a, struct str *out);

/* Append s percent-encoded: all but A-Z a-z 0-9 - . _ ~ as %XX. */
void encode_percent(struct buf *b, struct str s);

/* Append s as an HTML text: & < > " ' escaped. */
void encode_html(struct buf *b, struct str s);

/* Is it valid UTF-8 (no surrogates, shortest form)? */
bool encode_is_utf8(struct str s);

/* Bytes (1 to 4) of the valid UTF-8 character that s begins with and its code
 * point, or 0 when there is none. */
unsigned decode_utf8(struct str s, uint32_t *point);

#endif
