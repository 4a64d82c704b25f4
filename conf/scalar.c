/* scalar.c - see scalar.h. */
#include "conf/scalar.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

#include "conf/named.h"

/* <port>-<id>. before it: 63 bytes and a point of 253. */
#define DOMAIN_MAX 189
#define HOST_MAX 253
#define LABEL_MAX 63

struct unit {
    const char *name;
    int64_t size;
};

static const struct unit seconds[] = {
    {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
static const struct unit bytes[] = {
    {"B", 1},         {"KiB", 1 << 10},          {"MiB", 1 << 20},
    {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40}, {NULL, 0}};

/* What is wrong with a text, or NULL. */
typedef const char *check_text(struct str text);

void scalar_text(enum kind kind, int64_t value, char out[32])
{
    const struct unit *unit = kind == KIND_SECONDS ? seconds
                              : kind == KIND_BYTES ? bytes
                                                   : NULL;
    struct unit best = {"", 1};

    for (; unit && unit->name && value; unit++)
        if (value % unit->size == 0)
            best = *unit;
    snprintf(out, 32, "%" PRId64 "%s", value / best.size, best.name);
}

/* The number of the text in its smallest unit, or what is wrong. */
static const char *number(struct str text, const struct unit *all, int64_t *out)
{
    size_t n = 0;
    uint64_t value;
    const struct unit *units;
    struct str unit;

    *out = 0;
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    unit = str_after(text, n);
    if (!str_u64(str_from(text.p, n), INT64_MAX, &value))
        return all == seconds ? "a time is needed, such as 30s, 5m or 24h"
               : all == bytes ? "a size is needed, such as 256KiB or 4MiB"
                              : "a whole number is needed";
    if (unit.n == 0 && (!all || value == 0)) {
        *out = (int64_t)value;
        return NULL;
    }
    for (units = all; units && units->name; units++) {
        if (!str_eq(unit, str_of(units->name)))
            continue;
        /* More than any range allows stays more. */
        if (value > (uint64_t)(INT64_MAX / units->size))
            *out = INT64_MAX;
        else
            *out = (int64_t)value * units->size;
        return NULL;
    }
    if (!all)
        return "a whole number is needed";
    return unit.n == 0 ? "a unit is needed behind the number (s, m, h, d for "
                         "times; B, KiB, MiB, GiB, TiB for sizes)"
                       : "a whole number is needed, with a unit if it is a "
                         "time (s, m, h, d) or size (B, KiB, MiB, GiB, TiB)";
}

static void read_number(struct reading *r, const struct option *o,
                        const struct scalar *s, void *to)
{
    const struct unit *units = o->kind == KIND_SECONDS ? seconds
                               : o->kind == KIND_BYTES ? bytes
                                                       : NULL;
    char least[32], most[32];
    const char *why;
    int64_t value;

    why = s->plain ? number(s->text, units, &value)
                   : "a number is needed, not a text in quotes";
    if (why) {
        reading_say(r, s->mark, "%s: %s", o->key, why);
        return;
    }
    if (value < o->least || value > o->most) {
        scalar_text(o->kind, o->least, least);
        scalar_text(o->kind, o->most, most);
        reading_say(r, s->mark, "%s: must be between %s and %s", o->key, least,
                    most);
        return;
    }
    if (o->kind == KIND_COUNT)
        *(unsigned *)to = (unsigned)value;
    else
        *(int64_t *)to = value;
}

static void read_flag(struct reading *r, const struct option *o,
                      const struct scalar *s, void *to)
{
    bool yes = str_eq(s->text, STR("true"));

    if (!s->plain || (!yes && !str_eq(s->text, STR("false"))))
        reading_say(r, s->mark, "%s: true or false is needed", o->key);
    else
        *(bool *)to = yes;
}

static void read_choice(struct reading *r, const struct option *o,
                        const struct scalar *s, void *to)
{
    struct str rest = str_of(o->words);

    for (int i = 0; rest.p; i++) {
        if (!str_eq(str_cut(&rest, ' '), s->text))
            continue;
        memcpy(to, &i, sizeof(i));
        return;
    }
    reading_say(r, s->mark, "%s: must be one of: %s", o->key, o->words);
}

static bool is_small(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_address(struct str text)
{
    unsigned char out[16];
    char copy[64];

    if (text.n >= sizeof(copy))
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(AF_INET, copy, out) == 1 ||
           inet_pton(AF_INET6, copy, out) == 1;
}

static const char *check_address(struct str text)
{
    return is_address(text) ? NULL : "an IP address is needed";
}

static const char *check_host_name(struct str text, size_t most)
{
    struct str rest = text;

    if (str_find(text, ':') != text.n)
        return "a host name without a port is needed";
    if (text.n > most)
        return "the name is too long";
    while (rest.p) {
        struct str label = str_cut(&rest, '.');

        if (label.n < 1 || label.n > LABEL_MAX || label.p[0] == '-' ||
            label.p[label.n - 1] == '-')
            return "a host name is needed";
        for (size_t i = 0; i < label.n; i++)
            if (!is_small(label.p[i]) && label.p[i] != '-')
                return "a host name in small letters is needed";
    }
    return NULL;
}

static const char *check_domain(struct str text)
{
    if (is_address(text))
        return "a domain is needed, not an address";
    return check_host_name(text, DOMAIN_MAX);
}

static const char *check_host(struct str text)
{
    return is_address(text) ? NULL : check_host_name(text, HOST_MAX);
}

static const char *check_name(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_small(text.p[i]) &&
            (i == 0 || (text.p[i] != '-' && text.p[i] != '_')))
            return "small letters, digits, - and _ are allowed, and it begins "
                   "with a letter or digit";
    return NULL;
}

static const char *check_reference(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (!is_small((char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c)) &&
            str_find(STR("-_./:@"), c) == 6)
            return "letters, digits and - _ . / : @ are allowed";
    }
    return NULL;
}

static const char *check_user(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        bool digit = text.p[i] >= '0' && text.p[i] <= '9';

        if (text.p[i] != '_' && (!is_small(text.p[i]) || (digit && i == 0)) &&
            (text.p[i] != '-' || i == 0))
            return "the name of a Linux user is needed";
    }
    return NULL;
}

