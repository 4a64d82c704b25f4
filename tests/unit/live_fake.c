#include "tests/unit/live_fake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define CONNS 160
#define SANDBOXES 256
#define RULES 8
#define SEEN 1024
#define TEXT 2048

struct seen {
    char head[TEXT]; /* "POST /v1/fork", then the fields */
    char body[TEXT];
};

struct conn {
    struct fake *f;
    int fd; /* -1: free */
    struct watch *watch;
    size_t n;
    char in[8192];
    struct seen request;
    bool held;      /* a request waits */
    bool streaming; /* an exec stream is open */
};

struct rule {
    char begins[96];
    enum fake_act act;
    int status;
    char text[TEXT];
    unsigned times;
};

struct fake {
    struct loop *loop;
    int fd; /* -1: down */
    unsigned port;
    struct watch *watch;
    struct conn conns[CONNS];
    char ids[SANDBOXES][65];
    char templates[SANDBOXES][65];
    struct rule rules[RULES];
    struct seen seen[SEEN];
    unsigned seen_count;
    unsigned forwards;
};

/* ---- sets of names ---- */

static char *find(char set[SANDBOXES][65], const char *id)
{
    for (int i = 0; i < SANDBOXES; i++)
        if (strcmp(set[i], id) == 0)
            return set[i];
    return NULL;
}

static void add(char set[SANDBOXES][65], const char *id)
{
    if (!find(set, id))
        snprintf(find(set, ""), 65, "%s", id);
}

static void take(char set[SANDBOXES][65], const char *id)
{
    char *p = find(set, id);

    if (p)
        p[0] = '\0';
}

bool fake_has(const struct fake *f, const char *id)
{
    return find(((struct fake *)(uintptr_t)f)->ids, id) != NULL;
}

void fake_add(struct fake *f, const char *id)
{
    add(f->ids, id);
}

void fake_remove(struct fake *f, const char *id)
{
    take(f->ids, id);
}

unsigned fake_count(const struct fake *f)
{
    unsigned n = 0;

    for (int i = 0; i < SANDBOXES; i++)
        n += f->ids[i][0] != '\0';
    return n;
}

/* ---- connections ---- */

static void hang_up(struct conn *c, bool reset)
{
    struct linger now = {1, 0};

    if (c->fd < 0)
        return;
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    watch_free(&c->watch);
    close(c->fd);
    c->fd = -1;
    c->held = c->streaming = false;
}

static void say(struct conn *c, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t done = send(c->fd, text, n, MSG_NOSIGNAL);

        if (done <= 0)
            return;
        text += done;
        n -= (size_t)done;
    }
}

static void answer(struct conn *c, int status, const char *body)
{
    char text[4 * TEXT + 8192];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %d Said\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     status, strlen(body), body);

    say(c, text, (size_t)n);
}

static void chunk(struct conn *c, unsigned char flags, const char *json)
{
    char text[TEXT];
    size_t n = strlen(json);
    int at = snprintf(text, sizeof(text), "%zx\r\n", n + 5);

    text[at++] = (char)flags;
    memset(text + at, 0, 3);
    text[at + 3] = (char)n;
    at += 4;
    memcpy(text + at, json, n);
    memcpy(text + at + n, "\r\n", 2);
    say(c, text, (size_t)at + n + 2);
}

static void stream_head(struct conn *c)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: "
                               "application/connect+json\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";

    say(c, head, sizeof(head) - 1);
}

static void stream_end(struct conn *c, const char *end)
{
    chunk(c, 2, end);
    say(c, "0\r\n\r\n", 5);
}

/* ---- what the server would do ---- */

static void text_after(const char *from, const char *mark, char out[65])
{
    const char *at = strstr(from, mark);
    int i = 0;

    out[0] = '\0';
    if (!at)
        return;
    for (at += strlen(mark); i < 64 && *at && !strchr("\"/ \r\n", *at); at++)
        out[i++] = *at;
    out[i] = '\0';
}

static void list(struct conn *c)
{
    char text[2 * TEXT + 8192] = "[";
    size_t n = 1;

    for (int i = 0; i < SANDBOXES; i++)
        if (c->f->ids[i][0])
            n += (size_t)snprintf(text + n, sizeof(text) - n,
                                  "%s{\"id\":\"%s\", \"x\":0}",
                                  n > 1 ? "," : "", c->f->ids[i]);
    snprintf(text + n, sizeof(text) - n, "]\n");
    answer(c, 200, text);
}

static void fork_one(struct conn *c, bool quiet)
{
    char id[65], template[65], text[TEXT];

    text_after(c->request.body, "\"id\":\"", id);
    text_after(c->request.body, "\"template\":\"", template);
    if (!find(c->f->templates, template)) {
        if (!quiet)
            answer(c, 404,
                   "{\"error\":{\"code\":\"not_found\",\"message\":\"no such "
                   "sandbox\",\"cause\":\"template not found\"}}");
        return;
    }
    add(c->f->ids, id);
    snprintf(text, sizeof(text),
             "{\"id\":\"%s\",\"template_id\":\"%s\",\"endpoint\":\"http://"
             "localhost:8080\"}\n",
             id, template);
    if (!quiet)
        answer(c, 200, text);
}

