/* download.c - GET /files: a file of the sandbox, streamed. */
#include <time.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/files.h"
#include "translate/ops.h"
#include "translate/path.h"

#define FRAME_MAX (8U << 20) /* a frame of the sandbox server: 32 KiB */

static const char look[] =
    "absolute \"$1\"\n"
    /* It may come to be between the two looks. */
    "until i=$(stat -L -c '%s %Y' -- \"$p\" 2>/dev/null); do\n"
    "  why stat -L -- \"$p\" || fail stat \"$p\" \"$e\"\n"
    "done\n"
    "[ -d \"$p\" ] && fail dir \"$p\"\n"
    "[ -f \"$p\" ] || fail special \"$p\"\n"
    "say ok \"$p\" \"${i% *}\" \"${i#* }\"\n";

struct download {
    struct files_target target;
    enum { LOOK, OPEN, FLOW } step;
    struct str path; /* absolute, as it is told */
    int64_t size;    /* 0: empty, or of no size (/proc) */
    int64_t first;   /* of the range, or 0 */
    int64_t last;    /* of the range */
    int64_t left;    /* bytes still to be said; -1: up to the end */
    int64_t seen;    /* bytes of the file that have come */
    bool ranged, headed;
    char date[40]; /* Last-Modified */
    struct envelope_reader reader;
    struct buf out; /* what the present piece gave */
};

static void drop(struct op *op)
{
    struct download *d = op->state;

    envelope_clear(&d->reader);
    buf_clear(&d->out);
}

/* ---- the head ---- */

static const struct {
    const char *end, *type;
} types[] = {
    {".txt", "text/plain; charset=utf-8"},
    {".log", "text/plain; charset=utf-8"},
    {".md", "text/markdown; charset=utf-8"},
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".py", "text/x-python; charset=utf-8"},
    {".xml", "text/xml; charset=utf-8"},
    {".json", "application/json"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
    {".gz", "application/gzip"},
    {".tar", "application/x-tar"},
    {".wasm", "application/wasm"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".svg", "image/svg+xml"},
    {".webp", "image/webp"},
    {".mp4", "video/mp4"},
    {".mp3", "audio/mpeg"},
};

static struct str content_type(struct str name)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct str end = str_of(types[i].end);

        if (name.n > end.n && str_ieq(str_after(name, name.n - end.n), end))
            return str_of(types[i].type);
    }
    return STR("application/octet-stream");
}

/* Source: RFC 6266 4, RFC 8187; forms as in e2b-data-plane.md 4.2. */
static struct str content_disposition(struct str name, struct arena *a)
{
    static const char token[] = "!#$%&'*+-.^_`|~";
    bool plain = true, ascii = true;
    struct buf b;
    struct str out;

    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                      (c >= 'a' && c <= 'z');

        plain = plain && (letter || (c && strchr(token, c)));
        ascii = ascii && c >= 0x20 && c < 0x7f;
    }
    buf_init(&b, 4096);
    if (plain) {
        buf_put(&b, STR("inline; filename="));
        buf_put(&b, name);
    } else if (ascii) {
        buf_put(&b, STR("inline; filename=\""));
        for (size_t i = 0; i < name.n; i++) {
            if (name.p[i] == '"' || name.p[i] == '\\')
                buf_byte(&b, '\\');
            buf_byte(&b, name.p[i]);
        }
        buf_byte(&b, '"');
    } else {
        buf_put(&b, STR("inline; filename*=utf-8''"));
        encode_percent(&b, name);
    }
    out = b.failed ? STR("inline") : arena_copy(a, buf_str(&b));
    buf_clear(&b);
    return out;
}

