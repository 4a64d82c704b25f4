#include <criterion/criterion.h>
#include <zlib.h>

#include "base/arena.h"
#include "translate/inflate.h"
#include "translate/multipart.h"
#include "translate/query.h"

/* What a body gives, as one text: P(name|filename), D(bytes), L, E, ! for an
 * error; data that came in pieces is joined. */
static void read_all(struct str type, struct str body, size_t cut,
                     struct arena *a, struct buf *out)
{
    struct multipart m;
    struct multipart_event event;
    size_t from = 0, to = cut < body.n ? cut : body.n, used;
    bool in_data = false;
    enum err err;

    buf_empty(out);
    if (!multipart_init(&m, type)) {
        buf_put(out, STR("?"));
        return;
    }
    for (;;) {
        err = multipart_next(&m, str_from(body.p + from, to - from),
                             to == body.n, a, &used, &event);
        if (err != E_OK) {
            buf_text(out, "!%s", err_name(err));
            return;
        }
        from += used;
        if (event.kind == MULTIPART_MORE) {
            if (used == 0)
                to = to + cut < body.n ? to + cut : body.n;
            continue;
        }
        if (event.kind == MULTIPART_DATA) {
            if (!in_data)
                buf_put(out, STR("D"));
            in_data = true;
            buf_put(out, event.data);
            continue;
        }
        in_data = false;
        if (event.kind == MULTIPART_PART)
            buf_text(out, "P%s(%.*s|%.*s)", event.form_data ? "" : "-",
                     STR_FMT(event.name.p ? event.name : STR("~")),
                     STR_FMT(event.filename.p ? event.filename : STR("~")));
        if (event.kind == MULTIPART_LAST)
            buf_put(out, STR("L"));
        if (event.kind == MULTIPART_END) {
            buf_put(out, STR("E"));
            return;
        }
    }
}

#define PART(more) "--XX\r\nContent-Disposition: form-data; " more "\r\n"

Test(multipart, reads_a_body_cut_at_every_place)
{
    static const struct {
        const char *name, *type, *body, *want;
    } rows[] = {
        {"one file", "multipart/form-data; boundary=XX",
         PART("name=\"file\"; filename=\"a.txt\"") "\r\nhello\r\n--XX--\r\n",
         "P(file|a.txt)DhelloLE"},
        {"two files", "multipart/form-data; boundary=\"XX\"",
         PART("name=\"file\"; filename=\"/x/1\"") "Content-Type: "
                                                  "text/"
                                                  "plain\r\n\r\none\r\n" PART(
                                                      "name=\"file\"; "
                                                      "filename=\"/x/"
                                                      "\xc3\xbc.txt\"") "\r\ntw"
                                                                        "o\r\n-"
                                                                        "-XX--",
         "P(file|/x/1)DoneLP(file|/x/\xc3\xbc.txt)DtwoLE"},
        {"an empty file", "multipart/form-data; boundary=XX",
         PART("name=\"file\"; filename=\"a\"") "\r\n\r\n--XX--\r\n",
         "P(file|a)LE"},
        {"no filename", "multipart/form-data; boundary=XX",
         PART("name=\"file\"") "\r\ntext\r\n--XX--\r\n", "P(file|~)DtextLE"},
        {"another name", "multipart/form-data; boundary=XX",
         PART("name=other") "\r\nx\r\n--XX--\r\n", "P(other|~)DxLE"},
        {"an attachment", "multipart/mixed; boundary=XX",
         "--XX\r\nContent-Disposition: attachment; "
         "name=file\r\n\r\nx\r\n--XX--",
         "P-(file|~)DxLE"},
        {"no disposition", "multipart/form-data; boundary=XX",
         "--XX\r\n\r\nx\r\n--XX--", "P-(~|~)DxLE"},
        {"line feeds only", "multipart/form-data; boundary=XX",
         "--XX\ncontent-disposition: form-data; name=file; filename=a\n\nx\n"
         "--XX--\n",
         "P(file|a)DxLE"},
        {"a preamble", "multipart/form-data; boundary=XX",
         "hi there\r\n" PART("name=file") "\r\nx\r\n--XX--", "P(file|~)DxLE"},
        {"an epilogue", "multipart/form-data; boundary=XX",
         PART("name=file") "\r\nx\r\n--XX--\r\nmore\r\n--XX\r\n",
         "P(file|~)DxLE"},
        {"what looks like a boundary", "multipart/form-data; boundary=XX",
         PART("name=file") "\r\na\r\n--X\r\n-XX\r\n\r\n--YX--\r\n--XX--",
         "P(file|~)Da\r\n--X\r\n-XX\r\n\r\n--YX--LE"},
        {"quotes and backslashes", "multipart/form-data; boundary=XX",
         PART("name=\"file\"; filename=\"x %22q\\\\.txt\"") "\r\nx\r\n--XX--",
         "P(file|x %22q\\.txt)DxLE"},
        {"filename* wins", "multipart/form-data; boundary=XX",
         PART("name=file; filename=\"a\"; filename*=UTF-8''%C3%BC.txt") "\r\nx"
                                                                        "\r\n--"
                                                                        "XX--",
         "P(file|\xc3\xbc.txt)DxLE"},
        {"only the closing boundary", "multipart/form-data; boundary=XX",
         "--XX--\r\n", "E"},
        {"empty", "multipart/form-data; boundary=XX", "", "!CUT"},
        {"another boundary", "multipart/form-data; boundary=YY",
         PART("name=file") "\r\nx\r\n--XX--", "!CUT"},
        {"cut in the data", "multipart/form-data; boundary=XX",
         PART("name=file") "\r\nhello wor", "P(file|~)!CUT"},
        {"cut in the headers", "multipart/form-data; boundary=XX",
         "--XX\r\nContent-Dispo", "!CUT"},
        {"no boundary", "multipart/form-data", "x", "?"},
    };
    struct arena *a;
    struct buf out;

    cr_assert_eq(arena_new(64 << 20, &a), E_OK);
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str body = str_of(rows[i].body);

        for (size_t cut = 1; cut <= body.n + 1; cut++) {
            read_all(str_of(rows[i].type), body, cut, a, &out);
            cr_expect(str_eq(buf_str(&out), str_of(rows[i].want)) ||
                          (str_ends(str_of(rows[i].want), STR("!CUT")) &&
                           str_ends(buf_str(&out), STR("!CUT"))),
                      "row \"%s\", pieces of %zu: %.*s", rows[i].name, cut,
                      STR_FMT(buf_str(&out)));
        }
    }
    buf_clear(&out);
    arena_free(&a);
}

