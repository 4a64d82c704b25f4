/* Fuzzer of an upstream's answers: what our scan lets through, llhttp frames
 * the same way, however the bytes are cut; and the head can be said on. */
#include <assert.h>
#include <llhttp/llhttp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/h1_head.h"
#include "net/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_head(llhttp_t *p)
{
    *(bool *)p->data = true;
    return 0;
}

static const llhttp_settings_t settings = {.on_headers_complete = on_head};

static void compare(const struct h1_lines *lines, const struct h1_answer *a,
                    struct str bytes)
{
    bool whole = false;
    llhttp_t p;

    llhttp_init(&p, HTTP_RESPONSE, &settings);
    p.data = &whole;
    llhttp_execute(&p, bytes.p, lines->bytes);
    if (!whole) {
        fprintf(stderr, "%s: %s\n", llhttp_errno_name(llhttp_get_errno(&p)),
                llhttp_get_error_reason(&p));
        abort();
    }
    assert(p.status_code == lines->status);
    assert(p.http_major == 1 && p.http_minor == lines->minor);
    if (a->body == LENGTH_CHUNKED)
        assert(p.flags & F_CHUNKED);
    if (a->body > 0)
        assert(p.flags & F_CONTENT_LENGTH &&
               (int64_t)p.content_length == a->body);
    if (a->body == LENGTH_CLOSE)
        assert(!(p.flags & (F_CHUNKED | F_CONTENT_LENGTH)));
}

/* Said on to a client it has one framing, and no byte that is not clean. */
static void say_on(const struct answer_head *head)
{
    struct h1_answer_extra extra = {.date = STR("Sun, 06 Nov 1994 08:49:37 "
                                                "GMT"),
                                    .keep = true,
                                    .keep_alive_s = 600};
    size_t bound = h1_answer_bound(head), n;
    struct field rows[H1_ANSWER_FIELDS];
    struct h1_lines lines = {.rows = rows};
    struct h1_scan scan = {.at = 0};
    struct h1_answer again;
    char *p = malloc(bound);
    bool done;

    n = h1_write_answer(p, head, &extra);
    assert(n <= bound);
    if (h1_scan_answer(&scan, str_from(p, n), &lines, &done) == E_OK) {
        assert(done && lines.bytes == n && lines.status == head->status);
        assert(h1_answer(&lines, METHOD_GET, &again) == E_OK);
        assert(again.head.fields.count == head->fields.count);
    } else {
        assert(head->fields.count + 4 > H1_ANSWER_FIELDS ||
               n > H1_ANSWER_BYTES);
    }
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_from((const char *)data, size);
    struct field rows[H1_ANSWER_FIELDS], part_rows[H1_ANSWER_FIELDS];
    struct h1_lines lines = {.rows = rows}, parts = {.rows = part_rows};
    struct h1_scan whole = {.at = 0}, part = {.at = 0};
    struct h1_answer answer;
    bool done, part_done = false;
    enum err err = h1_scan_answer(&whole, all, &lines, &done);
    enum err part_err = E_OK;

    for (size_t n = 1; n <= size && part_err == E_OK && !part_done; n++)
        part_err =
            h1_scan_answer(&part, str_from(all.p, n), &parts, &part_done);
    assert(part_done == done);
    assert((part_err == E_OK) == (err == E_OK));
    if (err != E_OK || !done)
        return 0;
    assert(lines.bytes == parts.bytes && lines.count == parts.count);
    if (h1_answer(&lines, METHOD_GET, &answer) != E_OK)
        return 0;
    compare(&lines, &answer, all);
    if (lines.status >= 200)
        say_on(&answer.head);
    return 0;
}
