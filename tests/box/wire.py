"""wire - a client that hides nothing: sends bytes, records what comes."""

import base64
import hashlib
import json
import os
import select
import socket
import struct
import time

SERVICE = "/sandbox.v1.Sandbox/"


class Cut(Exception):
    """The other side ended in the middle of something."""

    def __init__(self, got=b""):
        super().__init__(got[:80])
        self.got = got


def envelope(payload, flags=0):
    """A Connect frame."""
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode()
    return struct.pack(">BI", flags, len(payload)) + payload


class Answer:
    """One HTTP answer."""

    def __init__(self):
        self.status = None
        self.reason = ""
        self.headers = []
        self.interim = []
        self.body = b""
        self.chunks = []
        self.trailers = []
        self.end = ""

    def get(self, name):
        """The first header of that name."""
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    def frames(self):
        """The body as Connect frames: (flags, payload)."""
        out = []
        at = 0
        while at + 5 <= len(self.body):
            flags, size = struct.unpack_from(">BI", self.body, at)
            out.append((flags, self.body[at + 5:at + 5 + size]))
            at += 5 + size
        return out


class Wire:
    """A connection."""

    def __init__(self, address, timeout=40):
        self.sock = socket.create_connection(address, timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def more(self, stop=None):
        """Read once; False at the end, or when stop has passed."""
        if stop is not None:
            left = stop - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return False
        data = self.sock.recv(262144)
        self.rest += data
        return bool(data)

    def exactly(self, size):
        parts = [self.rest]
        have = len(self.rest)
        self.rest = b""
        while have < size:
            data = self.sock.recv(1 << 20)
            if not data:
                raise Cut(b"".join(parts))
            parts.append(data)
            have += len(data)
        data = b"".join(parts)
        self.rest = data[size:]
        return data[:size]

    def line(self):
        while b"\n" not in self.rest:
            if not self.more():
                raise Cut()
        line, _, self.rest = self.rest.partition(b"\n")
        return line.rstrip(b"\r").decode("latin-1")

    def head(self, answer):
        """A status line and headers."""
        words = self.line().split(" ", 2)
        answer.status = int(words[1])
        answer.reason = words[2] if len(words) > 2 else ""
        answer.headers = []
        while True:
            line = self.line()
            if not line:
                return
            name, _, value = line.partition(":")
            answer.headers.append((name, value.strip()))

    def answer(self, method="GET"):
        """A whole answer; end says how the body ended."""
        answer = Answer()
        self.head(answer)
        while 100 <= answer.status < 200 and answer.status != 101:
            answer.interim.append(answer.status)
            self.head(answer)
        if method == "HEAD" or answer.status in (101, 204, 304):
            answer.end = "no-body"
        elif answer.get("Transfer-Encoding") == "chunked":
            self._chunks(answer)
        elif answer.get("Content-Length") is not None:
            size = int(answer.get("Content-Length"))
            try:
                answer.body = self.exactly(size)
                answer.end = "length"
            except Cut as cut:
                answer.body = cut.got
                answer.end = "short"
        else:
            while self.more():
                pass
            answer.body, self.rest = self.rest, b""
            answer.end = "eof"
        return answer

    def _chunks(self, answer):
        parts = []
        try:
            while True:
                size = int(self.line(), 16)
                if size == 0:
                    break
                parts.append(self.exactly(size))
                answer.chunks.append(size)
                self.exactly(2)
            while True:
                line = self.line()
                if not line:
                    break
                answer.trailers.append(line)
            answer.end = "chunked"
        except (Cut, ConnectionError):
            answer.end = "cut"
        answer.body = b"".join(parts)

    def upgrade(self, path, protocol="connect.sandbox.v1"):
        """A WebSocket handshake; the answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: box", "Connection: Upgrade",
                 "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {key}"]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        return self.answer()

    # -- WebSocket ------------------------------------------------------

    def frame(self, opcode, payload, fin=True, mask=True):
        """Send one frame."""
        size = len(payload)
        head = bytes([(0x80 if fin else 0) | opcode])
        bit = 0x80 if mask else 0
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += struct.pack(">BH", bit | 126, size)
        else:
            head += struct.pack(">BQ", bit | 127, size)
        if mask:
            key = os.urandom(4)
            pad = int.from_bytes((key * (size // 4 + 1))[:size], "big")
            payload = (int.from_bytes(payload, "big") ^ pad).to_bytes(
                size, "big")
            head += key
        self.send(head + payload)

    def message(self, stop=None):
        """The next frame: (opcode, payload); None at the end."""
        while True:
            found = self._parse_frame()
            if found is not None:
                return found
            if not self.more(stop):
                return None

    def _parse_frame(self):
        data = self.rest
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            if len(data) < 4:
                return None
            size, at = struct.unpack_from(">H", data, 2)[0], 4
        elif size == 127:
            if len(data) < 10:
                return None
            size, at = struct.unpack_from(">Q", data, 2)[0], 10
        if len(data) < at + size:
            return None
        self.rest = data[at + size:]
        return data[0] & 0x0F, data[at:at + size]


def request_bytes(method, path, headers, body=b""):
    """A request as sent."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body


class Client:
    """Short calls, each on a connection of its own."""

    def __init__(self, address):
        self.address = address

    def call(self, method, path, body=b"", headers=()):
        """Any request; the answer."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        wire = Wire(self.address)
        try:
            sent = [("Host", "box"), *headers]
            if body or method in ("POST", "PUT"):
                sent.append(("Content-Length", len(body)))
            wire.send(request_bytes(method, path, sent, body))
            return wire.answer(method)
        finally:
            wire.close()

    def unary(self, sandbox, method, message):
        """A unary call; the answer."""
        return self.call("POST", SERVICE + method, message, [
            ("X-Sandbox-Id", sandbox), ("Content-Type", "application/json")])

    def stream(self, sandbox, method, *messages):
        """A stream call: the frames, decoded."""
        body = b"".join(envelope(message) for message in messages)
        answer = self.call("POST", SERVICE + method, body, [
            ("X-Sandbox-Id", sandbox),
            ("Content-Type", "application/connect+json")])
        return [(flags, json.loads(payload))
                for flags, payload in answer.frames()]

    def run(self, sandbox, command, **fields):
        """Run a command: (exit code, stdout, stderr)."""
        fields.setdefault("env", [
            {"key": "PATH", "value": "/usr/local/sbin:/usr/local/bin:"
             "/usr/sbin:/usr/bin:/sbin:/bin"}])
        out = {"stdout": b"", "stderr": b""}
        code = None
        for flags, message in self.stream(sandbox, "ExecStream",
                                          {"command": command, **fields}):
            for name in out:
                if name in message:
                    out[name] += base64.b64decode(message[name])
            if "exit" in message:
                code = message["exit"].get("exitCode", 0)
                if "error" in message["exit"]:
                    out["stderr"] += message["exit"]["error"].encode()
            if flags == 2 and "error" in message:
                out["stderr"] += message["error"]["message"].encode()
        return code, out["stdout"].decode("utf-8", "replace"), \
            out["stderr"].decode("utf-8", "replace")

    def write(self, sandbox, path, data, mode=0):
        """WriteFile of small data; the frames."""
        parts = [{"data": base64.b64encode(data[i:i + (1 << 20)]).decode()}
                 for i in range(0, len(data), 1 << 20)]
        return self.stream(sandbox, "WriteFile",
                           {"open": {"path": path, "mode": mode}}, *parts)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
