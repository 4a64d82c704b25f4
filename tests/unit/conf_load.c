#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "tests/unit/conf_file.h"

TestSuite(conf, .init = conf_file_start, .fini = conf_file_stop);

/* The least that is right; rows of the tables below stand behind it or in
 * the place of one of its lines. */
#define TOP \
    "domain: a.test\n" \
    "secret_file: secret.key\n" \
    "store: db\n"
#define LISTENERS "listeners: [{address: 127.0.0.1, port: 0, tls: false}]\n"
#define BACKENDS "backends: [{name: box, url: \"http://127.0.0.1:1\"}]\n"
#define TEMPLATES "templates: [{id: base, backend: box}]\n"
#define LEAST TOP LISTENERS BACKENDS TEMPLATES

Test(conf, takes_fallbacks_for_what_is_not_there)
{
    struct conf *c;
    const struct conf_template *t;

    cr_assert_eq(conf_file_load(STR(LEAST), &c), E_OK);
    cr_expect(str_eq(c->domain, STR("a.test")));
    cr_expect_eq(c->listener_count, 1);
    cr_expect_eq(c->listeners[0].port, 0);
    cr_expect_not(c->listeners[0].tls);
    cr_expect_not(c->listeners[0].direct);
    cr_expect_eq(c->certificate_count, 0);
    cr_expect_eq(c->direct_host_count, 3);
    cr_expect(str_eq(c->direct_hosts[1], STR("127.0.0.1")));
    cr_expect(str_eq(c->direct_hosts[2], STR("::1")));
    cr_expect_eq(c->status.port, 0);
    cr_expect(str_ends(c->store_path, STR("/db")));
    cr_expect(str_starts(c->store_path, STR("/tmp/")));
    cr_expect(str_eq(c->access_log, STR("-")));
    cr_expect(str_eq(c->log, STR("-")));
    cr_expect_eq(c->log_level, LOG_INFO);
    cr_expect_eq(c->timeout_default_s, 300);
    cr_expect_eq(c->timeout_max_s, 86400);
    cr_expect_eq(c->create_timeout_s, 55);
    cr_expect_eq(c->api_body_max_bytes, 256 << 10);
    cr_expect_eq(c->files_max_bytes, 512 << 20);
    cr_expect_eq(c->connections_max, 0);
    cr_expect_eq(c->address_max, 4096);
    cr_expect_not(c->address_all);
    cr_expect_eq(c->idle_s, 620);
    cr_expect_eq(c->head_timeout_s, 10);
    cr_expect_eq(c->drain_s, 30);
    cr_expect_eq(c->backends[0].port, 1);
    cr_expect_eq(c->backends[0].streams, 16);
    cr_expect_eq(c->backends[0].ports, PORTS_EXPOSE);
    cr_expect_not(c->backends[0].adopt);
    cr_expect(str_eq(c->backends[0].address, STR("127.0.0.1")));
    t = conf_template(c, STR("base"));
    cr_assert_not_null(t);
    cr_expect(str_eq(t->backend_template, STR("base")));
    cr_expect_eq(t->name_count, 0);
    cr_expect_eq(t->memory_mb, 1024);
    cr_expect(str_eq(t->user, STR("user")));
    cr_expect_eq(t->workdir.n, 0);
    cr_expect_null(conf_template(c, STR("other")));
    cr_expect_null(conf_template(c, STR("")));
    cr_expect_not_null(conf_backend(c, STR("box")));
    cr_expect_null(conf_backend(c, STR("bo")));
    conf_unref(&c);
    cr_expect_null(c);
    conf_unref(&c);
}

