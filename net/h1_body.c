/* h1_body.c - see h1_body.h. */
#include "net/h1_body.h"

#include "model/head.h"
#include "net/h1_scan.h"

/* Source: threats.md C6, H1-18, H1-19. */
#define SIZE_DIGITS 16
#define EXT_LINE_BYTES 256
#define EXT_FREE_BYTES 16384
#define TRAILER_BYTES 8192

/* ---- the scan ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static enum err size_byte(struct h1_chunks *c, char byte)
{
    int digit = hex(byte);

    if (digit >= 0) {
        if (++c->digits > SIZE_DIGITS || c->left >> 59)
            return E_BAD_REQUEST;
        c->left = c->left << 4 | (unsigned)digit;
        return E_OK;
    }
    if (!c->digits)
        return E_BAD_REQUEST;
    if (byte == ';')
        c->state = CHUNKS_EXT;
    else if (byte == '\r')
        c->state = CHUNKS_SIZE_LF;
    else
        return E_BAD_REQUEST;
    return E_OK;
}

/* Extensions mean nothing to us, so what they may hold is limited to what is
 * harmless, and their sum to the data that they come with. */
static enum err ext_byte(struct h1_chunks *c, char byte)
{
    if (byte == '\r') {
        c->state = CHUNKS_SIZE_LF;
        c->ext_bytes += c->line_bytes;
        if (c->ext_bytes > c->data_bytes + c->left + EXT_FREE_BYTES)
            return E_BAD_REQUEST;
        c->line_bytes = 0;
        return E_OK;
    }
    if (is_control(byte) || ++c->line_bytes > EXT_LINE_BYTES)
        return E_BAD_REQUEST;
    return E_OK;
}

static enum err size_end(struct h1_chunks *c)
{
    c->digits = 0;
    c->line_bytes = 0;
    c->state = c->left ? CHUNKS_DATA : CHUNKS_NAME;
    return E_OK;
}

/* A trailer's line: a token, a colon, a value; or an empty line at the end. */
static enum err trailer_byte(struct h1_chunks *c, char byte)
{
    if (++c->trailer_bytes > TRAILER_BYTES)
        return E_HEAD_TOO_BIG;
    if (c->state == CHUNKS_VALUE) {
        if (byte == '\r')
            c->state = CHUNKS_LINE_LF;
        else if (byte != '\t' && is_control(byte))
            return E_BAD_REQUEST;
        return E_OK;
    }
    if (byte == '\r' && !c->line_bytes)
        c->state = CHUNKS_LAST_LF;
    else if (byte == ':' && c->line_bytes)
        c->state = CHUNKS_VALUE;
    else if (!h1_is_token(str_from(&byte, 1)))
        return E_BAD_REQUEST;
    else
        c->line_bytes++;
    return E_OK;
}

/* A byte that can only be this one. */
static enum err expect(struct h1_chunks *c, char byte, char want,
                       enum h1_chunks_state next)
{
    c->state = next;
    return byte == want ? E_OK : E_BAD_REQUEST;
}

static enum err scan_byte(struct h1_chunks *c, char byte)
{
    enum err err = E_OK;

    switch (c->state) {
    case CHUNKS_SIZE:
        return size_byte(c, byte);
    case CHUNKS_EXT:
        return ext_byte(c, byte);
    case CHUNKS_SIZE_LF:
        err = expect(c, byte, '\n', CHUNKS_SIZE);
        return err == E_OK ? size_end(c) : err;
    case CHUNKS_DATA_CR:
        return expect(c, byte, '\r', CHUNKS_DATA_LF);
    case CHUNKS_DATA_LF:
        return expect(c, byte, '\n', CHUNKS_SIZE);
    case CHUNKS_NAME:
    case CHUNKS_VALUE:
        return trailer_byte(c, byte);
    case CHUNKS_LINE_LF:
        c->line_bytes = 0;
        return expect(c, byte, '\n', CHUNKS_NAME);
    case CHUNKS_LAST_LF:
        return expect(c, byte, '\n', CHUNKS_OVER);
    case CHUNKS_DATA:
    case CHUNKS_OVER:
        break;
    }
    return E_OK;
}

