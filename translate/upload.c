/* upload.c - POST /files: one file raw, or many as multipart, streamed.
 *
 * Each file goes three ways: a script finds its place (parents are made), the
 * bytes go to a temporary name beside it by WriteFile, a script puts them in
 * place.  So nobody sees half a file; an existing one keeps inode and mode.
 * Source: e2b-data-plane.md 4.3, mitos-sandbox-server.md 2.5, 5.2. */
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/files.h"
#include "translate/inflate.h"
#include "translate/multipart.h"
#include "translate/ops.h"
#include "translate/path.h"

#define HELD_MAX (1U << 20)   /* bytes of the body that wait for a script */
#define DATA_MAX (256U << 10) /* raw bytes of one frame upstream */
#define FILES_MAX 1000        /* of one request */

static const char place[] =
    "absolute \"$1\"\n"
    "[ -d \"$p\" ] && fail dir \"$p\"\n"
    "case $p in */) fail dir \"$p\";; esac\n"
    "t=$p\n"
    "[ -L \"$p\" ] && t=$(readlink -m -- \"$p\")\n"
    "d=$(readlink -m -- \"${t%/*}/\") || fail mkdir \"$p\" \"invalid\"\n"
    "make_dirs \"$d\"\n"
    "t=${d%/}/${t##*/} x=new\n"
    "[ -e \"$t\" ] && x=old\n"
    "[ $x = new ] || [ -f \"$t\" ] || fail special \"$p\"\n"
    "say ok \"$p\" \"${d%/}/.sandgate-$2\" \"$t\" $x\n";

static const char settle[] =
    "s=$(stat -c %s -- \"$1\" 2>/dev/null)\n"
    "[ \"$s\" = \"$4\" ] || { rm -f -- \"$1\"; fail space; }\n"
    "if [ \"$3\" = new ]; then\n"
    "  why chown -- \"$uid:$gid\" \"$1\" && why chmod 644 -- \"$1\" &&\n"
    "  why mv -fT -- \"$1\" \"$2\" || { rm -f -- \"$1\"; fail move \"$e\"; }\n"
    "else\n"
    "  why cp -- \"$1\" \"$2\" && why chown -- \"$uid:$gid\" \"$2\" ||\n"
    "  { rm -f -- \"$1\"; fail move \"$e\"; }\n"
    "  rm -f -- \"$1\"\n"
    "fi\n"
    "say ok\n";

static const char discard[] = "rm -f -- \"$1\"\nsay ok\n";

enum step {
    U_READ,    /* look at what is held */
    U_PLACE,   /* the first script runs */
    U_DATA,    /* WriteFile takes pieces */
    U_WRITTEN, /* its answer is awaited */
    U_SETTLE,  /* the second script runs */
    U_DISCARD  /* the temporary file is removed, then it fails or ends */
};

struct upload {
    struct files_target target;
    enum step step;
    bool multipart, over; /* over: the closing boundary */
    bool client_ended;
    bool in_part;   /* the bytes that come belong to a file */
    bool part_done; /* its last byte has been seen */
    struct multipart parser;
    struct inflate *inflate;           /* owned; NULL: not compressed */
    struct buf raw;                    /* compressed bytes that wait */
    struct buf plain;                  /* bytes of the body that wait */
    struct buf frame;                  /* what is sent upstream */
    struct str told, temporary, final; /* of the present file */
    struct str how;                    /* "new" or "old" */
    uint64_t written;                  /* bytes of the present file */
    uint64_t total;                    /* bytes of all files */
    struct str done[FILES_MAX];        /* where files went */
    unsigned count;
    enum err why; /* U_DISCARD: the failure that follows */
    struct str detail;
    bool gone; /* the client has left: say nothing */
};

static void advance(struct op *op, struct upload *u, struct want *w);

static void drop(struct op *op)
{
    struct upload *u = op->state;

    inflate_free(&u->inflate);
    buf_clear(&u->raw);
    buf_clear(&u->plain);
    buf_clear(&u->frame);
}

static void run(struct op *op, const char *text, const struct str *args,
                unsigned count, struct want *w)
{
    struct upload *u = op->state;

    guest_call(op,
               &(struct guest_script){.text = text,
                                      .user = u->target.user,
                                      .args = args,
                                      .count = count,
                                      .limit = 64 << 10,
                                      .limit_s = 120},
               w);
    if (w->kind == WANT_FAIL && w->err == E_INVALID)
        w->err = E_BAD_REQUEST;
}

