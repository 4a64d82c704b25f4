"""port_app - what runs in a sandbox for ports.py and browser.mjs: every habit
of an app that a front door could get wrong.  Run as port_app.py PORT [NAME
[PEM]]; PEM makes it speak TLS.
"""
import base64
import hashlib
import json
import socket
import ssl
import struct
import sys
import threading
import time

PORT, NAME = int(sys.argv[1]), (sys.argv[2:] or ["app"])[0]
TLS = None
if sys.argv[3:]:
    TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    TLS.load_cert_chain(sys.argv[3])
LARGE = bytes(range(256)) * 4096  # 1 MiB
sockets, version = set(), [1]

PAGE = """<!doctype html><meta charset="utf-8"><title>%(name)s</title>
<link rel="stylesheet" href="/style.css"><h1>%(name)s</h1><p id="version">version %(version)d</p>
<p><a id="next" href="/next?q=1">next</a></p>
<script src="/client.js"></script>"""

# What development servers do: a socket to the page's own origin that says
# when to load again.
CLIENT = """const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/hmr?token=A5ObJu9H`);
socket.onopen = () => document.documentElement.dataset.hmr = 'open';
socket.onmessage = event => {
    const message = JSON.parse(event.data);
    if (message.type === 'update') document.getElementById('version').textContent = `version ${message.version}`;
    if (message.type === 'reload') location.reload();
};
socket.onclose = () => document.documentElement.dataset.hmr = 'closed';
"""


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def read_frame(file):
    head = file.read(2)
    if len(head) < 2:
        return None, b""
    size = head[1] & 127
    if size == 126:
        size = struct.unpack("!H", file.read(2))[0]
    elif size == 127:
        size = struct.unpack("!Q", file.read(8))[0]
    mask = file.read(4) if head[1] & 128 else bytes(4)
    data = file.read(size)
    if mask != bytes(4):
        key = int.from_bytes(mask * (size // 4 + 1), "big") >> (8 * (4 - size % 4))
        data = (int.from_bytes(data, "big") ^ key).to_bytes(size, "big")
    return head[0] & 15, data


def make_frame(kind, data):
    size = len(data)
    if size < 126:
        return struct.pack("!BB", 128 | kind, size) + data
    if size < 65536:
        return struct.pack("!BBH", 128 | kind, 126, size) + data
    return struct.pack("!BBQ", 128 | kind, 127, size) + data


class Request:
    """One request of a connection, with its bytes as they came."""

    def __init__(self, sock, file):
        self.sock, self.file = sock, file
        self.line = file.readline().decode("latin-1").rstrip("\r\n")
        self.fields = []
        while self.line:
            row = file.readline().decode("latin-1").rstrip("\r\n")
            if not row:
                break
            name, value = row.split(":", 1)
            self.fields.append([name, value.strip()])
        if self.line:
            self.method, self.target, _ = self.line.split(" ", 2)
            self.path, _, self.query = self.target.partition("?")

    def get(self, name, otherwise=None):
        return next((value for key, value in self.fields if key.lower() == name), otherwise)

    def pieces(self):
        if "chunked" in self.get("transfer-encoding", ""):
            while True:
                size = int(self.file.readline().split(b";")[0], 16)
                if size == 0:
                    while self.file.readline() not in (b"\r\n", b""):
                        pass
                    return
                left = size
                while left:
                    piece = self.file.read(min(left, 65536))
                    left -= len(piece)
                    yield piece
                self.file.readline()
        left = int(self.get("content-length", 0))
        while left:
            piece = self.file.read(min(left, 65536))
            if not piece:
                raise EOFError
            left -= len(piece)
            yield piece

    def say(self, status, body=b"", fields=(), kind="text/plain"):
        body = body if isinstance(body, bytes) else body.encode()
        rows = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *fields]
        self.sock.sendall(("\r\n".join(rows) + "\r\n\r\n").encode("latin-1") + (b"" if self.method == "HEAD" else body))

    def say_chunks(self, pieces, fields=(), trailers=()):
        rows = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *fields]
        self.sock.sendall(("\r\n".join(rows) + "\r\n\r\n").encode())
        for piece in pieces:
            self.sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.sock.sendall("\r\n".join(["0", *trailers, "", ""]).encode())


def echo(request):
    if request.get("expect"):
        request.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    digest, size = hashlib.sha256(), 0
    for piece in request.pieces():
        digest.update(piece)
        size += len(piece)
    request.say(200, json.dumps({"name": NAME, "line": request.line, "fields": request.fields, "size": size,
                                 "sha256": digest.hexdigest()}), kind="application/json")


