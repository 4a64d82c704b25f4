/* envelope.h - the Connect protocol's frames, both ways. */
#ifndef TRANSLATE_ENVELOPE_H
#define TRANSLATE_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define ENVELOPE_HEAD 5
#define ENVELOPE_COMPRESSED 0x01
#define ENVELOPE_END 0x02

/* A reader of frames that come in pieces; inside other structs. */
struct envelope_reader {
    struct buf held; /* bytes of a frame that is not complete */
    size_t max;      /* most bytes of a payload */
    size_t given;    /* bytes of held that the last call handed out */
};

/* Empty; holds no memory until a frame comes in parts. */
void envelope_init(struct envelope_reader *r, size_t max_payload);

/*
 * The next whole frame out of what is held and *piece (the part that was
 * used is cut off *piece).
 * payload  borrowed from *piece or from the reader until the next call
 * Returns E_OK with *whole false when more bytes are needed.
 * Errors: E_TOO_BIG (length over max), E_INVALID (reserved flag bits),
 * E_NOMEM.
 */
MUST_USE enum err envelope_next(struct envelope_reader *r, struct str *piece,
                                bool *whole, unsigned *flags,
                                struct str *payload);

/* Bytes of an incomplete frame are held. */
bool envelope_partial(const struct envelope_reader *r);

/* Give the memory back; the reader can be used again. */
void envelope_clear(struct envelope_reader *r);

/* Append a frame. */
void envelope_put(struct buf *b, unsigned flags, struct str payload);

/* Append only the 5 bytes, for a payload of n bytes that follows. */
void envelope_put_head(struct buf *b, unsigned flags, size_t n);

/* Append an end frame: {} when code is NULL, else {"error":{"code",
 * "message"}} with < > & escaped, as connect-go writes it. */
void envelope_put_end(struct buf *b, const char *code, struct str message);

#endif
