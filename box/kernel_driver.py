"""kernel_driver - runs an ipykernel and speaks JSON lines on stdin, stdout.

Lives in a sandbox at /opt/mitos/kernel_driver.py. When the kernel is up it
prints {"id": "", "kind": "ready"}. A request is {"id": .., "code": ..,
"timeout": seconds}; answers carry its id and a kind: stdout, stderr, result,
error, and last done with a status.

The kernel inherits the driver's standard output, as with the real driver:
what a cell's child process prints to descriptor 1 lands between the lines.
"""

import json
import os
import queue
import sys
import tempfile
import time

os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

from jupyter_client import KernelManager  # noqa: E402

WORKSPACE = "/workspace"
POLL_S = 0.5
GIVE_UP_S = 5


def say(ident, kind, /, **fields):
    """Print one event."""
    sys.stdout.write(json.dumps({"id": ident, "kind": kind, **fields}) + "\n")
    sys.stdout.flush()


def strings(data):
    """A MIME bundle with values that are all strings."""
    return {kind: value if isinstance(value, str) else json.dumps(value)
            for kind, value in data.items()}


class Driver:
    """One kernel."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.connection_file = tempfile.mktemp(suffix=".json")
        cwd = WORKSPACE if os.path.isdir(WORKSPACE) else None
        self.manager.start_kernel(cwd=cwd)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def tell(self, name, message):
        """Pass on what one message of the kernel shows."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            say(name, content["name"], text=content["text"])
        elif kind == "execute_result":
            data = strings(content["data"])
            say(name, "result", text=data.get("text/plain", ""), data=data)
        elif kind == "display_data":
            say(name, "result", text="", data=strings(content["data"]))
        elif kind == "error":
            say(name, "error", name=content["ename"],
                value=content["evalue"], traceback=content["traceback"])
            return False
        return True

    def next(self, cell, wait_s):
        """(message, whether it says that the cell is over) or None."""
        message = self.client.get_iopub_msg(timeout=wait_s)
        over = (message["msg_type"] == "status"
                and message["content"]["execution_state"] == "idle"
                and message["parent_header"].get("msg_id") == cell)
        return message, over

    def run(self, name, code, timeout_s):
        """Run a cell; the status."""
        cell = self.client.execute(code)
        deadline = time.monotonic() + timeout_s
        good = True
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self.interrupt(cell)
                say(name, "error", name="TimeoutError",
                    value=f"execution exceeded the {timeout_s}s timeout "
                    "budget", traceback=[])
                return "error"
            try:
                message, over = self.next(cell, min(POLL_S, left))
            except queue.Empty:
                if not self.manager.is_alive():
                    say(name, "error", name="KernelDied",
                        value="the kernel terminated during execution",
                        traceback=[])
                    return "error"
                continue
            if over:
                return "ok" if good else "error"
            good = self.tell(name, message) and good

    def interrupt(self, cell):
        """Interrupt; wait a little for the cell to end."""
        self.manager.interrupt_kernel()
        give_up = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up and self.manager.is_alive():
            try:
                if self.next(cell, 0.2)[1]:
                    return
            except queue.Empty:
                pass


def main():
    driver = Driver()
    say("", "ready")
    for line in sys.stdin:
        try:
            asked = json.loads(line)
            name, code = asked["id"], asked["code"]
            timeout_s = asked.get("timeout") or 60
        except (ValueError, KeyError, TypeError):
            continue
        say(name, "done", status=driver.run(name, code, timeout_s))
    driver.manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()
