/* proto.c - see proto.h. */
#include "translate/proto.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "translate/envelope.h"
#include "translate/fault.h"

#define MESSAGE_MAX (16 << 20)
#define KEEPALIVE_MS 90000
#define KEEPALIVE_MAX_S 86400
#define DAY_DIGITS 10 /* most digits of Connect-Timeout-Ms */

/* ---- the head ---- */

/* Is value that media type, with no parameter but charset=utf-8? */
static bool is_type(struct str value, struct str type)
{
    struct str rest = value;

    if (!value.p || !str_ieq(str_trim(str_cut(&rest, ';')), type))
        return false;
    while (rest.p) {
        struct str parameter = str_trim(str_cut(&rest, ';'));

        if (!str_ieq(parameter, STR("charset=utf-8")) &&
            !str_ieq(parameter, STR("charset=\"utf-8\"")))
            return false;
    }
    return true;
}

/* A text in double quotes for an error's text. */
static struct str quoted(struct op *op, struct str s)
{
    struct buf b;
    struct str out;

    buf_init(&b, 4096);
    json_write_text(&b, s, false, false);
    out = arena_copy(op->arena, buf_str(&b));
    buf_clear(&b);
    return out.p ? out : STR("\"\"");
}

static bool refuse(struct op *op, struct want *want, enum err err,
                   const char *before, struct str value)
{
    struct str mark = quoted(op, value);

    want_fail(want, err,
              arena_text(op->arena, "%s%.*s", before, STR_FMT(mark)));
    return false;
}

/* Content-Type, and that nothing is compressed. */
static bool check_codec(struct op *op, bool stream, struct want *want)
{
    const struct fields *fields = &op->in.head->fields;
    struct str type = fields_get(fields, STR("Content-Type"));
    struct str coding =
        fields_get(fields, stream ? STR("Connect-Content-Encoding")
                                  : STR("Content-Encoding"));
    struct str name = quoted(op, coding.p ? coding : STR("")), text;
    struct buf b;

    if (!is_type(type, stream ? STR("application/connect+json")
                              : STR("application/json"))) {
        want_empty(op, want, 415);
        return false;
    }
    if (!coding.p || coding.n == 0 || str_ieq(coding, STR("identity")))
        return true;
    text = arena_text(op->arena,
                      "unknown compression %.*s: supported encodings are "
                      "identity",
                      STR_FMT(name));
    if (stream) {
        want_fail(want, E_UNIMPLEMENTED, text);
        return false;
    }
    buf_init(&b, 8192);
    proto_put_error(&b, "unimplemented", text);
    want_json(op, want, 415, arena_copy(op->arena, buf_str(&b)));
    buf_clear(&b);
    return false;
}

/* What Go's ParseInt takes: a sign and decimal digits. */
static bool parse_int(struct str s, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    size_t from = s.n && (s.p[0] == '-' || s.p[0] == '+');
    int64_t value = 0;

    *out = 0;
    if (from == s.n || s.n - from > 18)
        return false;
    for (size_t i = from; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        value = value * 10 + (s.p[i] - '0');
    }
    *out = minus ? -value : value;
    return true;
}

static bool read_timeout(struct op *op, struct proto_head *out,
                         struct want *want)
{
    struct str text =
        fields_get(&op->in.head->fields, STR("Connect-Timeout-Ms"));
    struct str mark = quoted(op, text.p ? text : STR(""));

    out->timeout_ms = 0;
    if (text.n == 0)
        return true;
    if (text.n > DAY_DIGITS) {
        want_fail(want, E_INVALID,
                  arena_text(op->arena, "parse timeout: %.*s has >10 digits",
                             STR_FMT(mark)));
        return false;
    }
    if (!parse_int(text, &out->timeout_ms)) {
        want_fail(want, E_INVALID,
                  arena_text(op->arena,
                             "parse timeout: strconv.ParseInt: parsing %.*s: "
                             "invalid syntax",
                             STR_FMT(mark)));
        return false;
    }
    if (out->timeout_ms > 0)
        return true;
    /* 0 on the wire is no way to say "no limit": it has passed. */
    want_fail(want, E_DEADLINE, STR("context deadline exceeded"));
    return false;
}

static int64_t read_keepalive(const struct op *op)
{
    struct str text =
        fields_get(&op->in.head->fields, STR("Keepalive-Ping-Interval"));
    int64_t interval_s;

    if (!text.p || !parse_int(text, &interval_s))
        return KEEPALIVE_MS;
    if (interval_s < 1)
        interval_s = 1;
    return 1000 * (interval_s < KEEPALIVE_MAX_S ? interval_s : KEEPALIVE_MAX_S);
}

