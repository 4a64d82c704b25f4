#include <criterion/criterion.h>

#include "base/mem.h"
#include "preview/check.h"
#include "preview/cookie.h"
#include "tests/unit/preview_make.h"

#define HOST "3000-i0abc.p.example"

/* What is asked for, and what the records say. */
struct case_of {
    struct arena *arena;
    struct request_head head;
    struct preview_request request;
    enum preview_standing standing;
    unsigned asked;
    struct preview_verdict verdict;
};

static enum preview_standing ask(void *arg, const struct link *link,
                                 enum preview_source source)
{
    struct case_of *c = arg;

    (void)source;
    cr_expect_str_eq(link->sandbox, "i0abc");
    c->asked++;
    return c->standing;
}

/* A GET of / on the link's own host. */
static void begin(struct case_of *c)
{
    memset(c, 0, sizeof(*c));
    cr_assert_eq(arena_new(1 << 20, &c->arena), E_OK);
    c->head.method = METHOD_GET;
    c->head.target = STR("/");
    c->head.path = STR("/");
    c->head.host = STR(HOST);
    c->head.tls = true;
    c->head.peer = STR("192.0.2.7");
    c->request = (struct preview_request){.head = &c->head,
                                          .sandbox = STR("i0abc"),
                                          .life = 7,
                                          .port = 3000,
                                          .now_s = NOW_S,
                                          .ask = ask,
                                          .arg = c};
}

static void field(struct case_of *c, const char *name, struct str value)
{
    cr_assert_eq(fields_add(&c->head.fields, c->arena, str_of(name), value),
                 E_OK);
}

static struct str text(struct case_of *c, const char *before,
                       const struct buf *token, const char *behind)
{
    return arena_text(c->arena, "%s%.*s%s", before, STR_FMT(buf_str(token)),
                      behind);
}

static enum err check(struct case_of *c)
{
    preview_check(&c->request, preview_make_conf(), &c->verdict);
    return c->verdict.err;
}

static void end(struct case_of *c)
{
    arena_free(&c->arena);
}

/* Where a token can stand. */
enum place { QUERY, BEARER, HEADER, OFFERED, COOKIE, PLACES };

static void put(struct case_of *c, enum place place, const struct buf *token)
{
    switch (place) {
    case QUERY:
        c->head.query =
            c->head.query.p
                ? arena_text(c->arena, "%.*s&token=%.*s",
                             STR_FMT(c->head.query), STR_FMT(buf_str(token)))
                : text(c, "token=", token, "");
        break;
    case BEARER:
        field(c, "Authorization", text(c, "Bearer ", token, ""));
        break;
    case HEADER:
        field(c, "E2b-Traffic-Access-Token", text(c, "", token, ""));
        break;
    case OFFERED:
        field(c, "Sec-WebSocket-Protocol",
              text(c, "vite-hmr, sandgate-token.", token, ", sandgate"));
        break;
    case COOKIE:
        field(c, "Cookie", text(c, "a=b; " PREVIEW_COOKIE "=", token, "; c=d"));
        break;
    case PLACES:
    default:
        break;
    }
}

/* The token of a link as it stands there. */
static struct buf token_for(enum place place, const struct link *link,
                            const char *host)
{
    return place == COOKIE
               ? preview_make_cookie(preview_make_conf(), link, host)
               : preview_make_token(preview_make_conf(), link);
}

static void put_link(struct case_of *c, enum place place,
                     const struct link *link)
{
    struct buf token = token_for(place, link, HOST);

    put(c, place, &token);
    buf_clear(&token);
}

static void put_text(struct case_of *c, enum place place, const char *value)
{
    struct buf token;

    buf_init(&token, 4096);
    buf_put(&token, str_of(value));
    put(c, place, &token);
    buf_clear(&token);
}

/* ---- one token ---- */