enum err h1_chunks_scan(struct h1_chunks *c, struct str bytes, size_t *framed,
                        size_t *used)
{
    size_t i = 0;

    *framed = c->state < CHUNKS_NAME ? bytes.n : 0;
    while (i < bytes.n && c->state != CHUNKS_OVER) {
        enum err err = E_OK;

        if (c->state == CHUNKS_DATA) {
            size_t n = bytes.n - i < c->left ? bytes.n - i : (size_t)c->left;

            i += n;
            c->left -= n;
            c->data_bytes += n;
            if (!c->left)
                c->state = CHUNKS_DATA_CR;
            continue;
        }
        err = scan_byte(c, bytes.p[i++]);
        if (err != E_OK)
            return err;
        if (c->state == CHUNKS_NAME && *framed == bytes.n && !c->line_bytes &&
            !c->trailer_bytes)
            *framed = i;
    }
    *used = i;
    return E_OK;
}

/* ---- llhttp ---- */

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct h1_body *b = parser->data;

    if (!n)
        return HPE_OK; /* a chunk that was cut at this very place */
    b->piece = str_from(at, n);
    return HPE_PAUSED;
}

static int on_complete(llhttp_t *parser)
{
    struct h1_body *b = parser->data;

    b->ended = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_body = on_body,
                                           .on_message_complete = on_complete};

void h1_body_begin(struct h1_body *b, int64_t length)
{
    /* The body alone is given to llhttp, behind a head that asks for it. */
    static const char head[] = "PUT / HTTP/1.1\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";

    b->left = length;
    b->ended = length == 0;
    b->framed = b->scanned = 0;
    if (length != LENGTH_CHUNKED)
        return;
    b->chunks = (struct h1_chunks){.state = CHUNKS_SIZE};
    llhttp_init(&b->parser, HTTP_REQUEST, &settings);
    b->parser.data = b;
    b->why = llhttp_execute(&b->parser, head, sizeof(head) - 1) == HPE_OK
                 ? E_OK
                 : E_BAD_REQUEST;
}

/* The scan has seen the end; llhttp must see it too. */
static bool agree(struct h1_body *b)
{
    llhttp_errno_t got = llhttp_execute(&b->parser, "\r\n", 2);

    return got == HPE_PAUSED && b->ended;
}

static enum h1_body_got next_chunked(struct h1_body *b, struct str bytes,
                                     size_t *used, struct str *piece)
{
    llhttp_errno_t got;

    if (b->scanned < bytes.n && b->chunks.state != CHUNKS_OVER) {
        size_t framed = 0, seen = 0;

        b->why = h1_chunks_scan(&b->chunks, str_after(bytes, b->scanned),
                                &framed, &seen);
        if (b->why != E_OK)
            return BODY_BAD;
        b->framed += framed;
        b->scanned += seen;
    }
    b->piece = STR_NONE;
    got = llhttp_execute(&b->parser, bytes.p, b->framed);
    if (got == HPE_PAUSED && b->piece.n && !b->ended) {
        *used = (size_t)(llhttp_get_error_pos(&b->parser) - bytes.p);
        *piece = b->piece;
        llhttp_resume(&b->parser);
        b->framed -= *used;
        b->scanned -= *used;
        return BODY_PIECE;
    }
    b->why = E_BAD_REQUEST;
    if (got != HPE_OK)
        return BODY_BAD;
    *used = b->scanned;
    b->framed = b->scanned = 0;
    if (b->chunks.state != CHUNKS_OVER)
        return BODY_MORE;
    return agree(b) ? BODY_END : BODY_BAD;
}

enum h1_body_got h1_body_next(struct h1_body *b, struct str bytes, size_t *used,
                              struct str *piece)
{
    size_t n = bytes.n;

    *used = 0;
    *piece = STR_NONE;
    if (b->ended)
        return BODY_END;
    if (b->left == LENGTH_CHUNKED)
        return next_chunked(b, bytes, used, piece);
    if (b->left >= 0 && (int64_t)n > b->left)
        n = (size_t)b->left;
    if (!n)
        return BODY_MORE;
    if (b->left >= 0) {
        b->left -= (int64_t)n;
        b->ended = b->left == 0;
    }
    *used = n;
    *piece = str_from(bytes.p, n);
    return BODY_PIECE;
}
