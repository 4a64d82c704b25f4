/* GET and POST /files against a sandbox server made of this machine: the
 * scripts really run, ReadFile and WriteFile are plain files. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "tests/unit/translate_stage.h"
#include "translate/envelope.h"

struct play {
    struct stage s;
    char dir[64];
    char target[512];
    char written[512]; /* where WriteFile goes */
    struct buf up;     /* what it was sent */
    struct buf body;   /* what the client was told */
    int status;
    long stop;       /* the client leaves there; -1: it stays */
    char line[1024]; /* status and body, or the failure */
};

/* The JSON of the one envelope of a call. */
static json_t *request(struct str body)
{
    json_t *json;

    cr_assert_gt(body.n, ENVELOPE_HEAD);
    cr_assert_eq(
        json_read(str_after(body, ENVELOPE_HEAD), &json_limits_rpc, &json),
        E_OK);
    return json;
}

static void put_text(struct buf *b, const char *name, struct str bytes)
{
    struct buf json;

    buf_init(&json, 32 << 20);
    buf_text(&json, "{\"%s\":\"", name);
    encode_base64(&json, bytes);
    buf_put(&json, STR("\"}"));
    envelope_put(b, 0, buf_str(&json));
    buf_clear(&json);
}

/* Run the command of an ExecStream request; its answer's frames. */
static void play_exec(struct str body, struct buf *answer)
{
    json_t *json = request(body), *row;
    char *env[64];
    size_t i, n = 0;
    int out[2], status;
    char piece[4096];
    ssize_t got;
    pid_t pid;
    struct buf said;

    json_array_foreach(json_object_get(json, "env"), i, row)
    {
        cr_assert_geq(
            asprintf(&env[n++], "%s=%s",
                     json_string_value(json_object_get(row, "key")),
                     json_string_value(json_object_get(row, "value"))),
            0);
    }
    env[n] = NULL;
    cr_assert_eq(pipe(out), 0);
    pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execle("/bin/sh", "sh", "-c",
               json_string_value(json_object_get(json, "command")),
               (char *)NULL, env);
        _exit(127);
    }
    close(out[1]);
    buf_init(&said, 1 << 20);
    while ((got = read(out[0], piece, sizeof(piece))) > 0)
        buf_put(&said, str_from(piece, (size_t)got));
    close(out[0]);
    waitpid(pid, &status, 0);
    if (buf_len(&said))
        put_text(answer, "stdout", buf_str(&said));
    buf_clear(&said);
    buf_init(&said, 256);
    buf_text(&said, "{\"exit\":{\"exitCode\":%d}}", WEXITSTATUS(status));
    envelope_put(answer, 0, buf_str(&said));
    envelope_put_end(answer, NULL, STR_NONE);
    buf_clear(&said);
    while (n)
        free(env[--n]);
    json_decref(json);
}

static void tell_answer(struct play *p, struct str bytes)
{
    stage_tell_bytes(&p->s, OP_ANSWER, bytes);
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "w");

    cr_assert_not_null(f, "%s", path);
    fwrite(data, 1, n, f);
    fclose(f);
}

/* Stream a file as ReadFile does, in odd pieces. */
static void play_read(struct play *p, struct str body)
{
    json_t *json = request(body);
    FILE *f = fopen(json_string_value(json_object_get(json, "path")), "r");
    struct buf b;
    char piece[3000];
    size_t n;
    struct str all;
    struct op_event head = {.kind = OP_HEAD, .status = 200};

    json_decref(json);
    buf_init(&b, 64 << 20);
    if (!f) {
        envelope_put_end(&b, "internal",
                         STR("open: code = NotFound desc = (os error 2)"));
    } else {
        while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
            put_text(&b, "data", str_from(piece, n));
        fclose(f);
        envelope_put(&b, 0, STR("{\"eof\": true}"));
        envelope_put_end(&b, NULL, STR_NONE);
    }
    op_hear(&p->s.op, &head, &p->s.want);
    all = buf_str(&b);
    while (all.n && p->s.want.kind == WANT_NEXT) {
        n = all.n < 1777 ? all.n : 1777;
        stage_tell_bytes(&p->s, OP_PIECE, str_from(all.p, n));
        all = str_after(all, n);
        while (p->s.want.kind == WANT_SAY && p->s.want.from) {
            if (p->s.want.say.head)
                p->status = p->s.want.say.head->status;
            buf_put(&p->body, p->s.want.say.piece);
            p->s.want.kind = WANT_NEXT;
        }
    }
    buf_clear(&b);
}

