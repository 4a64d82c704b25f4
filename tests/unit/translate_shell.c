#include "tests/unit/translate_shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"

#define OUTPUT_MAX (32 << 20)
#define ENV_MAX 32

static void put_output(struct buf *frames, const char *name, struct str text)
{
    /* The server's frames hold at most 32 KiB. */
    for (size_t at = 0; at < text.n; at += 32 << 10) {
        struct str piece = str_after(text, at);
        struct buf b;

        piece.n = piece.n > 32 << 10 ? 32 << 10 : piece.n;
        buf_init(&b, 64 << 10);
        buf_text(&b, "{\"%s\":\"", name);
        encode_base64(&b, piece);
        buf_put(&b, STR("\"}"));
        envelope_put(frames, 0, buf_str(&b));
        buf_clear(&b);
    }
}

struct str shell_frames(struct arena *a, struct str out, struct str said,
                        int exit_code)
{
    struct buf frames;
    struct str text;

    buf_init(&frames, OUTPUT_MAX);
    put_output(&frames, "stdout", out);
    put_output(&frames, "stderr", said);
    text = exit_code ? arena_text(a, "{\"exit\":{\"exitCode\":%d}}", exit_code)
                     : STR("{\"exit\":{\"execTimeMs\":1.5}}");
    envelope_put(&frames, 0, text);
    envelope_put_end(&frames, NULL, STR_NONE);
    text = arena_copy(a, buf_str(&frames));
    cr_assert(!frames.failed && text.p);
    buf_clear(&frames);
    return text;
}

static struct str slurp(struct arena *a, FILE *file)
{
    long n;
    char *p;

    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    n = ftell(file);
    rewind(file);
    p = arena_alloc(a, (size_t)n + 1);
    cr_assert_not_null(p);
    cr_assert_eq(fread(p, 1, (size_t)n, file), (size_t)n);
    fclose(file);
    return str_from(p, (size_t)n);
}

/* Run the request's command with its variables and nothing else. */
static int run(const json_t *request, FILE *out, FILE *said)
{
    const json_t *env = json_object_get(request, "env"), *row;
    char *variables[ENV_MAX + 1] = {NULL};
    int status;
    size_t i;
    pid_t pid;

    json_array_foreach(env, i, row)
    {
        cr_assert_lt(i, ENV_MAX);
        cr_assert_geq(asprintf(&variables[i], "%s=%s", json_str(row, "key").p,
                               json_str(row, "value").p),
                      0);
    }
    pid = fork();
    if (pid == 0) {
        char sh[] = "sh", c[] = "-c";
        char *args[] = {sh, c, strdup(json_str(request, "command").p), NULL};

        if (chdir(json_str(request, "cwd").p) < 0 || dup2(fileno(out), 1) < 0 ||
            dup2(fileno(said), 2) < 0 || !freopen("/dev/null", "r", stdin))
            _exit(125);
        execve("/bin/sh", args, variables);
        _exit(126);
    }
    cr_assert_gt(pid, 0);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    while (i-- > 0)
        free(variables[i]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void shell_answer(struct stage *s)
{
    FILE *out = tmpfile(), *said = tmpfile();
    struct op_event event = {.kind = OP_ANSWER, .status = 200};
    struct str printed, told, frame;
    json_t *request;
    int code;

    cr_assert(out && said);
    cr_assert_eq(s->want.kind, WANT_CALL);
    cr_assert(str_eq(s->want.call.method, STR("ExecStream")));
    frame = s->want.call.body;
    cr_assert_gt(frame.n, ENVELOPE_HEAD);
    cr_assert_eq(
        json_read(str_after(frame, ENVELOPE_HEAD), &json_limits_rpc, &request),
        E_OK);
    code = run(request, out, said);
    json_decref(request);
    printed = slurp(s->op.scratch, out);
    told = slurp(s->op.scratch, said);
    cr_expect_eq(told.n, 0, "stderr: %.*s", STR_FMT(told));
    event.bytes = shell_frames(s->op.scratch, printed, told, code);
    op_hear(&s->op, &event, &s->want);
}
