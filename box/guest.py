"""guest - box's end of the channel to one sandbox's agent."""

import asyncio
import os

from box import channel


class Failed(Exception):
    """The agent answered with an error.

    code is an errno, or 0 or less where text stands for itself.
    """

    def __init__(self, code, step="", text=""):
        super().__init__(text or f"{step}{code}")
        self.code = code
        self.step = step
        self.text = text


class Lost(Exception):
    """The agent has gone."""


class Guest:
    """Asks the agent; owns the socket."""

    def __init__(self, sock):
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        self.ready = self.loop.create_future()
        self.lost = self.loop.create_future()
        self._waiting = {}
        self._exits = {}
        self._queue = []
        self._next = 0
        sock.setblocking(False)
        self.loop.add_reader(sock, self._on_readable)

    def close(self):
        """Forget the agent; whoever waits is told Lost."""
        if self.sock is None:
            return
        self.loop.remove_reader(self.sock)
        self.loop.remove_writer(self.sock)
        self.sock.close()
        self.sock = None
        for _, _, fds in self._queue:
            for fd in fds:
                os.close(fd)
        self._queue.clear()
        for future in (*self._waiting.values(), *self._exits.values()):
            if not future.done():
                future.set_exception(Lost())
                future.exception()  # nobody may be waiting
        self._waiting.clear()
        self._exits.clear()
        if not self.ready.done():
            self.ready.set_result("the sandbox's first process ended")
        if not self.lost.done():
            self.lost.set_result(None)

    def _on_readable(self):
        for _ in range(64):
            if self.sock is None:
                return
            try:
                got = channel.receive(self.sock)
            except BlockingIOError:
                return
            except (channel.Broken, OSError):
                got = None
            if got is None:
                self.close()
                return
            self._take(*got)

    def _take(self, message, fds):
        if "exited" in message:
            future = self._exits.pop(message["exited"], None)
            if future is not None and not future.done():
                future.set_result(message.get("code", -1))
        elif "ready" in message or "failed" in message:
            if not self.ready.done():
                self.ready.set_result(message.get("failed"))
        else:
            future = self._waiting.pop(message.get("ticket"), None)
            if future is not None and not future.done():
                future.set_result((message, fds))
                return
        for fd in fds:
            os.close(fd)

    def _send(self, message, fds):
        data, all_fds, spill = channel.pack(message, fds)
        kept = [os.dup(fd) for fd in all_fds]
        if spill is not None:
            os.close(spill)
        self._queue.append((message["ticket"], data, kept))
        self._flush()

    def _flush(self):
        while self._queue:
            _, data, fds = self._queue[0]
            try:
                channel.socket.send_fds(self.sock, [data], fds)
            except BlockingIOError:
                self.loop.add_writer(self.sock, self._flush)
                return
            except OSError:
                self.close()
                return
            for fd in fds:
                os.close(fd)
            self._queue.pop(0)
        self.loop.remove_writer(self.sock)

    async def ask(self, op, fds=(), **fields):
        """One request; gives (result, fds), the fds to be closed by you."""
        if self.sock is None:
            raise Lost()
        self._next += 1
        ticket = self._next
        future = self.loop.create_future()
        self._waiting[ticket] = future
        self._send({"ticket": ticket, "op": op, **fields}, fds)
        try:
            message, got = await future
        except asyncio.CancelledError:
            self._drop_late(ticket, future)
            raise
        if "error" in message:
            for fd in got:
                os.close(fd)
            code, step = message["error"]
            raise Failed(code, step, message.get("text", ""))
        return message.get("ok"), got

    def _drop_late(self, ticket, future):
        """Nobody waits any more: close what the answer brings."""
        if future.done() and not future.cancelled():
            if future.exception() is None:
                for fd in future.result()[1]:
                    os.close(fd)
            return
        late = self.loop.create_future()

        def close_fds(done):
            if not done.cancelled() and done.exception() is None:
                for fd in done.result()[1]:
                    os.close(fd)
        late.add_done_callback(close_fds)
        if self.sock is not None:
            self._waiting[ticket] = late

    async def start(self, argv, cwd, env, fds=(), pty=None):
        """Start a program: (pid, future of its exit code, fds)."""
        self._next += 1
        program = self._next
        exited = self.loop.create_future()
        self._exits[program] = exited
        try:
            pid, got = await asyncio.shield(asyncio.ensure_future(
                self.ask("exec", fds, program=program, argv=argv, cwd=cwd,
                         env=env, pty=pty)))
        except (Failed, Lost):
            self._exits.pop(program, None)
            raise
        return pid, exited, got
