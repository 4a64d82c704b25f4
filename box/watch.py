"""watch - what happens in one directory, as the real server tells it."""

import os
import struct
import time

from box import guest, guest_files as flags, status
from box.jsontext import quote
from box.status import RpcError, Status

READ_BYTES = 65536
# The real agent's queue of 64 and about how fast it is emptied: bursts of 25
# files pass, of 40 fill it, opens and closes counted.
QUEUE_EVENTS = 80
EVENT_S = 1e-3

HINT = ("; the guest agent may have crashed or the vsock connection was lost")
OVERFLOW = Status("ResourceExhausted",
                  "watch: event channel full; client too slow")

_CREATE = flags.IN_CREATE
_MODIFY = flags.IN_MODIFY | flags.IN_ATTRIB | flags.IN_MOVE_SELF
_DELETE = flags.IN_DELETE | flags.IN_DELETE_SELF
_MOVE = flags.IN_MOVED_FROM | flags.IN_MOVED_TO
_SELF = flags.IN_DELETE_SELF | flags.IN_MOVE_SELF
_LOST = 0x4000   # IN_Q_OVERFLOW
_GONE = 0x8000   # IN_IGNORED


def parse(data):
    """(mask, cookie, name) of each event."""
    at = 0
    while at + 16 <= len(data):
        _, mask, cookie, size = struct.unpack_from("iIII", data, at)
        name = data[at + 16:at + 16 + size].split(b"\0", 1)[0]
        yield mask, cookie, name
        at += 16 + size


class Teller:
    """Turns inotify events into messages."""

    def __init__(self, path):
        self.path = path.rstrip("/") or "/"
        self.moved = {}      # cookie -> old path
        self.level = 0.0
        self.at = time.monotonic()

    def count(self):
        """Another event; whether the queue is over its end."""
        now = time.monotonic()
        self.level = max(0.0, self.level - (now - self.at) / EVENT_S) + 1
        self.at = now
        return self.level > QUEUE_EVENTS

    def tell(self, mask, cookie, name):
        """The messages of one event."""
        if mask & _GONE:
            return []
        path = self.path
        if name:
            path += "/" + name.decode("utf-8", "replace")
        if mask & _CREATE:
            return [{"kind": "CREATE", "path": path}]
        if mask & _DELETE:
            return [{"kind": "DELETE", "path": path}]
        if mask & _MODIFY:
            return [{"kind": "MODIFY", "path": path}]
        if mask & flags.IN_MOVED_FROM:
            self.moved = {cookie: path}
            return [{"kind": "MODIFY", "path": path}]
        if mask & flags.IN_MOVED_TO:
            out = [{"kind": "MODIFY", "path": path}]
            if cookie in self.moved:
                out.append({"kind": "RENAME", "path": self.moved.pop(cookie),
                            "newPath": path})
            return out
        return []


async def _events(call, fd):
    """Bytes of the descriptor, as they come."""
    while True:
        ready = call.loop.create_future()
        call.loop.add_reader(fd, lambda: ready.done()
                             or ready.set_result(None))
        try:
            await call.until_over(ready)
        finally:
            call.loop.remove_reader(fd)
        try:
            yield os.read(fd, READ_BYTES)
        except BlockingIOError:
            continue


async def watch(call, asked, stream):
    """Watch: one level, whatever `recursive` says."""
    path = asked.get("path", "")
    try:
        sandbox = call.require()
    except Status as problem:
        raise RpcError("unavailable", f"guest Watch open failed for path "
                       f"{quote(path)}: open guest Watch stream: {problem}; "
                       "check that the path exists inside the sandbox") \
            from None
    fd = None
    try:
        _, fds = await call.ask("watch", path=path)
        fd = fds[0]
        sandbox.closers.add(call._gone)
        teller = Teller(path)
        async for data in _events(call, fd):
            for mask, cookie, name in parse(data):
                if mask & _LOST or teller.count():
                    raise OVERFLOW
                for message in teller.tell(mask, cookie, name):
                    stream.tell(message)
            await stream.drain()
    except (Status, guest.Failed, guest.Lost) as problem:
        told = (problem if isinstance(problem, Status)
                else status.of(problem, "watch: "))
        raise RpcError("internal", f"read watch stream: {told}{HINT}") \
            from None
    finally:
        sandbox.closers.discard(call._gone)
        if fd is not None:
            os.close(fd)
