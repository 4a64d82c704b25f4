"""chaos_proxy - a TCP proxy that misbehaves as a plan says.

A plan has a Way for each direction ("up" is from who connected to whom he
wanted).  Setting a plan counts bytes anew on the links that are open, so kept
connections misbehave as well.  All of it is one thread with asyncio; the bytes
that harm nobody are the same at both ends.
"""
import asyncio
import fcntl
import socket
import struct
import termios
import threading
import time


class Way:
    """What happens to the bytes of one direction."""

    def __init__(self, slices=None, pause=0.0, delay=0.0, rate=0, gather=0.0, events=()):
        self.slices = slices  # sizes of the first pieces; the rest goes whole
        self.pause = pause    # seconds between these
        self.delay = delay    # seconds before anything that was read goes on
        self.rate = rate      # bytes a second, for the first 64 KiB
        self.gather = gather  # seconds in which reads are made one write
        self.events = sorted(events, key=lambda e: e[0])  # (offset, what, argument)

    def kinds(self):
        return {what for _, what, _ in self.events}

    def __repr__(self):
        return f"Way(slices={self.slices and self.slices[:8]}, pause={self.pause}, delay={self.delay}, rate={self.rate}, " \
               f"gather={self.gather}, events={[(at, what, arg if what != 'garbage' else len(arg)) for at, what, arg in self.events]})"


class Plan:
    """up and down."""

    def __init__(self, up=None, down=None):
        self.ways = {"up": up or Way(), "down": down or Way()}

    def kinds(self):
        return self.ways["up"].kinds() | self.ways["down"].kinds()

    def harmless(self):
        """Only time is lost."""
        return not self.kinds() - {"stall", "nothing"}

    def spoils(self, way=None):
        """Bytes come that nobody sent."""
        return "garbage" in (self.ways[way].kinds() if way else self.kinds())

    def __repr__(self):
        return f"up {self.ways['up']}, down {self.ways['down']}"


CUTS = ("fin", "rst", "half")


