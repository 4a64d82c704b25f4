"""Running programs: what the recordings cannot show in one exchange."""

import base64
import json
import os
import signal
import struct
import time
import unittest

from server import Server
from wire import SERVICE, Wire, envelope, request_bytes

PATH = [{"key": "PATH", "value": "/usr/local/sbin:/usr/local/bin:/usr/sbin:"
         "/usr/bin:/sbin:/bin"}]


class Exec(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = cls.server.client
        cls.name = cls.server.sandbox()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def begin(self, command, **fields):
        """An ExecStream under way."""
        body = envelope({"command": command, "env": PATH, "cwd": "/",
                         **fields})
        wire = Wire(self.server.address)
        wire.send(request_bytes("POST", SERVICE + "ExecStream", [
            ("Host", "x"), ("X-Sandbox-Id", self.name),
            ("Content-Type", "application/connect+json"),
            ("Content-Length", len(body))], body))
        return wire

    def socket(self, command, **fields):
        """An Exec socket under way."""
        wire = Wire(self.server.address)
        wire.upgrade(f"{SERVICE}Exec?sandbox={self.name}")
        wire.frame(2, envelope({"open": {
            "command": command, "env": PATH, "cwd": "/",
            "timeoutSeconds": 60, **fields}}))
        return wire

    def stdin(self, wire, data):
        wire.frame(2, envelope({"stdin": base64.b64encode(data).decode()}))

    def count(self, pattern):
        """Processes whose command line matches."""
        _, out, _ = self.client.run(
            self.name, f"pgrep -f '{pattern}' | wc -l", cwd="/")
        return int(out)

    def until_gone(self, pattern, seconds=2):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.count(pattern) == 0:
                return True
        return False

    def test_leaving_a_stream_does_not_kill_but_its_timeout_does(self):
        wire = self.begin("echo go; exec sleep 1234", timeoutSeconds=1)
        wire.more()
        wire.close()
        time.sleep(0.2)
        self.assertEqual(1, self.count("sleep 123[4]"))
        self.assertTrue(self.until_gone("sleep 123[4]"))

    def test_a_writer_that_nobody_reads_ends_at_its_second_write(self):
        wire = self.begin("i=0; while [ $i -lt 50 ]; do echo $i; echo $i > "
                          "/tmp/second; i=$((i+1)); sleep 0.1; done")
        wire.more()
        wire.reset()
        time.sleep(0.6)
        self.assertEqual((0, "1\n", ""),
                         self.client.run(self.name, "cat /tmp/second"))

    def test_a_half_close_cancels(self):
        for wait_s in (0, 0.3):
            wire = self.begin("echo go; sleep 1; echo end")
            time.sleep(wait_s)
            wire.sock.shutdown(1)
            answer = wire.answer("POST")
            self.assertEqual("chunked", answer.end)
            text = answer.frames()[-1 if wait_s == 0 else -2][1].decode()
            if wait_s or "exit" in text:
                self.assertIn("exec stream read error", str(
                    answer.frames()))
            self.assertIn("code = Canceled desc = context canceled",
                          str(answer.frames()))
            wire.close()

    def test_a_half_close_cancels_a_unary_call(self):
        body = b'{"path":"/"}'
        wire = Wire(self.server.address)
        wire.send(request_bytes("POST", SERVICE + "Stat", [
            ("Host", "x"), ("X-Sandbox-Id", self.name),
            ("Content-Type", "application/json"),
            ("Content-Length", len(body))], body))
        wire.sock.shutdown(1)
        answer = wire.answer("POST")
        self.assertIn(answer.status, (200, 500))
        if answer.status == 500:
            self.assertIn("code = Canceled", answer.json()["message"])

    def test_the_head_waits_for_the_first_frame(self):
        wire = self.begin("sleep 0.5")
        self.assertFalse(wire.more(time.monotonic() + 0.3))
        self.assertTrue(wire.more(time.monotonic() + 2))
        wire.close()

    def test_leaving_a_socket_kills_the_group_but_not_a_session(self):
        for leave in ("close", "reset"):
            wire = self.socket("setsid sleep 4321 & sleep 0.2; echo go; "
                               "sleep 4322; :")
            wire.message()
            getattr(wire, leave)()
            self.assertTrue(self.until_gone("sleep 432[2]"), leave)
            self.assertEqual(1, self.count("sleep 432[1]"))
            self.client.run(self.name, "pkill -f 'sleep 432[1]'")

    def test_unread_input_over_a_pipe_hides_the_leaving(self):
        for kib, left in ((64, 0), (128, 1)):
            wire = self.socket("echo go; exec sleep 777")
            wire.message()
            for _ in range(kib // 64):
                self.stdin(wire, b"x" * 65536)
            time.sleep(0.2)
            wire.reset()
            time.sleep(0.4)
            self.assertEqual(left, self.count("sleep 77[7]"), kib)
            self.client.run(self.name, "pkill -f 'sleep 77[7]'")

    def test_a_terminal_overflows_at_once_or_not(self):
        for size, dies in ((8192, False), (65536, True)):
            wire = self.socket("stty raw -echo; echo go; sleep 30", pty={})
            wire.message()
            time.sleep(0.1)
            self.stdin(wire, b"x" * size)
            got = wire.message(time.monotonic() + 0.8)
            if dies:
                self.assertEqual(-1, json.loads(got[1][5:])
                                 ["exit"]["exitCode"])
            else:
                self.assertIsNone(got)
            wire.close()

    def test_a_sandbox_that_ends_is_told(self):
        name, self.name = self.name, self.server.sandbox()
        try:
            stream = self.begin("echo go; sleep 30")
            stream.more()
            socket = self.socket("echo go; sleep 30")
            socket.message()
            os.kill(self.server.pid(self.name), signal.SIGKILL)
            frames = [json.loads(data) for _, data
                      in stream.answer("POST").frames()]
            self.assertIn("code = Unavailable desc = error reading from "
                          "server: EOF", frames[-2]["exit"]["error"])
            self.assertEqual({}, frames[-1])
            _, data = socket.message()
            self.assertIn("code = Unavailable", data[5:].decode())
            opcode, data = socket.message()
            self.assertEqual((8, 1011), (opcode, struct.unpack(
                ">H", data[:2])[0]))
            answer = self.client.unary(self.name, "Stat", {"path": "/"})
            self.assertIn("has no stream path", answer.json()["message"])
        finally:
            self.name = name

    def test_sixteen_slots_and_each_comes_back(self):
        wires = [self.begin("echo go; sleep 30") for _ in range(16)]
        for wire in wires:
            wire.more()
        code, _, error = self.client.run(self.name, "true")
        self.assertIsNone(code)
        self.assertIn("concurrent exec-stream limit", error)
        wires.pop().reset()
        time.sleep(0.05)
        self.assertEqual(0, self.client.run(self.name, "true")[0])
        for wire in wires:
            wire.reset()
        time.sleep(0.05)
        self.client.run(self.name, "pkill sleep")

    def test_limits_of_arguments_and_messages(self):
        for count, size, want in ((500, 1000, 0), (1, 140000, "error 7"),
                                  (30, 100000, "error 7")):
            env = PATH + [{"key": f"V{n}", "value": "x" * size}
                          for n in range(count)]
            code, _, error = self.client.run(self.name, "true", env=env)
            if want == 0:
                self.assertEqual(0, code)
            else:
                self.assertIn(f"Argument list too long (os {want})", error)
        _, _, error = self.client.run(self.name, "x" * 5000000)
        self.assertIn("decoded message length too large", error)
        self.assertIn("code = Internal desc = exec: recv open", error)

    def test_interactive_shell_on_a_terminal(self):
        wire = self.socket("", pty={"size": {"cols": 100, "rows": 30}})
        out = b""
        for text in (b"", b"stty size; tty\n", b"exit 5\n"):
            if text:
                self.stdin(wire, text)
            end = time.monotonic() + 0.3
            got = wire.message(end)
            while got is not None and got[0] == 2:
                message = json.loads(got[1][5:])
                out += base64.b64decode(message.get("stdout", ""))
                if "exit" in message:
                    self.assertEqual(5, message["exit"]["exitCode"])
                    break
                got = wire.message(end)
        self.assertIn(b"30 100\r\n/dev/pts/0\r\n", out)
        wire.close()

    def test_commands_at_once_keep_their_output_apart(self):
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            found = list(pool.map(
                lambda n: self.client.run(self.name, f"echo {n}; exit {n}"),
                range(60)))
        self.assertEqual([(n, f"{n}\n", "") for n in range(60)], found)


if __name__ == "__main__":
    unittest.main()
