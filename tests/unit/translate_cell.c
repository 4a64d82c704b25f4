/* translate_cell.c - tests of a run's frames as lines of the code server. */
#include "translate/cell.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/kernel.h"

#define WALL_MS INT64_C(1789984800123)
#define STAMP "\"timestamp\": \"2026-09-21T10:00:00.123000+00:00\"}\n"

static struct arena *arena;

static void open_arena(void)
{
    cr_assert_eq(arena_new(64 << 20, &arena), E_OK);
}

static void close_arena(void)
{
    arena_free(&arena);
}

TestSuite(cell, .init = open_arena, .fini = close_arena);

Test(cell, frames_become_lines)
{
    static const struct {
        const char *name;
        const char *payload;
        const char *want;
    } rows[] = {
        {"stdout", "{\"stdout\":\"aGkK\"}",
         "{\"type\": \"stdout\", \"text\": \"hi\\n\", " STAMP},
        {"stderr", "{\"stderr\": \"w7zigKgK\"}",
         "{\"type\": \"stderr\", \"text\": \"\\u00fc\\u2028\\n\", " STAMP},
        {"nothing", "{\"stdout\":\"\"}", ""},
        {"result",
         "{\"result\":{\"text\":\"2\", \"data\":{\"text/plain\":\"Mg==\"}}}",
         "{\"type\": \"result\", \"text\": \"2\", \"extra\": {}, "
         "\"is_main_result\": true}\n"},
        {"quotes",
         "{\"result\":{\"text\":\"'value'\", "
         "\"data\":{\"text/plain\":\"J3ZhbHVlJw==\"}}}",
         "{\"type\": \"result\", \"text\": \"value\", \"extra\": {}, "
         "\"is_main_result\": true}\n"},
        {"display",
         "{\"result\":{\"data\":{\"text/html\":\"PGI+eDwvYj4=\", "
         "\"text/plain\":\"PElQPg==\"}}}",
         "{\"type\": \"result\", \"text\": \"<IP>\", \"html\": "
         "\"<b>x</b>\", \"extra\": {}, \"is_main_result\": false}\n"},
        {"json, and what has no name",
         "{\"result\":{\"data\":{\"application/json\":\"eyJhIjogWzEsIDJdfQ==\","
         "\"application/vnd.x+json\":\"eyJrIjogMX0=\",\"text/x-y\":\"eg==\"}}}",
         "{\"type\": \"result\", \"json\": {\"a\": [1, 2]}, \"extra\": "
         "{\"application/vnd.x+json\": {\"k\": 1}, \"text/x-y\": \"z\"}, "
         "\"is_main_result\": false}\n"},
        {"json that is none",
         "{\"result\":{\"data\":{\"application/json\":\"TmFO\"}}}",
         "{\"type\": \"result\", \"json\": \"NaN\", \"extra\": {}, "
         "\"is_main_result\": false}\n"},
        {"error",
         "{\"error\":{\"name\":\"ZeroDivisionError\", \"value\":\"division by "
         "zero\", \"traceback\":[\"\\u001b[31m---\\u001b[39m\", "
         "\"\\u001b[0;31mZero\\u001b[0m  Trace\", \"Cell\\n\"]}}",
         "{\"type\": \"error\", \"name\": \"ZeroDivisionError\", \"value\": "
         "\"division by zero\", \"traceback\": \"---Zero  TraceCell\\n\"}\n"},
        {"error without its parts", "{\"error\":{\"name\":\"E\"}}",
         "{\"type\": \"error\", \"name\": \"E\", \"value\": \"\", "
         "\"traceback\": \"\"}\n"},
        {"exit", "{\"exitCode\":0}", ""},
        {"unknown", "{\"later\":{}}", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cell_frame frame;
        struct buf b;

        buf_init(&b, 1 << 16);
        cr_expect_eq(
            cell_read(0, str_of(rows[i].payload), WALL_MS, arena, &b, &frame),
            E_OK, "%s", rows[i].name);
        cr_expect(str_eq(buf_str(&b), str_of(rows[i].want)), "%s: %.*s",
                  rows[i].name, STR_FMT(buf_str(&b)));
        buf_clear(&b);
    }
}

/* One JSON object, plain ASCII, one line. */
static void check_line(struct str line)
{
    json_t *json;

    if (line.n == 0)
        return;
    cr_expect_eq(line.p[line.n - 1], '\n');
    cr_expect_eq(str_find(line, '\n'), line.n - 1);
    for (size_t i = 0; i + 1 < line.n; i++)
        cr_expect(line.p[i] >= ' ' && line.p[i] < 0x7f);
    cr_expect_eq(json_read(line, &json_limits_rpc, &json), E_OK);
    cr_expect(json_str(json, "type").p);
    json_decref(json);
}

Test(cell, every_recorded_frame_is_one_line_or_none)
{
    FILE *file = fopen(DATA_DIR "/run-frames.txt", "r");
    unsigned frames = 0, lines = 0, dead = 0;
    char line[65536];

    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file)) {
        struct str text = str_of(line);
        struct cell_frame frame;
        struct buf b;

        if (line[0] == '#')
            continue;
        text.n -= text.p[text.n - 1] == '\n';
        buf_init(&b, 1 << 20);
        cr_expect_eq(cell_read((unsigned)(line[0] - '0'), str_after(text, 2),
                               WALL_MS, arena, &b, &frame),
                     E_OK, "%.*s", STR_FMT(text));
        check_line(buf_str(&b));
        lines += buf_len(&b) > 0;
        dead += frame.dead;
        frames++;
        buf_clear(&b);
    }
    fclose(file);
    cr_expect_gt(frames, 70);
    cr_expect_gt(lines, 50);
    cr_expect_gt(dead, 3);
}

