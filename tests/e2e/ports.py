"""ports - bytes between clients and apps in sandboxes, and who may see them.

Every check of carrying runs twice: with raw forwards and over the sandbox
server's HTTP proxy.  Run in the environment that ./quickstart sh gives.
"""
import hashlib
import json
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import port_parts as parts
import wire_parts as wire
from port_parts import BROWSER, OtherWay, Way, WebSocket, all_of, enter, in_threads, mint, mint_by_secret, token_of
from report import Report, equal, true

report = Report("ports")


def names(echoed):
    return {name.lower(): value for name, value in echoed["fields"]}


# ---- carrying ----

def raw_paths(way, box):
    kept = ["/", "/a/", "/a//b", "//a", "/a/./b", "/a/../b", "/a/..", "/x;y=1", "/a?", "/a?b=%2F&c=//", "/%20%5B%5D%3F%25", "/@scope:x,y"]
    undone = ["/a%2Fb", "/%2e%2e/b", "/%41"]
    for path in kept + undone:
        answer = way.ask("GET", path, way.host(box))
        if way.name == "expose" and path in undone:
            body = wire.error_body(answer, 501, message="cannot carry this path")
            equal(body["sandboxId"], box["sandboxID"])
            continue
        equal((path, answer.status), (path, 200))
        if path != "/":
            equal(answer.json()["line"], f"GET {path} HTTP/1.1")
    if way.name == "expose":
        equal(way.ask("GET", "/a%zz", way.host(box)).status, 400)


def fields_of_a_request(way, box):
    host = way.host(box)
    answer = way.ask("GET", "/echo", host, {
        "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "gopher", "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6", "Via": "1.1 evil", "Keep-Alive": "timeout=5", "TE": "trailers", "Proxy-Authorization": "x",
        "Connection": "keep-alive, x-once", "X-Once": "1", "X-Kept": "1", "X-API-Key": way.key,
        "X-Access-Token": box["envdAccessToken"], "E2b-Sandbox-Id": "other", "X-Sandgate-Team": "x"})
    have = names(answer.json())
    equal(have["host"], host)
    equal(have["x-forwarded-host"], host)
    equal(have["x-kept"], "1")
    for name in ("forwarded", "x-real-ip", "via", "keep-alive", "proxy-authorization", "x-once", "x-api-key", "x-access-token",
                 "e2b-sandbox-id", "x-sandgate-team"):
        true(name not in have, f"{name} came through")
    true("6.6.6.6" not in answer.body.decode() and "evil" not in answer.body.decode(), answer.body)


def fields_of_an_answer(way, box):
    domain = way.domain.split(":")[0]
    sock, file, (status, headers) = way.stream("GET", "/cookies", way.host(box), {"X-Domain": domain})
    with sock:
        equal(status, 200)
        equal(sorted(all_of(headers, "set-cookie")), ["plain=1; Path=/", "wide=1; Path=/"])
        equal(all_of(headers, "alt-svc") + all_of(headers, "clear-site-data"), [])
    sock, file, (status, headers) = way.stream("GET", "/cors", way.host(box), {"Origin": "https://a.example"})
    with sock:
        equal(all_of(headers, "access-control-allow-origin"), ["https://a.example"])


def heads_and_ranges(way, box):
    host = way.host(box)
    whole = way.ask("GET", "/range", host)
    equal((whole.status, len(whole.body)), (200, 1 << 20))
    head = way.ask("HEAD", "/range", host)
    equal((head.status, head.headers["content-length"], head.body), (200, str(1 << 20), b""))
    part = way.ask("GET", "/range", host, {"Range": "bytes=1000-1999"})
    equal((part.status, part.headers["content-range"]), (206, f"bytes 1000-1999/{1 << 20}"))
    equal(part.body, whole.body[1000:2000])


