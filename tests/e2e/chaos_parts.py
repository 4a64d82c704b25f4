"""chaos_parts - for chaos.py: a sandbox server and an app whose bytes are
known, and a client that knows a clean end from any other.
"""
import base64
import hashlib
import json
import os
import random
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from urllib.parse import parse_qs, urlsplit

from fake_server import FakeServer


def known(name, size):
    """The bytes of that name: no other name has them."""
    return random.Random(name).randbytes(size)


def certificate():
    """A context for servers, and the files of it."""
    folder = tempfile.mkdtemp(prefix="sandgate-chaos.")
    key, cert = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=chaos", "-addext", "subjectAltName=DNS:sandgate.test,DNS:*.sandgate.test", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    os.chmod(key, 0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, cert, key


# ---- the other side ----

class Request:
    def __init__(self, file):
        self.line = file.readline(65536).decode("latin-1")
        self.headers = {}
        while self.line:
            row = file.readline(65536)
            if row == b"\r\n":
                break
            if not row.endswith(b"\r\n"):
                raise EOFError
            name, value = row.decode("latin-1").split(":", 1)
            self.headers[name.lower()] = value.strip()
        if self.line:
            self.method, self.target, _ = self.line.split(" ", 2)

    def body(self, file):
        """All of it, or EOFError."""
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while True:
                size = int(file.readline().split(b";")[0], 16)
                parts.append(exactly(file, size))
                if exactly(file, 2) != b"\r\n":
                    raise ValueError
                if not size:
                    return b"".join(parts)
        return exactly(file, int(self.headers.get("content-length", 0)))


def exactly(file, n):
    data = file.read(n)
    if len(data) < n:
        raise EOFError
    return data


def frame_of(file):
    """One WebSocket frame: (kind, data); EOFError at the end."""
    head = exactly(file, 2)
    size = head[1] & 127
    if size > 125:
        size = struct.unpack("!H" if size == 126 else "!Q", exactly(file, 2 if size == 126 else 8))[0]
    mask = exactly(file, 4) if head[1] & 128 else None
    return head[0] & 15, masked(exactly(file, size), mask)


