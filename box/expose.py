"""expose - the HTTP way to a sandbox's port, with the real proxy's habits."""

import asyncio
import re
import urllib.parse
import zlib

from box import http
from box.forward import dial

EXPOSES_MAX = 16
HEAD_BYTES_MAX = 1 << 20
PIECE_BYTES = 65536

_PORT = re.compile(r"[-+]?[0-9]{1,18}\Z")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# net/url keeps these in a path and escapes the rest.
_PATH_SAFE = "$&+,/:;=@-_.~"
_HOP = {"connection", "proxy-connection", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "te", "trailer", "transfer-encoding",
        "upgrade"}
_DROPPED = {"forwarded", "x-forwarded-for", "x-forwarded-host",
            "x-forwarded-proto", "host", "user-agent", "content-length"}
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: |\Z)")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_HTML = (b"<!doctype html", b"<html", b"<head", b"<script", b"<body", b"<h1",
         b"<div", b"<p", b"<title", b"<table", b"<a", b"<!--", b"<br",
         b"<b", b"<style", b"<font", b"<iframe")


class _Broken(Exception):
    """The app did not answer in HTTP."""


def canonical(name):
    """Content-Type for content-type."""
    return "-".join(part[:1].upper() + part[1:].lower()
                    for part in name.split("-"))


def guess_type(data):
    """A Content-Type from the first bytes."""
    start = data.lstrip(b" \t\r\n\f")[:64].lower()
    if any(start.startswith(tag) and start[len(tag):len(tag) + 1]
           in (b" ", b">", b"") for tag in _HTML):
        return "text/html; charset=utf-8"
    for magic, kind in ((b"\x89PNG\r\n\x1a\n", "image/png"),
                        (b"\xff\xd8\xff", "image/jpeg"),
                        (b"GIF8", "image/gif"), (b"%PDF-", "application/pdf"),
                        (b"<?xml", "text/xml; charset=utf-8"),
                        (b"\x1f\x8b\x08", "application/x-gzip")):
        if data.startswith(magic):
            return kind
    if any(byte < 9 or 13 < byte < 27 or 27 < byte < 32 or byte == 11
           for byte in data[:512]):
        return "application/octet-stream"
    return "text/plain; charset=utf-8"


def _listed(headers):
    """Names that Connection headers declare hop-by-hop."""
    return {part.strip().lower() for name, value in headers
            if name.lower() == "connection" for part in value.split(",")}


def _upgrade(headers):
    if "upgrade" not in _listed(headers):
        return None
    for name, value in headers:
        if name.lower() == "upgrade":
            return value
    return None


