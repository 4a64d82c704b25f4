"""spawner - the process that starts sandboxes and is parent of each.

A program of its own, started by box with a socket on descriptor 3: small,
single-threaded, with an empty environment, so that a fork of it is cheap and
carries nothing of box into a sandbox. Each request forks one child into a new
pid namespace; the child builds its world and becomes the agent. When box goes
away, however it does, the spawner kills what it started and ends.
"""

import gc
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from box import agent, channel, world  # noqa: E402

CONTROL_FD = 3


def _die_with_parent(parent):
    world.prctl(world.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() not in (parent, 0):
        os._exit(1)


def _join_cgroups(files):
    for name in files:
        with open(name, "w", encoding="ascii") as file:
            file.write("0")


def _close_others(keep):
    os.closerange(3, keep)
    os.closerange(keep + 1, 1 << 20)


def _become_agent(request, sock, parent):
    """In the child: never returns."""
    code = 1
    try:
        _close_others(sock.fileno())
        _die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            _join_cgroups(request["cgroups"])
            world.build(request["plan"])
        except (world.Unable, OSError) as problem:
            channel.send(sock, {"failed": str(problem)})
        else:
            world.set_name("agent")
            world.hide_arguments("agent")
            channel.send(sock, {"ready": True})
            code = agent.run(sock)
    finally:
        os._exit(code)


class Spawner:
    """Forks on request, reaps, reports deaths."""

    def __init__(self, control):
        self.control = control
        self.own_pid_ns = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self.children = set()

    def start(self, request, fds):
        """Fork one sandbox; answer with its pid or what failed."""
        sock = socket.socket(fileno=fds[0])
        try:
            world.unshare(world.CLONE_NEWPID)
            try:
                parent = os.getpid()
                pid = os.fork()
                if pid == 0:
                    _become_agent(request, sock, parent)
            finally:
                world.setns(self.own_pid_ns, world.CLONE_NEWPID)
        except (world.Unable, OSError) as problem:
            return {"error": str(problem)}
        finally:
            sock.close()
        self.children.add(pid)
        return {"pid": pid}

    def reap(self):
        """Tell box which sandboxes have ended."""
        while self.children:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.children.discard(pid)
            try:
                channel.send(self.control, {"dead": pid})
            except OSError:
                return

    def end(self):
        """Kill everything and wait for it."""
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        for pid in self.children:
            os.waitpid(pid, 0)


def _sweep(cgroups):
    for name in cgroups:
        try:
            for entry in os.scandir(name):
                if entry.is_dir(follow_symlinks=False):
                    os.rmdir(entry.path)
            os.rmdir(name)
        except OSError:
            pass  # another box cleans it up when it starts


def main():
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    world.unshare(world.CLONE_NEWNS)
    world.make_private()
    wake_out, wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    spawner = Spawner(control)
    cgroups = []
    gc.collect()
    gc.freeze()
    import select
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_out, select.POLLIN)
    try:
        while True:
            for fd, _ in poll.poll():
                if fd == wake_out:
                    os.read(wake_out, 512)
                    spawner.reap()
                    continue
                got = channel.receive(control)
                if got is None:
                    return
                request, fds = got
                if "sweep" in request:
                    cgroups = request["sweep"]
                    continue
                answer = spawner.start(request, fds)
                answer["ticket"] = request["ticket"]
                channel.send(control, answer)
    except (BrokenPipeError, ConnectionResetError):
        return
    finally:
        spawner.end()
        _sweep(cgroups)


if __name__ == "__main__":
    main()
