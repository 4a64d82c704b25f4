"""run_code: the kernel's life, and what ends it."""

import base64
import concurrent.futures
import json
import threading
import time
import unittest

from server import Server
from wire import SERVICE, Wire, envelope, request_bytes

PRELUDE = """\
import sys as _s, os as _o
for _x in (_s.stdout, _s.stderr):
    _o.dup2(_o.open(_o.devnull, _o.O_WRONLY), _x._original_stdstream_copy)
del _s, _o, _x"""


class RunCode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = cls.server.client
        cls.name = cls.server.sandbox()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def cell(self, code, name=None, **fields):
        """The messages of a cell, less the end-stream one."""
        frames = self.client.stream(name or self.name, "RunCodeStream",
                                    {"code": code, **fields})
        return [message for _, message in frames[:-1]]

    def kernel(self, name):
        """The ipykernel: the python3 below the python3 below pid 1."""
        rows = self.client.unary(name, "Processes", {}).json()["processes"]
        drivers = {row["pid"] for row in rows if row.get("ppid") == 1
                   and row["command"] == "python3"}
        return [row["pid"] for row in rows
                if row.get("ppid") in drivers
                and row["command"] == "python3"]

    def signal_later(self, name, number, pids):
        def send():
            for pid in pids:
                self.client.unary(name, "Signal",
                                  {"pid": pid, "signal": number})
        timer = threading.Timer(0.5, send)
        timer.start()
        return timer

    def test_a_signal_interrupts_a_cell(self):
        self.cell("1")
        pids = self.kernel(self.name)
        self.assertEqual(1, len(pids))
        timer = self.signal_later(self.name, 2, pids)
        begun = time.monotonic()
        messages = self.cell("import time; time.sleep(20)")
        timer.join()
        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual("KeyboardInterrupt", messages[0]["error"]["name"])
        self.assertNotIn("value", messages[0]["error"])
        self.assertEqual({"exitCode": 1}, messages[1])
        self.assertEqual("'fine'", self.cell("'fine'")[0]["result"]["text"])

    def test_a_killed_kernel_stays_dead(self):
        name = self.server.sandbox()
        self.cell("1", name)
        timer = self.signal_later(name, 9, self.kernel(name))
        died = [{"error": {"name": "KernelDied", "value":
                           "the kernel terminated during execution"}},
                {"exitCode": 1}]
        self.assertEqual(died, self.cell("import time; time.sleep(20)",
                                         name))
        timer.join()
        self.assertEqual(died, self.cell("1+1", name))

    def test_child_output_kills_without_the_prelude(self):
        name = self.server.sandbox()
        messages = self.cell("import os; os.system('echo x')", name)
        self.assertEqual("KernelStreamError", messages[-2]["error"]["name"])
        self.assertEqual({"exitCode": 1}, messages[-1])
        self.assertEqual([{"error": {"name": "KernelUnavailable",
                                     "value": "kernel previously died"}},
                          {"exitCode": 127}], self.cell("1", name))

    def test_the_prelude_saves_it(self):
        name = self.server.sandbox()
        self.assertEqual([{"exitCode": 0}], self.cell(PRELUDE, name))
        messages = self.cell("import os; os.system('echo x; echo y >&2'); 5",
                             name)
        self.assertIn({"stdout": "eAo="}, messages)
        self.assertIn({"stderr": "eQo="}, messages)
        self.assertEqual("5", messages[-2]["result"]["text"])

    def test_a_missing_driver_is_only_a_failed_start(self):
        name = self.server.sandbox()
        self.client.run(name, "mv /opt/mitos/kernel_driver.py /opt/d")
        messages = self.cell("1", name)
        self.assertIn("driver /opt/mitos/kernel_driver.py not found",
                      messages[0]["error"]["value"])
        self.assertEqual({"exitCode": 127}, messages[1])
        self.client.run(name, "echo 'import sys; sys.exit(1)' > "
                        "/opt/mitos/kernel_driver.py")
        messages = self.cell("1", name)
        self.assertEqual("kernel driver produced no ready line",
                         messages[0]["error"]["value"])
        self.client.run(name, "mv /opt/d /opt/mitos/kernel_driver.py")
        self.assertEqual("1", self.cell("1", name)[0]["result"]["text"])

    def test_rich_results(self):
        plot = self.cell("import matplotlib.pyplot as p\np.plot([1, 2]); "
                         "p.show()")[0]["result"]
        self.assertNotIn("text", plot)
        png = base64.b64decode(base64.b64decode(plot["data"]["image/png"]))
        self.assertTrue(png.startswith(b"\x89PNG\r\n"))
        frame = self.cell("import pandas as d\nd.DataFrame({'a': [1]})"
                          )[-2]["result"]
        self.assertIn(b"<table", base64.b64decode(
            frame["data"]["text/html"]))
        self.assertIn("a", frame["text"])

    def test_a_frame_over_4_mib_ends_the_stream_bare(self):
        self.assertEqual([{"exitCode": 1}], self.cell("print('p' * 6000000)"))
        self.assertEqual("'alive'", self.cell("'alive'")[0]["result"]["text"])

    def test_input_waits_for_the_timeout(self):
        self.assertEqual(
            [{"error": {"name": "TimeoutError", "value":
                        "execution exceeded the 1s timeout budget"}},
             {"exitCode": 1}], self.cell("input()", timeoutSeconds=1))

    def test_cells_wait_for_each_other_even_without_a_client(self):
        self.cell("1")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            first = pool.submit(self.cell, "import time; time.sleep(0.8)")
            time.sleep(0.2)
            body = envelope({"code": "open('/tmp/queued', 'w').close()"})
            wire = Wire(self.server.address)
            wire.send(request_bytes("POST", SERVICE + "RunCodeStream", [
                ("Host", "x"), ("X-Sandbox-Id", self.name),
                ("Content-Type", "application/connect+json"),
                ("Content-Length", len(body))], body))
            time.sleep(0.1)
            wire.reset()
            self.assertEqual([{"exitCode": 0}], first.result())
        self.cell("1")
        self.assertEqual(0, self.client.run(self.name,
                                            "ls /tmp/queued")[0])

    def test_a_driver_of_ones_own_over_a_socket(self):
        wire = Wire(self.server.address)
        wire.upgrade(f"{SERVICE}Exec?sandbox={self.name}")
        wire.frame(2, envelope({"open": {
            "command": "exec python3 /opt/mitos/kernel_driver.py 2>/dev/null",
            "timeoutSeconds": 60}}))
        out = b""

        def until(text):
            nonlocal out
            end = time.monotonic() + 20
            while text not in out:
                got = wire.message(end)
                self.assertIsNotNone(got, out)
                out += base64.b64decode(json.loads(got[1][5:])
                                        .get("stdout", ""))
        until(b'"kind": "ready"')
        asked = json.dumps({"id": "7", "code": "6 * 7", "timeout": 20})
        wire.frame(2, envelope({"stdin": base64.b64encode(
            asked.encode() + b"\n").decode()}))
        until(b'"kind": "done", "status": "ok"')
        self.assertIn(b'{"id": "7", "kind": "result", "text": "42", "data": '
                      b'{"text/plain": "42"}}', out)
        wire.close()


if __name__ == "__main__":
    unittest.main()
