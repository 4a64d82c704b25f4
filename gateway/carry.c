/* carry.c - see carry.h.
 *
 * The target goes on byte for byte over a forward; over the back end's HTTP
 * proxy behind its prefix.  Nothing is buffered but what net keeps, and
 * nothing is sent twice that may have run. */
#include "gateway/carry.h"

#include "auth/key.h"
#include "auth/token.h"
#include "base/clock.h"
#include "gateway/exchange.h"
#include "gateway/hygiene.h"
#include "gateway/preview_fields.h"
#include "gateway/worker.h"
#include "preview/token.h"

#define CONNECT_MS 3000 /* threats.md U-13 */
/* A client that closed its half of a tunnel is told to the app when nothing has
 * come from there for so long.  The sandbox server carries no half-close, it
 * ends both halves, so an answer under way would be lost.  Source:
 * mitos-sandbox-server.md 1.8. */
#define QUIET_MS 2000
/* The longest text that the proxy has for a 502 of its own. */
#define SEEN_MAX 64

/* ---- endings ---- */

void carry_release(struct exchange *x)
{
    struct carry *c = &x->carry;

    call_free(&c->call);
    port_leave(&c->lease);
    buf_clear(&c->seen);
}

/* The call is over in a way that the client must not take for an end. */
static void give_up(struct exchange *x, enum err why)
{
    call_free(&x->carry.call);
    exchange_fail(x, why);
}

/* What a call that never brought a head says about the port.  Source:
 * mitos-sandbox-server.md 1.8: a closed port is accepted and then closed. */
static enum err cut_means(struct call_facts facts, enum err why)
{
    if (why == E_BACKEND_DOWN)
        return E_PORT_CLOSED;
    if (why == E_CUT && facts.connected && !facts.answered && !facts.reused)
        return E_PORT_CLOSED;
    return why;
}

/* ---- the upstream's events ---- */

/* What the sandbox's own metadata say.  Source: README.md */
static bool says(const struct exchange *x, struct str member)
{
    struct str text = x->record->metadata;

    return str_find_str(text, member) < text.n;
}

/* Are search engines told to keep away?  The link's word comes before the
 * sandbox's, that before the configuration's, which is for previews only. */
static bool is_hidden(const struct exchange *x)
{
    enum link_index index =
        x->visit ? x->visit->link.scopes.index : LINK_INDEX_AS_CONFIGURED;

    if (index != LINK_INDEX_AS_CONFIGURED)
        return index == LINK_INDEX_NO;
    if (says(x, STR("\"sandgate.noindex\":\"true\"")))
        return true;
    return x->visit && x->conf->preview.noindex &&
           !says(x, STR("\"sandgate.noindex\":\"false\""));
}

/* What a browser gets besides what the app said. */
MUST_USE static enum err add_for_browser(struct exchange *x,
                                         struct fields *fields)
{
    const struct fields *in = &x->head->fields;
    enum err err;

    preview_fields_single(fields, fields_get(in, STR("origin")));
    err = preview_fields_answer(fields, x->arena, is_hidden(x),
                                x->carry.tunnel && x->carry.named);
    for (unsigned i = 0; i < x->back.count && err == E_OK; i++)
        err = fields_add(fields, x->arena, x->back.at[i].name,
                         x->back.at[i].value);
    return err;
}

/* A stream of events has no end of its own. */
static bool is_events(const struct answer_head *head)
{
    struct str type = fields_get(&head->fields, STR("content-type"));

    return type.p &&
           str_ieq(str_trim(str_cut(&type, ';')), STR("text/event-stream"));
}

/* The answer's head, cleaned.  A body that is still to come is not waited
 * for: net ends the connection with this answer then (threats.md U-12). */
static void say_head(struct exchange *x, const struct answer_head *head)
{
    struct answer_head clean = {
        .status = head->status,
        .reason = head->reason,
        .length = head->length == LENGTH_CLOSE ? LENGTH_CHUNKED : head->length};
    enum err err = hygiene_answer(head, x->arena, &clean.fields);

    x->passenger.lasting = x->carry.tunnel || is_events(head);
    if (err == E_OK)
        err = add_for_browser(x, &clean.fields);
    if (err == E_OK)
        err = exchange_say_head(x, &clean);
    if (err)
        give_up(x, err);
}

/* A copy that lives as long as the exchange, to be said when a 502 of the
 * proxy turned out to be the app's own. */
