"""gateway_parts - a gateway with plain HTTP on loopback before fake_server,
for the tests that break things.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from fake_server import FakeServer, frame
from report import equal, true

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SANDGATE_PROGRAM") or os.path.join(ROOT, "build", "sandgate")
CONFIG = """
domain: sandgate.test
listeners: [{{address: 127.0.0.1, port: {port}, tls: false{listener}}}]
direct_hosts: [127.0.0.1]
status: {{address: 127.0.0.1, port: {status}}}
secret_file: secret
store: sandgate.db
access_log: {access_log}
backends: [{{name: fake, url: 'http://127.0.0.1:{backend}'}}]
templates: [{{id: base, backend: fake, backend_template: base}}]
limits: {{create_timeout: {create}{limits}}}
{more}"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Gateway:
    """A gateway with its own directory, and the fake behind it.

    listener: further keys of its listener; more: further lines of the file;
    config: another file, with fields of its own.
    """

    def __init__(self, create="3s", fake=None, files=None, access_log="access.log", limits="", listener="", more="",
                 config=CONFIG, **fields):
        self.fake = fake or FakeServer()
        self.dir = tempfile.mkdtemp(prefix="sandgate-faults.")
        self.port, self.status = free_port(), free_port()
        self.config = os.path.join(self.dir, "sandgate.yaml")
        open(self.config, "w").write(config.format(port=self.port, status=self.status, backend=self.fake.port, create=create, access_log=access_log,
                                                   listener=listener, limits=limits and ", " + limits, more=more, **fields))
        with open(os.open(os.path.join(self.dir, "secret"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
            out.write(os.urandom(32).hex())
        self.key = subprocess.run([PROGRAM, "key", "create", "--team", "a", "-c", self.config], check=True, capture_output=True, text=True).stdout.strip()
        self.process = None
        self.files = files  # limit on open files
        self.start()

    def another_key(self, team):
        return subprocess.run([PROGRAM, "key", "create", "--team", team, "-c", self.config], check=True, capture_output=True, text=True).stdout.strip()

    def start(self, ready=True):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        command = ["prlimit", f"--nofile={self.files}"] if self.files else []
        self.process = subprocess.Popen([*command, PROGRAM, "serve", "-c", self.config], stderr=self.log, stdout=self.log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                if self.ask("GET", "/health").status == 200 and (not ready or self.plain("/readyz").status == 200):
                    return
            except OSError:
                pass
            true(self.process.poll() is None, "the gateway ended: " + self.said())
            time.sleep(0.03)
        raise AssertionError("not ready: " + self.said())

    def said(self):
        return open(os.path.join(self.dir, "log"), errors="replace").read()[-2000:]

    def worker(self):
        return int(open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()[0])

    def kill_9(self):
        worker = self.worker()
        self.process.kill()
        self.process.wait()
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            pass
        until = time.monotonic() + 5
        while os.path.exists(f"/proc/{worker}") and time.monotonic() < until:
            time.sleep(0.01)

    def metric(self, name):
        return int(re.search(rf"^sandgate_{name} (\d+)$", self.plain("/metrics").body.decode(), re.M).group(1))

    def connections(self):
        """Both ends of what is connected to its port: somebody else's test may have had that port before."""
        return subprocess.run(["ss", "-Htnp", f"sport = :{self.port} or dport = :{self.port}"], capture_output=True, text=True).stdout

    def end(self):
        if self.process.poll() is None:
            wait_until("no client's connection or request is left", lambda: self.metric("connections") == 0 and self.metric("streams") == 0,
                       told=self.connections)
            self.process.terminate()
            try:
                equal(self.process.wait(15), 0)
            finally:
                self.process.kill()
        self.fake.down()
        shutil.rmtree(self.dir)

    def connect(self, source="127.0.0.1"):
        return socket.create_connection(("127.0.0.1", self.port), timeout=40, source_address=(source, 0))

    def send(self, sock, method, path, headers=None, body=b""):
        rows = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"] + [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method == "POST":
            rows.append(f"Content-Length: {len(body)}")
        sock.sendall(("\r\n".join(rows) + "\r\n\r\n").encode() + body)

    def read(self, sock):
        file = sock.makefile("rb")
        line = file.readline()
        if not line:
            raise EOFError("no answer")
        headers = {}
        while True:
            row = file.readline()
            if row in (b"\r\n", b""):
                break
            name, value = row.decode().split(":", 1)
            headers[name.lower()] = value.strip()
        status = int(line.split()[1])
        return Answer(status, headers, b"" if status == 204 else file.read(int(headers.get("content-length", 0))))

    def ask(self, method, path, headers=None, body=b""):
        with self.connect() as sock:
            self.send(sock, method, path, headers, body)
            return self.read(sock)

    def api(self, method, path, body=None, **headers):
        fields = {"X-API-Key": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            fields["Content-Type"] = "application/json"
        return self.ask(method, path, fields, json.dumps(body).encode() if body is not None else b"")

    def create(self, **fields):
        return self.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300, **fields})

    def ids(self):
        return {row["sandboxID"] for row in self.api("GET", "/v2/sandboxes").json()}

    def data(self, box, method, path, body=b"", kind="application/json"):
        return self.ask(method, path, {"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "49983", "X-Access-Token": box["envdAccessToken"],
                                       "Content-Type": kind}, body)

    def plain(self, path):
        with socket.create_connection(("127.0.0.1", self.status), timeout=5) as sock:
            self.send(sock, "GET", path)
            return self.read(sock)

    def stream(self, box):
        sock = self.connect()
        self.send(sock, "POST", "/process.Process/Start",
                  {"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "49983", "X-Access-Token": box["envdAccessToken"],
                   "Content-Type": "application/connect+json"}, frame({"process": {"cmd": "/bin/sh", "args": ["-c", "x"]}, "stdin": False}))
        return sock

    def consistent(self):
        """No sandbox without a record and no record without a sandbox."""
        until = time.monotonic() + 6
        while True:
            records, real = self.ids(), set(self.fake.sandboxes)
            if records == real:
                return records
            true(time.monotonic() < until, f"records {records}, sandboxes {real}; {self.said()}")
            time.sleep(0.1)


def wait_until(what, condition, seconds=6, told=None):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{what}: {told()}" if told else what)
        time.sleep(0.05)
