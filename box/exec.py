"""exec - running programs: their pipes, their output, their end.

The agent starts a program on pipes that box makes (or on a terminal that the
agent makes) and box reads them itself. What the client is told follows the
real server: the exit frame comes when every pipe is at its end and then the
program has ended; the timeout counts only while a pipe is open.
"""

import asyncio
import base64
import fcntl
import os
import signal
import struct
import termios
import time

from box import guest, status
from box.status import RpcError, Status

DEFAULT_TIMEOUT_S = 30
KILL_PAUSE_S = 0.2
PIPE_READ_BYTES = 32768
TERMINAL_READ_BYTES = 4096
READS_PER_TURN = 8
OPEN_BYTES_MAX = status.MESSAGE_MAX
EXIT_TIMEOUT = 124

LOST_HINT = ("; the guest agent may have crashed or the vsock connection was "
             "lost")
OPEN_HINT = "check that the command is accessible in the sandbox filesystem"


class Pump:
    """Reads one pipe and gives what comes to a sink."""

    def __init__(self, execution, fd, prefix, read_bytes):
        self.execution = execution
        self.fd = fd
        self.prefix = prefix
        self.read_bytes = read_bytes
        self.loop = execution.loop
        self.reading = False
        self.resume()

    def resume(self):
        """Read on, where it was stopped for want of room."""
        if self.fd is not None and not self.reading:
            self.reading = True
            self.loop.add_reader(self.fd, self._on_readable)

    def _stop(self):
        if self.reading:
            self.reading = False
            self.loop.remove_reader(self.fd)

    def close(self):
        """Close the pipe."""
        if self.fd is not None:
            self._stop()
            os.close(self.fd)
            self.fd = None
            self.execution.pump_closed()

    def _on_readable(self):
        payloads = []
        ended = False
        for _ in range(READS_PER_TURN):
            try:
                data = os.read(self.fd, self.read_bytes)
            except BlockingIOError:
                break
            except OSError:      # EIO: the terminal's last user has gone
                data = b""
            if not data:
                ended = True
                break
            payloads.append(b'%b%b"}' % (self.prefix,
                                         base64.b64encode(data)))
        sink = self.execution.sink
        if payloads:
            if sink is None:
                # Nobody reads: like the agent, whose first write to the
                # client that left fails and makes it close the pipe.
                ended = True
            elif not sink(payloads):
                self._stop()
        if ended:
            self.close()