static void hold_head(struct exchange *x, const struct answer_head *head)
{
    struct carry *c = &x->carry;
    struct answer_head *held = arena_new_zero(x->arena, sizeof(*held));
    enum err err = held ? E_OK : E_NOMEM;

    for (unsigned i = 0; i < head->fields.count && err == E_OK; i++)
        err = fields_add(&held->fields, x->arena,
                         arena_copy(x->arena, head->fields.at[i].name),
                         arena_copy(x->arena, head->fields.at[i].value));
    if (err) {
        give_up(x, err);
        return;
    }
    held->status = head->status;
    held->length = head->length;
    c->held = held;
    buf_init(&c->seen, SEEN_MAX);
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct exchange *x = arg;
    struct carry *c = &x->carry;

    if (head->status == 101) {
        /* From now on the client's end is its half of the tunnel. */
        c->tunnel = true;
        c->client_told = false;
        x->facts &= ~(unsigned)FACT_BODY_ENDED;
    }
    if (c->exposed && head->status == 502 && head->length <= SEEN_MAX)
        hold_head(x, head);
    else
        say_head(x, head);
    if (c->tunnel)
        exchange_listen(x, true);
}

static void say_piece(struct exchange *x, struct str piece)
{
    struct carry *c = &x->carry;

    if (c->heard_ms)
        c->heard_ms = clock_ms();
    c->full = !stream_say(x->stream, piece);
    if (c->full)
        call_pause(c->call, PAUSE_FULL);
}

/* The 502 has a body: it is the app's. */
static void let_go(struct exchange *x)
{
    struct carry *c = &x->carry;
    struct answer_head *held = c->held;

    c->held = NULL;
    say_head(x, held);
    if (x->told == TOLD_HEAD && buf_len(&c->seen))
        say_piece(x, buf_str(&c->seen));
}

static void on_piece(void *arg, struct str piece)
{
    struct exchange *x = arg;
    struct carry *c = &x->carry;

    if (c->held && piece.n + buf_len(&c->seen) <= SEEN_MAX) {
        buf_put(&c->seen, piece);
        return;
    }
    if (c->held)
        let_go(x);
    if (x->told == TOLD_HEAD)
        say_piece(x, piece);
}

/* The proxy's 502 is complete: what it means. */
static void held_ended(struct exchange *x)
{
    struct str body = buf_str(&x->carry.seen);

    if (body.n == 0)
        give_up(x, E_PORT_CLOSED);
    else if (str_starts(body, STR("no route to guest port")))
        give_up(x, E_SANDBOX_UNKNOWN);
    else
        let_go(x);
}

static void on_end(void *arg)
{
    struct exchange *x = arg;
    struct carry *c = &x->carry;

    if (c->held)
        held_ended(x);
    if (x->why || x->told != TOLD_HEAD)
        return;
    c->upstream_ended = true;
    stream_say_end(x->stream);
    if (!c->tunnel) {
        x->told = TOLD_ALL;
        call_free(&c->call);
        port_leave(&c->lease);
    }
    exchange_advance(x);
}

static void on_cut(void *arg, enum err why)
{
    struct exchange *x = arg;
    struct carry *c = &x->carry;
    struct call_facts facts = call_facts(c->call);

    if (c->tunnel && c->upstream_ended) {
        /* It had said all; what the client says now is of no use. */
        call_free(&c->call);
        x->told = TOLD_ALL;
        stream_close_after(x->stream);
        exchange_advance(x);
        return;
    }
    if (why == E_BACKEND_DOWN && !c->exposed)
        port_forget(c->lease);
    if (x->told == TOLD_NOTHING && !c->held) {
        /* Nothing went out: a forward that is no longer there is asked for
         * once more. */
        if (why == E_BACKEND_DOWN && !c->exposed && !c->retried) {
            call_free(&c->call);
            port_leave(&c->lease);
            c->aimed = false;
            c->retried = true;
            exchange_advance(x);
            return;
        }
        why = c->exposed ? why : cut_means(facts, why);
    }
    give_up(x, why);
}