static void finish_write(struct play *p)
{
    struct envelope_reader r;
    struct str all = buf_str(&p->up), payload;
    struct buf data, answer;
    bool whole = true;
    unsigned flags;
    json_t *json;

    envelope_init(&r, 1 << 20);
    buf_init(&data, 64 << 20);
    buf_init(&answer, 4096);
    while (whole) {
        cr_assert_eq(envelope_next(&r, &all, &whole, &flags, &payload), E_OK);
        if (!whole)
            break;
        cr_assert_eq(json_read(payload, &json_limits_rpc, &json), E_OK);
        if (json_object_get(json, "data"))
            cr_assert(decode_base64(&data, json_str(json, "data"), false));
        json_decref(json);
    }
    cr_assert_not(envelope_partial(&r));
    envelope_clear(&r);
    write_file(p->written, buf_str(&data).p, buf_len(&data));
    buf_text(&answer, "%s", "");
    envelope_put(&answer, 0, STR("{\"bytesWritten\":\"1\"}"));
    envelope_put_end(&answer, NULL, STR_NONE);
    tell_answer(p, buf_str(&answer));
    buf_clear(&answer);
    buf_clear(&data);
}

static void play_call(struct play *p)
{
    struct want_call call = p->s.want.call;
    struct buf answer;

    if (str_eq(call.method, STR("ReadFile"))) {
        play_read(p, call.body);
    } else if (str_eq(call.method, STR("WriteFile"))) {
        json_t *json = request(call.body);

        snprintf(p->written, sizeof(p->written), "%s",
                 json_string_value(
                     json_object_get(json_object_get(json, "open"), "path")));
        json_decref(json);
        buf_empty(&p->up);
        write_file(p->written, "", 0);
        stage_tell(&p->s, OP_ROOM, NULL);
    } else {
        buf_init(&answer, 4 << 20);
        play_exec(call.body, &answer);
        tell_answer(p, buf_str(&answer));
        buf_clear(&answer);
    }
}

/* Until it is done, feeding body in pieces; stop >= 0: the client leaves
 * there. */
static void play(struct play *p, struct str body, size_t piece, long stop)
{
    size_t at = 0;
    bool ended = false, gone = false;

    for (int turn = 0; turn < 100000; turn++) {
        struct want *w = &p->s.want;

        if (!gone && stop >= 0 && at >= (size_t)stop) {
            gone = true;
            stage_tell(&p->s, OP_CLIENT_GONE, NULL);
            continue;
        }
        if (w->kind == WANT_CALL) {
            play_call(p);
        } else if (w->kind == WANT_SEND) {
            bool end = w->send_end;

            buf_put(&p->up, w->send);
            if (end)
                finish_write(p);
            else
                stage_tell(&p->s, OP_ROOM, NULL);
        } else if (w->kind == WANT_SAY) {
            if (w->say.head)
                p->status = w->say.head->status;
            buf_put(&p->body, w->say.piece);
            stage_tell(&p->s, OP_ROOM, NULL);
        } else if (w->kind == WANT_NEXT && w->from & FROM_CLIENT) {
            size_t n = piece < body.n - at ? piece : body.n - at;

            cr_assert_not(ended, "it asks for more than all");
            if (n == 0) {
                ended = true;
                stage_tell(&p->s, OP_CLIENT_END, NULL);
            } else {
                stage_tell_bytes(&p->s, OP_CLIENT_PIECE,
                                 str_from(body.p + at, n));
                at += n;
            }
        } else {
            break;
        }
    }
    if (p->s.want.kind == WANT_FAIL)
        snprintf(p->line, sizeof(p->line), "%s", stage_line(&p->s));
    else
        snprintf(p->line, sizeof(p->line), "%d %.*s", p->status,
                 STR_FMT(buf_str(&p->body)));
    cr_assert(p->s.want.kind == WANT_FAIL || p->s.want.kind == WANT_DONE,
              "kind %d", (int)p->s.want.kind);
}

static void open_dir(struct play *p)
{
    memset(p, 0, sizeof(*p));
    snprintf(p->dir, sizeof(p->dir), "/tmp/sandgate-files.XXXXXX");
    p->stop = -1;
    cr_assert_not_null(mkdtemp(p->dir));
    buf_init(&p->up, 64 << 20);
    buf_init(&p->body, 64 << 20);
}

