/* The scripts of the file system run for real, and answer as E2B's daemon was
 * recorded to answer. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/mem.h"
#include "tests/unit/translate_shell.h"
#include "translate/envelope.h"
#include "translate/fault.h"

#define SERVICE "/filesystem.Filesystem/"
#define LINE_BYTES (64 << 10)

/* What the recorded daemon found. */
static const char tree[] =
    "umask 022; cd \"$1\" || exit 1\n"
    "printf hello >file.txt; : >zero; chmod 600 zero\n"
    "mkdir dir dir/sub dir/sub/deep empty noaccess sticky 'sp ace'\n"
    "printf a >dir/a; printf bb >dir/b.txt; chmod 111 dir/b.txt\n"
    "printf c >dir/sub/c; printf d >dir/sub/deep/d\n"
    "ln -s file.txt rel_link; ln -s rel_link link2; ln -s \"$1/dir\" dir_link\n"
    "ln -s /nope/x broken; ln -s loop loop; ln -s \"$1/missing_tgt\" "
    "missing_link\n"
    "mkfifo fifo; chmod 000 noaccess; chmod 1777 sticky\n"
    "cp /bin/true suid; cp /bin/true sgid; chmod 4755 suid; chmod 2755 sgid\n"
    "for n in -dash .hidden 10 9 A Z _ a \"emoji\xf0\x9f\x98\x80\" \"it's\" "
    "\\\n"
    "  'new\nline' per%cent 'q\"uote' \"\xc3\xbcn\xc3\xaf\"; do\n"
    "  : >\"sp ace/$n\"; done\n"
    "touch -d 2021-02-03T04:05:06.123456789Z dir/a\n"
    "touch -d 2021-02-03T04:05:06Z dir/b.txt\n"
    "touch -d 2021-02-03T04:05:06.5Z dir/sub/c\n"
    "touch -d @0 dir/sub/deep/d\n"
    "setfattr -n user.e2b.dirmeta -v d dir && {\n"
    "  setfattr -n user.e2b.author -v Me dir/a\n"
    "  setfattr -n user.e2b.k2 -v 'v 2' dir/a\n"
    "  setfattr -n user.other -v no dir/a\n"
    "  setfattr -n user.e2b.ok -v yes dir/b.txt\n"
    "  setfattr -n user.e2b.bad -v 0xff dir/b.txt\n"
    "  setfattr -n user.e2b. -v emptykey dir/sub/c\n"
    "}\n";

/* What it found later on. */
static const char moves[] =
    "cd \"$1\" || exit 1\n"
    "for n in 1 2 3; do printf $n >mv$n; done; mkdir mvd mvd2 mvd3; : >mvd2/x\n"
    "ln -s x/y mvl\n";

struct place {
    bool fast; /* in memory where the machine can */
    char dir[64];
    char user[64];
    bool attributes; /* the file system and the tools have them */
};

static int shell(const char *script, const char *dir)
{
    char name[] = "/tmp/sandgate-tree-XXXXXX", command[256];
    int fd = mkstemp(name), code;
    FILE *file = fdopen(fd, "w");

    cr_assert_not_null(file);
    fputs(script, file);
    fclose(file);
    snprintf(command, sizeof(command), "LC_ALL=C sh %s %s 2>/dev/null", name,
             dir);
    code = system(command);
    unlink(name);
    return code;
}

static void put_socket(const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", dir);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)),
                 0);
    close(fd);
}

static void place_open(struct place *p, const char *script)
{
    const struct passwd *me = getpwuid(geteuid());

    snprintf(p->dir, sizeof(p->dir), "%s/sandgate-fs-XXXXXX",
             p->fast && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(p->dir));
    cr_assert_not_null(me);
    snprintf(p->user, sizeof(p->user), "%s", me->pw_name);
    p->attributes = shell(script, p->dir) == 0;
}

static void place_close(const struct place *p)
{
    cr_expect_eq(shell("chmod -R u+rwx \"$1\"; rm -rf \"$1\"", p->dir), 0);
}

