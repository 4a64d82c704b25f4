"""port_parts - ways to an app in a sandbox, and what browsers say on them."""
import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import wire_parts as wire
from report import equal, true

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(wire.ROOT, "build", "sandgate")
PREVIEW = os.environ["SANDGATE_PREVIEW_DOMAIN"]
PREVIEW_SECRET = os.environ["SANDGATE_PREVIEW_SECRET"]
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate",
           "Sec-Fetch-Dest": "document"}


class Way:
    """To the apps of sandboxes over the gateway that ./quickstart runs."""
    name, domain, preview, key = "forward", wire.DOMAIN, PREVIEW, wire.KEY

    def connect(self, host):
        return wire.connect(host)

    def api(self, method, path, body=None, key=None):
        fields = {"X-API-Key": key or self.key, **({"Content-Type": "application/json"} if body is not None else {})}
        return self.ask(method, path, f"api.{self.domain}", fields, json.dumps(body).encode() if body is not None else None)

    def head(self, method, path, host, headers):
        rows = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        for name, value in (headers or {}).items():
            rows += [f"{name}: {one}" for one in (value if isinstance(value, list) else [value])]
        return ("\r\n".join(rows) + "\r\n\r\n").encode("latin-1")

    def ask(self, method, path, host, headers=None, body=None):
        headers = dict(headers or {})
        if body is not None:
            headers["Content-Length"] = len(body)
        with self.connect(host) as sock:
            sock.sendall(self.head(method, path, host, headers) + (body or b""))
            return wire.read_answer(sock.makefile("rb"), method)

    def stream(self, method, path, host, headers=None):
        """A socket and its file behind an answer's head."""
        sock = self.connect(host)
        sock.sendall(self.head(method, path, host, headers))
        file = sock.makefile("rb")
        return sock, file, read_head(file)

    def made(self, port=3000, name="app", **fields):
        """A sandbox with port_app.py listening in it."""
        answer = self.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300, **fields})
        equal(answer.status, 201)
        box = answer.json()
        self.run(box, port, name)
        return box

    def run(self, box, port=3000, name="app", pem=None):
        host = f"49983-{box['sandboxID']}.{self.domain}"
        fields = {"X-Access-Token": box["envdAccessToken"], "Content-Type": "application/octet-stream"}
        source = open(os.path.join(HERE, "port_app.py"), "rb").read()
        more = []
        for where, data in (("port_app.py", source), ("app.pem", pem)):
            if data:
                answer = self.ask("POST", f"/files?path=/home/user/{where}&username=user", host, fields, data)
                equal(answer.status, 200)
                more = ["/home/user/app.pem"] if pem else []
        start = {"process": {"cmd": "/usr/bin/python3", "args": ["/home/user/port_app.py", str(port), name, *more]}, "stdin": False}
        body = wire.frame(start)
        fields.update({"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1", "Content-Length": len(body)})
        sock = self.connect(host)
        with sock:
            sock.sendall(self.head("POST", "/process.Process/Start", host, fields) + body)
            data = b""
            until = time.monotonic() + 20
            while base64.b64encode(b"listening\n") not in data:
                true(time.monotonic() < until, f"the app listens: {data!r}")
                piece = sock.recv(65536)
                true(piece, f"the app runs: {data!r}")
                data += piece

    def host(self, box, port=3000):
        return f"{port}-{box['sandboxID']}.{self.domain}"

    def preview_host(self, box, port=3000):
        return f"{port}-{box['sandboxID']}.{self.preview}"

    def kill(self, box):
        self.api("DELETE", f"/sandboxes/{box['sandboxID']}")