/* The name in "Basic <base64 of name:password>"; absent: nobody is named. */
static struct str basic_name(struct op *op)
{
    struct str value = fields_get(&op->in.head->fields, STR("Authorization"));
    struct str name = STR_NONE, scheme, plain;
    struct buf b;

    scheme = str_cut(&value, ' ');
    if (!value.p || !str_ieq(scheme, STR("Basic")))
        return STR_NONE;
    buf_init(&b, 8192);
    if (decode_base64(&b, value, false)) {
        plain = buf_str(&b);
        if (str_find(plain, ':') < plain.n)
            name =
                arena_copy(op->arena, str_from(plain.p, str_find(plain, ':')));
    }
    buf_clear(&b);
    return name;
}

/* Could a line of /etc/passwd begin with it?  A number is not a name. */
static bool may_be_user(struct str name)
{
    bool digits = true;

    if (name.n == 0 || name.n > 255 || !encode_is_utf8(name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (c <= ' ' || c == 0x7f || c == ':' || c == '/')
            return false;
        digits = digits && c >= '0' && c <= '9';
    }
    return !digits;
}

const struct conf_template *proto_template(const struct op *op)
{
    const struct conf *conf = op->in.conf;

    for (unsigned i = 0; conf && op->in.sandbox && i < conf->template_count;
         i++)
        if (str_eq(conf->templates[i].id, op->in.sandbox->template_id))
            return &conf->templates[i];
    return NULL;
}

static bool read_user(struct op *op, struct proto_head *out, struct want *want)
{
    const struct conf_template *t = proto_template(op);

    out->user = basic_name(op);
    if (!out->user.p) {
        out->user = t && t->user.n ? t->user : STR("user");
        return true;
    }
    if (may_be_user(out->user))
        return true;
    want_fail(
        want, E_UNAUTHENTICATED,
        arena_text(op->arena, "invalid username: '%.*s'", STR_FMT(out->user)));
    return false;
}

bool proto_head(struct op *op, bool stream, struct proto_head *out,
                struct want *want)
{
    struct str version =
        fields_get(&op->in.head->fields, STR("Connect-Protocol-Version"));

    *out = (struct proto_head){.stream = stream,
                               .keepalive_ms = read_keepalive(op)};
    if (!read_user(op, out, want) || !check_codec(op, stream, want))
        return false;
    if (version.n && !str_eq(version, STR("1")))
        return refuse(op, want, E_INVALID,
                      "Connect-Protocol-Version must be \"1\": got ", version);
    return read_timeout(op, out, want);
}

/* ---- the body ---- */

static bool wrong_envelope(struct want *want, enum err err, struct str why)
{
    want_fail(want, err, why);
    return false;
}

/* Is what follows the message nothing, or an end frame? */
static bool read_rest(struct str rest, struct want *want)
{
    if (rest.n == 0)
        return true;
    if (rest.n < ENVELOPE_HEAD)
        return wrong_envelope(want, E_INVALID,
                              STR("protocol error: incomplete envelope: "
                                  "unexpected EOF"));
    if (rest.p[0] & ENVELOPE_END)
        return true;
    return wrong_envelope(want, E_UNIMPLEMENTED,
                          STR("unary request has multiple messages"));
}

/* The payload of the one envelope. */
static bool open_envelope(struct op *op, struct str body, struct str *payload,
                          struct want *want)
{
    const unsigned char *p = (const unsigned char *)body.p;
    size_t n, held;

    if (body.n == 0)
        return wrong_envelope(want, E_UNIMPLEMENTED,
                              STR("unary request has zero messages"));
    if (body.n < ENVELOPE_HEAD)
        return wrong_envelope(want, E_INVALID,
                              STR("protocol error: incomplete envelope: "
                                  "unexpected EOF"));
    if (p[0] & ENVELOPE_COMPRESSED)
        return wrong_envelope(want, E_INTERNAL,
                              STR("protocol error: sent compressed message "
                                  "without compression support"));
    if (p[0] == ENVELOPE_END)
        return wrong_envelope(want, E_UNIMPLEMENTED,
                              STR("unary request has zero messages"));
    if (p[0]) {
        want_fail(want, E_INTERNAL,
                  arena_text(op->arena,
                             "protocol error: invalid envelope flags %u",
                             p[0]));
        return false;
    }
    n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    held = body.n - ENVELOPE_HEAD;
    if (n > MESSAGE_MAX) {
        want_fail(want, E_EXHAUSTED,
                  arena_text(op->arena,
                             "message size %zu is larger than the limit of %d",
                             n, MESSAGE_MAX));
        return false;
    }
    if (n > held) {
        want_fail(want, E_INVALID,
                  arena_text(op->arena,
                             "protocol error: promised %zu bytes in enveloped "
                             "message, got %zu bytes",
                             n, held));
        return false;
    }
    *payload = str_from(body.p + ENVELOPE_HEAD, n);
    return read_rest(str_after(body, ENVELOPE_HEAD + n), want);
}

bool proto_open(struct op *op, bool stream, struct str body, struct proto *p,
                struct want *want)
{
    static const char unmarshal[] = "unmarshal message: ";
    struct str text = body, why = STR("not one JSON object in valid UTF-8");
    enum err err;

    *p = (struct proto){.op = op};
    if (stream && !open_envelope(op, body, &text, want))
        return false;
    if (stream && text.n == 0)
        text = STR("{}");
    if (text.n == 0)
        why = STR("zero-length payload is not a valid JSON object");
    err = json_read(text, &json_limits_rpc, &p->message);
    if (err == E_OK && json_is_object(p->message))
        return true;
    json_decref(p->message);
    p->message = NULL;
    if (err == E_NOMEM || err == E_TOO_BIG)
        want_fail(want, err == E_TOO_BIG ? E_EXHAUSTED : err, STR_NONE);
    else
        want_fail(want, E_INVALID,
                  arena_text(op->arena, "%s%.*s", unmarshal, STR_FMT(why)));
    return false;
}

bool proto_close(struct proto *p, struct want *want)
{
    json_decref(p->message);
    p->message = NULL;
    if (!p->fault.p)
        return true;
    want_fail(
        want, E_INVALID,
        arena_text(p->op->arena, "unmarshal message: %.*s", STR_FMT(p->fault)));
    return false;
}

void proto_wrong(struct proto *p, const char *format, ...)
{
    char text[512];
    va_list args;

    if (p->fault.p)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->fault = arena_copy(p->op->arena, str_of(text));
    if (!p->fault.p)
        p->fault = STR("out of memory");
}

/* ---- members ---- */

/* exitCode as exit_code; names are short and ours. */
static void snake_name(const char *name, char out[64])
{
    size_t n = 0;

    for (; *name && n < 62; name++) {
        if (*name >= 'A' && *name <= 'Z')
            out[n++] = '_';
        out[n++] =
            *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
    }
    out[n] = '\0';
}

/* The member by either name; null reads as unset. */
static const json_t *find(struct proto *p, const json_t *object,
                          const char *name, bool *set)
{
    const json_t *camel, *snake = NULL;
    char other[64];

    if (set)
        *set = false;
    if (!object)
        return NULL;
    snake_name(name, other);
    camel = json_object_get(object, name);
    if (strcmp(other, name) != 0)
        snake = json_object_get(object, other);
    if (camel && snake)
        proto_wrong(p, "duplicate field \"%s\"", name);
    camel = camel ? camel : snake;
    if (!camel || json_is_null(camel))
        return NULL;
    if (set)
        *set = true;
    return camel;
}

static struct str copy(struct proto *p, const json_t *string)
{
    struct str s =
        arena_copy(p->op->arena, str_from(json_string_value(string),
                                          json_string_length(string)));

    if (s.p)
        return s;
    proto_wrong(p, "message is larger than a request may keep");
    return STR("");
}

struct str proto_text(struct proto *p, const json_t *object, const char *name,
                      bool *set)
{
    const json_t *member = find(p, object, name, set);

    if (!member)
        return STR("");
    if (json_is_string(member))
        return copy(p, member);
    proto_wrong(p, "invalid value for string field %s", name);
    return STR("");
}

/* 5, "5", 5.0 and 5e0 are the same number. */
static bool as_u32(const json_t *member, uint32_t *out)
{
    uint64_t value = 0;
    double real = json_real_value(member);
    bool ok;

    if (json_is_string(member)) {
        ok = str_u64(
            str_from(json_string_value(member), json_string_length(member)),
            UINT32_MAX, &value);
    } else if (json_is_integer(member)) {
        ok = json_integer_value(member) >= 0 &&
             json_integer_value(member) <= UINT32_MAX;
        value = ok ? (uint64_t)json_integer_value(member) : 0;
    } else {
        ok = json_is_real(member) && real >= 0 && real <= UINT32_MAX &&
             floor(real) == real;
        value = ok ? (uint64_t)real : 0;
    }
    *out = (uint32_t)value;
    return ok;
}

uint32_t proto_u32(struct proto *p, const json_t *object, const char *name,
                   bool *set)
{
    const json_t *member = find(p, object, name, set);
    uint32_t value = 0;

    if (member && !as_u32(member, &value))
        proto_wrong(p, "invalid value for uint32 field %s", name);
    return value;
}

bool proto_bool(struct proto *p, const json_t *object, const char *name,
                bool *set)
{
    const json_t *member = find(p, object, name, set);

    if (member && !json_is_boolean(member))
        proto_wrong(p, "invalid value for bool field %s", name);
    return json_is_true(member);
}

struct str proto_bytes(struct proto *p, const json_t *object, const char *name,
                       bool *set)
{
    const json_t *member = find(p, object, name, set);
    struct str out = STR("");
    struct buf b;

    if (!member)
        return out;
    buf_init(&b, MESSAGE_MAX);
    if (json_is_string(member) &&
        decode_base64(
            &b, str_from(json_string_value(member), json_string_length(member)),
            true))
        out = arena_copy(p->op->arena, buf_str(&b));
    else
        proto_wrong(p, "invalid value for bytes field %s", name);
    buf_clear(&b);
    if (out.p)
        return out;
    proto_wrong(p, "message is larger than a request may keep");
    return STR("");
}

const json_t *proto_object(struct proto *p, const json_t *object,
                           const char *name)
{
    const json_t *member = find(p, object, name, NULL);

    if (!member || json_is_object(member))
        return member;
    proto_wrong(p, "invalid value for message field %s", name);
    return NULL;
}

/* Room for n texts; NULL, told as a fault, without memory. */
static struct str *rows_of(struct proto *p, size_t n)
{
    struct str *rows =
        arena_new_zero(p->op->arena, (n ? n : 1) * sizeof(*rows));

    if (!rows)
        proto_wrong(p, "message is larger than a request may keep");
    return rows;
}

unsigned proto_texts(struct proto *p, const json_t *object, const char *name,
                     struct str **rows)
{
    const json_t *member = find(p, object, name, NULL);
    size_t n = json_array_size(member);

    *rows = NULL;
    if (member && !json_is_array(member))
        proto_wrong(p, "invalid value for repeated field %s", name);
    if (n == 0 || !(*rows = rows_of(p, n)))
        return 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(member, i);

        if (!json_is_string(row)) {
            proto_wrong(p, "invalid value for string field %s", name);
            return 0;
        }
        (*rows)[i] = copy(p, row);
    }
    return (unsigned)n;
}

