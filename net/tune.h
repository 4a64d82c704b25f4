/* tune.h - inside net: what every TCP socket is told, ours and upstreams'. */
#ifndef NET_TUNE_H
#define NET_TUNE_H

/* What the kernel may hold, and when it looks whether the other side is still
 * there.  A listening socket hands it on to those that it accepts.  An option
 * that a socket does not have (a local one) is passed over.
 * receive_bytes  that wait for us while we do not read */
void tune_socket(int fd, int receive_bytes);

#endif