/* Fail, but first remove what was begun. */
static void fail(struct op *op, struct upload *u, enum err err,
                 struct str detail, struct want *w)
{
    memset(w, 0, sizeof(*w));
    if (u->step != U_DATA && u->step != U_WRITTEN) {
        want_fail(w, err, detail);
        return;
    }
    u->step = U_DISCARD;
    u->why = err;
    u->detail = detail;
    run(op, discard, &u->temporary, 1, w);
}

/* ---- the head ---- */

static bool read_coding(struct op *op, struct upload *u, struct want *w)
{
    struct str coding =
        fields_get(&op->in.head->fields, STR("Content-Encoding"));
    enum err err;

    if (!coding.p || coding.n == 0 || str_ieq(coding, STR("identity")))
        return true;
    if (!str_ieq(coding, STR("gzip"))) {
        files_fail(op, w, E_BAD_REQUEST,
                   "error decompressing request body: unsupported "
                   "Content-Encoding: %.*s, supported: [gzip]",
                   STR_FMT(coding));
        return false;
    }
    err = inflate_new(&u->inflate);
    if (err != E_OK)
        want_fail(w, err, STR_NONE);
    return err == E_OK;
}

static bool read_type(struct op *op, struct upload *u, struct want *w)
{
    struct str type = fields_get(&op->in.head->fields, STR("Content-Type"));
    struct str kind =
        str_trim(str_from(type.p, type.p ? str_find(type, ';') : 0));

    if (str_ieq(kind, STR("application/octet-stream"))) {
        if (u->target.path.p && u->target.path.n)
            return true;
        want_fail(w, E_BAD_REQUEST,
                  STR("path query parameter is required for raw body upload"));
        return false;
    }
    u->multipart = true;
    if (kind.n > 10 && str_istarts(kind, STR("multipart/"))) {
        if (multipart_init(&u->parser, type))
            return true;
        want_fail(w, E_INTERNAL,
                  STR("error parsing multipart form: no multipart boundary "
                      "param in Content-Type"));
        return false;
    }
    files_fail(op, w, E_BAD_REQUEST,
               "unsupported content type: %.*s, expected multipart/form-data "
               "or application/octet-stream",
               STR_FMT(type));
    return false;
}

static void begin_file(struct op *op, struct upload *u, struct str path,
                       struct want *w)
{
    char tag[17];
    struct str args[2];

    args[0] = files_expand(op, &u->target, path, w);
    if (!args[0].p)
        return;
    encode_hex(op->in.random, 8, tag);
    args[1] = arena_text(op->arena, "%s%u", tag, u->count);
    u->in_part = true;
    u->part_done = false;
    u->written = 0;
    u->step = U_PLACE;
    run(op, place, args, 2, w);
}

static void begin(struct op *op, struct want *w)
{
    struct upload *u = arena_new_zero(op->arena, sizeof(*u));
    int64_t most = op->in.conf->files_max_bytes;

    if (!u) {
        want_fail(w, E_NOMEM, STR_NONE);
        return;
    }
    op->state = u;
    op->drop = drop;
    buf_init(&u->raw, HELD_MAX);
    buf_init(&u->plain, HELD_MAX);
    buf_init(&u->frame, 2 * DATA_MAX);
    if (!files_target(op, &u->target, w) || !read_coding(op, u, w) ||
        !read_type(op, u, w))
        return;
    if (most > 0 && op->in.head->length > most && !u->multipart)
        want_fail(w, E_TOO_BIG, STR_NONE);
    else if (u->multipart)
        want_next(w, FROM_CLIENT);
    else
        begin_file(op, u, u->target.path, w);
}

/* ---- scripts ---- */

