"""connect - the Connect protocol over HTTP/1.1: envelopes, calls, errors."""

import asyncio
import re
import struct
import zlib

from box import http, jsontext, message, status
from box.status import RpcError, Status

PREFIX = "/sandbox.v1.Sandbox/"

HTTP_STATUS = {
    "canceled": 499, "unknown": 500, "invalid_argument": 400,
    "deadline_exceeded": 504, "not_found": 404, "already_exists": 409,
    "permission_denied": 403, "resource_exhausted": 429,
    "failed_precondition": 400, "aborted": 409, "out_of_range": 400,
    "unimplemented": 501, "internal": 500, "unavailable": 503,
    "data_loss": 500, "unauthenticated": 401,
}

UNARY_TYPES = ("application/json", "application/json; charset=utf-8")
STREAM_TYPES = ("application/connect+json",
                "application/connect+json; charset=utf-8")
_ACCEPT_GRPC = ("application/grpc, application/grpc+json, application/grpc+"
                "json; charset=utf-8, application/grpc+proto, application/"
                "grpc-web, application/grpc-web+json, application/grpc-web+"
                "json; charset=utf-8, application/grpc-web+proto")
ACCEPT_UNARY = (_ACCEPT_GRPC + ", application/json, application/json; "
                "charset=utf-8, application/proto")
ACCEPT_STREAM = ("application/connect+json, application/connect+json; "
                 "charset=utf-8, application/connect+proto, " + _ACCEPT_GRPC)

BIDI = ("Exec", "RunCode", "PortForward")
FRAME_MAX = 256 << 20
_END = 2
_COMPRESSED = 1


def _media_type(text):
    """Lower case, one blank after the semicolon, the charset lowered."""
    kind, _, parameter = (text or "").partition(";")
    kind = kind.strip().lower()
    parameter = parameter.strip()
    return f"{kind}; {parameter.lower()}" if parameter else kind


def _timeout_ms(request):
    text = request.get("connect-timeout-ms")
    if text is None or text == "":
        return None
    if len(text) > 10:
        raise RpcError("invalid_argument", "parse timeout: "
                       f"{jsontext.quote(text)} has >10 digits")
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise RpcError("invalid_argument", "parse timeout: strconv.ParseInt: "
                       f"parsing {jsontext.quote(text)}: invalid syntax")
    return int(text)


def _check_version(request):
    version = request.get("connect-protocol-version")
    if version not in (None, "", "1"):
        raise RpcError("invalid_argument", 'Connect-Protocol-Version must be '
                       f'"1": got {jsontext.quote(version)}')


def _coding(request, header):
    name = request.get(header, "")
    if name in ("", "identity"):
        return False
    if name == "gzip":
        return True
    raise RpcError("unimplemented", "unknown compression "
                   f"{jsontext.quote(name)}: supported encodings are gzip")


def gunzip(data):
    """Unpack one gzip member."""
    try:
        return zlib.decompress(data, 31)
    except zlib.error as problem:
        raise RpcError("invalid_argument",
                       f"decompress: {problem}") from problem


def gzip(data):
    """Pack as one gzip member."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


def decode(data, name):
    """A message, or the error that the client is told."""
    try:
        return message.decode(data, name)
    except message.Wrong as wrong:
        raise RpcError("invalid_argument", "unmarshal message: unmarshal into"
                       f" *sandboxv1.{name}: {wrong}") from None


class Call:
    """One call: which sandbox, until when, whether anybody still waits."""

    def __init__(self, app, request, response):
        self.app = app
        self.request = request
        self.response = response
        self.conn = request.conn
        self.loop = asyncio.get_running_loop()
        self.name = request.get("x-sandbox-id", "")
        self.over = self.loop.create_future()   # a Status
        self._timer = None
        self.conn.on_gone(self._gone)

    @property
    def sandbox(self):
        """The sandbox, or None."""
        found = self.app.sandboxes.get(self.name)
        return found.box if found and found.box.alive else None

    def require(self):
        """The sandbox, or the status for its absence."""
        found = self.sandbox
        if self.over.done():
            raise self.over.result()
        if found is None:
            raise status.no_stream_path(self.name)
        return found

    def set_timeout(self, milliseconds):
        """End the call that long from now."""
        if milliseconds is not None:
            self._timer = self.loop.call_later(milliseconds / 1000,
                                               self._expire)

    def _gone(self):
        if not self.over.done():
            self.over.set_result(Status("Canceled", "context canceled"))

    def _expire(self):
        if not self.over.done():
            self.over.set_result(Status("DeadlineExceeded",
                                        "context deadline exceeded"))

    def close(self):
        """Forget the connection and the timer."""
        self.conn.forget_gone(self._gone)
        if self._timer is not None:
            self._timer.cancel()

    async def until_over(self, awaitable):
        """Await, or raise the Status that ends the call."""
        if self.over.done():
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise self.over.result()
        task = asyncio.ensure_future(awaitable)
        await asyncio.wait((task, self.over),
                           return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        raise self.over.result()

    async def ask(self, op, fds=(), **fields):
        """Ask the sandbox's agent; may raise Status or guest.Failed."""
        return await self.until_over(
            self.require().guest.ask(op, fds, **fields))


