"""wire - exact answers to exact bytes, over TLS, without an SDK.

Run in the environment that ./quickstart sh gives.
"""
import json
import os
import re
import socket
import ssl
import subprocess
import time

from report import Report, equal, true
from wire_parts import (CONFIG, DOMAIN, HOST, KEY, NAME, OTHER, PORT, ROOT, UNKNOWN, api, ask, connect, envd, error_body, frame, frames,
                        made, read_answer, start)

report = Report("wire")


# ---- control plane ----

def create_has_the_exact_shape():
    answer = api("POST", "/v2/sandboxes", {"templateID": "base", "metadata": {}, "envVars": {}})
    equal(answer.status, 201)
    body = answer.json()
    true(re.fullmatch(r"i[a-z0-9]{20}", body["sandboxID"]), body["sandboxID"])
    equal((body["clientID"], body["envdVersion"], body["domain"]), ("6532622b", "0.5.7", None))
    true(re.fullmatch(r"[0-9a-f]{64}", body["envdAccessToken"]), "a token")
    equal(answer.headers["content-type"], "application/json")
    equal(answer.headers["keep-alive"], "timeout=600")
    detail = api("GET", f"/sandboxes/{body['sandboxID']}").json()
    for name in ("templateID", "sandboxID", "clientID", "startedAt", "endAt", "envdVersion", "cpuCount", "memoryMB", "diskSizeMB", "state"):
        true(name in detail, name)
    equal(detail["envdAccessToken"], body["envdAccessToken"])
    again = api("POST", f"/v2/sandboxes/{body['sandboxID']}/connect", {})
    equal((again.status, again.json()["envdAccessToken"]), (200, body["envdAccessToken"]))
    gone = api("DELETE", f"/sandboxes/{body['sandboxID']}")
    equal((gone.status, gone.body), (204, b""))
    error_body(api("DELETE", f"/sandboxes/{body['sandboxID']}"), 404)


def v1_rows():
    plain = api("POST", "/sandboxes", {"templateID": "base", "timeout": 60}).json()
    true("envdAccessToken" in plain, "the token is always told")
    equal(envd(plain, "/process.Process/List", token=False).status, 200)
    secure = api("POST", "/sandboxes", {"templateID": "base", "timeout": 60, "secure": True}).json()
    equal(envd(secure, "/process.Process/List", token=False).status, 401)
    equal(api("POST", f"/sandboxes/{plain['sandboxID']}/connect", {"timeout": 100}).status, 200)
    error_body(api("POST", f"/sandboxes/{plain['sandboxID']}/connect", {}), 400, message="timeout")
    listed = api("GET", "/sandboxes").json()
    true({plain["sandboxID"], secure["sandboxID"]} <= {row["sandboxID"] for row in listed}, "both are listed")
    equal(api("POST", f"/sandboxes/{plain['sandboxID']}-6532622b/timeout", {"timeout": 0}).status, 204)
    for _ in range(50):
        if api("GET", f"/sandboxes/{plain['sandboxID']}").status == 404:
            break
        time.sleep(0.1)
    equal(api("GET", f"/sandboxes/{plain['sandboxID']}").status, 404)
    api("DELETE", f"/sandboxes/{secure['sandboxID']}")


def keys_are_checked():
    bodies = set()
    for key in (None, "e2b_" + "0" * 40, "nonsense", "e2b_" + "A" * 40, KEY + "0", ""):
        answer = api("GET", "/v2/sandboxes", key=key)
        error_body(answer, 401)
        bodies.add(answer.body)
    equal(len(bodies), 1)
    error_body(ask("GET", "/v2/sandboxes", headers={"X-API-Key": [KEY, KEY]}), 400)
    equal(ask("GET", "/v2/sandboxes", headers={"X-API-Key": KEY, "Authorization": "Bearer stray"}).status, 200)