/* A copy of a running one. */
static void copy_one(struct conn *c)
{
    char id[65], source[65], text[TEXT];

    text_after(c->request.head, "/v1/sandboxes/", source);
    text_after(c->request.body, "\"id\":\"", id);
    if (!find(c->f->ids, source)) {
        answer(c, 404, "{\"error\":{\"code\":\"not_found\"}}");
        return;
    }
    add(c->f->ids, id);
    snprintf(text, sizeof(text), "{\"id\":\"%s\",\"template_id\":\"t\"}\n", id);
    answer(c, 200, text);
}

static void delete_one(struct conn *c, bool quiet)
{
    char id[65];
    bool there;

    text_after(c->request.head, "/v1/sandboxes/", id);
    there = find(c->f->ids, id) != NULL;
    take(c->f->ids, id);
    if (!quiet)
        answer(c, there ? 200 : 404,
               there ? "{\"id\":\"x\",\"status\":\"terminated\"}\n"
                     : "{\"error\":{\"code\":\"not_found\",\"message\":\"no "
                       "such sandbox\"}}");
}

static void rpc(struct conn *c)
{
    static const char gone[] =
        "{\"code\":\"internal\",\"message\":\"sandbox x has no stream path\"}";
    bool stream = strstr(c->request.head, "connect+json") != NULL;
    char id[65];

    text_after(c->request.head, "X-Sandbox-Id: ", id);
    if (!find(c->f->ids, id)) {
        if (!stream) {
            answer(c, 500, gone);
            return;
        }
        stream_head(c);
        stream_end(c, "{\"error\":{\"code\":\"unavailable\",\"message\":"
                      "\"sandbox x has no stream path\"}}");
        return;
    }
    if (!stream) {
        answer(c, 200, "{\"name\":\"/\", \"path\":\"/\",\"isDir\":true}");
        return;
    }
    stream_head(c);
    chunk(c, 0, "{\"stdout\":\"aGkK\"}");
    c->streaming = true;
}

static void forward_one(struct conn *c)
{
    char text[TEXT];

    snprintf(text, sizeof(text),
             "{\"guest_port\":8000,\"host\":\"127.0.0.1:%u\"}\n",
             20000 + c->f->forwards++);
    answer(c, 200, text);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void serve(struct conn *c, bool quiet)
{
    const char *head = c->request.head;
    char id[65];

    if (begins(head, "POST /v1/fork")) {
        fork_one(c, quiet);
    } else if (begins(head, "DELETE /v1/sandboxes/")) {
        delete_one(c, quiet);
    } else if (begins(head, "POST /v1/templates")) {
        text_after(c->request.body, "\"id\":\"", id);
        add(c->f->templates, id);
        if (!quiet)
            answer(c, 200, "{\"id\":\"t\",\"ready\":true}\n");
    } else if (quiet) {
        return;
    } else if (begins(head, "GET /v1/health")) {
        answer(c, 200, "{\"mock\":false,\"status\":\"ok\"}\n");
    } else if (begins(head, "GET /v1/sandboxes")) {
        list(c);
    } else if (begins(head, "POST /v1/sandboxes/") && strstr(head, "/fork ")) {
        copy_one(c);
    } else if (begins(head, "POST /v1/sandboxes/")) {
        forward_one(c);
    } else if (begins(head, "POST /sandbox.v1.Sandbox/")) {
        rpc(c);
    } else {
        answer(c, 404, "404 page not found");
    }
}

/* ---- rules ---- */

static struct rule *rule_for(struct fake *f, const char *head)
{
    for (int i = 0; i < RULES; i++)
        if (f->rules[i].times && begins(head, f->rules[i].begins))
            return &f->rules[i];
    return NULL;
}

void fake_rule(struct fake *f, const char *what, enum fake_act act, int status,
               const char *text, unsigned times)
{
    struct rule *r = NULL;

    for (int i = 0; i < RULES && !r; i++)
        if (strcmp(f->rules[i].begins, what) == 0)
            r = &f->rules[i];
    for (int i = 0; i < RULES && !r; i++)
        if (!f->rules[i].times)
            r = &f->rules[i];
    if (!r)
        abort();
    snprintf(r->begins, sizeof(r->begins), "%s", what);
    snprintf(r->text, sizeof(r->text), "%s", text ? text : "");
    r->act = act;
    r->status = status;
    r->times = times;
}

static void act(struct conn *c)
{
    struct rule *r = rule_for(c->f, c->request.head);

    if (!r) {
        serve(c, false);
        return;
    }
    r->times--;
    switch (r->act) {
    case FAKE_ANSWER:
        answer(c, r->status, r->text);
        break;
    case FAKE_RAW:
        say(c, r->text, strlen(r->text));
        hang_up(c, false);
        break;
    case FAKE_HOLD:
        c->held = true;
        break;
    case FAKE_RESET:
        hang_up(c, true);
        break;
    case FAKE_DO_RESET:
        serve(c, true);
        hang_up(c, true);
        break;
    case FAKE_DO_ANSWER:
        serve(c, true);
        answer(c, r->status, r->text);
        break;
    }
}

/* ---- reading ---- */

static bool take_request(struct conn *c)
{
    char *end, *length;
    size_t head, body = 0;

    c->in[c->n] = '\0';
    end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return false;
    head = (size_t)(end - c->in) + 4;
    length = strcasestr(c->in, "content-length:");
    if (length && length < end)
        body = strtoul(length + 15, NULL, 10);
    if (c->n < head + body)
        return false;
    snprintf(c->request.head, TEXT, "%.*s", (int)head, c->in);
    snprintf(c->request.body, TEXT, "%.*s", (int)body, c->in + head);
    c->n -= head + body;
    memmove(c->in, c->in + head + body, c->n);
    if (c->f->seen_count < SEEN)
        c->f->seen[c->f->seen_count++] = c->request;
    return true;
}

static void on_bytes(void *arg)
{
    struct conn *c = arg;
    ssize_t n = recv(c->fd, c->in + c->n, sizeof(c->in) - 1 - c->n, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        hang_up(c, false);
        return;
    }
    c->n += (size_t)n;
    while (c->fd >= 0 && !c->held && take_request(c))
        act(c);
}

static void on_connection(void *arg)
{
    struct fake *f = arg;
    int fd = accept(f->fd, NULL, NULL);

    for (int i = 0; i < CONNS && fd >= 0; i++) {
        struct conn *c = &f->conns[i];

        if (c->fd >= 0)
            continue;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        c->fd = fd;
        c->n = 0;
        if (watch_new(f->loop, fd, on_bytes, c, &c->watch))
            abort();
        return;
    }
    if (fd >= 0)
        close(fd);
}

/* ---- orders ---- */

static void listen_on(struct fake *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)f->port)};
    socklen_t n = sizeof(a);
    int on = 1;

    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(f->fd, (struct sockaddr *)&a, n) < 0 || listen(f->fd, 256) < 0 ||
        getsockname(f->fd, (struct sockaddr *)&a, &n) < 0)
        abort();
    f->port = ntohs(a.sin_port);
    if (watch_new(f->loop, f->fd, on_connection, f, &f->watch))
        abort();
}