/* One call; what the operation says is in s->want. */
static void call(struct stage *s, struct place *p, const char *path,
                 const char *body, const char *authorization)
{
    const char *headers[] = {"Content-Type", "application/json",
                             "Authorization", authorization, NULL};

    if (!authorization || !authorization[0])
        headers[2] = NULL;
    stage_open(s, CLASS_ENVD, METHOD_POST, path, headers);
    cr_assert_eq(s->found, E_OK, "%s", path);
    stage_have(s);
    s->templates[0].user = str_of(p->user);
    stage_send(s, body);
    if (s->want.kind == WANT_CALL)
        shell_answer(s);
}

/* ---- against the recordings ---- */

static struct str replaced(struct arena *a, struct str text, const char *old,
                           const char *new)
{
    struct str rest = text, out = STR("");

    for (;;) {
        size_t at = str_find_str(rest, str_of(old));

        out = arena_text(a, "%.*s%.*s", STR_FMT(out), (int)at, rest.p);
        if (at == rest.n)
            return out;
        out = arena_text(a, "%.*s%s", STR_FMT(out), new);
        rest = str_after(rest, at + strlen(old));
    }
}

/* Recorded paths and the user are those of the place. */
static struct str placed(struct arena *a, struct str text,
                         const struct place *p)
{
    char user[80];

    snprintf(user, sizeof(user), "for user '%s'", p->user);
    text = replaced(a, text, "/home/user/fs", p->dir);
    return replaced(a, text, "for user 'user'", user);
}

static bool same_text(const json_t *a, const json_t *b, const char *name)
{
    return str_eq(json_str(a, name), json_str(b, name));
}

static void compare_entry(const char *name, const json_t *want,
                          const json_t *have, bool attributes)
{
    struct str type = json_str(want, "type"), size = json_str(want, "size");
    struct str time = json_str(want, "modifiedTime");

    cr_expect(same_text(want, have, "name"), "%s: name %s", name,
              json_str(have, "name").p);
    cr_expect(same_text(want, have, "type"), "%s: type", name);
    cr_expect(same_text(want, have, "path"), "%s: path %s", name,
              json_str(have, "path").p);
    cr_expect(same_text(want, have, "permissions"), "%s: permissions %s", name,
              json_str(have, "permissions").p);
    cr_expect(same_text(want, have, "symlinkTarget"), "%s: target %s", name,
              json_str(have, "symlinkTarget").p);
    cr_expect_eq(json_integer_value(json_object_get(want, "mode")),
                 json_integer_value(json_object_get(have, "mode")), "%s: mode",
                 name);
    cr_expect_eq(json_str(want, "symlinkTarget").p != NULL,
                 json_is_true(json_object_get(have, "isSymlink")), "%s: link",
                 name);
    if (str_eq(type, STR("FILE_TYPE_FILE")) && size.n < 4 &&
        !json_str(want, "symlinkTarget").p)
        cr_expect(same_text(want, have, "size"), "%s: size", name);
    if (str_starts(time, STR("2021")) || !time.p)
        cr_expect(same_text(want, have, "modifiedTime"), "%s: time %s", name,
                  json_str(have, "modifiedTime").p);
    cr_expect_gt(json_str(have, "owner").n, 0);
    cr_expect_gt(json_str(have, "group").n, 0);
    if (attributes) {
        json_t *a = json_object_get(want, "metadata");
        json_t *b = json_object_get(have, "metadata");

        cr_expect(a == b || json_equal(a, b), "%s: metadata", name);
    }
}

static void compare_answers(const char *name, struct str want, struct str have,
                            bool attributes)
{
    json_t *a, *b, *entries, *others;
    size_t i;

    cr_assert_eq(json_read(want, &json_limits_rpc, &a), E_OK, "%s", name);
    cr_assert_eq(json_read(have, &json_limits_rpc, &b), E_OK, "%s: %.*s", name,
                 STR_FMT(have));
    if (json_object_get(a, "entry"))
        compare_entry(name, json_object_get(a, "entry"),
                      json_object_get(b, "entry"), attributes);
    entries = json_object_get(a, "entries");
    others = json_object_get(b, "entries");
    cr_expect_eq(json_array_size(entries), json_array_size(others),
                 "%s: entries %.*s", name, STR_FMT(have));
    cr_expect_eq(json_object_size(a), json_object_size(b), "%s", name);
    for (i = 0; i < json_array_size(entries) && i < json_array_size(others);
         i++)
        compare_entry(name, json_array_get(entries, i),
                      json_array_get(others, i), attributes);
    json_decref(a);
    json_decref(b);
}