class Stream:
    """The frames of an answer; the head goes out with the first."""

    def __init__(self, call, content_type, packed):
        self.call = call
        self.conn = call.conn
        self.response = call.response
        self.content_type = content_type
        self.packed = packed
        self.plain = None

    def _head(self):
        headers = [("Connect-Accept-Encoding", "gzip")]
        if self.packed is not None:
            headers.append(("Connect-Content-Encoding",
                            "gzip" if self.packed else ""))
        headers.append(("Content-Type", self.content_type))
        self.response.start(200, headers)
        self.plain = not self.response.chunked

    @staticmethod
    def envelope(flags, payload):
        """A frame, cut into chunks where the real server's buffer cuts."""
        size = len(payload) + 5
        head = struct.pack(">BI", flags, len(payload))
        if size <= http.BUFFER_BYTES:
            return b"%x\r\n%b%b\r\n" % (size, head, payload)
        cut = http.BUFFER_BYTES - 5
        return b"800\r\n%b%b\r\n%x\r\n%b\r\n" % (
            head, payload[:cut], size - http.BUFFER_BYTES, payload[cut:])

    def send(self, payload, flags=0):
        """One frame."""
        if not self.response.started:
            self._head()
        if self.packed:
            payload = gzip(payload)
            flags |= _COMPRESSED
        if self.plain:
            self.conn.write(struct.pack(">BI", flags, len(payload)) + payload)
        else:
            self.conn.write(self.envelope(flags, payload))

    def send_many(self, payloads):
        """Several frames in one write."""
        if self.packed or self.plain or not self.response.started:
            for payload in payloads:
                self.send(payload)
            return
        self.conn.write(b"".join([self.envelope(0, p) for p in payloads]))

    def tell(self, value):
        """One message."""
        self.send(jsontext.message(value))

    async def drain(self):
        """Wait for room towards the client."""
        await self.conn.drain()

    def end(self, error=None):
        """The end-stream frame and the end of the body."""
        body = {} if error is None else {
            "error": {"code": error.code, "message": error.message}}
        self.send(jsontext.plain(body), _END)
        self.response.finish()