struct fake *fake_new(struct loop *l)
{
    struct fake *f = mem_new(sizeof(*f));

    if (!f)
        abort();
    f->loop = l;
    for (int i = 0; i < CONNS; i++) {
        f->conns[i].fd = -1;
        f->conns[i].f = f;
    }
    listen_on(f);
    return f;
}

static void reset_all(struct fake *f)
{
    for (int i = 0; i < CONNS; i++)
        hang_up(&f->conns[i], true);
}

void fake_down(struct fake *f, bool down)
{
    if (down && f->fd >= 0) {
        watch_free(&f->watch);
        close(f->fd);
        f->fd = -1;
        reset_all(f);
    } else if (!down && f->fd < 0) {
        listen_on(f);
    }
}

void fake_restart(struct fake *f)
{
    reset_all(f);
    memset(f->ids, 0, sizeof(f->ids));
    memset(f->templates, 0, sizeof(f->templates));
}

void fake_free(struct fake **f)
{
    fake_down(*f, true);
    reset_all(*f);
    mem_free(*f);
    *f = NULL;
}

unsigned fake_port(const struct fake *f)
{
    return f->port;
}

void fake_release(struct fake *f)
{
    fake_release_one(f, "");
}

void fake_release_one(struct fake *f, const char *what)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &f->conns[i];

        if (!c->held || !begins(c->request.head, what))
            continue;
        c->held = false;
        serve(c, false);
    }
}

void fake_cut(struct fake *f)
{
    for (int i = 0; i < CONNS; i++)
        if (f->conns[i].held)
            hang_up(&f->conns[i], true);
}

void fake_finish(struct fake *f)
{
    for (int i = 0; i < CONNS; i++) {
        struct conn *c = &f->conns[i];

        if (!c->streaming)
            continue;
        c->streaming = false;
        chunk(c, 0, "{\"exit\":{\"execTimeMs\":1}}");
        stream_end(c, "{}");
    }
}

unsigned fake_seen(const struct fake *f, const char *what)
{
    unsigned n = 0;

    for (unsigned i = 0; i < f->seen_count; i++)
        n += begins(f->seen[i].head, what);
    return n;
}

unsigned fake_open(const struct fake *f)
{
    unsigned n = 0;

    for (int i = 0; i < CONNS; i++)
        n += f->conns[i].fd >= 0 && (f->conns[i].held || f->conns[i].streaming);
    return n;
}

static const struct seen *newest(const struct fake *f, const char *what)
{
    for (unsigned i = f->seen_count; i > 0; i--)
        if (begins(f->seen[i - 1].head, what))
            return &f->seen[i - 1];
    return NULL;
}

const char *fake_head(const struct fake *f, const char *what)
{
    const struct seen *s = newest(f, what);

    return s ? s->head : "";
}

const char *fake_body(const struct fake *f, const char *what)
{
    const struct seen *s = newest(f, what);

    return s ? s->body : "";
}