def page(request):
    request.say(200, PAGE % {"name": NAME, "version": version[0]}, kind="text/html; charset=utf-8")


def events(request):
    def pieces():
        yield b"data: first\n\n"
        time.sleep(1.5)
        yield b"data: second\n\n"
    request.say_chunks(pieces(), ["Content-Type: text/event-stream"])


def ranges(request):
    want = request.get("range")
    if not want:
        return request.say(200, LARGE, ["Accept-Ranges: bytes"])
    first, last = want.split("=")[1].split("-")
    first, last = int(first), int(last or len(LARGE) - 1)
    request.say(206, LARGE[first:last + 1], [f"Content-Range: bytes {first}-{last}/{len(LARGE)}"])


def large(request):
    request.say_chunks(LARGE for _ in range(int(request.query)))


def cookies(request):
    request.say(200, json.dumps([value for name, value in request.fields if name.lower() == "cookie"]), [
        "Set-Cookie: plain=1; Path=/", "Set-Cookie: wide=1; Path=/; Domain=" + request.get("x-domain", "example.org"),
        "Set-Cookie: __Host-sandgate-preview=forged; Path=/; Secure", "Alt-Svc: h3=\":1\"", "Clear-Site-Data: *"])


def cors(request):
    request.say(200, "x", ["Access-Control-Allow-Origin: *",
                           "Access-Control-Allow-Origin: " + request.get("origin", "https://x"),
                           "Access-Control-Allow-Credentials: true"])


def slow(request):
    time.sleep(float(request.query))
    request.say(200, "slow")


def trailers(request):
    request.say_chunks([b"body"], ["Trailer: X-Sum"], ["X-Sum: 1", "Set-Cookie: stolen=1"])


def cut(request):
    request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")


def early(request):
    request.say(413, "enough", ["Connection: close"])
    # A close with bytes unread would be a reset, and the answer lost.
    request.sock.settimeout(1)
    while request.sock.recv(65536):
        pass


def websocket(request):
    protocol = request.get("sec-websocket-protocol", "").split(",")[0].strip()
    rows = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Accept: " + accept_of(request.get("sec-websocket-key"))]
    if protocol:
        rows.append("Sec-WebSocket-Protocol: " + protocol)
    request.sock.sendall(("\r\n".join(rows) + "\r\n\r\n").encode())
    sockets.add(request.sock)
    try:
        while True:
            kind, data = read_frame(request.file)
            if kind is None:
                break
            if kind == 8:
                request.sock.sendall(make_frame(8, data))
                break
            if data == b"headers":
                data = json.dumps(request.fields).encode()
            if data == b"later":
                time.sleep(0.5)
            request.sock.sendall(make_frame(kind, data))
    finally:
        sockets.discard(request.sock)


def count(request):
    request.say(200, str(len(sockets)))


def hot(request):
    """As Vite does: the page's own token, or no socket."""
    if request.query != "token=A5ObJu9H":
        return request.say(400, "not the page's token")
    websocket(request)


def touch(request):
    """The source changed: tell every page."""
    version[0] += 1
    for sock in list(sockets):
        sock.sendall(make_frame(1, json.dumps({"type": request.query or "update", "version": version[0]}).encode()))
    request.say(200, str(len(sockets)))


ROWS = {"/": page, "/next": page, "/sse": events, "/range": ranges, "/large": large, "/cookies": cookies, "/cors": cors, "/slow": slow,
        "/trailers": trailers, "/cut": cut, "/early": early, "/ws": websocket, "/hmr": hot, "/touch": touch,
        "/count": count}
CLOSING = (cut, early, websocket, hot)


def serve(sock):
    if TLS:
        try:
            sock = TLS.wrap_socket(sock, server_side=True)
        except OSError:
            return
    with sock, sock.makefile("rb") as file:
        try:
            while True:
                request = Request(sock, file)
                if not request.line:
                    return
                if request.path == "/client.js":
                    request.say(200, CLIENT, kind="text/javascript")
                    continue
                if request.path == "/style.css":
                    request.say(200, "h1 { color: rebeccapurple }", kind="text/css")
                    continue
                do = ROWS.get(request.path, echo)
                do(request)
                if do in CLOSING:
                    return
        except (OSError, EOFError, ValueError):
            pass


def main():
    listener = socket.create_server(("127.0.0.1", PORT), backlog=200)
    print("listening", flush=True)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


main()