Test(cell, garbage_is_garbage)
{
    static const char *const rows[] = {"",
                                       "[]",
                                       "{\"result\":5}",
                                       "{\"error\":[]}",
                                       "{\"stdout\":\"*\"}",
                                       "{\"result\":{\"data\":{\"text/html\":"
                                       "\"*\"}}}"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct cell_frame frame;
        struct buf b;

        buf_init(&b, 1 << 16);
        cr_expect_eq(cell_read(0, str_of(rows[i]), WALL_MS, arena, &b, &frame),
                     E_BACKEND_GARBAGE, "%s", rows[i]);
        buf_clear(&b);
    }
}

Test(cell, lines_of_our_own_have_pythons_spacing)
{
    struct buf b;

    buf_init(&b, 4096);
    cell_put_count(&b, 7);
    cell_put_keepalive(&b);
    cell_put_error(&b, STR("N"), STR("v"), STR_NONE);
    cell_put_end(&b);
    cr_expect(str_eq(
        buf_str(&b),
        STR("{\"type\": \"number_of_executions\", \"execution_count\": 7}\n"
            "{\"type\": \"keepalive\"}\n"
            "{\"type\": \"error\", \"name\": \"N\", \"value\": \"v\", "
            "\"traceback\": \"\"}\n"
            "{\"type\": \"end_of_execution\"}\n")));
    buf_clear(&b);
}

Test(cell, no_text_of_a_caller_stands_in_our_own_code)
{
    struct str body = kernel_set(STR("{\"A\":\"it's'); evil(\"}"), arena);

    cr_assert(body.p);
    cr_expect_eq(str_find_str(body, STR("evil")), body.n);
    cr_expect_eq(str_find_str(body, STR("it's")), body.n);
}

Test(cell, the_preludes_pid_is_read)
{
    cr_expect_eq(kernel_pid(STR("\036"
                                "23\n")),
                 23);
    cr_expect_eq(kernel_pid(STR("noise\n\036"
                                "23\nmore")),
                 23);
    cr_expect_eq(kernel_pid(STR("23\n")), 0);
    cr_expect_eq(kernel_pid(STR_NONE), 0);
    cr_expect(str_eq(cell_output(0, STR("{\"stdout\":\"aGkK\"}"), arena),
                     STR("hi\n")));
    cr_expect_null(cell_output(0, STR("{\"stderr\":\"aGkK\"}"), arena).p);
    cr_expect_null(cell_output(2, STR("{}"), arena).p);
}