def events_at_once(way, box):
    start = time.monotonic()
    sock, file, (status, headers) = way.stream("GET", "/sse", way.host(box), {"Accept": "text/event-stream"})
    with sock:
        equal((status, all_of(headers, "content-type")), (200, ["text/event-stream"]))
        data = file.readline() + file.readline()
        true(b"data: first" in data and time.monotonic() - start < 1, f"{data!r} after {time.monotonic() - start:.2f} s")


def uploads(way, box):
    """64 MiB with a length, 16 MiB in chunks, and 100-continue."""
    host, piece = way.host(box), os.urandom(1 << 20)
    with way.connect(host) as sock:
        file = sock.makefile("rb")
        sock.sendall(way.head("PUT", "/up", host, {"Content-Length": 64 << 20}))
        for _ in range(64):
            sock.sendall(piece)
        have = wire.read_answer(file).json()
        equal((have["size"], have["sha256"]), (64 << 20, hashlib.sha256(piece * 64).hexdigest()))
    with way.connect(host) as sock:
        file = sock.makefile("rb")
        sock.sendall(way.head("POST", "/up", host, {"Transfer-Encoding": "chunked"}))
        for _ in range(16):
            sock.sendall(b"100000;x=y\r\n" + piece + b"\r\n")
        sock.sendall(b"0\r\nX-Trailer: 1\r\n\r\n")
        have = wire.read_answer(file).json()
        equal((have["size"], have["sha256"]), (16 << 20, hashlib.sha256(piece * 16).hexdigest()))
    with way.connect(host) as sock:
        file = sock.makefile("rb")
        sock.sendall(way.head("POST", "/up", host, {"Content-Length": 5, "Expect": "100-continue"}))
        equal(file.readline(), b"HTTP/1.1 100 Continue\r\n")
        file.readline()
        sock.sendall(b"hello")
        equal(wire.read_answer(file).json()["size"], 5)


def downloads(way, box):
    """64 MiB in chunks; trailers are dropped; an early answer is heard."""
    sock, file, (status, headers) = way.stream("GET", "/large?64", way.host(box))
    with sock:
        size = 0
        while True:
            length = int(file.readline().split(b";")[0], 16)
            file.read(length + 2)
            size += length
            if length == 0:
                break
        equal(size, 64 << 20)
    sock, file, (status, headers) = way.stream("GET", "/trailers", way.host(box), {"Connection": "close"})
    with sock:
        body = file.read()
        true(b"body" in body and b"X-Sum" not in body and b"stolen" not in body, body)
    with way.connect(way.host(box)) as sock:
        sock.sendall(way.head("POST", "/early", way.host(box), {"Content-Length": 1 << 30}))
        while not select.select([sock], [], [], 0.01)[0]:
            sock.sendall(b"x" * 65536)
        equal(wire.read_answer(sock.makefile("rb")).status, 413)


def cuts_are_cuts(way, box):
    """A body that its app breaks off is not ended cleanly."""
    sock, file, (status, headers) = way.stream("GET", "/cut", way.host(box))
    with sock:
        equal((status, all_of(headers, "content-length")), (200, ["1000"]))
        try:
            data = file.read()
        except OSError:
            data = b""
        true(len(data) < 1000, data)


def websockets(way, box):
    socket_ = WebSocket(way, way.host(box), headers={"Sec-WebSocket-Protocol": "chat, other", "Origin": "https://elsewhere.example"})
    equal((socket_.status, all_of(socket_.headers, "sec-websocket-protocol")), (101, ["chat"]))
    for data in (b"", b"x", os.urandom(70000), os.urandom(3 << 20)):
        socket_.send(data)
        equal(socket_.receive(), (2, data))
    socket_.send(b"headers", kind=1)
    have = {name.lower(): value for name, value in json.loads(socket_.receive()[1])}
    equal((have["origin"], have["host"]), ("https://elsewhere.example", way.host(box)))
    socket_.send(b"\x03\xe8bye", kind=8)
    equal(socket_.receive(), (8, b"\x03\xe8bye"))
    equal(socket_.receive(), (None, b""))
    socket_.close()
    # Both at once: some 40 frames on their way each (one thread: a TLS socket
    # of Python's is not for two).
    socket_ = WebSocket(way, way.host(box))
    for i in range(240):
        if i < 200:
            socket_.send(bytes([i]) * 5000)
        if i >= 40:
            equal(socket_.receive(), (2, bytes([i - 40]) * 5000))
    socket_.close()


