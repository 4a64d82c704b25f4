/* replay.c - a back end for the benchmarks: as fast as a small C program can
 * be, and with just enough of the sandbox server's protocol that a gateway
 * makes sandboxes on it.
 *
 *   replay PORT
 *
 * GET /bytes/N       N bytes, Content-Length
 * GET /frames/N      the bytes of N frames as ExecStream sends them, raw
 * GET /endless       chunked, until the client leaves
 * GET /absorbed      how many bytes /endless has written, as text
 * GET anything       a small answer
 * POST .../forward   {"host":"127.0.0.1:PORT"}
 * POST .../ExecStream  the command "bench N": N bytes in stdout frames
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_MAX (64 * 1024)
#define FRAME_RAW (24 * 1024) /* a multiple of 3: base64 without padding */
#define FRAME_TEXT (FRAME_RAW / 3 * 4)

struct peer {
    int fd;
    size_t in_n;
    char in[IN_MAX];
    char head[16 * 1024]; /* what is written first */
    size_t head_n, head_at;
    const char *block; /* then this, block_left bytes of it in a circle */
    size_t block_n, block_at;
    uint64_t block_left;
    char tail[128]; /* then this */
    size_t tail_n, tail_at;
    bool endless;
    bool writing;
};

static int loop_fd;
static int port;
static uint64_t absorbed;
static char zeros[256 * 1024];
static char chunk[64 * 1024 + 16]; /* one chunk of /endless */
static size_t chunk_n;
static char exec_chunk[FRAME_TEXT + 128]; /* one chunk with one frame */
static size_t exec_chunk_n;

static void watch(struct peer *p, bool writing)
{
    struct epoll_event e = {writing ? EPOLLOUT | EPOLLIN : EPOLLIN, {p}};

    if (p->writing == writing)
        return;
    p->writing = writing;
    epoll_ctl(loop_fd, EPOLL_CTL_MOD, p->fd, &e);
}

static void end(struct peer *p)
{
    close(p->fd);
    free(p);
}

/* What of the answer is not written yet; false: the peer is gone. */
static bool pump(struct peer *p)
{
    for (;;) {
        const char *from;
        size_t n;
        ssize_t done;

        if (p->head_at < p->head_n) {
            from = p->head + p->head_at;
            n = p->head_n - p->head_at;
        } else if (p->block_left > 0) {
            from = p->block + p->block_at;
            n = p->block_n - p->block_at;
            if (n > p->block_left)
                n = p->block_left;
        } else if (p->tail_at < p->tail_n) {
            from = p->tail + p->tail_at;
            n = p->tail_n - p->tail_at;
        } else {
            watch(p, false);
            return true;
        }
        done = send(p->fd, from, n, MSG_NOSIGNAL);
        if (done < 0) {
            if (errno != EAGAIN)
                return false;
            watch(p, true);
            return true;
        }
        if (p->head_at < p->head_n) {
            p->head_at += (size_t)done;
        } else if (p->block_left > 0) {
            p->block_at = (p->block_at + (size_t)done) % p->block_n;
            if (p->endless)
                absorbed += (uint64_t)done;
            else
                p->block_left -= (uint64_t)done;
        } else {
            p->tail_at += (size_t)done;
        }
    }
}

static void say(struct peer *p, const char *type, const char *body)
{
    p->head_n = (size_t)snprintf(p->head, sizeof(p->head),
                                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
                                 "Content-Length: %zu\r\n\r\n%s",
                                 type, strlen(body), body);
}

/* The text value of a JSON member of the body, or "". */
static void member(const char *body, const char *name, char *out, size_t room)
{
    char key[64];
    const char *at;
    size_t n = 0;

    snprintf(key, sizeof(key), "\"%s\"", name);
    at = strstr(body, key);
    *out = '\0';
    if (!at || !(at = strchr(at + strlen(key), '"')))
        return;
    for (at++; *at && *at != '"' && n + 1 < room; at++)
        out[n++] = *at;
    out[n] = '\0';
}

static void fork_answer(struct peer *p, const char *body)
{
    char id[128], template[128], text[1024];

    member(body, "id", id, sizeof(id));
    member(body, "template", template, sizeof(template));
    snprintf(text, sizeof(text),
             "{\"id\":\"%s\",\"template_id\":\"%s\",\"endpoint\":"
             "\"http://localhost:8080\",\"created_at\":"
             "\"2026-05-01T10:00:01.5Z\",\"fork_time_ms\":0.86,"
             "\"network\":{\"egress\":\"deny\",\"inbound\":\"deny\"}}\n",
             id, template);
    say(p, "application/json", text);
    /* Listed from now on: reconciliation asks. */
    FILE *list = fopen("replay.list", "a");
    if (list) {
        fputs(text, list);
        fclose(list);
    }
}