static void on_room(void *arg)
{
    exchange_listen(arg, true);
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

/* ---- the call ---- */

/* Is it one of our secrets?  By value: the same field with another value is
 * the app's own.  Source: threats.md X-06. */
static bool is_secret(void *arg, struct str value)
{
    struct exchange *x = arg;
    unsigned char hash[KEY_HASH_BYTES];
    struct link link;
    struct key key;
    enum err err;

    if (preview_token_like(value)) {
        err = preview_token_verify(&x->conf->preview, value,
                                   clock_wall_ms() / 1000, &link);
        return err == E_OK || err == E_TOKEN_EXPIRED;
    }
    if (value.n == AUTH_TOKEN_LENGTH) {
        exchange_make_tokens(x);
        return auth_token_same(value, x->envd_token) ||
               auth_token_same(value, x->traffic_token);
    }
    if (!auth_key_ok(value))
        return false;
    auth_key_hash(value, x->conf->secret, hash);
    return store_find_key(x->worker->store, hash, &key) != ABSENT;
}

static bool is_safe(enum method method)
{
    return method == METHOD_GET || method == METHOD_HEAD ||
           method == METHOD_OPTIONS;
}

static int64_t length_of(const struct request_head *head)
{
    if (head->length == 0 &&
        (is_safe(head->method) || head->method == METHOD_DELETE))
        return LENGTH_NONE;
    return head->length;
}

/* The name by which the sandbox is called, whatever host the call came by. */
static struct str public_host(struct exchange *x)
{
    if (!x->route.by_header)
        return fields_get(&x->head->fields, STR("host"));
    return arena_text(x->arena, "%u-%.*s.%.*s", x->route.port,
                      STR_FMT(x->route.id), STR_FMT(x->conf->domain));
}

/* The parts in a row, in the arena: printf is too slow for every request. */
MUST_USE static enum err join(struct arena *a, const struct str *parts,
                              unsigned count, struct str *out)
{
    size_t n = 0;
    char *p;

    for (unsigned i = 0; i < count; i++)
        n += parts[i].n;
    p = arena_alloc(a, n);
    *out = str_from(p, p ? n : 0);
    if (!p)
        return E_NOMEM;
    for (unsigned i = 0; i < count; i++) {
        memcpy(p, parts[i].p, parts[i].n);
        p += parts[i].n;
    }
    return E_OK;
}

/* The decimal digits of a port, at the end of room. */
static struct str port_text(unsigned port, char room[8])
{
    size_t at = 8;

    do
        room[--at] = (char)('0' + port % 10);
    while (port /= 10);
    return str_from(room + at, 8 - at);
}

MUST_USE static enum err target_of(struct exchange *x, struct str *out)
{
    const struct port_target *t = &x->carry.target;
    struct str query = x->carry.asked, path = str_cut(&query, '?');
    struct str parts[4] = {t->prefix, STR_NONE, STR("?"), query};
    enum err err;

    *out = x->carry.asked;
    if (!t->prefix.p)
        return E_OK;
    if (path.n == 0 || path.p[0] != '/')
        path = STR("/");
    err = hygiene_path(path, x->arena, &path);
    if (err == E_UNIMPLEMENTED)
        x->detail = STR("The sandbox server's HTTP proxy cannot carry this "
                        "path as it is: it decodes its escapes");
    if (err)
        return err;
    parts[1] = path;
    return join(x->arena, parts, query.p ? 4 : 2, out);
}

/* The Host that the app sees: the public one, unless it is masked.  The back
 * end's proxy takes it from X-Forwarded-Host. */
MUST_USE static enum err mask_host(struct exchange *x, struct str *host)
{
    char text[SANDBOX_MASK_MAX + 8];
    struct buf b;

    buf_init_at(&b, text, sizeof(text));
    sandbox_put_host(x->record, x->route.port, &b);
    if (buf_len(&b))
        *host = arena_copy(x->arena, buf_str(&b));
    return host->p && !b.failed ? E_OK : E_NOMEM;
}

MUST_USE static enum err host_of(struct exchange *x, struct hygiene *h,
                                 struct str *out)
{
    const struct port_target *t = &x->carry.target;
    bool v6 = str_find(t->address, ':') < t->address.n;
    char digits[8];
    const struct str parts[] = {v6 ? STR("[") : STR(""), t->address,
                                v6 ? STR("]:") : STR(":"),
                                port_text(t->port, digits)};
    enum err err;

    *out = h->host;
    err = mask_host(x, out);
    if (err || !t->prefix.p)
        return err;
    h->host = *out;
    return join(x->arena, parts, 4, out);
}

/* The fields for the app, and those that only we may set. */
MUST_USE static enum err fields_of(struct exchange *x, const struct hygiene *h,
                                   struct fields *out)
{
    const struct fields *more = x->visit ? &x->visit->auth.identity : NULL;
    enum err err = hygiene_request(h, x->arena, out);

    if (err)
        return err;
    preview_fields_unname(out, &x->conf->preview.forward_auth);
    if (more)
        err = preview_fields_clean(out, x->arena, &x->carry.named);
    for (unsigned i = 0; more && i < more->count && err == E_OK; i++)
        err = fields_add(out, x->arena, more->at[i].name, more->at[i].value);
    return err;
}

/* What the app is asked for: without a token, without the way to it. */
MUST_USE static enum err find_asked(struct exchange *x, struct str *out)
{
    const struct request_head *head = x->head;

    *out = head->target;
    if (x->visit)
        return preview_fields_target(head->target, x->arena, out);
    if (!x->route.native)
        return E_OK;
    *out = x->route.path;
    if (head->query.p)
        *out = arena_text(x->arena, "%.*s?%.*s", STR_FMT(x->route.path),
                          STR_FMT(head->query));
    return out->p ? E_OK : E_NOMEM;
}

MUST_USE static enum err begin_call(struct exchange *x)
{
    struct carry *c = &x->carry;
    const struct request_head *head = x->head;
    struct call_request r = {
        .pool = c->target.pool,
        .address = c->target.address,
        .port = c->target.port,
        .method = head->method,
        .length = length_of(head),
        .tls = sandbox_port_https(x->record, x->route.port),
        .upgrade = head->upgrade,
        /* What cannot be sent again must not meet a connection that the app
         * is just closing. */
        .fresh = !is_safe(head->method) || head->length != 0 || head->upgrade,
        .idempotent = is_safe(head->method) && head->length == 0,
        .connect_ms = CONNECT_MS,
    };
    struct hygiene h = {.head = head,
                        .host = public_host(x),
                        .encoding = c->exposed,
                        .id = str_of(x->id),
                        .chain = x->chain,
                        .is_secret = is_secret,
                        .arg = x};
    struct fields fields;
    enum err err = h.host.p ? E_OK : E_NOMEM;

    if (err == E_OK)
        err = find_asked(x, &c->asked);
    if (err == E_OK)
        err = host_of(x, &h, &r.host);
    if (err == E_OK)
        err = fields_of(x, &h, &fields);
    if (err == E_OK)
        err = target_of(x, &r.target);
    if (err)
        return err;
    r.fields = &fields;
    err = call_start(x->worker->pools, &r, &events, x, &c->call);
    if (err == E_OK && head->length != 0)
        exchange_listen(x, true);
    return err;
}

static void on_target(void *arg, enum err err, const struct port_target *t)
{
    struct exchange *x = arg;
    struct carry *c = &x->carry;

    if (err) {
        exchange_fail(x, err);
        return;
    }
    c->target = *t;
    c->exposed = t->prefix.p != NULL;
    c->aimed = true;
    exchange_advance(x);
}

/* ---- the step ---- */

/* Has the app said what it had to say?  Else it is looked at again. */
static bool is_quiet(struct exchange *x)
{
    struct carry *c = &x->carry;
    int64_t now_ms = clock_ms(), due_ms;

    if (!c->tunnel || c->upstream_ended)
        return true;
    if (!c->heard_ms || c->full)
        c->heard_ms = now_ms;
    due_ms = c->heard_ms + QUIET_MS;
    if (now_ms < due_ms)
        timer_set(&x->timer, due_ms - now_ms);
    return now_ms >= due_ms;
}

/* The client's side has ended: tell the upstream, once. */
static void tell_end(struct exchange *x)
{
    struct carry *c = &x->carry;

    if (!(x->facts & FACT_BODY_ENDED) || c->client_told || !c->call ||
        !is_quiet(x))
        return;
    c->client_told = true;
    if (x->head->length != 0 || c->tunnel)
        call_say_end(c->call);
}

enum state carry_step(struct exchange *x)
{
    struct carry *c = &x->carry;
    enum err err = E_OK;

    if (!c->lease && !c->upstream_ended)
        err = port_find(x->worker->live, x->record, x->route.port, on_target, x,
                        &c->lease);
    if (err == E_OK && c->aimed && !c->call && !c->upstream_ended)
        err = begin_call(x);
    if (err) {
        x->why = x->why ? x->why : err;
        return X_FAIL;
    }
    tell_end(x);
    if (!c->upstream_ended)
        return X_WAIT;
    if (c->tunnel && x->told != TOLD_ALL && !(x->facts & FACT_BODY_ENDED))
        return X_WAIT;
    if (c->tunnel)
        x->told = TOLD_ALL;
    return X_END;
}

/* ---- the client's events ---- */

void carry_client_piece(struct exchange *x, struct str piece)
{
    struct carry *c = &x->carry;

    /* What comes behind an early answer is of no use to anybody. */
    if (c->call && !call_say(c->call, piece))
        exchange_listen(x, false);
}

void carry_client_room(struct exchange *x)
{
    x->carry.full = false;
    if (x->carry.call)
        call_resume(x->carry.call, PAUSE_FULL);
}
