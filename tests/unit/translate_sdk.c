/* What the published SDKs were seen to send to the control plane. */
#include "tests/unit/translate_stage.h"

#include <stdio.h>

#include "base/json.h"

#define LINE_BYTES (64 << 10)

static enum method method_of(struct str text)
{
    for (int m = 0; m < METHOD_COUNT; m++)
        if (str_eq(method_text((enum method)m), text))
            return (enum method)m;
    cr_assert_fail("no such method");
    return METHOD_COUNT;
}

static void play(const json_t *row)
{
    const char *target = json_str(row, "target").p;
    struct str type = json_str(row, "type"), body = json_str(row, "body");
    const char *headers[] = {"X-API-Key", "e2b_00", "Content-Type", type.p,
                             NULL};
    const char *want = json_str(row, "want").p;
    struct stage s;

    if (type.n == 0)
        headers[2] = NULL;
    stage_open(&s, CLASS_API, method_of(json_str(row, "method")), target,
               headers);
    cr_assert_eq(s.found, E_OK, "%s: %s", target, err_name(s.found));
    stage_have(&s);
    stage_send(&s, body.n ? body.p : NULL);
    cr_expect(str_starts(str_of(stage_line(&s)), str_of(want)),
              "%s: %s %s %s: %s", json_str(row, "sdk").p,
              json_str(row, "method").p, target, body.p, stage_line(&s));
    stage_close(&s);
}

Test(sdk, is_understood_in_every_recorded_call)
{
    static char line[LINE_BYTES];
    FILE *file = fopen(DATA_DIR "/sdk-control.jsonl", "r");
    int count = 0;

    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file)) {
        json_t *row;

        cr_assert_eq(json_read(str_of(line), &json_limits_rpc, &row), E_OK);
        play(row);
        json_decref(row);
        count++;
    }
    fclose(file);
    cr_expect_eq(count, 113);
}
