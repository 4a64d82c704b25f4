/* link.c - see link.h. */
#include "model/link.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "model/head.h"

#define METHODS_ALL ((1U << METHOD_COUNT) - 1)

void link_scopes_all(struct link_scopes *out)
{
    memset(out, 0, sizeof(*out));
    out->methods = METHODS_ALL;
    out->websocket = true;
}

/* ---- values ---- */

/* Is the segment, as far as a ;, one that a path is cleaned of? */
static bool is_dots(struct str segment)
{
    segment.n = str_find(segment, ';');
    return str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
}

/* A prefix that has one reading: no escapes, no dots, nothing to clean. */
static bool path_ok(struct str path)
{
    struct str rest = path;

    if (path.n == 0)
        return true;
    if (path.n > LINK_PATH_MAX || path.p[0] != '/' ||
        str_find_str(path, STR("//")) < path.n)
        return false;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] <= 0x20 || path.p[i] > 0x7e || strchr("%?#\\", path.p[i]))
            return false;
    while (rest.p)
        if (is_dots(str_cut(&rest, '/')))
            return false;
    return true;
}

bool link_scopes_ok(const struct link_scopes *scopes)
{
    if (scopes->methods == 0 || scopes->methods & ~METHODS_ALL ||
        scopes->cidr_count > LINK_CIDRS_MAX ||
        scopes->uses_max > LINK_USES_MAX ||
        (unsigned)scopes->index > LINK_INDEX_YES ||
        !memchr(scopes->path, '\0', sizeof(scopes->path)))
        return false;
    for (unsigned i = 0; i < scopes->cidr_count; i++)
        if (!address_block_ok(&scopes->cidrs[i]))
            return false;
    return path_ok(str_of(scopes->path));
}

bool link_cidr_holds(const struct address_block *cidr, struct str address)
{
    struct address a;

    return address_read(address, &a) && address_block_holds(cidr, &a);
}

/* ---- JSON ---- */

static const char *read_methods(const json_t *list, struct link_scopes *out)
{
    unsigned set = 0;

    if (!json_is_array(list) || json_array_size(list) == 0)
        return "must be a list of methods";
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct str name = str_of(json_string_value(json_array_get(list, i)));
        unsigned bit = 0;

        for (int m = 0; m < METHOD_COUNT; m++)
            if (name.p && str_eq(name, method_text((enum method)m)))
                bit = 1U << m;
        if (!bit)
            return "must be GET, HEAD, POST, PUT, DELETE, PATCH or OPTIONS";
        set |= bit;
    }
    out->methods = set;
    return NULL;
}

static const char *read_path(const json_t *value, struct link_scopes *out)
{
    struct str path =
        str_from(json_string_value(value),
                 json_is_string(value) ? json_string_length(value) : 0);

    if (!path.p || !path_ok(path) || path.n == 0)
        return "must begin with /, of at most 200 plain characters, without "
               "escapes, // or dots to clean";
    memcpy(out->path, path.p, path.n);
    out->path[path.n] = '\0';
    return NULL;
}

static const char *read_cidrs(const json_t *list, struct link_scopes *out)
{
    size_t count = json_array_size(list);
    const char *why = NULL;

    if (!json_is_array(list) || count == 0 || count > LINK_CIDRS_MAX)
        return "must be a list of 1 to 8 addresses or blocks";
    for (size_t i = 0; i < count && !why; i++)
        why = address_block_read(
            str_of(json_string_value(json_array_get(list, i))), &out->cidrs[i]);
    out->cidr_count = (unsigned)count;
    return why;
}

static const char *read_uses(const json_t *value, struct link_scopes *out)
{
    json_int_t uses = json_integer_value(value);

    if (!json_is_integer(value) || uses < 1 || uses > LINK_USES_MAX)
        return "must be a number from 1 to 1000000000";
    out->uses_max = (uint32_t)uses;
    return NULL;
}

static const char *read_websocket(const json_t *value, struct link_scopes *out)
{
    out->websocket = json_is_true(value);
    return json_is_boolean(value) ? NULL : "must be true or false";
}

static const char *read_noindex(const json_t *value, struct link_scopes *out)
{
    out->index = json_is_true(value) ? LINK_INDEX_NO : LINK_INDEX_YES;
    return json_is_boolean(value) ? NULL : "must be true or false";
}

const char *link_scopes_read(const json_t *object, struct link_scopes *out,
                             const char **why)
{
    static const struct {
        const char *name;
        const char *(*read)(const json_t *value, struct link_scopes *out);
    } members[] = {
        {"methods", read_methods},     {"pathPrefix", read_path},
        {"cidrs", read_cidrs},         {"maxUses", read_uses},
        {"websocket", read_websocket}, {"noindex", read_noindex},
    };

    link_scopes_all(out);
    *why = NULL;
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        const json_t *value = json_member(object, members[i].name);

        if (value)
            *why = members[i].read(value, out);
        if (*why)
            return members[i].name;
    }
    return NULL;
}

static void write_methods(struct buf *b, unsigned methods)
{
    const char *before = ",\"methods\":[";

    for (int m = 0; m < METHOD_COUNT; m++) {
        if (!(methods & 1U << m))
            continue;
        buf_text(b, "%s\"%.*s\"", before, STR_FMT(method_text((enum method)m)));
        before = ",";
    }
    buf_byte(b, ']');
}

static void write_cidrs(struct buf *b, const struct link_scopes *scopes)
{
    const char *before = ",\"cidrs\":[";

    for (unsigned i = 0; i < scopes->cidr_count; i++) {
        const struct address_block *c = &scopes->cidrs[i];
        char text[INET6_ADDRSTRLEN];

        inet_ntop(c->v6 ? AF_INET6 : AF_INET, c->bytes, text, sizeof(text));
        buf_text(b, "%s\"%s/%u\"", before, text, c->bits);
        before = ",";
    }
    buf_byte(b, ']');
}

void link_scopes_write(struct buf *b, const struct link_scopes *scopes)
{
    if (scopes->methods != METHODS_ALL)
        write_methods(b, scopes->methods);
    if (scopes->path[0]) {
        buf_put(b, STR(",\"pathPrefix\":"));
        json_write_text(b, str_of(scopes->path), false, false);
    }
    if (scopes->cidr_count)
        write_cidrs(b, scopes);
    if (scopes->uses_max)
        buf_text(b, ",\"maxUses\":%u", scopes->uses_max);
    if (!scopes->websocket)
        buf_put(b, STR(",\"websocket\":false"));
    if (scopes->index != LINK_INDEX_AS_CONFIGURED)
        buf_text(b, ",\"noindex\":%s",
                 scopes->index == LINK_INDEX_NO ? "true" : "false");
}

/* ---- ids ---- */

bool link_port_ok(unsigned port)
{
    return port >= 1 && port <= 65535 && port != 49983 && port != 49999;
}

bool link_id_ok(struct str id)
{
    if (id.n != LINK_ID_LENGTH || id.p[0] != 'l')
        return false;
    for (size_t i = 1; i < id.n; i++)
        if (!((id.p[i] >= 'a' && id.p[i] <= 'z') ||
              (id.p[i] >= '2' && id.p[i] <= '7')))
            return false;
    return true;
}

void link_id_make(const unsigned char random[LINK_ID_LENGTH - 1],
                  char out[LINK_ID_LENGTH + 1])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

    out[0] = 'l';
    for (unsigned i = 0; i < LINK_ID_LENGTH - 1; i++)
        out[i + 1] = letters[random[i] & 31];
    out[LINK_ID_LENGTH] = '\0';
}