static bool put_fields(struct op *op, struct download *d, struct fields *fields)
{
    struct str name = path_name(d->path);
    struct arena *a = op->arena;

    if (d->ranged &&
        fields_add(fields, a, STR("Content-Range"),
                   arena_text(a, "bytes %lld-%lld/%lld", (long long)d->first,
                              (long long)d->last, (long long)d->size)))
        return false;
    return !(fields_add(fields, a, STR("Accept-Ranges"), STR("bytes")) ||
             fields_add(fields, a, STR("Content-Disposition"),
                        content_disposition(name, a)) ||
             fields_add(fields, a, STR("Content-Type"), content_type(name)) ||
             fields_add(fields, a, STR("Last-Modified"), str_of(d->date)) ||
             fields_add(fields, a, STR("Vary"), STR("Accept-Encoding")));
}

/* ---- conditions ---- */

/* bytes=a-b, a-, -n.  false: *w answers 416.  Several ranges, another unit
 * and If-Range with another date: the whole file.  Source: RFC 9110 14. */
static bool read_range(struct op *op, struct download *d, struct want *w)
{
    const struct fields *f = &op->in.head->fields;
    struct str s = fields_get(f, STR("Range"));
    struct str if_range = fields_get(f, STR("If-Range"));
    uint64_t first = 0, last = (uint64_t)d->size - 1;
    struct str to;

    if (!str_starts(s, STR("bytes=")) || str_find(s, ',') < s.n ||
        d->size == 0 || (if_range.p && !str_eq(if_range, str_of(d->date))))
        return true;
    to = str_trim(str_after(s, 6));
    s = str_cut(&to, '-');
    if (!to.p || (s.n == 0 && to.n == 0) ||
        (s.n && !str_u64(s, INT64_MAX, &first)) ||
        (to.n && !str_u64(to, INT64_MAX, &last))) {
        files_say_text(op, w, 416, STR("invalid range\n"));
        return false;
    }
    if (s.n == 0) { /* the last n bytes */
        first = last < (uint64_t)d->size ? (uint64_t)d->size - last : 0;
        last = last ? (uint64_t)d->size - 1 : 0;
    }
    if (last >= (uint64_t)d->size)
        last = (uint64_t)d->size - 1;
    if (first > last) {
        files_say_text(op, w, 416, STR("invalid range: failed to overlap\n"));
        return false;
    }
    d->ranged = true;
    d->first = (int64_t)first;
    d->last = (int64_t)last;
    d->left = (int64_t)(last - first + 1);
    return true;
}

/* false: *w answers 304 or 412.  Dates are compared as texts: clients give
 * back what they were given. */
static bool conditions(struct op *op, struct download *d, struct want *w)
{
    const struct fields *f = &op->in.head->fields;
    struct str none = fields_get(f, STR("If-None-Match"));
    struct str since = fields_get(f, STR("If-Modified-Since"));
    struct str unless = fields_get(f, STR("If-Unmodified-Since"));
    struct fields fields = {0};
    int status = 0;

    if (fields_get(f, STR("If-Match")).p ||
        (unless.p && !str_eq(unless, str_of(d->date))))
        status = 412;
    else if ((none.p && str_eq(str_trim(none), STR("*"))) ||
             (!none.p && since.p && str_eq(since, str_of(d->date))))
        status = 304;
    if (!status)
        return true;
    if (fields_add(&fields, op->arena, STR("Last-Modified"), str_of(d->date)))
        want_fail(w, E_NOMEM, STR_NONE);
    else
        want_answer(op, w, status, &fields, STR(""));
    return false;
}

/* ---- the steps ---- */

static void begin(struct op *op, struct want *w)
{
    struct download *d = arena_new_zero(op->arena, sizeof(*d));
    struct str path;

    if (!d) {
        want_fail(w, E_NOMEM, STR_NONE);
        return;
    }
    op->state = d;
    op->drop = drop;
    envelope_init(&d->reader, FRAME_MAX);
    buf_init(&d->out, 2 * FRAME_MAX);
    if (!files_target(op, &d->target, w))
        return;
    path = files_expand(op, &d->target,
                        d->target.path.p ? d->target.path : STR(""), w);
    if (!path.p)
        return;
    guest_call(op,
               &(struct guest_script){.text = look,
                                      .user = d->target.user,
                                      .args = &path,
                                      .count = 1,
                                      .limit = 64 << 10,
                                      .limit_s = 30},
               w);
    /* What cannot be put into a script is a bad request here, not a fault. */
    if (w->kind == WANT_FAIL && w->err == E_INVALID)
        w->err = E_BAD_REQUEST;
}