def a_revoked_key_is_refused_within_2_s():
    program = os.path.join(ROOT, "build", "sandgate")
    key = subprocess.run([program, "key", "create", "--team", "first", "-c", CONFIG], check=True,
                         capture_output=True, text=True).stdout
    true(re.fullmatch(r"e2b_[0-9a-f]{40}\n", key), f"nothing but the key: {key!r}")
    key = key.strip()
    until = time.monotonic() + 2
    while api("GET", "/v2/sandboxes", key=key).status != 200:
        true(time.monotonic() < until, "a new key is good within 2 s")
        time.sleep(0.05)
    rows = subprocess.run([program, "key", "list", "-c", CONFIG], check=True, capture_output=True, text=True).stdout
    true(key not in rows, "the key itself is not listed")
    number = next(row.split()[0] for row in rows.splitlines() if key[-4:] in row)
    subprocess.run([program, "key", "revoke", number, "-c", CONFIG], check=True, capture_output=True)
    begun = time.monotonic()
    while api("GET", "/v2/sandboxes", key=key).status == 200:
        true(time.monotonic() - begun < 2, "a revoked key is refused within 2 s")
        time.sleep(0.05)
    error_body(api("GET", "/v2/sandboxes", key=key), 401)


def bad_bodies_name_what_is_wrong():
    for text in ("", "{", "[]", "null", '"x"', '{"templateID":"base"} x', '{"templateID":"base","templateID":"base"}', '{"templateID":NaN}',
                 "\ufeff{}", '{"templateID":"\\ud800"}'):
        error_body(api("POST", "/v2/sandboxes", text.encode("utf-8", "surrogatepass")), 400)
    error_body(api("POST", "/v2/sandboxes", b'{"templateID":"\xff"}'), 400)
    error_body(api("POST", "/v2/sandboxes", '{"a":' * 40 + "1" + "}" * 40), 400)
    error_body(api("POST", "/v2/sandboxes", '{"templateID":"base","x":"%s"}' % ("y" * 300_000)), 413)
    for fields, name in (({}, "templateID"), ({"templateID": 5}, "templateID"), ({"timeout": -1}, "timeout"), ({"timeout": 0}, "timeout"),
                         ({"timeout": "5"}, "timeout"), ({"timeout": True}, "timeout"), ({"timeout": 1.5}, "timeout"), ({"timeout": 10**7}, "imeout"),
                         ({"metadata": {"a": 1}}, "metadata"), ({"metadata": []}, "metadata"), ({"envVars": {"a": 5}}, "envVars"),
                         ({"autoPause": True}, "autoPause"), ({"autoResume": {"enabled": True}}, "autoResume"), ({"autoPauseMemory": False}, "autoPauseMemory"),
                         ({"network": {"allowOut": ["1.1.1.1"]}}, "allowOut"), ({"network": {"maskRequestHost": "a b"}}, "maskRequestHost"),
                         ({"iam": {"tokens": {"a": {"audience": "x", "tokenType": "JWT-SVID"}}}}, "iam"), ({"volumeMounts": [{"name": "a", "path": "/a"}]}, "volumeMounts")):
        body = fields if name == "templateID" else {"templateID": "base", **fields}
        error_body(api("POST", "/v2/sandboxes", body), 400, message=name)
    error_body(api("POST", "/v2/sandboxes", {"templateID": "no-such"}), 404, message="no-such")
    error_body(api("POST", "/v2/sandboxes", {"templateID": "base"}, Content_Encoding="gzip"), 415)
    error_body(ask("POST", "/v2/sandboxes", headers={"X-API-Key": KEY, "Content-Type": "text/xml"}, body="{}"), 415)
    error_body(api("POST", "/v2/sandboxes", {"templateID": "base"}, Idempotency_Key="Not Good"), 400, message="Idempotency-Key")
    answer = api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 30, "autoPause": False, "autoResume": {"enabled": False}, "secure": False,
                                           "allow_internet_access": False, "mcp": {"x": 1}, "iam": None, "volumeMounts": None, "newer": [1]})
    equal(answer.status, 201)
    api("DELETE", f"/sandboxes/{answer.json()['sandboxID']}")


