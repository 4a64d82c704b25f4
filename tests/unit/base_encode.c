#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/mem.h"
#include "base/random.h"

static struct buf out;

static void start(void)
{
    buf_init(&out, 1 << 20);
}

static void stop(void)
{
    buf_clear(&out);
}

TestSuite(encode, .init = start, .fini = stop);

Test(encode, writes_and_reads_hex)
{
    static const struct {
        struct str text;
        size_t n;
        bool ok;
    } rows[] = {
        {STR(""), 0, true},        {STR("00ff7f"), 3, true},
        {STR("00ff7f"), 2, false}, {STR("00ff7f"), 4, false},
        {STR("00f"), 1, false},    {STR("00FF7F"), 3, false},
        {STR("0g"), 1, false},     {STR("g0"), 1, false},
        {STR_NONE, 0, true},
    };
    unsigned char bytes[8];
    char text[17];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(decode_hex(rows[i].text, bytes, rows[i].n), rows[i].ok,
                     "row %zu", i);
        if (!rows[i].ok)
            continue;
        encode_hex(bytes, rows[i].n, text);
        cr_expect(
            str_eq(str_of(text), rows[i].text.p ? rows[i].text : STR("")));
    }
}

Test(encode, writes_the_base64_of_rfc_4648)
{
    static const struct {
        struct str bytes;
        const char *standard, *url;
    } rows[] = {
        {STR(""), "", ""},
        {STR("f"), "Zg==", "Zg"},
        {STR("fo"), "Zm8=", "Zm8"},
        {STR("foo"), "Zm9v", "Zm9v"},
        {STR("foob"), "Zm9vYg==", "Zm9vYg"},
        {STR("fooba"), "Zm9vYmE=", "Zm9vYmE"},
        {STR("foobar"), "Zm9vYmFy", "Zm9vYmFy"},
        {STR("\xfb\xff\xfe"), "+//+", "-__-"},
        {STR("\0\0\0\0\0\0\0\0\0"), "AAAAAAAAAAAA", "AAAAAAAAAAAA"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        buf_empty(&out);
        encode_base64(&out, rows[i].bytes);
        cr_expect(str_eq(buf_str(&out), str_of(rows[i].standard)), "row %zu",
                  i);
        cr_expect_eq(buf_len(&out), ENCODE_BASE64_LEN(rows[i].bytes.n));
        buf_empty(&out);
        encode_base64url(&out, rows[i].bytes);
        cr_expect(str_eq(buf_str(&out), str_of(rows[i].url)), "row %zu", i);
    }
}

Test(encode, reads_base64_only_as_it_was_agreed)
{
    static const struct {
        const char *text;
        const char *strict, *lenient, *url; /* NULL: malformed */
    } rows[] = {
        {"", "", "", ""},
        {"Zg==", "f", "f", NULL},
        {"Zg=", NULL, NULL, NULL},
        {"Zg", NULL, "f", "f"},
        {"Zm8=", "fo", "fo", NULL},
        {"Zm8", NULL, "fo", "fo"},
        {"Zm9v", "foo", "foo", "foo"},
        {"Zm9vYmFyZm9vYg==", "foobarfoob", "foobarfoob", NULL},
        {"Zh==", NULL, "f", NULL}, /* spare bits */
        {"Zh", NULL, "f", NULL},
        {"Zm9=", NULL, "fo", NULL},
        {"Zm9", NULL, "fo", NULL},
        {"Z", NULL, NULL, NULL},
        {"Zm9vY", NULL, NULL, NULL},
        {"=", NULL, NULL, NULL},
        {"==", NULL, NULL, NULL},
        {"===", NULL, NULL, NULL},
        {"====", NULL, NULL, NULL},
        {"Z===", NULL, NULL, NULL},
        {"Zg==Zg==", NULL, NULL, NULL},
        {"Zm=v", NULL, NULL, NULL},
        {"Zm9v=", NULL, NULL, NULL},
        {"Zm9v====", NULL, NULL, NULL},
        {"Zm9v\n", NULL, NULL, NULL},
        {"Zm 9", NULL, NULL, NULL},
        {"Zm9v!m9v", NULL, NULL, NULL},
        {"Zm9v\xffm9v", NULL, NULL, NULL},
        {"+//+", "\xfb\xff\xfe", "\xfb\xff\xfe", NULL},
        {"-__-", NULL, "\xfb\xff\xfe", "\xfb\xff\xfe"},
        {"+/_-", NULL, "\xfb\xff\xfe", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *want[] = {rows[i].strict, rows[i].lenient, rows[i].url};
        struct str s = str_of(rows[i].text);

        for (unsigned way = 0; way < 3; way++) {
            bool ok;

            buf_empty(&out);
            buf_put(&out, STR("<"));
            ok = way == 2 ? decode_base64url(&out, s)
                          : decode_base64(&out, s, way == 1);
            cr_expect_eq(ok, want[way] != NULL, "\"%s\" way %u", rows[i].text,
                         way);
            cr_expect(str_eq(str_after(buf_str(&out), 1),
                             str_of(want[way] ? want[way] : "")),
                      "\"%s\" way %u", rows[i].text, way);
        }
    }
}

Test(encode, reads_every_base64_it_wrote)
{
    static const unsigned char seed[32] = {1};
    char bytes[300], text[401];

    random_set(seed);
    random_bytes(bytes, sizeof(bytes));
    random_set(NULL);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        struct str s = str_from(bytes, n);

        for (unsigned way = 0; way < 2; way++) {
            size_t length;

            buf_empty(&out);
            if (way)
                encode_base64url(&out, s);
            else
                encode_base64(&out, s);
            length = buf_len(&out);
            memcpy(text, buf_str(&out).p, length);
            buf_empty(&out);
            cr_expect(decode_base64(&out, str_from(text, length), true));
            cr_expect(str_eq(buf_str(&out), s));
            buf_empty(&out);
            cr_expect(way ? decode_base64url(&out, str_from(text, length))
                          : decode_base64(&out, str_from(text, length), false));
            cr_expect(str_eq(buf_str(&out), s));
        }
    }
}

Test(encode, notices_each_byte_that_is_no_digit_at_each_place)
{
    char text[] = "Zm9vYmFyZm9v";

    for (unsigned at = 0; at < sizeof(text) - 1; at++) {
        char was = text[at];

        for (int c = 0; c < 256; c++) {
            bool digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '+' || c == '/';

            text[at] = (char)c;
            buf_empty(&out);
            if (c != '=')
                cr_assert_eq(decode_base64(
                                 &out, str_from(text, sizeof(text) - 1), false),
                             digit, "byte %d at %u", c, at);
        }
        text[at] = was;
    }
}

Test(encode, fails_where_the_buffer_has_no_room)
{
    struct buf small;

    buf_init(&small, 3);
    encode_base64(&small, STR("a"));
    cr_expect(small.failed);
    buf_empty(&small);
    cr_expect_not(decode_base64(&small, STR("Zm9vYg=="), false));
    cr_expect(small.failed);
    buf_empty(&small);
    cr_expect(decode_base64(&small, STR("Zm9v"), false));
    buf_clear(&small);
    mem_refuse(0);
    cr_expect_not(decode_base64(&small, STR("Zm9v"), false));
    mem_refuse(-1);
    buf_clear(&small);
}

Test(encode, reads_percent_escapes_once)
{
    static const struct {
        struct str text, plain, form; /* absent: malformed */
    } rows[] = {
        {STR(""), STR(""), STR("")},
        {STR("a+b"), STR("a+b"), STR("a b")},
        {STR("%41%7a%7A"), STR("Azz"), STR("Azz")},
        {STR("%2541"), STR("%41"), STR("%41")},
        {STR("%2b"), STR("+"), STR("+")},
        {STR("%00"), STR("\0"), STR("\0")},
        {STR("%"), STR_NONE, STR_NONE},
        {STR("%4"), STR_NONE, STR_NONE},
        {STR("a%4g"), STR_NONE, STR_NONE},
        {STR("a%g4"), STR_NONE, STR_NONE},
        {STR("%%41"), STR_NONE, STR_NONE},
        {STR("\xc3\xa9%c3%a9"), STR("\xc3\xa9\xc3\xa9"),
         STR("\xc3\xa9\xc3\xa9")},
    };
    struct arena *a;

    cr_assert_eq(arena_new(10000, &a), E_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned form = 0; form < 2; form++) {
            struct str want = form ? rows[i].form : rows[i].plain, got;

            cr_expect_eq(decode_percent(rows[i].text, form, a, &got),
                         want.p != NULL, "row %zu", i);
            cr_expect(str_eq(got, want), "row %zu", i);
            cr_expect_eq(got.p != NULL, want.p != NULL);
        }
    }
    arena_free(&a);
    cr_assert_eq(arena_new(3, &a), E_OK);
    cr_expect_not(decode_percent(STR("abc"), false, a, &(struct str){0}));
    arena_free(&a);
}