class Execution:
    """One running program."""

    def __init__(self, sandbox, opened, default_program=None):
        self.sandbox = sandbox
        self.guest = sandbox.guest
        self.opened = opened
        self.loop = asyncio.get_running_loop()
        self.sink = None
        self.pid = None
        self.pty = opened.get("pty")
        self.stdin = None            # write end, or the terminal
        self.done = self.loop.create_future()   # exit code
        self.started = time.monotonic()
        self._default_program = default_program
        self._pumps = []
        self._exited = None
        self._timer = None
        self._ending = None
        self._timed_out = False

    @property
    def elapsed_ms(self):
        """Time since the start."""
        return round((time.monotonic() - self.started) * 1000, 3)

    def _argv(self):
        command = self.opened.get("command", "")
        if self.pty is not None and not command:
            return ["/bin/sh"]
        return ["/bin/sh", "-c", command]

    async def start(self, with_stdin):
        """Start; may raise guest.Failed or guest.Lost."""
        opened = self.opened
        env = [[pair.get("key", ""), pair.get("value", "")]
               for pair in opened.get("env", [])]
        cwd = opened.get("cwd", "")
        self.started = time.monotonic()
        if self.pty is not None:
            self.pid, self._exited, fds = await self.guest.start(
                self._argv(), cwd, env, pty=self.pty or {"term": ""})
            self.stdin = fds[0]
            self._pumps = [Pump(self, os.dup(fds[0]), b'{"stdout":"',
                                TERMINAL_READ_BYTES)]
        else:
            await self._start_on_pipes(cwd, env, with_stdin)
        timeout_s = opened.get("timeoutSeconds", 0)
        if timeout_s <= 0:
            timeout_s = DEFAULT_TIMEOUT_S
        self._timer = self.loop.call_later(timeout_s, self._on_timeout)
        self.sandbox.closers.add(self._abort)
        self._ending = self.loop.create_task(self._wait())

    async def _start_on_pipes(self, cwd, env, with_stdin):
        in_out, in_in = os.pipe2(os.O_CLOEXEC)
        out_out, out_in = os.pipe2(os.O_CLOEXEC)
        err_out, err_in = os.pipe2(os.O_CLOEXEC)
        if not with_stdin:
            os.close(in_in)
            in_in = None
        try:
            self.pid, self._exited, _ = await self.guest.start(
                self._argv(), cwd, env, [in_out, out_in, err_in])
        except BaseException:
            for fd in (in_in, out_out, err_out):
                if fd is not None:
                    os.close(fd)
            raise
        finally:
            for fd in (in_out, out_in, err_in):
                os.close(fd)
        if in_in is not None:
            os.set_blocking(in_in, False)
        self.stdin = in_in
        for fd in (out_out, err_out):
            os.set_blocking(fd, False)
        self._pumps = [
            Pump(self, out_out, b'{"stdout":"', PIPE_READ_BYTES),
            Pump(self, err_out, b'{"stderr":"', PIPE_READ_BYTES)]

    def pump_closed(self):
        """A pipe has come to its end."""
        if all(pump.fd is None for pump in self._pumps):
            self._check_pipes()

    def _check_pipes(self):
        if self._ending is not None and not self._pipes_done.done():
            self._pipes_done.set_result(None)

    async def _wait(self):
        self._pipes_done = self.loop.create_future()
        if all(pump.fd is None for pump in self._pumps):
            self._pipes_done.set_result(None)
        try:
            await self._pipes_done
            if not self._timed_out:
                self._timer.cancel()
                self._finish(await self._exited)
        except guest.Lost:
            if not self.done.done():
                self.done.set_exception(guest.Lost())
                self.done.exception()
            self._close()
        except asyncio.CancelledError:
            pass

    def _finish(self, code):
        if not self.done.done():
            self.done.set_result(code)
        self._close()

    def _close(self):
        self._timer.cancel()
        self.sandbox.closers.discard(self._abort)
        for pump in self._pumps:
            pump.close()
        if self.stdin is not None:
            self.loop.remove_writer(self.stdin)
            os.close(self.stdin)
            self.stdin = None

    def _abort(self):
        """The sandbox goes: no more output."""
        if not self.done.done():
            self.done.set_exception(guest.Lost())
            self.done.exception()
        if self._ending is not None:
            self._ending.cancel()
        self._close()

    def _on_timeout(self):
        if all(pump.fd is None for pump in self._pumps):
            return
        self._timed_out = True
        self.kill()
        self.loop.call_later(KILL_PAUSE_S, self._finish_late)

    def _finish_late(self):
        if not self.done.done():
            self._ending.cancel()
            self._finish(EXIT_TIMEOUT)

    def kill(self):
        """SIGKILL to the program's group."""
        async def ask():
            try:
                await self.guest.ask("kill_group", pid=self.pid,
                                     signal=signal.SIGKILL)
            except (guest.Failed, guest.Lost):
                pass
        self.loop.create_task(ask())

    def room(self):
        """The sink has room again."""
        for pump in self._pumps:
            pump.resume()

    def leave(self):
        """The client has gone: what still comes is dropped."""
        self.sink = None
        self.room()

    def resize(self, size):
        """Set the terminal's size; nothing without a terminal."""
        if self.pty is None or self.stdin is None:
            return
        fcntl.ioctl(self.stdin, termios.TIOCSWINSZ, struct.pack(
            "HHHH", size.get("rows", 0) & 0xFFFF,
            size.get("cols", 0) & 0xFFFF, 0, 0))

    async def write(self, data):
        """Input for the program; False when the terminal is full.

        Waits while a pipe is full. What comes after the program has closed
        its input is dropped.
        """
        view = memoryview(data)
        while view and self.stdin is not None:
            try:
                view = view[os.write(self.stdin, view):]
            except BlockingIOError:
                if self.pty is not None:
                    return False
                await self._writable()
            except OSError:
                return True
        return True

    async def _writable(self):
        ready = self.loop.create_future()
        fd = self.stdin
        self.loop.add_writer(fd, lambda: ready.done()
                             or ready.set_result(None))
        self.done.add_done_callback(lambda _: ready.done()
                                    or ready.set_result(None))
        try:
            await ready
        finally:
            if self.stdin == fd:
                self.loop.remove_writer(fd)


