"""socket_exec - Exec over a WebSocket: input, terminals, an end that kills.

Every message is one Connect frame. Unlike over HTTP, a client that leaves
takes the program's group with it.
"""

import asyncio
import struct
import urllib.parse

from box import exec as execution_module
from box import guest, jsontext, message, status, websocket
from box.exec import Execution, LimitReached, Slots, check_open
from box.status import Status

SUBPROTOCOL = "connect.sandbox.v1"
_END = 2
CANCELED = ("exec stream failed: recv exec frame: rpc error: code = Canceled "
            "desc = grpc: the client connection is closing")


class _Refused(Exception):
    """The first frame is no exec open."""


def _payload(kind, data):
    """The Connect payload of a message."""
    if kind != websocket.BINARY:
        raise _Refused("expected a binary frame, got MessageText")
    if len(data) < 5:
        raise _Refused(f"short connect frame: {len(data)} bytes")
    size = struct.unpack(">I", data[1:5])[0]
    if size != len(data) - 5:
        raise _Refused(f"connect frame length {size} does not match payload "
                       f"{len(data) - 5}")
    return data[5:]


def _decode(data):
    try:
        return message.decode(data, "ExecRequest", strict=True)
    except message.Wrong as wrong:
        raise _Refused(f"decode ExecRequest: {wrong}") from None


class Session:
    """One upgraded socket."""

    def __init__(self, app, sandbox, socket):
        self.app = app
        self.sandbox = sandbox
        self.socket = socket
        self.conn = socket.conn
        self.execution = None

    def _send(self, payload, flags=0):
        frame = struct.pack(">BI", flags, len(payload)) + payload
        self.conn.write(self.socket.frame(websocket.BINARY, frame))

    def _sink(self, payloads):
        self.conn.write(b"".join([
            self.socket.frame(websocket.BINARY,
                              struct.pack(">BI", 0, len(p)) + p)
            for p in payloads]))
        return not self.conn.paused

    async def _fail(self, text, code):
        self._send(jsontext.message(execution_module.failed_message(text)),
                   _END)
        self.socket.send_close(code, text)
        await self.socket.finish()

    async def _first(self):
        """The open message; _Refused, websocket.Closed."""
        try:
            kind, data = await self.socket.message()
        except websocket.Violation as problem:
            if problem.code == 1009:
                raise
            raise _Refused(f"failed to get reader: {problem}") from None
        first = _decode(_payload(kind, data))
        if "open" not in first:
            raise _Refused("first frame carried no open oneof")
        return first["open"]

    async def run(self):
        """Serve the socket to its end."""
        try:
            opened = await self._first()
        except websocket.Violation as problem:
            self.socket.send_close(problem.code, str(problem))
            await self.socket.finish()
            return
        except _Refused as problem:
            await self._fail(f"first frame must be an exec open: {problem}",
                             1003)
            return
        except websocket.Closed:
            return
        try:
            slot = Slots(self.sandbox,
                         self.app.options.max_streams_per_sandbox)
        except LimitReached as limit:
            await self._fail(f"exec backend unavailable: {limit}", 1008)
            return
        try:
            await self._serve(opened, slot)
        finally:
            slot.free()

    async def _serve(self, opened, slot):
        self.execution = Execution(self.sandbox, opened)
        self.execution.sink = self._sink
        self.conn.on_room(self.execution.room)
        try:
            check_open(opened)
            await self.execution.start(with_stdin=True)
        except guest.Failed as problem:
            text = execution_module.start_text(problem, "pty" in opened)
            await self._fail(f"exec stream failed: {text}", 1011)
            return
        except (Status, guest.Lost) as problem:
            told = (problem if isinstance(problem, Status)
                    else status.of(problem, ""))
            await self._fail(f"exec stream failed: recv exec frame: {told}",
                             1011)
            return
        reader = asyncio.ensure_future(self._read())
        await asyncio.wait((reader, self.execution.done),
                           return_when=asyncio.FIRST_COMPLETED)
        self.conn.forget_room(self.execution.room)
        if self.execution.done.done():
            reader.cancel()
            await asyncio.wait((reader,))
            slot.free()
            await self._finish()
            return
        self.execution.leave()
        self.execution.kill()
        slot.free()
        text = reader.result()
        if isinstance(text, websocket.Violation):
            self.socket.send_close(text.code, str(text))
            await self.socket.finish()
        elif text:
            await self._fail(text, 1011)

    async def _finish(self):
        try:
            code = self.execution.done.result()
        except guest.Lost as problem:
            await self._fail("exec stream failed: recv exec frame: "
                             f"{status.of(problem, '')}", 1011)
            return
        self._send(jsontext.message(execution_module.exit_message(
            code, self.execution.elapsed_ms)), _END)
        self.socket.send_close(1000)
        await self.socket.finish()

    async def _read(self):
        """Messages until the client leaves; what to tell it, or None."""
        try:
            while True:
                kind, data = await self.socket.message()
                await self._take(_decode(_payload(kind, data)))
        except websocket.Closed:
            return None
        except websocket.Violation as problem:
            return problem
        except _Refused:
            return CANCELED

    async def _take(self, asked):
        if "stdin" in asked:
            if not await self.execution.write(asked["stdin"]):
                # The real agent takes a full terminal for a client that
                # has gone: the group is killed.
                self.execution.kill()
        elif "resize" in asked:
            self.execution.resize(asked["resize"])
        # stdinClose and a second open are dropped without a word.


async def serve(app, request, response):
    """GET /sandbox.v1.Sandbox/Exec?sandbox=<id>."""
    query = request.target.partition("?")[2]
    names = urllib.parse.parse_qs(query, keep_blank_values=True)
    name = names.get("sandbox", [""])[0]
    if not name:
        app.fail(response, 400, "missing sandbox query parameter")
        return
    found = app.sandboxes.get(name)
    if found is None or found.box is None:
        app.fail(response, 404, f"sandbox {name} not found or not registered")
        return
    refused = websocket.refusal(request)
    if refused:
        code, headers, text = refused
        response.simple(code, headers, text.encode() + b"\n")
        return
    socket = websocket.WebSocket(request, response, SUBPROTOCOL)
    request.keep = False
    await Session(app, found.box, socket).run()
