/* kernel.c - see kernel.h.
 *
 * Our own cells are one statement each: exec() of a program that comes as
 * base64, with its arguments as JSON inside, in a namespace of its own.  So
 * no text of a caller stands in code, nothing is left among the caller's
 * variables, and no run's line numbers or cell magic are disturbed.  Each
 * takes itself out of the kernel's history and count, so that the caller's
 * cells are numbered as they expect. */
#include "translate/kernel.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"

/* The server's ceiling: a cell runs until its client leaves. */
#define CEILING_S 86400
#define OWN_S 60
#define CELL_MAX (64 << 20)

/* Python.  G holds the arguments. */
static const char hide[] =
    "try:\n"
    "    from IPython import get_ipython\n"
    "    I = get_ipython()\n"
    "    H = I.history_manager\n"
    "    H.enabled = False\n"
    "    for L in (H.input_hist_parsed, H.input_hist_raw):\n"
    "        del L[-1]\n"
    "    I.execution_count -= 1\n"
    "except Exception:\n"
    "    pass\n";

/* Source of the dup2: what a cell's child prints is also copied to the
 * descriptor that the kernel's driver speaks JSON on.  Of tame(): the kernel
 * gathers output for 0.2 s into one message, and one of more than 4 MiB ends
 * the run without a word. */
static const char prepare[] =
    "import os, sys\n"
    "for S in (sys.stdout, sys.stderr):\n"
    "    try:\n"
    "        os.dup2(os.open(os.devnull, os.O_WRONLY),\n"
    "                S._original_stdstream_copy)\n"
    "    except Exception:\n"
    "        pass\n"
    "def tame(S, most=262144):\n"
    "    write, flush, held = S.write, S.flush, [0]\n"
    "    def write_parts(text):\n"
    "        if not isinstance(text, str):\n"
    "            return write(text)\n"
    "        for at in range(0, len(text), most):\n"
    "            part = text[at:at + most]\n"
    "            write(part)\n"
    "            held[0] += len(part)\n"
    "            if held[0] >= most:\n"
    "                held[0] = 0\n"
    "                flush()\n"
    "        return len(text)\n"
    "    S.write = write_parts\n"
    "for S in (sys.stdout, sys.stderr):\n"
    "    try:\n"
    "        tame(S)\n"
    "    except Exception:\n"
    "        pass\n"
    "os.environ.update(G['envs'])\n"
    "try:\n"
    "    import pwd\n"
    "    if os.environ.get('HOME', '/') == '/':\n"
    "        os.environ['HOME'] = pwd.getpwuid(os.getuid()).pw_dir\n"
    "    D = G['workdir']\n"
    "    if not D:\n"
    "        D = pwd.getpwnam(G['user']).pw_dir\n"
    "    os.chdir(D)\n"
    "    if sys.path and sys.path[0] != '':\n"
    "        sys.path.insert(0, '')\n"
    "except Exception:\n"
    "    pass\n"
    "try:\n"
    "    from ipykernel.kernelbase import StdinNotImplementedError\n"
    "    def no_input(*a, **k):\n"
    "        raise StdinNotImplementedError(\n"
    "            'raw_input was called, but this frontend does not support '\n"
    "            'input requests.')\n"
    "    I.kernel.raw_input = I.kernel.getpass = no_input\n"
    "except Exception:\n"
    "    pass\n"
    "print('\\x1e%d' % os.getpid(), flush=True)\n";

static const char set[] =
    "import os, sys\n"
    "sys._sandgate_envs = {k: os.environ.get(k) for k in G}\n"
    "os.environ.update(G)\n";

static const char undo[] =
    "import os, sys\n"
    "for k, v in getattr(sys, '_sandgate_envs', {}).items():\n"
    "    if v is None:\n"
    "        os.environ.pop(k, None)\n"
    "    else:\n"
    "        os.environ[k] = v\n"
    "sys._sandgate_envs = {}\n";

/* The call's body around code. */
static struct str body(struct str code, int timeout_s, struct arena *a)
{
    struct buf json, frame;
    struct str out;

    buf_init(&json, CELL_MAX);
    buf_init(&frame, CELL_MAX + ENVELOPE_HEAD);
    buf_put(&json, STR("{\"code\":"));
    json_write_text(&json, code, false, false);
    buf_text(&json, ",\"timeoutSeconds\":%d}", timeout_s);
    envelope_put(&frame, 0, buf_str(&json));
    out =
        json.failed || frame.failed ? STR_NONE : arena_copy(a, buf_str(&frame));
    buf_clear(&frame);
    buf_clear(&json);
    return out;
}

struct str kernel_cell(struct str code, struct arena *a)
{
    return body(code, CEILING_S, a);
}

/* One of our own cells: G = arguments, then program. */
static struct str own(const char *program, struct str arguments,
                      struct arena *a)
{
    struct buf source, cell;
    struct str out = STR_NONE;

    buf_init(&source, CELL_MAX);
    buf_init(&cell, 2 * CELL_MAX);
    buf_put(&source, STR("import base64, json\nG = json.loads(base64.b64decode("
                         "'"));
    encode_base64(&source, arguments);
    buf_put(&source, STR("'))\n"));
    buf_put(&source, str_of(hide));
    buf_put(&source, str_of(program));
    buf_put(&cell, STR("exec(__import__('base64').b64decode('"));
    encode_base64(&cell, buf_str(&source));
    buf_put(&cell, STR("'), {})"));
    if (!source.failed && !cell.failed)
        out = body(buf_str(&cell), OWN_S, a);
    buf_clear(&cell);
    buf_clear(&source);
    return out;
}

static void put_member(struct buf *b, const char *name, struct str value)
{
    buf_text(b, ",\"%s\":", name);
    json_write_text(b, value, true, false);
}

struct str kernel_prelude(const struct sandbox *s,
                          const struct conf_template *t, struct arena *a)
{
    struct buf b;
    struct str out = STR_NONE;
    json_t *envs;

    if (json_read(s->envs, &json_limits_api, &envs))
        return STR_NONE;
    /* Over what a caller gave at create: those names are ours. */
    (void)json_object_set_new(envs, "E2B_SANDBOX", json_string("true"));
    (void)json_object_set_new(envs, "E2B_SANDBOX_ID",
                              json_stringn(s->id.p, s->id.n));
    (void)json_object_set_new(envs, "E2B_TEMPLATE_ID",
                              json_stringn(s->template_id.p, s->template_id.n));
    buf_init(&b, 4 << 20);
    buf_put(&b, STR("{\"envs\":"));
    json_write_ascii(&b, envs);
    put_member(&b, "workdir", t ? t->workdir : STR(""));
    put_member(&b, "user", t && t->user.n ? t->user : STR("user"));
    buf_byte(&b, '}');
    json_decref(envs);
    if (!b.failed)
        out = own(prepare, buf_str(&b), a);
    buf_clear(&b);
    return out;
}

struct str kernel_set(struct str envs, struct arena *a)
{
    return own(set, envs, a);
}

struct str kernel_undo(struct arena *a)
{
    return own(undo, STR("{}"), a);
}

uint32_t kernel_pid(struct str output)
{
    struct str digits = str_after(output, str_find(output, '\036') + 1);
    uint64_t pid = 0;

    digits = str_from(digits.p, str_find(digits, '\n'));
    return str_u64(digits, UINT32_MAX, &pid) ? (uint32_t)pid : 0;
}
