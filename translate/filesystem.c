/* filesystem.c - filesystem.Filesystem: Stat, MakeDir, Move, ListDir, Remove.
 *
 * Each is one script in the sandbox, run as root; the user of the call owns
 * what is made and is the base of relative paths.  Texts of errors are those
 * of E2B's daemon.  Source: e2b-data-plane.md 3, 3.2 */
#include "translate/entry.h"
#include "translate/guest.h"
#include "translate/ops.h"
#include "translate/path.h"
#include "translate/proto.h"

#define ANSWER_MAX (16 << 20) /* of the sandbox; some 100,000 entries */
#define TELL_MAX (64 << 20)
#define LIMIT_S 55 /* SDKs wait 60 s */
#define DEPTH_MAX 1000000
#define PATHS_MAX 3

/* The variants of ops.def's rows. */
enum filesystem {
    FILESYSTEM_STAT,
    FILESYSTEM_MAKE_DIR,
    FILESYSTEM_MOVE,
    FILESYSTEM_LIST_DIR,
    FILESYSTEM_REMOVE,
    FILESYSTEM_COUNT
};

static const char *const scripts[FILESYSTEM_COUNT] = {
    /* path */
    [FILESYSTEM_STAT] =
        ENTRY_SHOW "absolute \"$1\"\n"
                   "why stat -c %f -- \"$p\" || fail lstat \"$p\" \"$e\"\n"
                   "say ok \"$p\"\n"
                   "show \"$p\" 0 0\n",

    /* path, the same cleaned */
    [FILESYSTEM_MAKE_DIR] = ENTRY_SHOW "absolute \"$2\"\n"
                                       "c=$p\n"
                                       "absolute \"$1\"\n"
                                       "[ -d \"$p\" ] && fail isdir \"$p\"\n"
                                       "[ -e \"$p\" ] && fail exists \"$p\"\n"
                                       "why stat -L -c %f -- \"$p\"\n"
                                       "case $e in\n"
                                       "*': No such file or directory') ;;\n"
                                       "*) fail stat \"$p\" \"$e\";;\n"
                                       "esac\n"
                                       "make_dirs \"${c%/*}\"\n"
                                       "make_dir \"$p\"\n"
                                       "say ok \"$p\"\n"
                                       "show \"$p\" 0 0\n",

    /* source, destination, the same cleaned.  Unlike rename() mv copies what
     * goes to another file system: E2B's sandboxes have one only, so programs
     * move between /tmp and the home without a thought. */
    [FILESYSTEM_MOVE] = ENTRY_SHOW
    "absolute \"$3\"\n"
    "make_dirs \"${p%/*}\"\n"
    "absolute \"$1\"\n"
    "s=$p\n"
    "absolute \"$2\"\n"
    "no() { fail rename \"$s\" \"$p\" \": $1\"; }\n"
    "a=$(stat -c %d:%i -- \"$s\" 2>&1) || fail rename \"$s\" \"$p\" \"$a\"\n"
    "b=$(stat -c %d:%i -- \"$p\" 2>/dev/null)\n"
    "is_dir() { [ -d \"$1\" ] && [ ! -L \"$1\" ]; }\n"
    "if is_dir \"$p\"; then\n"
    "  [ \"$a\" = \"$b\" ] && [ \"$s\" != \"$p\" ] || no 'File exists'\n"
    "elif [ \"$a\" != \"$b\" ]; then\n"
    "  [ -n \"$b\" ] && is_dir \"$s\" && no 'Not a directory'\n"
    "  why mv -f -T -- \"$s\" \"$p\" || case $e in\n"
    "  *' to a subdirectory of itself, '*) no 'Invalid argument';;\n"
    "  *) fail rename \"$s\" \"$p\" \"$e\";;\n"
    "  esac\n"
    "fi\n"
    "say ok \"$p\"\n"
    "show \"$p\" 0 0\n",

    /* path, depth */
    [FILESYSTEM_LIST_DIR] = ENTRY_SHOW
    "absolute \"$1\"\n"
    "if why stat -L -c %f -- \"$p\"; then\n"
    "  [ -d \"$p\" ] || fail notdir \"$(readlink -f -- \"$p\")\"\n"
    "else\n"
    "  case $e in\n"
    "  *': No such file or directory') ;;\n"
    "  *': Too many levels of symbolic links') fail cyclic \"$p\";;\n"
    "  *) fail resolve \"$p\" \"$e\";;\n"
    "  esac\n"
    "  r=$(readlink -m -- \"$p\")\n"
    "  q= r=${r#/}\n"
    "  while [ -n \"$r\" ]; do\n"
    "    q=$q/${r%%/*}\n"
    "    case $r in */*) r=${r#*/};; *) r=;; esac\n"
    "    [ -e \"$q\" ] || [ -L \"$q\" ] || break\n"
    "  done\n"
    "  fail gone \"$q\" ': No such file or directory'\n"
    "fi\n"
    "why cd -P -- \"$p\" && cd -P -- \"$p\" || fail resolve \"$p\" \"$e\"\n"
    "say ok \"$p\"\n"
    "show . 1 \"$2\"\n",

    /* path */
    [FILESYSTEM_REMOVE] =
        "absolute \"$1\"\n"
        "why stat -c %f -- \"$p\" || case $e in\n"
        "*': No such file or directory') fail ok;;\n"
        "*) fail unlinkat \"$p\" \"$e\";;\n"
        "esac\n"
        "[ \"$p\" -ef / ] && [ ! -L \"$p\" ] &&\n"
        "  fail unlinkat \"$p\" ': Operation not permitted'\n"
        "why rm -rf -- \"$p\" || fail unlinkat \"$p\" \"$e\"\n"
        "say ok\n",
};