/* One request on p->dir; %s in query is the directory.  The body comes in
 * pieces of so many bytes. */
static const char *ask(struct play *p, enum method method, const char *query,
                       const char *const *headers, struct str body,
                       size_t piece)
{
    char path[256];
    const char *at = strstr(query, "%s");

    if (at)
        snprintf(path, sizeof(path), "%.*s%s%s", (int)(at - query), query,
                 p->dir, at + 2);
    else
        snprintf(path, sizeof(path), "%s", query);
    snprintf(p->target, sizeof(p->target), "/files%s", path);
    buf_empty(&p->body);
    p->status = 0;
    stage_open(&p->s, CLASS_ENVD, method, p->target, headers);
    cr_assert_eq(p->s.found, E_OK);
    stage_have(&p->s);
    p->s.head.length = (int64_t)body.n;
    stage_tell(&p->s, OP_BEGIN, NULL);
    play(p, body, piece, p->stop);
    stage_close(&p->s);
    return p->line;
}

static void close_dir(struct play *p)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
    cr_assert_eq(system(command), 0);
    buf_clear(&p->up);
    buf_clear(&p->body);
}

static const char *slurp(struct play *p, const char *name)
{
    static char text[65536];
    char path[256];
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", p->dir, name);
    f = fopen(path, "r");
    if (!f)
        return "(none)";
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

/* How many entries the directory has, hidden ones too. */
static int entries(struct play *p)
{
    char command[128];
    FILE *f;
    int n = -1;

    snprintf(command, sizeof(command), "ls -A '%s' | wc -l", p->dir);
    f = popen(command, "r");
    if (fscanf(f, "%d", &n) != 1)
        n = -1;
    pclose(f);
    return n;
}

#define GET(query) \
    ask(&p, METHOD_GET, "?username=root&path=" query, NULL, STR_NONE, 1)

Test(files, gives_a_file)
{
    static const char *const range[] = {"Range", "bytes=2-4", NULL, NULL};
    static const char *const tail[] = {"Range", "bytes=-3", NULL, NULL};
    static const char *const over[] = {"Range", "bytes=50-", NULL, NULL};
    static const char *const any[] = {"If-None-Match", "*", NULL, NULL};
    static char big[300000];
    struct play p;
    char path[128];

    open_dir(&p);
    snprintf(path, sizeof(path), "%s/a.txt", p.dir);
    write_file(path, "0123456789", 10);
    cr_expect_str_eq(GET("%s/a.txt"), "200 0123456789");
    cr_expect_str_eq(
        ask(&p, METHOD_GET, "?username=root&path=%s/a.txt", range, STR_NONE, 1),
        "206 234");
    cr_expect_str_eq(
        ask(&p, METHOD_GET, "?username=root&path=%s/a.txt", tail, STR_NONE, 1),
        "206 789");
    cr_expect_str_eq(
        ask(&p, METHOD_GET, "?username=root&path=%s/a.txt", over, STR_NONE, 1),
        "416 invalid range: failed to overlap\n");
    cr_expect_str_eq(
        ask(&p, METHOD_GET, "?username=root&path=%s/a.txt", any, STR_NONE, 1),
        "304 ");
    snprintf(path, sizeof(path), "%s/empty", p.dir);
    write_file(path, "", 0);
    cr_expect_str_eq(GET("%s/empty"), "200 ");
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 + i / 251);
    snprintf(path, sizeof(path), "%s/big", p.dir);
    write_file(path, big, sizeof(big));
    GET("%s/big");
    cr_expect_eq(buf_len(&p.body), sizeof(big));
    cr_expect_eq(memcmp(buf_str(&p.body).p, big, sizeof(big)), 0);
    cr_expect(strncmp(GET("/proc/version"), "200 Linux", 9) == 0, "%s", p.line);
    cr_expect_str_eq(GET("/no/such"),
                     "fail NOT_FOUND: path '/no/such' does not exist");
    cr_expect_str_eq(GET("/tmp"),
                     "fail BAD_REQUEST: path '/tmp' is a directory");
    cr_expect_str_eq(GET("/dev/null"),
                     "fail BAD_REQUEST: path '/dev/null' is not a regular "
                     "file");
    cr_expect_str_eq(
        ask(&p, METHOD_GET, "?username=nobody-here&path=x", NULL, STR_NONE, 1),
        "fail UNAUTHENTICATED: error looking up user 'nobody-here': user: "
        "unknown user nobody-here");
    cr_expect_str_eq(
        ask(&p, METHOD_GET, "?username=&path=x", NULL, STR_NONE, 1),
        "fail UNAUTHENTICATED: error looking up user '': user: "
        "unknown user ");
    cr_expect(strncmp(ask(&p, METHOD_GET, "?path=a&path=b", NULL, STR_NONE, 1),
                      "400 Invalid format for parameter path", 37) == 0);
    close_dir(&p);
}