def draw_way(rng, size, harm):
    """A random way for some size bytes; harm: what may be done to them."""
    way = Way()
    style = rng.randrange(6)
    if style in (0, 1):
        most = rng.choice((1, 2, 7, 100, 4096, 20000))
        way.slices = [rng.randint(1, most) for _ in range(rng.randint(1, 150))]
        way.pause = rng.choice((0, 0, 0.0005, 0.002))
        if way.pause:
            way.slices = way.slices[:40]
    elif style == 2:
        way.delay = rng.choice((0.001, 0.01, 0.05))
    elif style == 3:
        way.rate = rng.choice((200_000, 2_000_000))
    elif style == 4:
        way.gather = rng.choice((0.002, 0.01))
    at = rng.choice((rng.randint(0, 400), rng.randint(0, max(1, size)), rng.randint(0, max(1, 2 * size))))
    if rng.random() < 0.2:
        way.events.append((at // 2, "stall", rng.choice((0.01, 0.1, 0.3))))
    if harm:
        what = rng.choice(harm)
        way.events.append((at, what, rng.choice(CUTS) if what == "cut" else
                           bytes(rng.randint(128, 255) for _ in range(rng.choice((1, 5, 300))))))
    return way


def draw(rng, up=1000, down=1000, harm=()):
    """A random plan; what is in harm ("cut", "garbage", "hang") happens in one
    direction."""
    worse = rng.choice(("up", "down"))
    return Plan(draw_way(rng, up, harm if worse == "up" else ()), draw_way(rng, down, harm if worse == "down" else ()))


class Ended(Exception):
    """The plan ends this link; how is its argument."""


class Link:
    """Two connected sockets and how far their bytes have come."""

    def __init__(self, near, far, plan):
        self.socks, self.tasks, self.broken = (near, far), [], False
        self.take(plan)

    def take(self, plan):
        self.plan = plan
        self.seen = {"up": 0, "down": 0}
        self.todo = {name: list(way.events) for name, way in plan.ways.items()}
        self.slices = {name: list(reversed(way.slices or ())) for name, way in plan.ways.items()}

    def end(self, reset):
        for sock in self.socks:
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


class Proxy:
    """Listens on 127.0.0.1 and connects to a port there."""

    loop = None

    def __init__(self, target, plan=None, each=None):
        self.target, self.plan, self.links = target, plan or Plan(), set()
        self.each = each  # the plan of the n-th link, instead
        self.count = 0
        if not Proxy.loop:
            Proxy.loop = asyncio.new_event_loop()
            threading.Thread(target=Proxy.loop.run_forever, daemon=True).start()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.accepting = asyncio.run_coroutine_threadsafe(self.accept(), Proxy.loop)

    @staticmethod
    def run(coroutine):
        """In the thread of the loop, waited for."""
        asyncio.run_coroutine_threadsafe(coroutine, Proxy.loop).result(10)

    def set(self, plan):
        """From now on, for open links too."""
        async def take():
            self.plan = plan
            for link in self.links:
                link.take(plan)
        self.run(take())

    def release(self):
        """Every link is reset."""
        async def cut():
            await asyncio.gather(*(self.drop(link, True) for link in list(self.links)))
        self.run(cut())

    def end(self):
        async def close():
            self.listener.close()
        self.accepting.cancel()
        self.release()
        self.run(close())

    async def drop(self, link, reset):
        """Once for a link; a descriptor is closed when no task waits for it."""
        if link not in self.links:
            return
        self.links.discard(link)
        for task in link.tasks:
            task.cancel()
        await asyncio.wait(link.tasks)
        link.end(reset)

    async def accept(self):
        while True:
            near, _ = await self.loop.sock_accept(self.listener)
            asyncio.ensure_future(self.serve(near))

    async def serve(self, near):
        far = socket.socket()
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plan = self.each(self.count) if self.each else self.plan
        self.count += 1
        link = Link(near, far, plan)
        try:
            await self.loop.sock_connect(far, ("127.0.0.1", self.target))
        except OSError:
            link.end(True)
            return
        self.links.add(link)
        link.tasks = [asyncio.ensure_future(self.pump(link, near, far, "up")), asyncio.ensure_future(self.pump(link, far, near, "down"))]
        await asyncio.wait(link.tasks, return_when=asyncio.FIRST_EXCEPTION)
        whys = [task.exception() for task in link.tasks if task.done() and not task.cancelled() and task.exception()]
        await self.drop(link, any(not isinstance(why, Ended) or why.args[0] == "rst" for why in whys))

    async def pump(self, link, src, dst, name):
        while True:
            data = await self.loop.sock_recv(src, 65536)
            way = link.plan.ways[name]
            if data and way.gather:
                await asyncio.sleep(way.gather)
                try:
                    data += self.waiting(src)
                except OSError:
                    link.broken = True
            if data and way.delay:
                await asyncio.sleep(way.delay)
            if not data and link.broken:
                await self.sent(dst)
                raise Ended("rst")
            if not data:
                dst.shutdown(socket.SHUT_WR)
                return
            try:
                goes_on = await self.forward(link, dst, data, name)
            except OSError:
                # The other direction may still have last words, and then an
                # end that is none: an error is told once.
                link.broken = True
                return
            if not goes_on:
                # Half a close that the sender knows nothing of.
                dst.shutdown(socket.SHUT_WR)
                while await self.loop.sock_recv(src, 65536):
                    pass
                return

    @staticmethod
    async def sent(sock):
        """Until nothing waits in the kernel, where a reset would drop it."""
        until = time.monotonic() + 2
        while struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0] and time.monotonic() < until:
            await asyncio.sleep(0.001)

    @staticmethod
    def waiting(src):
        """What more is here."""
        try:
            return src.recv(1 << 18)
        except BlockingIOError:
            return b""

    async def forward(self, link, dst, data, name):
        """False: no more of this direction."""
        while data:
            way, todo, at = link.plan.ways[name], link.todo[name], link.seen[name]
            if todo and todo[0][0] <= at:
                _, what, argument = todo.pop(0)
                if what == "nothing":
                    continue
                if what == "stall":
                    await asyncio.sleep(argument)
                elif what == "hang":
                    await asyncio.Event().wait()
                elif what == "garbage":
                    await self.loop.sock_sendall(dst, argument)
                elif argument == "half":
                    return False
                else:
                    raise Ended(argument)
                continue
            n = len(data)
            if link.slices[name]:
                n = min(n, link.slices[name].pop())
            if todo:
                n = min(n, todo[0][0] - at)
            if way.rate and at < 65536:
                n = min(n, 8192)
                await asyncio.sleep(n / way.rate)
            await self.loop.sock_sendall(dst, data[:n])
            link.seen[name] = link.seen[name] + n
            data = data[n:]
            if link.slices[name]:
                await asyncio.sleep(way.pause)
        return True