static void replay(struct place *p, const json_t *row)
{
    const char *name = json_str(row, "name").p;
    json_int_t status = json_integer_value(json_object_get(row, "status"));
    struct arena *a;
    struct str body, want;
    struct stage s;

    cr_assert_eq(arena_new(1 << 20, &a), E_OK);
    body = placed(a, json_str(row, "body"), p);
    want = placed(a, json_str(row, "answer"), p);
    call(&s, p, json_str(row, "rpc").p, body.p,
         str_eq(json_str(row, "authorization"), STR("Basic dXNlcjo="))
             ? NULL
             : json_str(row, "authorization").p);
    if (status == 200) {
        cr_expect_eq(s.want.kind, WANT_SAY, "%s: %s", name, stage_line(&s));
        if (s.want.kind == WANT_SAY)
            compare_answers(name, want, s.want.say.piece, p->attributes);
    } else {
        json_t *error;

        cr_assert_eq(json_read(want, &json_limits_rpc, &error), E_OK);
        cr_expect_eq(s.want.kind, WANT_FAIL, "%s: %s", name, stage_line(&s));
        cr_expect_str_eq(fault_connect_code(s.want.err),
                         json_str(error, "code").p, "%s: %s", name,
                         stage_line(&s));
        cr_expect(str_eq(s.want.detail, json_str(error, "message")), "%s: %.*s",
                  name, STR_FMT(s.want.detail));
        json_decref(error);
    }
    stage_close(&s);
    arena_free(&a);
}

Test(filesystem, answers_as_the_daemon_was_recorded)
{
    static char line[LINE_BYTES];
    FILE *file = fopen(DATA_DIR "/envd-filesystem.jsonl", "r");
    struct place p = {0};
    int count = 0;

    cr_assert_not_null(file);
    place_open(&p, tree);
    put_socket(p.dir);
    while (fgets(line, sizeof(line), file)) {
        json_t *row;

        cr_assert_eq(json_read(str_of(line), &json_limits_rpc, &row), E_OK);
        if (str_eq(json_str(row, "name"), STR("move_file")))
            cr_assert_eq(shell(moves, p.dir), 0);
        if (geteuid() == 0 ||
            (!str_ends(json_str(row, "name"), STR("as_root")) &&
             str_find_str(json_str(row, "name"), STR("noaccess")) ==
                 json_str(row, "name").n))
            replay(&p, row);
        json_decref(row);
        count++;
    }
    fclose(file);
    place_close(&p);
    cr_expect_eq(count, 99);
}

/* ---- what was not recorded ---- */

