"""faults - a back end that fails, clients that leave, a gateway that is killed.

Starts gateways of its own, with plain HTTP on loopback, against fake_server.
"""
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

from gateway_parts import PROGRAM, Gateway, wait_until
from report import Report, equal, true

report = Report("faults")


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
    answer = g.create()
    error(answer, 503, "true")
    equal((answer.body, answer.headers["retry-after"]), (b'{"code":503,"message":"The sandbox server did not answer"}', "1"))
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
    for mode, status, text in (("garbage", 502, "The answer of the sandbox was invalid"), ("500", 503, "The sandbox server did not answer"),
                               ("404", 500, "The sandbox server refused"), ("rst", 503, "The sandbox server did not answer"),
                               ("hang", 504, "The sandbox server took too long")):
        g.fake.fork = mode
        answer = g.create()
        error(answer, status, "false")
        equal((mode, answer.json()), (mode, {"code": status, "message": text}))
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