class Frames:
    """The frames of a request body, one by one."""

    def __init__(self, request, packed):
        self.request = request
        self.packed = packed
        self.rest = b""

    async def _exactly(self, size):
        """That many bytes, fewer at the end of the body."""
        parts = [self.rest] if self.rest else []
        have = len(self.rest)
        while have < size:
            part = await self.request.piece()
            if not part:
                break
            parts.append(part)
            have += len(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.rest = data[size:]
        return data[:size]

    async def next(self):
        """The payload of the next frame, or None at the end."""
        head = await self._exactly(5)
        if not head:
            return None
        if len(head) < 5:
            raise RpcError("invalid_argument", "protocol error: incomplete "
                           "envelope: unexpected EOF")
        flags, size = struct.unpack(">BI", head)
        if size > FRAME_MAX:
            got = 0
            while got < size:
                part = self.rest or await self.request.piece()
                self.rest = b""
                if not part:
                    break
                got += len(part)
            payload = range(got)
        else:
            payload = await self._exactly(size)
        if len(payload) < size:
            raise RpcError("invalid_argument", f"protocol error: promised "
                           f"{size} bytes in enveloped message, got "
                           f"{len(payload)} bytes")
        if size > FRAME_MAX:
            raise RpcError("resource_exhausted", "message too large")
        return self._unpack(flags, payload)

    def _unpack(self, flags, payload):
        if flags == _END:
            return None
        if flags == _COMPRESSED:
            if not self.packed:
                raise RpcError("internal", "protocol error: sent compressed "
                               "message without compression support")
            return gunzip(payload)
        if flags:
            raise RpcError("internal", "protocol error: invalid envelope "
                           f"flags {flags}")
        return payload

    async def only(self):
        """The one message of a server-stream request."""
        first = await self.next()
        if first is None:
            await self._drop()
            raise RpcError("unimplemented",
                           "unary request has zero messages")
        second = await self.next()
        await self._drop()
        if second is not None:
            raise RpcError("unimplemented",
                           "unary request has multiple messages")
        return first

    async def _drop(self):
        while await self.request.piece():
            pass


def _refuse_type(response, accept):
    response.simple(415, [("Accept-Post", accept)])


async def _serve_unary(call, name, handler):
    request, response = call.request, call.response
    kind = _media_type(request.get("content-type"))
    if kind not in UNARY_TYPES:
        _refuse_type(response, ACCEPT_UNARY)
        return
    headers = [("Accept-Encoding", "gzip")]
    try:
        _check_version(request)
        packed = _coding(request, "content-encoding")
        timeout = _timeout_ms(request)
        if timeout is not None and timeout <= 0:
            raise RpcError("deadline_exceeded", "context deadline exceeded")
        call.set_timeout(timeout)
        body = await request.body()
        if packed:
            body = gunzip(body)
        if not body:
            raise RpcError("invalid_argument", "unmarshal message: zero-length"
                           " payload is not a valid JSON object")
        asked = decode(body, name + "Request")
        answer = jsontext.message(await handler(call, asked))
        if packed or "gzip" in request.get("accept-encoding", ""):
            answer = gzip(answer)
            headers.append(("Content-Encoding", "gzip"))
        response.simple(200, headers + [("Content-Type", kind)], answer)
    except RpcError as error:
        response.simple(HTTP_STATUS[error.code],
                        headers + [("Content-Type", "application/json")],
                        jsontext.plain({"code": error.code,
                                        "message": error.message}))


async def _serve_stream(call, name, handler, client_streams):
    request = call.request
    kind = _media_type(request.get("content-type"))
    if kind not in STREAM_TYPES:
        _refuse_type(call.response, ACCEPT_STREAM)
        return
    stream = Stream(call, kind, None)
    try:
        try:
            packed = _coding(request, "connect-content-encoding")
        except RpcError:
            stream.packed = False     # an empty header, as the library sends
            raise
        if packed or "gzip" in request.get("connect-accept-encoding", ""):
            stream.packed = True
        _check_version(request)
        timeout = _timeout_ms(request)
        if timeout is not None and timeout <= 0:
            raise RpcError("deadline_exceeded", "context deadline exceeded")
        call.set_timeout(timeout)
        frames = Frames(request, packed)
        if client_streams:
            await handler(call, frames, stream)
        else:
            asked = decode_frame(await frames.only(), name + "Request")
            await handler(call, asked, stream)
    except RpcError as error:
        stream.end(error)
    else:
        stream.end()


def decode_frame(data, name):
    """A message from a frame; an empty frame is an empty message."""
    return decode(data, name) if data else {}


async def serve(app, request, response, method):
    """Answer POST /sandbox.v1.Sandbox/<method>."""
    if method in BIDI:
        response.simple(505, [], close=True)
        return
    entry = app.rpcs.get(method)
    if entry is None:
        app.not_found(response)
        return
    if request.method != "POST":
        response.simple(405, [("Allow", "POST")])
        return
    kind, handler = entry
    call = Call(app, request, response)
    try:
        if kind == "unary":
            await _serve_unary(call, method, handler)
        else:
            await _serve_stream(call, method, handler,
                                kind == "client-stream")
    finally:
        call.close()