Test(preview_check, admits_by_a_token_in_each_place)
{
    static const enum preview_source sources[] = {
        PREVIEW_QUERY, PREVIEW_BEARER, PREVIEW_HEADER, PREVIEW_OFFERED,
        PREVIEW_OF_COOKIE};
    struct link link = preview_make_link();

    for (int place = 0; place < PLACES; place++) {
        struct case_of c;

        begin(&c);
        put_link(&c, (enum place)place, &link);
        cr_expect_eq(check(&c), E_OK, "place %d: %s", place,
                     err_name(c.verdict.err));
        cr_expect_eq(c.verdict.source, sources[place]);
        cr_expect_str_eq(c.verdict.link.id, LINK_ID);
        cr_expect_eq(c.verdict.link.port, 3000);
        cr_expect_eq(c.asked, 1);
        cr_expect_not(c.verdict.use);
        cr_expect_not(c.verdict.expire);
        end(&c);
    }
}

Test(preview_check, says_that_a_token_is_missing)
{
    struct case_of c;

    begin(&c);
    cr_expect_eq(check(&c), E_TOKEN_MISSING);
    field(&c, "Cookie", STR("session=x; sandgate-preview=y"));
    c.head.query = STR("a=1&xtoken=2&token2=3&token=&token");
    cr_expect_eq(check(&c), E_TOKEN_MISSING);
    c.head.query = STR("token=5ee0");
    cr_expect_eq(check(&c), E_TOKEN_INVALID);
    cr_expect_eq(c.asked, 0);
    end(&c);
}

/* P-03, P-12: what the link is for, against what is asked for. */
static void other_sandbox(struct case_of *c, struct link *l)
{
    (void)c;
    memcpy(l->sandbox, "i0abd", 6);
}

static void other_port(struct case_of *c, struct link *l)
{
    (void)c;
    l->port = 3001;
}

static void other_life(struct case_of *c, struct link *l)
{
    (void)c;
    l->life = 6;
}

static void other_link_host(struct case_of *c, struct link *l)
{
    (void)l;
    c->request.link = STR("lzzzzzzzzzzzzzzzzzzzzzzzzz");
}

static void own_link_host(struct case_of *c, struct link *l)
{
    (void)l;
    c->request.link = STR(LINK_ID);
}

static void no_port(struct case_of *c, struct link *l)
{
    c->request.port = 0;
    l->port = 8000;
}

static void envd_port(struct case_of *c, struct link *l)
{
    c->request.port = l->port = 49983;
}

static void past(struct case_of *c, struct link *l)
{
    (void)c;
    l->expires_s = NOW_S;
}

static void revoked(struct case_of *c, struct link *l)
{
    (void)l;
    c->standing = PREVIEW_REVOKED;
}

static void used_up(struct case_of *c, struct link *l)
{
    (void)l;
    c->standing = PREVIEW_USED_UP;
}

static void unknown(struct case_of *c, struct link *l)
{
    (void)l;
    c->standing = PREVIEW_UNKNOWN;
}

static void method(struct case_of *c, struct link *l)
{
    c->head.method = METHOD_HEAD;
    l->scopes.methods = 1U << METHOD_GET;
}

static void methods(struct case_of *c, struct link *l)
{
    c->head.method = METHOD_HEAD;
    l->scopes.methods = 1U << METHOD_GET | 1U << METHOD_HEAD;
}

static void cidr(struct case_of *c, struct link *l)
{
    (void)c;
    l->scopes.cidrs[0] =
        (struct address_block){.bits = 24, .bytes = {192, 0, 3}};
    l->scopes.cidr_count = 1;
}

static void cidrs(struct case_of *c, struct link *l)
{
    cidr(c, l);
    l->scopes.cidrs[1] =
        (struct address_block){.bits = 24, .bytes = {192, 0, 2}};
    l->scopes.cidr_count = 2;
}

static void no_websocket(struct case_of *c, struct link *l)
{
    c->head.upgrade = true;
    field(c, "Origin", STR("https://" HOST));
    l->scopes.websocket = false;
}

