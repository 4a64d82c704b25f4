/* Fuzzer of translate/envelope and of what reads its payloads.  The first
 * byte says how the rest is cut into pieces.  However it is cut, the same
 * frames come out; no payload breaks its readers, and what the scanner takes
 * jansson takes too. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "translate/cell.h"
#include "translate/envelope.h"
#include "translate/exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAYLOAD_MAX 4096

/* What was read, as one number. */
struct sum {
    uint64_t value;
    unsigned frames;
    enum err err;
};

static void add(struct sum *s, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        s->value = s->value * 1099511628211U ^ (unsigned char)bytes.p[i];
}

static void check_scanner(struct str payload)
{
    struct str base64, text;
    bool to_stderr;
    json_t *json;

    if (!exec_scan(payload, &to_stderr, &base64))
        return;
    assert(json_read(payload, &json_limits_rpc, &json) == E_OK);
    text = json_str(json, to_stderr ? "stderr" : "stdout");
    assert(str_eq(text, base64));
    json_decref(json);
}

static void read_payload(unsigned flags, struct str payload, struct arena *a)
{
    struct exec_frame frame;
    struct cell_frame cell;
    struct buf lines;
    int status;
    enum err err;

    check_scanner(payload);
    err = exec_read(flags, payload, true, a, &frame);
    assert(err == E_OK || err == E_BACKEND_GARBAGE || err == E_NOMEM);
    err = exec_read(flags, payload, false, a, &frame);
    assert(err != E_OK || frame.kind != EXEC_PID);
    buf_init(&lines, 1 << 20);
    err = cell_read(flags, payload, 0, a, &lines, &cell);
    for (size_t i = 0; err == E_OK && i < buf_len(&lines); i++) {
        unsigned char c = (unsigned char)buf_str(&lines).p[i];

        assert(c <= 0x7f && (c >= ' ' || i + 1 == buf_len(&lines)));
    }
    buf_clear(&lines);
    exec_read_stat(payload, &status);
    arena_reset(a);
}

static struct sum read_all(struct str all, size_t step, struct arena *a)
{
    struct envelope_reader r;
    struct sum sum = {.value = 14695981039346656037U};

    envelope_init(&r, PAYLOAD_MAX);
    while (all.n && !sum.err) {
        struct str piece = str_from(all.p, step < all.n ? step : all.n);
        struct str payload;
        unsigned flags;
        bool whole = true;

        all = str_after(all, piece.n);
        while (whole && !sum.err) {
            sum.err = envelope_next(&r, &piece, &whole, &flags, &payload);
            if (sum.err || !whole)
                break;
            assert(payload.n <= PAYLOAD_MAX);
            sum.frames++;
            sum.value += flags;
            add(&sum, payload);
            if (a)
                read_payload(flags, payload, a);
        }
        assert(sum.err || piece.n == 0);
    }
    envelope_clear(&r);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena;
    struct sum whole, cut;
    struct str all;

    if (size < 1 || arena_new(1 << 20, &arena))
        return 0;
    all = str_from((const char *)data + 1, size - 1);
    whole = read_all(all, all.n ? all.n : 1, arena);
    cut = read_all(all, data[0] % 16 + 1, NULL);
    assert(whole.err == cut.err && whole.frames == cut.frames &&
           whole.value == cut.value);
    arena_free(&arena);
    return 0;
}
