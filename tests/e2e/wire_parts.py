"""wire_parts - raw requests over TLS and what they bring, for the other files."""
import base64
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time

from report import equal, true

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HOST, PORT = os.environ["SANDGATE_ADDR"].rsplit(":", 1)
DOMAIN = os.environ["E2B_DOMAIN"]
NAME = DOMAIN.split(":")[0]
KEY, OTHER = os.environ["E2B_API_KEY"], os.environ["SANDGATE_OTHER_KEY"]
CONFIG = os.environ["SANDGATE_CONFIG"]
UNKNOWN = "i" + "z" * 20


def connect(host):
    """A TLS connection whose SNI is host's name; no SNI for an IP literal."""
    context = ssl.create_default_context(cafile=os.environ["SANDGATE_CA"])
    name = host.rsplit(":", 1)[0] if re.search(r":\d+$", host) else host
    raw = socket.create_connection((HOST, int(PORT)), timeout=30)
    return context.wrap_socket(raw, server_hostname=name)


class Answer:
    def __init__(self, status, headers, body, raw_head):
        self.status, self.headers, self.body, self.raw_head = status, headers, body, raw_head

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def read_answer(file, method="GET"):
    line = file.readline()
    if not line:
        raise EOFError("no answer")
    status = int(line.split()[1])
    headers, head = {}, line
    while True:
        row = file.readline()
        head += row
        if row in (b"\r\n", b""):
            break
        name, value = row.decode("latin-1").split(":", 1)
        headers[name.lower()] = value.strip()
    if status == 100:
        return read_answer(file, method)
    if method == "HEAD" or status in (204, 304):
        body = b""
    elif "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while True:
            size = int(file.readline().split(b";")[0], 16)
            body += file.read(size)
            file.readline()
            if size == 0:
                break
    else:
        body = file.read(int(headers.get("content-length", 0)))
    return Answer(status, headers, body, head)


def ask(method, path, host=None, headers=None, body=None, sni=None):
    """One request on a connection of its own."""
    host = host or f"api.{DOMAIN}"
    with connect(sni or host) as sock:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        for name, value in (headers or {}).items():
            for one in value if isinstance(value, list) else [value]:
                lines.append(f"{name}: {one}")
        if body is not None:
            body = body if isinstance(body, bytes) else body.encode()
            lines.append(f"Content-Length: {len(body)}")
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b""))
        return read_answer(sock.makefile("rb"), method)


def api(method, path, body=None, key=KEY, **headers):
    fields = {"X-API-Key": key} if key else {}
    if body is not None:
        fields["Content-Type"] = "application/json"
        body = body if isinstance(body, (str, bytes)) else json.dumps(body)
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return ask(method, path, headers=fields, body=body)


def envd(sandbox, path, body=b"{}", kind="application/json", method="POST", port=49983, token=True, **headers):
    fields = {"Content-Type": kind} if body is not None else {}
    if token:
        fields["X-Access-Token"] = sandbox["envdAccessToken"]
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return ask(method, path, host=f"{port}-{sandbox['sandboxID']}.{DOMAIN}", headers=fields, body=body)


def frame(message, flags=0):
    data = json.dumps(message).encode() if not isinstance(message, bytes) else message
    return struct.pack("!BI", flags, len(data)) + data


def frames(body):
    found, at = [], 0
    while at < len(body):
        flags, size = struct.unpack("!BI", body[at:at + 5])
        found.append((flags, json.loads(body[at + 5:at + 5 + size])))
        at += 5 + size
    return found


def start(sandbox, script, **more):
    headers = more.pop("headers", {})
    message = {"process": {"cmd": "/bin/bash", "args": ["-l", "-c", script]}, "stdin": False, **more}
    return envd(sandbox, "/process.Process/Start", frame(message), "application/connect+json", **headers)


def made(**fields):
    answer = api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300, **fields})
    equal(answer.status, 201)
    return answer.json()


def error_body(answer, status, **want):
    equal(answer.status, status)
    equal(answer.headers["content-type"].split(";")[0], "application/json")
    body = answer.json()
    equal(body["code"], status)
    true(isinstance(body["message"], str) and body["message"], "a message")
    for name, value in want.items():
        true(value in body[name], f"{name} {body[name]!r} lacks {value!r}")
    return body