/* ---- what went wrong ---- */

/* A word that a script fails with, and what is said then. */
static const struct fault {
    const char *word;
    unsigned paths; /* fields behind the word; the tool's text follows */
    bool text;
    enum err err;
    const char *said;   /* before the paths */
    const char *absent; /* instead, and E_NOT_FOUND, when the text is ENOENT */
} faults[] = {
    {"lstat", 1, true, E_INTERNAL, "error getting file info: lstat ",
     "file not found: lstat "},
    {"isdir", 1, false, E_ALREADY_EXISTS, "directory already exists: ", NULL},
    {"exists", 1, false, E_INVALID,
     "path already exists but it is not a directory: ", NULL},
    {"stat", 1, true, E_INTERNAL, "error getting file info: stat ", NULL},
    {"file", 1, false, E_INTERNAL, "path is a file: ", NULL},
    {"mkdir", 1, true, E_INTERNAL, "failed to create directory: mkdir ", NULL},
    {"chown", 1, true, E_INTERNAL, "failed to chown directory: chown ", NULL},
    {"rename", 2, true, E_INTERNAL, "error renaming: rename ",
     "source file not found: rename "},
    {"notdir", 1, false, E_INVALID, "path is not a directory: ", NULL},
    {"cyclic", 1, false, E_PRECONDITION,
     "cyclic symlink or chain >255 links at ", NULL},
    {"gone", 1, true, E_INTERNAL, "", "path not found: lstat "},
    {"unlinkat", 1, true, E_INTERNAL,
     "error removing file or directory: unlinkat ", NULL},
};

#define FAULTS (sizeof(faults) / sizeof(faults[0]))

/* "error resolving symlink" is told without the path. */
static void fail_resolve(struct op *op, struct guest_answer *a, struct want *w)
{
    struct str why;

    guest_field(a);
    why = guest_why(guest_field(a), op->arena);
    want_fail(
        w, E_INTERNAL,
        arena_text(op->arena, "error resolving symlink: %.*s", STR_FMT(why)));
}

static void fail_by(struct op *op, const struct fault *f,
                    struct guest_answer *a, struct want *w)
{
    struct str one = guest_field(a);
    struct str two = f->paths > 1 ? guest_field(a) : STR_NONE;
    struct str why = f->text ? guest_why(guest_field(a), op->arena) : STR_NONE;
    bool absent = f->absent && str_eq(why, STR("no such file or directory"));
    const char *quote = f->err == E_PRECONDITION ? "\"" : "";