def masked(data, mask):
    if not mask or not data:
        return data
    key = (mask * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


def make_frame(kind, data, mask=None):
    size, bit = len(data), 128 if mask else 0
    head = struct.pack("!BB", 128 | kind, bit | size) if size < 126 else \
        struct.pack("!BBH", 128 | kind, bit | 126, size) if size < 65536 else struct.pack("!BBQ", 128 | kind, bit | 127, size)
    return head + (mask or b"") + masked(data, mask)


class App:
    """What listens on a port of a sandbox."""

    def __init__(self, tls=None):
        self.tls, self.uploads, self.asked = tls, {}, {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            sock.settimeout(40)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            with sock.makefile("rb") as file:
                while True:
                    request = Request(file)
                    if not request.line or not self.answer(sock, file, request):
                        break
                if self.tls:
                    sock.unwrap()
        except (OSError, ValueError, EOFError, OverflowError):
            pass
        finally:
            sock.close()

    def answer(self, sock, file, request):
        """False: the connection is over."""
        if request.headers.get("expect"):
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        url = urlsplit(request.target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        name = query.get("id", "")
        self.asked[name] = self.asked.get(name, 0) + 1
        if url.path == "/get":
            return self.download(sock, request, query)
        if url.path == "/ws":
            return self.echo(sock, file, request)
        if url.path == "/last":
            return self.last_words(sock, file, request, name)
        try:
            body = request.body(file)
            self.uploads.setdefault(name, []).append((len(body), hashlib.sha256(body).hexdigest()))
        except BaseException:
            self.uploads.setdefault(name, []).append(None)
            raise
        return self.say(sock, request, json.dumps(self.uploads[name][-1]).encode(), name)

    def say(self, sock, request, body, name):
        sock.sendall(b"HTTP/1.1 200 OK\r\nX-Id: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), len(body)) + body)
        return True

    def download(self, sock, request, query):
        """how: length, chunks or events; pieces and pauses by the id."""
        name, size, how = query["id"], int(query["n"]), query["how"]
        rng, data = random.Random("pieces " + name), known(name, size)
        rows = b"HTTP/1.1 200 OK\r\nX-Id: %s\r\n" % name.encode()
        if how == "events":
            rows += b"Content-Type: text/event-stream\r\n"
        last = rng.random() < 0.1
        if last:
            rows += b"Connection: close\r\n"
        rows += b"Content-Length: %d\r\n\r\n" % size if how == "length" else b"Transfer-Encoding: chunked\r\n\r\n"
        most, at, pauses = rng.choice((10, 1000, 20000, 100000)), 0, rng.randint(0, 3)
        most = max(most, size // 200)
        sock.sendall(rows)
        while at < size:
            piece = data[at:at + rng.randint(1, most)]
            sock.sendall(piece if how == "length" else b"%x\r\n" % len(piece) + piece + b"\r\n")
            at += len(piece)
            if pauses and rng.random() < 0.1:
                pauses -= 1
                time.sleep(0.005)
        if how != "length":
            sock.sendall(b"0\r\n\r\n")
        return not last

    def switch(self, sock, request):
        accept = base64.b64encode(hashlib.sha1((request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept)

    def last_words(self, sock, file, request, name):
        """Hears one frame, says its own, and is gone with the rest unread."""
        self.switch(sock, request)
        frame_of(file)
        sock.sendall(make_frame(2, known(name, 20000)) + make_frame(8, b"\x03\xf0"))
        return False

    def echo(self, sock, file, request):
        self.switch(sock, request)
        kind = 0
        while kind != 8 and file.peek(1):
            kind, data = frame_of(file)
            sock.sendall(make_frame(kind, data))
        return False


class Upstream(FakeServer):
    """A sandbox server: its sandboxes are one app, by forward and expose."""

    def __init__(self, app, forward=None):
        self.app, self.forward, self.forked = app, forward, []
        super().__init__()

    def serve(self, sock):
        try:
            sock.settimeout(40)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with sock.makefile("rb") as file:
                while True:
                    request = Request(file)
                    if not request.line:
                        break
                    parts = request.target.split("/", 6)
                    if parts[4:5] == ["expose"]:
                        request.target = "/" + (parts[6] if len(parts) > 6 else "")
                        if not self.app.answer(sock, file, request):
                            break
                    elif parts[4:5] == ["forward"]:
                        request.body(file)
                        self.say(sock, 200, {"guest_port": 3000, "host": f"127.0.0.1:{self.forward}"})
                    elif self.answer(sock, request.method, request.target, request.headers, request.body(file)) is False:
                        break
        except (OSError, ValueError, EOFError, KeyError):
            pass
        finally:
            sock.close()

    def forks(self, sock, wish):
        self.forked.append(wish["id"])
        return super().forks(sock, wish)


# ---- the client ----

class Client:
    """A connection to the gateway; end says how it ended: None (it did not),
    fin, rst, notify (TLS said so), broken (TLS: anything else), late."""

    def __init__(self, port, tls=None, timeout=20):
        self.data, self.end, self.timeout = b"", None, timeout
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, suppress_ragged_eofs=False, do_handshake_on_connect=False)
            try:
                self.sock.do_handshake()
            except OSError as why:
                self.ended(why)
        self.tls = bool(tls)
        self.sock.setblocking(False)

    def ended(self, why=None):
        if isinstance(why, ssl.SSLError):
            self.end = "notify" if isinstance(why, ssl.SSLZeroReturnError) else "broken"
        elif why is not None:
            self.end = "late" if isinstance(why, TimeoutError) else "rst"
        else:
            self.end = "notify" if self.tls else "fin"

    def move(self, out, wait=None):
        """Send what can be sent, read what is here; returns the rest."""
        if self.end:
            return b""
        pending = self.tls and self.sock.pending()
        if not pending:
            readable, writable, _ = select.select([self.sock], [self.sock] if out else [], [], self.timeout if wait is None else wait)
            if not readable and not writable:
                if wait is None:
                    self.end = "late"
                return out
        try:
            data = self.sock.recv(1 << 18)
            if not data:
                self.ended()
            self.data += data
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        except OSError as why:
            self.ended(why)
        if out and not self.end:
            try:
                # The same bytes again after a "want write", as TLS has it.
                return out[self.sock.send(out[:65536]):]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                pass
            except OSError:
                # What came before the end is still to be read.
                self.drain()
        return out

    def drain(self):
        while not self.end:
            self.move(b"")

    def send(self, out):
        """All of it, or until the end."""
        while out and not self.end:
            out = self.move(out)
        return not out

    def wait(self, n):
        """n bytes, without taking them; False: there are no more."""
        while len(self.data) < n and not self.end:
            self.move(b"")
        return len(self.data) >= n

    def take(self, n):
        self.wait(n)
        data, self.data = self.data[:n], self.data[n:]
        return data

    def line(self):
        while b"\r\n" not in self.data and not self.end:
            self.move(b"")
        line, mark, rest = self.data.partition(b"\r\n")
        if not mark:
            return None
        self.data = rest
        return line

    def answer(self):
        """The next one."""
        answer = Reply()
        line = self.line()
        while line and line.startswith(b"HTTP/1.1 100"):
            self.line()
            line = self.line()
        if not line or not line.startswith(b"HTTP/1.1 "):
            answer.odd = line
            return answer.close(self)
        answer.status = int(line.split()[1])
        while True:
            line = self.line()
            if line is None:
                answer.status = 0
                return answer.close(self)
            if not line:
                break
            name, _, value = line.decode("latin-1").partition(":")
            answer.headers[name.lower()] = value.strip()
        answer.headed = True
        if answer.status in (101, 204):
            answer.whole = True
        elif "chunked" in answer.headers.get("transfer-encoding", ""):
            self.chunks(answer)
        elif "content-length" not in answer.headers:
            self.drain()
            answer.body, self.data = self.data, b""
            answer.whole = self.end in ("fin", "notify")
        else:
            size = int(answer.headers["content-length"])
            answer.body = self.take(size)
            answer.whole = len(answer.body) == size
        return answer.close(self)

    def chunks(self, answer):
        parts = []
        while True:
            line = self.line()
            if line is None:
                break
            size = int(line, 16)
            parts.append(self.take(size))
            if len(parts[-1]) < size or self.take(2) != b"\r\n":
                break
            if not size:
                answer.whole = True
                break
        answer.body = b"".join(parts)

    def told_to_continue(self):
        """An Expect was answered by 100; else the next answer is the last."""
        while b"\r\n\r\n" not in self.data and not self.end:
            self.move(b"")
        if not self.data.startswith(b"HTTP/1.1 100"):
            return False
        self.line()
        self.line()
        return True

    def half(self):
        """Our half, cleanly; the other one goes on."""
        try:
            if self.tls:
                self.sock.unwrap()
            else:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self, reset=False):
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Reply:
    """What came of an answer; status 0: no whole head."""

    def __init__(self):
        self.status, self.headers, self.body = 0, {}, b""
        self.headed = self.whole = False
        self.end = self.odd = None

    def close(self, client):
        self.end = client.end
        return self

    def kept(self):
        return self.whole and not self.end and "close" not in self.headers.get("connection", "")

    def __repr__(self):
        return f"<{self.status} {self.headers} {len(self.body)} bytes {self.body[:80]!r} whole={self.whole} end={self.end} odd={self.odd!r}>"
