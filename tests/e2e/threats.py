"""threats - rows of the threat model that show at a running gateway only:
secrets, limits, logs, metrics, signals, the process itself.

Starts gateways of its own, with plain HTTP on loopback, against fake_server.
"""
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
import time

from gateway_parts import PROGRAM, Gateway, free_port, wait_until
from report import Report, equal, true

report = Report("threats")
UNKNOWN = "i" + "z" * 20


def raw(g, data, seconds=5):
    """Everything that comes back for these bytes, up to the end."""
    with g.connect() as sock:
        sock.settimeout(seconds)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
        except OSError:
            pass
        return got


def files_of(g):
    """The text of everything that the gateway wrote, but the records."""
    names = [name for name in os.listdir(g.dir) if name not in ("secret",) and not name.startswith("sandgate.db")]
    return {name: open(os.path.join(g.dir, name), errors="replace").read() for name in names}


def descriptors(g):
    return len(os.listdir(f"/proc/{g.worker()}/fd"))


def resident(g):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{g.worker()}/status").read()).group(1)) * 1024


# ---- secrets: G-01, K-04 ----

def forty_canaries_in_no_log_answer_or_metric():
    g = Gateway()
    box = g.create(metadata={"m": "CANARYmeta"}, envVars={"SECRET": "CANARYenv"}).json()
    canaries = ["CANARYmeta", "CANARYenv", g.key, box["envdAccessToken"]]
    told = []

    def canary(form="{}"):
        canaries.append(form.format("CANARY" + secrets.token_hex(9)))
        return canaries[-1]

    def key():
        canaries.append("e2b_" + secrets.token_hex(20))
        return canaries[-1]

    data = {"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "49983"}
    port = {**data, "E2b-Sandbox-Port": "3000"}
    for name in ("Authorization", "Cookie", "X-API-Key", "X-Access-Token", "Proxy-Authorization", "E2b-Traffic-Access-Token", "X-Sandgate-Secret"):
        for fields, path in (({}, "/v2/sandboxes"), (data, "/files?path=a"), (port, "/")):
            told.append(g.ask("GET", path, {**fields, name: canary()}))
    told.append(g.ask("GET", "/v2/sandboxes", {"X-API-Key": key()}))
    told.append(g.ask("GET", "/v2/sandboxes", {"Authorization": "Bearer " + key()}))
    told.append(g.ask("GET", "/v1/sandboxes", {"Authorization": "Bearer " + key()}))
    for name in ("token", "signature", "api_key", "apiKey", "access_token", "X-API-Key", "password", "secret"):
        told.append(g.ask("GET", f"/v2/sandboxes?{name}={canary()}"))
    told.append(g.ask("GET", "/files?path=a&username=u&signature=" + canary("v1_{}"), data))
    told.append(g.ask("GET", "/v2/sandboxes/" + key()))
    told.append(g.api("POST", "/v2/sandboxes", {"templateID": "none", "envVars": {"A": canary()}, "metadata": {"b": canary()}}))
    told.append(g.api("POST", "/v2/sandboxes", {"templateID": "base", "envVars": {"A": canary(), "B": 1}}))
    true(len(canaries) >= 40, f"{len(canaries)} canaries")
    told = "".join(str(answer.headers) + answer.body.decode(errors="replace") for answer in told)
    metrics = g.plain("/metrics").body.decode()
    master = g.process.pid
    line = "".join(open(f"/proc/{pid}/cmdline").read() for pid in (master, g.worker()))
    g.ask("GET", "/health", {"X-Request-Id": "the-last-one"})
    wait_until("the last line is there", lambda: "the-last-one" in files_of(g)["access.log"], 3)
    places = {**files_of(g), "answers": told, "metrics": metrics, "command line": line}
    true(box["sandboxID"] in places["access.log"], "the requests are logged")
    for place, text in places.items():
        if place == "sandgate.yaml":
            continue
        for one in canaries:
            true(one not in text, f"{one} stands in {place}")
    records = b"".join(open(os.path.join(g.dir, name), "rb").read() for name in os.listdir(g.dir) if name.startswith("sandgate.db"))
    true(g.key.encode() not in records and g.key[4:].encode() not in records, "a key stands in the records")
    true(box["envdAccessToken"].encode() not in records, "a token stands in the records")
    g.end()


def keys_come_one_way():
    g = Gateway()
    equal(g.ask("GET", f"/v2/sandboxes?api_key={g.key}").status, 401)
    two = f"GET /v2/sandboxes HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {g.key}\r\nX-API-Key: {g.key}\r\n\r\n"
    true(raw(g, two.encode()).startswith(b"HTTP/1.1 400 "), "two keys")
    both = f"GET /v1/sandboxes HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {g.key}\r\nAuthorization: Bearer {g.key}\r\n\r\n"
    true(raw(g, both.encode()).startswith(b"HTTP/1.1 400 "), "a key and a bearer")
    bodies = {g.ask("GET", "/v2/sandboxes", {"X-API-Key": key} if key is not None else {}).body
              for key in (None, "", "x", "e2b_" + "0" * 40, "e2b_" + "0" * 39, g.key + "0", g.key.upper())}
    equal(len(bodies), 1)
    g.end()


# ---- what a team may have: K-08 ----

def limited(g, limit):
    return int(re.search(rf'sandgate_limited_total{{limit="{limit}"}} (\d+)', g.plain("/metrics").body.decode()).group(1))


def refused_for(answer, text, most=5):
    equal((answer.status, answer.headers["should-retry"], answer.headers["content-type"]), (429, "true", "application/json"))
    true(1 <= int(answer.headers["retry-after"]) <= most, answer.headers)
    equal(answer.json()["code"], 429)
    true(text in answer.json()["message"], answer.body)


def a_team_has_as_many_sandboxes_as_it_may():
    g = Gateway(limits="team_sandboxes: 3", more="teams: [{name: big, sandboxes: 5, creates: 0}]\n")
    first = g.create().json()
    g.create()
    v1 = g.api("POST", "/sandboxes", {"templateID": "base"})
    equal(v1.status, 201)
    for path in ("/sandboxes", "/v2/sandboxes"):
        refused_for(g.api("POST", path, {"templateID": "base"}), "at a time: 3")
    native = g.api("POST", "/v1/fork", {"template": "base", "id": "chosen"})
    equal((native.status, native.headers["retry-after"]), (429, "2"))
    equal(native.json()["error"]["code"], "rate_limited")
    true("at a time: 3" in native.json()["error"]["cause"], native.body)
    equal(limited(g, "team_sandboxes"), 3)
    # Ten at once for one place.
    equal(g.api("DELETE", f"/sandboxes/{first['sandboxID']}").status, 204)
    told = []
    g.fake.delay = 0.2
    many = [threading.Thread(target=lambda: told.append(g.create().status)) for _ in range(10)]
    for one in many:
        one.start()
    for one in many:
        one.join()
    g.fake.delay = 0.0
    equal(sorted(told), [201] + [429] * 9)
    equal(len(g.consistent()), 3)
    # The records count after kill -9, too; and other teams are not concerned.
    g.kill_9()
    g.start()
    refused_for(g.create(), "at a time: 3")
    big = g.another_key("big")
    wait_until("the new key is known", lambda: g.ask("GET", "/v2/sandboxes", {"X-API-Key": big}).status == 200, 3)
    told = [g.ask("POST", "/v2/sandboxes", {"X-API-Key": big}, b'{"templateID":"base"}').status for _ in range(6)]
    equal(told, [201] * 5 + [429])
    # What cannot be deleted now has its place until it is.
    mine = g.ids()
    g.fake.down()
    equal(g.api("DELETE", f"/sandboxes/{mine.pop()}").status, 204)
    refused_for(g.create(), "at a time: 3")
    g.fake.up()
    wait_until("there is a place again", lambda: g.create().status == 201, 8)
    g.end()


def a_team_makes_no_more_sandboxes_a_minute_than_it_may():
    g = Gateway(limits="team_creates: 4")
    g.fake.fork = "500"
    equal(g.create().status, 503)
    g.fake.fork = "ok"
    for _ in range(3):
        box = g.create()
        equal(box.status, 201)
        equal(g.api("DELETE", f"/sandboxes/{box.json()['sandboxID']}").status, 204)
    refused_for(g.create(), "in a minute: 4", 61)
    equal((limited(g, "team_creates"), limited(g, "team_sandboxes")), (1, 0))
    # More by a reload, at once.
    text = open(g.config).read()
    open(g.config, "w").write(text.replace("team_creates: 4", "team_creates: 5"))
    reloads = g.metric("reloads_total")
    g.process.send_signal(signal.SIGHUP)
    wait_until("it is reloaded", lambda: g.metric("reloads_total") > reloads, 3)
    equal(g.create().status, 201)
    refused_for(g.create(), "in a minute: 5", 61)
    g.end()


# ---- limits: L-01, E-02, 3.14 ----

def bodies_at_their_limit():
    g = Gateway()
    most = 256 * 1024
    for size, status in ((most - 1, 400), (most, 400), (most + 1, 413)):
        body = b'{"templateID":5,"x":"' + b"y" * (size - 23) + b'"}'
        equal(len(body), size)
        answer = g.ask("POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, body)
        equal((size, answer.status), (size, status))
        true(status == 413 or b"templateID" in answer.body, answer.body)
    for depth, says in ((31, b"templateID"), (32, b"templateID"), (33, b"deep")):
        body = b'{"templateID":5,"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
        answer = g.ask("POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, body)
        equal(answer.status, 400)
        true((says == b"templateID") == (b"templateID" in answer.body), f"depth {depth}: {answer.body}")
    for values, good in ((9999, True), (10000, True), (10001, False)):
        # The object, templateID and the list are three of them.
        body = b'{"templateID":5,"x":[' + b",".join([b"1"] * (values - 3)) + b"]}"
        answer = g.ask("POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, body)
        equal(answer.status, 400)
        true(good == (b"templateID" in answer.body), f"{values} values: {answer.body}")
    before = resident(g)
    for _ in range(20):
        g.ask("POST", "/v2/sandboxes", {"X-API-Key": g.key, "Content-Type": "application/json"}, b"[" + b"{}," * 80000 + b"{}]")
    true(resident(g) - before < 4 << 20, f"grew by {resident(g) - before}")
    g.end()


def slow_bodies_of_the_control_plane():
    g = Gateway()
    fields = {"X-API-Key": g.key, "Content-Type": "application/json", "Content-Length": "30000"}
    head = "\r\n".join(["POST /v2/sandboxes HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in fields.items())]) + "\r\n\r\n"
    ends = {}

    def send(name, piece):
        with g.connect() as sock:
            sock.sendall(head.encode())
            begun, left = time.monotonic(), 30000
            sock.settimeout(0.5)
            while left > 0 and time.monotonic() - begun < 25:
                piece_now = (b"{" + b" " * 30000)[30000 - left:][:min(piece, left)]
                left -= len(piece_now)
                try:
                    sock.sendall(piece_now)
                    data = sock.recv(4096)
                    ends[name] = (time.monotonic() - begun, data[:12])
                    return
                except socket.timeout:
                    pass
                except OSError as why:
                    ends[name] = (time.monotonic() - begun, why)
                    return
            sock.settimeout(5)
            ends[name] = (time.monotonic() - begun, sock.recv(4096)[:12])

    threads = [threading.Thread(target=send, args=row) for row in (("silent", 0), ("drip", 10), ("slow", 800))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, least in (("silent", 15), ("drip", 15)):
        seconds, data = ends[name]
        equal(data, b"HTTP/1.1 408")
        true(least - 0.5 < seconds < least + 3, f"{name}: {seconds:.1f} s")
    seconds, data = ends["slow"]
    equal(data, b"HTTP/1.1 400")  # all of it came, and it is no JSON
    true(seconds > 16, f"slow: {seconds:.1f} s")
    rows = [json.loads(line) for line in files_of(g)["access.log"].splitlines()]
    equal(sorted((row["status"], row["error"]) for row in rows if row["status"] == 408), [(408, "SLOW")] * 2)
    g.end()


def more_clients_than_descriptors():
    g = Gateway(files=300)
    kept = g.connect()
    g.send(kept, "GET", "/health")
    equal(g.read(kept).status, 200)
    rest = []
    for _ in range(400):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", g.port))
        rest.append(sock)
    used = cpu(g)
    begun = time.monotonic()
    for _ in range(50):
        g.send(kept, "GET", "/health")
        equal(g.read(kept).status, 200)
        time.sleep(0.02)
    share = (cpu(g) - used) / (time.monotonic() - begun)
    true(share < 0.2, f"{share:.2f} of a core")
    for sock in rest:
        sock.close()
    kept.close()
    wait_until("it serves again", lambda: g.ask("GET", "/health").status == 200, 2)
    g.end()


# ---- memory: E-07 ----

def memory_is_bounded_and_comes_back():
    most = 64 << 20
    g = Gateway(limits="max_memory: 64MiB")
    worker, box = g.worker(), g.create().json()
    g.fake.exec = "flood"
    streams = [g.stream(box) for _ in range(6)]  # they do not read on
    for sock in streams:
        true(b"HTTP/1.1 200 OK" in sock.recv(100), "a stream")
    idle = [g.connect() for _ in range(5)]
    for sock in idle:
        g.send(sock, "GET", "/health")
        equal(g.read(sock).status, 200)
    # Slow uploads, whose bodies are collected: all are let in while there is room.
    slow = [g.connect() for _ in range(260)]
    for i, sock in enumerate(slow):
        sock.settimeout(0.2)
        sock.sendall(f"POST /v2/sandboxes HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {g.key}\r\nContent-Length: {256 << 10}\r\n\r\n".encode()
                     + b"x" * (i % 32 * 4096))  # they need larger pieces one after the other

    def more(sock):
        try:
            sock.sendall(b"x" * 4096)
        except OSError:
            pass  # it was refused, or is waited with

    def until(what, condition):
        for _ in range(60):
            for sock in slow:
                more(sock)
            time.sleep(0.1)
            if condition():
                return
        raise AssertionError(f"{what}: {resident(g) >> 20} MiB; {g.said()}")

    until("memory becomes short", lambda: g.plain("/readyz").body == b"memory is short\n")
    answer = g.ask("GET", "/v2/sandboxes", {"X-API-Key": g.key})
    equal((answer.status, answer.headers["retry-after"], answer.headers["should-retry"], answer.headers["connection"]), (503, "1", "true", "close"))
    equal(answer.json(), {"code": 503, "message": "The gateway is short of memory"})
    answer = g.ask("GET", "/", {"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "3000"})
    equal((answer.status, answer.headers["retry-after"], answer.json()["message"]), (503, "1", "The gateway is short of memory"))
    answer = g.data(box, "POST", "/filesystem.Filesystem/Stat", b"{}")
    equal((answer.status, answer.headers["retry-after"], answer.json()["code"]), (503, "1", "internal"))
    true(limited(g, "memory") >= 3, "they are counted")
    equal((g.plain("/healthz").status, g.metric("memory_limit_bytes")), (200, most))
    for sock in idle:
        sock.setblocking(False)

    def closed(sock):
        try:
            return sock.recv(1) == b""
        except BlockingIOError:
            return False

    true(not any(closed(sock) for sock in idle), "idle connections live on above 80 %")
    until("idle connections are closed", lambda: all(closed(sock) for sock in idle))
    true(0.85 * most < resident(g) < most, f"{resident(g) >> 20} MiB")
    # Whoever is served goes on.
    for sock in streams:
        got = 0
        while got < 2 << 20:
            piece = sock.recv(1 << 20)
            true(piece, "a stream ended")
            got += len(piece)
    for _ in range(10):
        for sock in slow:
            more(sock)
    for sock in slow:
        sock.close()
    wait_until("there is room again", lambda: g.plain("/readyz").status == 200, 5)
    equal(g.ask("GET", "/v2/sandboxes", {"X-API-Key": g.key}).status, 200)
    peak = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{worker}/status").read()).group(1)) << 10
    true(peak < most, f"peak of {peak >> 20} MiB")
    equal(g.worker(), worker)
    true(streams[0].recv(1000), "a stream ended")
    g.fake.exec = "sleep"
    for sock in streams + idle:
        sock.close()
    g.end()


# ---- whose a connection is: X-07 ----

BALANCER = "127.0.0.2"  # a connection from there begins with a PROXY header


def last_peer(g, name):
    """The address in the access line of the request of that id."""
    def rows():
        return [row for row in map(json.loads, files_of(g)["access.log"].splitlines()) if row.get("id") == name]
    wait_until("the line is there", rows, 3)
    return rows()[-1]["peer"]


def second_version(address):
    family, size = (socket.AF_INET6, 36) if ":" in address else (socket.AF_INET, 12)
    text = socket.inet_pton(family, address)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x21 if size == 36 else 0x11, 0, size]) + text * 2 + b"\1\2\3\4"


def closed_in_silence(g, data, source, least=0.0, most=2.0):
    begun = time.monotonic()
    with g.connect(source) as sock:
        sock.settimeout(most + 3)
        sock.sendall(data)
        try:
            equal(sock.recv(100), b"")
        except ConnectionResetError:
            pass
    took = time.monotonic() - begun
    true(least <= took <= most, f"{data[:20]}: closed after {took:.1f} s")


def a_balancer_says_whose_a_connection_is():
    g = Gateway(listener=f", proxy_protocol: [{BALANCER}]")
    first = b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 443\r\n"
    for name, header, peer in (("v1", first, "203.0.113.9"), ("v1-6", b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n", "2001:db8::9"),
                               ("v2", second_version("203.0.113.9"), "203.0.113.9"), ("v2-6", second_version("2001:db8::9"), "2001:db8::9"),
                               ("unknown", b"PROXY UNKNOWN\r\n", BALANCER), ("local", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", BALANCER)):
        with g.connect(BALANCER) as sock:
            sock.sendall(header)
            g.send(sock, "GET", "/health", {"X-Request-Id": name})
            equal(g.read(sock).status, 200)
        equal((name, last_peer(g, name)), (name, peer))
    with g.connect(BALANCER) as sock:
        for i in range(len(first)):
            sock.sendall(first[i:i + 1])
            time.sleep(0.001)
        g.send(sock, "GET", "/health", {"X-Request-Id": "bytes"})
        equal(g.read(sock).status, 200)
    equal(last_peer(g, "bytes"), "203.0.113.9")
    equal(g.metric("proxy_headers_refused_total"), 0)
    for data in (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"PROXY TCP4 x y 1 2\r\n", b"PROXY UNKNOWN " + b"x" * 200,
                 first[:-2] + b"\n", b"\r\n\r\n\0\r\nQUIT\n\x31"):
        closed_in_silence(g, data, BALANCER)
    closed_in_silence(g, first[:20], BALANCER, 4.5, 6.5)
    equal(g.metric("proxy_headers_refused_total"), 6)
    closed_in_silence(g, first, "127.0.0.1")
    closed_in_silence(g, second_version("203.0.113.9"), "127.0.0.1")
    equal(g.metric("proxy_headers_refused_total"), 8)
    equal(g.ask("GET", "/health", {"X-Request-Id": "plain"}).status, 200)
    equal(last_peer(g, "plain"), "127.0.0.1")
    # Guesses count for the address that the balancer says.
    with g.connect(BALANCER) as sock:
        sock.sendall(second_version("203.0.113.77"))
        told = []
        for i in range(21):
            g.send(sock, "GET", "/v2/sandboxes", {"X-API-Key": f"e2b_{i:040x}"})
            told.append(g.read(sock).status)
    equal(told, [401] * 20 + [429])
    equal(g.ask("GET", "/v2/sandboxes", {"X-API-Key": "e2b_" + "1" * 40}).status, 401)
    # A reload may name other balancers.
    text = open(g.config).read()
    open(g.config, "w").write(text.replace(f"[{BALANCER}]", "[127.0.0.3]"))
    g.process.send_signal(signal.SIGHUP)
    wait_until("it is taken over", lambda: g.metric("reloads_total") == 1, 3)
    with g.connect("127.0.0.3") as sock:
        sock.sendall(first)
        g.send(sock, "GET", "/health", {"X-Request-Id": "other"})
        equal(g.read(sock).status, 200)
    equal(last_peer(g, "other"), "203.0.113.9")
    g.end()


def an_address_has_so_many_connections():
    g = Gateway(limits="connections_per_address: 5, private_addresses: true")

    def good(sock):
        g.send(sock, "GET", "/health")
        return g.read(sock).status == 200

    kept = [g.connect() for _ in range(5)]
    true(all(good(sock) for sock in kept), "five are served")
    closed_in_silence(g, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "127.0.0.1")
    closed_in_silence(g, b"", "127.0.0.1")
    equal(g.metric("connections_refused_total"), 2)
    with g.connect("127.0.0.2") as other:
        true(good(other), "another address has its own")
    true(all(good(sock) for sock in kept), "the open ones go on")
    kept.pop().close()
    wait_until("there is room", lambda: g.metric("connections") == 4, 2)
    true(g.ask("GET", "/health").status == 200, "the next one is served")
    text = open(g.config).read()
    open(g.config, "w").write(text.replace("private_addresses: true", "private_addresses: false"))
    g.process.send_signal(signal.SIGHUP)
    wait_until("it is taken over", lambda: g.metric("reloads_total") == 1, 3)
    more = [g.connect() for _ in range(20)]
    true(all(good(sock) for sock in more), "loopback is not counted")
    for sock in kept + more:
        sock.close()
    g.end()


# ---- port 80: T-08 ----

def a_plain_listener_only_redirects():
    plain, port = free_port(), free_port()
    folder = tempfile.mkdtemp(prefix="sandgate-redirect.")
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=sandgate.test",
                    "-addext", "subjectAltName=DNS:*.sandgate.test", "-keyout", key, "-out", cert], check=True, capture_output=True)
    g = Gateway(listener=f"}}, {{address: 127.0.0.1, port: {port}}}, {{address: 127.0.0.1, port: {plain}, tls: false, redirect: true",
                more=f"certificates: [{{cert: {cert}, key: {key}}}]")

    def ask(method, target, host, fields="", body=b""):
        with socket.create_connection(("127.0.0.1", plain), timeout=5) as sock:
            sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode("latin-1") + body)
            got = b""
            while b"\r\n\r\n" not in got:
                piece = sock.recv(65536)
                true(piece, got)
                got += piece
            if not got.startswith(b"HTTP/1.1 308"):
                while piece := sock.recv(65536):
                    got += piece
        where = re.search(rb"\r\nlocation: ([^\r]*)", got, re.I)
        return int(got.split()[1]), where and where.group(1).decode()

    for host in ("api.sandgate.test", "API.sandgate.test:80", "api.sandgate.test.", "3000-iabc.sandgate.test", "sandbox.sandgate.test"):
        name = host.lower().split(":")[0].rstrip(".")
        for method in ("GET", "HEAD"):
            equal(ask(method, "//evil.test/a%2fb?c=%0d%0aX:1", host), (308, f"https://{name}:{port}//evil.test/a%2fb?c=%0d%0aX:1"))
    refused = [("GET", "/", host) for host in ("evil.test", "127.0.0.1", "sandgate.test", "api.sandgate.test.evil.test", "a.b.sandgate.test", "api.sandgate.test\xff")]
    refused += [(method, "/", "api.sandgate.test", "Content-Length: 0\r\n") for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS")]
    refused += [("GET", "/", "api.sandgate.test", f"{name}: x\r\n") for name in ("X-API-Key", "Authorization", "Cookie", "X-Access-Token", "E2b-Traffic-Access-Token")]
    refused += [("GET", target, "api.sandgate.test") for target in ("/?token=x", "/?signature=x", f"/?a={g.key}", "/a\xffb", "http://evil.test/")]
    refused += [("GET", "/", "api.sandgate.test", "Content-Length: 1\r\n", b"x"), ("GET", "/", "api.sandgate.test\r\nHost: evil.test"),
                ("GET", "/", "api.sandgate.test", "X-Forwarded-Host: evil.test\r\nX-API-Key: x\r\n")]
    for row in refused:
        equal((row, ask(*row)), (row, (400, None)))
    equal(g.metric("redirects_total"), 10)
    context = ssl.create_default_context(cafile=cert)
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=5), server_hostname="api.sandgate.test") as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: api.sandgate.test\r\nConnection: close\r\n\r\n")
        true(sock.recv(4096).startswith(b"HTTP/1.1 200"), "what it redirects to is served")
    g.process.send_signal(signal.SIGHUP)
    wait_until("it is taken over", lambda: g.metric("reloads_total") == 1, 3)
    equal(ask("GET", "/", "api.sandgate.test"), (308, f"https://api.sandgate.test:{port}/"))
    true(g.key not in files_of(g)["access.log"], "no key in the log")
    g.end()
    shutil.rmtree(folder)


def cpu(g):
    row = open(f"/proc/{g.worker()}/stat").read().rsplit(")", 1)[1].split()
    return (int(row[11]) + int(row[12])) / os.sysconf("SC_CLK_TCK")


# ---- logs: G-02, G-03, X-08 ----

def logs_are_one_line_an_event():
    g = Gateway()
    given = "trace-" + secrets.token_hex(8)
    g.ask("GET", "/health", {"X-Request-Id": given})
    g.ask("GET", "/health", {"X-Request-Id": 'a"b'})
    g.ask("GET", "/health", {"X-Request-Id": "y" * 65})
    raw(g, b"GET /x\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    raw(g, b'GET /%22%0a%0d?a="\\{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    raw(g, b"GET /" + b"z" * 8000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    wait_until("the last line is there", lambda: "zzz" in files_of(g)["access.log"], 3)
    lines = files_of(g)["access.log"].splitlines()
    rows = [json.loads(line) for line in lines]
    true(all(len(line) < 4096 and row["type"] == "access" for line, row in zip(lines, rows)), "long or odd lines")
    true(rows[-1]["status"] == 400 and len(rows[-1]["target"]) < 2000, rows[-1])
    ids = [row["id"] for row in rows if "id" in row]
    true(given in ids and 'a"b' not in ids and "y" * 65 not in ids, ids)
    equal(len(ids), len(set(ids)))
    g.end()


def logs_open_again_after_rotation():
    g = Gateway()
    old = os.path.join(g.dir, "access.log")
    g.ask("GET", "/health", {"X-Request-Id": "before"})
    os.rename(old, old + ".1")
    g.ask("GET", "/health", {"X-Request-Id": "between"})
    g.process.send_signal(signal.SIGUSR1)
    wait_until("the log is opened again", lambda: os.path.exists(old), 3)
    g.ask("GET", "/health", {"X-Request-Id": "after"})
    # A line is written once its answer is in the socket.
    wait_until("the line of the last one", lambda: '"after"' in open(old).read(), 3)
    before = open(old + ".1").read()
    true('"before"' in before and '"between"' in before, before)
    g.end()


def a_full_log_harms_no_request():
    g = Gateway(access_log="/dev/full")
    for _ in range(20):
        equal(g.ask("GET", "/health").status, 200)
    dropped = int(re.search(rb"sandgate_log_lines_dropped_total (\d+)", g.plain("/metrics").body).group(1))
    true(dropped >= 20, f"{dropped} lines dropped")
    g.end()


# ---- metrics: G-04, F-04 ----

def metrics_are_what_prometheus_wants():
    g = Gateway()
    box = g.create().json()
    for _ in range(3):
        g.ask("GET", f"/v2/sandboxes?x={secrets.token_hex(8)}", {"X-API-Key": "x"})
        g.data(box, "GET", "/" + secrets.token_hex(8))
    answer = g.plain("/metrics")
    equal(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    helps, kinds, samples = {}, {}, {}
    for line in answer.body.decode("ascii").split("\n")[:-1]:
        if line.startswith("# HELP "):
            _, _, name, text = line.split(" ", 3)
            true(name not in helps and text and not samples.get(name), line)
            helps[name] = text
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            true(name in helps and name not in kinds and kind in ("counter", "gauge", "histogram"), line)
            kinds[name] = kind
        else:
            match = re.fullmatch(r"([a-z_]+)(?:\{((?:[a-z]+=\"[^\"\\]*\",?)*)\})? (-?[0-9.]+)", line)
            true(match, f"not a sample: {line!r}")
            name, labels, value = match.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            base = base if kinds.get(base) == "histogram" else name
            true(base in kinds, f"{name} has no TYPE")
            true((name, labels) not in samples, f"twice: {line}")
            samples[name, labels] = float(value)
    equal(set(helps), set(kinds))
    for name, kind in kinds.items():
        true(name.startswith("sandgate_"), name)
        equal((name, name.endswith("_total")), (name, kind == "counter"))
        true(not re.search(r"_(ms|millis|kb|mb|count|sum|bucket|info)$", name), f"{name}: a unit or an ending that is not for it")
    counts = [value for (name, _), value in samples.items() if name == "sandgate_head_seconds_bucket"]
    equal(counts, sorted(counts))
    equal(counts[-1], samples["sandgate_head_seconds_count", None])
    true(("sandgate_head_seconds_bucket", 'le="+Inf"') in samples, "no +Inf")
    true(len(samples) <= 1000, f"{len(samples)} series")
    true(box["sandboxID"] not in answer.body.decode(), "an id in the metrics")
    equal(g.plain("/metrics").body.count(b"\n"), answer.body.count(b"\n"))
    true(samples["sandgate_failed_keys_total", None] >= 3, "failed keys are counted")
    g.end()


def the_status_listener_shows_nothing_else():
    g = Gateway()
    for path in ("/", "/v2/sandboxes", "/metrics/", "/healthz/../metrics", "/debug"):
        equal((path, g.plain(path).status), (path, 404))
    with socket.create_connection(("127.0.0.1", g.status), timeout=5) as sock:
        g.send(sock, "POST", "/metrics")
        answer = g.read(sock)
    equal((answer.status, answer.headers["allow"]), (405, "GET, HEAD"))
    equal(g.ask("GET", "/metrics").status, 404 if g.ask("GET", "/nothing").status == 404 else 400)
    g.end()


# ---- signals and restarts: F-01, F-02, 3.11 ----

def a_hundred_reloads_leak_nothing():
    g = Gateway()
    box = g.create().json()
    for _ in range(5):
        g.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    wait_until("the first ones are done", lambda: g.metric("reloads_total") >= 1, 3)
    fds, size = descriptors(g), resident(g)
    for _ in range(100):
        g.process.send_signal(signal.SIGHUP)
        time.sleep(0.02)
    time.sleep(0.5)
    equal(g.ask("GET", "/health").status, 200)
    true(descriptors(g) <= fds + 1, f"{fds} descriptors, then {descriptors(g)}")
    true(resident(g) - size < 3 << 20, f"grew by {resident(g) - size}")
    good = open(g.config).read()
    open(g.config, "w").write(good.replace("domain: sandgate.test", "domain: [\n"))
    g.process.send_signal(signal.SIGHUP)
    wait_until("the bad one is refused", lambda: g.metric("reload_failures_total") == 1, 3)
    equal(g.data(box, "GET", "/health").status, 204)
    run = subprocess.run([PROGRAM, "check", "-c", g.config], capture_output=True, text=True)
    equal(run.returncode, 1)
    true(re.search(re.escape(g.config) + r":\d+:\d+: ", run.stderr), run.stderr)
    open(g.config, "w").write(good)
    g.end()


def readyz_says_so_before_nothing_is_accepted():
    g = Gateway()
    equal(g.plain("/readyz").status, 200)
    begun = time.monotonic()
    g.process.send_signal(signal.SIGTERM)
    wait_until("readyz says 503", lambda: g.plain("/readyz").status == 503, 1)
    true(b"draining" in g.plain("/readyz").body, "draining")
    equal(g.plain("/healthz").status, 200)
    equal(g.process.wait(5), 0)
    true(time.monotonic() - begun < 4, "an idle gateway ends soon")
    g.end()


def an_idempotency_key_holds_over_kill_9():
    g = Gateway()
    first = g.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300}, Idempotency_Key="once-1")
    equal(first.status, 201)
    g.kill_9()
    g.start()
    again = g.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300}, Idempotency_Key="once-1")
    equal((again.status, again.json()["sandboxID"], again.json()["envdAccessToken"]),
          (201, first.json()["sandboxID"], first.json()["envdAccessToken"]))
    equal(len(g.fake.sandboxes), 1)
    other = g.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 301}, Idempotency_Key="once-1")
    equal((other.status, other.json()["error_code"]), (422, "idempotency_request_mismatch"))
    equal(len(g.consistent()), 1)
    g.end()


# ---- the process and its files: Z-01, T-09, F-03 ----

def the_program_is_hardened():
    text = subprocess.run(["readelf", "-hldW", PROGRAM], check=True, capture_output=True, text=True).stdout
    true(re.search(r"Type:\s+DYN", text), "PIE")
    true("GNU_RELRO" in text and re.search(r"FLAGS_1.*NOW", text), "RELRO, bound at once")
    true(re.search(r"GNU_STACK\s+\S+ \S+ \S+ \S+ \S+ RW ", text), "no code on the stack")
    true(not re.search(r"^\s+LOAD.* RWE ", text, re.M), "nothing writable and executable")
    symbols = subprocess.run(["readelf", "-sW", "--dyn-syms", PROGRAM], check=True, capture_output=True, text=True).stdout
    true("__stack_chk_fail" in symbols, "stack protector")
    true(re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")), "FORTIFY_SOURCE")


def nothing_of_the_process_is_for_others():
    g = Gateway()
    for pid in (g.process.pid, g.worker()):
        true(re.search(r"Max core file size\s+0\s+0", open(f"/proc/{pid}/limits").read()), "no core file")
    for name in os.listdir(g.dir):
        if name.startswith("sandgate.db"):
            equal((name, stat.S_IMODE(os.stat(os.path.join(g.dir, name)).st_mode)), (name, 0o600))
    os.chmod(os.path.join(g.dir, "secret"), 0o644)
    run = subprocess.run([PROGRAM, "check", "-c", g.config], capture_output=True, text=True)
    equal(run.returncode, 1)
    true(":6:14: secret_file: " in run.stderr and "chmod 600" in run.stderr, run.stderr)
    fails = g.metric("reload_failures_total")
    g.process.send_signal(signal.SIGHUP)
    wait_until("a reload with it is refused", lambda: g.metric("reload_failures_total") == fails + 1, 3)
    os.chmod(os.path.join(g.dir, "secret"), 0o600)
    g.end()


for test in (forty_canaries_in_no_log_answer_or_metric, keys_come_one_way, a_team_has_as_many_sandboxes_as_it_may,
             a_team_makes_no_more_sandboxes_a_minute_than_it_may, bodies_at_their_limit, slow_bodies_of_the_control_plane,
             a_balancer_says_whose_a_connection_is, an_address_has_so_many_connections, a_plain_listener_only_redirects,
             more_clients_than_descriptors, memory_is_bounded_and_comes_back, logs_are_one_line_an_event, logs_open_again_after_rotation, a_full_log_harms_no_request,
             metrics_are_what_prometheus_wants, the_status_listener_shows_nothing_else, a_hundred_reloads_leak_nothing,
             readyz_says_so_before_nothing_is_accepted, an_idempotency_key_holds_over_kill_9, the_program_is_hardened,
             nothing_of_the_process_is_for_others):
    report.check(test.__name__.replace("_", " "), test)
report.end()