static void websocket(struct case_of *c, struct link *l)
{
    c->head.upgrade = true;
    field(c, "Origin", STR("https://" HOST));
    (void)l;
}

static const struct {
    const char *name;
    void (*change)(struct case_of *c, struct link *l);
    enum err err;
} target_rows[] = {
    {"another sandbox", other_sandbox, E_TOKEN_WRONG_TARGET},
    {"another port", other_port, E_TOKEN_WRONG_TARGET},
    {"another life", other_life, E_TOKEN_REVOKED},
    {"another link's host", other_link_host, E_TOKEN_WRONG_TARGET},
    {"its own host", own_link_host, E_OK},
    {"a host that names no port", no_port, E_OK},
    {"the daemon's port", envd_port, E_TOKEN_WRONG_TARGET},
    {"revoked", revoked, E_TOKEN_REVOKED},
    {"used up", used_up, E_TOKEN_EXPIRED},
    {"the records cannot tell", unknown, E_STORE},
    {"another method", method, E_TOKEN_WRONG_TARGET},
    {"one of its methods", methods, E_OK},
    {"another network", cidr, E_TOKEN_WRONG_TARGET},
    {"one of its networks", cidrs, E_OK},
    {"a WebSocket, not covered", no_websocket, E_TOKEN_WRONG_TARGET},
    {"a WebSocket", websocket, E_OK},
};

Test(preview_check, holds_a_link_against_what_is_asked_for)
{
    for (size_t i = 0; i < sizeof(target_rows) / sizeof(*target_rows); i++)
        for (int place = 0; place < PLACES; place++) {
            struct link link = preview_make_link();
            struct case_of c;

            begin(&c);
            target_rows[i].change(&c, &link);
            put_link(&c, (enum place)place, &link);
            cr_expect_eq(check(&c), target_rows[i].err, "%s, place %d: %s",
                         target_rows[i].name, place, err_name(c.verdict.err));
            if (c.verdict.err != E_OK)
                cr_expect_str_eq(c.verdict.link.id, "");
            else
                cr_expect_eq(c.verdict.link.life, 7);
            if (c.verdict.err == E_TOKEN_WRONG_TARGET)
                cr_expect_not_null(c.verdict.text);
            end(&c);
        }
}

Test(preview_check, tells_an_expired_token_from_an_invalid_one)
{
    struct link link = preview_make_link();
    struct case_of c;

    for (int place = 0; place < COOKIE; place++) {
        begin(&c);
        past(&c, &link);
        put_link(&c, (enum place)place, &link);
        cr_expect_eq(check(&c), E_TOKEN_EXPIRED);
        cr_expect_eq(c.asked, 0);
        end(&c);
    }
    link = preview_make_link();
    begin(&c);
    put_link(&c, COOKIE, &link);
    c.request.now_s = link.expires_s;
    cr_expect_eq(check(&c), E_TOKEN_EXPIRED);
    cr_expect(c.verdict.expire, "the browser is told to forget it");
    end(&c);
}

Test(preview_check, takes_the_sandbox_servers_form_for_the_present_life)
{
    struct link link = preview_make_link();
    struct buf token = preview_make_mitos(preview_make_conf(), &link);
    struct case_of c;

    for (int place = 0; place < COOKIE; place++) {
        begin(&c);
        put(&c, (enum place)place, &token);
        cr_expect_eq(check(&c), E_OK, "place %d", place);
        cr_expect_eq(c.verdict.link.life, 7);
        cr_expect_str_eq(c.verdict.link.id, "");
        /* The cookie made of it holds for this life only. */
        link = c.verdict.link;
        end(&c);
        begin(&c);
        put_link(&c, COOKIE, &link);
        cr_expect_eq(check(&c), E_OK);
        c.request.life = 8;
        cr_expect_eq(check(&c), E_TOKEN_REVOKED);
        cr_expect(c.verdict.expire);
        end(&c);
    }
    begin(&c);
    put(&c, QUERY, &token);
    c.request.link = STR(LINK_ID);
    cr_expect_eq(check(&c), E_TOKEN_WRONG_TARGET);
    end(&c);
    buf_clear(&token);
}