    want_fail(w, absent ? E_NOT_FOUND : f->err,
              arena_text(op->arena, "%s%s%.*s%s%s%.*s%s%.*s",
                         absent ? f->absent : f->said, quote, STR_FMT(one),
                         quote, two.p ? " " : "", STR_FMT(two),
                         why.p ? ": " : "", STR_FMT(why)));
}

static void fail_word(struct op *op, struct str word, struct guest_answer *a,
                      struct want *w)
{
    if (str_eq(word, STR("resolve"))) {
        fail_resolve(op, a, w);
        return;
    }
    for (size_t i = 0; i < FAULTS; i++)
        if (str_eq(word, str_of(faults[i].word))) {
            fail_by(op, &faults[i], a, w);
            return;
        }
    want_fail(w, E_INTERNAL,
              str_eq(word, STR("tools"))
                  ? STR("this needs GNU find, which the sandbox lacks")
                  : STR("the sandbox could not run the file tools"));
}

/* ---- what is asked ---- */

struct filesystem_state {
    struct proto_head head;
};

/* A path as the script takes it; *clean (may be NULL) gets it cleaned. */
static bool expand(struct op *op, struct str path, struct str *out,
                   struct str *clean, struct want *w)
{
    const struct filesystem_state *state = op->state;
    const struct conf_template *t = proto_template(op);
    struct str fault;

    *out = path_expand(path, t ? t->workdir : STR(""), state->head.user,
                       op->arena, &fault);
    if (fault.p) {
        want_fail(w, E_INVALID, fault);
        return false;
    }
    if (clean)
        *clean = path_clean(*out, op->arena);
    if (out->p && (!clean || clean->p))
        return true;
    want_fail(w, E_NOMEM, STR_NONE);
    return false;
}

/* What rm would not do, or should not.  Source: e2b-data-plane.md 3.2 */
static bool may_remove(struct op *op, struct str given, struct str path,
                       struct want *w)
{
    if (given.n == 0) {
        want_fail(w, E_INVALID, STR("path must not be empty"));
        return false;
    }
    if (!str_ends(path, STR("/.")) && !str_ends(path, STR("/..")))
        return true;
    want_fail(w, E_INTERNAL,
              arena_text(op->arena,
                         "error removing file or directory: RemoveAll %.*s: "
                         "invalid argument",
                         STR_FMT(path)));
    return false;
}

/* The script's arguments out of the message. */
static bool read_arguments(struct op *op, struct proto *p,
                           struct str args[PATHS_MAX], unsigned *count,
                           struct want *w)
{
    enum filesystem what = (enum filesystem)op->row->variant;
    bool move = what == FILESYSTEM_MOVE;
    struct str path = proto_text(p, p->message, move ? "source" : "path", NULL);
    struct str destination = STR_NONE;
    uint32_t depth = 0;

    if (move)
        destination = proto_text(p, p->message, "destination", NULL);
    if (what == FILESYSTEM_LIST_DIR)
        depth = proto_u32(p, p->message, "depth", NULL);
    if (!proto_close(p, w))
        return false;
    *count = 1;
    if (!expand(op, path, &args[0],
                what == FILESYSTEM_MAKE_DIR ? &args[1] : NULL, w))
        return false;
    if (what == FILESYSTEM_REMOVE)
        return may_remove(op, path, args[0], w);
    if (what == FILESYSTEM_MAKE_DIR)
        *count = 2;
    if (what == FILESYSTEM_LIST_DIR) {
        *count = 2;
        args[1] = arena_text(op->arena, "%u",
                             depth == 0          ? 1
                             : depth > DEPTH_MAX ? DEPTH_MAX
                                                 : depth);
    }
    if (!move)
        return true;
    *count = 3;
    return expand(op, destination, &args[1], &args[2], w);
}

static void begin(struct op *op, struct want *want)
{
    struct filesystem_state *state = arena_new_zero(op->arena, sizeof(*state));

    op->state = state;
    if (!state)
        want_fail(want, E_NOMEM, STR_NONE);
    else if (proto_head(op, false, &state->head, want))
        want->kind = WANT_BODY;
}

