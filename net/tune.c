/* tune.c - see tune.h. */
#include "net/tune.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* What the kernel may hold for a reader that does not read.  Source:
 * threats.md 3.7. */
#define UNSENT_BYTES (128 * 1024)

/* A peer that vanished without a word is found after two minutes, and what
 * forgets silent connections on the way (address translation, balancers) sees
 * a packet a minute. */
#define SILENT_S 60
#define PROBE_S 20
#define PROBES 3

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof(value));
}

void tune_socket(int fd, int receive_bytes)
{
    set(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, SILENT_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
}