Test(multipart, refuses_headers_without_an_end)
{
    static char body[20000] = "--XX\r\nA: ";
    struct arena *a;
    struct buf out;

    memset(body + 9, 'x', sizeof(body) - 10);
    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    buf_init(&out, 4096);
    read_all(STR("multipart/form-data; boundary=XX"), str_of(body), 4000, a,
             &out);
    cr_expect(str_eq(buf_str(&out), STR("!BAD_REQUEST")), "%.*s",
              STR_FMT(buf_str(&out)));
    buf_clear(&out);
    arena_free(&a);
}

/* gzip of n bytes of c, in memory of the test. */
static struct str gzip(char c, size_t n, Bytef *room, size_t room_n)
{
    static char plain[4 << 20];
    z_stream z = {0};

    memset(plain, c, n);
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY),
                 Z_OK);
    z.next_in = (Bytef *)plain;
    z.avail_in = (uInt)n;
    z.next_out = room;
    z.avail_out = (uInt)room_n;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = z.total_out;
    deflateEnd(&z);
    return str_from((const char *)room, n);
}

Test(inflate, unpacks_members_and_refuses_bombs)
{
    static Bytef room[1 << 20];
    struct inflate *z;
    struct buf out;
    struct str two, in;
    enum err err;

    buf_init(&out, 8 << 20);
    two = gzip('a', 10, room, 500);
    in = gzip('b', 10, room + two.n, 500);
    two.n += in.n;
    for (size_t piece = 1; piece <= two.n; piece++) {
        cr_assert_eq(inflate_new(&z), E_OK);
        buf_empty(&out);
        for (size_t at = 0; at < two.n; at += piece) {
            in = str_from(two.p + at, piece < two.n - at ? piece : two.n - at);
            while (in.n)
                cr_assert_eq(inflate_next(z, &in, &out), E_OK);
        }
        cr_expect(str_eq(buf_str(&out), STR("aaaaaaaaaabbbbbbbbbb")));
        cr_expect(inflate_complete(z));
        inflate_free(&z);
    }
    in = gzip('c', 4 << 20, room, sizeof(room)); /* some 1,000:1 */
    cr_assert_eq(inflate_new(&z), E_OK);
    err = E_OK;
    buf_empty(&out);
    while (err == E_OK && in.n)
        err = inflate_next(z, &in, &out);
    cr_expect_eq(err, E_TOO_BIG);
    inflate_free(&z);
    in = STR("this is not gzip at all");
    cr_assert_eq(inflate_new(&z), E_OK);
    cr_expect_eq(inflate_next(z, &in, &out), E_BAD_REQUEST);
    inflate_free(&z);
    cr_expect_null(z);
    buf_clear(&out);
}

Test(query, decodes_the_value_of_a_name)
{
    static const struct {
        const char *query, *name, *want;
        bool twice;
    } rows[] = {
        {"path=%2Fa&username=root", "path", "/a", false},
        {"username=root&path=a+b%2Bc", "path", "a b+c", false},
        {"path=", "path", "", false},
        {"path", "path", "", false},
        {"x=1", "path", NULL, false},
        {"path=%zz", "path", NULL, false},
        {"path=a;b", "path", NULL, false},
        {"path=a&path=b", "path", "a", true},
        {NULL, "path", NULL, false},
    };
    struct arena *a;

    cr_assert_eq(arena_new(1 << 16, &a), E_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool twice;
        struct str have =
            query_value(str_of(rows[i].query), str_of(rows[i].name), a, &twice);

        cr_expect(str_eq(have, str_of(rows[i].want)) &&
                      !have.p == !rows[i].want && twice == rows[i].twice,
                  "row %zu: %.*s", i, STR_FMT(have));
    }
    arena_free(&a);
}