def half_closes(way, box):
    """An answer under way arrives behind the client's end; the app is told of
    it when it has nothing more to say."""
    def count():
        return int(way.ask("GET", "/count", way.host(box)).body)
    before = count()
    socket_ = WebSocket(way, way.host(box))
    for data in (b"later", b"last"):
        socket_.send(data)
    socket_.end()
    equal([socket_.receive() for _ in range(3)], [(2, b"later"), (2, b"last"), (None, b"")])
    true(count() <= before, count())
    socket_.close()


def closed_ports(way, box):
    answer = way.ask("GET", "/", way.host(box, 3999))
    body = wire.error_body(answer, 502)
    equal((body["message"], body["port"], body["sandboxId"]),
          ("The sandbox is running but port is not open", 3999, box["sandboxID"]))
    page = way.ask("GET", "/", way.host(box, 3999), BROWSER)
    equal((page.status, page.headers["content-type"]), (502, "text/html; charset=utf-8"))
    true(b"python3 -m http.server 3999" in page.body and len(page.body) <= 7168, page.body)
    gone = way.ask("GET", "/", f"3000-{wire.UNKNOWN}.{way.domain}")
    equal(wire.error_body(gone, 502)["message"], "The sandbox was not found")


def many_at_once(way, box):
    """More requests than the back end's proxy takes: they wait in order."""
    answers = in_threads(40, lambda i: way.ask("GET", "/slow?0.2", way.host(box)).status)
    equal(answers, [200] * 40)


# ---- private ports ----

def private_ports(way):
    box = way.made(network={"allowPublicTraffic": False})
    token, host = box["trafficAccessToken"], way.host(box)
    missing = wire.error_body(way.ask("GET", "/echo", host), 403, message="is missing")
    equal((list(missing), missing["sandboxId"]), (["sandboxId", "message", "code"], box["sandboxID"]))
    wrong = "0" * len(token)
    wire.error_body(way.ask("GET", "/echo", host, {"E2b-Traffic-Access-Token": wrong}), 403, message="is invalid")
    page = way.ask("GET", "/", host, BROWSER)
    equal((page.status, b"This sandbox is private" in page.body), (403, True))
    good = way.ask("GET", "/echo", host, {"E2b-Traffic-Access-Token": token})
    equal(good.status, 200)
    true(token not in good.body.decode(), "the token reached the app")
    answer = WebSocket(way, host)
    equal(answer.status, 403)
    answer.close()
    equal(way.ask("GET", "/health", way.host(box, 49983)).status, 204)
    # A link opens it as well: it is the owner's word.
    link = mint(way, box)
    equal(way.ask("GET", link[2], link[1]).status, 200)
    way.kill(box)


def masked_hosts(way):
    box = way.made(network={"maskRequestHost": "localhost:${PORT}"})
    have = names(way.ask("GET", "/echo", way.host(box)).json())
    equal(have["host"], "localhost:3000")
    if way.name == "forward":
        equal(have["x-forwarded-host"], way.host(box))
    way.kill(box)


