"""app - the servers behind a sandbox's ports that the recordings talk to.

7000 HTTP and WebSocket, 7001 echo, 7002 answers after the client's end, 7003
speaks first and half-closes, 7004 says goodbye.
"""

import gzip
import hashlib
import json
import socket
import socketserver
import sys
import threading
import time

sys.dont_write_bytecode = True


class Http(socketserver.BaseRequestHandler):
    def handle(self):
        self.rest = b""
        self.request.settimeout(60)
        try:
            while self.one():
                pass
        except (OSError, EOFError):
            pass

    def more(self):
        data = self.request.recv(65536)
        if not data:
            raise EOFError
        self.rest += data

    def line(self):
        while b"\r\n" not in self.rest:
            self.more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def exactly(self, size):
        while len(self.rest) < size:
            self.more()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def body(self, headers):
        low = {k.lower(): v for k, v in headers}
        if low.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.line(), 16)
                body += self.exactly(size)
                self.exactly(2) if size else self.line()
                if not size:
                    return body
        return self.exactly(int(low.get("content-length", 0)))

    def one(self):
        method, target, version = self.line().decode("latin-1").split(" ")
        headers = []
        while True:
            line = self.line()
            if not line:
                break
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        low = {k.lower(): v for k, v in headers}
        path = target.partition("?")[0]
        name = path[1:].replace("-", "_").replace("204", "empty") \
            .replace("500", "error")
        if path == "/ws" and "sec-websocket-key" in low:
            self.websocket(low)
            return False
        body = self.body(headers)
        special = getattr(self, "do_" + name, None)
        if special is not None and path != "/h":
            special(target)
        else:
            text = json.dumps({
                "method": method, "target": target, "version": version,
                "headers": [f"{k}: {v}" for k, v in headers],
                "body_len": len(body),
                "body_sha": hashlib.sha256(body).hexdigest()[:16]}).encode()
            self.answer(b"200 OK", b"Content-Type: application/json\r\n",
                        b"" if method == "HEAD" else text, len(text))
        return "close" not in low.get("connection", "").lower()

    def answer(self, status, headers, body, size=None):
        size = len(body) if size is None else size
        self.request.sendall(b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b"
                             % (status, headers, size, body))

    def do_cookie(self, _):
        self.answer(b"200 OK", b"Server: svc\r\nSet-Cookie: a=1; Path=/\r\n"
                    b"Set-Cookie: b=2\r\nX-App: v\r\nConnection: keep-alive"
                    b", X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n",
                    b"ok")

    def do_empty(self, _):
        self.request.sendall(b"HTTP/1.1 204 No Content\r\nX-App: a\r\n\r\n")

    def do_redir(self, _):
        self.answer(b"302 Found", b"Location: /next\r\n", b"")

    def do_redirabs(self, _):
        self.answer(b"302 Found",
                    b"Location: http://127.0.0.1:7000/next\r\n", b"")

    def do_error(self, _):
        self.answer(b"500 Very Broken", b"", b"err")

    def do_early(self, _):
        self.request.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"
                             b"\r\n")
        self.answer(b"200 OK", b"", b"ok")

    def do_trailer(self, _):
        self.request.sendall(b"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-"
                             b"Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T:"
                             b" tv\r\n\r\n")

    def do_sse(self, _):
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-"
                             b"stream\r\nCache-Control: no-cache\r\n"
                             b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(4):
            data = b"data: %d\n\n" % number
            self.request.sendall(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(0.25)
        self.request.sendall(b"0\r\n\r\n")

    def do_slow(self, target):
        time.sleep(float(target.partition("?")[2] or 1))
        self.answer(b"200 OK", b"", b"slow")

    def do_big(self, _):
        self.answer(b"200 OK", b"Content-Type: application/octet-stream\r\n",
                    b"\xab" * 3000000)

    def do_close(self, _):
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
        raise EOFError

    def do_drop(self, _):
        raise EOFError

    def do_half(self, _):
        self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n"
                             b"\r\nonly-part")
        raise EOFError

    def do_garbage(self, _):
        self.request.sendall(b"this is not HTTP at all\r\n\r\n")
        raise EOFError

    def do_gz(self, _):
        body = gzip.compress(b"compressed by the app " * 20, mtime=0)
        self.answer(b"200 OK", b"Content-Type: text/plain\r\nContent-"
                    b"Encoding: gzip\r\nVary: Accept-Encoding\r\n", body)

    def do_nolen_noct(self, _):
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n"
                             b"<html><body>x</body></html>")
        raise EOFError

    def websocket(self, low):
        import base64
        key = low["sec-websocket-key"] + \
            "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        extra = b""
        if "sec-websocket-protocol" in low:
            extra = b"Sec-WebSocket-Protocol: %b\r\n" % \
                low["sec-websocket-protocol"].encode()
        self.request.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n%b\r\n"
            % (accept, extra))
        while True:
            first, second = self.exactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(self.exactly(2), "big")
            elif size == 127:
                size = int.from_bytes(self.exactly(8), "big")
            mask = self.exactly(4)
            pad = (mask * (size // 4 + 1))[:size]
            data = bytes(a ^ b for a, b in zip(self.exactly(size), pad))
            head = bytes([first])
            if size < 126:
                head += bytes([size])
            else:
                head += bytes([126]) + size.to_bytes(2, "big")
            self.request.sendall(head + data)
            if first & 0x0F == 8:
                return


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while True:
            data = self.request.recv(65536)
            if not data:
                return
            self.request.sendall(data)


class AfterEnd(socketserver.BaseRequestHandler):
    def handle(self):
        data = b""
        while True:
            part = self.request.recv(65536)
            if not part:
                break
            data += part
        self.request.sendall(b"got %d" % len(data))


class First(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"banner first\n")
        time.sleep(0.3)
        self.request.shutdown(socket.SHUT_WR)
        self.request.recv(65536)


class Bye(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"bye\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def main():
    for port, handler in ((7000, Http), (7001, Echo), (7002, AfterEnd),
                          (7003, First), (7004, Bye)):
        server = Server(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever).start()
    with open("/tmp/up", "w", encoding="ascii"):
        pass


main()
