"""fake_server - a sandbox server whose faults are switched on by tests.

Just the calls that the control plane makes, and exec streams that do what the
test says.  For faults only: everything real is tested against box.
"""
import json
import socket
import struct
import threading
import time


def frame(message, flags=0):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return struct.pack("!BI", flags, len(data)) + data


class FakeServer:
    """Listens on 127.0.0.1; attributes are the switches."""

    def __init__(self):
        self.sandboxes, self.calls, self.lock = {}, [], threading.Lock()
        self.fork = "ok"      # ok, hang, garbage, 500, 404, rst, late (acts, then waits delay)
        self.delay = 0.0      # before every fork is answered
        self.known = True     # False: every sandbox "has no stream path"
        self.exec = "sleep"   # sleep, die (RST in mid-stream), fin (cut chunk), garbage, flood (output for ever)
        self.stat = "ok"      # ok, garbage, hang
        self.listener = None
        self.port = None
        self.open = []
        self.up()

    def up(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port or 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def down(self):
        """Connections are reset, new ones refused."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut()

    def cut(self):
        with self.lock:
            for sock in self.open:
                try:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RD)
                    sock.close()
                except OSError:
                    pass
            self.open = []

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.append(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            file = sock.makefile("rb")
            while True:
                line = file.readline()
                if not line:
                    return
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while True:
                    row = file.readline()
                    if row in (b"\r\n", b""):
                        break
                    name, value = row.decode().split(":", 1)
                    headers[name.lower()] = value.strip()
                if headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while True:
                        size = int(file.readline(), 16)
                        body += file.read(size)
                        file.readline()
                        if not size:
                            break
                else:
                    body = file.read(int(headers.get("content-length", 0)))
                with self.lock:
                    self.calls.append((method, path))
                if self.answer(sock, method, path, headers, body) is False:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
        except (OSError, ValueError):
            pass
        finally:
            sock.close()

    def say(self, sock, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() + b"\n"
        sock.sendall(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data)

    def row(self, sandbox, template):
        return {"id": sandbox, "template_id": template, "endpoint": "http://localhost:8080", "created_at": "2026-05-01T10:00:01.5Z",
                "fork_time_ms": 0.5, "network": {"egress": "deny", "inbound": "deny"}}

    def answer(self, sock, method, path, headers, body):
        if path == "/v1/health":
            self.say(sock, 200, {"mock": False, "sandboxes": len(self.sandboxes), "status": "ok", "templates": 1})
        elif path == "/v1/templates":
            self.say(sock, 200, {"id": json.loads(body)["id"], "ready": True, "created_at": "2026-05-01T10:00:00Z", "creation_time_ms": 1} if method == "POST" else [])
        elif path == "/v1/fork":
            return self.forks(sock, json.loads(body))
        elif path == "/v1/sandboxes":
            self.say(sock, 200, list(self.sandboxes.values()))
        elif method == "DELETE":
            known = self.sandboxes.pop(path.rsplit("/", 1)[1], None)
            self.say(sock, 200 if known else 404, {"id": path.rsplit("/", 1)[1], "status": "terminated"} if known else
                     {"error": {"code": "not_found", "message": "no such sandbox", "cause": "x", "remediation": "y"}})
        elif path.startswith("/sandbox.v1.Sandbox/"):
            return self.runtime(sock, path.rsplit("/", 1)[1], headers, body)
        else:
            self.say(sock, 404, {"error": {"code": "not_found", "message": "no such sandbox", "cause": path, "remediation": "y"}})

    def forks(self, sock, wish):
        mode = self.fork
        if mode == "rst":
            return False
        if mode == "hang":
            time.sleep(30)
            return False
        if mode == "garbage":
            self.say(sock, 200, b"<html>surprise</html>")
            return None
        if mode in ("500", "404"):
            code = {"500": "internal", "404": "not_found"}[mode]
            self.say(sock, int(mode), {"error": {"code": code, "message": "secret /host/path", "cause": "secret /host/path", "remediation": ""}})
            return None
        self.sandboxes[wish["id"]] = self.row(wish["id"], wish["template"])
        time.sleep(self.delay)
        self.say(sock, 200, self.sandboxes[wish["id"]])

    def gone(self, sandbox):
        return not self.known or sandbox not in self.sandboxes

    def runtime(self, sock, method, headers, body):
        sandbox = headers.get("x-sandbox-id", "")
        text = f'sandbox "{sandbox}" has no stream path'
        stream = "connect" in headers.get("content-type", "")
        if self.gone(sandbox):
            if stream:
                data = frame({"error": {"code": "unavailable", "message": text}}, 2)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            else:
                self.say(sock, 500, {"code": "internal", "message": text})
            return None
        if not stream:
            if self.stat == "hang":
                time.sleep(30)
            self.say(sock, 200, b"\0\1garbage" if self.stat == "garbage" else
                     {"name": "/", "path": "/", "size": "4096", "mode": 16877, "modifiedAtUnix": "1770000000", "isDir": True})
            return None
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n")

        def chunk(data):
            sock.sendall(b"%x\r\n" % len(data) + data + b"\r\n")

        chunk(frame({"stderr": "HjQyNDIK"}))  # 0x1e 4242 LF
        chunk(frame({"stdout": "aGkK"}))
        while self.exec == "flood":
            chunk(frame({"stdout": "eHh4" * 12000}))
        time.sleep(0.5)
        if self.exec == "die":
            return False
        if self.exec == "fin":
            sock.sendall(b"100\r\n" + frame({"stdout": "aGkK"})[:10])
            sock.shutdown(socket.SHUT_RDWR)
            return None
        if self.exec == "garbage":
            chunk(b"\xff\xff\xff\xff\xffnonsense")
        time.sleep(30)
        return False