/* A file that comes and goes while it is looked at is no lack of memory. */
Test(files, tells_a_file_that_comes_and_goes)
{
    struct play p;
    char path[128];
    pid_t pid;

    open_dir(&p);
    snprintf(path, sizeof(path), "%s/now", p.dir);
    pid = fork();
    while (pid == 0) {
        close(open(path, O_CREAT | O_WRONLY, 0600));
        unlink(path);
    }
    for (int i = 0; i < 60; i++) {
        GET("%s/now");
        cr_expect(!strstr(p.line, "NOMEM"), "%s", p.line);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close_dir(&p);
}

static const char *const raw[] = {"Content-Type", "application/octet-stream",
                                  NULL, NULL};
static const char *const form[] = {
    "Content-Type", "multipart/form-data; boundary=XX", NULL, NULL};

#define POST(query, headers, body, piece) \
    ask(&p, METHOD_POST, "?username=root" query, headers, body, piece)

Test(files, takes_a_raw_file)
{
    struct play p;
    char path[128], want[512];
    struct stat st;

    open_dir(&p);
    for (size_t piece = 1; piece < 12; piece += 5) {
        POST("&path=%s/new/deep/a.txt", raw, STR("hello there"), piece);
        snprintf(want, sizeof(want),
                 "200 [{\"name\":\"a.txt\",\"path\":\"%s/new/deep/a.txt\","
                 "\"type\":\"file\"}]",
                 p.dir);
        cr_expect_str_eq(p.line, want);
        cr_expect_str_eq(slurp(&p, "new/deep/a.txt"), "hello there");
    }
    snprintf(path, sizeof(path), "%s/new/deep/a.txt", p.dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0644);
    chmod(path, 0600);
    POST("&path=%s/new/deep/a.txt", raw, STR(""), 1);
    cr_expect_str_eq(slurp(&p, "new/deep/a.txt"), "");
    ino_t inode = st.st_ino;
    POST("&path=%s/new/deep/a.txt", raw, STR("again"), 100);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 07777, 0600);
    cr_expect_eq(st.st_ino, inode);
    cr_expect_str_eq(slurp(&p, "new/deep/a.txt"), "again");
    cr_expect_eq(entries(&p), 1);
    cr_expect_str_eq(POST("", raw, STR("x"), 1),
                     "fail BAD_REQUEST: path query parameter is required for "
                     "raw body upload");
    cr_expect_str_eq(POST("&path=/tmp", raw, STR("x"), 1),
                     "fail BAD_REQUEST: path is a directory: /tmp");
    cr_expect(strstr(POST("&path=%s/new/deep/a.txt/b", raw, STR("x"), 1),
                     "is not a directory") != NULL,
              "%s", p.line);
    close_dir(&p);
}

Test(files, takes_many_files_of_a_form)
{
    static const char body[] =
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"%s/1\"\r\n\r\none\r\n"
        "--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\npassed "
        "over\r\n"
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"%s/sub/2\"\r\n\r\n\r\n--XX--\r\n";
    char text[1024], want[512];
    struct play p;

    open_dir(&p);
    snprintf(text, sizeof(text), body, p.dir, p.dir);
    for (size_t piece = 1; piece < 500; piece = piece * 3 + 1) {
        POST("", form, str_of(text), piece);
        snprintf(want, sizeof(want),
                 "200 [{\"name\":\"1\",\"path\":\"%s/1\",\"type\":\"file\"},"
                 "{\"name\":\"2\",\"path\":\"%s/sub/2\",\"type\":\"file\"}]",
                 p.dir, p.dir);
        cr_expect_str_eq(p.line, want, "pieces of %zu", piece);
        cr_expect_str_eq(slurp(&p, "1"), "one");
        cr_expect_str_eq(slurp(&p, "sub/2"), "");
    }
    cr_expect_str_eq(POST("", form, STR("--XX--\r\n"), 3), "200 []");
    cr_expect_str_eq(POST("&path=%s/n", form,
                          STR("--XX\r\nContent-Disposition: form-data; "
                              "name=file\r\n\r\ntext\r\n--XX--"),
                          3)
                         ? slurp(&p, "n")
                         : "",
                     "text");
    cr_expect_str_eq(POST("", form, STR(""), 3),
                     "fail INTERNAL: error reading form: multipart: NextPart: "
                     "EOF");
    close_dir(&p);
}

