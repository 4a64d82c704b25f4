"""runcode - one Python kernel per sandbox, by way of its driver."""

import asyncio
import base64
import json
import os

from box import guest, jsontext, status
from box.exec import check_ceiling
from box.status import RpcError, Status

DRIVER = "/opt/mitos/kernel_driver.py"
PYTHON = "/usr/bin/python3"
DEFAULT_TIMEOUT_S = 60
START_S = 120
LINE_BYTES_MAX = 96 << 20
READ_BYTES = 1 << 20

MISSING = ("kernel unavailable: driver /opt/mitos/kernel_driver.py not found;"
           " rebuild the base image with FULL_ROOTFS=1 so ipykernel and "
           "/opt/mitos/kernel_driver.py are installed")


class Failure(Exception):
    """How a cell ended without the kernel's word: name, value, exit code."""

    def __init__(self, name, value, code):
        super().__init__(value)
        self.name = name
        self.value = value
        self.code = code


def _unavailable(value):
    return Failure("KernelUnavailable", value, 127)


def _encode(text):
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


class Kernel:
    """The driver of one sandbox: started on first use, serial."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.loop = asyncio.get_running_loop()
        self.lock = asyncio.Lock()
        self.dead = False
        self.to_driver = None
        self.from_driver = None
        self._rest = bytearray()
        self._scanned = 0
        self._next = 0

    def close(self):
        """Close the pipes."""
        for fd in (self.to_driver, self.from_driver):
            if fd is not None:
                self.loop.remove_reader(fd)
                self.loop.remove_writer(fd)
                os.close(fd)
        self.to_driver = self.from_driver = None
        self.sandbox.closers.discard(self.close)

    async def _start(self):
        agent = self.sandbox.guest
        try:
            await agent.ask("stat", path=DRIVER)
        except guest.Failed:
            raise _unavailable(MISSING) from None
        in_out, in_in = os.pipe2(os.O_CLOEXEC)
        out_out, out_in = os.pipe2(os.O_CLOEXEC)
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            await agent.start([PYTHON, DRIVER], "/workspace", [],
                              [in_out, out_in, nowhere])
        except (guest.Failed, guest.Lost) as problem:
            os.close(in_in)
            os.close(out_out)
            raise _unavailable(f"kernel unavailable: {problem}") from None
        finally:
            for fd in (in_out, out_in, nowhere):
                os.close(fd)
        os.set_blocking(in_in, False)
        os.set_blocking(out_out, False)
        self.to_driver, self.from_driver = in_in, out_out
        self._rest.clear()
        self._scanned = 0
        self.sandbox.closers.add(self.close)
        try:
            line = await asyncio.wait_for(self._line(), START_S)
            ready = json.loads(line).get("kind") == "ready"
        except (Failure, asyncio.TimeoutError, ValueError, AttributeError):
            ready = False
        if not ready:
            self.close()
            raise _unavailable("kernel driver produced no ready line")

    async def _ready(self, add, remove):
        fd = self.from_driver if remove == self.loop.remove_reader \
            else self.to_driver
        if fd is None:
            raise Failure("KernelStreamError", "kernel stream closed", 1)
        ready = self.loop.create_future()
        add(fd, lambda: ready.done() or ready.set_result(None))

        def abort():
            if not ready.done():
                ready.set_result(None)
        self.sandbox.closers.add(abort)
        try:
            await ready
        finally:
            self.sandbox.closers.discard(abort)
            if fd in (self.from_driver, self.to_driver):
                remove(fd)

    async def _line(self):
        """The driver's next line; Failure at its end."""
        while True:
            end = self._rest.find(b"\n", self._scanned)
            if end >= 0:
                line = bytes(self._rest[:end])
                del self._rest[:end + 1]
                self._scanned = 0
                return line
            self._scanned = len(self._rest)
            if self._scanned > LINE_BYTES_MAX:
                raise Failure("KernelStreamError", "kernel event too long", 1)
            await self._ready(self.loop.add_reader, self.loop.remove_reader)
            try:
                data = os.read(self.from_driver, READ_BYTES)
            except BlockingIOError:
                continue
            except (OSError, TypeError):
                data = b""
            if not data:
                raise Failure("KernelStreamError",
                              "kernel stream closed unexpectedly", 1)
            self._rest += data

    async def _send(self, value):
        view = memoryview(json.dumps(value).encode() + b"\n")
        while view:
            try:
                view = view[os.write(self.to_driver, view):]
            except BlockingIOError:
                await self._ready(self.loop.add_writer,
                                  self.loop.remove_writer)
            except (OSError, TypeError):
                raise Failure("KernelStreamError",
                              "kernel stream closed unexpectedly",
                              1) from None

    async def run(self, code, timeout_s, sink):
        """Run a cell; sink gets messages, the last one is the exit code."""
        async with self.lock:
            try:
                if self.dead:
                    raise _unavailable("kernel previously died")
                if self.to_driver is None:
                    await self._start()
                self._next += 1
                name = str(self._next)
                await self._send({"id": name, "code": code,
                                  "timeout": timeout_s})
                await self._events(name, sink)
            except Failure as failure:
                if failure.name == "KernelStreamError":
                    # The processes stay; the stream is never trusted again.
                    self.dead = True
                    self.close()
                sink({"error": {"name": failure.name,
                                "value": failure.value}})
                sink({"exitCode": failure.code})

    async def _events(self, name, sink):
        broken = False
        while True:
            try:
                event = json.loads(await self._line())
                if not isinstance(event, dict):
                    raise ValueError
            except ValueError:
                raise Failure("KernelStreamError", "decode kernel event: "
                              "expected value at line 1 column 1",
                              1) from None
            if event.get("id") != name:
                continue
            if event.get("kind") == "done":
                if not broken:
                    sink({"exitCode": 0 if event.get("status") == "ok"
                          else 1})
                return
            if broken:
                continue
            message, size = _message(event)
            if size > status.MESSAGE_MAX:
                # Over the hop's limit: the call ends, the cell goes on.
                broken = True
                sink({"exitCode": 1})
            elif message:
                sink(message)


