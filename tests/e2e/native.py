"""native - the sandbox server's own client, unmodified, through the door; and
what only a raw request can ask.

The client is PyPI's mitos-run, in a Python of its own that tests/e2e/run
installs into $TOOLS/native.  Run in the environment that ./quickstart sh gives.
"""
import base64
import json
import os
import re
import select
import socket
import ssl
import struct
import sys
import threading
import time
import uuid

TOOLS = os.environ.get("SANDGATE_TOOLS") or os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".tools")
PYTHON = os.path.join(TOOLS, "native", "bin", "python")
if os.path.realpath(sys.prefix) != os.path.realpath(os.path.join(TOOLS, "native")):
    os.execv(PYTHON, [PYTHON, *sys.argv])

import httpx  # noqa: E402
from mitos.direct import DirectSandbox, SandboxServer  # noqa: E402
from mitos.e2b import Sandbox  # noqa: E402
from mitos.errors import (AgentRunError, ExecutionDeadlineError, NotFoundError,  # noqa: E402
                          TimeoutTooLargeError, UnauthorizedError)

from report import Report, equal, raises, true  # noqa: E402
from wire_parts import (DOMAIN, KEY, NAME, OTHER, api, ask, connect, frame, frames, made, read_answer)  # noqa: E402

report = Report("native")
BASE = f"https://api.{DOMAIN}"
WITH = {"api_key": KEY, "base_url": BASE}
RPC = "/sandbox.v1.Sandbox/"


def name():
    return f"sandbox-{uuid.uuid4().hex[:8]}"


def created(**more):
    return DirectSandbox.create("base", **WITH, **more)