/* ---- several tokens: P-06 ---- */

Test(preview_check, lets_the_first_bad_one_of_several_decide)
{
    struct link good = preview_make_link(), port = good, dead = good;

    port.port = 3001;
    dead.expires_s = NOW_S - 1;
    for (int a = 0; a < PLACES; a++)
        for (int b = 0; b < PLACES; b++) {
            struct case_of c;

            if (a == b && a != QUERY)
                continue;
            begin(&c); /* both good */
            put_link(&c, (enum place)a, &good);
            put_link(&c, (enum place)b, &good);
            cr_expect_eq(check(&c), E_OK, "%d %d", a, b);
            cr_expect_eq(c.asked, 2);
            end(&c);
            begin(&c); /* one for another port */
            put_link(&c, (enum place)a, &good);
            put_link(&c, (enum place)b, &port);
            cr_expect_eq(check(&c), E_TOKEN_WRONG_TARGET, "%d %d", a, b);
            end(&c);
            if (b == COOKIE)
                continue;
            begin(&c); /* one expired */
            put_link(&c, (enum place)a, &good);
            put_link(&c, (enum place)b, &dead);
            cr_expect_eq(check(&c), E_TOKEN_EXPIRED, "%d %d", a, b);
            end(&c);
            begin(&c); /* one that only looks like one */
            put_link(&c, (enum place)a, &good);
            put_text(&c, (enum place)b, "sgl1_AAAA");
            cr_expect_eq(check(&c), E_TOKEN_INVALID, "%d %d", a, b);
            end(&c);
        }
}

Test(preview_check, leaves_what_apps_send_to_them)
{
    static const struct {
        enum place place;
        const char *value;
    } rows[] = {{QUERY, "A5ObJu9HXn-L"}, /* Vite's sockets */
                {QUERY, "5ee0"},         /* Jupyter's links */
                {QUERY, "a.b"},
                {BEARER, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"},
                {BEARER, "secret"},
                {HEADER, "0123456789abcdef"}};
    struct link link = preview_make_link();

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct case_of c;

        begin(&c);
        put_text(&c, rows[i].place, rows[i].value);
        cr_expect_eq(check(&c), E_TOKEN_INVALID, "nothing else came");
        put_link(&c, COOKIE, &link);
        cr_expect_eq(check(&c), E_OK, "it is the app's own");
        end(&c);
    }
    /* One of ours that somebody bent is not the app's. */
    {
        struct case_of c;

        begin(&c);
        put_text(&c, QUERY, "%73gl1_x");
        put_link(&c, COOKIE, &link);
        cr_expect_eq(check(&c), E_TOKEN_INVALID);
        end(&c);
    }
    cr_expect(preview_check_ours(STR("Bearer sgl1_x")));
    cr_expect(preview_check_ours(STR("bearer  sgl1_x")));
    cr_expect(preview_check_ours(STR("sgl1_x")));
    cr_expect(preview_check_ours(STR("eyJzIjoiYSJ9.AAAA")));
    cr_expect_not(preview_check_ours(STR("Basic sgl1_x")));
    cr_expect_not(preview_check_ours(STR("Bearer eyJhbGciOiJI.a.b")));
    cr_expect_not(preview_check_ours(STR("")));
}

Test(preview_check, refuses_more_tokens_than_anybody_sends)
{
    struct link link = preview_make_link();
    struct case_of c;

    begin(&c);
    for (int i = 0; i < 8; i++)
        put_link(&c, QUERY, &link);
    cr_expect_eq(check(&c), E_OK);
    put_link(&c, QUERY, &link);
    cr_expect_eq(check(&c), E_TOKEN_INVALID);
    end(&c);
}

