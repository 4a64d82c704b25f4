"""agent - process 1 of a sandbox: does inside what box asks for from outside.

It starts programs and reaps them, opens files, sockets and terminals and hands
the descriptors to box, so bulk data never passes through it. Requests come as
{"ticket": n, "op": name, ...}; each is answered by {"ticket": n, "ok": ...} or
{"ticket": n, "error": [errno, step]}. Ends of programs come unasked, as
{"exited": program, "code": n}. When box goes away the agent ends, and with it
everything in the sandbox.
"""

import errno
import os
import select
import signal
import socket
import threading

from box import channel, guest_files, guest_process

_WORK = {
    "stat": guest_files.stat_path,
    "list": guest_files.list_directory,
    "mkdir": guest_files.make_directory,
    "remove": guest_files.remove,
    "open_read": guest_files.open_read,
    "open_write": guest_files.open_write,
    "archive": guest_files.archive,
    "upload": guest_files.upload,
    "watch": guest_files.watch,
    "processes": guest_process.processes,
    "vitals": guest_process.vitals,
    "freeze": guest_process.freeze,
    "thaw": guest_process.thaw,
}
# What can take its time runs in a thread of its own.
_SLOW = {"list", "remove", "archive", "upload", "processes"}


def _is_slow(request):
    """Whether others should not have to wait for it; a FIFO opens late."""
    op = request["op"]
    return op in _SLOW or (op in ("open_read", "open_write")
                           and guest_files.is_fifo(request))


class Agent:
    """The request loop and the table of running programs."""

    def __init__(self, sock):
        self.sock = sock
        self.programs = {}

    def answer(self, message, fds=()):
        """Send; safe from any thread, a message is one datagram."""
        try:
            channel.send(self.sock, message, fds)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)
        finally:
            for fd in fds:
                os.close(fd)

    def work(self, function, request, fds):
        """Do one piece of work and answer, in whatever thread."""
        ticket = request["ticket"]
        try:
            result, out = function(request, fds)
        except guest_files.Step as step:
            self.answer({"ticket": ticket, "error": [step.code, step.step],
                         "text": step.text})
            return
        except OSError as problem:
            self.answer({"ticket": ticket,
                         "error": [problem.errno or errno.EIO, ""]})
            return
        finally:
            for fd in fds:
                os.close(fd)
        self.answer({"ticket": ticket, "ok": result}, out)

    def op_exec(self, request, fds):
        """Start a program on the descriptors given, or on a terminal."""
        if request.get("pty"):
            pid, master = guest_process.start_on_terminal(request)
            self.programs[pid] = request["program"]
            return pid, [master]
        pid = guest_process.start(request, fds)
        self.programs[pid] = request["program"]
        return pid, []

    def op_kill_group(self, request, _):
        """Signal a program's group; also after its leader has gone."""
        try:
            os.killpg(request["pid"], request["signal"])
        except ProcessLookupError:
            pass
        return None, []

    def op_signal(self, request, _):
        """Signal one process."""
        os.kill(request["pid"], request["signal"])
        return None, []

    def op_socket(self, request, _):
        """A TCP socket of this network, for box to connect."""
        sock = socket.socket(socket.AF_INET,
                             socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        return None, [sock.detach()]

    def dispatch(self, request, fds):
        """Do one request."""
        function = _WORK.get(request["op"])
        if function:
            if _is_slow(request):
                try:
                    threading.Thread(target=self.work, daemon=True,
                                     args=(function, request, fds)).start()
                    return
                except RuntimeError:
                    pass     # the pids limit is reached: then here
            self.work(function, request, fds)
            return
        op = request["op"]
        ticket = request["ticket"]
        try:
            result, out = getattr(self, "op_" + op)(request, fds)
        except OSError as problem:
            self.answer({"ticket": ticket,
                         "error": [problem.errno or errno.EIO, ""]})
        except ValueError as problem:
            self.answer({"ticket": ticket, "error": [0, ""],
                         "text": str(problem)})
        else:
            self.answer({"ticket": ticket, "ok": result}, out)
        finally:
            for fd in fds:
                os.close(fd)

    def reap(self):
        """Collect every ended child, orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            program = self.programs.pop(pid, None)
            if program is not None:
                code = (os.WEXITSTATUS(status) if os.WIFEXITED(status)
                        else -1)
                self.answer({"exited": program, "code": code})


def run(sock):
    """Serve box until it goes away."""
    wake_out, wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # As pid 1 it does not die of these; what it starts inherits the default.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    me = Agent(sock)
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    poll.register(wake_out, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wake_out:
                os.read(wake_out, 512)
                me.reap()
                continue
            got = channel.receive(sock)
            if got is None:
                return 0
            me.dispatch(*got)
