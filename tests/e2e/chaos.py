"""chaos - networks and peers that misbehave, at random: chaos_proxy stands
between client and gateway and between gateway and back end.

What must hold: an answer is whole and right or visibly not; an upload is
whole or was seen to be cut; what harms nobody changes nothing; and afterwards
the gateway is as it was.  CHAOS_SEED, CHAOS_ROUNDS (a factor) and CHAOS_ONLY
("LANE ROUND") say which rounds are run; a failure says how to repeat it.
"""
import base64
import json
import os
import random
import shutil
import ssl
import struct
import threading
import time

import chaos_parts as parts
import chaos_ports
from chaos_parts import App, Client, Upstream, known, make_frame
from chaos_ports import sizes
from chaos_proxy import Plan, Proxy, Way, draw
from fake_server import frame
from gateway_parts import Gateway, free_port, wait_until
from report import Report, equal, true

SEED = os.environ.get("CHAOS_SEED", "1")
FACTOR = float(os.environ.get("CHAOS_ROUNDS", "1"))
ONLY = os.environ.get("CHAOS_ONLY", "").split()
BOX_URL = os.environ.get("BOX_URL")
# Many sanitizers' checks: the bounds on memory do not hold for them.
SANITIZED = "asan" in os.environ.get("SANDGATE_PROGRAM", "")
CONFIG = """
domain: sandgate.test
listeners: [{{address: 127.0.0.1, port: {port}, tls: false}}, {{address: 127.0.0.1, port: {tls}, tls: true, direct: true}}]
certificates: [{{cert: {cert}, key: {key}}}]
direct_hosts: [127.0.0.1]
status: {{address: 127.0.0.1, port: {status}}}
secret_file: secret
store: sandgate.db
access_log: {access_log}
backends: [{backends}]
templates: [{templates}]
limits: {{create_timeout: {create}}}
"""
# What the gateway says of others' failures.
FAILURES = (400, 408, 409, 500, 502, 503, 504)
report = Report("chaos")
CLIENT_TLS = ssl._create_unverified_context()
CLIENT_TLS.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # Python has an end by FIN pass for a close_notify


class Lane:
    """A back end with a sandbox, the proxies before it and before the gateway."""

    def __init__(self, name, back, front, ports="forward", url=None):
        self.name, self.back, self.ports, self.url = name, back, ports, url
        self.front, self.box, self.sent = front, None, {}
        self.failed = None

    def backend(self):
        return f"{{name: {self.name}, url: '{self.url}', ports: {self.ports}}}", f"{{id: {self.name}, backend: {self.name}, backend_template: base}}"


class World:
    """The gateway, its back ends, and a lane for each."""

    def __init__(self):
        self.lock = threading.Lock()
        tls, cert, key = parts.certificate()
        self.folder, self.tls_port = os.path.dirname(cert), free_port()
        self.app, self.tls_app = App(), App(tls)
        self.forward, self.https = Proxy(self.app.port), Proxy(self.tls_app.port)
        self.upstreams = {"forward": Upstream(self.app, self.forward.port), "https": Upstream(self.tls_app, self.https.port),
                          "expose": Upstream(self.app), "control": Upstream(self.app)}
        self.proxies = {name: Proxy(up.port) for name, up in self.upstreams.items()}
        if BOX_URL:
            self.proxies["envd"] = Proxy(int(BOX_URL.rsplit(":", 1)[1]))
        lanes = [Lane(name, {"forward": self.forward, "https": self.https}.get(name, proxy), None,
                      "expose" if name == "expose" else "forward", f"http://127.0.0.1:{proxy.port}") for name, proxy in self.proxies.items()]
        self.lanes = {lane.name: lane for lane in lanes}
        rows = [lane.backend() for lane in lanes]
        self.gateway = Gateway(fake=self.upstreams["control"], config=CONFIG, tls=self.tls_port, cert=cert, key=key,
                               backends=", ".join(row[0] for row in rows), templates=", ".join(row[1] for row in rows))
        for lane in lanes:
            lane.front = {False: Proxy(self.gateway.port), True: Proxy(self.tls_port)}
        self.worker = self.gateway.worker()

    def create(self, name, **more):
        answer = self.gateway.api("POST", "/v2/sandboxes", {"templateID": name, "timeout": 3600, **more})
        equal((name, answer.status), (name, 201))
        self.lanes[name].box = answer.json()
        return self.lanes[name].box

    def all(self):
        for lane in self.lanes.values():
            yield from {lane.back, *lane.front.values(), self.proxies[lane.name]}

    def calm(self):
        for proxy in self.all():
            proxy.set(Plan())
            proxy.release()

    def fds(self):
        return len(os.listdir(f"/proc/{self.worker}/fd"))

    def memory(self):
        row = next(row for row in open(f"/proc/{self.worker}/status") if row.startswith("VmRSS"))
        return int(row.split()[1]) // 1024

    def ticks(self):
        row = open(f"/proc/{self.worker}/stat").read().rsplit(")", 1)[1].split()
        return int(row[11]) + int(row[12])

    def end(self):
        try:
            self.gateway.end()
        finally:
            self.gateway.process.terminate()
            shutil.rmtree(self.folder)


