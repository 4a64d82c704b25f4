"""The server's edges: tokens, switches, many watches, bad HTTP."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import unittest

from server import BOX, Server
from wire import SERVICE, Cut, Wire, envelope, request_bytes

sys.path.insert(0, os.path.dirname(os.path.dirname(BOX)))

from box import jsontext, message, preview  # noqa: E402


class Pure(unittest.TestCase):
    """Functions without I/O."""

    def test_the_preview_token_of_the_protocol_notes(self):
        self.assertEqual(
            "eyJzIjoic2ItMSIsInAiOjMwMDAsImUiOjIwMDAwMDAwMDB9.8A0D9dJP1lR7r1"
            "jqZvTPFHVkCnkJNBOOl6RbZV9U0L4",
            preview.token(b"secret-of-16-bytes", "sb-1", 3000, 2000000000))

    def test_quoting(self):
        self.assertEqual('"a\\x00\\n\\"\\\\\u00fc"',
                         jsontext.quote('a\0\n"\\\u00fc'))

    def test_rest_bodies_are_read_as_leniently(self):
        for body, want in ((b"null", {}), (b'{"ID":"a","id":"b"} tail',
                                           {"id": "b"}),
                           (b'{"x":{"id":1}}', {})):
            self.assertEqual(want, jsontext.fields(body, {"id": str}))
        for body in (b"", b"[]", b"{", b'{"id":5}', b"nope", b'{"id":NaN}'):
            with self.assertRaises(jsontext.Wrong, msg=body):
                jsontext.fields(body, {"id": str})

    def test_deep_nesting_is_refused_not_fatal(self):
        deep = b'{"zz":' + b"[" * 5000 + b"]" * 5000 + b"}"
        with self.assertRaises(message.Wrong):
            message.decode(deep, "StatRequest")

    def test_blanks_come_after_some_commas_only(self):
        seen = {jsontext.message({"a": 1, "b": 2}) for _ in range(100)}
        self.assertEqual({b'{"a":1,"b":2}', b'{"a":1, "b":2}'}, seen)


class Preview(unittest.TestCase):
    def test_minting_signs_sandbox_port_and_time(self):
        server = Server("--preview-domain", "p.test",
                        env={"MITOS_PREVIEW_SECRET": "0123456789abcdef"})
        try:
            name = server.sandbox()
            answer = server.client.call("POST", "/v1/preview", {
                "sandbox": name, "port": 3000}).json()
            head = f"https://{name}.p.test/?token="
            self.assertTrue(answer["url"].startswith(head))
            payload, _, tag = answer["url"][len(head):].partition(".")
            want = hmac.new(b"0123456789abcdef", b"mitos-preview-v1\0"
                            + payload.encode(), hashlib.sha256).digest()
            self.assertEqual(want, base64.urlsafe_b64decode(tag + "="))
            self.assertAlmostEqual(time.time() + 3600,
                                   answer["expires_unix"], delta=5)
        finally:
            server.stop()


class Edges(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = cls.server.client
        cls.name = cls.server.sandbox()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def switch(self, **fields):
        answer = self.client.call("POST", "/box/test", fields)
        self.assertEqual(200, answer.status, answer.body)

    def test_preview_is_off_unless_asked_for(self):
        answer = self.client.call("POST", "/v1/preview",
                                  {"sandbox": "x", "port": 80})
        self.assertEqual(501, answer.status)
        self.assertIn("preview URLs are not enabled",
                      answer.json()["error"]["cause"])

    def test_a_call_starts_when_its_body_is_complete(self):
        body = envelope({"command": "echo hi", "cwd": "/"})
        wire = Wire(self.server.address)
        wire.send(request_bytes("POST", SERVICE + "ExecStream", [
            ("Host", "x"), ("X-Sandbox-Id", self.name),
            ("Content-Type", "application/connect+json"),
            ("Content-Length", len(body))], body[:-1]))
        self.assertFalse(wire.more(time.monotonic() + 0.3))
        wire.send(body[-1:])
        self.assertEqual("chunked", wire.answer("POST").end)
        wire.close()

    def test_bad_heads(self):
        for head, status in (
                (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
                (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
                (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                 b"Content-Length: 2\r\n\r\n", 400),
                (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\n", 400),
                (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip"
                 b"\r\n\r\n", 501),
                (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n",
                 400)):
            wire = Wire(self.server.address)
            wire.send(head)
            answer = wire.answer()
            self.assertEqual((status, "close"),
                             (answer.status, answer.get("Connection")), head)
            wire.close()

    def test_one_connection_for_everything(self):
        wire = Wire(self.server.address)
        for method, kind, body, status in (
                ("Stat", "application/json", b'{"path":"/"}', 200),
                ("Stat", "application/json", b"{", 400),
                ("ExecStream", "application/connect+json",
                 envelope({"command": "true"}), 200),
                ("Fork", "application/json", b"{}", 501),
                ("Nope", "application/json", b"{}", 404),
                ("Exec", "application/connect+json", b"", 505)):
            wire.send(request_bytes("POST", SERVICE + method, [
                ("Host", "x"), ("X-Sandbox-Id", self.name),
                ("Content-Type", kind), ("Content-Length", len(body))],
                body))
            self.assertEqual(status, wire.answer("POST").status, method)
        self.assertFalse(wire.more(time.monotonic() + 1))
        wire.close()

    def test_twenty_watches_see_one_file(self):
        wires = []
        body = envelope({"path": "/workspace"})
        for _ in range(20):
            wire = Wire(self.server.address)
            wire.send(request_bytes("POST", SERVICE + "Watch", [
                ("Host", "x"), ("X-Sandbox-Id", self.name),
                ("Content-Type", "application/connect+json"),
                ("Content-Length", len(body))], body))
            wires.append(wire)
        time.sleep(0.3)
        self.client.run(self.name, "mkdir /workspace/seen")
        for wire in wires:
            wire.more(time.monotonic() + 2)
            self.assertIn(b'"/workspace/seen"', wire.rest)
            wire.reset()

    def test_latency(self):
        self.switch(latency_ms=300)
        begun = time.monotonic()
        self.client.call("GET", "/v1/health")
        took = time.monotonic() - begun
        self.switch(latency_ms=0)
        self.assertGreater(took, 0.29)

    def test_cut_after_so_many_bytes(self):
        self.switch(cut_after_bytes=300)
        wire = Wire(self.server.address)
        body = envelope({"command": "head -c 9999 /dev/zero", "cwd": "/"})
        wire.send(request_bytes("POST", SERVICE + "ExecStream", [
            ("Host", "x"), ("X-Sandbox-Id", self.name),
            ("Content-Type", "application/connect+json"),
            ("Content-Length", len(body))], body))
        try:
            while wire.more():
                pass
        except ConnectionError:
            pass
        self.switch(cut_after_bytes=0)
        self.assertEqual(300, len(wire.rest))

    def test_garbage(self):
        self.switch(garbage=True)
        wire = Wire(self.server.address)
        wire.send(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.more()
        garbage = wire.rest
        wire.close()
        self.switch(garbage=False)
        self.assertFalse(garbage.startswith(b"HTTP/1.1 200"))
        self.assertEqual(200, self.client.call("GET", "/v1/health").status)

    def test_split_writes_keep_the_bytes(self):
        self.switch(split=True)
        code, out, _ = self.client.run(self.name, "seq 1 3000")
        self.switch(split=False)
        self.assertEqual(0, code)
        self.assertEqual("".join(f"{n}\n" for n in range(1, 3001)), out)

    def test_refused_forks(self):
        self.switch(refuse_fork=True)
        answer = self.client.call("POST", "/v1/fork", {
            "template": "base", "id": "never"})
        self.switch(refuse_fork=False)
        self.assertEqual(500, answer.status)
        self.assertEqual("internal", answer.json()["error"]["code"])
        listed = self.client.call("GET", "/v1/sandboxes").json()
        self.assertNotIn("never", [row["id"] for row in listed])

    def test_unknown_switches_are_refused(self):
        answer = self.client.call("POST", "/box/test", {"latency": 1})
        self.assertEqual(400, answer.status)
        self.assertIn(b"latency", answer.body)

    def test_the_switches_are_only_there_when_asked_for(self):
        import subprocess
        import tempfile
        with tempfile.TemporaryDirectory() as data:
            process = subprocess.Popen(
                ["/usr/bin/python3", BOX, "serve", "--listen",
                 "127.0.0.1:0", "--data", data], stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL)
            line = process.stdout.readline().decode()
            host, _, port = line.split()[-1].rpartition(":")
            wire = Wire((host, int(port)))
            wire.send(request_bytes("POST", "/box/test", [
                ("Host", "x"), ("Content-Length", 2)], b"{}"))
            self.assertEqual(404, wire.answer("POST").status)
            wire.close()
            process.terminate()
            process.wait(10)
            process.stdout.close()

    def test_forget_all_is_a_restart(self):
        server = Server()
        try:
            name = server.sandbox()
            self.assertEqual(200, server.client.call(
                "POST", "/box/test", {"forget_all": True}).status)
            for path in ("/v1/sandboxes", "/v1/templates"):
                self.assertEqual([], server.client.call("GET", path).json())
            answer = server.client.unary(name, "Stat", {"path": "/"})
            self.assertIn("has no stream path", answer.json()["message"])
            answer = server.client.call("POST", "/v1/fork", {
                "template": "base", "id": "x"})
            self.assertEqual(404, answer.status)
        finally:
            server.stop()

    def test_sigterm_cuts_streams(self):
        server = Server()
        name = server.sandbox()
        body = envelope({"command": "echo go; sleep 30"})
        wire = Wire(server.address)
        wire.send(request_bytes("POST", SERVICE + "ExecStream", [
            ("Host", "x"), ("X-Sandbox-Id", name),
            ("Content-Type", "application/connect+json"),
            ("Content-Length", len(body))], body))
        wire.more()
        server.process.terminate()
        try:
            end = wire.answer("POST").end
        except (Cut, ConnectionError):
            end = "cut"
        self.assertEqual("cut", end)
        self.assertEqual(0, server.stop())

    def test_a_key_in_flight_is_refused(self):
        import concurrent.futures
        source = self.server.sandbox()
        self.client.run(source, "head -c 80000000 /dev/urandom > "
                        "/workspace/big")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(
                self.client.call, "POST", f"/v1/sandboxes/{source}/fork",
                {"id": f"key-{n}"}, [("Idempotency-Key", "one")])
                for n in range(2)]
            found = sorted(a.result().status for a in answers)
        self.assertEqual([200, 500], found)
        again = self.client.call("POST", f"/v1/sandboxes/{source}/fork",
                                 {"id": "key-9"}, [("Idempotency-Key",
                                                    "one")])
        self.assertIn(json.loads(again.body)["id"], ("key-0", "key-1"))


if __name__ == "__main__":
    unittest.main()