def self_signed():
    """A key and a certificate that nobody vouches for."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=app", "-keyout", f"{folder}/key", "-out", f"{folder}/cert"], check=True, capture_output=True)
        return open(f"{folder}/key", "rb").read() + open(f"{folder}/cert", "rb").read()


def tls_inside(way):
    """httpsPorts: the app speaks TLS with a certificate of its own making."""
    answer = way.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300, "network": {"httpsPorts": [8443, 9443]}})
    equal(answer.status, 201)
    box = answer.json()
    way.run(box, 8443, "tls", self_signed())
    host, piece = way.host(box, 8443), os.urandom(1 << 20)
    have = way.ask("GET", "/a//b%2F", host).json()
    equal((have["name"], have["line"], names(have)["host"]), ("tls", "GET /a//b%2F HTTP/1.1", host))
    with way.connect(host) as sock:
        file = sock.makefile("rb")
        sock.sendall(way.head("PUT", "/up", host, {"Content-Length": 32 << 20}))
        for _ in range(32):
            sock.sendall(piece)
        equal(wire.read_answer(file).json()["sha256"], hashlib.sha256(piece * 32).hexdigest())
    socket_ = WebSocket(way, host)
    # Sizes about those of reads and records: what one read leaves inside
    # TLS must be read on.
    for n in (0, 1, 4096, 65526, 65536, *range(65537, 82000, 1500), *(1 << 20,) * 8):
        socket_.send(piece[:n])
        equal(socket_.receive(), (2, piece[:n]))
    socket_.close()
    _, at, path = mint(way, box, 8443)
    clean, cookie = enter(way, at, path)
    equal(way.ask("GET", "/echo", at, {"Cookie": cookie}).status, 200)
    equal(wire.error_body(way.ask("GET", "/", way.host(box, 9443)), 502)["port"], 9443)
    way.kill(box)
    # The sandbox server's HTTP proxy cannot do it: refused before it is promised.
    answer = over.api("POST", "/v2/sandboxes", {"templateID": "base", "network": {"httpsPorts": [8443]}})
    wire.error_body(answer, 400, message="httpsPorts")


# ---- links ----

def a_first_visit(way, box):
    _, host, path = mint(way, box)
    token = token_of(path)
    answer = way.ask("GET", f"/a//b/%2Fc?x=1&token={token}&y=2", host, BROWSER)
    equal((answer.status, answer.headers["location"]), (302, "/a//b/%2Fc?x=1&y=2"))
    equal((answer.headers["referrer-policy"], answer.headers["cache-control"]), ("no-referrer", "no-store"))
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    true(cookie.startswith("__Host-sandgate-preview="), cookie)
    equal(sorted(attributes)[0:2], ["HttpOnly", attributes[-1]])
    true({"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} < set(attributes) and "Domain" not in answer.headers["set-cookie"], attributes)
    later = way.ask("GET", "/echo", host, {**BROWSER, "Cookie": f"mine=1; {cookie}; other=2",
                                           "Referer": f"https://{host}/?token={token}&q=1"})
    have = names(later.json())
    equal((later.status, have["cookie"], have["referer"]), (200, "mine=1; other=2", f"https://{host}/?q=1"))
    equal(later.headers["x-robots-tag"], "noindex")
    true(token not in later.body.decode() and cookie not in later.body.decode(), later.body)


def programs_are_not_redirected(way, box):
    _, host, path = mint(way, box)
    token = token_of(path)
    for headers, target in (({"Authorization": f"Bearer {token}"}, "/echo"), ({"E2b-Traffic-Access-Token": token}, "/echo"),
                            ({}, f"/echo?token={token}"), ({"Sec-Fetch-Mode": "cors"}, f"/echo?token={token}")):
        answer = way.ask("GET", target, host, headers)
        equal(answer.status, 200)
        equal(answer.json()["line"], "GET /echo HTTP/1.1")
        true(token not in answer.body.decode(), answer.body)
    for headers in ({}, {"Sec-Fetch-Mode": "cors", "User-Agent": "Mozilla/5.0"}, {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
                    {"Accept": "text/event-stream"}):
        body = wire.error_body(way.ask("GET", "/", host, headers), 401)
        equal(body["error_code"], "TOKEN_MISSING")
    socket_ = WebSocket(way, host)
    equal((socket_.status, socket_.body()["error_code"]), (401, "TOKEN_MISSING"))
    socket_.close()
    socket_ = WebSocket(way, host, headers={"Sec-WebSocket-Protocol": f"sandgate, sandgate-token.{token}"})
    equal((socket_.status, all_of(socket_.headers, "sec-websocket-protocol")), (101, ["sandgate"]))
    socket_.send(b"headers", kind=1)
    true(token.encode() not in socket_.receive()[1], "the token reached the app")
    socket_.close()


def links_that_do_not_count(way, box):
    _, host, path = mint(way, box)
    token = token_of(path)
    other = way.made()
    last = token[-1]
    rows = ((f"/?token={token[:-1]}{'B' if last == 'A' else 'A'}", host, 401, "TOKEN_INVALID"),
            (f"/?token={token}=", host, 401, "TOKEN_INVALID"),
            (f"/?token={token}&token=sgl1_x", host, 401, "TOKEN_INVALID"),
            (f"/?token={token}", way.preview_host(box, 8000), 403, "TOKEN_WRONG_TARGET"),
            (f"/?token={token}", way.preview_host(other), 403, "TOKEN_WRONG_TARGET"))
    for target, at, status, code in rows:
        equal(wire.error_body(way.ask("GET", target, at), status)["error_code"], code)
    page = way.ask("GET", "/?token=nonsense", host, BROWSER)
    equal((page.status, b"This link is not valid" in page.body), (401, True))
    true("default-src 'none'" in page.headers["content-security-policy"], page.headers)
    equal(way.ask("GET", "/", f"admin.{way.preview}").status, 404)
    equal(way.ask("GET", f"/?token={token}", way.preview_host(box, 49983)).status, 403)
    _, host, path = mint(way, box, ttlSeconds=1)
    time.sleep(1.1)
    equal(wire.error_body(way.ask("GET", path, host), 401)["error_code"], "TOKEN_EXPIRED")
    way.kill(other)
    gone = way.ask("GET", f"/?token={token}", way.preview_host(other), BROWSER)
    equal((gone.status, b"This sandbox has ended" in gone.body), (502, True))


def scopes(way, box):
    _, host, path = mint(way, box, methods=["GET"], websocket=False, pathPrefix="/echo")
    token = token_of(path)

    def status(method, target, **headers):
        return way.ask(method, target, host, {"Authorization": f"Bearer {token}", **headers}, b"" if method == "POST" else None).status
    equal([status("GET", "/echo"), status("GET", "/echo/x"), status("GET", "/echos"), status("GET", "/echo/../x"),
           status("POST", "/echo"), status("GET", "/")], [200, 200, 403, 403, 403, 403])
    socket_ = WebSocket(way, host, "/echo", {"Authorization": f"Bearer {token}"})
    equal(socket_.status, 403)
    socket_.close()
    true(path.startswith("/echo"), f"a link opens where it may: {path}")
    _, host, path = mint(way, box, cidrs=["192.0.2.0/24"])
    equal(way.ask("GET", path, host).status, 403)
    _, host, path = mint(way, box, maxUses=2)
    clean, cookie = enter(way, host, path)
    equal([way.ask("GET", path, host).status, way.ask("GET", path, host).status], [200, 401])
    equal(way.ask("GET", "/echo", host, {"Cookie": cookie}).status, 200)


def websockets_by_cookie(way, box):
    _, host, path = mint(way, box)
    _, cookie = enter(way, host, path)
    for origin, status in ((f"https://{host}", 101), ("https://evil.example", 403), (f"https://{way.preview_host(box, 8000)}", 403),
                           (None, 403), ("null", 403)):
        socket_ = WebSocket(way, host, headers={"Cookie": cookie, **({"Origin": origin} if origin else {})})
        equal((origin, socket_.status), (origin, status))
        socket_.close()


def the_kill_switch(way, box):
    """A revoked link closes what is open by it within 1 s, and only that."""
    link, host, path = mint(way, box)
    _, other, other_path = mint(way, box)
    headers = {"Authorization": f"Bearer {token_of(path)}"}
    _, cookie = enter(way, host, path)
    opened = [WebSocket(way, host, headers=headers), WebSocket(way, host, headers={"Cookie": cookie, "Origin": f"https://{host}"})]
    kept = WebSocket(way, other, headers={"Authorization": f"Bearer {token_of(other_path)}"})
    equal([one.status for one in [*opened, kept]], [101] * 3)
    events = way.stream("GET", "/sse", host, headers)
    start = time.monotonic()
    equal(way.api("DELETE", f"/sandboxes/{box['sandboxID']}/links/{link}").status, 204)
    for one in opened:
        equal(one.receive(), (None, b""))
    true(time.monotonic() - start < 1, f"{time.monotonic() - start:.2f} s")
    try:
        rest = events[1].read()
    except OSError:
        rest = b""
    true(b"second" not in rest, rest)
    kept.send(b"still")
    equal(kept.receive(), (2, b"still"))
    for one in [*opened, kept]:
        one.close()
    events[0].close()
    equal(wire.error_body(way.ask("GET", path, host), 401)["error_code"], "TOKEN_REVOKED")
    page = way.ask("GET", "/", host, {**BROWSER, "Cookie": cookie})
    equal((page.status, "Max-Age=0" in page.headers["set-cookie"], b"withdrawn" in page.body), (401, True, True))
    # A new link is not hindered by the cookie of the old one.
    _, host, path = mint(way, box)
    answer = way.ask("GET", path, host, {**BROWSER, "Cookie": cookie})
    equal((answer.status, answer.headers["location"], "Max-Age=0" in answer.headers["set-cookie"]), (302, path, True))
    equal(way.ask("GET", path, host, BROWSER).status, 302)


def the_kill_switch_from_the_command_line(way, box):
    link, host, path = mint(way, box)
    opened = WebSocket(way, host, headers={"Authorization": f"Bearer {token_of(path)}"})
    equal(opened.status, 101)
    start = time.monotonic()
    subprocess.run([parts.PROGRAM, "link", "revoke", link, "-c", wire.CONFIG], check=True, capture_output=True)
    equal(opened.receive(), (None, b""))
    true(time.monotonic() - start < 1.2, f"{time.monotonic() - start:.2f} s")
    opened.close()


def open_connections_end_with_the_link(way, box):
    """What has no end of its own; an answer under way goes on."""
    _, host, path = mint(way, box, ttlSeconds=2)
    headers = {"Authorization": f"Bearer {token_of(path)}"}
    start = time.monotonic()
    opened = WebSocket(way, host, headers=headers)
    opened.send(b"hello")
    equal((opened.status, opened.receive()), (101, (2, b"hello")))
    sock, file, (status, _) = way.stream("GET", "/slow?3.5", host, headers)
    equal(opened.receive(), (None, b""))
    true(time.monotonic() - start < 5, f"{time.monotonic() - start:.2f} s")
    equal((status, file.read(4)), (200, b"slow"))
    equal(wire.error_body(way.ask("GET", "/", host, headers), 401)["error_code"], "TOKEN_EXPIRED")
    opened.close()
    sock.close()


def opaque_links(way, box):
    link, host, path = mint(way, box, opaque=True)
    equal(host, f"{link}.{way.preview}")
    clean, cookie = enter(way, host, path)
    equal((clean, way.ask("GET", "/echo", host, {"Cookie": cookie}).status), ("/", 200))
    for headers in (BROWSER, {}):
        answer = way.ask("GET", "/", host, headers)
        equal(answer.status, 401)
        true(box["sandboxID"].encode() not in answer.body, answer.body)
    equal(wire.error_body(way.ask("GET", path, way.preview_host(box, 8000)), 403)["error_code"], "TOKEN_WRONG_TARGET")


def links_are_listed(way, box):
    link, host, path = mint(way, box)
    for _ in range(3):
        equal(way.ask("GET", path, host).status, 200)
    rows = way.api("GET", f"/sandboxes/{box['sandboxID']}/links").json()
    row = next(row for row in rows if row["linkId"] == link)
    equal((row["requests"], row["state"], "lastRequestAt" in row), (3, "active", True))
    true(token_of(path) not in json.dumps(rows), "a token is told once")
    equal(way.api("GET", f"/sandboxes/{box['sandboxID']}/links", key=wire.OTHER).status, 404)


def search_engines_are_told(way, box):
    _, host, path = mint(way, box, noindex=False)
    true("x-robots-tag" not in way.ask("GET", path, host).headers, "the link allows it")
    other = way.made(metadata={"sandgate.noindex": "true"})
    equal(way.ask("GET", "/echo", way.host(other)).headers["x-robots-tag"], "noindex")
    way.kill(other)


def links_by_the_shared_secret(way, box):
    token, host = mint_by_secret(box, 3000), f"{box['sandboxID']}.{way.preview}"
    answer = way.ask("GET", f"/x?token={token}", host, BROWSER)
    equal((answer.status, answer.headers["location"]), (302, "/x"))
    cookie = answer.headers["set-cookie"].split(";")[0]
    equal(way.ask("GET", "/echo", host, {"Cookie": cookie}).status, 200)
    late = mint_by_secret(box, 3000, 90000)
    equal(wire.error_body(way.ask("GET", f"/?token={late}", host), 401)["error_code"], "TOKEN_INVALID")


def no_token_in_any_log():
    folder = os.path.dirname(wire.CONFIG)
    for name in ("access.log", "sandgate.log"):
        text = open(os.path.join(folder, name)).read()
        for sign in ("sgl1_", "eyJzIjoi", "__Host-sandgate"):
            true(sign not in text, f"{sign} in {name}")


# ---- the operator's own rule ----

class Service(BaseHTTPRequestHandler):
    """In the place of oauth2-proxy."""
    seen = []

    def do_GET(self):
        Service.seen.append(dict(self.headers))
        cookie = self.headers.get("Cookie", "")
        status = 202 if "user=ann" in cookie else 403 if "user=bob" in cookie else 302 if "user=new" in cookie else 401
        self.send_response(status)
        if status == 202:
            self.send_header("X-Auth-Request-User", "ann")
        if status == 302:
            self.send_header("Location", "https://login.example/start")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def forward_auth():
    service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    way = OtherWay("auth", "forward", preview_more=f"  forward_auth: {{url: 'http://127.0.0.1:{service.server_port}/auth?a=b'}}")
    try:
        box = way.made()
        _, host, path = mint(way, box)
        token = token_of(path)

        def ask(user, **headers):
            return way.ask("GET", "/echo?q=1", host, {"Authorization": f"Bearer {token}", "Cookie": f"user={user}",
                                                      "X-Auth-Request-User": "root", "X-Auth-Request-Groups": "root", **headers})
        good = ask("ann")
        have = names(good.json())
        equal((good.status, have["x-auth-request-user"], "x-auth-request-groups" in have), (200, "ann", False))
        asked = Service.seen[-1]
        equal((asked["X-Forwarded-Method"], asked["X-Forwarded-Uri"], asked["X-Forwarded-Host"]), ("GET", "/echo?q=1", host))
        true(token not in str(asked), asked)
        equal([ask("bob").status, ask("none").status, ask("new").status], [403, 401, 401])
        sent = ask("new", **BROWSER)
        equal((sent.status, sent.headers["location"]), (302, "https://login.example/start"))
        before = len(Service.seen)
        equal(way.ask("GET", "/echo", host, {"Cookie": "user=ann"}).status, 401)
        equal(len(Service.seen), before)
        service.shutdown()
        service.server_close()
        equal(ask("ann", **{"X-Request-Id": "unasked"}).status, 503)
        row = way.logged("unasked")
        equal((row["error"], row["auth_error"]), ("UNAVAILABLE", "BACKEND_DOWN"))
        way.ask("GET", "/", way.preview_host(box, 8000), {"Authorization": f"Bearer {token}", "X-Request-Id": "elsewhere"})
        row = way.logged("elsewhere")
        equal((row["error"], row["detail"]), ("TOKEN_WRONG_TARGET", "The link is for another port"))
        way.kill(box)
    finally:
        way.end()


def hosts_of_ones_own(way):
    """A customer's host name, mapped by the configuration of a running gateway."""
    box = way.made()
    link, _, path = mint(way, box)
    text = open(way.config).read()
    with open(way.config, "w") as out:
        out.write(text.replace("preview:\n", f"preview:\n  hosts: [{{host: demo.example.org, target: {box['sandboxID']}, port: 3000}},"
                                             f" {{host: link.example.org, target: {link}}}]\n"))
    way.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 5
    while way.ask("GET", path, "demo.example.org").status == 421 and time.monotonic() < until:
        time.sleep(0.05)
    for host in ("demo.example.org", "link.example.org"):
        clean, cookie = enter(way, host, path)
        equal(way.ask("GET", "/echo", host, {"Cookie": cookie}).json()["name"], "app")
    equal(way.ask("GET", "/", "other.example.org").status, 421)
    way.kill(box)