static const struct {
    const char *name, *rpc, *body; /* @ is the place */
    const char *line; /* how stage_line() begins, or what it has behind * */
} own_rows[] = {
    {"double slashes stay", "Stat", "{\"path\":\"/@//zero\"}",
     "*\"path\":\"/@//zero\""},
    {"the home", "Stat", "{\"path\":\"~\"}", "*\"type\":\"FILE_TYPE_DIR"},
    {"the home itself", "Stat", "{}", "*\"type\":\"FILE_TYPE_DIR"},
    {"above the home", "Stat", "{\"path\":\"../../../../tmp\"}",
     "*\"path\":\"/tmp\""},
    {"root by dots", "Stat", "{\"path\":\"../../../..\"}",
     "*{\"name\":\"/\",\"type\":\"FILE_TYPE_DIRECTORY\",\"path\":\"/\""},
    {"snake case and null", "ListDir",
     "{\"path\":\"@/empty\",\"depth\":null,\"more\":1}", "say 200 {}"},
    {"depth as a text", "ListDir", "{\"path\":\"@/empty\",\"depth\":\"1\"}",
     "say 200 {}"},
    {"a negative depth", "ListDir", "{\"path\":\"@/empty\",\"depth\":-1}",
     "fail INVALID"},
    {"the greatest depth", "ListDir",
     "{\"path\":\"@/empty\",\"depth\":4294967295}", "say 200 {}"},
    {"a path that is no text", "Stat", "{\"path\":1}", "fail INVALID"},
    {"no JSON", "Stat", "{", "fail INVALID"},
    {"no body", "Stat", "", "fail INVALID"},
    {"a name with a line end last", "Stat", "{\"path\":\"@/odd/end\\n\"}",
     "*\"name\":\"end\\n\""},
    {"a name that is an option", "Stat", "{\"path\":\"@/odd/-rf\"}",
     "*\"name\":\"-rf\""},
    {"a name that is code", "Stat", "{\"path\":\"@/odd/$(kill $$)`;'\\\"\"}",
     "*\"name\":\"$(kill $$)`;'\\\"\""},
    {"odd names and links", "ListDir", "{\"path\":\"@/odd\",\"depth\":3}",
     "*\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {"links up and down", "ListDir", "{\"path\":\"@/odd\",\"depth\":3}",
     "*\"symlinkTarget\":\"@\",\"isSymlink\":true}"},
    {"a link to where it stands", "Stat", "{\"path\":\"@/odd/self\"}",
     "*\"symlinkTarget\":\"@/odd\""},
    {"an empty path to remove", "Remove", "{}",
     "fail INVALID: path must not be empty"},
    {"the root to remove", "Remove", "{\"path\":\"//\"}",
     "fail INTERNAL: error removing file or directory: unlinkat //: operation "
     "not permitted"},
    {"dots to remove", "Remove", "{\"path\":\"@/empty/..\"}",
     "fail INTERNAL: error removing file or directory: RemoveAll @/empty/..: "
     "invalid argument"},
    {"names to remove", "Remove", "{\"path\":\"@/odd/-rf\"}", "say 200 {}"},
    {"a name below a long one", "ListDir", "{\"path\":\"@/file.txt/x\"}",
     "fail INTERNAL: error resolving symlink: not a directory"},
    {"the same file by another name", "Move",
     "{\"source\":\"@/odd/one\",\"destination\":\"@/odd/two\"}",
     "*\"path\":\"@/odd/two\""},
    {"a directory to itself", "Move",
     "{\"source\":\"@/empty\",\"destination\":\"@/empty/\"}",
     "*\"path\":\"@/empty/\""},
    {"a file over a link", "Move",
     "{\"source\":\"@/file.txt\",\"destination\":\"@/broken\"}",
     "*\"path\":\"@/broken\",\"size\":\"5\""},
    {"watching", "CreateWatcher", "{\"path\":\"@\"}",
     "fail UNIMPLEMENTED: watching directories is not supported by this "
     "server"},
};

static const char odd[] =
    "umask 022; cd \"$1\" && mkdir odd empty && cd odd || exit 1\n"
    ": >-rf; ln -s . self; ln -s .. up; ln -s self/self twice\n"
    ": >'end\n'; : >\"\\$(kill \\$\\$)\\`;'\\\"\"; : >\"$(printf "
    "'\\377\\376')\"\n"
    ": >one; ln one two; cd ..; printf hello >file.txt; : >zero\n"
    "ln -s nowhere broken\n";

Test(filesystem, does_what_was_not_recorded)
{
    struct place p = {0};

    place_open(&p, odd);
    for (size_t i = 0; i < sizeof(own_rows) / sizeof(own_rows[0]); i++) {
        char path[128];
        struct arena *a;
        struct stage s;
        struct str body, line;
        const char *told;

        cr_assert_eq(arena_new(1 << 20, &a), E_OK);
        snprintf(path, sizeof(path), SERVICE "%s", own_rows[i].rpc);
        body = replaced(a, str_of(own_rows[i].body), "@", p.dir);
        line = replaced(a, str_of(own_rows[i].line), "/@", p.dir);
        line = replaced(a, line, "@", p.dir);
        if (str_starts(str_of(own_rows[i].body), STR("{\"path\":\"/@")))
            body = replaced(a, str_of(own_rows[i].body), "/@", p.dir);
        call(&s, &p, path, body.n ? body.p : NULL, NULL);
        told = stage_line(&s);
        if (line.p[0] == '*')
            cr_expect_not_null(strstr(told, line.p + 1), "%s: %s",
                               own_rows[i].name, told);
        else
            cr_expect(str_starts(str_of(told), line), "%s: %s",
                      own_rows[i].name, told);
        stage_close(&s);
        arena_free(&a);
    }
    place_close(&p);
}

Test(filesystem, moves_to_another_file_system_by_copying)
{
    struct place p = {0}, q = {.fast = true};
    struct stage s;
    char body[256];

    place_open(&p, odd);
    place_open(&q, "cd \"$1\"");
    snprintf(body, sizeof(body),
             "{\"source\":\"%s/odd\",\"destination\":\"%s/new/odd\"}", p.dir,
             q.dir);
    call(&s, &p, SERVICE "Move", body, NULL);
    cr_expect_not_null(strstr(stage_line(&s), "/new/odd\""), "%s",
                       stage_line(&s));
    stage_close(&s);
    snprintf(body, sizeof(body), "{\"path\":\"%s/odd\"}", p.dir);
    call(&s, &p, SERVICE "Stat", body, NULL);
    cr_expect_eq(s.want.err, E_NOT_FOUND, "%s", stage_line(&s));
    stage_close(&s);
    place_close(&p);
    place_close(&q);
}

Test(filesystem, knows_the_users_by_their_names_only)
{
    static const char *const rows[][2] = {
        {"Basic bm9zdWNoOg==", "fail UNAUTHENTICATED: invalid username: "
                               "'nosuch'"},
        {"basic Og==", "fail UNAUTHENTICATED: invalid username: ''"},
        {"Basic MDo=", "fail UNAUTHENTICATED: invalid username: '0'"},
        {"Basic cm9vdDo=", "say 200"},
        {"Bearer x", "say 200"},
    };
    struct place p = {0};

    place_open(&p, odd);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stage s;

        call(&s, &p, SERVICE "Stat", "{\"path\":\"/\"}", rows[i][0]);
        cr_expect(str_starts(str_of(stage_line(&s)), str_of(rows[i][1])),
                  "%s: %s", rows[i][0], stage_line(&s));
        stage_close(&s);
    }
    place_close(&p);
}