def exit_message(code, elapsed_ms):
    """The exit frame of a program that ran."""
    body = {"exitCode": code} if code else {}
    body["execTimeMs"] = elapsed_ms
    return {"exit": body}


def failed_message(text):
    """The exit frame of one that did not, or was lost."""
    return {"exit": {"exitCode": 1, "error": text}}


def _varint(number):
    return max(1, (number.bit_length() + 6) // 7)


def _field(size):
    return 1 + _varint(size) + size


def open_size(opened):
    """The bytes of the opening message on the hop to the agent."""
    def text(value):
        return len(value.encode("utf-8", "replace"))
    total = 0
    for name in ("command", "cwd"):
        size = text(opened.get(name, ""))
        total += _field(size) if size else 0
    for pair in opened.get("env", []):
        inner = sum(_field(text(v)) for v in pair.values() if v)
        total += _field(inner)
    if opened.get("timeoutSeconds", 0) > 0:
        total += 1 + _varint(opened["timeoutSeconds"])
    return _field(total)


def check_open(opened):
    """Refuse what the agent refuses; raises Status."""
    if opened.get("args"):
        raise Status("Unimplemented", "exec: argv exec (args non-empty) is "
                     "not yet implemented; use command with shell")
    size = open_size(opened)
    if size > OPEN_BYTES_MAX:
        raise Status("Internal",
                     status.out_of_range(size, "exec: recv open"))


def start_text(problem, pty=False):
    """Why a program did not start."""
    what = "start shell" if pty else "start"
    text = problem.text or status.os_text(problem.code)
    return f"guest exec failed: {what}: {text}"


class Slots:
    """The cap on open exec streams of one sandbox."""

    def __init__(self, sandbox, most):
        if most and sandbox.streams >= most:
            raise LimitReached(sandbox.name)
        self.sandbox = sandbox
        sandbox.streams += 1

    def free(self):
        """Give the slot back; once."""
        if self.sandbox is not None:
            self.sandbox.streams -= 1
            self.sandbox = None


class LimitReached(Exception):
    """Too many open exec streams."""

    def __init__(self, name):
        super().__init__(
            f'sandbox "{name}" is at its concurrent exec-stream limit; close '
            "an existing stream before opening another")


def check_ceiling(app, seconds):
    """Refuse a timeout over the server's ceiling."""
    most = app.options.max_exec_timeout_seconds
    if most and seconds > most:
        raise RpcError("invalid_argument", f"requested timeout {seconds}s "
                       f"exceeds the ceiling of {most}s; request a timeout "
                       "at or under the ceiling")


async def exec_stream(call, opened, stream):
    """ExecStream: no input, and leaving it does not end the program."""
    opened.pop("pty", None)
    check_ceiling(call.app, opened.get("timeoutSeconds", 0))
    try:
        sandbox = call.require()
    except Status as problem:
        raise RpcError("unavailable", "guest exec open failed: open guest "
                       f"Exec stream: {problem}; {OPEN_HINT}") from None
    try:
        slot = Slots(sandbox, call.app.options.max_streams_per_sandbox)
    except LimitReached as limit:
        raise RpcError("unavailable", f"guest exec open failed: {limit}; "
                       f"{OPEN_HINT}") from None
    try:
        await _run(call, sandbox, opened, stream)
    finally:
        slot.free()


async def _run(call, sandbox, opened, stream):
    execution = Execution(sandbox, opened)

    def sink(payloads):
        stream.send_many(payloads)
        return not call.conn.paused
    execution.sink = sink
    call.conn.on_room(execution.room)
    text = None
    try:
        check_open(opened)
        await execution.start(with_stdin=False)
        await asyncio.wait((execution.done, call.over),
                           return_when=asyncio.FIRST_COMPLETED)
        if not execution.done.done():
            raise call.over.result()
        code = execution.done.result()
    except guest.Failed as problem:
        text = start_text(problem)
    except (Status, guest.Lost) as problem:
        told = status.of(problem, "") if isinstance(problem, guest.Lost) \
            else problem
        text = f"recv exec frame: {told}"
    finally:
        call.conn.forget_room(execution.room)
        if execution.pid is not None and not execution.done.done():
            execution.leave()
    if text is None:
        stream.tell(exit_message(code, execution.elapsed_ms))
    else:
        stream.tell(failed_message(f"exec stream read error: {text}"
                                   f"{LOST_HINT}"))