Test(conf, reads_what_is_there)
{
    struct conf *c, *other;

    cr_assert_eq(
        conf_file_load(
            STR("---\n" TOP "log: {path: \"-\", level: warn}\n"
                "access_log: \"\"\n"
                "direct_hosts: []\n"
                "trusted_proxies: [10.0.0.1, \"2001:db8::/32\"]\n"
                "status: {port: 9090}\n"
                "certificates: [{cert: tls/cert.pem, key: tls/key.pem}]\n"
                "listeners:\n"
                "  - {address: \"::\", port: 8443, direct: true,"
                " proxy_protocol: [10.0.0.0/8, \"2001:db8::1\"]}\n"
                "backends:\n"
                "  - {name: b-1, url: \"http://[::1]:65535/\", ports: forward,"
                " streams: 40, egress: true, remove_orphans: true}\n"
                "templates:\n"
                "  - {id: b1, names: [base, x_y], backend: b-1,"
                " backend_template: \"r/py:1\", cpu_count: 8, user: root,"
                " workdir: /srv}\n"
                "limits: {timeout_max: 2d, timeout_default: 90m, api_body: "
                "16MiB, drain: 0, connections: 7, "
                "connections_per_address: 0, private_addresses: true, "
                "team_sandboxes: 20, "
                "team_creates: 5}\n"
                "teams: [{name: acme, sandboxes: 0, creates: 60}]\n"),
            &c),
        E_OK, "%.*s", STR_FMT(buf_str(&conf_file_said)));
    cr_expect_eq(c->log_level, LOG_WARN);
    cr_expect_not_null(c->access_log.p);
    cr_expect_eq(c->access_log.n, 0);
    cr_expect_eq(c->direct_host_count, 0);
    cr_assert_eq(c->trusted_proxy_count, 2);
    cr_expect_eq(c->trusted_proxies[0].bits, 32);
    cr_expect_eq(c->trusted_proxies[1].bits, 32);
    cr_expect_eq(c->status.port, 9090);
    cr_expect(str_eq(c->status.address, STR("127.0.0.1")));
    cr_expect(c->listeners[0].tls && c->listeners[0].direct);
    cr_assert_eq(c->listeners[0].proxy_count, 2);
    cr_expect_eq(c->listeners[0].proxies[0].bits, 8);
    cr_expect_eq(c->listeners[0].proxies[1].bits, 128);
    cr_expect(c->listeners[0].proxies[1].v6);
    cr_expect(str_ends(c->certificates[0].key, STR("/tls/key.pem")));
    cr_expect(str_eq(c->backends[0].address, STR("::1")));
    cr_expect_eq(c->backends[0].port, 65535);
    cr_expect_eq(c->backends[0].ports, PORTS_FORWARD);
    cr_expect(c->backends[0].egress && c->backends[0].adopt);
    cr_expect_eq(conf_template(c, STR("x_y")), &c->templates[0]);
    cr_expect(str_eq(c->templates[0].backend_template, STR("r/py:1")));
    cr_expect_eq(c->timeout_max_s, 172800);
    cr_expect_eq(c->timeout_default_s, 5400);
    cr_expect_eq(c->api_body_max_bytes, 16 << 20);
    cr_expect_eq(c->drain_s, 0);
    cr_expect_eq(c->connections_max, 7);
    cr_expect_eq(c->address_max, 0);
    cr_expect(c->address_all);
    cr_expect_eq(conf_team(c, STR("acme")).sandboxes, 0);
    cr_expect_eq(conf_team(c, STR("acme")).creates, 60);
    cr_expect_eq(conf_team(c, STR("other")).sandboxes, 20);
    cr_expect_eq(conf_team(c, STR("other")).creates, 5);
    other = conf_ref(c);
    conf_unref(&c);
    cr_expect(str_eq(other->domain, STR("a.test")));
    conf_unref(&other);
}