Test(preview_check, lets_a_cookie_give_way_where_the_host_names_no_port)
{
    struct link link = preview_make_link(), other = link;
    struct case_of c;

    other.port = 8000;
    begin(&c);
    c.request.port = 0;
    put_link(&c, COOKIE, &link);
    put_link(&c, QUERY, &other);
    cr_expect_eq(check(&c), E_OK);
    cr_expect_eq(c.verdict.link.port, 8000);
    cr_expect_eq(c.verdict.source, PREVIEW_QUERY);
    put_link(&c, BEARER, &link);
    cr_expect_eq(check(&c), E_TOKEN_WRONG_TARGET);
    end(&c);
}

/* ---- cookies ---- */

/* P-09 */
Test(preview_check, takes_two_cookies_of_our_name_for_none)
{
    struct link link = preview_make_link();
    struct case_of c;

    begin(&c);
    put_link(&c, COOKIE, &link);
    field(&c, "Cookie", STR("x=y; " PREVIEW_COOKIE "=tossed"));
    cr_expect_eq(check(&c), E_TOKEN_MISSING);
    cr_expect(c.verdict.expire);
    put_link(&c, QUERY, &link);
    cr_expect_eq(check(&c), E_OK);
    cr_expect(c.verdict.expire);
    end(&c);
}

Test(preview_check, takes_a_cookie_for_the_host_that_it_was_made_for)
{
    struct link link = preview_make_link();
    struct buf token =
        preview_make_cookie(preview_make_conf(), &link, "3000-i0abc.q.example");
    struct case_of c;

    begin(&c);
    put(&c, COOKIE, &token);
    cr_expect_eq(check(&c), E_TOKEN_INVALID);
    cr_expect(c.verdict.expire);
    end(&c);
    buf_clear(&token);
    begin(&c); /* a token is no cookie */
    token = preview_make_token(preview_make_conf(), &link);
    put(&c, COOKIE, &token);
    cr_expect_eq(check(&c), E_TOKEN_INVALID);
    end(&c);
    buf_clear(&token);
}

Test(preview_check, forgets_a_cookie_only_when_it_is_good_for_nothing)
{
    struct link link = preview_make_link();
    struct case_of c;

    begin(&c); /* the method is not covered, others are */
    link.scopes.methods = 1U << METHOD_POST;
    put_link(&c, COOKIE, &link);
    cr_expect_eq(check(&c), E_TOKEN_WRONG_TARGET);
    cr_expect_not(c.verdict.expire);
    c.head.method = METHOD_POST;
    c.standing = PREVIEW_UNKNOWN;
    cr_expect_eq(check(&c), E_STORE);
    cr_expect_not(c.verdict.expire);
    c.standing = PREVIEW_REVOKED;
    cr_expect_eq(check(&c), E_TOKEN_REVOKED);
    cr_expect(c.verdict.expire);
    end(&c);
}

Test(preview_check, counts_uses_of_the_token_and_not_of_the_cookie)
{
    struct link link = preview_make_link();

    link.scopes.uses_max = 3;
    for (int place = 0; place < PLACES; place++) {
        struct case_of c;

        begin(&c);
        put_link(&c, (enum place)place, &link);
        cr_expect_eq(check(&c), E_OK);
        cr_expect_eq(c.verdict.use, place != COOKIE);
        end(&c);
    }
}

/* ---- origins: P-11 ---- */