static void placed(struct op *op, struct upload *u,
                   const struct op_event *event, struct want *w)
{
    struct guest_answer a;
    struct str word, path, said;

    if (!files_read(op, event, &u->target, &a, w))
        return;
    word = guest_field(&a);
    path = guest_field(&a);
    said = guest_field(&a);
    if (str_eq(word, STR("dir"))) {
        files_fail(op, w, E_BAD_REQUEST, "path is a directory: %.*s",
                   STR_FMT(path));
    } else if (str_eq(word, STR("special"))) {
        files_fail(op, w, E_BAD_REQUEST, "path is not a regular file: %.*s",
                   STR_FMT(path));
    } else if (str_eq(word, STR("file"))) {
        files_fail(op, w, E_INTERNAL,
                   "error ensuring directories: %.*s is not a directory",
                   STR_FMT(path));
    } else if (str_eq(word, STR("mkdir")) || str_eq(word, STR("chown"))) {
        struct str why = guest_why(said, op->arena);

        files_fail(op, w,
                   str_eq(why, STR("no space left on device")) ? E_NO_SPACE
                                                               : E_INTERNAL,
                   "error ensuring directories: mkdir %.*s: %.*s",
                   STR_FMT(path), STR_FMT(why));
    } else if (!str_eq(word, STR("ok"))) {
        want_fail(w, E_BACKEND_GARBAGE, STR_NONE);
    } else {
        struct buf json;

        u->told = arena_copy(op->arena, path);
        u->temporary = arena_copy(op->arena, said);
        u->final = arena_copy(op->arena, guest_field(&a));
        u->how = str_eq(guest_field(&a), STR("old")) ? STR("old") : STR("new");
        buf_init(&json, 64 << 10);
        buf_put(&json, STR("{\"open\":{\"path\":"));
        json_write_text(&json, u->temporary, false, false);
        buf_put(&json, STR(",\"mode\":420}}"));
        buf_empty(&u->frame);
        envelope_put(&u->frame, 0, buf_str(&json));
        w->kind = WANT_CALL;
        w->call.method = STR("WriteFile");
        w->call.stream = true;
        w->call.body = buf_str(&u->frame);
        w->call.send = true;
        w->call.collect = true;
        w->call.limit = 64 << 10;
        u->step = U_DATA;
        if (json.failed || u->frame.failed || !u->told.p || !u->temporary.p ||
            !u->final.p)
            want_fail(w, E_NOMEM, STR_NONE);
        buf_clear(&json);
    }
    guest_clear(&a);
}

/* WriteFile has answered: the result and the end frame. */
static void written(struct op *op, struct upload *u,
                    const struct op_event *event, struct want *w)
{
    struct envelope_reader reader;
    struct str bytes = event->bytes, payload, args[4];
    bool whole = true;
    unsigned flags;
    struct files_frame frame = {.err = E_OK};
    enum err err = event->err;

    envelope_init(&reader, 64 << 10);
    if (err == E_OK && event->status != 200)
        err = E_BACKEND_GARBAGE;
    while (err == E_OK && whole && !frame.end) {
        err = envelope_next(&reader, &bytes, &whole, &flags, &payload);
        if (err == E_OK && whole && !files_frame(flags, payload, &frame))
            err = E_BACKEND_GARBAGE;
    }
    envelope_clear(&reader);
    if (err == E_OK)
        err = frame.end ? frame.err : E_BACKEND_GARBAGE;
    if (err == E_OK && u->step != U_WRITTEN)
        err = E_BACKEND_GARBAGE; /* done before all was sent */
    if (err != E_OK) {
        fail(op, u, err, STR_NONE, w);
        return;
    }
    args[0] = u->temporary;
    args[1] = u->final;
    args[2] = u->how;
    args[3] = arena_text(op->scratch, "%llu", (unsigned long long)u->written);
    run(op, settle, args, 4, w);
    if (w->kind == WANT_CALL)
        u->step = U_SETTLE;
}

static void settled(struct op *op, struct upload *u,
                    const struct op_event *event, struct want *w)
{
    struct guest_answer a;
    struct str word, why;

    if (!files_read(op, event, &u->target, &a, w))
        return;
    word = guest_field(&a);
    why = str_eq(word, STR("move")) ? guest_why(guest_field(&a), op->arena)
                                    : STR_NONE;
    if (str_eq(word, STR("space")) ||
        str_eq(why, STR("no space left on device"))) {
        files_fail(op, w, E_NO_SPACE,
                   "attempted to write %llu bytes: not enough disk space "
                   "available",
                   (unsigned long long)u->written);
    } else if (why.p) {
        files_fail(op, w, E_INTERNAL, "error opening file: open %.*s: %.*s",
                   STR_FMT(u->told), STR_FMT(why));
    } else if (!str_eq(word, STR("ok"))) {
        want_fail(w, E_BACKEND_GARBAGE, STR_NONE);
    } else {
        u->done[u->count++] = u->told;
        u->in_part = false;
        u->step = U_READ;
        advance(op, u, w);
    }
    guest_clear(&a);
}

/* ---- the body ---- */

static void finish(struct op *op, struct upload *u, struct want *w)
{
    struct buf b;

    buf_init(&b, 16 << 20);
    buf_byte(&b, '[');
    for (unsigned i = 0; i < u->count; i++) {
        buf_put(&b, i ? STR(",{\"name\":") : STR("{\"name\":"));
        json_write_text(&b, path_name(u->done[i]), false, false);
        buf_put(&b, STR(",\"path\":"));
        json_write_text(&b, u->done[i], false, false);
        buf_put(&b, STR(",\"type\":\"file\"}"));
    }
    buf_byte(&b, ']');
    want_json_take(op, w, 200, &b);
}

