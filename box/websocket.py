"""websocket - RFC 6455 frames for the server side of the Exec socket."""

import asyncio
import base64
import hashlib
import struct

from box import http

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MESSAGE_BYTES_MAX = 1 << 20
REASON_BYTES_MAX = 123

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Closed(Exception):
    """The client has closed, or gone."""


class Violation(Exception):
    """The client broke the protocol; code is what to close with."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def refusal(request):
    """Why the handshake fails: (status, headers, text), or None."""
    plain = [("Content-Type", "text/plain; charset=utf-8"),
             ("X-Content-Type-Options", "nosniff")]
    wish = ", ".join(request.get_all("connection"))
    if "upgrade" not in {w.strip().lower() for w in wish.split(",")}:
        return 426, [("Connection", "Upgrade"), ("Upgrade", "websocket"),
                     *plain], ("WebSocket protocol violation: Connection "
                               f'header "{wish}" does not contain Upgrade')
    kind = ", ".join(request.get_all("upgrade"))
    if "websocket" not in {w.strip().lower() for w in kind.split(",")}:
        return 426, [("Connection", "Upgrade"), ("Upgrade", "websocket"),
                     *plain], ("WebSocket protocol violation: Upgrade header "
                               f'"{kind}" does not contain websocket')
    if request.method != "GET":
        return 405, plain, ("WebSocket protocol violation: handshake request "
                            f'method is not GET but "{request.method}"')
    version = request.get("sec-websocket-version", "")
    if version != "13":
        return 400, plain + [("Sec-Websocket-Version", "13")], (
            "unsupported WebSocket protocol version (only 13 is supported): "
            f'"{version}"')
    key = request.get("sec-websocket-key")
    if key is None:
        return 400, plain, ("WebSocket protocol violation: missing "
                            "Sec-WebSocket-Key")
    try:
        good = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        good = False
    if not good:
        return 400, plain, ("WebSocket protocol violation: invalid "
                            f'Sec-WebSocket-Key "{key}", must be a 16 byte '
                            "base64 encoded string")
    return None


def accept_key(key):
    """The Sec-WebSocket-Accept of a key."""
    digest = hashlib.sha1((key + GUID).encode()).digest()
    return base64.b64encode(digest).decode()


def _unmask(data, mask):
    size = len(data)
    if size == 0:
        return b""
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big")
            ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


class WebSocket:
    """The server's end, after the upgrade."""

    def __init__(self, request, response, subprotocol):
        self.conn = request.conn
        self.close_sent = False
        headers = [("Connection", "Upgrade"),
                   ("Sec-Websocket-Accept",
                    accept_key(request.get("sec-websocket-key")))]
        offered = {part.strip() for value
                   in request.get_all("sec-websocket-protocol")
                   for part in value.split(",")}
        if subprotocol in offered:
            headers.append(("Sec-Websocket-Protocol", subprotocol))
        headers.append(("Upgrade", "websocket"))
        headers.append(("Date", http.date().decode()))
        lines = ["HTTP/1.1 101 Switching Protocols\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers]
        self.conn.write("".join(lines).encode() + b"\r\n")
        response.started = response.done = True

    @staticmethod
    def frame(opcode, payload):
        """A whole, unmasked frame."""
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, size)
        elif size < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
        return head + payload

    def send_close(self, code, reason=""):
        """The close frame; the reason is cut to what fits."""
        if not self.close_sent:
            self.close_sent = True
            text = reason.encode()[:REASON_BYTES_MAX]
            while text:
                try:
                    text.decode()
                    break
                except UnicodeDecodeError:
                    text = text[:-1]
            self.conn.write(self.frame(CLOSE, struct.pack(">H", code)
                                       + text))

    async def _bytes(self, size):
        parts = []
        have = 0
        while have < size:
            while not self.conn.input:
                try:
                    await self.conn.fill()
                except http.Gone:
                    raise Closed() from None
            part = self.conn.take(size - have)
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    async def _frame(self, room):
        """(fin, opcode, payload) of the next frame."""
        first, second = await self._bytes(2)
        if first & 0x70:
            raise Violation(1002, "received header with unexpected rsv bits "
                            "set")
        if not second & 0x80:
            raise Violation(1002, "received unmasked frame from client")
        size = second & 0x7F
        opcode = first & 0x0F
        if size == 126:
            size = struct.unpack(">H", await self._bytes(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self._bytes(8))[0]
        if opcode >= CLOSE and (size > 125 or not first & 0x80):
            raise Violation(1002, "received control frame that is too long "
                            "or fragmented")
        if opcode < CLOSE and size > room:
            raise Violation(1009, "read limited at "
                            f"{MESSAGE_BYTES_MAX + 1} bytes")
        mask = await self._bytes(4)
        return first & 0x80, opcode, _unmask(await self._bytes(size), mask)

    async def message(self):
        """(opcode, payload) of the next message; answers pings."""
        kind = None
        parts = []
        have = 0
        while True:
            fin, opcode, payload = await self._frame(
                MESSAGE_BYTES_MAX - have)
            if opcode == PING:
                self.conn.write(self.frame(PONG, payload))
                continue
            if opcode == PONG:
                continue
            if opcode == CLOSE:
                if not self.close_sent:
                    self.close_sent = True
                    self.conn.write(self.frame(CLOSE, payload[:2]))
                raise Closed()
            if (opcode == CONTINUED) != (kind is not None):
                raise Violation(1002, "received continuation frame out of "
                                "order")
            if opcode not in (CONTINUED, TEXT, BINARY):
                raise Violation(1002, f"received unknown opcode {opcode}")
            kind = kind or opcode
            parts.append(payload)
            have += len(payload)
            if fin:
                return kind, b"".join(parts)

    async def finish(self, wait_s=5):
        """After our close frame: wait for the client's, then end."""
        async def rest():
            try:
                while True:
                    await self.message()
            except (Closed, Violation):
                pass
        try:
            await asyncio.wait_for(rest(), wait_s)
        except asyncio.TimeoutError:
            pass
