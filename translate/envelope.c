/* envelope.c - see envelope.h. */
#include "translate/envelope.h"

#include "base/json.h"

/* Bits that no version of the protocol gives a meaning. */
#define RESERVED 0xfcU

void envelope_init(struct envelope_reader *r, size_t max_payload)
{
    *r = (struct envelope_reader){.max = max_payload};
    buf_init(&r->held, max_payload + ENVELOPE_HEAD);
}

static size_t length_of(struct str head)
{
    const unsigned char *p = (const unsigned char *)head.p;

    return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

/* Judge a head: flags and the length of its payload. */
MUST_USE static enum err read_head(const struct envelope_reader *r,
                                   struct str head, unsigned *flags, size_t *n)
{
    *flags = (unsigned char)head.p[0];
    *n = length_of(head);
    if (*flags & RESERVED)
        return E_INVALID;
    return *n > r->max ? E_TOO_BIG : E_OK;
}

/* Move bytes from *piece until n are held, or the piece is used up. */
MUST_USE static enum err hold(struct envelope_reader *r, struct str *piece,
                              size_t n)
{
    size_t held = buf_len(&r->held);
    size_t take = n > held ? n - held : 0;

    if (take > piece->n)
        take = piece->n;
    buf_put(&r->held, str_from(piece->p, take));
    *piece = str_after(*piece, take);
    return r->held.failed ? E_NOMEM : E_OK;
}

/* Go on with the frame that is held in part. */
MUST_USE static enum err go_on(struct envelope_reader *r, struct str *piece,
                               bool *whole, unsigned *flags,
                               struct str *payload)
{
    enum err err = hold(r, piece, ENVELOPE_HEAD);
    size_t n;

    if (err || buf_len(&r->held) < ENVELOPE_HEAD)
        return err;
    err = read_head(r, buf_str(&r->held), flags, &n);
    if (err)
        return err;
    err = hold(r, piece, ENVELOPE_HEAD + n);
    if (err || buf_len(&r->held) < ENVELOPE_HEAD + n)
        return err;
    *whole = true;
    r->given = ENVELOPE_HEAD + n;
    *payload = str_after(buf_str(&r->held), ENVELOPE_HEAD);
    return E_OK;
}

enum err envelope_next(struct envelope_reader *r, struct str *piece,
                       bool *whole, unsigned *flags, struct str *payload)
{
    size_t n;

    *whole = false;
    *flags = 0;
    *payload = STR("");
    buf_drop(&r->held, r->given);
    r->given = 0;
    /* A frame that lies whole in the piece is not copied. */
    if (buf_len(&r->held) == 0 && piece->n >= ENVELOPE_HEAD) {
        enum err err = read_head(r, *piece, flags, &n);

        if (err)
            return err;
        if (piece->n - ENVELOPE_HEAD >= n) {
            *whole = true;
            *payload = str_from(piece->p + ENVELOPE_HEAD, n);
            *piece = str_after(*piece, ENVELOPE_HEAD + n);
            return E_OK;
        }
    }
    return piece->n ? go_on(r, piece, whole, flags, payload) : E_OK;
}

bool envelope_partial(const struct envelope_reader *r)
{
    return buf_len(&r->held) > r->given;
}

void envelope_clear(struct envelope_reader *r)
{
    buf_clear(&r->held);
    r->given = 0;
}

void envelope_put_head(struct buf *b, unsigned flags, size_t n)
{
    char head[ENVELOPE_HEAD] = {(char)flags, (char)(n >> 24), (char)(n >> 16),
                                (char)(n >> 8), (char)n};

    buf_put(b, str_from(head, sizeof(head)));
}

void envelope_put(struct buf *b, unsigned flags, struct str payload)
{
    envelope_put_head(b, flags, payload.n);
    buf_put(b, payload);
}

void envelope_put_end(struct buf *b, const char *code, struct str message)
{
    size_t start = buf_len(b), n;
    char *head;

    if (!code) {
        envelope_put(b, ENVELOPE_END, STR("{}"));
        return;
    }
    envelope_put_head(b, ENVELOPE_END, 0);
    buf_text(b, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    json_write_text(b, message, false, true);
    buf_put(b, STR("}}"));
    if (b->failed)
        return;
    /* The length is known only now. */
    n = buf_len(b) - start - ENVELOPE_HEAD;
    head = b->p + b->at + start;
    head[1] = (char)(n >> 24);
    head[2] = (char)(n >> 16);
    head[3] = (char)(n >> 8);
    head[4] = (char)n;
}