class OtherWay(Way):
    """A gateway of its own before the same sandbox server: plain HTTP, ports
    over the server's HTTP proxy, or whatever more the configuration says."""

    def __init__(self, name="expose", ports="expose", more="", preview_more="", templates=None):
        self.name, self.dir = name, tempfile.mkdtemp(prefix="sandgate-ports.")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = sock.getsockname()[1]
        self.domain, self.preview = f"other.test:{self.port}", f"other-preview.test:{self.port}"
        self.config = os.path.join(self.dir, "sandgate.yaml")
        rows = "\n".join(f"  - {{id: {name}, backend: box, backend_template: {there}}}" for name, there in (templates or {"base": "base"}).items())
        open(self.config, "w").write(f"""
domain: other.test
listeners: [{{address: 127.0.0.1, port: {self.port}, tls: false}}]
secret_file: secret
store: sandgate.db
access_log: access.log
backends: [{{name: box, url: '{os.environ["BOX_URL"]}', ports: {ports}}}]
templates:
{rows}
preview:
  domain: other-preview.test
  port: {self.port}
{preview_more}
{more}
""")
        with open(os.open(os.path.join(self.dir, "secret"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
            out.write(os.urandom(32).hex())
        self.key = subprocess.run([PROGRAM, "key", "create", "--team", "a", "-c", self.config], check=True,
                                  capture_output=True, text=True).stdout.strip()
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen([PROGRAM, "serve", "-c", self.config], stderr=self.log, stdout=self.log,
                                        stdin=subprocess.DEVNULL)
        until = time.monotonic() + 15
        while True:
            try:
                if self.ask("GET", "/health", f"api.{self.domain}").status == 200:
                    break
            except OSError:
                pass
            true(self.process.poll() is None and time.monotonic() < until, "ready: " + open(self.log.name).read())
            time.sleep(0.05)

    def connect(self, host):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def logged(self, request):
        """The line of the access log of that request; it follows the answer."""
        until = time.monotonic() + 5
        while True:
            for line in open(os.path.join(self.dir, "access.log")):
                if f'"id":"{request}"' in line and line.endswith("\n"):
                    return json.loads(line)
            true(time.monotonic() < until, f"a line of {request}")
            time.sleep(0.02)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)
        self.log.close()
        shutil.rmtree(self.dir)


def read_head(file):
    line = file.readline().decode("latin-1").rstrip("\r\n")
    headers = []
    while True:
        row = file.readline().decode("latin-1").rstrip("\r\n")
        if not row:
            break
        name, value = row.split(":", 1)
        headers.append((name.lower(), value.strip()))
    if line.split()[1] == "100":
        return read_head(file)
    return int(line.split()[1]), headers


def all_of(headers, name):
    return [value for key, value in headers if key == name]


# ---- links ----

def mint(way, box, port=3000, **fields):
    """A link by the API: (id, host, path with the token)."""
    answer = way.api("POST", f"/sandboxes/{box['sandboxID']}/links", {"port": port, **fields})
    equal(answer.status, 201)
    body = answer.json()
    true(body["url"].startswith("https://"), body["url"])
    host, _, path = body["url"][len("https://"):].partition("/")
    return body["linkId"], host, "/" + path


def token_of(path):
    return path.split("token=")[1].split("&")[0]


def mint_by_secret(box, port, seconds=600):
    """A token of the sandbox server's own form."""
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    text = json.dumps({"s": box["sandboxID"], "p": port, "e": int(time.time()) + seconds}, separators=(",", ":"))
    payload = encode(text.encode())
    tag = hmac.new(PREVIEW_SECRET.encode(), b"mitos-preview-v1\0" + payload.encode(), hashlib.sha256).digest()
    return f"{payload}.{encode(tag)}"


def enter(way, host, path):
    """What a browser does with a link: (clean path, cookie)."""
    answer = way.ask("GET", path, host, BROWSER)
    equal(answer.status, 302)
    cookie = answer.headers["set-cookie"].split(";")[0]
    return answer.headers["location"], cookie


# ---- WebSockets ----

class WebSocket:
    """A client; masks what it sends."""

    def __init__(self, way, host, path="/ws", headers=None):
        self.key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13",
                  **(headers or {})}
        self.sock, self.file, (self.status, self.headers) = way.stream("GET", path, host, fields)
        if self.status == 101:
            accept = hashlib.sha1((self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            equal(all_of(self.headers, "sec-websocket-accept"), [base64.b64encode(accept).decode()])

    def body(self):
        size = int((all_of(self.headers, "content-length") or ["0"])[0])
        return json.loads(self.file.read(size))

    def send(self, data, kind=2):
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 128 | kind, 128 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 128 | kind, 128 | 126, size)
        else:
            head = struct.pack("!BBQ", 128 | kind, 128 | 127, size)
        key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        self.sock.sendall(head + mask + (int.from_bytes(data, "big") ^ key).to_bytes(size, "big"))

    def receive(self):
        """(kind, data); (None, b"") at the end."""
        try:
            head = self.file.read(2)
        except (ConnectionError, OSError):
            return None, b""
        if len(head) < 2:
            return None, b""
        size = head[1] & 127
        if size == 126:
            size = struct.unpack("!H", self.file.read(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.file.read(8))[0]
        return head[0] & 15, self.file.read(size)

    def end(self):
        """Our half, cleanly; the other one goes on."""
        if isinstance(self.sock, ssl.SSLSocket):
            until = self.sock.gettimeout()
            self.sock.settimeout(0)
            try:
                self.sock.unwrap()
            except ssl.SSLWantReadError:
                pass
            self.sock.settimeout(until)
        else:
            self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.file.close()
        self.sock.close()


def in_threads(count, do):
    results, threads = [None] * count, []

    def one(i):
        try:
            results[i] = do(i)
        except Exception as error:
            results[i] = error
    for i in range(count):
        threads.append(threading.Thread(target=one, args=(i,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(60)
    return results