def behind_a_proxy_of_ones_own():
    """X-01: what a listed proxy says of the client, and what others say."""
    forged = {"X-Forwarded-For": "6.6.6.6, 203.0.113.5:4711", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil", "X-Real-IP": "6.6.6.6"}
    for listed, chain, proto in ((False, "127.0.0.1", "http"), (True, "203.0.113.5, 127.0.0.1", "https")):
        way = OtherWay("proxied", "forward", more="trusted_proxies: [127.0.0.0/8]" if listed else "")
        try:
            box = way.made()
            answer = way.ask("GET", "/echo", way.host(box), {**forged, "X-Request-Id": "one"})
            true("6.6.6.6" not in answer.body.decode() and "evil" not in answer.body.decode(), answer.body)
            have = names(answer.json())
            equal((have["x-forwarded-for"], have["x-forwarded-proto"]), (chain, proto))
            equal(way.logged("one")["peer"], chain.split(",")[0])
            link, host, path = mint(way, box, cidrs=["203.0.113.0/24"])
            equal(way.ask("GET", path, host, {**forged, **BROWSER}).status == 302, listed)
            way.kill(box)
        finally:
            way.end()


def first_steps_are_counted():
    """Requests of links are a class of their own in the metrics."""
    status = next(line for line in open(wire.CONFIG) if line.startswith("status:"))
    port = status.split("port:")[1].strip(" }\n")
    text = subprocess.run(["curl", "-sf", "--noproxy", "*", f"http://127.0.0.1:{port}/metrics"], check=True, capture_output=True, text=True).stdout
    row = next(line for line in text.splitlines() if line.startswith('sandgate_requests_total{class="link",status="2xx"}'))
    true(int(row.split()[1]) > 0, row)


CARRYING = (raw_paths, fields_of_a_request, fields_of_an_answer, heads_and_ranges, events_at_once, uploads, downloads, cuts_are_cuts,
            websockets, half_closes, closed_ports, many_at_once)
LINKS = (a_first_visit, programs_are_not_redirected, links_that_do_not_count, scopes, websockets_by_cookie, the_kill_switch,
         the_kill_switch_from_the_command_line, open_connections_end_with_the_link, opaque_links,
         links_are_listed, search_engines_are_told, links_by_the_shared_secret)
main = Way()
over = OtherWay()
try:
    for way in (main, over):
        app = way.made()
        for check in CARRYING:
            report.check(f"{way.name}: {check.__name__}", check, way, app)
        if way is main:
            for check in LINKS:
                report.check(check.__name__, check, way, app)
        way.kill(app)
        for check in (private_ports, masked_hosts):
            report.check(f"{way.name}: {check.__name__}", check, way)
    report.check("tls_inside", tls_inside, main)
    report.check("forward_auth", forward_auth)
    report.check("hosts_of_ones_own", hosts_of_ones_own, over)
    report.check("behind_a_proxy_of_ones_own", behind_a_proxy_of_ones_own)
    report.check("first_steps_are_counted", first_steps_are_counted)
    report.check("no_token_in_any_log", no_token_in_any_log)
finally:
    over.end()
report.end()
