"""channel - messages with descriptors between box, its spawner and agents.

A channel is one end of a SOCK_SEQPACKET pair. A message is a JSON object; up
to three descriptors travel with it. A message over INLINE_BYTES goes into a
memory file and only that file's descriptor crosses the socket, so no message
can meet the socket's size limit.
"""

import array
import json
import os
import socket

INLINE_BYTES = 32768
MESSAGE_BYTES = 256 * 1024 * 1024
MAX_FDS = 4

_FD_SPACE = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)


class Broken(Exception):
    """The other side sent something that is no message."""


def pair():
    """Two connected ends, both non-inheritable."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def pack(message, fds=()):
    """Give (bytes, fds, spill); spill is a descriptor to close, or None."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) <= INLINE_BYTES:
        return data, list(fds), None
    spill = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(spill, view):]
    except OSError:
        os.close(spill)
        raise
    return b"M", [spill, *fds], spill


def send(sock, message, fds=()):
    """Send one message on a blocking socket; fds stay the caller's."""
    data, all_fds, spill = pack(message, fds)
    try:
        socket.send_fds(sock, [data], all_fds)
    finally:
        if spill is not None:
            os.close(spill)


def _close_all(fds):
    for fd in fds:
        os.close(fd)


def _read_spill(fd):
    size = os.fstat(fd).st_size
    if size > MESSAGE_BYTES:
        raise Broken("message too large")
    parts = []
    offset = 0
    while offset < size:
        part = os.pread(fd, size - offset, offset)
        if not part:
            raise Broken("message cut short")
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def receive(sock):
    """Read one message: (message, fds), or None at the end.

    The descriptors are the caller's to close. Raises BlockingIOError on a
    non-blocking socket without a message, Broken on nonsense.
    """
    data, ancillary, _, _ = sock.recvmsg(
        INLINE_BYTES + 1, _FD_SPACE, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            usable = len(payload) - len(payload) % fds.itemsize
            fds.frombytes(payload[:usable])
    fds = list(fds)
    if not data:
        _close_all(fds)
        return None
    try:
        if data == b"M":
            if not fds:
                raise Broken("large message without its file")
            spill = fds.pop(0)
            try:
                data = _read_spill(spill)
            finally:
                os.close(spill)
        message = json.loads(data)
        if not isinstance(message, dict):
            raise Broken("message is not an object")
    except (ValueError, Broken) as problem:
        _close_all(fds)
        raise Broken(str(problem)) from problem
    return message, fds
