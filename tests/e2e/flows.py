"""flows - large and slow streams; the gateway's memory stays flat.

Run in the environment that ./quickstart sh gives.
"""
import base64
import hashlib
import json
import os
import socket
import struct
import threading
import time

from wire_parts import (DOMAIN, KEY, api, connect, envd, frame, frames, made, read_answer, start)
from report import Report, equal, true

report = Report("flows")
MIB = 1024 * 1024


def worker():
    """Pid of the worker: the master's child."""
    master = os.environ["SANDGATE_PID"]
    children = open(f"/proc/{master}/task/{master}/children").read().split()
    return int(children[0]) if children else int(master)


def memory():
    """Resident bytes of the worker now."""
    for line in open(f"/proc/{worker()}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no worker")


def descriptors():
    return len(os.listdir(f"/proc/{worker()}/fd"))


class Watch(threading.Thread):
    """The most that the worker's memory grew while this ran."""

    def __enter__(self):
        self.base, self.most, self.on = memory(), 0, True
        self.start()
        return self

    def run(self):
        while self.on:
            self.most = max(self.most, memory() - self.base)
            time.sleep(0.05)

    def __exit__(self, *_):
        self.on = False
        self.join()


def open_stream(box, path, message, kind="application/connect+json", port=49983):
    """A request whose answer is read piece by piece: (socket, file)."""
    host = f"{port}-{box['sandboxID']}.{DOMAIN}"
    sock = connect(host)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    body = frame(message) if kind.endswith("connect+json") else json.dumps(message).encode()
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Access-Token: {box['envdAccessToken']}\r\nContent-Type: {kind}\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return sock, sock.makefile("rb", buffering=256 * 1024)


def chunks(file):
    """The pieces of a body; ValueError when it is cut."""
    line = file.readline()
    true(line.startswith(b"HTTP/1.1 200"), line)
    while line not in (b"\r\n", b""):
        line = file.readline()
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
            file.readline()
            yield file.read(size)
            return
    while True:
        size = file.readline()
        if not size:
            raise ValueError("cut")
        size = int(size, 16)
        data = file.read(size)
        if len(data) < size or file.readline() != b"\r\n":
            raise ValueError("cut")
        if size == 0:
            return
        yield data


def command(script):
    return {"process": {"cmd": "/bin/bash", "args": ["-l", "-c", script]}, "stdin": False}


def envelopes(pieces):
    held = b""
    for piece in pieces:
        held += piece
        while len(held) >= 5:
            flags, size = struct.unpack("!BI", held[:5])
            if len(held) < 5 + size:
                break
            yield flags, held[5:5 + size]
            held = held[5 + size:]
    equal(held, b"")


