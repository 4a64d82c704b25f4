"""faults - a back end that fails, clients that leave, a gateway that is killed.

Starts gateways of its own, with plain HTTP on loopback, against fake_server.
"""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from fake_server import FakeServer, frame
from report import Report, equal, true

report = Report("faults")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, "build", "sandgate")
CONFIG = """
domain: sandgate.test
listeners: [{{address: 127.0.0.1, port: {port}, tls: false}}]
direct_hosts: [127.0.0.1]
status: {{address: 127.0.0.1, port: {status}}}
secret_file: secret
store: sandgate.db
access_log: access.log
backends: [{{name: fake, url: 'http://127.0.0.1:{backend}'}}]
templates: [{{id: base, backend: fake, backend_template: base}}]
limits: {{create_timeout: {create}}}
"""


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
    """A gateway with its own directory, and the fake behind it."""

    def __init__(self, create="3s", fake=None):
        self.fake = fake or FakeServer()
        self.dir = tempfile.mkdtemp(prefix="sandgate-faults.")
        self.port, self.status = free_port(), free_port()
        self.config = os.path.join(self.dir, "sandgate.yaml")
        open(self.config, "w").write(CONFIG.format(port=self.port, status=self.status, backend=self.fake.port, create=create))
        with open(os.open(os.path.join(self.dir, "secret"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as out:
            out.write(os.urandom(32).hex())
        self.key = subprocess.run([PROGRAM, "key", "create", "--team", "a", "-c", self.config], check=True, capture_output=True, text=True).stdout.strip()
        self.process = None
        self.start()

    def start(self, ready=True):
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen([PROGRAM, "serve", "-c", self.config], stderr=self.log, stdout=self.log, stdin=subprocess.DEVNULL)
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

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                equal(self.process.wait(15), 0)
            finally:
                self.process.kill()
        self.fake.down()
        shutil.rmtree(self.dir)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=40)

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


def wait_until(what, condition, seconds=6):
    until = time.monotonic() + seconds
    while not condition():
        true(time.monotonic() < until, what)
        time.sleep(0.05)


def error(answer, status, retry=None, **more):
    equal(answer.status, status)
    body = answer.json()
    equal(body["code"], status)
    if retry is not None:
        equal(answer.headers.get("should-retry"), retry)
    true("secret" not in body["message"] and "/host" not in body["message"], body)
    return body


def back_end_down():
    g = Gateway()
    box = g.create().json()
    g.fake.down()
    error(g.create(), 503, "true")
    wait_until("readyz says so", lambda: g.plain("/readyz").status == 503)
    time.sleep(1.1)
    equal(g.data(box, "GET", "/health").status, 503)
    answer = g.data(box, "POST", "/filesystem.Filesystem/Stat", b'{"path":"/"}')
    equal((answer.status, answer.json()["code"]), (503, "internal"))
    equal(g.api("GET", f"/sandboxes/{box['sandboxID']}").status, 200)
    g.fake.up()
    wait_until("it is ready again", lambda: g.plain("/readyz").status == 200, 15)
    equal(g.data(box, "GET", "/health").status, 204)
    equal(g.create().status, 201)
    g.end()


def back_end_garbage():
    g = Gateway(create="2s")
    for mode, status, retry in (("garbage", 502, "false"), ("500", None, "false"), ("rst", 503, "false"), ("hang", 504, "false")):
        g.fake.fork = mode
        answer = g.create()
        true(answer.status in ((status,) if status else (500, 502, 503)), f"{mode}: {answer.status} {answer.body}")
        error(answer, answer.status, retry)
    g.fake.fork = "ok"
    equal(g.consistent(), set())
    box = g.create().json()
    g.fake.stat = "garbage"
    time.sleep(1.1)
    answer = g.data(box, "GET", "/health")
    true(answer.status in (502, 503) and b"was not found" not in answer.body, f"{answer.status} {answer.body}")
    g.fake.stat = "ok"
    equal(g.api("GET", f"/sandboxes/{box['sandboxID']}").status, 200)
    g.end()


def back_end_restarted():
    g = Gateway()
    box = g.create().json()
    g.fake.sandboxes.clear()
    answer = g.data(box, "GET", "/health")
    equal((answer.status, answer.json()["message"]), (502, "The sandbox was not found"))
    wait_until("the record is dropped", lambda: g.ids() == set())
    equal(g.api("DELETE", f"/sandboxes/{box['sandboxID']}").status, 404)
    g.end()


def back_end_forgets_during_a_start():
    g = Gateway()
    box = g.create().json()
    g.fake.sandboxes.clear()
    with g.stream(box) as sock:
        data = sock.recv(4096)
    true(b"The sandbox was not found" in data, data)
    g.end()


def back_end_dies_mid_stream():
    for mode in ("die", "fin", "garbage"):
        g = Gateway()
        box = g.create().json()
        g.fake.exec = mode
        with g.stream(box) as sock:
            data, ended = b"", None
            try:
                while True:
                    piece = sock.recv(4096)
                    if not piece:
                        ended = "fin"
                        break
                    data += piece
            except ConnectionResetError:
                ended = "rst"
        true(b'{"event":{"start":{"pid":4242}}}' in data, data)
        true(b'"aGkK"' in data, data)
        true(not data.endswith(b"0\r\n\r\n") and b'{"end"' not in data, data)
        equal(ended, "rst")
        g.end()


def clients_that_leave_during_a_create():
    g = Gateway(create="5s")
    for wait in (0.0, 0.02, 0.2, 0.5):
        g.fake.delay = 0.4
        before = g.ids()
        with g.connect() as sock:
            g.send(sock, "POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, b'{"templateID":"base"}')
            time.sleep(wait)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(1.0)
        after = g.consistent()
        true(len(after) == len(before) + 1, f"left after {wait} s: {before} {after}")
    g.end()


def killed_during_a_create():
    """kill -9 at many points: afterwards records and sandboxes agree."""
    g = Gateway(create="5s")
    kept = g.create().json()
    g.fake.delay = 0.15
    for n, wait in enumerate((0.0, 0.001, 0.002, 0.004, 0.01, 0.03, 0.1, 0.14, 0.155, 0.16, 0.17, 0.2)):
        with g.connect() as sock:
            g.send(sock, "POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, b'{"templateID":"base"}')
            time.sleep(wait)
            g.kill_9()
            answered = None
            try:
                answered = g.read(sock).json()
            except (OSError, EOFError, ValueError):
                pass
        g.start()
        found = g.consistent()
        true(kept["sandboxID"] in found, "what was acknowledged is kept")
        if answered and "sandboxID" in answered:
            true(answered["sandboxID"] in found, f"the acknowledged {answered['sandboxID']} is kept")
    g.end()


def killed_during_a_kill():
    g = Gateway()
    for wait in (0.0, 0.002, 0.005, 0.01):
        box = g.create().json()["sandboxID"]
        with g.connect() as sock:
            g.send(sock, "DELETE", f"/sandboxes/{box}", {"X-API-Key": g.key})
            time.sleep(wait)
            g.kill_9()
        g.start()
        g.consistent()
    g.end()


def restarts_keep_tokens_and_deadlines():
    g = Gateway()
    box, short = g.create().json(), g.create(timeout=3).json()
    g.kill_9()
    g.start()
    equal(g.api("POST", f"/v2/sandboxes/{box['sandboxID']}/connect", {}).json()["envdAccessToken"], box["envdAccessToken"])
    equal(g.data(box, "GET", "/health").status, 204)
    wait_until("the deadline holds over a restart", lambda: set(g.fake.sandboxes) == {box["sandboxID"]}, 8)
    equal(g.ids(), {box["sandboxID"]})
    other = g.create(timeout=1).json()["sandboxID"]
    g.kill_9()
    time.sleep(1.2)
    true(other in g.fake.sandboxes, "nobody deleted it meanwhile")
    g.start()
    wait_until("it is deleted after the restart", lambda: other not in g.fake.sandboxes)
    g.end()


def the_worker_is_started_again():
    g = Gateway()
    box = g.create().json()
    old = g.worker()
    os.kill(old, signal.SIGKILL)
    begun = time.monotonic()
    while True:
        try:
            if g.api("GET", f"/sandboxes/{box['sandboxID']}").status == 200:
                break
        except (OSError, EOFError):
            pass
        true(time.monotonic() - begun < 3, "a new worker within a second or so")
        time.sleep(0.02)
    true(g.worker() != old, "another worker")
    g.end()


def a_worker_that_was_stopped_goes_on():
    """SIGSTOP for longer than the watchdog's time: no abort, no reset."""
    g = Gateway()
    box = g.create().json()
    old = g.worker()
    with g.connect() as sock:
        g.send(sock, "GET", f"/sandboxes/{box['sandboxID']}", {"X-API-Key": g.key})
        equal(g.read(sock).status, 200)
        os.kill(old, signal.SIGSTOP)
        time.sleep(6)
        os.kill(old, signal.SIGCONT)
        g.send(sock, "GET", f"/sandboxes/{box['sandboxID']}", {"X-API-Key": g.key})
        equal(g.read(sock).status, 200)
    time.sleep(2)
    equal(g.worker(), old)
    g.end()


def reloads_lose_nothing():
    g = Gateway()
    failed, count, stop = [], [0], threading.Event()

    def ask():
        with g.connect() as sock:
            while not stop.is_set():
                try:
                    g.send(sock, "GET", "/v2/sandboxes", {"X-API-Key": g.key})
                    if g.read(sock).status != 200:
                        failed.append("status")
                    count[0] += 1
                except (OSError, EOFError) as why:
                    failed.append(why)
                    return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    good = open(g.config).read()
    for n in range(20):
        if n % 4 == 3:
            open(g.config, "w").write(good + "nonsense: [1, 2\n")
        g.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        open(g.config, "w").write(good)
    stop.set()
    for thread in threads:
        thread.join()
    equal(failed, [])
    true(count[0] > 100, f"{count[0]} requests")
    true("nonsense" in g.said() or "sandgate.yaml" in g.said(), "the bad file is told")
    g.end()


def drain_finishes_what_is_under_way():
    g = Gateway(create="10s")
    g.fake.delay = 1.0
    with g.connect() as sock:
        g.send(sock, "POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, b'{"templateID":"base"}')
        time.sleep(0.2)
        g.process.send_signal(signal.SIGTERM)
        answer = g.read(sock)
    equal(answer.status, 201)
    equal(answer.headers.get("connection", "").lower(), "close")
    equal(g.process.wait(10), 0)
    try:
        g.connect().close()
        raise AssertionError("it still listens")
    except ConnectionRefusedError:
        pass
    g.end()


def check_tells_every_mistake():
    folder = tempfile.mkdtemp(prefix="sandgate-check.")
    path = os.path.join(folder, "bad.yaml")
    open(path, "w").write("domain: 5\nlisteners: [{address: 127.0.0.1, port: 70000, tls: maybe}]\nbackend: []\n"
                          "templates: [{id: base, backend: nowhere, backend_template: base}]\nsecret_file: none\nstore: s.db\n")
    run = subprocess.run([PROGRAM, "check", "-c", path], capture_output=True, text=True)
    equal(run.returncode, 1)
    lines = (run.stdout + run.stderr).splitlines()
    places = [line for line in lines if re.match(re.escape(path) + r":\d+:\d+: ", line)]
    true(len(places) >= 5, lines)
    true(any("did you mean" in line and "backends" in line for line in places), lines)
    true(any(":2:" in line and "port" in line for line in places), lines)
    shutil.rmtree(folder)


for test in (check_tells_every_mistake, back_end_down, back_end_garbage, back_end_restarted, back_end_forgets_during_a_start, back_end_dies_mid_stream,
             clients_that_leave_during_a_create, killed_during_a_create, killed_during_a_kill, restarts_keep_tokens_and_deadlines,
             the_worker_is_started_again, a_worker_that_was_stopped_goes_on, reloads_lose_nothing, drain_finishes_what_is_under_way):
    report.check(test.__name__.replace("_", " "), test)
report.end()