Test(filesystem, gives_what_is_made_to_the_user)
{
    struct place p = {0};
    struct stage s;
    char body[256];

    if (geteuid() != 0)
        cr_skip_test("only root gives files away");
    place_open(&p, odd);
    snprintf(p.user, sizeof(p.user), "daemon");
    snprintf(body, sizeof(body), "{\"path\":\"%s/new/one\"}", p.dir);
    call(&s, &p, SERVICE "MakeDir", body, NULL);
    cr_expect_not_null(strstr(stage_line(&s), "\"owner\":\"daemon\""), "%s",
                       stage_line(&s));
    stage_close(&s);
    snprintf(body, sizeof(body), "{\"path\":\"%s/new\"}", p.dir);
    call(&s, &p, SERVICE "Stat", body, "Basic cm9vdDo=");
    cr_expect_not_null(strstr(stage_line(&s), "\"group\":\"daemon\""), "%s",
                       stage_line(&s));
    stage_close(&s);
    place_close(&p);
}

Test(filesystem, tells_old_python_less)
{
    const char *headers[] = {"Content-Type", "application/json", "User-Agent",
                             "connect-python", NULL};
    struct stage s;

    stage_open(&s, CLASS_ENVD, METHOD_POST, SERVICE "Stat", headers);
    stage_have(&s);
    s.templates[0].user = STR("root");
    stage_send(&s, "{\"path\":\"/\"}");
    shell_answer(&s);
    cr_expect_str_eq(stage_line(&s),
                     "say 200 {\"entry\":{\"name\":\"/\",\"type\":"
                     "\"FILE_TYPE_DIRECTORY\",\"path\":\"/\"}}");
    cr_expect(
        str_eq(fields_get(&s.want.say.head->fields, STR("X-E2b-Legacy-Sdk")),
               STR("true")));
    stage_close(&s);
}

Test(filesystem, lists_twenty_thousand_files)
{
    static const char many[] =
        "cd \"$1\" && seq 20000 | sed 's/^/a-file-with-a-longer-name-/' |\n"
        "xargs touch\n";
    static const struct json_limits limits = {64 << 20, 32, 1000000};
    struct place p = {.fast = true};
    struct stage s;
    char body[128];
    json_t *answer;

    place_open(&p, many);
    snprintf(body, sizeof(body), "{\"path\":\"%s\"}", p.dir);
    call(&s, &p, SERVICE "ListDir", body, NULL);
    cr_assert_eq(s.want.kind, WANT_SAY, "%s", stage_line(&s));
    cr_assert_eq(json_read(s.want.say.piece, &limits, &answer), E_OK,
                 "%zu bytes", s.want.say.piece.n);
    cr_expect_eq(json_array_size(json_object_get(answer, "entries")), 20000);
    json_decref(answer);
    stage_close(&s);
    place_close(&p);
}

