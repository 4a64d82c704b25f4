#include <criterion/criterion.h>

#include "base/json.h"
#include "base/mem.h"

static enum err read_text(struct str text, const struct json_limits *limits)
{
    json_t *value;
    enum err err = json_read(text, limits, &value);

    cr_expect_eq(value != NULL, err == E_OK);
    json_decref(value);
    return err;
}

Test(json, reads_objects_and_arrays_and_refuses_the_rest)
{
    static const struct {
        struct str text;
        enum err err;
    } rows[] = {
        {STR("{}"), E_OK},
        {STR("[]"), E_OK},
        {STR(" \n[1,2.5,\"a\",null,true,{\"b\":[]}]\t "), E_OK},
        {STR("{\"a\":\"\\\"}{][,\\\\\"}"), E_OK},
        {STR("{\"a\":\"\xc3\xa9\\u00e9\\ud83d\\ude00\"}"), E_OK},
        {STR(""), E_BAD_JSON},
        {STR_NONE, E_BAD_JSON},
        {STR(" "), E_BAD_JSON},
        {STR("1"), E_BAD_JSON},
        {STR("\"a\""), E_BAD_JSON},
        {STR("null"), E_BAD_JSON},
        {STR("{\"a\":1,\"a\":2}"), E_BAD_JSON},
        {STR("{\"a\":1}x"), E_BAD_JSON},
        {STR("{\"a\":1}{}"), E_BAD_JSON},
        {STR("{\"a\":1,}"), E_BAD_JSON},
        {STR("{\"a\":NaN}"), E_BAD_JSON},
        {STR("{\"a\":Infinity}"), E_BAD_JSON},
        {STR("{\"a\":1e400}"), E_BAD_JSON},
        {STR("{\"a\":9223372036854775808}"), E_BAD_JSON},
        {STR("{\"a\":9223372036854775807}"), E_OK},
        {STR("{\"a\":01}"), E_BAD_JSON},
        {STR("{\"a\":\"\\u0000\"}"), E_BAD_JSON},
        {STR("{\"a\":\"\0\"}"), E_BAD_JSON},
        {STR("{}\0"), E_BAD_JSON},
        {STR("{\"a\\u0000b\":1}"), E_BAD_JSON},
        {STR("{\"a\":\"\\ud83d\"}"), E_BAD_JSON},
        {STR("{\"a\":\"\xff\"}"), E_BAD_JSON},
        {STR("{\"a\":\"\xed\xa0\x80\"}"), E_BAD_JSON},
        {STR("\xef\xbb\xbf{}"), E_BAD_JSON},
        {STR("{\"a"), E_BAD_JSON},
        {STR("{\"a\\"), E_BAD_JSON},
        {STR("]]]]{{{{"), E_BAD_JSON},
        {STR("{'a':1}"), E_BAD_JSON},
        {STR("[1] /* c */"), E_BAD_JSON},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        cr_expect_eq(read_text(rows[i].text, &json_limits_api), rows[i].err,
                     "row %zu", i);
}

Test(json, reads_the_first_value_and_the_last_of_a_name)
{
    static const struct {
        struct str text;
        const char *value; /* NULL: refused */
    } rows[] = {
        {STR("{\"a\":1}"), "{\"a\":1}"},
        {STR("{\"a\":1,\"a\":2}"), "{\"a\":2}"},
        {STR("{\"a\":1}{\"b\":2}"), "{\"a\":1}"},
        {STR(" null garbage"), "null"},
        {STR("7"), "7"},
        {STR(""), NULL},
        {STR("garbage"), NULL},
        {STR("{\"a\":\"\xff\"}"), NULL},
        {STR("{\"a\":"), NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *value;
        struct buf b;
        enum err err = json_read_first(rows[i].text, &json_limits_api, &value);

        cr_expect_eq(err, rows[i].value ? E_OK : E_BAD_JSON, "row %zu", i);
        buf_init(&b, 100);
        if (value)
            json_write(&b, value);
        cr_expect(
            str_eq(buf_str(&b), str_of(rows[i].value ? rows[i].value : "")),
            "row %zu", i);
        buf_clear(&b);
        json_decref(value);
    }
}

Test(json, counts_values_and_depth_exactly)
{
    static const struct {
        const char *text;
        unsigned depth, values;
    } rows[] = {
        {"[]", 1, 1},
        {"{ }", 1, 1},
        {"[[]]", 2, 2},
        {"[[],[]]", 2, 3},
        {"[{},{},{}]", 2, 4},
        {"[1]", 1, 2},
        {"[1,2]", 1, 3},
        {"{\"a\":1}", 1, 2},
        {"{\"a\":1,\"b\":[1,2,{\"c\":null}]}", 3, 7},
        {"[ \"a,[{\" , \"\\\"],\" ]", 1, 3},
        {"[\"\\\\\",[1]]", 2, 4},
        {"[\"\\\\\\\"\",[1]]", 2, 4},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned depth = rows[i].depth, values = rows[i].values;
        struct str text = str_of(rows[i].text);
        struct json_limits fits = {text.n, depth, values};
        struct json_limits long_by_one = {text.n - 1, depth, values};
        struct json_limits deep_by_one = {text.n, depth - 1, values};
        struct json_limits many_by_one = {text.n, depth, values - 1};

        cr_expect_eq(read_text(text, &fits), E_OK, "%s", rows[i].text);
        cr_expect_eq(read_text(text, &long_by_one), E_TOO_BIG);
        cr_expect_eq(read_text(text, &deep_by_one), E_BAD_JSON, "%s",
                     rows[i].text);
        cr_expect_eq(read_text(text, &many_by_one), E_BAD_JSON, "%s",
                     rows[i].text);
    }
}

/* Brackets around nothing, or zeros in an array. */
static struct str many(struct buf *b, unsigned depth, unsigned zeros)
{
    buf_empty(b);
    for (unsigned i = 0; i < depth; i++)
        buf_byte(b, '[');
    for (unsigned i = 0; i < zeros; i++)
        buf_put(b, i ? STR(",0") : STR("0"));
    for (unsigned i = 0; i < depth; i++)
        buf_byte(b, ']');
    cr_assert_not(b->failed);
    return buf_str(b);
}

Test(json, keeps_the_limits_of_the_api_to_the_last_one)
{
    const struct json_limits *api = &json_limits_api;
    struct buf b;

    buf_init(&b, 1 << 20);
    cr_expect_eq(read_text(many(&b, 31, 0), api), E_OK);
    cr_expect_eq(read_text(many(&b, 32, 0), api), E_OK);
    cr_expect_eq(read_text(many(&b, 33, 0), api), E_BAD_JSON);
    cr_expect_eq(read_text(many(&b, 1, 9998), api), E_OK);
    cr_expect_eq(read_text(many(&b, 1, 9999), api), E_OK);
    cr_expect_eq(read_text(many(&b, 1, 10000), api), E_BAD_JSON);
    for (int more = -1; more <= 1; more++) {
        many(&b, 1, 1);
        while (buf_len(&b) < (256 << 10) + (size_t)(more + 1) - 1)
            buf_byte(&b, ' ');
        cr_expect_eq(read_text(buf_str(&b), api), more > 0 ? E_TOO_BIG : E_OK,
                     "%d", more);
    }
    /* Brackets in a string count for nothing. */
    buf_empty(&b);
    buf_put(&b, STR("[\""));
    for (unsigned i = 0; i < 50000; i++)
        buf_put(&b, STR("[,\\\""));
    buf_put(&b, STR("\"]"));
    cr_expect_eq(read_text(buf_str(&b), api), E_OK);
    buf_clear(&b);
}

Test(json, says_no_memory_for_every_refused_allocation)
{
    struct str text = STR("{\"a\":[1,2.5,\"x\\u00e9\",{\"b\":null}],\"c\":\""
                          "0123456789012345678901234567890123456789\"}");
    enum err err = E_NOMEM;
    long n = 0;

    json_start();
    for (; err != E_OK; n++) {
        cr_assert_lt(n, 1000);
        mem_refuse(n);
        err = read_text(text, &json_limits_api);
        cr_expect(err == E_OK || err == E_NOMEM, "%ld: %s", n, err_name(err));
    }
    mem_refuse(-1);
    cr_expect_gt(n, 10);
}

Test(json, fails_the_buffer_for_every_refused_allocation_of_a_writer)
{
    json_t *value =
        json_pack("{s:[i,f,s],s:{s:n}}", "a", 1, 0.5, "x", "b", "c");

    cr_assert_not_null(value);
    json_decref(value);
    json_start();
    value = json_pack("{s:[i,f,s],s:{s:n}}", "a", 1, 0.5, "x", "b", "c");
    for (long n = 0;; n++) {
        struct buf b;

        buf_init(&b, 1000);
        mem_refuse(n);
        json_write(&b, value);
        mem_refuse(-1);
        if (!b.failed) {
            cr_expect(str_eq(buf_str(&b),
                             STR("{\"a\":[1,0.5,\"x\"],\"b\":{\"c\":null}}")));
            buf_clear(&b);
            break;
        }
        buf_clear(&b);
        cr_assert_lt(n, 100);
    }
    json_decref(value);
}

Test(json, writes_compact_in_utf8_or_ascii)
{
    json_t *value = json_pack("[s,i]", "\xc3\xa9\xf0\x9f\x98\x80", 1);
    struct buf b;

    buf_init(&b, 100);
    json_write(&b, value);
    cr_expect(str_eq(buf_str(&b), STR("[\"\xc3\xa9\xf0\x9f\x98\x80\",1]")));
    buf_empty(&b);
    json_write_ascii(&b, value);
    cr_expect(str_eq(buf_str(&b), STR("[\"\\u00E9\\uD83D\\uDE00\",1]")));
    buf_empty(&b);
    json_write(&b, json_array_get(value, 1));
    cr_expect(str_eq(buf_str(&b), STR("1")));
    buf_clear(&b);
    buf_init(&b, 5);
    json_write(&b, value);
    cr_expect(b.failed);
    buf_clear(&b);
    json_decref(value);
}

Test(json, writes_any_bytes_as_a_string)
{
    static const struct {
        struct str text;
        const char *plain, *ascii, *html;
    } rows[] = {
        {STR_NONE, "", "", ""},
        {STR("a/b"), "a/b", "a/b", "a/b"},
        {STR("\"\\\b\f\n\r\t"), "\\\"\\\\\\b\\f\\n\\r\\t",
         "\\\"\\\\\\b\\f\\n\\r\\t", "\\\"\\\\\\b\\f\\n\\r\\t"},
        {STR("\0\x1f\x7f"), "\\u0000\\u001f\x7f", "\\u0000\\u001f\x7f",
         "\\u0000\\u001f\x7f"},
        {STR("<&>"), "<&>", "<&>", "\\u003c\\u0026\\u003e"},
        {STR("\xc3\xa9"), "\xc3\xa9", "\\u00e9", "\xc3\xa9"},
        {STR("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80", "\\ud83d\\ude00",
         "\xf0\x9f\x98\x80"},
        {STR("\xe2\x80\xa8"), "\xe2\x80\xa8", "\\u2028", "\\u2028"},
        {STR("a\xff"
             "b"),
         "a\xef\xbf\xbd"
         "b",
         "a\\ufffdb",
         "a\xef\xbf\xbd"
         "b"},
        {STR("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd", "\\ufffd\\ufffd",
         "\xef\xbf\xbd\xef\xbf\xbd"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *want[] = {rows[i].plain, rows[i].ascii, rows[i].html};

        for (unsigned way = 0; way < 3; way++) {
            struct buf b, c;

            buf_init(&b, 100);
            buf_init(&c, 100);
            json_write_text(&b, rows[i].text, way == 1, way == 2);
            buf_text(&c, "\"%s\"", want[way]);
            cr_expect(str_eq(buf_str(&b), buf_str(&c)), "row %zu way %u: %.*s",
                      i, way, STR_FMT(buf_str(&b)));
            buf_clear(&b);
            buf_clear(&c);
        }
    }
}

Test(json, finds_members)
{
    json_t *value;

    cr_assert_eq(json_read(STR("{\"a\":\"x\",\"b\":null,\"c\":1,\"e\":\"\"}"),
                           &json_limits_api, &value),
                 E_OK);
    cr_expect(str_eq(json_str(value, "a"), STR("x")));
    cr_expect_null(json_str(value, "b").p);
    cr_expect_null(json_str(value, "c").p);
    cr_expect_null(json_str(value, "d").p);
    cr_expect_not_null(json_str(value, "e").p);
    cr_expect_not_null(json_member(value, "c"));
    cr_expect_null(json_member(value, "b"));
    cr_expect_null(json_member(value, "d"));
    cr_expect_null(json_str(NULL, "a").p);
    json_decref(value);
}