class Round:
    """One plan, one client."""

    def __init__(self, world, lane, number):
        self.world, self.lane, self.number = world, lane, number
        self.rng = random.Random(f"{SEED} {lane.name} {number}")
        self.tls = self.rng.random() < 0.5
        self.count, self.shared = 0, False

    def plan(self, up, down, front_harm=("cut", "cut", "garbage", "hang"), back_harm=("cut", "cut", "garbage")):
        """Some of both sides misbehave."""
        if self.shared:
            return
        where = self.rng.choice(("front", "back", "time", "time", "both"))
        self.front = draw(self.rng, up, down, front_harm if where in ("front", "both") else ())
        self.back = draw(self.rng, up, down, back_harm if where in ("back", "both") else ())
        self.lane.front[self.tls].set(self.front)
        self.lane.back.set(self.back)
        self.harmless = self.front.harmless() and self.back.harmless()
        # Bytes that TLS does not protect.
        self.spoilt = (self.front.spoils() and not self.tls) or (self.back.spoils() and self.lane.name != "https")

    def client(self):
        # Nobody knows what a spoilt head says of the end.
        hangs = "hang" in self.front.kinds() or self.spoilt
        return Client(self.lane.front[self.tls].port, CLIENT_TLS if self.tls else None, 0.3 if hangs else 20)

    def leave(self, client):
        client.close(self.rng.random() < 0.5)
        if not self.shared:
            self.over()

    def over(self):
        self.lane.front[self.tls].release()
        if self.back.spoils():
            # What is left of a message that grew would be the next one's.
            self.lane.back.release()

    def name(self):
        with self.world.lock:
            self.count += 1
            return f"{self.lane.name}-{self.number}-{self.count}"

    def head(self, method, path, port=3000, version="1.1", **fields):
        box = self.lane.box
        rows = [f"{method} {path} HTTP/{version}", "Host: 127.0.0.1", f"E2b-Sandbox-Id: {box['sandboxID']}", f"E2b-Sandbox-Port: {port}"]
        if port == 49983:
            rows.append(f"X-Access-Token: {box['envdAccessToken']}")
        rows += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        return ("\r\n".join(rows) + "\r\n\r\n").encode()

    def refused(self, answer):
        """No answer of the app's: one of the gateway's, or a visible cut."""
        true(not self.harmless, f"harmed by what harms nobody: {answer}")
        if answer.whole and not self.spoilt:
            true(answer.status in FAILURES, answer)
            true(answer.status == 204 or "code" in json.loads(answer.body), answer)
        elif not answer.headed:
            true(answer.end, answer)
        return answer

    def cut_is_seen(self, answer):
        """A body that is short does not end cleanly."""
        true(answer.end and answer.end != "notify", f"a clean end: {answer}")
        if self.front.harmless() and answer.end != "late":
            true(answer.end == "rst" or (self.tls and answer.end == "broken"), f"not a reset: {answer}")