Test(conf, tells_every_mistake_with_its_place)
{
    static const struct {
        const char *name, *text, *said;
    } rows[] = {
        {"unknown key with a near one", LEAST "stor: x\n",
         "7:1: unknown key stor: did you mean store?\n"},
        {"unknown key of another section", LEAST "timeout_max: 5s\n",
         "7:1: unknown key timeout_max: did you mean limits.timeout_max?\n"},
        {"unknown key of the top level", LEAST "limits: {access_log: x}\n",
         "7:10: unknown key access_log: did you mean the top level's "
         "access_log?\n"},
        {"unknown key near to none", LEAST "colour: red\n",
         "7:1: unknown key colour\n"},
        {"swapped letters",
         TOP LISTENERS BACKENDS "templates: [{id: a, bakcend: box}]\n",
         "6:13: backend is missing in templates\n"
         "6:21: unknown key bakcend: did you mean backend?\n"},
        {"own section before another",
         TOP BACKENDS TEMPLATES
         "listeners: [{address: 0.0.0.0, ports: 1, tls: false}]\n",
         "6:13: port is missing in listeners\n"
         "6:32: unknown key ports: did you mean port?\n"},
        {"key twice", LEAST "store: x\n", "7:1: store: is here twice\n"},
        {"nothing at all", "{}",
         "1:1: domain is missing\n1:1: secret_file is missing\n"
         "1:1: store is missing\n1:1: listeners is missing\n"
         "1:1: backends is missing\n1:1: templates is missing\n"},
        {"empty file", "", "1:1: the file is empty\n"},
        {"only a comment", "# a\n", "1:1: the file is empty\n"},
        {"a list", "- a\n", "1:1: the file: a mapping is needed, not a list\n"},
        {"list for a value", LEAST "access_log: [a]\n",
         "7:13: access_log: a single value is needed, not a list\n"},
        {"value for a list", TOP BACKENDS TEMPLATES "listeners: 8443\n",
         "6:12: listeners: a list is needed, not a single value\n"},
        {"value for a mapping", LEAST "log: \"-\"\n",
         "7:6: log: a mapping is needed, not a single value\n"},
        {"mapping for an entry", LEAST "direct_hosts: [{a: b}]\n",
         "7:16: direct_hosts: a single value is needed, not a mapping\n"},
        {"empty list", TOP LISTENERS BACKENDS "templates: []\n",
         "6:12: templates: between 1 and 1024 entries are needed\n"},
        {"list as a key", LEAST "? [a]\n: b\n",
         "7:3: key: a single value is needed, not a list\n"},
        {"tag", LEAST "access_log: !!int 1\n",
         "7:13: access_log: tags are not served\n"},
        {"no value", LEAST "access_log:\n",
         "7:12: access_log: a value is needed\n"},
        {"null", LEAST "access_log: ~\n",
         "7:13: access_log: a value is needed\n"},
        {"control character", LEAST "access_log: \"a\\x00b\"\n",
         "7:13: access_log: control characters are not allowed\n"},
        {"flag", LEAST "certificates: []\nstatus: {port: 0x50}\n",
         "8:16: port: a whole number is needed\n"},
        {"several at once, in the order of the file",
         "store: db\ndomain: A.test\nx: 1\n" LISTENERS
         "backends: [{name: box, url: \"http://127.0.0.1:1\", streams: 1, "
         "egress: yes}]\n" TEMPLATES,
         "1:1: secret_file is missing\n"
         "2:9: domain: a host name in small letters is needed\n"
         "3:1: unknown key x\n"
         "5:60: streams: must be between 2 and 100000\n"
         "5:71: egress: true or false is needed\n"},
        {"syntax", TOP "a: [\n",
         "5:1: syntax: did not find expected node content while parsing a "
         "flow node\n"},
        {"tabs", TOP "log:\n\tpath: x\n",
         "5:1: syntax: found character that cannot start any token while "
         "scanning for the next token\n"},
        {"not UTF-8", TOP "log: \xff\n", "4:6: invalid leading UTF-8 octet\n"},
        {"alias", TOP "x: &a [1]\ny: *a\n",
         "5:4: aliases (*a) are not "
         "served\n"},
        {"cycle", "a: &x [*x]\n", "1:8: aliases (*x) are not served\n"},
        {"two documents", LEAST "---\na: b\n", "7:1: a second document\n"},
        {"too deep", "a: [[[[[[[[[[[[[[[[[[[[\n", "1:19: nested too deeply\n"},
        {"port used twice",
         TOP BACKENDS TEMPLATES
         "listeners:\n- {address: \"::\", port: 1, tls: false}\n"
         "- {address: \"::\", port: 1, tls: false}\n",
         "8:25: port: entry 1 of listeners has the same address and port\n"},
        {"port of status used",
         TOP BACKENDS TEMPLATES
         "listeners: [{address: 127.0.0.1, port: 5, tls: false}]\n"
         "status: {port: 5}\n",
         "7:16: port: entry 1 of listeners has the same address and port\n"},
        {"blocks that are none",
         TOP BACKENDS TEMPLATES
         "listeners: [{address: \"::\", port: 1, tls: false, proxy_protocol: "
         "[10.0.0.1/8, lb.test, 10.0.0.0/33, \"\"]}]\n",
         "6:67: proxy_protocol: has a block with bits behind its prefix\n"
         "6:79: proxy_protocol: must be addresses or blocks such as "
         "192.0.2.0/24\n"
         "6:88: proxy_protocol: must be addresses or blocks such as "
         "192.0.2.0/24\n"
         "6:101: proxy_protocol: must be addresses or blocks such as "
         "192.0.2.0/24\n"},
        {"redirects through TLS and to none",
         TOP BACKENDS TEMPLATES
         "listeners:\n- {address: \"::\", port: 1, tls: false, redirect: "
         "true}\n",
         "7:50: redirect: no listener speaks TLS\n"},
        {"redirects through TLS",
         TOP BACKENDS TEMPLATES
         "listeners:\n- {address: \"::\", port: 1, redirect: true}\n"
         "certificates: [{cert: tls/cert.pem, key: tls/key.pem}]\n",
         "7:38: redirect: is for listeners with tls: false\n"},
        {"TLS without a certificate",
         TOP BACKENDS TEMPLATES "listeners: [{address: \"::\", port: 0}]\n",
         "6:13: tls: a certificate is needed, but certificates has none\n"},
        {"dangling back end",
         TOP LISTENERS BACKENDS "templates: [{id: a, backend: bix}]\n",
         "6:30: backend: no entry of backends has the name bix\n"},
        {"back end twice",
         TOP LISTENERS TEMPLATES
         "backends:\n- {name: box, url: \"http://127.0.0.1:1\"}\n"
         "- {name: box, url: \"http://127.0.0.1:2\"}\n",
         "8:10: name: entry 1 of backends has this name too\n"},
        {"template name twice",
         TOP LISTENERS BACKENDS
         "templates:\n- {id: a, backend: box, names: [b, b, a]}\n"
         "- {id: b, backend: box, names: [a]}\n",
         "7:32: names: b is here twice\n7:32: names: a is here twice\n"
         "8:8: id: entry 1 of templates has the name b too\n"
         "8:32: names: entry 1 of templates has the name a too\n"},
        {"team twice",
         LEAST "teams:\n- {name: a, sandboxes: 1, creates: 1}\n"
               "- {name: a, sandboxes: 2, creates: 2}\n",
         "9:10: name: entry 1 of teams has this name too\n"},
        {"team with half of its limits",
         LEAST "teams:\n- {name: a, sandboxes: 1}\n",
         "8:3: creates is missing in teams\n"},
        {"default above the maximum",
         LEAST "limits:\n  timeout_default: 2h\n  timeout_max: 1h\n",
         "8:20: timeout_default: is more than timeout_max\n"},
        {"default above the maximum, not written",
         LEAST "limits:\n  timeout_max: 1m\n",
         "8:3: timeout_default: is more than timeout_max\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf *c;

        cr_expect_eq(conf_file_load(str_of(rows[i].text), &c), E_BAD_FIELD,
                     "%s", rows[i].name);
        cr_expect(str_eq(buf_str(&conf_file_said), str_of(rows[i].said)),
                  "%s said:\n%.*s", rows[i].name,
                  STR_FMT(buf_str(&conf_file_said)));
        conf_unref(&c);
    }
}

/* One value in its place: NULL if it is right, else what is said of it. */
Test(conf, checks_values_to_the_edge_of_their_range)
{
    static const struct {
        const char *before, *value, *after, *said;
    } rows[] = {
#define LIMIT(key, value, said) {"limits: {" key ": ", value, "}\n", said}
#define HOSTS(value, said) \
    { \
        "direct_hosts: [", value, "]\n", said \
    }
        LIMIT("timeout_max", "1d", NULL),
        LIMIT("timeout_max", "365d", NULL),
        LIMIT("timeout_max", "366d", "timeout_max: must be between 1s and"),
        LIMIT("timeout_max", "31536001s", "timeout_max: must be between"),
        LIMIT("timeout_max", "99999999999999999d", "timeout_max: must be"),
        LIMIT("timeout_max", "99999999999999999999d", "timeout_max: a time"),
        LIMIT("timeout_max", "600", "timeout_max: a unit is needed"),
        LIMIT("timeout_max", "\"1d\"", "timeout_max: a number is needed, not"),
        LIMIT("timeout_max", "1 d", "timeout_max: a whole number"),
        LIMIT("timeout_max", "1.5h", "timeout_max: a whole number"),
        LIMIT("timeout_max", "-1s", "timeout_max: a time is needed"),
        LIMIT("timeout_max", "s", "timeout_max: a time is needed"),
        LIMIT("timeout_max", "1MiB", "timeout_max: a whole number"),
        LIMIT("drain", "0", NULL),
        LIMIT("drain", "0s", NULL),
        LIMIT("idle", "0", "idle: must be between 1s and 1d"),
        LIMIT("idle", "24h", NULL),
        LIMIT("idle", "86401s", "idle: must be between"),
        LIMIT("api_body", "1023B", "api_body: must be between 1KiB and 16MiB"),
        LIMIT("api_body", "1024B", NULL),
        LIMIT("api_body", "16385KiB", "api_body: must be between"),
        LIMIT("api_body", "16384KiB", NULL),
        LIMIT("api_body", "16383KiB", NULL),
        LIMIT("api_body", "1kB", "api_body: a whole number"),
        LIMIT("api_body", "1K", "api_body: a whole number"),
        LIMIT("files_max", "1TiB", NULL),
        LIMIT("files_max", "9999999TiB", "files_max: must be between"),
        LIMIT("connections", "1000000", NULL),
        LIMIT("connections", "1000001", "connections: must be between 0"),
        LIMIT("connections", "1_000", "connections: a whole number"),
        LIMIT("connections", "010", "connections: a whole number"),
        LIMIT("max_memory", "0", NULL),
        LIMIT("max_memory", "32MiB", NULL),
        LIMIT("max_memory", "33554431B", "max_memory: must be 0 or at least"),
        LIMIT("max_memory", "1TiB", NULL),
        LIMIT("team_sandboxes", "1000000", NULL),
        LIMIT("team_sandboxes", "1000001", "team_sandboxes: must be between"),
        LIMIT("team_creates", "0", NULL),
        LIMIT("team_creates", "1m", "team_creates: a whole number"),
        HOSTS("a", NULL),
        HOSTS("a-b.c9", NULL),
        HOSTS("\"::1\"", NULL),
        HOSTS("10.0.0.1", NULL),
        HOSTS("\"a:80\"", "direct_hosts: a host name without a port"),
        HOSTS("-a", "direct_hosts: a host name"),
        HOSTS("a-", "direct_hosts: a host name"),
        HOSTS("a..b", "direct_hosts: a host name"),
        HOSTS("a.", "direct_hosts: a host name"),
        HOSTS("a_b", "direct_hosts: a host name in small"),
        HOSTS("A", "direct_hosts: a host name in small"),
        HOSTS("\"\"", "direct_hosts: a host name"),
        {"access_log: ", "x.log", "\n", NULL},
        {"access_log: ", "/nowhere/x.log", "\n",
         "access_log: its directory is not there"},
        {"access_log: ", "x/", "\n", "access_log: a file is needed"},
        {"access_log: ", "tls", "\n", "access_log: a file is needed"},
        {"log: {path: ", "\"\"", "}\n", "path: a file or - is needed"},
        {"log: {path: ", "x.log", "}\n", NULL},
        {"log: {level: ", "debug", "}\n", NULL},
        {"log: {level: ", "loud", "}\n",
         "level: must be one of: debug info warn error"},
        {"status: {port: ", "0", "}\n", "port: must be between 1 and 65535"},
        {"status: {port: ", "1", "}\n", NULL},
        {"status: {port: ", "65535", "}\n", NULL},
        {"status: {port: ", "65536", "}\n", "port: must be between 1 and"},
        {"status: {port: 1, address: ", "0.0.0.0", "}\n", NULL},
        {"status: {port: 1, address: ", "\"fe80::1\"", "}\n", NULL},
        {"status: {port: 1, address: ", "localhost", "}\n",
         "address: an IP address is needed"},
        {"status: {port: 1, address: ", "127.1", "}\n",
         "address: an IP address is needed"},
        {"status: {port: 1, address: ", "\"[::1]\"", "}\n",
         "address: an IP address is needed"},
        {"certificates: [{key: tls/key.pem, cert: ", "tls/cert.pem", "}]\n",
         NULL},
        {"certificates: [{key: tls/key.pem, cert: ", "tls/none.pem", "}]\n",
         "cert: there is no such file"},
        {"certificates: [{key: tls/key.pem, cert: ", "tls", "}]\n",
         "cert: it is no plain file"},
        {"certificates: [{key: tls/key.pem, cert: ", "tls/cert.pem/x", "}]\n",
         "cert: a part of the path is no directory"},
        {"certificates: [{cert: tls/cert.pem, key: ", "tls/cert.pem", "}]\n",
         "key: others than its owner may read or write it"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf *c;
        struct buf text;
        enum err err;

        buf_init(&text, 1 << 16);
        buf_text(&text, "%s%s%s%s", LEAST, rows[i].before, rows[i].value,
                 rows[i].after);
        err = conf_file_load(buf_str(&text), &c);
        cr_expect_eq(err, rows[i].said ? E_BAD_FIELD : E_OK, "%s%s",
                     rows[i].before, rows[i].value);
        if (rows[i].said)
            cr_expect_neq(
                str_find_str(buf_str(&conf_file_said), str_of(rows[i].said)),
                buf_len(&conf_file_said), "%s%s said:\n%.*s", rows[i].before,
                rows[i].value, STR_FMT(buf_str(&conf_file_said)));
        conf_unref(&c);
        buf_clear(&text);
    }
}

Test(conf, checks_the_names_of_the_must_keys)
{
    static const char name64[] = "abcdefghijklmnopqrstuvwxyz012345"
                                 "abcdefghijklmnopqrstuvwxyz012345";
    static const struct {
        const char *domain, *url, *id, *said;
    } rows[] = {
        {"a", "http://10.0.0.1:80", "a", NULL},
        {"A.b", "http://10.0.0.1:80", "a", "domain: a host name in small"},
        {"10.0.0.1", "http://10.0.0.1:80", "a", "domain: a domain is needed"},
        {"a:80", "http://10.0.0.1:80", "a", "domain: a host name without"},
        {"a", "https://10.0.0.1:80", "a", "url: http://ADDRESS:PORT"},
        {"a", "http://10.0.0.1", "a", "url: a port is needed"},
        {"a", "http://10.0.0.1:0", "a", "url: a port is needed"},
        {"a", "http://10.0.0.1:65536", "a", "url: a port is needed"},
        {"a", "http://10.0.0.1:65535", "a", NULL},
        {"a", "http://10.0.0.1:1/v1", "a", "url: a port is needed"},
        {"a", "http://box:80", "a", "url: an IP address is needed"},
        {"a", "http://[::1]:80", "a", NULL},
        {"a", "http://[::1", "a", "url: a port is needed"},
        {"a", "http://[", "a", "url: a port is needed"},
        {"a", "http://", "a", "url: a port is needed"},
        {"a", "http://[]:1", "a", "url: an IP address"},
        {"a", "http://10.0.0.1:80", "A", "id: small letters"},
        {"a", "http://10.0.0.1:80", "_a", "id: small letters"},
        {"a", "http://10.0.0.1:80", "", "id: must not be empty"},
        {"a", "http://10.0.0.1:80", name64, NULL},
        {"a", "http://10.0.0.1:80",
         "abcdefghijklmnopqrstuvwxyz012345abcdefghijklmnopqrstuvwxyz0123456",
         "id: is too long"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf *c;
        struct buf text;

        buf_init(&text, 1 << 16);
        buf_text(&text,
                 "domain: '%s'\nsecret_file: secret.key\nstore: db\n" LISTENERS
                 "backends: [{name: box, url: '%s'}]\n"
                 "templates: [{backend: box, id: '%s'}]\n",
                 rows[i].domain, rows[i].url, rows[i].id);
        cr_expect_eq(conf_file_load(buf_str(&text), &c),
                     rows[i].said ? E_BAD_FIELD : E_OK, "row %zu", i);
        if (rows[i].said)
            cr_expect_neq(
                str_find_str(buf_str(&conf_file_said), str_of(rows[i].said)),
                buf_len(&conf_file_said), "row %zu said:\n%.*s", i,
                STR_FMT(buf_str(&conf_file_said)));
        conf_unref(&c);
        buf_clear(&text);
    }
}

Test(conf, takes_a_domain_as_long_as_names_below_it_allow)
{
    for (unsigned n = 188; n <= 190; n++) {
        struct conf *c;
        struct buf text;

        buf_init(&text, 1 << 16);
        buf_text(&text, "domain: ");
        for (unsigned i = 1; i <= n; i++)
            buf_byte(&text, i % 60 == 0 && i != n ? '.' : 'a');
        buf_text(&text,
                 "\nsecret_file: secret.key\nstore: db\n" LISTENERS BACKENDS
                     TEMPLATES);
        cr_expect_eq(conf_file_load(buf_str(&text), &c),
                     n > 189 ? E_BAD_FIELD : E_OK, "%u", n);
        conf_unref(&c);
        buf_clear(&text);
    }
}

Test(conf, makes_the_secret_of_hex_digits_or_of_32_bytes_and_more)
{
    static const struct {
        const char *name;
        struct str content;
        mode_t mode;
        unsigned char first, last;
        const char *said;
    } rows[] = {
#define HEX32 "000102030405060708090a0b0c0d0e0f"
        {"64 digits", STR(HEX32 HEX32), 0600, 0, 15, NULL},
        {"64 digits and a line end", STR(HEX32 HEX32 "\r\n"), 0400, 0, 15,
         NULL},
        {"32 bytes", STR(HEX32), 0600, 0xee, 0x07, NULL},
        {"31 bytes", STR("000102030405060708090a0b0c0d0e0"), 0600, 0, 0,
         "secret_file: the secret is too short"},
        {"31 bytes and a line end", STR("000102030405060708090a0b0c0d0e0\n"),
         0600, 0, 0, "secret_file: the secret is too short"},
        {"nothing", STR(""), 0600, 0, 0, "secret_file: the secret is too"},
        {"group reads", STR(HEX32 HEX32), 0640, 0, 0,
         "secret_file: others than its owner"},
        {"world reads", STR(HEX32 HEX32), 0604, 0, 0,
         "secret_file: others than its owner"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf *c;

        conf_file_write("secret.key", rows[i].content, rows[i].mode);
        cr_expect_eq(conf_file_load(STR(LEAST), &c),
                     rows[i].said ? E_BAD_FIELD : E_OK, "%s", rows[i].name);
        if (rows[i].said) {
            cr_expect_neq(
                str_find_str(buf_str(&conf_file_said), str_of(rows[i].said)),
                buf_len(&conf_file_said), "%s", rows[i].name);
            continue;
        }
        cr_expect_eq(c->secret[0], rows[i].first, "%s: %x", rows[i].name,
                     c->secret[0]);
        cr_expect_eq(c->secret[31], rows[i].last, "%s: %x", rows[i].name,
                     c->secret[31]);
        conf_unref(&c);
    }
}

Test(conf, refuses_a_secret_or_a_file_that_is_too_large)
{
    static char much[(1 << 20) + 1];
    struct conf *c;

    for (int more = -1; more <= 1; more++) {
        memset(much, 'x', sizeof(much));
        conf_file_write("secret.key", str_from(much, (size_t)(4096 + more)),
                        0600);
        cr_expect_eq(conf_file_load(STR(LEAST), &c),
                     more > 0 ? E_BAD_FIELD : E_OK);
        conf_unref(&c);
    }
    conf_file_write("secret.key", str_from(much, 4096), 0600);
    for (int more = -1; more <= 1; more++) {
        memset(much, '\n', sizeof(much));
        memcpy(much, LEAST, sizeof(LEAST) - 1);
        cr_expect_eq(
            conf_file_load(str_from(much, (size_t)((1 << 20) + more)), &c),
            more > 0 ? E_BAD_FIELD : E_OK, "%d", more);
        conf_unref(&c);
    }
}

Test(conf, ends_the_list_of_mistakes_somewhere)
{
    struct conf *c;
    struct buf text;
    unsigned lines = 0;

    buf_init(&text, 1 << 20);
    buf_put(&text, STR(LEAST));
    for (unsigned i = 0; i < 3000; i++)
        buf_text(&text, "k%u: 1\n", i);
    cr_expect_eq(conf_file_load(buf_str(&text), &c), E_BAD_FIELD);
    for (size_t i = 0; i < buf_len(&conf_file_said); i++)
        lines += buf_str(&conf_file_said).p[i] == '\n';
    cr_expect_eq(lines, 1001);
    cr_expect(str_ends(buf_str(&conf_file_said),
                       STR("there are more mistakes than are told\n")));
    buf_clear(&text);
}

Test(conf, says_what_the_system_said_when_the_file_is_not_there)
{
    struct conf_report report = {0};
    struct conf *c;

    cr_expect_eq(conf_load("/nowhere/x.yaml", &report, &c), E_SYSTEM);
    cr_expect_eq(errno, ENOENT);
    cr_expect_null(c);
    cr_expect_eq(conf_load("/tmp", &report, &c), E_SYSTEM);
    cr_expect_eq(errno, EISDIR);
    cr_expect_eq(report.count, 0);
}

Test(conf, says_no_memory_for_every_refused_allocation)
{
    static const char *const texts[] = {LEAST, LEAST "a: 1\n"};

    for (unsigned i = 0; i < 2; i++) {
        enum err err = E_NOMEM;

        for (long n = 0; err == E_NOMEM; n++) {
            struct conf *c;

            cr_assert_lt(n, 100);
            mem_refuse(n);
            err = conf_file_load(str_of(texts[i]), &c);
            mem_refuse(-1);
            conf_unref(&c);
        }
        cr_expect_eq(err, i ? E_BAD_FIELD : E_OK);
    }
}

/* What a print writes, and what a file of the source tree holds. */
static bool same_as_file(void (*print)(FILE *out), const char *name,
                         struct buf *made)
{
    char path[500], *text = NULL;
    size_t n = 0, got;
    FILE *out = open_memstream(&text, &n), *in;
    bool same;

    cr_assert_not_null(out);
    print(out);
    fclose(out);
    buf_put(made, str_from(text, n));
    free(text);
    snprintf(path, sizeof(path), "%s/%s", TOP_SRCDIR, name);
    in = fopen(path, "r");
    cr_assert_not_null(in, "%s", path);
    text = malloc(1 << 16);
    got = fread(text, 1, 1 << 16, in);
    fclose(in);
    same = str_eq(buf_str(made), str_from(text, got));
    free(text);
    return same;
}

Test(conf, prints_the_example_that_is_in_docs_and_passes_its_own_check)
{
    struct conf *c;
    struct buf text;

    buf_init(&text, 1 << 16);
    cr_expect(
        same_as_file(conf_print_example, "docs/sandgate.example.yaml", &text),
        "make docs writes it anew");
    cr_expect_eq(conf_file_load(buf_str(&text), &c), E_OK, "%.*s",
                 STR_FMT(buf_str(&conf_file_said)));
    conf_unref(&c);
    buf_clear(&text);
}

Test(conf, prints_the_reference_that_is_in_docs)
{
    struct buf text;

    buf_init(&text, 1 << 16);
    cr_expect(
        same_as_file(conf_print_reference, "docs/configuration.md", &text),
        "make docs writes it anew");
    buf_clear(&text);
}
