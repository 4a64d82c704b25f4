"""The recorded exchanges of the real server, sent to box and compared."""

import collections
import concurrent.futures
import json
import os
import sys
import threading
import time
import unittest

import topics
from replay import Difference, Replay, SocketReplay, Unreadable
from server import HERE, Server
from wire import SERVICE, Wire, envelope, request_bytes

DATA = os.path.join(os.path.dirname(HERE), "data", "mitos")
PATH = [{"key": "PATH", "value": "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
         "/usr/bin:/sbin:/bin"}]

RAW = {
    "no-host": b"GET /v1/health HTTP/1.1\r\nX: y\r\n\r\n",
    "garbage-request-11-bytes": b"garbage\r\n\r\n",
    "short-request-18-bytes": b"GET / HTTP/1.0\r\n\r\n",
    "garbage-request-long": b"this is no request line at all\r\n\r\n",
    "header-too-large": b"GET / HTTP/1.1\r\nHost: x\r\nX: "
                        + b"a" * 1153434 + b"\r\n\r\n",
}
PIPELINED = (b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
             b"GET /v1/templates HTTP/1.1\r\nHost: x\r\n\r\n")
HTTP10 = b"GET /v1/health HTTP/1.0\r\n\r\n"


def records(topic):
    """The records of a file."""
    with open(f"{DATA}/{topic}.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Tally:
    """What became of the records of one file."""

    def __init__(self, topic):
        self.topic = topic
        self.replayed = 0
        self.loose = 0
        self.skipped = collections.Counter()
        self.failed = []
        self.took = {}           # record -> seconds

    def skip(self, reason):
        self.skipped[reason] += 1

    def line(self):
        """The count, for people."""
        return (f"{self.topic:16} replayed {self.replayed:3}, of these "
                f"status and headers only {self.loose:2}, skipped "
                f"{sum(self.skipped.values()):3}, differ "
                f"{len(self.failed)}, {sum(self.took.values()):.0f} s")

    def slowest(self):
        """The records that took longest."""
        rows = sorted(self.took.items(), key=lambda item: -item[1])[:8]
        return ", ".join(f"{name} {took:.1f}" for name, took in rows)


def is_socket(record):
    return "ws" in record["response"] and record["request"].get(
        "path", "").startswith("/sandbox.v1.Sandbox/Exec")


def why_not(topic, record):
    """Why a record is not sent, or None."""
    reason = topics.SKIP.get(topic, {}).get(record["name"])
    if reason:
        return reason
    request, response = record["request"], record["response"]
    if topic == "auth" and not record["name"].startswith("standalone"):
        return topics.TOKEN
    if topic == "preview" and request.get("path") != "/v1/preview":
        return topics.PROXY
    if "protocol" in request or "sent" in request:
        return topics.H2
    if (request.get("path", "").startswith(SERVICE)
            and request.get("method") == "POST"
            and not {"body", "connect_frames", "body_note"} & set(request)):
        return topics.CUT
    if record["name"] in RAW or record["name"].startswith("pipelined"):
        return None
    if not request.get("method") or "status" not in response:
        return topics.SUMMARY
    if "end" not in response and "ws" not in response:
        return topics.SUMMARY
    return None


class Run:
    """Replays one file."""

    def __init__(self, topic, *arguments, env=None):
        self.topic = topic
        self.tally = Tally(topic)
        self.server = Server(*arguments, env=env)
        self.client = self.server.client
        self.noise = topics.NOISE.get(topic, ())

    def close(self):
        self.server.stop()

    def replayer(self, record, names=None):
        kind = SocketReplay if is_socket(record) else Replay
        return kind(self.server.address, names or {}, self.noise)

    def prepare(self, record):
        command = topics.BEFORE.get(self.topic, {}).get(record["name"])
        if command:
            code, _, error = self.client.run("sb1", command, cwd="/")
            if code != 0:
                raise Difference(f"could not prepare: {error}")

    def one(self, record, names=None, send=None):
        """Replay a record; counts."""
        name = record["name"]
        reason = why_not(self.topic, record)
        if reason:
            self.tally.skip(reason)
            return
        loose = topics.LOOSE.get(self.topic, {}).get(name)
        if loose:
            record = dict(record, response={
                key: value for key, value in record["response"].items()
                if key in ("status", "headers", "end")})
        if name in topics.OUTPUT_VARIES:
            record = dict(record, volatile=["stdout"])
        begun = time.monotonic()
        try:
            self.prepare(record)
            if send is not None:
                send(record)
            else:
                self.replayer(record, names).exchange(record)
        except Unreadable as problem:
            self.tally.skip(f"{topics.CUT} ({problem})"
                            if "cut" not in str(problem) else topics.CUT)
            return
        except Difference as problem:
            self.tally.failed.append(f"{name}: {problem}")
        except Exception as problem:  # noqa: BLE001 - the record is named
            self.tally.failed.append(f"{name}: {problem!r}")
        self.tally.replayed += 1
        self.tally.took[name] = time.monotonic() - begun
        self.tally.loose += bool(loose)

    def all(self):
        """Every record, one after the other, on a sandbox named sb1.

        What waits for the default timeout of 30 s does so beside them.
        """
        self.server.sandbox("sb1")
        waiting = []
        for record in records(self.topic):
            if "default-30s" in record["name"]:
                waiting.append(threading.Thread(target=self.one,
                                                args=(record,)))
                waiting[-1].start()
            else:
                self.one(record)
        for thread in waiting:
            thread.join()


class Limits(Run):
    """With open streams, and a second server with a low ceiling."""

    def all(self):
        self.server.sandbox("sb1")
        self.server.sandbox("sb2")
        self.held = []
        self.hold_streams()
        low = Server("--max-exec-timeout-seconds", "60")
        low.sandbox("z")
        usual = self.server
        try:
            for record in records(self.topic):
                self.server = (low if record["name"].startswith("ceiling")
                               else usual)
                self.before(record["name"])
                self.one(record)
        finally:
            low.stop()
            self.release()

    def before(self, name):
        if name == "slot-after-client-disconnect":
            self.held.pop().reset()
            time.sleep(0.1)
        elif name == "24-execstreams-at-once":
            self.release()
            time.sleep(0.1)
        elif name == "17th-ws-with-16-ws":
            self.hold_sockets()
        elif name == "after-16-ws-aborted":
            self.release()
            time.sleep(0.1)

    def hold_streams(self):
        body = envelope({"command": "echo go; sleep 30"})
        for _ in range(16):
            wire = Wire(self.server.address)
            wire.send(request_bytes("POST", SERVICE + "ExecStream", [
                ("Host", "x"), ("X-Sandbox-Id", "sb1"),
                ("Content-Type", "application/connect+json"),
                ("Content-Length", len(body))], body))
            wire.more()
            self.held.append(wire)

    def hold_sockets(self):
        for _ in range(16):
            wire = Wire(self.server.address)
            wire.upgrade(SERVICE + "Exec?sandbox=sb1")
            wire.frame(2, envelope({"open": {"command":
                                             "echo go; sleep 30"}}))
            wire.message()
            self.held.append(wire)

    def release(self):
        for wire in self.held:
            wire.reset()
        self.held = []


class Lifecycle(Run):
    """From an empty server on."""

    def all(self):
        self.client.call("POST", "/box/test", {"forget_all": True})
        for record in records(self.topic):
            name = record["name"]
            send = None
            if name in RAW or name == "http10" or name.startswith("pipe"):
                send = self.raw
            self.one(record, send=send)

    def raw(self, record):
        name = record["name"]
        wire = Wire(self.server.address)
        try:
            if name.startswith("pipelined"):
                wire.send(PIPELINED)
                first = wire.answer()
                answer = wire.answer() if name.endswith("2") else first
            else:
                wire.send(HTTP10 if name == "http10" else RAW[name])
                if record["response"].get("status") is None:
                    wire.sock.settimeout(1)
                    try:
                        raise Difference(f"got {wire.sock.recv(99)!r}")
                    except TimeoutError:
                        return
                answer = wire.answer()
        finally:
            wire.close()
        self.replayer(record).compare(answer, record)


class Files(Run):
    """With two file systems mounted from outside."""

    def all(self):
        self.server.sandbox("sb1")
        self.server.enter("sb1", topics.MOUNTS)
        for record in records(self.topic):
            # A directory's own size is the file system's business.
            answer = json.dumps(record["response"].get("body", ""))
            self.noise = {"size"} if "isDir" in answer else set()
            self.one(record)


class Watch(Run):
    """Each record in a sandbox of its own, several at once."""

    def all(self):
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            list(pool.map(self.watched, records(self.topic)))

    def watched(self, record):
        if why_not(self.topic, record) and "actions" not in record:
            self.one(record)
            return
        name = self.server.sandbox()
        self.client.run(name, topics.WATCH_FLOOR, cwd="/")
        if "actions" not in record and record["name"] != "file-rpcs":
            self.one(record, {"sb1": name})
        else:
            record = dict(record)
            record["response"].setdefault("end", "stopped")
            record["response"].setdefault("status", None)
            self.one(record, send=lambda r: self.act(r, name))
        self.client.call("DELETE", f"/v1/sandboxes/{name}")

    def act(self, record, name):
        replayer = self.replayer(record, {"sb1": name})
        wire = Wire(self.server.address)
        try:
            replayer.send(wire, record["request"])
            time.sleep(0.25)     # there is no sign that a watch is armed
            if record["name"] == "file-rpcs":
                self.rpcs(name)
            for action in record.get("actions", []):
                self.client.run(name, action["cmd"], cwd="/", env=PATH)
            ours = self.events(wire, record)
        finally:
            wire.reset()
        theirs = [json.loads(frame["text"]) for frame
                  in record["response"].get("frames", [])
                  if "text" in frame]
        if record["name"] in topics.WATCH_BURSTS:
            replayer.same("first event", ours[:1], theirs[:1])
            replayer.same("end", "error" in ours[-1], "error" in theirs[-1])
            if "error" in theirs[-1]:
                replayer.same("error", ours[-1], theirs[-1])
            return
        if record["name"] in topics.WATCH_ANY_ORDER:
            ours, theirs = (sorted(events, key=json.dumps)
                            for events in (ours, theirs))
        replayer.same("events", once(ours), once(theirs))

    def rpcs(self, name):
        self.client.write(name, "/workspace/w/rpc.txt", b"x")
        self.client.unary(name, "Mkdir", {"path": "/workspace/w/rd"})
        self.client.unary(name, "Remove", {"path": "/workspace/w/rpc.txt"})

    @staticmethod
    def events(wire, record):
        """Messages until there is silence."""
        out = []
        if record["response"].get("status") is None:
            wire.sock.settimeout(0.6)
            try:
                if wire.sock.recv(10):
                    raise Difference("an event")
            except TimeoutError:
                return out
        end = time.monotonic() + 0.6
        while time.monotonic() < end and wire.more(end):
            pass
        data = wire.rest
        data = data[data.index(b"\r\n\r\n") + 4:]
        while data:
            size, _, rest = data.partition(b"\r\n")
            size = int(size, 16)
            if size == 0:
                break
            out.append(json.loads(rest[5:size]))
            data = rest[size + 2:]
        return out


def once(events):
    """A MODIFY more or less for one change is the kernel's business."""
    return [event for event, before in zip(events, [None] + events)
            if event["kind"] != "MODIFY" or event != before]


class RunCode(Run):
    """Some records want a kernel that nothing has been done to."""

    def all(self):
        self.server.sandbox("sb1")
        for record in records(self.topic):
            if record["name"].startswith("fresh-"):
                self.server.sandbox("sb1")
            self.one(record)


class Ports(Run):
    """With the recorder's little servers inside."""

    APP = os.path.join(HERE, "app.py")

    def start_app(self, name):
        with open(self.APP, "rb") as file:
            self.client.write(name, "/tmp/app.py", file.read())
        self.client.run(name, "setsid python3 /tmp/app.py >/tmp/app.log 2>&1 "
                        "</dev/null & for i in $(seq 100); do [ -e /tmp/up ]"
                        " && exit 0; sleep 0.05; done; cat /tmp/app.log >&2; "
                        "exit 1", cwd="/")

    def all(self):
        self.server.sandbox("sb1")
        self.start_app("sb1")
        self.hosts = {}
        for record in records(self.topic):
            send = getattr(self, "send_" + self.topic)
            self.one(record, send=send(record))

    def send_expose(self, record):
        if record["name"].startswith("sandbox-deleted"):
            return self.delete_during
        if record["response"].get("ws") and \
                record["response"].get("status") == 101:
            return lambda r: SocketReplay(self.server.address, {},
                                          self.noise).exchange(r)
        return None

    def delete_during(self, record):
        path = record["request"]["path"]
        name = path.split("/")[3]
        self.server.sandbox(name)
        self.start_app(name)
        timer = threading.Timer(0.4, lambda: self.client.call(
            "DELETE", f"/v1/sandboxes/{name}"))
        timer.start()
        try:
            if record["response"].get("ws"):
                SocketReplay(self.server.address, {}).exchange(record)
            else:
                self.replayer(record).exchange(record)
        finally:
            timer.join()

    def send_forward(self, record):
        request = record["request"]
        if "tcp_to_forwarded_port_of" in request:
            return None
        if record["name"] == "limit-reached":
            return self.fill
        if request.get("path", "").startswith("/v1/"):
            return None
        return self.through

    def address(self, port):
        if port not in self.hosts:
            answer = self.client.call("POST", "/v1/sandboxes/sb1/forward",
                                      {"guest_port": port})
            host, _, number = answer.json()["host"].rpartition(":")
            self.hosts[port] = (host, int(number))
        return self.hosts[port]

    def through(self, record):
        kind = SocketReplay if "ws" in record["response"] else Replay
        kind(self.address(7000), {}).exchange(record)

    def fill(self, record):
        for _ in range(16):
            self.client.call("POST", "/v1/sandboxes/sb1/forward",
                             {"guest_port": 7001})
        self.replayer(record).exchange(record)


def secret():
    return {"MITOS_PREVIEW_SECRET": "secret-of-16-bytes"}


RUNS = {
    "archive": lambda: Run("archive"),
    "auth": lambda: Run("auth"),
    "errors": lambda: Run("errors"),
    "exec_stream": lambda: Run("exec_stream"),
    "exec_ws": lambda: Run("exec_ws"),
    "expose": lambda: Ports("expose"),
    "files": lambda: Files("files"),
    "forward": lambda: Ports("forward"),
    "lifecycle": lambda: Lifecycle("lifecycle"),
    "limits": lambda: Limits("limits"),
    "preview": lambda: Run("preview", "--preview-domain", "preview.test",
                           env=secret()),
    "processes": lambda: Run("processes"),
    "recipes": lambda: Run("recipes"),
    "run_code_stream": lambda: RunCode("run_code_stream"),
    "watch": lambda: Watch("watch"),
}
NOT_RUN = {
    "exec": topics.H2, "run_code": topics.H2, "portforward": topics.H2,
    "mock": topics.MOCK,
}


def replay_all(names):
    """Replay files, a few at once; topic -> Tally."""
    def work(name):
        run = RUNS[name]()
        try:
            run.all()
        finally:
            run.close()
        return run.tally
    # The long ones first.
    order = sorted(names, key=lambda n: n not in (
        "exec_stream", "exec_ws", "run_code_stream", "watch", "files"))
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        return dict(zip(order, pool.map(work, order)))


class Contract(unittest.TestCase):
    """One test per recorded file."""

    @classmethod
    def setUpClass(cls):
        wanted = os.environ.get("BOX_TOPICS")
        cls.names = wanted.split(",") if wanted else list(RUNS)
        cls.tallies = replay_all(cls.names)
        for name in sorted(cls.tallies):
            print(cls.tallies[name].line(), file=sys.stderr)
            if os.environ.get("BOX_SLOWEST"):
                print(cls.tallies[name].slowest(), file=sys.stderr)
            for reason, count in sorted(
                    cls.tallies[name].skipped.items()):
                print(f"{'':16}   {count} not sent: {reason}",
                      file=sys.stderr)
        for name, reason in NOT_RUN.items():
            print(f"{name:16} not replayed ({len(records(name))} records): "
                  f"{reason}", file=sys.stderr)


def _add(name):
    def test(self):
        if name not in self.names:
            self.skipTest("not asked for")
        tally = self.tallies[name]
        self.assertEqual([], tally.failed, "\n".join(["", *tally.failed]))
        self.assertGreater(tally.replayed, 0)
    test.__doc__ = f"{name}.jsonl is answered as the real server does."
    setattr(Contract, f"test_{name}", test)


for _name in RUNS:
    _add(_name)


if __name__ == "__main__":
    unittest.main()
