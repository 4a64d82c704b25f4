/* translate_envelope.c - tests of Connect's frames. */
#include "translate/envelope.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/mem.h"

#define LIMIT 1000

/* Three frames: text, empty, end. */
static struct str story(struct buf *b)
{
    buf_init(b, 8192);
    envelope_put(b, 0, STR("{\"stdout\":\"aGkK\"}"));
    envelope_put(b, 0, STR(""));
    envelope_put_end(b, NULL, STR_NONE);
    return buf_str(b);
}

/* Read the pieces that a cut at each of two places makes. */
static void read_cut(struct str all, size_t first, size_t second)
{
    static const struct {
        unsigned flags;
        struct str payload;
    } rows[] = {{0, {"{\"stdout\":\"aGkK\"}", 17}},
                {0, {"", 0}},
                {ENVELOPE_END, {"{}", 2}}};
    struct str pieces[] = {{all.p, first},
                           {all.p + first, second - first},
                           {all.p + second, all.n - second}};
    struct envelope_reader r;
    size_t seen = 0;

    envelope_init(&r, LIMIT);
    for (size_t i = 0; i < 3; i++) {
        struct str piece = pieces[i], payload;
        bool whole = true;
        unsigned flags;

        while (whole) {
            cr_assert_eq(envelope_next(&r, &piece, &whole, &flags, &payload),
                         E_OK);
            if (!whole)
                break;
            cr_assert(seen < 3);
            cr_expect_eq(flags, rows[seen].flags);
            cr_expect(str_eq(payload, rows[seen].payload),
                      "frame %zu, cut at %zu and %zu", seen, first, second);
            seen++;
        }
        cr_assert_eq(piece.n, 0);
    }
    cr_expect_eq(seen, 3, "cut at %zu and %zu", first, second);
    cr_expect_not(envelope_partial(&r));
    envelope_clear(&r);
}

Test(envelope, is_read_whole_however_it_is_cut)
{
    struct buf b;
    struct str all = story(&b);

    for (size_t i = 0; i <= all.n; i++)
        for (size_t j = i; j <= all.n; j++)
            read_cut(all, i, j);
    buf_clear(&b);
}

Test(envelope, a_whole_frame_is_borrowed_from_the_piece)
{
    struct envelope_reader r;
    struct buf b;
    struct str all = story(&b), piece = all, payload;
    unsigned flags;
    bool whole;

    envelope_init(&r, LIMIT);
    cr_assert_eq(envelope_next(&r, &piece, &whole, &flags, &payload), E_OK);
    cr_expect_eq(payload.p, all.p + ENVELOPE_HEAD);
    cr_expect_null(r.held.p);
    envelope_clear(&r);
    buf_clear(&b);
}

Test(envelope, knows_its_limits)
{
    static const struct {
        const char *name;
        const char bytes[5];
        enum err want;
    } rows[] = {
        {"limit - 1", {0, 0, 0, 3, (char)0xe7}, E_OK},
        {"limit", {0, 0, 0, 3, (char)0xe8}, E_OK},
        {"limit + 1", {0, 0, 0, 3, (char)0xe9}, E_TOO_BIG},
        {"4 GiB", {0, -1, -1, -1, -1}, E_TOO_BIG},
        {"flag 4", {4, 0, 0, 0, 0}, E_INVALID},
        {"flag 128", {(char)128, 0, 0, 0, 0}, E_INVALID},
        {"compressed", {1, 0, 0, 0, 0}, E_OK},
        {"compressed end", {3, 0, 0, 0, 0}, E_OK},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t cut = 0; cut <= 5; cut++) {
            struct str first = {rows[i].bytes, cut}, payload;
            struct str rest = {rows[i].bytes + cut, 5 - cut};
            struct envelope_reader r;
            unsigned flags;
            enum err err;
            bool whole;

            envelope_init(&r, LIMIT);
            err = envelope_next(&r, &first, &whole, &flags, &payload);
            if (!err)
                err = envelope_next(&r, &rest, &whole, &flags, &payload);
            cr_expect_eq(err, rows[i].want, "row \"%s\", cut %zu", rows[i].name,
                         cut);
            envelope_clear(&r);
        }
}

Test(envelope, a_cut_frame_is_known_as_partial)
{
    struct envelope_reader r;
    struct str piece = STR("\0\0\0\0\x05he"), payload;
    unsigned flags;
    bool whole;

    envelope_init(&r, LIMIT);
    cr_expect_not(envelope_partial(&r));
    cr_assert_eq(envelope_next(&r, &piece, &whole, &flags, &payload), E_OK);
    cr_expect_not(whole);
    cr_expect(envelope_partial(&r));
    envelope_clear(&r);
}

Test(envelope, a_million_empty_frames_need_no_memory)
{
    static char bytes[ENVELOPE_HEAD * 10000];
    struct envelope_reader r;
    struct str payload;
    unsigned flags;
    size_t seen = 0;
    bool whole;

    envelope_init(&r, LIMIT);
    for (int i = 0; i < 100; i++) {
        struct str piece = {bytes, sizeof(bytes)};

        do {
            cr_assert_eq(envelope_next(&r, &piece, &whole, &flags, &payload),
                         E_OK);
            seen += whole;
        } while (whole);
    }
    cr_expect_eq(seen, 1000000);
    cr_expect_null(r.held.p);
}

Test(envelope, an_end_frame_tells_its_error)
{
    struct buf b;

    buf_init(&b, 8192);
    buf_put(&b, STR("before"));
    buf_drop(&b, 6);
    envelope_put(&b, 0, STR("x"));
    envelope_put_end(&b, "not_found", STR("no \"<x>\""));
    cr_expect(str_eq(buf_str(&b),
                     STR("\0\0\0\0\x01x\x02\0\0\0\x3f{\"error\":{\"code\":"
                         "\"not_found\",\"message\":"
                         "\"no \\\"\\u003cx\\u003e\\\"\"}}")));
    buf_clear(&b);
}

Test(envelope, says_so_without_memory)
{
    struct envelope_reader r;
    struct str piece = STR("\0\0"), payload;
    unsigned flags;
    bool whole;

    envelope_init(&r, LIMIT);
    mem_refuse(0);
    cr_expect_eq(envelope_next(&r, &piece, &whole, &flags, &payload), E_NOMEM);
    mem_refuse(-1);
    envelope_clear(&r);
}