/* Unpack into plain while there is room. */
MUST_USE static enum err unpack(struct upload *u)
{
    struct str in = buf_str(&u->raw);
    size_t had = in.n, before = buf_len(&u->plain);
    enum err err = E_OK;

    while (err == E_OK && buf_len(&u->plain) + (64U << 10) <= DATA_MAX) {
        size_t made = buf_len(&u->plain), left = in.n;

        err = inflate_next(u->inflate, &in, &u->plain);
        if (buf_len(&u->plain) == made && in.n == left)
            break;
    }
    buf_drop(&u->raw, had - in.n);
    if (err == E_OK && u->client_ended && buf_len(&u->raw) == 0 &&
        buf_len(&u->plain) == before && !inflate_complete(u->inflate))
        return E_CUT;
    return err;
}

/* Does nothing more come into plain? */
static bool plain_is_last(const struct upload *u)
{
    return u->client_ended && (!u->inflate || buf_len(&u->raw) == 0);
}

static void put_data(struct buf *frame, struct str bytes)
{
    buf_empty(frame);
    envelope_put_head(frame, 0, 11 + ENCODE_BASE64_LEN(bytes.n));
    buf_put(frame, STR("{\"data\":\""));
    encode_base64(frame, bytes);
    buf_put(frame, STR("\"}"));
}

/* Send bytes of the present file, and the end of it. */
static void send(struct op *op, struct upload *u, struct str bytes, bool end,
                 struct want *w)
{
    int64_t most = op->in.conf->files_max_bytes;

    u->written += bytes.n;
    u->total += bytes.n;
    if (most > 0 && u->written > (uint64_t)most) {
        fail(op, u, E_TOO_BIG, STR_NONE, w);
        return;
    }
    buf_empty(&u->frame);
    if (bytes.n)
        put_data(&u->frame, bytes);
    if (u->frame.failed) {
        fail(op, u, E_NOMEM, STR_NONE, w);
        return;
    }
    w->kind = WANT_SEND;
    w->send = buf_str(&u->frame);
    w->send_end = end;
    w->from = end ? FROM_CALL : 0;
    if (end)
        u->step = U_WRITTEN;
}

static void part(struct op *op, struct upload *u,
                 const struct multipart_event *event, struct want *w)
{
    struct str path = u->target.path;

    if (!event->form_data || !str_eq(event->name, STR("file"))) {
        u->in_part = false;
        return; /* its bytes are passed over */
    }
    if (!path.p || path.n == 0)
        path = event->filename.p ? event->filename : STR("");
    if (u->count == FILES_MAX) {
        files_fail(op, w, E_BAD_REQUEST, "more than %d files in one request",
                   FILES_MAX);
        return;
    }
    begin_file(op, u, path, w);
}

/* A second part for a path that this request has written. */
static bool twice(struct op *op, struct upload *u, struct want *w)
{
    for (unsigned i = 0; i < u->count; i++)
        if (str_eq(u->done[i], u->told)) {
            struct buf b;

            buf_init(&b, 8192);
            for (unsigned n = 0; n < u->count; n++)
                if (n != i)
                    buf_text(&b, "%s%.*s",
                             buf_len(&b) ? ", "
                                         : ", also the following files were "
                                           "uploaded: ",
                             STR_FMT(u->done[n]));
            files_fail(op, w, E_BAD_REQUEST,
                       "you cannot upload multiple files to the same path "
                       "'%.*s' in one upload request, only the first "
                       "specified file was uploaded%.*s",
                       STR_FMT(u->told), STR_FMT(buf_str(&b)));
            buf_clear(&b);
            return true;
        }
    return false;
}

/* One step of a multipart body; false: *w is what is wanted now. */
static bool step_multipart(struct op *op, struct upload *u, struct want *w)
{
    struct multipart_event event;
    struct str view = buf_str(&u->plain);
    size_t used;
    enum err err = multipart_next(&u->parser, view, plain_is_last(u), op->arena,
                                  &used, &event);

    if (view.n > DATA_MAX && event.kind == MULTIPART_DATA &&
        event.data.n > DATA_MAX) {
        event.data.n = DATA_MAX;
        used = DATA_MAX;
    }
    if (err != E_OK) {
        fail(op, u, err == E_NOMEM ? err : E_INTERNAL,
             u->in_part ? STR("error writing file: unexpected EOF")
                        : STR("error reading form: multipart: NextPart: EOF"),
             w);
        return false;
    }
    switch (event.kind) {
    case MULTIPART_PART:
        part(op, u, &event, w);
        break;
    case MULTIPART_DATA:
        if (u->in_part)
            send(op, u, event.data, false, w);
        break;
    case MULTIPART_LAST:
        if (u->in_part)
            send(op, u, STR_NONE, true, w);
        break;
    case MULTIPART_END:
        u->over = true;
        break;
    case MULTIPART_MORE:
        if (used == 0)
            want_next(w, FROM_CLIENT | FROM_CALL);
        break;
    }
    buf_drop(&u->plain, used);
    /* WANT_NEXT is zero: what was wanted shows by its other members. */
    return w->kind == WANT_NEXT && w->from == 0 && !op->answered;
}