static void want_file(struct op *op, struct download *d, struct want *w)
{
    struct buf json, frame;

    buf_init(&json, 64 << 10);
    buf_init(&frame, 64 << 10);
    buf_put(&json, STR("{\"path\":"));
    json_write_text(&json, d->path, false, false);
    buf_byte(&json, '}');
    envelope_put(&frame, 0, buf_str(&json));
    w->kind = WANT_CALL;
    w->call.method = STR("ReadFile");
    w->call.stream = true;
    w->call.body = arena_copy(op->scratch, buf_str(&frame));
    if (json.failed || frame.failed || !w->call.body.p)
        want_fail(w, E_NOMEM, STR_NONE);
    buf_clear(&json);
    buf_clear(&frame);
    d->step = OPEN;
}

static void looked(struct op *op, struct download *d,
                   const struct op_event *event, struct want *w)
{
    struct guest_answer a;
    struct str word, said;
    uint64_t size = 0, modified = 0;
    time_t when;
    struct tm tm;

    if (!files_read(op, event, &d->target, &a, w))
        return;
    word = guest_field(&a);
    d->path = arena_copy(op->arena, guest_field(&a));
    said = guest_field(&a);
    if (!d->path.p) {
        want_fail(w, word.p ? E_NOMEM : E_BACKEND_GARBAGE, STR_NONE);
    } else if (str_eq(word, STR("dir"))) {
        files_fail(op, w, E_BAD_REQUEST, "path '%.*s' is a directory",
                   STR_FMT(d->path));
    } else if (str_eq(word, STR("special"))) {
        files_fail(op, w, E_BAD_REQUEST, "path '%.*s' is not a regular file",
                   STR_FMT(d->path));
    } else if (str_eq(word, STR("stat"))) {
        struct str why = guest_why(said, op->arena);

        if (str_eq(why, STR("no such file or directory")))
            files_fail(op, w, E_NOT_FOUND, "path '%.*s' does not exist",
                       STR_FMT(d->path));
        else
            files_fail(op, w, E_INTERNAL,
                       "error checking if path exists '%.*s': stat %.*s: %.*s",
                       STR_FMT(d->path), STR_FMT(d->path), STR_FMT(why));
    } else if (!str_eq(word, STR("ok")) || !str_u64(said, INT64_MAX, &size) ||
               !str_u64(guest_field(&a), INT32_MAX, &modified)) {
        want_fail(w, E_BACKEND_GARBAGE, STR_NONE);
    } else {
        when = (time_t)modified;
        gmtime_r(&when, &tm);
        strftime(d->date, sizeof(d->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        d->size = (int64_t)size;
        d->left = size ? (int64_t)size : -1;
        if (conditions(op, d, w) && read_range(op, d, w))
            want_file(op, d, w);
    }
    guest_clear(&a);
}

/* ---- the bytes ---- */

/* Keep of what a frame brought what was asked for. */
MUST_USE static enum err take(struct download *d, struct str base64)
{
    size_t before = buf_len(&d->out), n, skip = 0;

    if (!decode_base64(&d->out, base64, false))
        return d->out.failed ? E_NOMEM : E_BACKEND_GARBAGE;
    n = buf_len(&d->out) - before;
    if (d->seen < d->first) {
        skip = (size_t)(d->first - d->seen);
        if (skip > n)
            skip = n;
    }
    d->seen += (int64_t)n;
    if (skip) {
        char *p = d->out.p + d->out.at + before;

        memmove(p, p + skip, n - skip);
        d->out.n -= skip;
        n -= skip;
    }
    if (d->left >= 0 && (int64_t)n > d->left) {
        d->out.n -= n - (size_t)d->left;
        n = (size_t)d->left;
    }
    if (d->left >= 0)
        d->left -= (int64_t)n;
    return E_OK;
}

/* Say what there is; done: the file has been read to its end. */
static void flow(struct op *op, struct download *d, bool done, struct want *w)
{
    struct answer_head *head;
    struct fields fields = {0};

    if (done && d->left > 0) { /* it became shorter meanwhile */
        want_fail(w, d->headed ? E_CUT : E_INTERNAL,
                  STR("the file changed while it was read"));
        return;
    }
    if (d->headed && buf_len(&d->out) == 0) {
        if (done)
            w->kind = WANT_DONE;
        else
            want_next(w, FROM_CALL);
        return;
    }
    w->kind = WANT_SAY;
    w->from = done ? 0 : FROM_CALL;
    w->say.piece = buf_str(&d->out);
    op->answered = done; /* then op_hear() wants DONE */
    if (d->headed)
        return;
    head = arena_new_zero(op->arena, sizeof(*head));
    if (!head || !put_fields(op, d, &fields)) {
        op->answered = false;
        want_fail(w, E_NOMEM, STR_NONE);
        return;
    }
    head->status = d->ranged ? 206 : 200;
    head->fields = fields;
    head->length = d->size ? d->left + (int64_t)buf_len(&d->out)
                   : done  ? (int64_t)buf_len(&d->out)
                           : LENGTH_CHUNKED;
    w->say.head = head;
    d->headed = true;
}

static void piece(struct op *op, struct download *d, struct str bytes,
                  struct want *w)
{
    bool whole = true, done = false;
    enum err err = E_OK;

    buf_empty(&d->out);
    while (err == E_OK && whole && !done) {
        unsigned flags;
        struct str payload;
        struct files_frame frame;

        err = envelope_next(&d->reader, &bytes, &whole, &flags, &payload);
        if (err != E_OK || !whole)
            break;
        if (!files_frame(flags, payload, &frame))
            err = E_BACKEND_GARBAGE;
        else if (frame.end) {
            done = true;
            err = frame.err;
        } else if (frame.data.p) {
            err = take(d, frame.data);
        }
    }
    if (err == E_INVALID || err == E_TOO_BIG)
        err = done ? err : E_BACKEND_GARBAGE;
    if (err == E_NOT_FOUND && !d->headed)
        files_fail(op, w, E_NOT_FOUND, "path '%.*s' does not exist",
                   STR_FMT(d->path));
    else if (err != E_OK)
        want_fail(w, err, STR_NONE);
    else if (!d->headed && !done && buf_len(&d->out) == 0)
        want_next(w, FROM_CALL);
    else
        flow(op, d, done || d->left == 0, w);
}

void files_get_hear(struct op *op, const struct op_event *event, struct want *w)
{
    struct download *d = op->state;

    switch (event->kind) {
    case OP_BEGIN:
        begin(op, w);
        break;
    case OP_ANSWER:
        looked(op, d, event, w);
        break;
    case OP_HEAD:
        if (event->status != 200)
            want_fail(w, E_BACKEND_GARBAGE, STR_NONE);
        else
            want_next(w, FROM_CALL);
        d->step = FLOW;
        break;
    case OP_PIECE:
        piece(op, d, event->bytes, w);
        break;
    case OP_END: /* without an end frame */
        want_fail(w, E_BACKEND_GARBAGE, STR_NONE);
        break;
    case OP_CUT:
        want_fail(w, event->err, STR_NONE);
        break;
    case OP_BODY:
    case OP_CLIENT_PIECE:
    case OP_CLIENT_END:
    case OP_CLIENT_GONE:
    case OP_RESULT:
    case OP_ROOM:
    case OP_TIME:
        want_next(w, FROM_CALL);
        break;
    }
}
