"""Files: limits, lost errors, forks, and sizes with flat memory."""

import base64
import hashlib
import json
import os
import struct
import time
import unittest

from server import Server
from wire import SERVICE, Wire, envelope, request_bytes

MIB = 1 << 20


def memory_kib(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1])
    return 0


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = cls.server.client
        cls.name = cls.server.sandbox()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def head(self, method, length):
        return request_bytes("POST", SERVICE + method, [
            ("Host", "x"), ("X-Sandbox-Id", self.name),
            ("Content-Type", "application/connect+json"),
            ("Content-Length", length)])

    def test_a_body_cut_short_writes_nothing(self):
        first = envelope({"open": {"path": "/tmp/cut"}})
        data = envelope({"data": "aGVsbG8="})
        wire = Wire(self.server.address)
        wire.send(self.head("WriteFile", len(first + data) + 50)
                  + first + data)
        time.sleep(0.1)
        wire.reset()
        self.assertNotEqual(0, self.client.run(self.name, "ls /tmp/cut")[0])

    def test_a_data_frame_may_have_4194299_bytes(self):
        for size, good in ((4194299, True), (4194300, False)):
            data = base64.b64encode(b"x" * size).decode()
            frames = self.client.stream(
                self.name, "WriteFile", {"open": {"path": f"/tmp/e{size}"}},
                {"data": data})
            if good:
                self.assertEqual({"bytesWritten": str(size)}, frames[0][1])
            else:
                self.assertIn(f"found {size + 5} bytes",
                              frames[0][1]["error"]["message"])
        code, out, _ = self.client.run(self.name, "ls /tmp/e*")
        self.assertEqual((0, "/tmp/e4194299\n"), (code, out))

    def test_a_full_disk_is_hidden_up_to_2_mib(self):
        self.server.enter(self.name, "mkdir -p /tmp/small; mount -t tmpfs -o "
                          "size=64k small /tmp/small")
        for size, good in ((65537, True), (2 * MIB, True),
                           (2 * MIB + 1, False)):
            frames = self.client.write(self.name, "/tmp/small/f",
                                       b"x" * size)
            if good:
                self.assertEqual({"bytesWritten": str(size)}, frames[0][1])
            else:
                self.assertIn("(os error 28)",
                              frames[0][1]["error"]["message"])
            answer = self.client.unary(self.name, "Stat",
                                       {"path": "/tmp/small/f"})
            self.assertEqual("65536", answer.json()["size"])

    def test_128_mib_go_both_ways_with_flat_memory(self):
        block = os.urandom(MIB)
        frame = envelope({"data": base64.b64encode(block).decode()})
        first = envelope({"open": {"path": "/tmp/big"}})
        count = 128
        before = memory_kib(self.server.process.pid, "VmRSS")
        wire = Wire(self.server.address, 60)
        wire.send(self.head("WriteFile", len(first) + count * len(frame))
                  + first)
        digest = hashlib.sha256()
        for _ in range(count):
            wire.send(frame)
            digest.update(block)
        frames = wire.answer("POST").frames()
        self.assertEqual({"bytesWritten": str(count * MIB)},
                         json.loads(frames[0][1]))
        self.download(wire, count * MIB, digest)
        grown = memory_kib(self.server.process.pid, "VmHWM") - before
        self.assertLess(grown, 48 * 1024)
        wire.close()
        self.client.run(self.name, "rm /tmp/big")

    def download(self, wire, size, digest):
        body = envelope({"path": "/tmp/big"})
        wire.send(self.head("ReadFile", len(body)) + body)
        from wire import Answer
        answer = Answer()
        wire.head(answer)
        self.assertEqual(200, answer.status)
        got = hashlib.sha256()
        total, pending, last = 0, b"", None
        while True:
            chunk = int(wire.line(), 16)
            if chunk == 0:
                wire.line()
                break
            pending += wire.exactly(chunk)
            wire.exactly(2)
            while len(pending) >= 5:
                flags, length = struct.unpack_from(">BI", pending)
                if len(pending) < 5 + length:
                    break
                payload = pending[5:5 + length]
                pending = pending[5 + length:]
                if flags:
                    self.assertEqual(b"{}", payload)
                    continue
                message = json.loads(payload)
                data = base64.b64decode(message.get("data", ""))
                self.assertLessEqual(len(data), 32768)
                self.assertFalse(last)
                last = message.get("eof")
                got.update(data)
                total += len(data)
        self.assertTrue(last)
        self.assertEqual(size, total)
        self.assertEqual(digest.hexdigest(), got.hexdigest())

    def test_a_slow_reader_holds_the_program_back(self):
        body = envelope({
            "command": "head -c 60000000 /dev/zero; echo end > /tmp/slow",
            "cwd": "/", "timeoutSeconds": 60})
        wire = Wire(self.server.address)
        before = memory_kib(self.server.process.pid, "VmRSS")
        wire.send(self.head("ExecStream", len(body)) + body)
        time.sleep(1)
        self.assertNotEqual(0, self.client.run(self.name,
                                               "cat /tmp/slow")[0])
        grown = memory_kib(self.server.process.pid, "VmRSS") - before
        self.assertLess(grown, 16 * 1024)
        answer = wire.answer("POST")
        total = sum(len(base64.b64decode(json.loads(data)["stdout"]))
                    for _, data in answer.frames()[:-2])
        self.assertEqual(60000000, total)
        self.assertEqual(0, self.client.run(self.name, "cat /tmp/slow")[0])
        wire.close()

    def test_a_fifo_holds_up_nobody_else(self):
        import threading
        self.client.run(self.name, "mkfifo /tmp/fifo")
        data = os.urandom(300000)
        done = []
        writer = threading.Thread(target=lambda: done.append(
            self.client.write(self.name, "/tmp/fifo", data)))
        writer.start()
        reader = Wire(self.server.address)
        body = envelope({"path": "/tmp/fifo"})
        for _ in range(2):
            self.assertEqual(0, self.client.run(self.name, "true")[0])
            time.sleep(0.1)
        self.assertEqual([], done)
        reader.send(self.head("ReadFile", len(body)) + body)
        got = b"".join(base64.b64decode(json.loads(payload).get("data", ""))
                       for _, payload in reader.answer("POST").frames())
        writer.join()
        reader.close()
        self.assertEqual({"bytesWritten": "300000"}, done[0][0][1])
        self.assertEqual(data, got)

    def test_an_archive_over_64_mib_is_refused(self):
        self.client.run(self.name, "mkdir -p /workspace/a; head -c 70000000 "
                        "/dev/zero > /workspace/a/big")
        frames = self.client.stream(self.name, "Archive", {
            "path": "/workspace/a", "direction": "DOWNLOAD"})
        self.assertIn("code = ResourceExhausted desc = tar size exceeded max "
                      "67108864 bytes while building archive",
                      frames[-1][1]["error"]["message"])
        self.client.run(self.name, "rm -r /workspace/a")

    def test_a_tar_goes_in_and_comes_out(self):
        import io
        import tarfile
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, mode in (("d", None), ("d/f", 0o640),
                               ("x" * 120, 0o755)):
                member = tarfile.TarInfo(name)
                if mode is None:
                    member.type, member.mode = tarfile.DIRTYPE, 0o750
                    tar.addfile(member)
                else:
                    member.mode, member.size = mode, 5
                    tar.addfile(member, io.BytesIO(b"data\n"))
        data = out.getvalue()
        frames = self.client.stream(
            self.name, "Upload", {"open": {"dest": "/workspace/up"}},
            {"chunk": base64.b64encode(data).decode()})
        self.assertEqual({"bytesWritten": str(len(data))}, frames[0][1])
        frames = self.client.stream(self.name, "Archive", {
            "path": "/workspace/up", "direction": "DOWNLOAD"})
        back = b"".join(base64.b64decode(message.get("data", ""))
                        for _, message in frames[:-1])
        with tarfile.open(fileobj=io.BytesIO(back)) as tar:
            found = {m.name: (m.mode, m.size) for m in tar}
        self.assertEqual({"d": (0o750, 0), "d/f": (0o640, 5),
                          "x" * 120: (0o755, 5)}, found)

    def test_refused_tar_members(self):
        import io
        import tarfile
        for name, kind, text in (
                ("../evil", tarfile.REGTYPE, 'traversing tar member'),
                ("/abs", tarfile.REGTYPE, 'refusing absolute tar member'),
                ("s", tarfile.SYMTYPE, "unsupported type Symlink")):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, "x"
                tar.addfile(member)
            frames = self.client.stream(
                self.name, "Upload", {"open": {"dest": "/workspace/no"}},
                {"chunk": base64.b64encode(out.getvalue()).decode()})
            error = frames[-1][1]["error"]["message"]
            self.assertIn("code = PermissionDenied", error)
            self.assertIn(text, error)

    def test_a_fork_has_the_files_and_no_processes(self):
        source = self.server.sandbox()
        self.client.run(source, "echo kept > /workspace/f; rm /usr/bin/wc; "
                        "setfattr -n user.k -v v /workspace/f; "
                        "chown user /workspace/f; ln /workspace/f "
                        "/workspace/g; echo t > /tmp/t; setsid sleep 555 "
                        ">/dev/null 2>&1 &")
        answer = self.client.call("POST", f"/v1/sandboxes/{source}/fork",
                                  {"id": "the-child"})
        self.assertEqual(200, answer.status)
        _, out, _ = self.client.run(
            "the-child", "cat /workspace/f /tmp/t; stat -c '%U %h' "
            "/workspace/f; ls /usr/bin/wc 2>&1; getfattr --only-values -n "
            "user.k /workspace/f 2>/dev/null; pgrep -c sleep")
        self.assertIn("kept\nt\nuser 2\n", out)
        self.assertIn("cannot access", out)
        self.assertTrue(out.endswith("v0\n"), out)
        self.client.run("the-child", "echo changed > /workspace/f")
        self.assertEqual("kept\n", self.client.run(
            source, "cat /workspace/f; kill -0 $(pgrep sleep)")[1])


if __name__ == "__main__":
    unittest.main()
