"""faults - switches that make the server misbehave, for its clients' tests."""

import asyncio
import random

FIELDS = ("latency_ms", "cut_after_bytes", "refuse_fork", "garbage", "split")


class Faults:
    """What is switched on; all off at first."""

    def __init__(self, latency_ms=0, cut_after_bytes=0, refuse_fork=False,
                 garbage=False, split=False):
        self.latency_ms = latency_ms
        self.cut_after_bytes = cut_after_bytes
        self.refuse_fork = refuse_fork
        self.garbage = garbage
        self.split = split
        self._settle()

    def _settle(self):
        self.active = bool(self.cut_after_bytes or self.garbage
                           or self.split)

    def set(self, wanted):
        """Take the known fields of a JSON object; names of unknown ones."""
        for name in FIELDS:
            if name in wanted:
                kind = type(getattr(self, name))
                setattr(self, name, kind(wanted[name]))
        self._settle()
        return sorted(set(wanted) - set(FIELDS))

    async def delay(self):
        """Wait as long as latency_ms says."""
        if self.latency_ms:
            await asyncio.sleep(self.latency_ms / 1000)

    def write(self, conn, data):
        """Send data of conn, spoiled as switched."""
        data = bytes(data)
        if self.garbage:
            data = bytes(random.randrange(256) for _ in data[:4096])
        if self.cut_after_bytes:
            room = self.cut_after_bytes - conn.written
            conn.written += len(data)
            if len(data) >= room:
                conn.transport.write(data[:max(room, 0)])
                # close, not abort: what was let through must arrive
                conn.transport.close()
                return
        if not self.split:
            conn.transport.write(data)
            return
        offset = 0
        while offset < len(data):
            size = random.choice((1, 2, 3, 5, 7, 11, 1000, 4096))
            conn.transport.write(data[offset:offset + size])
            offset += size