static const char *check_workdir(struct str text)
{
    return text.n == 0 || text.p[0] == '/' ? NULL : "it must begin with /";
}

/* Name of a header field.  Source: RFC 9110 5.6.2 */
static const char *check_field(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (!is_small((char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c)) &&
            str_find(STR("-_.!#$%&'*+^`|~"), c) == 15)
            return "the name of a header field is needed";
    }
    return text.n ? NULL : "the name of a header field is needed";
}

/* http://ADDRESS:PORT in its parts, or what is wrong. */
static const char *split_url(struct str text, struct str *address,
                             unsigned *port)
{
    struct str rest = str_after(text, 7), host;
    uint64_t number_of_port;
    size_t end;

    if (!str_starts(text, STR("http://")))
        return "http://ADDRESS:PORT is needed";
    if (str_ends(rest, STR("/")))
        rest.n--;
    if (str_starts(rest, STR("["))) {
        end = str_find(rest, ']');
        host = str_from(rest.p + 1, end - (end > 0));
        rest = str_after(rest, end + 1);
    } else {
        end = str_find(rest, ':');
        host = str_from(rest.p, end);
        rest = str_after(rest, end);
    }
    if (!str_starts(rest, STR(":")) ||
        !str_u64(str_after(rest, 1), 65535, &number_of_port) ||
        number_of_port == 0)
        return "a port is needed behind the address";
    if (!is_address(host))
        return "an IP address is needed, not a name";
    *address = host;
    *port = (unsigned)number_of_port;
    return NULL;
}

/* The kinds that are a text and nothing but a text. */
static check_text *checker(enum kind kind)
{
    static check_text *const checks[] = {
        [KIND_DOMAIN] = check_domain,
        [KIND_HOST] = check_host,
        [KIND_ADDRESS] = check_address,
        [KIND_NAME] = check_name,
        [KIND_REFERENCE] = check_reference,
        [KIND_USER] = check_user,
        [KIND_FIELD] = check_field,
        [KIND_WORKDIR] = check_workdir,
        [KIND_ASKED] = NULL,
    };

    return checks[kind];
}

/* Stands beside its number of bytes. */
static const char *read_shared(struct str path, void *to)
{
    struct conf_preview *preview =
        (void *)((char *)to - offsetof(struct conf_preview, mitos_secret));

    return named_shared(path, preview->mitos_secret,
                        sizeof(preview->mitos_secret),
                        &preview->mitos_secret_bytes);
}

