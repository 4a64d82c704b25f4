"""forward - raw TCP from a port of this machine to a sandbox's loopback."""

import asyncio
import socket

from box import guest

FORWARDS_MAX = 16
CONNECT_S = 5


class Unable(Exception):
    """No forward; the text says why."""


async def dial(sandbox, port):
    """A connected socket to 127.0.0.1:port inside; OSError when refused.

    The agent makes the socket, so it belongs to the sandbox's network for
    ever; connecting it is possible from here.
    """
    try:
        _, fds = await sandbox.guest.ask("socket")
    except (guest.Failed, guest.Lost) as problem:
        raise ConnectionError("the sandbox's agent does not answer") \
            from problem
    sock = socket.socket(fileno=fds[0])
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(
            sock, ("127.0.0.1", port)), CONNECT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException as problem:
        sock.close()
        if isinstance(problem, asyncio.TimeoutError):
            raise ConnectionError("connect timed out") from None
        raise
    return sock


class Side(asyncio.Protocol):
    """One end of a tunnel; a FIN from either takes both down."""

    def __init__(self):
        self.peer = None
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.peer.transport.write(data)

    def pause_writing(self):
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self):
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def end(self):
        """Close this end; what is written already still goes out."""
        if self.transport is not None:
            self.transport.close()

    def eof_received(self):
        if self.peer is not None:
            self.peer.end()
        return False

    def connection_lost(self, exc):
        if self.peer is not None:
            self.peer.end()


class Outer(Side):
    """The end towards whoever connected to the forward."""

    def __init__(self, forward):
        super().__init__()
        self.forward = forward
        self.early = b""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.forward.open.add(self)
        asyncio.get_running_loop().create_task(self._join())

    def data_received(self, data):
        if self.peer is None:
            # asyncio of 3.11 reads on even when told not to at the start.
            self.early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    async def _join(self):
        forward = self.forward
        try:
            sock = await dial(forward.sandbox, forward.port)
        except OSError:
            self.end()
            return
        inner = Side()
        inner.peer = self
        await asyncio.get_running_loop().create_connection(
            lambda: inner, sock=sock)
        self.peer = inner
        if self.early:
            inner.transport.write(self.early)
            self.early = b""
        if self.transport.is_closing():
            inner.end()
        else:
            self.transport.resume_reading()

    def connection_lost(self, exc):
        self.forward.open.discard(self)
        super().connection_lost(exc)


class Forward:
    """A listener and its open connections."""

    def __init__(self, sandbox, port):
        self.sandbox = sandbox
        self.port = port
        self.open = set()
        self.server = None

    def close(self):
        """Close the listener and every connection."""
        self.server.close()
        for side in list(self.open):
            side.end()


async def open_forward(sandbox, name, port):
    """Listen on a free port: "127.0.0.1:n". Raises Unable."""
    if sandbox is None or not sandbox.alive:
        raise Unable(f"sandbox {name} has no stream path")
    if len(sandbox.forwards) >= FORWARDS_MAX:
        raise Unable(f"sandbox {name} is at its port-forward limit of "
                     f"{FORWARDS_MAX}")
    forward = Forward(sandbox, port)
    sandbox.forwards.append(forward)
    forward.server = await asyncio.get_running_loop().create_server(
        lambda: Outer(forward), "127.0.0.1", 0, backlog=256)
    sandbox.closers.add(forward.close)
    host, number = forward.server.sockets[0].getsockname()
    return f"{host}:{number}"