Test(encode, escapes_for_urls_and_for_html)
{
    encode_percent(&out, STR("aZ09-._~ /%\xc3\xa9+\0"));
    cr_expect(str_eq(buf_str(&out), STR("aZ09-._~%20%2F%25%C3%A9%2B%00")));
    buf_empty(&out);
    encode_percent(&out, STR_NONE);
    encode_html(&out, STR_NONE);
    cr_expect_eq(buf_len(&out), 0);
    encode_html(&out, STR("<a href=\"x\">'&amp;'\xc3\xa9"));
    cr_expect(str_eq(buf_str(&out),
                     STR("&lt;a href=&quot;x&quot;&gt;&#39;&amp;amp;&#39;"
                         "\xc3\xa9")));
}

Test(encode, knows_utf8)
{
    static const struct {
        struct str text;
        bool ok;
        uint32_t first;
    } rows[] = {
        {STR(""), true, 0},
        {STR("a"), true, 'a'},
        {STR("\0"), true, 0},
        {STR("abcdefgh\xc3\xa9"), true, 'a'},
        {STR("abcdefgh\xc3"), false, 'a'},
        {STR("abcdefg\xff"), false, 'a'},
        {STR("\x7f"), true, 0x7f},
        {STR("\x80"), false, 0},
        {STR("\xc1\xbf"), false, 0},
        {STR("\xc2\x80"), true, 0x80},
        {STR("\xdf\xbf"), true, 0x7ff},
        {STR("\xe0\x9f\xbf"), false, 0},
        {STR("\xe0\xa0\x80"), true, 0x800},
        {STR("\xed\x9f\xbf"), true, 0xd7ff},
        {STR("\xed\xa0\x80"), false, 0},
        {STR("\xed\xbf\xbf"), false, 0},
        {STR("\xee\x80\x80"), true, 0xe000},
        {STR("\xef\xbf\xbf"), true, 0xffff},
        {STR("\xf0\x8f\xbf\xbf"), false, 0},
        {STR("\xf0\x90\x80\x80"), true, 0x10000},
        {STR("\xf4\x8f\xbf\xbf"), true, 0x10ffff},
        {STR("\xf4\x90\x80\x80"), false, 0},
        {STR("\xf5\x80\x80\x80"), false, 0},
        {STR("\xf0\x90\x80"), false, 0},
        {STR("\xe2\x82"), false, 0},
        {STR("\xe2\x28\xa1"), false, 0},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t point = 1;

        cr_expect_eq(encode_is_utf8(rows[i].text), rows[i].ok, "row %zu", i);
        if (decode_utf8(rows[i].text, &point))
            cr_expect_eq(point, rows[i].first, "row %zu", i);
        else
            cr_expect(!rows[i].ok || rows[i].text.n == 0, "row %zu", i);
    }
}