def output_through_a_slow_reader():
    box = made()
    total = 200 * 1000 * 1000
    with Watch() as watch:
        sock, file = open_stream(box, "/process.Process/Start", command(f"head -c {total} /dev/zero"))
        got, slept, last = 0, 0, None
        for flags, payload in envelopes(chunks(file)):
            if payload.startswith(b'{"event":{"data":{"stdout":"'):
                got += (len(payload) - 32) // 4 * 3 - payload[-10:].count(b"=")
                if slept < 40 and got > slept * 2_000_000:
                    time.sleep(0.05)
                    slept += 1
            last = flags, payload
        sock.close()
    equal((got, last), (total, (2, b"{}")))
    true(watch.most < 8 * MIB, f"the worker grew by {watch.most} bytes")
    print(f"     200 MB of output: the worker grew by {watch.most // 1024} KiB at most")
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def commands_that_print_at_once():
    """What waits for the start event goes out in one large piece."""
    box, wrong = made(), []

    def run():
        for _ in range(12):
            try:
                found = frames(start(box, "head -c 3000000 /dev/zero | tr '\\0' x").body)
                size = sum(len(base64.b64decode(told["event"]["data"]["stdout"])) for _, told in found if "data" in told.get("event", {}))
                equal((size, found[-1]), (3000000, (2, {})))
            except Exception as error:  # told below
                wrong.append(repr(error))
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [])
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def a_stalled_reader_stops_the_process():
    box = made()
    with Watch() as watch:
        sock, file = open_stream(box, "/process.Process/Start", command("yes | head -c 400000000"))
        next(chunks(file))
        time.sleep(3)
    true(watch.most < 8 * MIB, f"the worker grew by {watch.most} bytes")
    equal(envd(box, "/health", None, method="GET").status, 204)
    equal(frames(start(box, "echo other").body)[-1], (2, {}))
    sock.close()
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def files_of_400_mib():
    box = made()
    size, piece = 400 * MIB, os.urandom(MIB)
    host = f"49983-{box['sandboxID']}.{DOMAIN}"
    want = hashlib.sha256()
    with Watch() as watch:
        begun = time.monotonic()
        with connect(host) as sock:
            sock.sendall(f"POST /files?path=/tmp/big HTTP/1.1\r\nHost: {host}\r\nX-Access-Token: {box['envdAccessToken']}\r\n"
                         f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n".encode())
            for _ in range(size // MIB):
                sock.sendall(piece)
                want.update(piece)
            sock.settimeout(120)
            answer = read_answer(sock.makefile("rb"))
        up = time.monotonic() - begun
        equal((answer.status, answer.json()), (200, [{"name": "big", "path": "/tmp/big", "type": "file"}]))
        got, count, begun = hashlib.sha256(), 0, time.monotonic()
        with connect(host) as sock:
            sock.sendall(f"GET /files?path=/tmp/big HTTP/1.1\r\nHost: {host}\r\nX-Access-Token: {box['envdAccessToken']}\r\n\r\n".encode())
            file = sock.makefile("rb", buffering=MIB)
            true(file.readline().startswith(b"HTTP/1.1 200"), "a 200")
            while file.readline() != b"\r\n":
                pass
            while count < size:
                data = file.read(min(MIB, size - count))
                true(data, "the whole file")
                count += len(data)
                got.update(data)
        down = time.monotonic() - begun
    equal(got.hexdigest(), want.hexdigest())
    true(watch.most < 12 * MIB, f"the worker grew by {watch.most} bytes")
    print(f"     400 MiB: up {up:.1f} s, down {down:.1f} s; the worker grew by {watch.most // 1024} KiB at most")
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def a_kill_cuts_streams_and_is_known_first():
    box = made()
    streams = [open_stream(box, "/process.Process/Start", command("sleep 60")) for _ in range(4)]
    iterators = [chunks(file) for _, file in streams]
    for one in iterators:
        next(one)
    equal(api("DELETE", f"/sandboxes/{box['sandboxID']}").status, 204)
    for (sock, _), one in zip(streams, iterators):
        try:
            for _ in one:
                pass
            raise AssertionError("a clean end")
        except (ValueError, ConnectionResetError, OSError):
            pass
        answer = envd(box, "/health", None, method="GET")
        equal((answer.status, answer.json()["message"]), (502, "The sandbox was not found"))
        sock.close()


def clients_that_leave_leave_nothing():
    box = made(templateID="code-interpreter-v1")
    frames(start(box, "true").body)

    def leave(rounds):
        for n in range(rounds):
            sock, file = open_stream(box, "/process.Process/Start", command("sleep 0.3; head -c 100000 /dev/zero; sleep 0.3"))
            if n % 3:
                file.readline()
            if n % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            file.close()
            sock.close()
            if n % 6 == 5:
                time.sleep(1)
        time.sleep(3)
        return descriptors()

    # Idle connections to the back end are kept; they do not grow.
    first = leave(24)
    second = leave(36)
    true(second <= first + 2, f"{second} descriptors, {first} before")
    equal(json.loads(envd(box, "/process.Process/List").body).get("processes", []), [])
    equal(frames(start(box, "echo ok").body)[-1], (2, {}))
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def slots_used_up_are_told():
    box = made()
    streams = []
    refused = None
    for _ in range(20):
        sock, file = open_stream(box, "/process.Process/Start", command("sleep 30"))
        flags, payload = next(envelopes(chunks(file)))
        streams.append(sock)
        if flags == 2:
            refused = json.loads(payload)
            break
    true(refused and refused["error"]["code"] == "resource_exhausted", f"{refused} after {len(streams)} streams")
    equal(envd(box, "/filesystem.Filesystem/Stat", '{"path":"/tmp"}').status, 200)
    true(len(streams) >= 14, f"only {len(streams)} streams")
    for sock in streams:
        sock.close()
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def many_subscribers_hear_one_process():
    box = made()
    sock, file = open_stream(box, "/process.Process/Start", command("sleep 1; for i in $(seq 50); do echo line $i; done; sleep 1"))
    first = envelopes(chunks(file))
    pid = json.loads(next(first)[1])["event"]["start"]["pid"]
    others = [open_stream(box, "/process.Process/Connect", {"process": {"pid": pid}}) for _ in range(5)]
    texts = []
    for stream in [first] + [envelopes(chunks(file)) for _, file in others]:
        texts.append(b"".join(p for _, p in stream if b'"stdout"' in p))
    true(texts[0].count(b"stdout") >= 1, "output")
    for text in texts[1:]:
        equal(text, texts[0])
    for one in [sock] + [s for s, _ in others]:
        one.close()
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


for test in (output_through_a_slow_reader, commands_that_print_at_once, a_stalled_reader_stops_the_process, files_of_400_mib,
             a_kill_cuts_streams_and_is_known_first, clients_that_leave_leave_nothing, slots_used_up_are_told, many_subscribers_hear_one_process):
    report.check(test.__name__.replace("_", " "), test)
report.end()