static void ask(struct op *op, struct str body, struct want *want)
{
    const struct filesystem_state *state = op->state;
    struct str args[PATHS_MAX] = {STR_NONE};
    struct guest_script script = {
        .text = scripts[op->row->variant],
        .user = state->head.user,
        .args = args,
        .limit = ANSWER_MAX,
        .limit_s = LIMIT_S,
    };
    struct proto p;

    if (proto_open(op, false, body, &p, want) &&
        read_arguments(op, &p, args, &script.count, want))
        guest_call(op, &script, want);
}

/* ---- what is answered ---- */

/* Source: e2b-data-plane.md 3.5 */
static bool is_legacy(const struct op *op)
{
    return str_eq(fields_get(&op->in.head->fields, STR("User-Agent")),
                  STR("connect-python"));
}

static void put_entries(struct buf *b, struct op *op, struct str root,
                        const struct entries *all)
{
    struct buf path;

    buf_init(&path, 1 << 20);
    for (unsigned i = 0; i < all->count; i++) {
        buf_empty(&path);
        buf_put(&path, root);
        if (!str_ends(root, STR("/")))
            buf_byte(&path, '/');
        buf_put(&path, all->at[i].path);
        buf_put(b, i ? STR(",") : STR("\"entries\":["));
        entry_put(b, all, &all->at[i], buf_str(&path), is_legacy(op));
    }
    if (all->count)
        buf_byte(b, ']');
    b->failed = b->failed || path.failed;
    buf_clear(&path);
}

MUST_USE static enum err put_answer(struct buf *b, struct op *op,
                                    struct guest_answer *a)
{
    struct str path = guest_field(a);
    struct entries all;
    enum err err;

    buf_byte(b, '{');
    if (op->row->variant != FILESYSTEM_REMOVE) {
        err = path.p ? entry_read(a, op->scratch, &all) : E_BACKEND_GARBAGE;
        if (err != E_OK)
            return err;
    }
    if (op->row->variant == FILESYSTEM_LIST_DIR) {
        struct str root = path_clean(path, op->scratch);

        if (!root.p)
            return E_NOMEM;
        put_entries(b, op, root, &all);
    } else if (op->row->variant != FILESYSTEM_REMOVE) {
        if (all.count != 1)
            return E_BACKEND_GARBAGE;
        buf_put(b, STR("\"entry\":"));
        entry_put(b, &all, &all.at[0], path, is_legacy(op));
    }
    buf_byte(b, '}');
    return b->failed ? E_NOMEM : E_OK;
}

static void say(struct op *op, struct str body, struct want *want)
{
    struct fields fields = {0};
    enum err err = fields_add(&fields, op->arena, STR("Content-Type"),
                              STR("application/json"));

    if (err == E_OK && is_legacy(op))
        err = fields_add(&fields, op->arena, STR("X-E2b-Legacy-Sdk"),
                         STR("true"));
    if (err != E_OK || !body.p)
        want_fail(want, E_NOMEM, STR_NONE);
    else
        want_answer(op, want, 200, &fields, body);
}

static void answer(struct op *op, const struct op_event *event,
                   struct want *want)
{
    struct guest_answer a;
    struct str word;
    struct buf b;
    enum err err;

    if (!guest_read(op, event, &a, want))
        return;
    buf_init(&b, TELL_MAX);
    word = guest_field(&a);
    if (!str_eq(word, STR("ok"))) {
        fail_word(op, word, &a, want);
    } else {
        err = put_answer(&b, op, &a);
        if (err == E_OK)
            say(op, arena_copy(op->scratch, buf_str(&b)), want);
        else
            want_fail(want, err, STR_NONE);
    }
    buf_clear(&b);
    guest_clear(&a);
}

void filesystem_hear(struct op *op, const struct op_event *event,
                     struct want *want)
{
    if (event->kind == OP_BEGIN)
        begin(op, want);
    else if (event->kind == OP_BODY)
        ask(op, event->bytes, want);
    else
        answer(op, event, want);
}
