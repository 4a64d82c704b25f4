"""http - an HTTP/1.1 server whose every byte and ending is ours.

Written for what a general library hides and the sandbox server's clients can
see: heads that wait for the first frame, where chunks end, a FIN taken as
"the client has left", connections cut instead of ended.
"""

import asyncio
import email.utils
import re
import time
import traceback

HEAD_BYTES_MAX = 1 << 20
READ_HIGH = 1024 * 1024
WRITE_HIGH = 256 * 1024
LINGER_S = 0.5
# A line shorter than the HTTP/2 preface's 14 bytes is waited for.
SNIFF_BYTES = 14
# net/http buffers this much before it stops computing a length, and cuts
# larger writes of a chunked body after it.
BUFFER_BYTES = 2048

REASONS = {
    100: "Continue", 101: "Switching Protocols", 200: "OK", 201: "Created",
    202: "Accepted", 204: "No Content", 206: "Partial Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect",
    308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 409: "Conflict", 410: "Gone",
    413: "Request Entity Too Large", 415: "Unsupported Media Type",
    416: "Requested Range Not Satisfiable", 418: "I'm a teapot",
    422: "Unprocessable Entity", 426: "Upgrade Required",
    429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VERSION = re.compile(rb"HTTP/1\.([01])\Z")
_HEX = re.compile(rb"[0-9A-Fa-f]{1,16}\Z")
_DIGITS = re.compile(r"[0-9]{1,18}\Z")


class Gone(Exception):
    """The client has left, or half-closed, which counts as leaving."""


class Bad(Exception):
    """The request is no HTTP; status and text close the connection."""

    def __init__(self, status, text=""):
        super().__init__(text)
        self.status = status
        self.text = text


class Request:
    """One request; the body is read through it."""

    def __init__(self, conn, method, target, minor, headers):
        self.conn = conn
        self.method = method
        self.target = target
        self.minor = minor
        self.headers = headers       # list of (name, value), as sent
        self.length = 0              # None: chunked
        self.left = 0                # of the length, or of this chunk
        self.body_done = True
        self.expects = False
        self.read_bytes = 0
        self.keep = True

    def get(self, name, default=None):
        """The first header of that name."""
        name = name.lower()
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return default

    def get_all(self, name):
        """Every header of that name."""
        name = name.lower()
        return [v for k, v in self.headers if k.lower() == name]

    def _continue(self):
        if self.expects:
            self.expects = False
            self.conn.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _next_chunk(self):
        line = await self.conn.line()
        size = line.split(b";", 1)[0].strip(b" \t")
        if not _HEX.match(size):
            raise Bad(400)
        self.left = int(size, 16)
        if self.left == 0:
            while await self.conn.line():
                pass
            self.body_done = True

    async def piece(self):
        """Some bytes of the body, b"" at its end."""
        if self.body_done:
            return b""
        self._continue()
        conn = self.conn
        if self.length is None and self.left == 0:
            await self._next_chunk()
            if self.body_done:
                return b""
        while not conn.input:
            await conn.fill()
        take = conn.take(self.left)
        self.left -= len(take)
        self.read_bytes += len(take)
        if self.left == 0:
            if self.length is not None:
                self.body_done = True
            elif await conn.line():
                raise Bad(400)
        return take

    async def body(self, limit=None):
        """The whole body; None when it is longer than limit."""
        parts = []
        while True:
            part = await self.piece()
            if not part:
                return b"".join(parts)
            parts.append(part)
            if limit is not None and self.read_bytes > limit:
                return None


class Response:
    """The answer to one request."""

    def __init__(self, conn, request):
        self.conn = conn
        self.request = request
        self.started = False
        self.chunked = False
        self.done = False

    def _head(self, status, headers, reason=None):
        version = b"HTTP/1.0" if self.request.minor == 0 else b"HTTP/1.1"
        lines = [b"%s %d %s\r\n" % (
            version, status,
            (reason or REASONS.get(status, "status code "
                                   f"{status}")).encode())]
        for name, value in headers:
            lines.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
        if status != 101 and not any(k.lower() == "date"
                                     for k, _ in headers):
            lines.append(b"Date: " + date() + b"\r\n")
        return lines

    def simple(self, status, headers, body=b"", close=False):
        """A whole answer at once."""
        self.started = self.done = True
        headers = list(headers)
        has_body = status not in (101, 204, 304)
        big = len(body) > BUFFER_BYTES and self.request.minor == 1
        if has_body and not big:
            headers.append(("Content-Length", len(body)))
        if close or not self.request.keep:
            self.request.keep = False
            if self.request.minor == 1:
                headers.append(("Connection", "close"))
        if has_body and big:
            headers.append(("Transfer-Encoding", "chunked"))
        lines = self._head(status, headers)
        lines.append(b"\r\n")
        if has_body and self.request.method != "HEAD":
            if big:
                lines += [b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"]
            else:
                lines.append(body)
        self.conn.write(b"".join(lines))

    def start(self, status, headers, length=None):
        """A head now, the body by chunk() and finish()."""
        self.started = True
        headers = list(headers)
        if length is not None:
            headers.append(("Content-Length", length))
        elif self.request.minor == 1 and self.request.method != "HEAD":
            self.chunked = True
            headers.append(("Transfer-Encoding", "chunked"))
        elif self.request.method != "HEAD":
            self.request.keep = False
        if not self.request.keep and self.request.minor == 1:
            headers.append(("Connection", "close"))
        lines = self._head(status, headers)
        lines.append(b"\r\n")
        self.conn.write(b"".join(lines))

    def chunk(self, data):
        """A piece of the body."""
        if not data or self.request.method == "HEAD":
            return
        if self.chunked:
            self.conn.write(b"%x\r\n%s\r\n" % (len(data), data))
        else:
            self.conn.write(data)

    def finish(self, trailers=()):
        """The clean end."""
        self.done = True
        if self.chunked:
            extra = "".join(f"{k}: {v}\r\n" for k, v in trailers)
            self.conn.write(b"0\r\n" + extra.encode("latin-1") + b"\r\n")


_date_cache = (0, b"")


def date():
    """The Date header's value."""
    global _date_cache
    now = int(time.time())
    if _date_cache[0] != now:
        _date_cache = (now, email.utils.formatdate(now, usegmt=True).encode())
    return _date_cache[1]


class Connection(asyncio.Protocol):
    """One client connection: requests one after the other."""

    def __init__(self, handler, faults, everybody):
        self.handler = handler
        self.faults = faults
        self.everybody = everybody
        self.input = bytearray()
        self.transport = None
        self.eof = False
        self.lost = False
        self._reading = True
        self._want = None
        self._room = None
        self._on_gone = set()
        self._on_room = set()
        self.paused = False
        self.written = 0             # for the switch that cuts
        self.exempt = False          # from the switches
        self.task = None

    # -- events ---------------------------------------------------------

    def connection_made(self, transport):
        self.transport = transport
        self.everybody.add(self)
        transport.set_write_buffer_limits(WRITE_HIGH)
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data):
        self.input += data
        if len(self.input) >= READ_HIGH and self._reading:
            self._reading = False
            self.transport.pause_reading()
        self._wake()

    def eof_received(self):
        self.eof = True
        self._wake()
        self._tell_gone()
        return True

    def connection_lost(self, exc):
        self.eof = self.lost = True
        self.everybody.discard(self)
        self._wake()
        self._wake_room()
        self._tell_gone()

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self._wake_room()
        for call in list(self._on_room):
            call()

    # -- waiting --------------------------------------------------------

    def _wake(self):
        if self._want is not None and not self._want.done():
            self._want.set_result(None)

    def _wake_room(self):
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _tell_gone(self):
        for call in list(self._on_gone):
            call()
        self._on_gone.clear()

    def on_gone(self, call):
        """call() once when the client leaves; at once if it has left."""
        if self.eof:
            asyncio.get_running_loop().call_soon(call)
        else:
            self._on_gone.add(call)

    def forget_gone(self, call):
        self._on_gone.discard(call)

    def on_room(self, call):
        """call() whenever the write buffer has room again."""
        self._on_room.add(call)

    def forget_room(self, call):
        self._on_room.discard(call)

    async def drain(self):
        """Wait for room in the write buffer."""
        while self.paused and not self.lost:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        if self.lost:
            raise Gone()

    async def fill(self):
        """Wait for more input; Gone at its end."""
        if self.eof:
            raise Gone()
        self._want = asyncio.get_running_loop().create_future()
        await self._want

    def take(self, most):
        """Up to that many bytes of the input, which must not be empty."""
        if most >= len(self.input):
            data, self.input = self.input, bytearray()
            data = bytes(data)
        else:
            data = bytes(self.input[:most])
            del self.input[:most]
        self._resume()
        return data

    def _resume(self):
        if (not self._reading and len(self.input) < READ_HIGH
                and not self.lost):
            self._reading = True
            self.transport.resume_reading()

    async def line(self):
        """One CRLF line of at most 4 KiB, without its end."""
        while True:
            end = self.input.find(b"\n", 0, 4096)
            if end >= 0:
                break
            if len(self.input) >= 4096:
                raise Bad(400)
            await self.fill()
        line = bytes(self.input[:end])
        del self.input[:end + 1]
        return line[:-1] if line.endswith(b"\r") else line

    # -- output ---------------------------------------------------------

    def write(self, data):
        """Send, through the test switches when one is set."""
        if self.lost or self.transport.is_closing():
            return
        if self.faults.active and not self.exempt:
            self.faults.write(self, data)
            return
        self.transport.write(data)

    def cut(self):
        """End with a reset, so that nobody takes it for a clean end."""
        if not self.lost:
            self.transport.abort()

    # -- requests -------------------------------------------------------

    async def _head(self):
        """The bytes of the next head, or None at a clean end."""
        while len(self.input) < SNIFF_BYTES:
            if self.eof:
                return None
            await self.fill()
        if self.input.startswith(b"PRI * HTTP/2.0"):
            return None              # no HTTP/2 here
        start = 0
        while True:
            end = self.input.find(b"\n", start)
            while end >= 0:
                rest = self.input[end + 1:end + 3]
                if rest[:1] == b"\n":
                    return self._cut_head(end + 2)
                if rest == b"\r\n":
                    return self._cut_head(end + 3)
                start = max(end - 1, 0)
                end = self.input.find(b"\n", end + 1)
            self._check_first_line()
            if len(self.input) > HEAD_BYTES_MAX:
                raise Bad(431)
            if not self._reading:
                self._reading = True
                self.transport.resume_reading()
            await self.fill()

    def _check_first_line(self):
        """Refuse garbage at its first line end, as net/http does."""
        end = self.input.find(b"\n")
        if end >= 0:
            words = bytes(self.input[:end]).rstrip(b"\r").split(b" ")
            if len(words) != 3 or not words[2].startswith(b"HTTP/"):
                raise Bad(400)

    def _cut_head(self, end):
        if end > HEAD_BYTES_MAX:
            raise Bad(431)
        head = bytes(self.input[:end])
        del self.input[:end]
        self._resume()
        return head

    def _parse(self, head):
        lines = head.split(b"\n")
        words = lines[0].rstrip(b"\r").split(b" ")
        if len(words) != 3 or not _TOKEN.match(words[0]) or not words[1]:
            raise Bad(400)
        version = _VERSION.match(words[2])
        if not version:
            raise Bad(505 if words[2].startswith(b"HTTP/") else 400)
        headers = []
        for line in lines[1:]:
            line = line.rstrip(b"\r")
            if not line:
                continue
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.match(name):
                raise Bad(400)
            headers.append((name.decode("latin-1"),
                            value.strip(b" \t").decode("latin-1")))
        request = Request(self, words[0].decode(), words[1].decode("latin-1"),
                          int(version[1]), headers)
        self._frame(request)
        return request

    def _frame(self, request):
        hosts = request.get_all("host")
        if request.minor == 1 and not hosts:
            raise Bad(400, ": missing required Host header")
        if len(hosts) > 1:
            raise Bad(400, ": too many Host headers")
        codings = request.get_all("transfer-encoding")
        lengths = set(request.get_all("content-length"))
        if codings:
            if len(codings) != 1 or codings[0].lower() != "chunked":
                raise Bad(501)
            if lengths:
                raise Bad(400)
            request.length, request.body_done = None, False
        elif lengths:
            text = lengths.pop()
            if lengths or not _DIGITS.match(text):
                raise Bad(400)
            request.length = request.left = int(text)
            request.body_done = request.length == 0
        request.expects = (request.minor == 1 and not request.body_done
                           and (request.get("expect", "").lower()
                                == "100-continue"))
        wish = ",".join(request.get_all("connection")).lower()
        tokens = {part.strip() for part in wish.split(",")}
        request.keep = ("close" not in tokens if request.minor == 1
                        else "keep-alive" in tokens)

    async def _serve(self):
        try:
            while await self._one():
                pass
        except (Gone, ConnectionError):
            pass
        except Bad as bad:
            self._refuse(bad)
            await self._linger()
        except Exception:  # noqa: BLE001 - one request, not the server
            traceback.print_exc()
            self.cut()
        finally:
            if not self.lost:
                self.transport.close()

    async def _one(self):
        """One request and its answer; whether another may follow."""
        head = await self._head()
        if head is None:
            return False
        request = self._parse(head)
        response = Response(self, request)
        self.written = 0
        self.exempt = False
        try:
            await self.handler(request, response)
        except Gone:
            self.cut()
            return False
        except Bad:
            if not response.started:
                raise
            self.cut()
            return False
        if not response.done:
            self.cut()               # never end a cut stream cleanly
            return False
        if not request.keep:
            if not request.body_done:
                await self._linger()
            return False
        # What is left of the body: net/http reads at most 256 KiB of it.
        if request.expects:
            return False
        while not request.body_done:
            if request.read_bytes > 64 << 20:
                return False
            await request.piece()
        await self.drain()
        return True

    async def _linger(self):
        """Half-close and read on a little, so that the answer arrives.

        Closing with unread bytes would send a reset, which overtakes it.
        """
        if self.lost:
            return
        self.transport.write_eof()
        end = time.monotonic() + LINGER_S
        while not self.eof and time.monotonic() < end:
            self.input.clear()
            self._resume()
            try:
                await asyncio.wait_for(self.fill(), end - time.monotonic())
            except asyncio.TimeoutError:
                return

    def _refuse(self, bad):
        text = f"{bad.status} {REASONS[bad.status]}{bad.text}"
        self.write(f"HTTP/1.1 {text}\r\n"
                   "Content-Type: text/plain; charset=utf-8\r\n"
                   f"Connection: close\r\n\r\n{text}".encode())