def _message(event):
    """(message, bytes on the hop) of a driver's event."""
    kind = event.get("kind")
    if kind in ("stdout", "stderr"):
        text = event.get("text", "")
        return {kind: _encode(text)}, len(text.encode("utf-8", "replace"))
    if kind == "result":
        data = {name: str(value) for name, value
                in sorted(event.get("data", {}).items())}
        size = sum(len(value) for value in data.values())
        result = {}
        if event.get("text"):
            result["text"] = event["text"]
            size += len(event["text"])
        result["data"] = {name: _encode(value)
                          for name, value in data.items()}
        return {"result": result}, size
    if kind == "error":
        error = {}
        for key in ("name", "value", "traceback"):
            if event.get(key):
                error[key] = event[key]
        return {"error": error}, len(json.dumps(error))
    return None, 0


async def run_code_stream(call, asked, stream):
    """RunCodeStream; a client that leaves does not interrupt the cell."""
    timeout_s = asked.get("timeoutSeconds", 0)
    check_ceiling(call.app, timeout_s)
    if timeout_s <= 0:
        timeout_s = DEFAULT_TIMEOUT_S
    try:
        sandbox = call.require()
    except Status as problem:
        raise RpcError("unavailable", "guest RunCode open failed: open guest "
                       f"RunCode stream: {problem}; check that the language "
                       "kernel is available in the sandbox") from None
    language = asked.get("language", "")
    if language not in ("", "python"):
        stream.tell({"error": {
            "name": "KernelUnavailable",
            "value": f"unsupported language {jsontext.quote(language)}: this "
            "base image provides only a python kernel"}})
        stream.tell({"exitCode": 127})
        return
    if sandbox.kernel is None:
        sandbox.kernel = Kernel(sandbox)
    queue = asyncio.Queue()
    task = asyncio.ensure_future(sandbox.kernel.run(
        asked.get("code", ""), timeout_s, queue.put_nowait))
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while True:
            message = await call.until_over(queue.get())
            if message is None:
                break
            stream.tell(message)
            await stream.drain()
    except Status as problem:
        raise RpcError("unavailable", "guest RunCode stream failed: "
                       f"{problem}; check that the language kernel is "
                       "available in the sandbox") from None