static void list_answer(struct peer *p)
{
    static char text[12 * 1024];
    size_t n = 1;
    FILE *list = fopen("replay.list", "r");

    text[0] = '[';
    if (list) {
        n += fread(text + 1, 1, sizeof(text) - 16, list);
        fclose(list);
        for (size_t i = 1; i + 1 < n; i++)
            if (text[i] == '\n')
                text[i] = ',';
    }
    if (n > 1 && text[n - 1] == '\n')
        n--;
    memcpy(text + n, "]\n", 3);
    say(p, "application/json", text);
}

static void exec_answer(struct peer *p, const char *body)
{
    const char *bench = strstr(body, "bench ");
    uint64_t frames = bench ? strtoull(bench + 6, NULL, 10) / FRAME_RAW : 0;
    static const char pid[] =
        "\0\0\0\0\x15{\"stderr\":\"HjQyNDIK\"}"; /* 4242 */
    static const char last[] =
        "23\r\n\0\0\0\0\x1e{\"exit\":{\"execTimeMs\":3.2500}}\r\n"
        "7\r\n\2\0\0\0\2{}\r\n0\r\n\r\n";

    p->head_n = (size_t)snprintf(p->head, sizeof(p->head),
                                 "HTTP/1.1 200 OK\r\nContent-Type: "
                                 "application/connect+json\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                                 sizeof(pid) - 1);
    memcpy(p->head + p->head_n, pid, sizeof(pid) - 1);
    p->head_n += sizeof(pid) - 1;
    memcpy(p->head + p->head_n, "\r\n", 2);
    p->head_n += 2;
    p->block = exec_chunk;
    p->block_n = exec_chunk_n;
    p->block_left = frames * exec_chunk_n;
    memcpy(p->tail, last, sizeof(last) - 1);
    p->tail_n = sizeof(last) - 1;
}

static void get_answer(struct peer *p, const char *path)
{
    const char *exposed = strstr(path, "/expose/");
    int small = 32 * 1024;
    char text[64];

    /* The app's path stands behind the proxy's. */
    if (exposed)
        path = strchr(exposed + 8, '/') ? strchr(exposed + 8, '/') : "/";
    if (strncmp(path, "/frames/", 8) == 0) {
        p->block = exec_chunk;
        p->block_n = exec_chunk_n;
        p->block_left = strtoull(path + 8, NULL, 10) * exec_chunk_n;
        p->head_n = (size_t)snprintf(p->head, sizeof(p->head),
                                     "HTTP/1.1 200 OK\r\nContent-Type: "
                                     "application/octet-stream\r\n"
                                     "Content-Length: %llu\r\n\r\n",
                                     (unsigned long long)p->block_left);
    } else if (strncmp(path, "/bytes/", 7) == 0) {
        p->block = zeros;
        p->block_n = sizeof(zeros);
        p->block_left = strtoull(path + 7, NULL, 10);
        p->head_n = (size_t)snprintf(p->head, sizeof(p->head),
                                     "HTTP/1.1 200 OK\r\nContent-Type: "
                                     "application/octet-stream\r\n"
                                     "Content-Length: %llu\r\n\r\n",
                                     (unsigned long long)p->block_left);
    } else if (strcmp(path, "/endless") == 0) {
        p->block = chunk;
        p->block_n = chunk_n;
        p->block_left = 1;
        p->endless = true;
        /* What we keep would hide what the proxy absorbs. */
        setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
        p->head_n = (size_t)snprintf(p->head, sizeof(p->head),
                                     "HTTP/1.1 200 OK\r\nContent-Type: "
                                     "application/octet-stream\r\n"
                                     "Transfer-Encoding: chunked\r\n\r\n");
    } else if (strcmp(path, "/absorbed") == 0) {
        snprintf(text, sizeof(text), "%llu\n", (unsigned long long)absorbed);
        say(p, "text/plain", text);
    } else if (strcmp(path, "/v1/sandboxes") == 0) {
        list_answer(p);
    } else if (strcmp(path, "/v1/health") == 0) {
        say(p, "application/json",
            "{\"mock\":false,\"sandboxes\":1,\"status\":\"ok\","
            "\"templates\":1}\n");
    } else {
        say(p, "text/plain", "hello from the back end of the benchmark\n");
    }
}

static void answer(struct peer *p, const char *method, const char *path,
                   const char *body)
{
    char text[256];

    p->head_at = p->block_at = p->tail_at = 0;
    p->head_n = p->tail_n = 0;
    p->block_left = 0;
    if (strcmp(method, "GET") == 0) {
        get_answer(p, path);
    } else if (strstr(path, "/forward")) {
        snprintf(text, sizeof(text),
                 "{\"guest_port\":8000,\"host\":\"127.0.0.1:%d\"}\n", port);
        say(p, "application/json", text);
    } else if (strcmp(path, "/v1/fork") == 0) {
        fork_answer(p, body);
    } else if (strcmp(path, "/v1/templates") == 0) {
        say(p, "application/json",
            "{\"id\":\"base\",\"ready\":true,\"created_at\":"
            "\"2026-05-01T10:00:00.1Z\",\"creation_time_ms\":1,\"network\":"
            "{\"egress\":\"deny\",\"inbound\":\"deny\"}}\n");
    } else if (strstr(path, "/ExecStream")) {
        exec_answer(p, body);
    } else if (strstr(path, "/Stat")) {
        say(p, "application/json",
            "{\"name\":\"/\",\"path\":\"/\",\"size\":\"4096\",\"mode\":16877,"
            "\"modifiedAtUnix\":\"1770000000\",\"isDir\":true}");
    } else {
        say(p, "application/json", "{\"status\":\"terminated\"}\n");
    }
}

/* Whole requests in p->in are answered; false: the peer is gone. */
static bool serve(struct peer *p)
{
    for (;;) {
        char method[16], path[1024], *head_end, *length;
        size_t body_n = 0, head_n;
        static char body[IN_MAX + 1];

        if (p->writing)
            return true;
        p->in[p->in_n] = '\0';
        head_end = memmem(p->in, p->in_n, "\r\n\r\n", 4);
        if (!head_end)
            return p->in_n < IN_MAX - 1;
        head_n = (size_t)(head_end - p->in) + 4;
        length = strcasestr(p->in, "\r\ncontent-length:");
        if (length && length < head_end)
            body_n = strtoul(length + 17, NULL, 10);
        if (p->in_n < head_n + body_n)
            return head_n + body_n < IN_MAX - 1;
        if (sscanf(p->in, "%15s %1023s", method, path) != 2)
            return false;
        /* Frames begin with NUL bytes: skip them for strstr(). */
        for (size_t i = 0; i < body_n; i++)
            body[i] = p->in[head_n + i] ? p->in[head_n + i] : ' ';
        body[body_n] = '\0';
        answer(p, method, path, body);
        memmove(p->in, p->in + head_n + body_n, p->in_n - head_n - body_n);
        p->in_n -= head_n + body_n;
        if (!pump(p))
            return false;
    }
}

static bool readable(struct peer *p)
{
    ssize_t n = recv(p->fd, p->in + p->in_n, IN_MAX - 1 - p->in_n, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        return false;
    if (n > 0)
        p->in_n += (size_t)n;
    return serve(p);
}

static void prepare(void)
{
    memset(zeros, 'z', sizeof(zeros));
    chunk_n = (size_t)snprintf(chunk, sizeof(chunk), "10000\r\n");
    memset(chunk + chunk_n, 'e', 0x10000 - 1);
    chunk_n += 0x10000;
    chunk[chunk_n - 1] = '\n';
    chunk_n +=
        (size_t)snprintf(chunk + chunk_n, sizeof(chunk) - chunk_n, "\r\n");
    size_t payload = sizeof("{\"stdout\":\"\"}") - 1 + FRAME_TEXT;
    int n = snprintf(exec_chunk, sizeof(exec_chunk), "%zx\r\n", payload + 5);
    exec_chunk[n++] = 0;
    exec_chunk[n++] = (char)(payload >> 24);
    exec_chunk[n++] = (char)(payload >> 16);
    exec_chunk[n++] = (char)(payload >> 8);
    exec_chunk[n++] = (char)payload;
    n += snprintf(exec_chunk + n, sizeof(exec_chunk) - (size_t)n,
                  "{\"stdout\":\"");
    memset(exec_chunk + n, 'Q', FRAME_TEXT);
    n += FRAME_TEXT;
    n += snprintf(exec_chunk + n, sizeof(exec_chunk) - (size_t)n, "\"}\r\n");
    exec_chunk_n = (size_t)n;
}

static void accept_all(int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct peer *p = calloc(1, sizeof(*p));
        struct epoll_event e = {EPOLLIN, {p}};

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        p->fd = fd;
        epoll_ctl(loop_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct epoll_event e = {EPOLLIN, {NULL}}, ready[256];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    port = (int)strtol(argv[1], NULL, 10);
    at.sin_port = htons((uint16_t)port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(listener, 4096) < 0) {
        perror("replay");
        return 1;
    }
    prepare();
    loop_fd = epoll_create1(0);
    epoll_ctl(loop_fd, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(loop_fd, ready, 256, -1);

        for (int i = 0; i < n; i++) {
            struct peer *p = ready[i].data.ptr;
            bool alive = true;

            if (!p) {
                accept_all(listener);
                continue;
            }
            if (ready[i].events & (EPOLLERR | EPOLLHUP))
                alive = false;
            if (alive && ready[i].events & EPOLLOUT) {
                alive = pump(p);
                if (alive && !p->writing)
                    alive = serve(p);
            }
            if (alive && ready[i].events & EPOLLIN)
                alive = readable(p);
            if (!alive)
                end(p);
        }
    }
}