# ---- the control plane ----

def control(self):
    """Creates and kills are done or not, never half."""
    rng, gateway, server = self.rng, self.world.gateway, self.lane.back
    self.plan(600, 900, back_harm=("cut",) if rng.random() < 0.8 else ("cut", "garbage"))
    if self.back.spoils("up"):
        # A create whose id was changed on its way makes a stranger.
        self.back = Plan(Way(), self.back.ways["down"])
        server.set(self.back)
    self.harmless = self.front.harmless() and self.back.harmless()
    spoilt = self.spoilt = self.front.spoils() and not self.tls
    client, key, made = self.client(), f"{SEED}-{self.number}", None
    body = json.dumps({"templateID": "control", "timeout": 3600}).encode()
    fields = {"X-API-Key": gateway.key, "Content-Type": "application/json", "Idempotency-Key": key}
    rows = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    client.send(f"POST /v2/sandboxes HTTP/1.1\r\nHost: 127.0.0.1\r\n{rows}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = client.answer()
    if answer.status == 201 and answer.whole and not spoilt:
        made = json.loads(answer.body)["sandboxID"]
    elif not spoilt:
        self.refused(answer)
    if made and answer.kept() and rng.random() < 0.5:
        stream = read_on(self, made) if rng.random() < 0.5 else None
        client.send(f"DELETE /sandboxes/{made} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {gateway.key}\r\n\r\n".encode())
        answer = client.answer()
        if answer.status in (204, 404) and not spoilt:
            made = ""
        elif not spoilt:
            self.refused(answer)
            made = "perhaps"
        if stream:
            stream.join()
            true(not stream.failed, stream.failed)
    self.leave(client)
    server.set(Plan())
    if not spoilt and made != "perhaps":
        replay(self, gateway, key, made)
    if self.number % 8 == 7:
        consistent(self.world)


def read_on(self, sandbox):
    """A download that the kill meets, on an undisturbed way to the gateway."""
    name, size = self.name(), 3000000

    def read():
        try:
            answer = client.answer()
            if answer.status == 200 and not self.back.spoils():
                true(known(name, size).startswith(answer.body), f"other bytes: {answer}")
                true(answer.whole or answer.end == "rst", f"not cut: {answer}")
        except Exception as error:
            thread.failed = error
        finally:
            client.close()
    client = Client(self.world.gateway.port)
    client.send(f"GET /get?id={name}&n={size}&how=length HTTP/1.1\r\nHost: 127.0.0.1\r\nE2b-Sandbox-Id: {sandbox}\r\n"
                "E2b-Sandbox-Port: 3000\r\n\r\n".encode())
    client.wait(self.rng.choice((0, 100, 1000, 100000)))
    thread = threading.Thread(target=read)
    thread.failed = None
    thread.start()
    return thread


def replay(self, gateway, key, made):
    """The same create again, undisturbed: it is the one that was acknowledged."""
    before = len(self.world.upstreams["control"].forked)
    until = time.monotonic() + 15
    while True:
        answer = gateway.api("POST", "/v2/sandboxes", {"templateID": "control", "timeout": 3600}, Idempotency_Key=key)
        if answer.status == 201 or time.monotonic() > until:
            break
        true(answer.status in (409, 503), f"{answer.status} {answer.body}")
        if answer.json().get("error_code") == "idempotency_outcome_unknown":
            # A fork may still be on its way: for a minute nobody can tell.
            true(not made and not self.back.harmless(), f"what was acknowledged is unknown: {answer.body}")
            return
        time.sleep(0.2)
    true(answer.status == 201, f"not made for 15 s: {answer.status} {answer.body}")
    if made:
        equal(answer.json()["sandboxID"], made)
        equal(len(self.world.upstreams["control"].forked), before)


def consistent(world):
    """No sandbox without a record, no record without a sandbox."""
    fake, gateway = world.upstreams["control"], world.gateway
    others = {lane.box["sandboxID"] for lane in world.lanes.values() if lane.box}
    until = time.monotonic() + 15
    while True:
        have, real = gateway.ids() - others, set(fake.sandboxes)
        if have == real:
            break
        true(time.monotonic() < until, f"records {have - real} without a sandbox, sandboxes {real - have} without a record: {gateway.said()}")
        time.sleep(0.1)
    for name in have:
        equal(gateway.api("DELETE", f"/sandboxes/{name}").status, 204)
    equal(set(fake.sandboxes), set())


# ---- the daemon ----

def envd(self):
    self.rng.choice((process, process, process_left, file_up, file_down))(self, self.rng)


def process(self, rng):
    """Output that is known: whole with an end, or visibly not."""
    lines = rng.choice((1, 100, 5000, 40000))
    size = len("".join(f"{i}\n" for i in range(1, lines + 1)))
    self.plan(600, size * 3 // 2)
    message = frame({"process": {"cmd": "/bin/bash", "args": ["-c", f"seq {lines}; exit 7"]}, "stdin": False})
    client = self.client()
    client.send(self.head("POST", "/process.Process/Start", 49983, Content_Type="application/connect+json", Content_Length=len(message)) + message)
    answer = client.answer()
    if self.spoilt:
        pass
    elif answer.status == 200:
        judge_frames(self, answer, lines)
    else:
        self.refused(answer)
    self.leave(client)


def judge_frames(self, answer, lines):
    body, at, out, ended, last = answer.body, 0, b"", None, None
    while at + 5 <= len(body):
        flags, size = struct.unpack("!BI", body[at:at + 5])
        if at + 5 + size > len(body):
            break
        true(last is None, "a frame behind the last one")
        message = json.loads(body[at + 5:at + 5 + size])
        event = message.get("event", {})
        out += base64.b64decode(event.get("data", {}).get("stdout", ""))
        ended = event.get("end", ended)
        last = message if flags & 2 else None
        at += 5 + size
    want = "".join(f"{i}\n" for i in range(1, lines + 1)).encode()
    true(want.startswith(out), f"other output: {out[-100:]}")
    if ended:
        equal((len(out), ended.get("exitCode")), (len(want), 7))
    if answer.whole:
        true(last is not None and at == len(body), f"a clean end without a last frame: {answer}")
        true("error" in last or ended, f"a clean end of {len(out)} bytes of {len(want)}: {last}")
    else:
        self.cut_is_seen(answer)
    if self.harmless:
        true(answer.whole and ended and "error" not in last, f"harmed by what harms nobody: {answer}")


def process_left(self, rng):
    """It goes on when its client leaves, whatever way that is."""
    name = self.name()
    self.plan(400, 20000, back_harm=("nothing",))
    message = frame({"process": {"cmd": "/bin/bash", "args": ["-c", f"seq 2000; sleep 0.2; echo -n {name} >/tmp/{name}"]}, "stdin": False})
    client = self.client()
    client.send(self.head("POST", "/process.Process/Start", 49983, Content_Type="application/connect+json", Content_Length=len(message)) + message)
    client.timeout = 0.3
    client.wait(rng.randint(0, 3000))
    begun = b'"start"' in client.data and not self.spoilt
    self.leave(client)
    if begun:
        wait_until(f"{name} goes on", lambda: fetched(self, name) == name.encode(), 10)


def file_at(self, name):
    return f"/files?path=/tmp/{name}&username=user"


def file_up(self, rng):
    """Answered with 200: it is there.  Else it is there whole or not at all."""
    name, size = self.name(), sizes(rng)
    data = known(name, size)
    self.plan(size, 400)
    client = self.client()
    client.send(self.head("POST", file_at(self, name), 49983, Content_Type="application/octet-stream", Content_Length=size))
    client.send(data)
    answer = client.answer()
    good = answer.status == 200 and answer.whole
    if not good and not self.spoilt:
        self.refused(answer)
    self.leave(client)
    if self.spoilt:
        return
    self.lane.back.set(Plan())
    have = fetched(self, name)
    if good:
        true(have == data, f"answered with 200, but {len(have or b'')} bytes of {size}")
    else:
        true(have in (None, data), f"half done: {len(have or b'')} bytes of {size}")


def fetched(self, name):
    """The file, on an undisturbed way; None: there is none."""
    client = Client(self.world.gateway.port)
    try:
        client.send(self.head("GET", file_at(self, name), 49983))
        answer = client.answer()
        true(answer.whole and answer.status in (200, 404), answer)
        return answer.body if answer.status == 200 else None
    finally:
        client.close()


def file_down(self, rng):
    name, size = self.name(), sizes(rng)
    self.lane.back.set(Plan())
    client = Client(self.world.gateway.port)
    client.send(self.head("POST", file_at(self, name), 49983, Content_Type="application/octet-stream", Content_Length=size) + known(name, size))
    equal(client.answer().status, 200)
    client.close()
    self.plan(300, size)
    client = self.client()
    client.send(self.head("GET", file_at(self, name), 49983))
    answer = client.answer()
    if self.spoilt:
        pass
    elif answer.status != 200:
        self.refused(answer)
    else:
        true(known(name, size).startswith(answer.body), f"other bytes: {answer}")
        if answer.whole:
            equal(len(answer.body), size)
        else:
            true(not self.harmless, f"harmed by what harms nobody: {answer}")
            self.cut_is_seen(answer)
    self.leave(client)


# ---- standing still ----

def standing_still(world):
    """Connections stopped at random places cost no processor time."""
    rng = random.Random(f"{SEED} still")
    world.calm()
    held, fronts = [], []
    for lane in (world.lanes[name] for name in ("forward", "https", "expose")):
        plans = random.Random(f"{SEED} still {lane.name}")

        def each(_, plans=plans):
            way = Way(events=[(plans.randint(0, 100000), plans.choice(("hang", "cut")), plans.choice(("half", "fin", "rst")))])
            return Plan(way if plans.random() < 0.5 else Way(), way if plans.random() < 0.5 else Way())
        lane.back.each = each
        lane.number = 0
        for number in range(16):
            one = Round(world, lane, f"still-{number}")
            tls = rng.random() < 0.5
            events = [(rng.randint(0, 200000), "hang", None)] if rng.random() < 0.5 else []
            front = Proxy(world.tls_port if tls else world.gateway.port, Plan(Way(), Way(events=events)))
            client = Client(front.port, CLIENT_TLS if tls else None, 0.05)
            stop_somewhere(one, rng, client)
            held.append(client)
            fronts.append(front)
        lane.back.each = None
    time.sleep(0.5)
    before = world.ticks()
    time.sleep(1.5)
    spent = world.ticks() - before
    for client in held:
        client.close()
    for front in fronts:
        front.end()
    world.calm()
    true(spent <= 8, f"{spent} hundredths of a second of {len(held)} connections that stand still")


def stop_somewhere(one, rng, client):
    name = one.name()
    how = rng.choice(("get", "get", "pipeline", "upload", "short", "ws", "ws", "head"))
    download = one.head("GET", f"/get?id={name}&n=3000000&how={rng.choice(('length', 'chunks'))}")
    if how in ("get", "pipeline"):
        client.send(download * (3 if how == "pipeline" else 1))
    elif how == "head":
        client.send(download[:rng.randint(1, len(download) - 1)])
    elif how == "upload":
        client.send(one.head("PUT", f"/put?id={name}", Content_Length=9000000) + bytes(8000000))
    elif how == "short":
        client.send(one.head("PUT", f"/put?id={name}", Content_Length=9000000) + bytes(rng.randint(0, 100000)))
    else:
        client.send(one.head("GET", f"/ws?id={name}", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="MDEyMzQ1Njc4OWFiY2RlZg==",
                             Sec_WebSocket_Version=13))
        rest = make_frame(2, bytes(1 << 20), b"abcd") * 4
        for _ in range(400):
            if not client.end and rest:
                rest = client.move(rest, 0)
                client.data = b""
    if rng.random() < 0.4 and not client.end:
        if client.tls and rng.random() < 0.5:
            client.sock.shutdown(1)  # without a close_notify
        else:
            client.half()


# ---- all of it ----

LANES = {"forward": (chaos_ports.ports, 25), "https": (chaos_ports.ports, 25), "expose": (chaos_ports.ports, 25), "control": (control, 16), "envd": (envd, 16)}


def run_lane(world, lane):
    do, count = LANES[lane.name]
    numbers = [int(ONLY[1])] if ONLY[1:] else range(int(count * FACTOR))
    for number in numbers:
        one = Round(world, lane, number)
        try:
            try:
                do(one)
            except (ValueError, KeyError):
                # Garbage makes no sense.
                if not getattr(one, "spoilt", False):
                    raise
            equal(world.gateway.worker(), world.worker)
        except Exception as error:
            lane.failed = error
            lane.told = (f"CHAOS_SEED={SEED} CHAOS_ONLY='{lane.name} {number}': {'tls' if one.tls else 'plain'}; "
                         f"front {getattr(one, 'front', None)}; back {getattr(one, 'back', None)}: {type(error).__name__}: {error}\n"
                         f"the gateway said: {world.gateway.said()[-1000:]}")
            return


def lane_held(lane):
    if lane.failed:
        raise AssertionError(lane.told) from lane.failed


def as_before(world, fds, memory):
    """Connections and descriptors are given back, memory stays, nothing spins."""
    world.calm()
    gateway = world.gateway
    wait_until("connections and requests are over", lambda: (gateway.metric("connections"), gateway.metric("streams")) == (0, 0), 10,
               lambda: f"{gateway.metric('connections')} connections, {gateway.metric('streams')} streams")
    world.calm()
    wait_until("descriptors are given back", lambda: world.fds() <= fds + len(world.lanes), 10, lambda: f"{world.fds()} of {fds}: "
               + str(sorted(os.readlink(f"/proc/{world.worker}/fd/{fd}") for fd in os.listdir(f"/proc/{world.worker}/fd"))))
    true(SANITIZED or world.memory() <= memory + 8, f"{memory} MiB became {world.memory()} MiB")
    before = world.ticks()
    time.sleep(1)
    spent = world.ticks() - before
    true(spent < 5, f"{spent} hundredths of an idle second")
    equal(gateway.worker(), world.worker)


def main():
    world = World()
    lanes = [lane for name, lane in world.lanes.items() if not ONLY or name == ONLY[0]]
    try:
        for name in world.lanes:
            if name != "control":
                world.create(name, **({"network": {"httpsPorts": [3000]}} if name == "https" else {}))
        fds, memory, begun = world.fds(), world.memory(), time.monotonic()
        threads = [threading.Thread(target=run_lane, args=(world, lane)) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"     seed {SEED}: {time.monotonic() - begun:.1f} s of rounds; {memory} MiB became {world.memory()} MiB", flush=True)
        world.calm()
        for lane in lanes:
            report.check(f"{LANES[lane.name][0].__name__} by {lane.name}", lane_held, lane)
        report.check("uploads came whole", chaos_ports.uploads_came_whole, world)
        report.check("standing still", standing_still, world)
        report.check("as before", as_before, world, fds, memory)
        report.check("sandboxes and records agree", consistent, world)
    finally:
        for lane in world.lanes.values():
            if lane.box:
                world.gateway.api("DELETE", f"/sandboxes/{lane.box['sandboxID']}")
        world.end()
    report.end()


if __name__ == "__main__":
    main()