def native(method, path, body=None, key=KEY, **headers):
    """A raw request with a Bearer key."""
    fields = {"Authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        fields["Content-Type"] = "application/json"
        body = body if isinstance(body, (str, bytes)) else json.dumps(body)
    fields.update({field.replace("_", "-"): value for field, value in headers.items()})
    return ask(method, path, headers=fields, body=body)


def unary(sandbox, method, message, key=KEY, **headers):
    return native("POST", RPC + method, message, key, X_Sandbox_Id=sandbox, **headers)


def stream(sandbox, method, *messages, key=KEY):
    fields = {"Content-Type": "application/connect+json", "X-Sandbox-Id": sandbox}
    if key:
        fields["Authorization"] = f"Bearer {key}"
    return ask("POST", RPC + method, headers=fields, body=b"".join(frame(m) for m in messages))


def envelope(answer, status, code):
    equal((answer.status, answer.headers["content-type"]), (status, "application/json"))
    error = answer.json()["error"]
    equal(error["code"], code)
    true(error["message"] and error["remediation"], error)
    return error


# ---- the client itself: every call of the parity list ----

def the_shim():
    sandbox = Sandbox.create(template="base", timeout=600, metadata={"a": "b"}, **WITH)
    try:
        true(re.fullmatch(r"sandbox-[0-9a-f]{8}", sandbox.sandbox_id), sandbox.sandbox_id)
        equal(sandbox.commands.run("echo out; echo err >&2; exit 3").exit_code, 3)
        done = sandbox.commands.run("echo hello", background=True)
        equal((done.stdout, done.exit_code), ("hello\n", 0))
        raises(ExecutionDeadlineError, sandbox.commands.run, "sleep 30", timeout=1)
        sandbox.files.write("/tmp/a/b.txt", "text \N{SNOWMAN}\n")
        equal(sandbox.files.read("/tmp/a/b.txt"), "text \N{SNOWMAN}\n")
        equal([f.name for f in sandbox.files.list("/tmp/a")], ["b.txt"])
        sandbox.files.make_dir("/tmp/a/d")
        true(sandbox.files.exists("/tmp/a/d"), "a directory is there")
        equal(sandbox.files.exists("/tmp/a/none"), False)
        equal(sandbox.files.exists("/tmp/a/b.txt"), True)
        equal(sandbox.files.exists("/tmp/a/b.txt/none"), False)
        equal([f.name for f in sandbox.files.list("/tmp/a/b.txt")], ["b.txt"])
        sandbox.files.remove("/tmp/a/b.txt")
        equal([f.name for f in sandbox.files.list("/tmp/a")], ["d"])
        raises(NotFoundError, sandbox.files.read, "/tmp/a/none")
        raises(NotFoundError, sandbox.files.list, "/tmp/none")
        sandbox.set_timeout(300)
        raises(TimeoutTooLargeError, sandbox.set_timeout, 86401)
        true(sandbox.sandbox_id in [s.sandbox_id for s in Sandbox.list(**WITH)], "in the list")
        again = Sandbox.connect(sandbox.sandbox_id, **WITH)
        equal(again.commands.run("pwd").exit_code, 0)
        raises(NotFoundError, Sandbox.connect, "sandbox-00000000", **WITH)
    finally:
        sandbox.kill()
    true(sandbox.sandbox_id not in [s.sandbox_id for s in Sandbox.list(**WITH)], "gone from the list")


def the_direct_sandbox():
    with created() as sandbox:
        done = sandbox.exec("id -u; pwd; echo err >&2")
        equal((done.stdout, done.stderr, done.exit_code), ("0\n/workspace\n", "err\n", 0))
        equal(sandbox.exec(["printf", "%s|", "a b", "c"]).stdout, "a b|c|")
        true(sandbox.fork_time_ms >= 0 and sandbox.endpoint == BASE, sandbox.endpoint)
        deadline = sandbox.set_timeout(120)
        true(abs(deadline - time.time() - 120) < 5, deadline)
        sandbox.pause()
        sandbox.resume()
        sandbox.files.write("/tmp/bytes", bytes(range(256)))
        equal(sandbox.files.read_bytes("/tmp/bytes"), bytes(range(256)))
        big = os.urandom(4194299)
        sandbox.files.write("/tmp/big", big)
        true(sandbox.files.read_bytes("/tmp/big") == big, "4 MiB come back")
        raises(AgentRunError, sandbox.files.write, "/tmp/big", big + b"x")


def code():
    sandbox = DirectSandbox.create("code-interpreter-v1", **WITH)
    try:
        equal(sandbox.run_code("x = 20; print('hi')\nx + 22").text, "42")
        done = sandbox.run_code("1/0")
        equal(done.error.name, "ZeroDivisionError")
        equal(sandbox.run_code("x").text, "20")
    finally:
        sandbox.terminate()


def a_fork_is_a_copy():
    with created() as source:
        source.files.write("/tmp/f", "before")
        children = source.fork(2)
        try:
            for child in children:
                equal(child.files.read("/tmp/f"), "before")
            children[0].files.write("/tmp/f", "after")
            equal(source.files.read("/tmp/f"), "before")
            listed = {s["id"] for s in SandboxServer(BASE, KEY).list_sandboxes()}
            true({c.id for c in children} <= listed, "children are recorded")
        finally:
            for child in children:
                child.terminate()
        raises(NotFoundError, DirectSandbox("sandbox-nosuch", "base", "", BASE, 0, KEY).fork)


def a_terminal():
    with created() as sandbox:
        out, there = bytearray(), threading.Event()

        def take(data):
            out.extend(data)
            if b"<42>" in out:
                there.set()

        pty = sandbox.pty(take, cols=100, rows=30)
        pty.send_input(b"stty size; echo \"<$((6*7))>\"\n")
        true(there.wait(20), bytes(out))
        true(b"30 100" in out, bytes(out))
        pty.resize(120, 40)
        pty.send_input(b"stty size; exit 7\n")
        equal(pty.wait(), 7)
        true(b"40 120" in out, bytes(out))


def a_killed_terminal_takes_its_program_along():
    with created() as sandbox:
        there = threading.Event()
        pty = sandbox.pty(lambda data: there.set() if b"<go>" in data else None)
        pty.send_input(b"echo '<'go'>'; sleep 1234\n")
        true(there.wait(20), "it runs")

        # A shell that dies before it has made the program its foreground one
        # leaves it behind: the terminal's rule, not ours.
        def shown():
            return "sleep 1234" in sandbox.exec("ps ax -o stat,args | grep '^S+' || true").stdout

        until = time.monotonic() + 10
        while not shown():
            true(time.monotonic() < until, "the program does not run")
            time.sleep(0.1)
        pty.kill()
        until = time.monotonic() + 10
        while "sleep 1234" in sandbox.exec("ps ax -o args || true").stdout:
            true(time.monotonic() < until, "the program lives on")
            time.sleep(0.1)


def the_server():
    server = SandboxServer(BASE, KEY)
    health = server.health()
    equal((health["status"], health["mock"]), ("ok", False))
    with created() as sandbox:
        equal(server.health()["sandboxes"], health["sandboxes"] + 1)
        names = [t["id"] for t in server.list_templates()]
        true("base" in names and "code-interpreter-v1" in names, names)
        row = next(s for s in server.list_sandboxes() if s["id"] == sandbox.id)
        equal((row["template_id"], row["network"]), ("base", {"egress": "deny", "inbound": "deny"}))
    error = raises(AgentRunError, server.ensure_template, "nosuch")
    equal((error.status, error.code), (403, "forbidden"))
    raises(NotFoundError, server.fork, "nosuch")
    error = raises(AgentRunError, DirectSandbox("sandbox-x", "base", "", BASE, 0, KEY).get_host, 80)
    if not os.environ.get("SANDGATE_PREVIEW_DOMAIN"):
        equal((error.status, error.code), (501, "internal"))


def idempotency_as_the_server_has_it():
    server, key = SandboxServer(BASE, KEY), uuid.uuid4().hex
    first = server.fork("base", id=name(), idempotency_key=key)
    second = server.fork("base", id=name(), idempotency_key=key)
    equal(second.id, first.id)
    first.terminate()
    third = server.fork("base", id=name(), idempotency_key=key)
    true(third.id != first.id, "the first has ended: a new one")
    third.terminate()


def nobody_elses_keys():
    for key in ("e2b_" + "0" * 40, "nonsense", ""):
        server = SandboxServer(BASE, key or None)
        raises(UnauthorizedError, server.list_sandboxes)
        raises(UnauthorizedError, server.fork, "base")
        error = raises(AgentRunError, DirectSandbox("sandbox-x", "base", "", BASE, 0, key or None).exec, "true")
        equal(error.code, "unauthenticated")
        answer = unary("sandbox-x", "List", {"parent": "/"}, key)
        equal((answer.status, answer.json()["code"]), (401, "unauthenticated"))


# ---- ownership: another team's id is as an unknown one, route by route ----

def told(answer, sandbox):
    """What an answer says, without the id that was asked for."""
    text = answer.body.replace(sandbox.encode(), b"<id>")
    return answer.status, answer.headers.get("content-type"), re.sub(rb'"deadline_unix":\d+', b"", text)


def upgrade(sandbox, key=KEY, query=None):
    """The handshake of the exec WebSocket: (socket, answer)."""
    host = f"api.{DOMAIN}"
    sock = connect(host)
    auth = f"Authorization: Bearer {key}\r\n" if key else ""
    query = query if query is not None else f"?sandbox={sandbox}"
    sock.sendall((f"GET {RPC}Exec{query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  f"Sec-WebSocket-Protocol: connect.sandbox.v1\r\n{auth}\r\n").encode())
    file = sock.makefile("rb")
    return sock, file, read_answer(file)


def ownership():
    with created() as mine:
        mine.files.write("/tmp/mine", "mine")
        calls = {
            "kill": lambda i, k: native("DELETE", f"/v1/sandboxes/{i}", key=k),
            "fork": lambda i, k: native("POST", f"/v1/sandboxes/{i}/fork", {"id": name()}, k),
            "set_timeout": lambda i, k: native("POST", "/v1/set_timeout", {"sandbox": i, "timeout_seconds": 1}, k),
            "pause": lambda i, k: native("POST", "/v1/pause", {"sandbox": i}, k),
            "resume": lambda i, k: native("POST", "/v1/resume", {"sandbox": i}, k),
            "preview": lambda i, k: native("POST", "/v1/preview", {"sandbox": i, "port": 80}, k),
            "forward": lambda i, k: native("POST", f"/v1/sandboxes/{i}/forward", {"guest_port": 80}, k),
            "expose": lambda i, k: native("GET", f"/v1/sandboxes/{i}/expose/8000/", key=k),
            "ExecStream": lambda i, k: stream(i, "ExecStream", {"command": "true"}, key=k),
            "ReadFile": lambda i, k: stream(i, "ReadFile", {"path": "/tmp/mine"}, key=k),
            "WriteFile": lambda i, k: stream(i, "WriteFile", {"open": {"path": "/tmp/mine"}}, {"data": "eA=="}, key=k),
            "RunCodeStream": lambda i, k: stream(i, "RunCodeStream", {"code": "1"}, key=k),
            "Exec": lambda i, k: upgrade(i, k)[2],
        }
        for method, message in (("List", {"parent": "/"}), ("Stat", {"path": "/"}), ("Mkdir", {"path": "/tmp/x"}),
                                ("Remove", {"path": "/tmp/mine"}), ("Processes", {}), ("Signal", {"pid": 2, "signal": 9})):
            calls[method] = lambda i, k, m=method, b=message: unary(i, m, b, k)
        for what, call in calls.items():
            theirs, none = call(mine.id, OTHER), call("sandbox-deadbeef", KEY)
            equal((what, *told(theirs, mine.id)), (what, *told(none, "sandbox-deadbeef")))
        equal(mine.files.read("/tmp/mine"), "mine")
        end = [s for s in SandboxServer(BASE, OTHER).list_sandboxes() if s["id"] == mine.id]
        equal(end, [])
        # An id that is anybody's is nobody else's to choose.
        envelope(native("POST", "/v1/fork", {"template": "base", "id": mine.id}, OTHER), 409, "conflict")
        envelope(native("POST", "/v1/fork", {"template": "base", "id": mine.id}, KEY), 409, "conflict")
        equal(mine.files.read("/tmp/mine"), "mine")


def carriers():
    """Which of two names counts: header and query the first, body the last."""
    with created() as mine:
        def two(first, second):
            return ask("POST", RPC + "Stat", body='{"path":"/"}', headers={
                "Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "X-Sandbox-Id": [first, second]})
        equal(two(mine.id, "nosuch").status, 200)
        equal(two("nosuch", mine.id).status, 500)
        sock, _, answer = upgrade(mine.id, query=f"?sandbox={mine.id}&sandbox=nosuch")
        sock.close()
        equal(answer.status, 101)
        sock, _, answer = upgrade(mine.id, query=f"?sandbox=nosuch&sandbox={mine.id}")
        sock.close()
        envelope(answer, 404, "not_found")
        sock, _, answer = upgrade(mine.id, query="")
        sock.close()
        envelope(answer, 400, "invalid_json")
        body = f'{{"sandbox":"nosuch","SANDBOX":"{mine.id}","timeout_seconds":50}} trailing'
        equal(native("POST", "/v1/set_timeout", body).status, 200)
        row = api("GET", "/v2/sandboxes")
        true(mine.id not in row.body.decode(), "in no list of E2B's")
        true(abs(end_of(mine.id) - time.time() - 50) < 5, "the end was set")


def end_of(sandbox):
    """endAt of a record, from the gateway's own file."""
    import sqlite3
    folder = os.path.dirname(os.environ["SANDGATE_CONFIG"])
    with sqlite3.connect(f"file:{folder}/sandgate.db?mode=ro", uri=True) as base:
        return base.execute("SELECT end_ms FROM sandbox WHERE id=?", (sandbox,)).fetchone()[0] / 1000


def errors():
    for method, path, body, status, code in (
            ("POST", "/v1/fork", "{", 400, "invalid_json"),
            ("POST", "/v1/fork", {"template": "base"}, 400, "invalid_json"),
            ("POST", "/v1/fork", {"template": "base", "id": "a.b"}, 400, "invalid_json"),
            ("POST", "/v1/fork", {"template": "base", "id": "-a"}, 400, "invalid_json"),
            ("POST", "/v1/fork", {"template": "base", "id": "a" * 65}, 400, "invalid_json"),
            ("POST", "/v1/fork", {"template": "nosuch", "id": name()}, 404, "not_found"),
            ("POST", "/v1/set_timeout", {"sandbox": "x", "timeout_seconds": 0}, 400, "invalid_json"),
            ("POST", "/v1/set_timeout", {"sandbox": "x", "timeout_seconds": 1.5}, 400, "invalid_json"),
            ("POST", "/v1/set_timeout", {"sandbox": "x", "timeout_seconds": 86401}, 400, "timeout_too_large"),
            ("POST", "/v1/templates", {"id": "nosuch"}, 403, "forbidden"),
            ("POST", "/v1/templates", {"id": "base", "network": {"egress": "allow"}}, 400, "invalid_json"),
            ("POST", "/v1/sandboxes/x/forward", {"guest_port": 1}, 501, "internal"),
            ("GET", "/v1/nosuch", None, 404, "not_found"),
            ("GET", "/v1/fork", None, 405, "invalid_input")):
        envelope(native(method, path, body), status, code)
    envelope(native("GET", "/v1/sandboxes", key=None), 401, "unauthorized")
    both = ask("GET", "/v1/sandboxes", headers={"Authorization": f"Bearer {KEY}", "X-API-Key": KEY})
    envelope(both, 400, "invalid_json")
    for fields in ({"X-API-Key": KEY}, {"authorization": f"bearer {KEY}"}):
        answer = ask("GET", "/v1/sandboxes", headers=fields)
        equal((answer.status, isinstance(answer.json(), list)), (200, True))
    equal(unary("x", "Nosuch", {}).status, 404)
    equal((unary("x", "Fork", {}).status, unary("x", "Fork", {}).json()["code"]), (501, "unimplemented"))
    answer = native("POST", RPC + "List", "x", Content_Type="text/plain", X_Sandbox_Id="x")
    equal(answer.status, 415)
    answer = ask("GET", RPC + "Exec?sandbox=x", headers={"Authorization": f"Bearer {KEY}"})
    equal(answer.status, 426)
    equal(upgrade("x", key=None)[2].status, 401)


def the_answers_that_are_mended():
    with created() as mine:
        for method, message in (("List", {"parent": "/nosuch"}), ("Stat", {"path": "/nosuch"})):
            answer = unary(mine.id, method, message)
            equal((answer.status, answer.json()["code"]), (404, "not_found"))
        answer = unary(mine.id, "List", {"parent": "/etc/passwd"})
        equal((answer.status, [row["path"] for row in answer.json()["entries"]]), (200, ["/etc/passwd"]))
        answer = unary(mine.id, "List", {"parent": "/etc/passwd/x"})
        equal((answer.status, answer.json()["code"]), (404, "not_found"))
        answer = stream(mine.id, "ReadFile", {"path": "/nosuch"})
        (flags, end), = frames(answer.body)
        equal((answer.status, flags, end["error"]["code"]), (200, 2, "not_found"))
        answer = stream(mine.id, "ReadFile", {"path": "/tmp"})
        equal(frames(answer.body)[-1][1]["error"]["code"], "internal")


def ports_by_path():
    with created() as mine:
        script = "cd /tmp && echo native > page && nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &"
        mine.exec(script)
        until = time.monotonic() + 20
        path = f"/v1/sandboxes/{mine.id}/expose/8000/page?x=1"
        while (answer := native("GET", path)).status != 200:
            true(time.monotonic() < until, answer)
            time.sleep(0.1)
        equal(answer.body, b"native\n")
        equal(native("GET", path, key=None).status, 401)
        equal(native("GET", f"/v1/sandboxes/{mine.id}/expose/8001/").status, 502)
        equal(native("GET", f"/v1/sandboxes/{mine.id}/expose/0/").status, 400)
        # Nobody is told the tokens of its hosts, and its id need not fit one.
        answer = ask("GET", "/page", host=f"8000-{mine.id}.{DOMAIN}")
        true(answer.status in (400, 502), answer)
        plain = f"n{uuid.uuid4().hex[:12]}"
        with created(id=plain):
            equal(ask("GET", "/", host=f"8000-{plain}.{DOMAIN}").status, 403)


def a_host_that_opens():
    if not os.environ.get("SANDGATE_PREVIEW_DOMAIN"):
        return
    web = httpx.Client(follow_redirects=True, timeout=20)
    # As it comes; an id that is no label; and one that is as long as can be.
    for chosen in (None, f"Caps_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex * 2):
        with created(id=chosen) as mine:
            mine.exec("cd /tmp && echo opened > page && nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &")
            url = mine.get_host(8000)
            true(url.startswith("https://") and "/?token=" in url, url)
            until = time.monotonic() + 20
            while (answer := web.get(url.replace("/?", "/page?"))).status_code != 200:
                true(time.monotonic() < until, answer)
                time.sleep(0.1)
            equal(answer.text, "opened\n")
            equal(httpx.get(url.split("?")[0] + "page").status_code, 401)
            links = f"/sandboxes/{mine.id}/links"
            link = ask("POST", links, headers={"X-API-Key": KEY, "Content-Type": "application/json"}, body='{"port":8000}')
            equal(link.status, 201)
            url = link.json()["url"]
            equal(web.get(url.replace("/?", "/page?")).text, "opened\n")
            equal(ask("DELETE", f"{links}/{link.json()['linkId']}", headers={"X-API-Key": KEY}).status, 204)
            equal(web.get(url.replace("/?", "/page?")).status_code, 401)
        true(web.get(url).status_code in (401, 404, 502), "it ends with the sandbox")
    raises(NotFoundError, DirectSandbox(name(), "base", "", BASE, 0, KEY).get_host, 80)


def an_old_link_does_not_open_the_next_of_an_id():
    """An id is free after the kill, for another team too."""
    if not os.environ.get("SANDGATE_PREVIEW_DOMAIN"):
        return
    chosen = name()
    with created(id=chosen) as mine:
        old = mine.get_host(8000)
        equal(httpx.get(old, follow_redirects=True).status_code, 502)
    with DirectSandbox.create("base", id=chosen, api_key=OTHER, base_url=BASE) as theirs:
        theirs.exec("cd /tmp && echo opened > page && nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &")
        url, until, web = theirs.get_host(8000), time.monotonic() + 20, httpx.Client(follow_redirects=True, timeout=20)
        while (answer := web.get(url.replace("/?", "/page?"))).status_code != 200:
            true(time.monotonic() < until, answer)
            time.sleep(0.1)
        answer = httpx.get(old.replace("/?", "/page?"))
        equal((answer.status_code, answer.json()["error_code"]), (401, "TOKEN_REVOKED"))


def both_doors():
    box = made()
    try:
        mine = DirectSandbox(box["sandboxID"], "base", BASE, BASE, 0, KEY)
        equal(mine.exec("echo $((1+1))").stdout, "2\n")
        listed = {s["id"]: s for s in SandboxServer(BASE, KEY).list_sandboxes()}
        equal(listed[box["sandboxID"]]["template_id"], "base")
    finally:
        api("DELETE", f"/sandboxes/{box['sandboxID']}")


def a_direct_host():
    answer = ask("GET", "/v1/health", host="localhost", headers={"Authorization": f"Bearer {KEY}"})
    equal((answer.status, answer.json()["status"]), (200, "ok"))
    answer = ask("GET", "/v1/health", host=f"sandbox.{NAME}", headers={"Authorization": f"Bearer {KEY}"})
    equal(answer.status, 200)
    answer = ask("GET", "/v1/health", host="api.example.org", sni=f"api.{NAME}")
    equal(answer.status, 421)


# ---- streams ----

def open_stream(sandbox, message):
    """ExecStream whose answer is read piece by piece: (socket, file)."""
    host, body = f"api.{DOMAIN}", frame(message)
    sock = connect(host)
    sock.sendall(f"POST {RPC}ExecStream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
                 f"X-Sandbox-Id: {sandbox}\r\nContent-Type: application/connect+json\r\n"
                 f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return sock, sock.makefile("rb")


def a_kill_cuts_streams():
    sandbox = created()
    sock, file = open_stream(sandbox.id, {"command": "echo go; sleep 60"})
    true(file.readline().startswith(b"HTTP/1.1 200"), "it began")
    web, web_file, answer = upgrade(sandbox.id)
    equal(answer.status, 101)
    time.sleep(0.2)
    sandbox.terminate()
    began = time.monotonic()
    rest = b""
    try:
        rest = file.read()
    except (ConnectionError, OSError):
        pass
    true(not rest.endswith(b"0\r\n\r\n"), "no clean end")
    try:
        equal(web_file.read(), b"")
    except (ConnectionError, OSError):
        pass
    true(time.monotonic() - began < 2, "cut at once")
    sock.close()
    web.close()
    error = raises(AgentRunError, DirectSandbox(sandbox.id, "base", BASE, BASE, 0, KEY).exec, "true")
    true("no stream path" in str(error), error)


def streams_count():
    with created() as mine:
        open_ones = [open_stream(mine.id, {"command": "echo go; sleep 60"}) for _ in range(15)]
        for _, file in open_ones:
            true(file.readline().startswith(b"HTTP/1.1 200"), "it runs")
        answer = stream(mine.id, "ExecStream", {"command": "true"})
        equal(frames(answer.body)[-1][1]["error"]["code"], "resource_exhausted")
        sock, _, answer = upgrade(mine.id)
        sock.close()
        envelope(answer, 429, "too_many_streams")
        equal(unary(mine.id, "Stat", {"path": "/"}).status, 200)
        for part in open_ones.pop():
            part.close()
        until = time.monotonic() + 5
        while frames(stream(mine.id, "ExecStream", {"command": "true"}).body)[-1] != (2, {}):
            true(time.monotonic() < until, "a place is free again")
            time.sleep(0.05)
        for sock, file in open_ones:
            file.close()
            sock.close()


def a_slow_reader_holds_the_program():
    with created() as mine:
        sock, file = open_stream(mine.id, {"command": "head -c 50000000 /dev/zero; echo done >/tmp/done"})
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        true(file.readline().startswith(b"HTTP/1.1 200"), "it began")
        time.sleep(1)
        equal(unary(mine.id, "Stat", {"path": "/tmp/done"}).status, 404)
        total, tail = 0, b""
        while piece := file.read1(1 << 20):
            total, tail = total + len(piece), (tail + piece)[-7:]
            if tail == b"\r\n0\r\n\r\n" or total > 90000000:
                break
        true(total > 66000000, total)
        sock.close()


def both_ways(sock, data):
    """Send data and read until the server's WebSocket close, in one thread (a
    TLS socket of Python's is not for two): the messages' payloads."""
    sock.setblocking(False)
    view, have, at, found, until = memoryview(data), bytearray(), 0, [], time.monotonic() + 60
    while time.monotonic() < until:
        idle = True
        if view:
            try:
                view, idle = view[sock.send(view[:1 << 16]):], False
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
        try:
            piece = sock.recv(1 << 18)
            true(piece, "cut")
            have, idle = have + piece, False
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        while len(have) - at >= 10:
            if have[at] & 0x0f == 8:
                return found
            size, head = have[at + 1] & 0x7f, 2
            if size == 126:
                (size,), head = struct.unpack_from("!H", have, at + 2), 4
            elif size == 127:
                (size,), head = struct.unpack_from("!Q", have, at + 2), 10
            if len(have) - at < head + size:
                break
            found.append(bytes(have[at + head:at + head + size]))
            at += head + size
        if len(have) - at >= 2 and have[at] & 0x0f == 8:
            return found
        have, at = have[at:], 0
        if idle:
            select.select([sock], [sock] if view else [], [], 1)
    raise AssertionError("no close")


def a_socket_carries_much_both_ways():
    data, size = os.urandom(8 << 20), 40000
    with created() as mine:
        sock, _, answer = upgrade(mine.id)
        equal((answer.status, answer.headers["sec-websocket-protocol"]), (101, "connect.sandbox.v1"))

        def message(content):
            part = frame(content)
            return struct.pack("!BBH", 0x82, 0x80 | 126, len(part)) + b"\0\0\0\0" + part

        sent = [message({"open": {"command": f"head -c {len(data)} | tee /tmp/copy", "cwd": "/", "timeoutSeconds": 60}})]
        sent += [message({"stdin": base64.b64encode(data[i:i + size]).decode()}) for i in range(0, len(data), size)]
        out, code = [], None
        for payload in both_ways(sock, b"".join(sent)):
            for _, told in frames(payload):
                if "stdout" in told:
                    out.append(base64.b64decode(told["stdout"]))
                elif "exit" in told:
                    code = told["exit"].get("exitCode", 0)
        sock.close()
        true(b"".join(out) == data, "8 MiB there and back")
        equal(code, 0)


CHECKS = [the_shim, the_direct_sandbox, code, a_fork_is_a_copy, a_terminal, a_killed_terminal_takes_its_program_along,
          the_server, idempotency_as_the_server_has_it, nobody_elses_keys, ownership, carriers, errors,
          the_answers_that_are_mended, ports_by_path, a_host_that_opens,
          an_old_link_does_not_open_the_next_of_an_id, both_doors, a_direct_host, a_kill_cuts_streams, streams_count,
          a_slow_reader_holds_the_program, a_socket_carries_much_both_ways]
for check in CHECKS:
    report.check(check.__name__.replace("_", " "), check)
report.end()
