/* Fuzzer of gateway/route: method LF host LF path LF fields as name:value LF.
 * Whatever comes in, a class and an error come out, and what is called an id
 * or a port keeps its grammar; a host alone never blocks another path. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/route.h"
#include "model/link.h"
#include "model/sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELDS_MAX 8

static void judge(const struct request_head *head, const struct route *route,
                  enum err err)
{
    assert(route->port <= 65535);
    assert(!route->id.p || (route->native || route->class == CLASS_LINK
                                ? sandbox_native_id_ok(route->id)
                                : sandbox_id_ok(route->id)));
    assert((route->class == CLASS_ENVD) == (route->port == ROUTE_PORT_ENVD) ||
           route->preflight || route->native || route->class == CLASS_LINK);
    assert(err != E_OK || route->class == CLASS_API ||
           route->class == CLASS_NATIVE || route->id.p || route->link.p ||
           route->preflight || route->native);
    assert(err != E_OK || route->class != CLASS_LINK || !route->port ||
           link_port_ok(route->port));
    assert(!route->native || (route->path.n && route->path.p[0] == '/'));
    assert(err != E_OK || route->class != CLASS_ENVD ||
           route_check_control(head->path) == E_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct str direct[] = {STR("localhost"), STR("127.0.0.1"),
                                  STR("::1")};
    static const struct conf conf = {.domain = STR("sandgate.localhost"),
                                     .direct_hosts = direct,
                                     .direct_host_count = 3,
                                     .preview = {.domain = STR("p.example")}};
    struct str rest = str_from((const char *)data, size);
    struct request_head head = {.method = METHOD_GET};
    struct field at[FIELDS_MAX];
    struct route route;
    enum err err;

    if (str_eq(str_cut(&rest, '\n'), STR("OPTIONS")))
        head.method = METHOD_OPTIONS;
    head.host = rest.p ? str_cut(&rest, '\n') : STR("");
    head.path = rest.p ? str_cut(&rest, '\n') : STR("/");
    head.target = head.path;
    head.fields.at = at;
    while (rest.p && head.fields.count < FIELDS_MAX) {
        struct str value = str_cut(&rest, '\n');
        struct str name = str_cut(&value, ':');

        if (value.p)
            at[head.fields.count++] = (struct field){name, value};
    }
    err = route_find(&head, &conf, &route);
    judge(&head, &route, err);
    return 0;
}
