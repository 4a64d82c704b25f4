/* named.c - see named.h. */
#include "conf/named.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"

#define SECRET_FILE_BYTES 4096
#define SECRET_LEAST_BYTES 32
#define SECRET_DIGITS 64
#define SHARED_LEAST_BYTES 16 /* mitos-sandbox-server.md 4.1 */

static const char *why_not(int error)
{
    switch (error) {
    case ENOENT:
        return "there is no such file";
    case EACCES:
        return "the file may not be read";
    case ENOTDIR:
        return "a part of the path is no directory";
    case ENAMETOOLONG:
        return "the path is too long";
    default:
        return "the file cannot be opened";
    }
}

const char *named_to_write(struct str path)
{
    size_t n = path.n;
    char folder[4096];
    struct stat is;

    if (n >= sizeof(folder))
        return "the path is too long";
    if (n == 0 || path.p[n - 1] == '/')
        return "a file is needed, not a directory";
    while (n > 0 && path.p[n - 1] != '/')
        n--;
    memcpy(folder, path.p, n);
    folder[n] = '\0';
    if (stat(n ? folder : ".", &is) < 0 || !S_ISDIR(is.st_mode))
        return "its directory is not there";
    if (stat(path.p, &is) == 0 && S_ISDIR(is.st_mode))
        return "a file is needed, not a directory";
    return NULL;
}

/* The file opened for reading, or -1 and why. */
static int open_named(struct str path, bool owner_only, const char **why)
{
    /* O_NONBLOCK: a FIFO must not hold up the start. */
    int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat is;

    *why = NULL;
    if (fd < 0)
        *why = why_not(errno);
    else if (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode))
        *why = "it is no plain file";
    else if (owner_only && is.st_mode & 077)
        *why = "others than its owner may read or write it (chmod 600)";
    if (*why && fd >= 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

const char *named_to_read(struct str path, bool owner_only)
{
    const char *why;
    int fd = open_named(path, owner_only, &why);

    if (fd >= 0)
        close(fd);
    return why;
}

/* Up to n bytes of the file; -1 if it cannot be read. */
static ssize_t read_all(int fd, unsigned char *p, size_t n)
{
    size_t at = 0;

    while (at < n) {
        ssize_t got = read(fd, p + at, n - at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        at += (size_t)got;
    }
    return (ssize_t)at;
}

static const char *make_secret(struct str content, unsigned char out[32])
{
    struct str line = content;

    while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (line.n == SECRET_DIGITS && decode_hex(line, out, 32))
        return NULL;
    if (line.n < SECRET_LEAST_BYTES)
        return "the secret is too short: 64 hex digits or at least 32 bytes";
    if (content.n > SECRET_FILE_BYTES)
        return "the secret is longer than 4 KiB";
    crypto_generichash(out, 32, (const unsigned char *)content.p, content.n,
                       NULL, 0);
    return NULL;
}

const char *named_secret(struct str path, unsigned char out[32])
{
    unsigned char content[SECRET_FILE_BYTES + 1];
    const char *why;
    int fd = open_named(path, true, &why);
    ssize_t n;

    if (fd < 0)
        return why;
    n = read_all(fd, content, sizeof(content));
    close(fd);
    if (n < 0)
        return "it cannot be read";
    why = make_secret(str_from((const char *)content, (size_t)n), out);
    sodium_memzero(content, sizeof(content));
    return why;
}

const char *named_shared(struct str path, unsigned char *out, size_t room,
                         unsigned *bytes)
{
    unsigned char content[SECRET_FILE_BYTES + 1];
    const char *why;
    int fd = open_named(path, true, &why);
    ssize_t n;

    *bytes = 0;
    if (fd < 0)
        return why;
    n = read_all(fd, content, sizeof(content));
    close(fd);
    while (n > 0 && (content[n - 1] == '\n' || content[n - 1] == '\r'))
        n--;
    if (n < 0)
        why = "it cannot be read";
    else if (n < SHARED_LEAST_BYTES)
        why = "the secret is too short: at least 16 bytes";
    else if ((size_t)n > room)
        why = "the secret is longer than 256 bytes";
    if (!why) {
        memcpy(out, content, (size_t)n);
        *bytes = (unsigned)n;
    }
    sodium_memzero(content, sizeof(content));
    return why;
}
