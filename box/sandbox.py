"""sandbox - sandboxes: made, found, copied, removed; and their spawner."""

import asyncio
import concurrent.futures
import os
import shutil
import signal
import subprocess
import sys
import time

from box import base, channel, guest, world

START_S = 20


class Unable(Exception):
    """A sandbox could not be made; the text says why."""


class Spawner:
    """box's end of the spawner process."""

    def __init__(self, on_dead, on_lost):
        self.loop = asyncio.get_running_loop()
        self.on_dead = on_dead
        self.on_lost = on_lost
        self._waiting = {}
        self._next = 0
        ours, theirs = channel.pair()
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "spawner.py")
        fd = theirs.fileno()

        def prepare():
            os.dup2(fd, 3)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", program], env={}, cwd="/",
            stdin=subprocess.DEVNULL, pass_fds=(3,), close_fds=True,
            preexec_fn=prepare, start_new_session=True)
        theirs.close()
        ours.setblocking(False)
        self.sock = ours
        self.loop.add_reader(ours, self._on_readable)

    def _on_readable(self):
        try:
            got = channel.receive(self.sock)
        except BlockingIOError:
            return
        except (channel.Broken, OSError):
            got = None
        if got is None:
            self.loop.remove_reader(self.sock)
            for future in self._waiting.values():
                if not future.done():
                    future.set_result({"error": "the spawner has ended"})
            self.on_lost()
            return
        message, _ = got
        if "dead" in message:
            self.on_dead(message["dead"])
            return
        future = self._waiting.pop(message["ticket"], None)
        if future is not None and not future.done():
            future.set_result(message)

    def sweep(self, directories):
        """Tell it which cgroups to remove if we are gone."""
        channel.send(self.sock, {"sweep": directories})

    async def start(self, plan, cgroups, sock):
        """Start a process 1; its pid."""
        self._next += 1
        future = self.loop.create_future()
        self._waiting[self._next] = future
        channel.send(self.sock, {"ticket": self._next, "plan": plan,
                                 "cgroups": cgroups}, [sock.fileno()])
        answer = await future
        if "error" in answer:
            raise Unable(answer["error"])
        return answer["pid"]

    def close(self):
        """End it and everything that it started."""
        self.loop.remove_reader(self.sock)
        self.sock.close()
        self.process.wait()