/* The kinds that name a file; what is wrong, or NULL. */
static const char *read_file(struct reading *r, const struct option *o,
                             const struct scalar *s, void *to)
{
    bool is_path =
        o->kind != KIND_LOG || (s->text.n && !str_eq(s->text, STR("-")));
    struct str path =
        is_path ? reading_path(r, s->text) : reading_keep(r, s->text);

    if (o->kind == KIND_LOG && s->text.n < (size_t)o->least)
        return "a file or - is needed";
    if (!path.p)
        return NULL;
    if (o->kind == KIND_SECRET)
        return named_secret(path, to);
    if (o->kind == KIND_SHARED)
        return read_shared(path, to);
    *(struct str *)to = path;
    if (o->kind == KIND_READABLE || o->kind == KIND_PRIVATE)
        return named_to_read(path, o->kind == KIND_PRIVATE);
    return is_path ? named_to_write(path) : NULL;
}

static const char *read_url(struct reading *r, const struct scalar *s, void *to)
{
    struct conf_backend *backend =
        (void *)((char *)to - offsetof(struct conf_backend, address));
    struct str address = STR_NONE;
    const char *why = split_url(s->text, &address, &backend->port);

    backend->address = reading_keep(r, address);
    return why;
}

static const char *read_asked(struct reading *r, const struct scalar *s,
                              void *to)
{
    struct conf_forward_auth *asked =
        (void *)((char *)to - offsetof(struct conf_forward_auth, address));
    struct str rest = str_after(s->text, 7), url = s->text;
    size_t slash = str_find(rest, '/');
    struct str address = STR_NONE, path = str_after(rest, slash);
    const char *why;

    url.n -= path.n;
    why = split_url(url, &address, &asked->port);
    for (size_t i = 0; i < path.n && !why; i++)
        if (path.p[i] <= 0x20 || path.p[i] > 0x7e || path.p[i] == '#')
            why = "its path may hold plain characters only";
    asked->address = reading_keep(r, address);
    asked->path = reading_keep(r, path.n ? path : STR("/"));
    return why;
}

/* What no text may be. */
static const char *check_any(const struct option *o, const struct scalar *s)
{
    if (s->given && s->plain &&
        (s->text.n == 0 || str_eq(s->text, STR("~")) ||
         str_eq(s->text, STR("null"))))
        return "a value is needed";
    for (size_t i = 0; i < s->text.n; i++)
        if ((unsigned char)s->text.p[i] < 0x20 || s->text.p[i] == 0x7f)
            return "control characters are not allowed";
    if (o->kind <= KIND_WORKDIR && !o->many) {
        if (s->text.n < (size_t)o->least)
            return "must not be empty";
        if (o->most && s->text.n > (size_t)o->most)
            return "is too long";
    }
    return NULL;
}

static void read_text(struct reading *r, const struct option *o,
                      const struct scalar *s, void *to)
{
    const char *why = check_any(o, s);

    if (!why && o->kind == KIND_BLOCK) {
        why = address_block_read(s->text, to);
    } else if (!why && o->kind == KIND_URL) {
        why = read_url(r, s, to);
    } else if (!why && o->kind == KIND_ASKED) {
        why = read_asked(r, s, to);
    } else if (!why && o->kind == KIND_SHARED && s->text.n == 0) {
        why = NULL; /* the form is not served */
    } else if (!why && o->kind >= KIND_PATH) {
        why = read_file(r, o, s, to);
    } else if (!why) {
        /* Kept even if wrong: what refers to it is then not dangling. */
        *(struct str *)to = reading_keep(r, s->text);
        why = checker(o->kind)(s->text);
    }
    if (why)
        reading_say(r, s->mark, "%s: %s", o->key, why);
}

size_t scalar_bytes(enum kind kind)
{
    return kind == KIND_BLOCK ? sizeof(struct address_block)
                              : sizeof(struct str);
}

void scalar_read(struct reading *r, const struct option *o,
                 const struct scalar *s, void *to)
{
    if (o->kind == KIND_FLAG)
        read_flag(r, o, s, to);
    else if (o->kind == KIND_CHOICE)
        read_choice(r, o, s, to);
    else if (o->kind < KIND_CHOICE)
        read_number(r, o, s, to);
    else
        read_text(r, o, s, to);
}
