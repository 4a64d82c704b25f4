/* Fuzzer of requests: what our scan lets through, llhttp reads the same way;
 * cutting the bytes changes nothing; and what is written from the fields is
 * read again as the same fields. */
#include <assert.h>
#include <llhttp/llhttp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "net/h1_body.h"
#include "net/h1_head.h"
#include "net/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What llhttp makes of a head. */
struct seen {
    struct buf url, fields;
    bool whole;
};

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    buf_put(&((struct seen *)p->data)->url, str_from(at, n));
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    buf_put(&((struct seen *)p->data)->fields, str_from(at, n));
    return 0;
}

static int on_field_end(llhttp_t *p)
{
    buf_byte(&((struct seen *)p->data)->fields, '\n');
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    buf_put(&((struct seen *)p->data)->fields, str_from(at, n));
    return 0;
}

static int on_head(llhttp_t *p)
{
    ((struct seen *)p->data)->whole = true;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_end,
    .on_header_value = on_value,
    .on_header_value_complete = on_field_end,
    .on_headers_complete = on_head};

static void compare_fields(const struct h1_lines *lines, struct buf *fields)
{
    struct buf own;

    buf_init(&own, 1 << 20);
    for (unsigned i = 0; i < lines->count; i++) {
        buf_put(&own, lines->rows[i].name);
        buf_byte(&own, '\n');
        buf_put(&own, lines->rows[i].value);
        buf_byte(&own, '\n');
    }
    /* llhttp leaves white space at the end of values. */
    assert(buf_len(&own) <= buf_len(fields));
    for (struct str a = buf_str(&own), b = buf_str(fields); a.p;) {
        struct str x = str_cut(&a, '\n'), y = str_trim(str_cut(&b, '\n'));

        assert(str_eq(x, y));
    }
    buf_clear(&own);
}

static void compare(const struct h1_lines *lines,
                    const struct request_head *head, struct str bytes)
{
    struct seen seen = {.whole = false};
    llhttp_t p;

    buf_init(&seen.url, 1 << 20);
    buf_init(&seen.fields, 1 << 20);
    llhttp_init(&p, HTTP_REQUEST, &settings);
    p.data = &seen;
    llhttp_execute(&p, bytes.p, lines->bytes);
    if (!seen.whole || (p.error != HPE_OK && p.error != HPE_PAUSED_UPGRADE)) {
        fprintf(stderr, "%s: %s\n", llhttp_errno_name(llhttp_get_errno(&p)),
                llhttp_get_error_reason(&p));
        abort();
    }
    assert(str_eq(str_of(llhttp_method_name((llhttp_method_t)p.method)),
                  lines->method));
    assert(str_eq(buf_str(&seen.url), lines->target));
    assert(p.http_major == 1 && p.http_minor == lines->minor);
    assert(!!(p.flags & F_CHUNKED) == (head->length == LENGTH_CHUNKED));
    if (p.flags & F_CONTENT_LENGTH)
        assert((int64_t)p.content_length == head->length);
    compare_fields(lines, &seen.fields);
    buf_clear(&seen.url);
    buf_clear(&seen.fields);
}

/* Written from its parts and read again, it is the same. */
static void write_again(const struct h1_lines *lines,
                        const struct request_head *head)
{
    struct h1_request_head out = {.method = head->method,
                                  .target = head->target,
                                  .host = head->host,
                                  .fields = &head->fields,
                                  .length = head->length};
    struct field rows[H1_FIELDS];
    struct h1_lines again = {.rows = rows};
    struct h1_scan scan = {.at = 0};
    char *p = malloc(h1_request_bound(&out));
    bool done;
    size_t n;

    if (!head->host.n)
        out.host = STR("h");
    n = h1_write_request(p, &out);
    assert(n && n <= h1_request_bound(&out));
    if (h1_scan_request(&scan, str_from(p, n), &again, &done) == E_OK) {
        assert(done && again.bytes == n);
        assert(str_eq(again.target, head->target));
        assert(again.count <= lines->count + 3);
    } else {
        /* A host or a length more may be over the limits. */
        assert(lines->count + 2 > H1_FIELDS || n > H1_HEAD_BYTES);
    }
    free(p);
}

static void read_body(struct str bytes, int64_t length, size_t step,
                      struct buf *out)
{
    struct buf in;
    struct h1_body b;
    enum h1_body_got got = BODY_MORE;
    size_t at = 0;

    buf_init(&in, 1 << 20);
    h1_body_begin(&b, length);
    while (got != BODY_END && got != BODY_BAD) {
        struct str piece;
        size_t used;

        got = h1_body_next(&b, buf_str(&in), &used, &piece);
        assert(used <= buf_len(&in));
        if (got == BODY_PIECE) {
            assert(piece.n && piece.p >= buf_str(&in).p &&
                   piece.p + piece.n <= buf_str(&in).p + used);
            buf_put(out, piece);
        }
        if (got == BODY_END || got == BODY_BAD)
            break;
        buf_drop(&in, used);
        if (got == BODY_MORE) {
            size_t n = bytes.n - at < step ? bytes.n - at : step;

            if (!n)
                break;
            buf_put(&in, str_from(bytes.p + at, n));
            at += n;
        }
    }
    buf_byte(out, got == BODY_END ? 'e' : got == BODY_BAD ? 'b' : 'm');
    buf_clear(&in);
}

static void bodies(struct str bytes, int64_t length)
{
    static const size_t steps[] = {1, 3, 1 << 20};
    struct buf one, other;

    buf_init(&one, 1 << 20);
    read_body(bytes, length, 1, &one);
    for (int i = 1; i < 3; i++) {
        struct str a, b;

        buf_init(&other, 1 << 20);
        read_body(bytes, length, steps[i], &other);
        a = buf_str(&one);
        b = buf_str(&other);
        assert(a.p[a.n - 1] == b.p[b.n - 1]);
        /* A broken body may show less of what came before the break. */
        assert(a.p[a.n - 1] == 'b' || str_eq(a, b));
        buf_clear(&other);
    }
    buf_clear(&one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_from((const char *)data, size);
    struct field rows[H1_FIELDS], part_rows[H1_FIELDS];
    struct h1_lines lines = {.rows = rows}, parts = {.rows = part_rows};
    struct h1_scan whole = {.at = 0}, part = {.at = 0};
    struct request_head head = {.length = 0};
    struct arena *arena;
    bool done, part_done = false, keep;
    enum err err = h1_scan_request(&whole, all, &lines, &done);
    enum err part_err = E_OK;

    for (size_t n = 1; n <= size && part_err == E_OK && !part_done; n++)
        part_err =
            h1_scan_request(&part, str_from(all.p, n), &parts, &part_done);
    assert(part_done == done);
    assert((part_err == E_OK) == (err == E_OK));
    if (err != E_OK || !done)
        return 0;
    assert(lines.bytes == parts.bytes && lines.count == parts.count);
    if (arena_new(1 << 20, &arena) != E_OK)
        return 0;
    if (h1_request(&lines, arena, &head, &keep) == E_OK) {
        compare(&lines, &head, all);
        write_again(&lines, &head);
        bodies(str_after(all, lines.bytes), head.length);
    }
    arena_free(&arena);
    return 0;
}