/* ---- what the sandbox server does ---- */

static const struct {
    const char *name;
    enum err err; /* of the call */
    int status;
    const char *body;   /* of a status that is not 200 */
    const char *frames; /* payloads; a ! before an end frame's */
    const char *line;
} server_rows[] = {
    {"no back end", E_BACKEND_DOWN, 0, NULL, NULL, "fail BACKEND_DOWN"},
    {"no stream left", E_SLOTS, 0, NULL, NULL, "fail SLOTS"},
    {"killed", E_SANDBOX_GONE, 0, NULL, NULL, "fail SANDBOX_GONE"},
    {"cut", E_CUT, 0, NULL, NULL, "fail CUT"},
    {"too late", E_UPSTREAM_DEADLINE, 0, NULL, NULL, "fail UPSTREAM_DEADLINE"},
    {"too much", E_TOO_BIG, 0, NULL, NULL,
     "fail EXHAUSTED: the answer is too large"},
    {"another server", E_OK, 404, "404 page not found\n", NULL,
     "fail BACKEND_GARBAGE"},
    {"a unary error", E_OK, 500,
     "{\"code\":\"internal\",\"message\":\"sandbox \\\"i0\\\" has no stream "
     "path\"}",
     NULL, "fail SANDBOX_GONE"},
    {"unknown to it", E_OK, 200, NULL,
     "!{\"error\":{\"code\":\"unavailable\",\"message\":\"sandbox has no "
     "stream path\"}}",
     "fail SANDBOX_GONE"},
    {"its own cap", E_OK, 200, NULL,
     "!{\"error\":{\"code\":\"unavailable\",\"message\":\"concurrent "
     "exec-stream limit\"}}",
     "fail SLOTS"},
    {"nothing", E_OK, 200, NULL, "", "fail BACKEND_GARBAGE"},
    {"no exit", E_OK, 200, NULL, "!{}", "fail BACKEND_GARBAGE"},
    {"no end", E_OK, 200, NULL, "{\"exit\":{}}", "fail BACKEND_GARBAGE"},
    {"no JSON", E_OK, 200, NULL, "{\"exit\":", "fail BACKEND_GARBAGE"},
    {"its time limit", E_OK, 200, NULL, "{\"exit\":{\"exitCode\":124}}|!{}",
     "fail UPSTREAM_DEADLINE"},
    {"a killed shell", E_OK, 200, NULL, "{\"exit\":{\"exitCode\":-1}}|!{}",
     "fail INTERNAL: the sandbox could not run the file tools"},
    {"no shell", E_OK, 200, NULL,
     "{\"exit\":{\"exitCode\":1,\"error\":\"start: No such file or directory "
     "(os error 2)\"}}|!{}",
     "fail"},
    {"silence", E_OK, 200, NULL, "{\"exit\":{}}|!{}",
     "fail INTERNAL: the sandbox could not run the file tools"},
    {"half an entry", E_OK, 200, NULL,
     "{\"stdout\":\"b2sAL3gAZgA2NDQA\"}|{\"exit\":{}}|!{}",
     "fail BACKEND_GARBAGE"},
    {"no entry", E_OK, 200, NULL,
     "{\"stdout\":\"b2sAL3gALwAvAC8A\"}"
     "|{\"exit\":{}}|!{}",
     "fail BACKEND_GARBAGE"},
};

static void put_frames(struct buf *b, const char *text)
{
    struct str rest = str_of(text);

    while (rest.p && rest.n) {
        struct str payload = str_cut(&rest, '|');
        bool end = payload.p[0] == '!';

        envelope_put(b, end ? ENVELOPE_END : 0, str_after(payload, end));
    }
}