static bool step_raw(struct op *op, struct upload *u, struct want *w)
{
    struct str view = buf_str(&u->plain);

    if (view.n > DATA_MAX)
        view.n = DATA_MAX;
    if (view.n) {
        send(op, u, view, false, w);
        buf_drop(&u->plain, view.n);
    } else if (plain_is_last(u)) {
        send(op, u, STR_NONE, true, w);
    } else {
        want_next(w, FROM_CLIENT | FROM_CALL);
    }
    return false;
}

/* Go on with what is held until something outside is needed. */
static void advance(struct op *op, struct upload *u, struct want *w)
{
    bool more = true;

    while (more) {
        if (u->over || (!u->multipart && u->count)) {
            if (u->client_ended)
                finish(op, u, w);
            else
                want_next(w, FROM_CLIENT); /* an epilogue */
            return;
        }
        if (u->inflate) {
            enum err err = unpack(u);

            if (err != E_OK) {
                fail(op, u,
                     err == E_CUT           ? E_INTERNAL
                     : err == E_BAD_REQUEST ? E_BAD_REQUEST
                                            : err,
                     err == E_CUT ? STR("error writing file: unexpected EOF")
                     : err == E_BAD_REQUEST
                         ? STR("error decompressing request body: gzip: "
                               "invalid data")
                         : STR_NONE,
                     w);
                return;
            }
        }
        more = u->multipart ? step_multipart(op, u, w) : step_raw(op, u, w);
    }
}

/* The client's bytes and their end, in whatever step. */
static void client(struct op *op, struct upload *u,
                   const struct op_event *event, struct want *w)
{
    struct buf *into = u->inflate ? &u->raw : &u->plain;

    if (event->kind == OP_CLIENT_END)
        u->client_ended = true;
    else if (u->over)
        buf_empty(into);
    else
        buf_put(into, event->bytes);
    if (into->failed)
        fail(op, u, E_NOMEM, STR_NONE, w);
    else if (u->step == U_READ || u->step == U_DATA)
        advance(op, u, w);
    else
        want_next(w, FROM_CALL);
}

static void answered(struct op *op, struct upload *u,
                     const struct op_event *event, struct want *w)
{
    switch (u->step) {
    case U_PLACE:
        placed(op, u, event, w);
        if (w->kind == WANT_CALL && twice(op, u, w))
            u->step = U_READ;
        break;
    case U_DATA:
    case U_WRITTEN:
        written(op, u, event, w);
        break;
    case U_SETTLE:
        settled(op, u, event, w);
        break;
    case U_DISCARD:
        if (u->gone)
            w->kind = WANT_DONE;
        else
            want_fail(w, u->why, u->detail);
        break;
    case U_READ:
        want_fail(w, E_INTERNAL, STR_NONE);
        break;
    }
}

void files_post_hear(struct op *op, const struct op_event *event,
                     struct want *w)
{
    struct upload *u = op->state;

    switch (event->kind) {
    case OP_BEGIN:
        begin(op, w);
        break;
    case OP_CLIENT_PIECE:
    case OP_CLIENT_END:
        client(op, u, event, w);
        break;
    case OP_ANSWER:
        answered(op, u, event, w);
        break;
    case OP_ROOM:
        advance(op, u, w);
        break;
    case OP_CLIENT_GONE:
        /* What was begun is removed; nobody is left to be told. */
        if (!u || u->step == U_SETTLE || u->step == U_DISCARD) {
            want_next(w, FROM_CALL);
            if (u)
                u->gone = true;
            break;
        }
        fail(op, u, E_GONE_CLIENT, STR_NONE, w);
        u->gone = true;
        if (w->kind == WANT_FAIL)
            w->kind = WANT_DONE;
        break;
    case OP_CUT:
        fail(op, u, event->err, STR_NONE, w);
        break;
    case OP_BODY:
    case OP_HEAD:
    case OP_PIECE:
    case OP_END:
    case OP_RESULT:
    case OP_TIME:
        want_next(w, FROM_CLIENT | FROM_CALL);
        break;
    }
}
