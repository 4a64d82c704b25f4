"""What a sandbox cannot see or do, and what is left when it ends."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from server import BOX, Server


BOMB = ("python3 -c '\nimport os\nwhile True:\n try: os.fork()\n "
        "except OSError: pass' >/dev/null 2>&1 & sleep 0.3")


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def tree(pid):
    """A process and all below it."""
    out = [pid]
    try:
        with open(f"/proc/{pid}/task/{pid}/children",
                  encoding="ascii") as file:
            for child in file.read().split():
                out += tree(int(child))
    except OSError:
        pass
    return out


def until(check, seconds=5):
    """Wait until check() holds; whether it did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return check()


class Inside(unittest.TestCase):
    """One sandbox, looked at from within."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--max-pids", "256", "--max-memory-mib", "512")
        cls.client = cls.server.client
        cls.name = cls.server.sandbox()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def out(self, command, **fields):
        code, out, error = self.client.run(self.name, command, **fields)
        self.assertEqual(0, code, error)
        return out.strip()

    def test_sudo_works_for_user(self):
        self.assertEqual("0", self.out("su user -c 'sudo -n id -u'"))
        self.assertEqual("1000 user", self.out(
            "setpriv --reuid 1000 --regid 1000 --init-groups sh -c "
            "'echo $(sudo -n sudo -u user id -u) $(id -un)'"))

    def test_programs_may_gain_rights_but_only_bounded_ones(self):
        status = self.out("cat /proc/self/status")
        self.assertIn("NoNewPrivs:\t0", status)
        bounding = int(status.split("CapBnd:\t")[1].split()[0], 16)
        for number, what in ((21, "SYS_ADMIN"), (27, "MKNOD"),
                             (19, "SYS_PTRACE"), (2, "DAC_READ_SEARCH"),
                             (12, "NET_ADMIN"), (16, "SYS_MODULE")):
            self.assertFalse(bounding >> number & 1, what)

    def test_proc_sys_cannot_be_written(self):
        for name in ("kernel/core_pattern", "vm/swappiness"):
            code, _, error = self.client.run(
                self.name, f"cat /proc/sys/{name} > /tmp/v; "
                f"cat /tmp/v > /proc/sys/{name}")
            self.assertNotEqual(0, code)
            self.assertIn("Read-only", error)

    def test_no_mount_no_device(self):
        self.assertNotEqual(0, self.client.run(
            self.name, "mount -t tmpfs x /mnt")[0])
        self.assertNotEqual(0, self.client.run(
            self.name, "umount /proc/sys")[0])
        self.assertNotEqual(0, self.client.run(
            self.name, "mknod /tmp/d b 254 0")[0])

    def test_nothing_of_the_machine_shows(self):
        self.assertEqual([".", ".."], self.out("ls -a /root").split())
        self.assertEqual(["user"], self.out("ls -A /home").split())
        self.assertNotIn(os.path.dirname(BOX), self.out("ps axww"))
        environment = self.out("tr '\\0' '\\n' < /proc/1/environ")
        self.assertEqual("", environment)

    def test_no_route_out(self):
        routes = self.out("cat /proc/net/route").splitlines()
        self.assertEqual(1, len(routes))
        code, _, error = self.client.run(
            self.name, "python3 -c \"import socket; socket.create_connection("
            "('192.0.2.1', 80), 2)\"")
        self.assertNotEqual(0, code)
        self.assertIn("Network is unreachable", error)

    def test_python_and_pip_answer(self):
        self.assertIn("Python 3", self.out("python --version"))
        code, out, error = self.client.run(
            self.name, "pip install --no-index nothing-of-that-name")
        self.assertNotIn("externally-managed", out + error)
        self.assertIn("No matching distribution", out + error)

    def test_writes_stay_in_the_sandbox(self):
        mark = f"/usr/local/bin/box-test-{os.getpid()}"
        self.out(f"echo x > {mark}; rm /usr/bin/wc; ! wc 2>/dev/null")
        self.assertFalse(os.path.exists(mark))
        self.assertTrue(os.path.exists("/usr/bin/wc"))

    def test_two_sandboxes_listen_on_one_port(self):
        code = ("import socket\ns=socket.create_server(('127.0.0.1', 8000))"
                "\nopen('/tmp/up','w')\nwhile 1:\n c,_=s.accept();"
                "c.sendall(b'%s')\n c.close()")
        for name in (self.server.sandbox("port-a"),
                     self.server.sandbox("port-b")):
            self.client.write(name, "/tmp/s.py",
                              code.replace("%s", name).encode())
            self.client.run(name, "python3 /tmp/s.py >/dev/null 2>&1 & while "
                            "! [ -e /tmp/up ]; do sleep 0.02; done")
        for name in ("port-a", "port-b"):
            answer = self.client.call(
                "POST", f"/v1/sandboxes/{name}/forward", {"guest_port": 8000})
            host, _, port = answer.json()["host"].rpartition(":")
            with socket.create_connection((host, int(port)), 5) as sock:
                self.assertEqual(name.encode(), sock.recv(100))

    def test_orphans_are_reaped(self):
        self.out("sh -c 'sleep 0.1 & sleep 0.1 & exit' ; sleep 0.4")
        self.assertEqual("0", self.out("ps -eo stat= | grep -c Z || true"))


class Bounds(unittest.TestCase):
    """What one sandbox does to itself does not reach another."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--max-pids", "80", "--max-memory-mib", "256")
        cls.client = cls.server.client
        cls.bad, cls.good = cls.server.sandbox(), cls.server.sandbox()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_a_fork_bomb_stays_inside(self):
        self.client.run(self.bad, BOMB, timeoutSeconds=3)
        pid = self.server.pid(self.bad)
        self.assertTrue(until(lambda: len(tree(pid)) > 70))
        took = []
        for _ in range(3):
            begun = time.monotonic()
            self.assertEqual((0, "fine\n", ""),
                             self.client.run(self.good, "echo fine"))
            took.append(time.monotonic() - begun)
        self.assertLess(sorted(took)[1], 2)
        answer = self.client.unary(self.bad, "Stat", {"path": "/etc"})
        self.assertEqual(200, answer.status)
        answer = self.client.call("DELETE", f"/v1/sandboxes/{self.bad}")
        self.assertEqual(200, answer.status)
        self.assertFalse(alive(pid))

    def test_a_memory_hog_ends_inside(self):
        name = self.server.sandbox()
        code, _, _ = self.client.run(
            name, "python3 -c \"x = bytearray(2 << 30); print(len(x))\"")
        self.assertNotEqual(0, code)
        self.assertEqual((0, "still here\n", ""),
                         self.client.run(name, "echo still here"))

    def test_the_64_gib_of_the_threat_model(self):
        name = self.server.sandbox()
        code, out, _ = self.client.run(
            name, "python3 -c \"x = bytearray(64 << 30); print(len(x))\"")
        self.assertNotEqual(0, code)
        self.assertEqual("", out)
        self.assertEqual(200, self.client.unary(
            name, "Stat", {"path": "/"}).status)