Test(filesystem, tells_what_the_sandbox_server_did)
{
    for (size_t i = 0; i < sizeof(server_rows) / sizeof(server_rows[0]); i++) {
        struct op_event event = {.kind = OP_ANSWER,
                                 .err = server_rows[i].err,
                                 .status = server_rows[i].status,
                                 .bytes = str_of(server_rows[i].body)};
        struct buf frames;
        struct stage s;

        stage_open(
            &s, CLASS_ENVD, METHOD_POST, SERVICE "Stat",
            (const char *const[]){"Content-Type", "application/json", NULL});
        stage_have(&s);
        stage_send(&s, "{\"path\":\"/x\"}");
        cr_assert_eq(s.want.kind, WANT_CALL);
        cr_expect_eq(s.want.call.slot, SLOT_FILE);
        cr_expect(s.want.call.collect && s.want.call.stream);
        buf_init(&frames, 1 << 20);
        if (server_rows[i].frames) {
            put_frames(&frames, server_rows[i].frames);
            event.bytes = buf_str(&frames);
        }
        op_hear(&s.op, &event, &s.want);
        cr_expect(
            str_starts(str_of(stage_line(&s)), str_of(server_rows[i].line)),
            "%s: %s", server_rows[i].name, stage_line(&s));
        buf_clear(&frames);
        stage_close(&s);
    }
}

Test(filesystem, reads_answers_cut_at_every_byte)
{
    static const char printed[] =
        "ok\0/x\0l\0"
        "777\0"
        "1\0u\0g\0"
        "1.5000000000\0\0/\0"
        "/x\0"
        "81a4\0/\0/y\0/\0# file: /x\nuser.e2b.k=0sdg==\n";
    size_t n = sizeof(printed) - 1;

    for (size_t i = 0; i <= n; i++) {
        struct op_event event = {.kind = OP_ANSWER, .status = 200};
        struct stage s;

        stage_open(
            &s, CLASS_ENVD, METHOD_POST, SERVICE "Stat",
            (const char *const[]){"Content-Type", "application/json", NULL});
        stage_have(&s);
        stage_send(&s, "{\"path\":\"/x\"}");
        event.bytes =
            shell_frames(s.op.scratch, str_from(printed, i), STR(""), 0);
        op_hear(&s.op, &event, &s.want);
        if (i < n - strlen("# file: /x\nuser.e2b.k=0sdg==\n"))
            cr_expect_eq(s.want.kind, WANT_FAIL, "%zu: %s", i, stage_line(&s));
        if (i == n)
            cr_expect_str_eq(
                stage_line(&s),
                "say 200 {\"entry\":{\"name\":\"x\",\"type\":"
                "\"FILE_TYPE_FILE\",\"path\":\"/x\",\"size\":\"1\",\"mode\":"
                "420,\"permissions\":\"Lrwxrwxrwx\",\"owner\":\"u\",\"group\":"
                "\"g\",\"modifiedTime\":\"1970-01-01T00:00:01.500Z\","
                "\"symlinkTarget\":\"/y\",\"metadata\":{\"k\":\"v\"},"
                "\"isSymlink\":true}}");
        stage_close(&s);
    }
}

Test(filesystem, fails_cleanly_without_memory)
{
    static const char printed[] =
        "ok\0/x\0d\0"
        "755\0"
        "4096\0u\0g\0"
        "1.0\0a\0l\0"
        "777\0"
        "1\0u\0g\0"
        "1.0\0b\0/\0./b\0"
        "81a4\0/\0/y\0/\0# file: ./a\nuser.e2b.k=0sdg==\n";
    bool done = false;

    json_start();
    for (long n = 0; !done; n++) {
        struct op_event event = {.kind = OP_ANSWER, .status = 200};
        struct stage s;

        cr_assert_lt(n, 1000);
        stage_open(
            &s, CLASS_ENVD, METHOD_POST, SERVICE "ListDir",
            (const char *const[]){"Content-Type", "application/json", NULL});
        stage_have(&s);
        event.bytes = shell_frames(
            s.op.scratch, str_from(printed, sizeof(printed) - 1), STR(""), 0);
        mem_refuse(n);
        stage_send(&s, "{\"path\":\"/x\"}");
        if (s.want.kind == WANT_CALL)
            op_hear(&s.op, &event, &s.want);
        done = s.want.kind == WANT_SAY;
        mem_refuse(-1);
        if (done)
            cr_expect_not_null(strstr(stage_line(&s), "{\"k\":\"v\"}"),
                               "%ld: %s", n, stage_line(&s));
        else
            cr_expect_eq(s.want.kind, WANT_FAIL, "%ld: %s", n, stage_line(&s));
        stage_close(&s);
    }
}