def unknown_and_foreign_are_alike():
    mine = made()["sandboxID"]
    for method, path, body in (("GET", "/sandboxes/%s", None), ("DELETE", "/sandboxes/%s", None), ("POST", "/sandboxes/%s/timeout", {"timeout": 5}),
                               ("POST", "/v2/sandboxes/%s/connect", {}), ("POST", "/sandboxes/%s/connect", {"timeout": 5})):
        foreign = api(method, path % mine, body, key=OTHER)
        unknown = api(method, path % UNKNOWN, body, key=OTHER)
        error_body(foreign, 404)
        equal(foreign.body.replace(mine.encode(), UNKNOWN.encode()), unknown.body)
        equal({**foreign.headers, "date": "", "x-request-id": ""}, {**unknown.headers, "date": "", "x-request-id": ""})
    equal(api("GET", f"/sandboxes/{mine}").status, 200)
    error_body(api("GET", "/sandboxes/I_BAD"), 400, message="Invalid sandbox ID")
    error_body(api("GET", "/sandboxes/a-b-c"), 400)
    api("DELETE", f"/sandboxes/{mine}")


def unlisted_calls_answer_clearly():
    box = made()["sandboxID"]
    for method, path, body in (("POST", f"/sandboxes/{box}/pause", {}), ("POST", f"/sandboxes/{box}/snapshots", {}), ("POST", f"/sandboxes/{box}/fork", {}),
                               ("PUT", f"/sandboxes/{box}/network", {}), ("GET", f"/sandboxes/{box}/metrics", None), ("POST", "/v3/templates", {"name": "x"}),
                               ("GET", "/no/such", None), ("POST", "/v2/sandboxes/%2e%2e/connect", {}), ("GET", "/sandboxes/%00", None)):
        answer = api(method, path, body)
        true(400 <= answer.status <= 501 and answer.status not in (499,), answer)
        error_body(answer, answer.status)
        if answer.status >= 500:
            true(answer.headers.get("should-retry") in ("true", "false"), "Should-Retry")
    error_body(api("POST", f"/sandboxes/{box}/resume", {}), 409)
    answer = api("PATCH", "/v2/sandboxes")
    error_body(answer, 405)
    true("POST" in answer.headers["allow"], "Allow")
    api("DELETE", f"/sandboxes/{box}")


def cursors():
    boxes = [made(metadata={"cursor": "yes"})["sandboxID"] for _ in range(3)]
    page = api("GET", "/v2/sandboxes?metadata=cursor%3Dyes&limit=2")
    equal([row["sandboxID"] for row in page.json()], boxes[::-1][:2])
    token = page.headers["x-next-token"]
    true(re.fullmatch(r"[A-Za-z0-9_=-]+", token), token)
    last = api("GET", f"/v2/sandboxes?metadata=cursor%3Dyes&limit=2&nextToken={token}")
    equal(([row["sandboxID"] for row in last.json()], "x-next-token" in last.headers), ([boxes[0]], False))
    full = api("GET", "/v2/sandboxes?metadata=cursor%3Dyes&limit=3")
    equal("x-next-token" in full.headers, False)
    up = api("GET", "/v2/sandboxes?metadata=cursor%3Dyes&order=asc&state=running,paused")
    equal([row["sandboxID"] for row in up.json()], boxes)
    equal(api("GET", "/v2/sandboxes?metadata=cursor%3Dyes&state=paused").json(), [])
    for query in ("limit=0", "limit=101", "limit=x", "nextToken=%21", "state=dead", "order=up", "startedAfter=yesterday"):
        error_body(api("GET", f"/v2/sandboxes?{query}"), 400)
    for box in boxes:
        api("DELETE", f"/sandboxes/{box}")


# ---- routing ----