class Sandbox:
    """One sandbox: its directory, its agent, what is open at it."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.pid = None
        self.dead = asyncio.get_running_loop().create_future()
        self.guest = None
        self.streams = 0       # open execs, against the cap
        self.exposes = 0
        self.forwards = []
        self.kernel = None
        self.closers = set()   # called when the sandbox goes

    @property
    def alive(self):
        """Whether its agent can be asked."""
        return self.guest is not None and self.guest.sock is not None


class Nursery:
    """Makes and removes sandboxes under one data directory."""

    def __init__(self, data, limits, egress):
        self.data = data
        self.limits = limits
        self.egress = egress
        self.by_pid = {}
        self.serial = 0
        # One thread of its own: a large tree must not hold up file reads.
        self.remover = concurrent.futures.ThreadPoolExecutor(1)
        self.lost = asyncio.get_running_loop().create_future()
        for name in ("base", "sandboxes"):
            shutil.rmtree(f"{data}/{name}", ignore_errors=True)
        os.makedirs(f"{data}/sandboxes", 0o700)
        base.make(f"{data}/base", egress)
        self.spawner = Spawner(self._on_dead, self._on_lost)
        self.spawner.sweep(limits.directories())

    def _on_dead(self, pid):
        sandbox = self.by_pid.pop(pid, None)
        if sandbox is not None:
            if sandbox.guest is not None:
                sandbox.guest.close()
            if not sandbox.dead.done():
                sandbox.dead.set_result(None)

    def _on_lost(self):
        if not self.lost.done():
            self.lost.set_result(None)

    def _plan(self, directory):
        return {
            "root": f"{directory}/root",
            "lowers": [f"{self.data}/base/root"],
            "upper": f"{directory}/upper", "work": f"{directory}/work",
            "usr_lowers": [f"{self.data}/base/usr", "/usr"],
            "usr_upper": f"{directory}/usr",
            "usr_work": f"{directory}/usr_work",
            "tmp": f"{directory}/tmp", "hostname": base.HOSTNAME,
        }

    def _make_directory(self, directory, source):
        os.mkdir(directory, 0o700)
        for name in ("root", "work", "usr_work"):
            os.mkdir(f"{directory}/{name}", 0o755)
        if source is None:
            for name in ("upper", "usr"):
                os.mkdir(f"{directory}/{name}", 0o755)
            os.mkdir(f"{directory}/tmp")
            os.chmod(f"{directory}/tmp", 0o1777)
            return
        # As root, cp keeps what overlayfs wrote: whiteouts, its xattrs.
        subprocess.run(
            ["cp", "-a", "--reflink=auto", "--",
             *(f"{source}/{name}" for name in ("upper", "usr", "tmp")),
             directory + "/"],
            check=True, stderr=subprocess.PIPE)

    async def make(self, name, source=None):
        """Start a sandbox, with the files of another where given."""
        self.serial += 1
        label = f"{self.serial}-{name}"
        directory = f"{self.data}/sandboxes/{label}"
        sandbox = Sandbox(name, directory)
        sandbox.label = label
        ours, theirs = channel.pair()
        try:
            if source is None:
                self._make_directory(directory, None)
            else:
                await self._copy(directory, source)
            cgroups = self.limits.add(label)
            pid = await self.spawner.start(self._plan(directory), cgroups,
                                           theirs)
        except (OSError, Unable, subprocess.CalledProcessError) as problem:
            ours.close()
            theirs.close()
            self._forget(sandbox)
            text = getattr(problem, "stderr", None) or problem
            raise Unable(str(text)) from problem
        theirs.close()
        sandbox.pid = pid
        sandbox.guest = guest.Guest(ours)
        self.by_pid[pid] = sandbox
        failed = None
        try:
            failed = await asyncio.wait_for(
                asyncio.shield(sandbox.guest.ready), START_S)
        except asyncio.TimeoutError:
            failed = "the sandbox did not start in time"
        if failed:
            await self.remove(sandbox)
            raise Unable(failed)
        if self.egress:
            await self._connect_out(sandbox)
        return sandbox

    async def _copy(self, directory, source):
        """The parent's files; its processes stand still meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            frozen, _ = await source.guest.ask("freeze")
            try:
                await loop.run_in_executor(None, self._make_directory,
                                           directory, source.directory)
            finally:
                await source.guest.ask("thaw", pids=frozen)
        except (guest.Failed, guest.Lost) as problem:
            raise Unable("the source has ended") from problem

    async def _connect_out(self, sandbox):
        """A way out by pasta, which ends with the sandbox.

        The network is shown to it as a file: it gives up the rights that
        /proc/PID/ns wants before it looks.
        """
        netns = f"{sandbox.directory}/netns"
        with open(netns, "w", encoding="ascii"):
            pass
        world.bind(f"/proc/{sandbox.pid}/ns/net", netns)
        process = await asyncio.create_subprocess_exec(
            "pasta", "--config-net", "--no-map-gw", "--foreground",
            "--tcp-ports", "none", "--udp-ports", "none", "--runas", "0",
            "--netns", netns, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=lambda: world.prctl(world.PR_SET_PDEATHSIG,
                                           signal.SIGKILL))

        def stop():
            if process.returncode is None:
                process.kill()
            world.unmount(netns)
        sandbox.closers.add(stop)
        end = time.monotonic() + 3
        while time.monotonic() < end and process.returncode is None:
            with open(f"/proc/{sandbox.pid}/net/route",
                      encoding="ascii") as file:
                if len(file.readlines()) > 1:
                    return
            await asyncio.sleep(0.01)
        await self.remove(sandbox)
        raise Unable("pasta gave the sandbox no route out")

    def _forget(self, sandbox):
        self.limits.drop(sandbox.label)
        self.remover.submit(shutil.rmtree, sandbox.directory,
                            ignore_errors=True)

    async def remove(self, sandbox):
        """Kill everything in it and wait until it has ended."""
        for close in list(sandbox.closers):
            close()
        sandbox.closers.clear()
        if sandbox.pid in self.by_pid:
            os.kill(sandbox.pid, signal.SIGKILL)
            await asyncio.shield(sandbox.dead)
        if sandbox.guest is not None:
            sandbox.guest.close()
        self._forget(sandbox)

    def close(self):
        """End every sandbox; removes what they leave on disk."""
        for sandbox in self.by_pid.values():
            for close in list(sandbox.closers):
                close()
        self.spawner.close()
        self.limits.close()
        self.remover.shutdown()
        shutil.rmtree(f"{self.data}/sandboxes", ignore_errors=True)
        shutil.rmtree(f"{self.data}/base", ignore_errors=True)
