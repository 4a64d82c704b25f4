/* log.c - see log.h. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* A line with its end.  Also what a pipe takes whole or not at all. */
#define LINE_BYTES 4096
#define TEXT_BYTES 512    /* most of one value, escaped */
#define TARGET_BYTES 1536 /* most of a request target, escaped */
#define STANDARD_ERROR STDERR_FILENO

/* Where lines go: the only state in base/ besides the test hooks.  The number
 * of the descriptor stays when the file behind it changes, so that a thread
 * in the middle of a line writes it somewhere. */
struct place {
    char path[4096];
    int fd;                                  /* -1: nowhere */
    enum { BY_WRITE, BY_SEND, BY_POLL } way; /* that does not wait */
    bool torn; /* the last line was written in part */
};

static struct place all = {"-", STANDARD_ERROR, BY_POLL, false};
static struct place access_place = {"", -1, BY_WRITE, false};
static bool access_apart; /* log_open_access() was called */
static _Atomic enum log_level least_level = LOG_INFO;
static _Atomic uint64_t dropped;

/* A new descriptor for path, or -1. */
static int open_path(const char *path)
{
    int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd;

    if (strcmp(path, "-") != 0)
        return open(path, flags | O_CREAT, 0640);
    /* Standard error is shared with others who may want it to block, so it
     * is opened anew; what cannot be (a socket) is asked before a write. */
    fd = open("/proc/self/fd/2", flags);
    return fd >= 0 ? fd : fcntl(STANDARD_ERROR, F_DUPFD_CLOEXEC, 3);
}

static enum err set_place(struct place *place, const char *path)
{
    int fd = open_path(path);
    struct stat is;

    if (fd < 0)
        return E_SYSTEM;
    place->way = fstat(fd, &is) == 0 && S_ISSOCK(is.st_mode) ? BY_SEND
                 : fcntl(fd, F_GETFL) & O_NONBLOCK           ? BY_WRITE
                                                             : BY_POLL;
    if (place->fd <= STANDARD_ERROR) {
        place->fd = fd;
    } else {
        int was = errno;

        dup3(fd, place->fd, O_CLOEXEC);
        close(fd);
        errno = was;
    }
    memmove(place->path, path, strlen(path) + 1);
    return E_OK;
}

/* path as C text in out; false when it cannot be one. */
static bool path_text(struct str path, char out[4096])
{
    if (path.n == 0 || path.n >= 4096 || str_find(path, '\0') != path.n) {
        errno = EINVAL;
        return false;
    }
    memcpy(out, path.p, path.n);
    out[path.n] = '\0';
    return true;
}

enum err log_open(struct str path, enum log_level least)
{
    char text[4096];
    enum err err = path_text(path, text) ? set_place(&all, text) : E_SYSTEM;

    if (err == E_OK)
        least_level = least;
    return err;
}

enum err log_open_access(struct str path)
{
    char text[4096];
    enum err err = E_OK;

    if (path.n == 0) {
        if (access_place.fd >= 0)
            close(access_place.fd);
        access_place.fd = -1;
    } else {
        err = path_text(path, text) ? set_place(&access_place, text) : E_SYSTEM;
    }
    if (err == E_OK)
        access_apart = true;
    return err;
}

enum err log_reopen(void)
{
    enum err err = set_place(&all, all.path), second = E_OK;

    if (access_apart && access_place.fd >= 0)
        second = set_place(&access_place, access_place.path);
    return err == E_OK ? second : err;
}

/* One write that does not wait; how many bytes went, or -1. */
static ssize_t write_now(const struct place *place, const char *p, size_t n)
{
    struct pollfd ready = {.fd = place->fd, .events = POLLOUT};
    ssize_t done;

    if (place->way == BY_SEND)
        return send(place->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* A pipe that is ready takes PIPE_BUF (4096) bytes. */
    if (place->way == BY_POLL &&
        (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)))
        return -1;
    do
        done = write(place->fd, p, n);
    while (done < 0 && errno == EINTR);
    return done;
}

/* line ends in LF. */
static void write_line(struct place *place, const char *line, size_t n)
{
    int was = errno;
    ssize_t done;

    if (place->fd < 0)
        return;
    /* What was torn is ended first, so that this line stays whole. */
    if (place->torn)
        place->torn = write_now(place, "\n", 1) != 1;
    done = place->torn ? -1 : write_now(place, line, n);
    if (done != (ssize_t)n) {
        dropped++;
        place->torn = place->torn || done > 0;
    }
    errno = was;
}

bool log_wants(enum log_level level)
{
    return level >= least_level;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Bytes of an API key that text begins with (e2b_ and hex digits), or 0. */
static size_t key_bytes(struct str text)
{
    size_t n = 4;

    if (!str_starts(text, STR("e2b_")))
        return 0;
    while (n < text.n && is_hex(text.p[n]))
        n++;
    return n >= 12 ? n : 0;
}

/* Bytes at the start of text that need no second look. */
static size_t plain_bytes(struct str text)
{
    size_t n = 0;

    while (n < text.n) {
        unsigned char c = (unsigned char)text.p[n];

        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ||
            (c == 'e' && text.n - n > 4 && text.p[n + 1] == '2'))
            break;
        n++;
    }
    return n;
}

/* Append text, escaped for JSON in ASCII, at most max bytes of it; a key in
 * it is not shown.  Bytes that are no plain ASCII become \u00XX each: what a
 * stranger sent can neither end the line nor look like another one. */