@unittest.skipUnless(shutil.which("pasta"), "needs pasta")
class Egress(unittest.TestCase):
    """With a way out."""

    def test_a_way_out_but_not_to_this_machine(self):
        server = Server("--egress")
        try:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = listener.getsockname()[1]
                name = server.sandbox()
                _, routes, _ = server.client.run(name, "cat /proc/net/route")
                self.assertGreater(len(routes.splitlines()), 1)
                gate = [line.split()[2] for line in routes.splitlines()
                        if line.split()[1] == "00000000"][0]
                host = socket.inet_ntoa(int(gate, 16).to_bytes(4, "little"))
                code, _, _ = server.client.run(
                    name, "python3 -c 'import socket; "
                    f"socket.create_connection((\"{host}\", {port}), 1)'")
                self.assertNotEqual(0, code)
            pids = tree(server.process.pid)
        finally:
            status = server.stop()
        self.assertEqual(0, status)
        self.assertTrue(until(lambda: not any(map(alive, pids))))

    def test_kill_9_ends_the_way_out_too(self):
        server = Server("--egress")
        server.sandbox()
        pids = tree(server.process.pid)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        self.assertTrue(until(lambda: not any(map(alive, pids))))
        server.stop()


class Ends(unittest.TestCase):
    """What is left behind."""

    def leftovers(self, data, pids):
        """Processes, mounts and cgroups that should have gone."""
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line for line in file if data in line]
        return [pid for pid in pids if alive(pid)], mounts

    def groups(self, pid):
        found = subprocess.run(
            ["find", "/sys/fs/cgroup", "-maxdepth", "6", "-name",
             f"sandgate-box-{pid}"], capture_output=True, text=True,
            check=False)
        return found.stdout.split()

    def busy(self, server):
        for _ in range(3):
            name = server.sandbox()
            server.client.run(name, "setsid sleep 300 >/dev/null 2>&1 & "
                              "setsid sleep 300 >/dev/null 2>&1 &")
        return tree(server.process.pid)

    def test_delete_ends_every_process(self):
        server = Server()
        try:
            before = len(tree(server.process.pid))
            name = server.sandbox()
            server.client.run(name, "setsid sleep 300 >/dev/null 2>&1 &")
            self.assertGreater(len(tree(server.process.pid)), before)
            server.client.call("DELETE", f"/v1/sandboxes/{name}")
            self.assertEqual(before, len(tree(server.process.pid)))
            sandboxes = f"{server.data}/data/sandboxes"
            self.assertTrue(until(lambda: not os.listdir(sandboxes)))
        finally:
            server.stop()

    def test_sigterm_leaves_nothing(self):
        server = Server()
        pids = self.busy(server)
        self.assertGreaterEqual(len(pids), 11)
        pid = server.process.pid
        self.assertEqual(0, server.stop())
        self.assertEqual(([], []), self.leftovers(server.data, pids))
        self.assertEqual([], self.groups(pid))

    def test_kill_9_leaves_nothing(self):
        server = Server()
        pids = self.busy(server)
        pid = server.process.pid
        os.kill(pid, signal.SIGKILL)
        server.process.wait()
        self.assertTrue(until(lambda: not any(map(alive, pids)), 3))
        self.assertEqual(([], []), self.leftovers(server.data, pids))
        self.assertTrue(until(lambda: not self.groups(pid), 3))
        server.stop()

    def test_the_spawner_killed_ends_box(self):
        server = Server()
        pids = self.busy(server)
        with open(f"/proc/{server.process.pid}/task/{server.process.pid}"
                  "/children", encoding="ascii") as file:
            spawner = int(file.read().split()[0])
        os.kill(spawner, signal.SIGKILL)
        self.assertEqual(1, server.process.wait(5))
        self.assertTrue(until(lambda: not any(map(alive, pids)), 3))
        server.stop()

    def test_forty_sandboxes_come_and_go(self):
        server = Server()
        try:
            names = [server.sandbox() for _ in range(40)]
            self.assertEqual({"sandboxes": 40}, {
                key: value for key, value in server.client.call(
                    "GET", "/v1/health").json().items()
                if key == "sandboxes"})
            for name in names:
                server.client.call("DELETE", f"/v1/sandboxes/{name}")
            fds = os.listdir(f"/proc/{server.process.pid}/fd")
            self.assertLess(len(fds), 30)
        finally:
            server.stop()

    def test_it_says_what_it_needs(self):
        with tempfile.TemporaryDirectory() as data:
            done = subprocess.run(
                ["setpriv", "--reuid", "65534", "--clear-groups",
                 "/usr/bin/python3", BOX, "serve", "--data", data],
                capture_output=True, text=True, check=False, timeout=20)
        self.assertEqual(1, done.returncode)
        self.assertIn("must run as root", done.stderr)
        self.assertIn("box needs:", done.stderr)

    def test_one_box_for_one_directory(self):
        server = Server()
        try:
            done = subprocess.run(
                ["/usr/bin/python3", BOX, "serve", "--listen",
                 "127.0.0.1:0", "--data", f"{server.data}/data"],
                capture_output=True, text=True, check=False, timeout=20)
            self.assertEqual(1, done.returncode)
            self.assertIn("another box uses it", done.stderr)
            self.assertEqual(200, server.client.call(
                "GET", "/v1/health").status)
        finally:
            server.stop()


if __name__ == "__main__":
    unittest.main()