class _Upstream:
    """The request as the app sees it."""

    def __init__(self, request, target, peer):
        headers = request.headers
        self.upgrade = _upgrade(headers)
        host = request.get("host", "")
        out = [("Host", request.get("x-forwarded-host", host))]
        agent = request.get("user-agent")
        if agent:
            out.append(("User-Agent", agent))
        if request.length is None:
            out.append(("Transfer-Encoding", "chunked"))
        elif request.length or request.method in ("POST", "PUT", "PATCH"):
            out.append(("Content-Length", request.length))
        out += self._end_to_end(headers, host, request, peer)
        self.unpack = False
        if (request.get("accept-encoding") is None
                and request.get("range") is None
                and request.method != "HEAD"):
            self.unpack = True
            out.append(("Accept-Encoding", "gzip"))
        if self.upgrade is None:
            out.append(("Connection", "close"))
        lines = [f"{request.method} {target} HTTP/1.1\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in out]
        self.head = ("".join(lines) + "\r\n").encode("latin-1")

    def _end_to_end(self, headers, host, request, peer):
        hop = _HOP | _listed(headers)
        kept = [(canonical(name), value) for name, value in headers
                if name.lower() not in hop
                and name.lower() not in _DROPPED]
        if any(name.lower() == "te" and "trailers" in value.lower()
               for name, value in headers):
            kept.append(("Te", "trailers"))
        kept.append(("X-Forwarded-For", peer))
        kept.append(("X-Forwarded-Host",
                     request.get("x-forwarded-host", host)))
        kept.append(("X-Forwarded-Proto",
                     request.get("x-forwarded-proto", "http")))
        if self.upgrade is not None:
            kept.append(("Connection", "Upgrade"))
            kept.append(("Upgrade", self.upgrade))
        return sorted(kept, key=lambda item: item[0])


class _Answer:
    """The app's answer, read piece by piece."""

    def __init__(self, reader):
        self.reader = reader
        self.status = 0
        self.headers = []
        self.trailers = []
        self.length = None
        self.chunked = False
        self.clean = True

    async def head(self):
        """Read one head; raises _Broken."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError,
                ConnectionError) as problem:
            raise _Broken() from problem
        lines = head.split(b"\r\n")
        found = _STATUS.match(lines[0])
        if not found:
            raise _Broken()
        self.status = int(found[1])
        self.headers = self._fields(lines[1:])

    @staticmethod
    def _fields(lines):
        out = []
        for line in lines:
            if not line:
                continue
            name, colon, value = line.partition(b":")
            if not colon or not _TOKEN.match(name):
                raise _Broken()
            out.append((canonical(name.decode("latin-1")),
                        value.strip(b" \t").decode("latin-1")))
        return out

    def frame(self, method):
        """Find out how the body ends."""
        coding = [v for k, v in self.headers if k == "Transfer-Encoding"]
        length = [v for k, v in self.headers if k == "Content-Length"]
        if method == "HEAD" or self.status in (204, 304):
            self.length = int(length[0]) if length and \
                length[0].isdigit() else None
        elif coding:
            self.chunked = True
        elif length:
            if not length[0].isdigit():
                raise _Broken()
            self.length = int(length[0])

    async def pieces(self, method):
        """The body's bytes; clean is False when it was cut short."""
        if method == "HEAD" or self.status in (204, 304):
            return
        left = self.length
        try:
            if self.chunked:
                async for piece in self._chunks():
                    yield piece
                return
            while left is None or left > 0:
                piece = await self.reader.read(
                    PIECE_BYTES if left is None else min(left, PIECE_BYTES))
                if not piece:
                    self.clean = left is None
                    return
                if left is not None:
                    left -= len(piece)
                yield piece
        except (OSError, ValueError, asyncio.IncompleteReadError):
            self.clean = False

    async def _chunks(self):
        while True:
            line = await self.reader.readuntil(b"\n")
            left = int(line.split(b";")[0].strip(), 16)
            if left == 0:
                break
            while left:
                piece = await self.reader.read(min(left, PIECE_BYTES))
                if not piece:
                    raise ValueError("cut short")
                left -= len(piece)
                yield piece
            await self.reader.readexactly(2)
        lines = []
        while True:
            line = (await self.reader.readuntil(b"\n")).strip(b"\r\n")
            if not line:
                break
            lines.append(line)
        self.trailers = self._fields(lines)


async def _send_body(request, writer):
    while True:
        piece = await request.piece()
        if not piece:
            break
        if request.length is None:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            writer.write(piece)
        await writer.drain()
    if request.length is None:
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _carry(conn, reader, writer):
    """After 101: bytes both ways until either side ends."""
    async def up():
        while True:
            while not conn.input:
                await conn.fill()
            writer.write(conn.take(PIECE_BYTES))
            await writer.drain()

    async def down():
        while True:
            data = await reader.read(PIECE_BYTES)
            if not data:
                return
            conn.write(data)
            await conn.drain()
    tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Exchange:
    """One proxied request."""

    def __init__(self, request, response, upstream, reader, writer):
        self.request = request
        self.response = response
        self.conn = request.conn
        self.upstream = upstream
        self.reader = reader
        self.writer = writer
        self.answer = _Answer(reader)

    async def run(self):
        """Carry it; raises _Broken before a head, Gone when left."""
        self.writer.write(self.upstream.head)
        sender = asyncio.ensure_future(_send_body(self.request, self.writer))
        try:
            await self._head()
            if self.answer.status == 101:
                await self._switch()
            else:
                await self._body()
        finally:
            sender.cancel()
            try:
                await sender
            except (asyncio.CancelledError, OSError, http.Gone, http.Bad):
                pass

    async def _head(self):
        gone = asyncio.get_running_loop().create_future()

        def leave():
            if not gone.done():
                gone.set_result(None)
        self.conn.on_gone(leave)
        try:
            while True:
                task = asyncio.ensure_future(self.answer.head())
                await asyncio.wait((task, gone),
                                   return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    task.cancel()
                    raise http.Gone()
                task.result()
                status = self.answer.status
                if status >= 200 or status == 101:
                    return
                if status != 100:
                    self._interim()
        finally:
            self.conn.forget_gone(leave)

    def _interim(self):
        lines = [f"HTTP/1.1 {self.answer.status} Early Hints\r\n"]
        lines += [f"{k}: {v}\r\n" for k, v in self.answer.headers]
        self.conn.write(("".join(lines) + "\r\n").encode("latin-1"))

    async def _switch(self):
        if self.upstream.upgrade is None:
            raise _Broken()
        lines = ["HTTP/1.1 101 Switching Protocols\r\n"]
        lines += [f"{k}: {v}\r\n" for k, v in sorted(
            self.answer.headers, key=lambda item: item[0])]
        self.conn.write(("".join(lines) + "\r\n").encode("latin-1"))
        self.response.started = self.response.done = True
        self.request.keep = False
        await _carry(self.conn, self.reader, self.writer)

    async def _body(self):
        answer, response = self.answer, self.response
        answer.frame(self.request.method)
        unpacker = self._unpacker()
        headers = self._headers(unpacker is not None)
        length = None if unpacker else answer.length
        started = False
        async for piece in answer.pieces(self.request.method):
            if unpacker is not None:
                piece = unpacker.decompress(piece)
            if not started:
                started = True
                self._start(headers, length, piece)
            response.chunk(piece)
            await self.conn.drain()
        if not started:
            self._start(headers, length, b"")
        if answer.clean:
            response.finish(answer.trailers)
        else:
            await self.conn.drain()
            self.request.keep = False
            # As net/http: the connection ends short of the length.
            response.done = True
            self.conn.transport.close()

    def _unpacker(self):
        packed = any(k == "Content-Encoding" and v.lower() == "gzip"
                     for k, v in self.answer.headers)
        if self.upstream.unpack and packed:
            return zlib.decompressobj(31)
        return None

    def _headers(self, unpacked):
        hop = _HOP | _listed(self.answer.headers)
        drop = hop | {"content-length"} | ({"content-encoding"} if unpacked
                                           else set())
        kept = [item for item in self.answer.headers
                if item[0].lower() not in drop]
        kept += [item for item in self.answer.headers
                 if item[0] == "Trailer"]
        return sorted(kept, key=lambda item: item[0])

    def _start(self, headers, length, piece):
        names = {name for name, _ in headers}
        status = self.answer.status
        if (piece and "Content-Type" not in names
                and "Content-Encoding" not in names):
            headers = headers + [("Content-Type", guess_type(piece))]
        if status in (204, 304):
            self.response.simple(status, headers)
            self.response.done = False
            self.response.chunked = False
        else:
            self.response.start(status, headers, length)


def _port(text):
    text = urllib.parse.unquote(text)
    if not _PORT.match(text):
        return None
    number = int(text)
    return number if 1 <= number <= 65535 else None


async def serve(app, request, response, name, port_text):
    """ANY /v1/sandboxes/{name}/expose/{port}[/...]."""
    path, mark, query = request.target.partition("?")
    if _BAD_ESCAPE.search(path):
        raise http.Bad(400)
    port = _port(port_text)
    if port is None:
        app.text(response, 400,
                 "guest port must be an integer in 1-65535")
        return
    record = app.sandboxes.get(urllib.parse.unquote(name))
    box = record.box if record else None
    if box is None:
        app.text(response, 502, "no route to guest port")
        return
    if box.exposes >= EXPOSES_MAX:
        app.text(response, 429, "too many concurrent expose connections")
        return
    inner = "/" + "/".join(path.split("/")[6:])
    target = urllib.parse.quote(urllib.parse.unquote_to_bytes(inner),
                                safe=_PATH_SAFE) + mark + query
    box.exposes += 1
    try:
        await _proxy(request, response, box, port, target)
    finally:
        box.exposes -= 1


async def _proxy(request, response, box, port, target):
    peer = request.conn.transport.get_extra_info("peername")[0]
    writer = None
    try:
        sock = await dial(box, port)
        reader, writer = await asyncio.open_connection(
            sock=sock, limit=HEAD_BYTES_MAX)
        upstream = _Upstream(request, target, peer)
        await _Exchange(request, response, upstream, reader, writer).run()
    except (_Broken, OSError, zlib.error):
        if not response.started:
            response.simple(502, [])
    finally:
        if writer is not None:
            writer.close()