unsigned proto_map(struct proto *p, const json_t *object, const char *name,
                   struct str **names, struct str **values)
{
    const json_t *member = find(p, object, name, NULL);
    size_t n = json_object_size(member);
    unsigned count = 0;

    *names = *values = NULL;
    if (member && !json_is_object(member))
        proto_wrong(p, "invalid value for map field %s", name);
    if (n == 0 || !(*names = rows_of(p, n)) || !(*values = rows_of(p, n)))
        return 0;
    for (void *at = json_object_iter((json_t *)(uintptr_t)member); at;
         at = json_object_iter_next((json_t *)(uintptr_t)member, at)) {
        const char *key = json_object_iter_key(at);
        const json_t *row = json_object_iter_value(at);

        if (!json_is_string(row)) {
            proto_wrong(p, "invalid value for string field %s", name);
            return 0;
        }
        (*names)[count] = arena_copy(p->op->arena, str_of(key));
        (*values)[count] = copy(p, row);
        if (!(*names)[count].p) {
            proto_wrong(p, "message is larger than a request may keep");
            return 0;
        }
        count++;
    }
    return count;
}

int proto_enum(struct proto *p, const json_t *object, const char *name,
               const char *const *names)
{
    const json_t *member = find(p, object, name, NULL);

    if (!member)
        return 0;
    if (json_is_integer(member) && json_integer_value(member) >= INT32_MIN &&
        json_integer_value(member) <= INT32_MAX)
        return (int)json_integer_value(member);
    if (!json_is_string(member)) {
        proto_wrong(p, "invalid value for enum field %s", name);
        return 0;
    }
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], json_string_value(member)) == 0)
            return i;
    return 0;
}

/* ---- answers ---- */

const struct answer_head *proto_stream_head(void)
{
    /* To the letter, without parameters: newer clients compare the text. */
    static const struct field rows[] = {
        {{"Content-Type", 12}, {"application/connect+json", 24}}};
    static const struct answer_head head = {
        .status = 200,
        .fields = {.at = (struct field *)(uintptr_t)rows,
                   .count = 1,
                   .room = 1},
        .length = LENGTH_CHUNKED};

    return &head;
}

void proto_put_error(struct buf *b, const char *code, struct str message)
{
    buf_text(b, "{\"code\":\"%s\",\"message\":", code);
    json_write_text(b, message, false, true);
    buf_byte(b, '}');
}