Test(files, leaves_nothing_half_done)
{
    static const char cut[] =
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; "
        "filename=\"%s/cut\"\r\n\r\nhalf of it";
    static const char twice[] =
        "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n1\r\n"
        "--XX\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n2\r\n"
        "--XX--";
    char text[1024];
    struct play p;

    open_dir(&p);
    snprintf(text, sizeof(text), cut, p.dir);
    cr_expect_str_eq(POST("", form, str_of(text), 7),
                     "fail INTERNAL: error writing file: unexpected EOF");
    cr_expect_eq(entries(&p), 0);
    for (long stop = 0; stop < 30; stop += 3) {
        p.stop = stop;
        ask(&p, METHOD_POST, "?username=root&path=%s/gone", raw,
            STR("123456789012345678901234567890"), 3);
        cr_expect_eq(entries(&p), 0, "stop at %ld: %d", stop, entries(&p));
    }
    p.stop = -1;
    POST("&path=%s/t", form, str_of(twice), 5);
    cr_expect(strstr(p.line, "you cannot upload multiple files to the same "
                             "path") != NULL,
              "%s", p.line);
    cr_expect_str_eq(slurp(&p, "t"), "1");
    cr_expect_eq(entries(&p), 1);
    close_dir(&p);
}

Test(files, refuses_types_and_codings)
{
    static const char *const text[] = {"Content-Type", "text/plain", NULL,
                                       NULL};
    static const char *const brotli[] = {"Content-Type",
                                         "application/octet-stream",
                                         "Content-Encoding",
                                         "br",
                                         NULL,
                                         NULL};
    static const char *const bad[] = {"Content-Type",
                                      "application/octet-stream",
                                      "Content-Encoding",
                                      "gzip",
                                      NULL,
                                      NULL};
    static const char *const unbound[] = {"Content-Type", "multipart/form-data",
                                          NULL, NULL};
    struct play p;

    open_dir(&p);
    cr_expect_str_eq(POST("&path=%s/x", text, STR("x"), 1),
                     "fail BAD_REQUEST: unsupported content type: text/plain, "
                     "expected multipart/form-data or "
                     "application/octet-stream");
    cr_expect_str_eq(POST("&path=%s/x", brotli, STR("x"), 1),
                     "fail BAD_REQUEST: error decompressing request body: "
                     "unsupported Content-Encoding: br, supported: [gzip]");
    cr_expect_str_eq(POST("&path=%s/x", bad, STR("not gzip at all"), 4),
                     "fail BAD_REQUEST: error decompressing request body: "
                     "gzip: invalid data");
    cr_expect_eq(entries(&p), 0);
    cr_expect_str_eq(POST("&path=%s/x", unbound, STR("x"), 1),
                     "fail INTERNAL: error parsing multipart form: no "
                     "multipart boundary param in Content-Type");
    close_dir(&p);
}

Test(files, keeps_to_the_limit_of_a_file)
{
    struct play p;

    for (int over = -1; over <= 1; over++) {
        open_dir(&p);
        snprintf(p.target, sizeof(p.target), "/files?username=root&path=%s/x",
                 p.dir);
        stage_open(&p.s, CLASS_ENVD, METHOD_POST, p.target, raw);
        stage_have(&p.s);
        p.s.conf.files_max_bytes = 10 - over;
        p.s.head.length = LENGTH_CHUNKED;
        stage_tell(&p.s, OP_BEGIN, NULL);
        play(&p, STR("0123456789"), 4, -1);
        stage_close(&p.s);
        cr_expect_str_eq(p.line + (over > 0 ? 0 : strlen(p.line)),
                         over > 0 ? "fail TOO_BIG" : "");
        cr_expect_eq(entries(&p), over > 0 ? 0 : 1, "over %d", over);
        close_dir(&p);
    }
}