def hosts():
    box = made()
    name = f"49983-{box['sandboxID']}.{DOMAIN}"
    equal(ask("GET", "/health", host=name).status, 204)
    equal(ask("GET", "/health", host=f"49983-{box['sandboxID']}-6532622b.{DOMAIN}").status, 204)
    equal(ask("GET", "/health", host=name.upper(), sni=name).status, 204)
    both = {"E2b-Sandbox-Id": box["sandboxID"], "E2b-Sandbox-Port": "49983"}
    equal(ask("GET", "/health", host=f"sandbox.{DOMAIN}", headers=both).status, 204)
    equal(ask("GET", "/health", host=f"localhost:{PORT}", headers=both).status, 204)
    equal(ask("GET", "/health", host=f"127.0.0.1:{PORT}", headers=both).status, 204)
    for half in ("E2b-Sandbox-Id", "E2b-Sandbox-Port"):
        equal(ask("GET", "/files", host=f"localhost:{PORT}", headers={half: both[half]}).status, 400)
    equal(ask("GET", "/files", host=f"sandbox.{DOMAIN}").status, 400)
    equal(ask("GET", "/health", host=name, headers={"E2b-Sandbox-Id": UNKNOWN, "E2b-Sandbox-Port": "80"}).status, 204)
    equal(ask("GET", "/v2/sandboxes", host=f"localhost:{PORT}", headers={"X-API-Key": KEY, "E2b-Sandbox-Id": UNKNOWN}).status, 200)
    equal(ask("GET", "/v2/sandboxes", headers={"X-API-Key": KEY, **both}).status, 200)
    for host in ("example.org", f"evilapi.{DOMAIN}", f"api.{NAME}.evil.org", NAME + ".org"):
        equal(ask("GET", "/health", host=host, sni=f"api.{DOMAIN}").status, 421)
    for bad in (f"0-{box['sandboxID']}", f"65536-{box['sandboxID']}", f"08080-{box['sandboxID']}", f"8e3-{box['sandboxID']}"):
        answer = ask("GET", "/", host=f"{bad}.{DOMAIN}")
        equal(answer.status, 400)
        true(b"Invalid sandbox port" in answer.body, answer)
    equal(ask("GET", "/", host=f"80-{'x' * 58}.{DOMAIN}").status, 400)
    answer = ask("GET", "/health", host=f"49983-{UNKNOWN}.{DOMAIN}")
    equal((answer.status, answer.body), (502, b'{"sandboxId":"%s","message":"The sandbox was not found","code":502}' % UNKNOWN.encode()))
    equal(answer.headers["content-type"], "application/json; charset=utf-8")
    api("DELETE", f"/sandboxes/{box['sandboxID']}")
    for path in ("/health", "/files?path=x"):
        equal(ask("GET", path, host=name).body, answer.body.replace(UNKNOWN.encode(), box["sandboxID"].encode()))


def blocked_paths():
    for path in ("/init", "/freeze", "/upgrade", "//init", "/./init", "/a/../init", "/init/", "/%69nit", "/fsthaw"):
        for method in ("GET", "POST"):
            answer = ask(method, path, host=f"49983-{UNKNOWN}.{DOMAIN}", body="" if method == "POST" else None)
            equal((answer.status, answer.json()["code"]), (404, 404))


