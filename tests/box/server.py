"""server - a box of one's own for a test, and its sandboxes."""

import os
import select
import shutil
import subprocess
import tempfile
import threading
import time

from wire import Client

HERE = os.path.dirname(os.path.abspath(__file__))
BOX = os.path.join(os.path.dirname(os.path.dirname(HERE)), "box", "box")


class Server:
    """A running box."""

    def __init__(self, *arguments, env=None):
        self.data = tempfile.mkdtemp(prefix="box-test-")
        self.errors = open(f"{self.data}/stderr", "w+b")
        self.process = subprocess.Popen(
            ["/usr/bin/python3", BOX, "serve", "--listen", "127.0.0.1:0",
             "--data", f"{self.data}/data", "--test-hooks", *arguments],
            stdout=subprocess.PIPE, stderr=self.errors,
            env={**os.environ, **(env or {})})
        self.address = self._wait()
        self.client = Client(self.address)
        self.client.call("POST", "/v1/templates", {"id": "base"})
        self._lock = threading.Lock()
        self._next = 0

    def _wait(self):
        end = time.monotonic() + 20
        line = b""
        while not line.endswith(b"\n"):
            left = end - time.monotonic()
            ready = select.select([self.process.stdout], [], [],
                                  max(left, 0))[0]
            part = os.read(self.process.stdout.fileno(), 4096) if ready \
                else b""
            if not part:
                self.stop()
                raise RuntimeError("box did not start")
            line += part
        host, _, port = line.decode().split()[-1].rpartition(":")
        return host, int(port)

    def sandbox(self, name=None):
        """A fresh sandbox; its name."""
        if name is None:
            with self._lock:
                self._next += 1
                name = f"t{self._next}"
        answer = self.client.call("POST", "/v1/fork",
                                  {"template": "base", "id": name})
        if answer.status != 200:
            raise RuntimeError(answer.body.decode())
        return name

    def pid(self, name):
        """The pid of a sandbox's process 1 on this machine."""
        answer = self.client.call("POST", "/box/test", {})
        return answer.json()["sandboxes"][name]

    def enter(self, name, command):
        """Run a shell command in a sandbox's mounts, with our rights."""
        subprocess.run(["nsenter", "-t", str(self.pid(name)), "-m", "-r",
                        "-w", "/bin/sh", "-ec", command], check=True)

    def stop(self):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        shutil.rmtree(self.data, ignore_errors=True)
        return self.process.returncode