static const struct {
    const char *name, *origin, *host; /* Host with its port; NULL none */
    bool tls;
    bool same;
} origin_rows[] = {
    {"the host", "https://" HOST, HOST, true, true},
    {"the host, without Host", "https://" HOST, NULL, true, true},
    {"in capitals", "HTTPS://3000-I0ABC.P.EXAMPLE", HOST, true, true},
    {"with the default port", "https://" HOST ":443", HOST, true, true},
    {"with the port", "https://" HOST ":8443", HOST ":8443", true, true},
    {"without TLS here", "http://" HOST ":8080", HOST ":8080", false, true},
    {"TLS ends before us", "https://" HOST, HOST, false, true},
    {"plain where there is TLS", "http://" HOST, HOST, true, false},
    {"another port", "https://" HOST ":8444", HOST ":8443", true, false},
    {"no port but Host's", "https://" HOST, HOST ":8443", true, false},
    {"a sibling", "https://3000-i0abd.p.example", HOST, true, false},
    {"below it", "https://x." HOST, HOST, true, false},
    {"its beginning", "https://" HOST ".evil", HOST, true, false},
    {"a path behind", "https://" HOST "/", HOST, true, false},
    {"null", "null", HOST, true, false},
    {"empty", "", HOST, true, false},
    {"no scheme", HOST, HOST, true, false},
    {"another scheme", "wss://" HOST, HOST, true, false},
};

Test(preview_check, wants_the_hosts_origin_of_a_websocket_by_cookie)
{
    struct link link = preview_make_link();

    for (size_t i = 0; i < sizeof(origin_rows) / sizeof(*origin_rows); i++)
        for (int place = 0; place < PLACES; place++) {
            struct case_of c;
            bool refused = !origin_rows[i].same && place == COOKIE;

            begin(&c);
            c.head.upgrade = true;
            c.head.tls = origin_rows[i].tls;
            put_link(&c, (enum place)place, &link);
            field(&c, "Origin", str_of(origin_rows[i].origin));
            if (origin_rows[i].host)
                field(&c, "Host", str_of(origin_rows[i].host));
            cr_expect_eq(check(&c), refused ? E_ORIGIN : E_OK, "%s, place %d",
                         origin_rows[i].name, place);
            cr_expect_not(c.verdict.expire);
            end(&c);
        }
}

Test(preview_check, wants_one_origin)
{
    struct link link = preview_make_link();
    struct case_of c;

    begin(&c);
    c.head.upgrade = true;
    put_link(&c, COOKIE, &link);
    cr_expect_eq(check(&c), E_ORIGIN, "none");
    field(&c, "Origin", STR("https://" HOST));
    cr_expect_eq(check(&c), E_OK);
    field(&c, "Origin", STR("https://evil.example"));
    cr_expect_eq(check(&c), E_ORIGIN, "two");
    end(&c);
}

/* Siblings are of one site: SameSite does not keep their requests apart. */
Test(preview_check, lets_no_sibling_change_anything_by_the_cookie)
{
    static const struct {
        const char *origin;
        bool sibling, ok;
    } rows[] = {
        {NULL, false, true},
        {"https://" HOST, false, true},
        {"https://8000-i0abc.p.example", true, true}, /* its back end's page */
        {"https://3000-i0abd.p.example", false, false},
        {"https://evil.example", false, false},
        {"https://8000-i0abc.p.example.evil", false, false},
        {"null", false, false},
    };
    struct link link = preview_make_link();

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (int m = 0; m < METHOD_COUNT; m++) {
            struct case_of c;
            bool safe =
                m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS;

            begin(&c);
            c.head.method = (enum method)m;
            c.request.sibling = rows[i].sibling;
            put_link(&c, COOKIE, &link);
            if (rows[i].origin)
                field(&c, "Origin", str_of(rows[i].origin));
            cr_expect_eq(check(&c), rows[i].ok || safe ? E_OK : E_ORIGIN,
                         "%s, method %d", rows[i].origin, m);
            end(&c);
        }
}

/* ---- memory ---- */

Test(preview_check, says_no_memory_for_every_refused_allocation)
{
    struct link link = preview_make_link();

    for (int place = 0; place < PLACES; place++) {
        enum err err = E_NOMEM;
        struct case_of c;

        begin(&c);
        put_link(&c, (enum place)place, &link);
        for (long n = 0; err == E_NOMEM; n++) {
            cr_assert_lt(n, 20);
            mem_refuse(n);
            err = check(&c);
            mem_refuse(-1);
        }
        cr_expect_eq(err, E_OK);
        end(&c);
    }
}