static void put_escaped(struct buf *line, struct str text, size_t max)
{
    size_t end = buf_len(line) + max;

    for (;;) {
        size_t plain = plain_bytes(text), left = end - buf_len(line), key;
        unsigned char c;

        if (plain + 9 > left)
            plain = left > 9 ? left - 9 : 0;
        buf_put(line, str_from(text.p, plain));
        text = str_after(text, plain);
        if (!text.n)
            return;
        c = (unsigned char)text.p[0];
        key = c == 'e' ? key_bytes(text) : 0;
        if (buf_len(line) + 9 > end) {
            buf_put(line, STR("..."));
            return;
        }
        if (key)
            buf_put(line, STR("e2b_-"));
        else if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            buf_text(line, "\\u%04x", (unsigned)c);
        else
            buf_byte(line, (char)c);
        text = str_after(text, key ? key : 1);
    }
}

void log_say(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char text[LINE_BYTES], made[LINE_BYTES + 1], time[25];
    struct buf line;
    va_list args;
    int n;

    if (!log_wants(level))
        return;
    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        return;
    clock_text(clock_wall_ms(), time);
    /* No memory is asked for: the line about its end must get out. */
    buf_init_at(&line, made, sizeof(made));
    buf_text(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":\"", time,
             names[level]);
    put_escaped(&line,
                str_from(text, n < LINE_BYTES ? (size_t)n : LINE_BYTES - 1),
                LINE_BYTES - 128);
    buf_put(&line, STR("\"}\n"));
    if (line.failed)
        dropped++;
    else
        write_line(&all, made, buf_len(&line));
}

bool log_wants_lines(void)
{
    return !access_apart || access_place.fd >= 0;
}

void log_line(struct str json)
{
    char line[LINE_BYTES];

    if (json.n >= sizeof(line)) {
        dropped++;
        return;
    }
    memcpy(line, json.p, json.n);
    line[json.n] = '\n';
    write_line(access_apart ? &access_place : &all, line, json.n + 1);
}

/* Does text begin with the part, which is lower case? */
static bool begins(struct str text, const char *part)
{
    size_t n = 0;

    for (; part[n]; n++)
        if (n >= text.n ||
            ((text.p[n] >= 'A' && text.p[n] <= 'Z' ? text.p[n] | 0x20
                                                   : text.p[n]) != part[n]))
            return false;
    return true;
}

/* One bit for each letter, whatever its case; other signs share them. */
#define LETTER(c) (1u << ((c)&31))

/* letters: those that a part begins with. */
static bool has_part(struct str name, const char *const *parts,
                     uint32_t letters)
{
    for (size_t i = 0; i < name.n && i < 64; i++) {
        if (!(letters & LETTER(name.p[i])))
            continue;
        for (const char *const *part = parts; *part; part++)
            if (LETTER(**part) == LETTER(name.p[i]) &&
                begins(str_after(name, i), *part))
                return true;
    }
    return name.n > 64;
}

/* Is the value of a field of that name secret? */
static bool is_secret(struct str name)
{
    static const char *const parts[] = {
        "api_key", "api-key",   "apikey", "authoriz", "cookie",
        "passw",   "signature", "secret", "token",    NULL};

    return has_part(name, parts,
                    LETTER('a') | LETTER('c') | LETTER('p') | LETTER('s') |
                        LETTER('t'));
}

/* The same of a query: strangers choose its names, so rather too many than
 * one too few; an escaped name is not decoded but distrusted. */
static bool is_secret_query(struct str name)
{
    static const char *const parts[] = {
        "auth", "cookie", "key", "passw", "sign", "secret", "token", "%", NULL};

    return has_part(name, parts,
                    LETTER('a') | LETTER('c') | LETTER('k') | LETTER('p') |
                        LETTER('s') | LETTER('t') | LETTER('%'));
}

static void put_name(struct buf *line, struct str name)
{
    char *p = buf_room(line, name.n + 4);

    if (!p)
        return;
    p[0] = ',';
    p[1] = '"';
    memcpy(p + 2, name.p, name.n);
    p[name.n + 2] = '"';
    p[name.n + 3] = ':';
    buf_grew(line, name.n + 4);
}

void log_put(struct buf *line, const char *name, struct str value)
{
    put_name(line, str_of(name));
    buf_byte(line, '"');
    if (is_secret(str_of(name)))
        buf_byte(line, '-');
    else
        put_escaped(line, value, TEXT_BYTES);
    buf_byte(line, '"');
}

void log_put_number(struct buf *line, const char *name, int64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do
        digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        digits[--at] = '-';
    put_name(line, str_of(name));
    buf_put(line, str_from(digits + at, sizeof(digits) - at));
}

void log_put_target(struct buf *line, const char *name, struct str target)
{
    struct str query = target, part;
    size_t end = buf_len(line) + TARGET_BYTES, left;
    char sep = '?';

    put_name(line, str_of(name));
    buf_byte(line, '"');
    put_escaped(line, str_cut(&query, '?'), TARGET_BYTES / 2);
    for (; query.p && buf_len(line) + 16 < end; sep = '&') {
        part = str_cut(&query, '&');
        buf_byte(line, sep);
        left = end - buf_len(line);
        if (is_secret_query(str_from(part.p, str_find(part, '=')))) {
            put_escaped(line, str_cut(&part, '='), left);
            buf_put(line, part.p ? STR("=-") : STR(""));
        } else {
            put_escaped(line, part, left);
        }
    }
    if (query.p)
        buf_put(line, STR("..."));
    buf_byte(line, '"');
}

uint64_t log_dropped(void)
{
    return dropped;
}
