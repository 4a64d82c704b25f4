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
#include "tests/unit/translate_shell.h"
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

    snprintf(p->dir, sizeof(p->dir), "/tmp/sandgate-fs-XXXXXX");
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
    struct place p;
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