def preflights():
    answer = ask("OPTIONS", "/v2/sandboxes", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
                                                      "Access-Control-Request-Headers": "x-api-key,idempotency-key"})
    true(answer.status in (200, 204), answer)
    equal(answer.headers["access-control-allow-origin"], "*")
    true("idempotency-key" in answer.headers["access-control-allow-headers"].lower(), answer)
    answer = ask("OPTIONS", "/process.Process/List", host=f"49983-{UNKNOWN}.{DOMAIN}",
                 headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-access-token,connect-protocol-version"})
    equal((answer.status, answer.headers["access-control-allow-origin"], answer.headers["access-control-allow-methods"],
           answer.headers["access-control-allow-headers"], answer.headers["access-control-max-age"]),
          (204, "*", "POST", "x-access-token,connect-protocol-version", "7200"))
    answer = ask("OPTIONS", "/execute", host=f"49999-{UNKNOWN}.{DOMAIN}", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
    equal((answer.status, answer.headers["access-control-allow-origin"]), (200, "*"))


# ---- data plane ----

def processes_on_the_wire():
    box = made()
    answer = start(box, "echo hi; echo no >&2; exit 3")
    equal((answer.status, answer.headers["content-type"]), (200, "application/connect+json"))
    got = frames(answer.body)
    pid = got[0][1]["event"]["start"]["pid"]
    true(pid > 1, "a pid")
    data = {json.dumps(message) for _, message in got[1:-2]}
    equal(data, {json.dumps({"event": {"data": {"stdout": "aGkK"}}}), json.dumps({"event": {"data": {"stderr": "bm8K"}}})})
    equal(got[-2:], [(0, {"event": {"end": {"exitCode": 3, "exited": True, "status": "exit status 3", "error": "exit status 3"}}}), (2, {})])
    equal(frames(start(box, "kill -KILL $$").body)[-2][1]["event"]["end"],
          {"exitCode": -1, "status": "signal: killed", "error": "signal: killed"})
    equal(frames(start(box, "true").body)[-2][1], {"event": {"end": {"exited": True, "status": "exit status 0"}}})
    got = frames(start(box, "sleep 5", headers={"Connect_Timeout_Ms": "300"}).body)
    equal(got[-1], (2, {"error": {"code": "deadline_exceeded", "message": "context deadline exceeded"}}))
    got = frames(start(box, "touch /tmp/ran", headers={"Connect_Timeout_Ms": "0"}).body)
    equal(got[0][1]["error"]["code"], "deadline_exceeded")
    equal(frames(start(box, "test -e /tmp/ran").body)[-2][1]["event"]["end"]["exitCode"], 1)
    got = frames(start(box, "sleep 3", headers={"Keepalive_Ping_Interval": "1"}).body)
    true((0, {"event": {"keepalive": {}}}) in got, "a keepalive")
    for headers in ({"Connect_Timeout_Ms": "abc"}, {"Connect_Timeout_Ms": "10000000000"}, {"Connect_Protocol_Version": "2"}):
        got = frames(start(box, "true", headers=headers).body)
        equal((got[0][0], got[0][1]["error"]["code"]), (2, "invalid_argument"))
    for more in ({"stdin": True}, {"pty": {"size": {"cols": 80, "rows": 24}}}):
        got = frames(start(box, "cat", **more).body)
        equal((got[0][0], got[0][1]["error"]["code"]), (2, "unimplemented"))
    equal(frames(envd(box, "/process.Process/Connect", frame({"process": {"pid": 999999}}), "application/connect+json").body),
          [(2, {"error": {"code": "not_found", "message": "process with pid 999999 not found"}})])
    answer = envd(box, "/process.Process/SendSignal", '{"process":{"pid":999999},"signal":"SIGNAL_SIGKILL"}')
    equal((answer.status, answer.json()["code"]), (404, "not_found"))
    for kind in ("text/plain", "application/json; charset=latin-1", "application/connect+json"):
        equal(envd(box, "/process.Process/List", "{}", kind).status, 415)
    answer = envd(box, "/process.Process/List", "")
    equal((answer.status, answer.json()["code"]), (400, "invalid_argument"))
    equal(envd(box, "/process.Process/List", None, method="GET").status, 405)
    equal(envd(box, "/process.Process/Nothing").status, 404)
    equal(frames(envd(box, "/process.Process/Start", b"", "application/connect+json").body)[0][1]["error"]["code"], "unimplemented")
    equal(frames(envd(box, "/process.Process/Start", b"\0\0\0\0\x05{}", "application/connect+json").body)[0][1]["error"]["code"], "invalid_argument")
    api("DELETE", f"/sandboxes/{box['sandboxID']}")
    answer = start(box, "true")
    equal((answer.status, answer.json()["message"]), (502, "The sandbox was not found"))


def filesystem_on_the_wire():
    box = made()

    def fs(method, **body):
        return envd(box, f"/filesystem.Filesystem/{method}", json.dumps(body))

    def failed(answer, status, code, message):
        equal((answer.status, answer.headers["content-type"], answer.json()), (status, "application/json", {"code": code, "message": message}))

    failed(fs("Stat", path="/no/x"), 404, "not_found", "file not found: lstat /no/x: no such file or directory")
    equal(fs("MakeDir", path="d").json()["entry"]["path"], "/home/user/d")
    failed(fs("MakeDir", path="d"), 409, "already_exists", "directory already exists: /home/user/d")
    failed(fs("ListDir", path="/etc/passwd"), 400, "invalid_argument", "path is not a directory: /etc/passwd")
    equal(fs("ListDir", path="d").json(), {})
    equal(fs("Remove", path="d").json(), {})
    equal(fs("Remove", path="d").json(), {})
    true(fs("Remove").status >= 400, "an empty path is not removed")
    equal(envd(box, "/filesystem.Filesystem/WatchDir", frame({"path": "/tmp"}), "application/connect+json").status, 200)
    equal(envd(box, "/filesystem.Filesystem/CreateWatcher", '{"path":"/tmp"}').json()["code"], "unimplemented")
    answer = envd(box, "/files?path=/no", None, method="GET")
    equal((answer.status, answer.body), (404, b'{"code":404,"message":"path \'/no\' does not exist"}\n'))
    answer = envd(box, "/files?path=/tmp", None, method="GET")
    equal((answer.status, answer.body), (400, b'{"code":400,"message":"path \'/tmp\' is a directory"}\n'))
    answer = envd(box, "/files?path=r.txt", "0123456789", "application/octet-stream")
    equal((answer.status, answer.body), (200, b'[{"name":"r.txt","path":"/home/user/r.txt","type":"file"}]'))
    answer = envd(box, "/files?path=r.txt", None, method="GET", Range="bytes=2-4")
    equal((answer.status, answer.body, answer.headers["content-range"]), (206, b"234", "bytes 2-4/10"))
    import gzip
    answer = envd(box, "/files?path=g.txt", gzip.compress(b"unpacked"), "application/octet-stream", Content_Encoding="gzip")
    equal(answer.status, 200)
    equal(envd(box, "/files?path=g.txt", None, method="GET").body, b"unpacked")
    equal(envd(box, "/files?path=/proc/version", None, method="GET").body[:5], b"Linux")
    answer = envd(box, "/files", "x", "application/octet-stream")
    equal((answer.status, answer.json()["message"]), (400, "path query parameter is required for raw body upload"))
    answer = envd(box, "/files?path=x", "x", "text/plain")
    equal(answer.status, 400)
    answer = envd(box, "/files?path=x", "x", "application/octet-stream", Content_Encoding="br")
    true(answer.status in (400, 415), answer)
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def code_on_the_wire():
    box = made(templateID="code-interpreter-v1")
    answer = envd(box, "/execute", json.dumps({"code": "print('é\\u2028x')\n1+1", "context_id": None, "language": None, "env_vars": None}), port=49999)
    equal(answer.status, 200)
    lines = answer.body.decode("ascii").split("\n")
    equal(lines[-1], "")
    rows = [json.loads(line) for line in lines[:-1]]
    equal([row["type"] for row in rows], ["number_of_executions", "stdout", "result", "end_of_execution"])
    equal(rows[1]["text"], "é\u2028x\n")
    true(lines[2].startswith('{"type": "result", "text": "2", '), lines[2])
    for body in ("", "{", '{"code":5}', "[]"):
        equal(envd(box, "/execute", body, port=49999).status, 422)
    equal(envd(box, "/execute", '{"code":"1","context_id":"none"}', port=49999).status, 404)
    equal(envd(box, "/health", None, method="GET", port=49999, token=False).body, b'"OK"')
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def expect_continue():
    box = made()
    for path, want in (("/files?path=e.txt", b"HTTP/1.1 100"), ("/nothing", b"HTTP/1.1 4")):
        with connect(f"49983-{box['sandboxID']}.{DOMAIN}") as sock:
            sock.sendall(f"POST {path} HTTP/1.1\r\nHost: 49983-{box['sandboxID']}.{DOMAIN}\r\nX-Access-Token: {box['envdAccessToken']}\r\n"
                         f"Content-Type: application/octet-stream\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
            sock.settimeout(5)
            first = sock.recv(200)
            true(first.startswith(want), first)
            if b"100" in first[:12]:
                sock.sendall(b"hello")
                equal(read_answer(sock.makefile("rb")).status, 200)
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def no_secret_in_any_log():
    box = made(metadata={"canary": "x"}, envVars={"CANARY": "canary-4711"})
    ask("GET", "/files?path=a&signature=v1_canary4712&token=canary4713", host=f"49983-{box['sandboxID']}.{DOMAIN}", headers={"Authorization": "Basic Y2FuYXJ5NDcxNA==", "Cookie": "canary4715"})
    api("GET", "/v2/sandboxes?api_key=canary4716", key="e2b_" + "4717" * 10)
    time.sleep(0.3)
    folder = os.path.dirname(CONFIG)
    text = "".join(open(os.path.join(folder, name), errors="replace").read() for name in os.listdir(folder) if name.endswith(".log") and "sandgate" in name or name == "access.log")
    true(box["sandboxID"] in text, "the requests are logged")
    for secret in (KEY, OTHER, box["envdAccessToken"], "canary-4711", "canary4712", "canary4713", "Y2FuYXJ5NDcxNA", "canary4715", "canary4716", "4717" * 10):
        true(secret not in text, f"{secret} is in a log")
    api("DELETE", f"/sandboxes/{box['sandboxID']}")


def status_listener():
    address = re.search(r"status:.*port: (\d+)", open(CONFIG).read()).group(1)
    def plain(path):
        with socket.create_connection(("127.0.0.1", int(address)), timeout=5) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            return read_answer(sock.makefile("rb"))
    equal(plain("/healthz").status, 200)
    equal(plain("/readyz").status, 200)
    metrics = plain("/metrics")
    equal(metrics.status, 200)
    true(b"# HELP" in metrics.body and b"# TYPE" in metrics.body, metrics.body[:200])
    true(KEY.encode() not in metrics.body, "no key")
    equal(plain("/v2/sandboxes").status, 404)


def tls_names():
    context = ssl.create_default_context(cafile=os.environ["SANDGATE_CA"])
    context.check_hostname = False
    for name in ("example.org",):
        try:
            with socket.create_connection((HOST, int(PORT)), timeout=5) as raw, context.wrap_socket(raw, server_hostname=name):
                raise AssertionError(f"{name} got a certificate")
        except ssl.SSLError as error:
            true("UNRECOGNIZED_NAME" in str(error).upper(), str(error))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((HOST, int(PORT)), timeout=5) as raw, context.wrap_socket(raw, server_hostname=f"api.{NAME}") as sock:
        equal(sock.selected_alpn_protocol(), "http/1.1")


for test in (create_has_the_exact_shape, v1_rows, keys_are_checked, a_revoked_key_is_refused_within_2_s, bad_bodies_name_what_is_wrong,
             unknown_and_foreign_are_alike, unlisted_calls_answer_clearly, cursors, hosts, blocked_paths, preflights, processes_on_the_wire,
             filesystem_on_the_wire, code_on_the_wire, expect_continue, no_secret_in_any_log, status_listener, tls_names):
    report.check(test.__name__.replace("_", " "), test)
report.end()
