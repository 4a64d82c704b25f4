"""main - arguments, start, and the end of everything."""

import argparse
import asyncio
import ctypes
import fcntl
import os
import resource
import shutil
import signal
import sys

from box import world

NEEDS = """\
box: {}
box needs: root with CAP_SYS_ADMIN (namespaces and mounts), Linux 5.8 or
newer, overlayfs, a data directory (--data) on a file system that overlayfs
takes (ext4, xfs, btrfs, tmpfs; not another overlay), merged /usr.
"""

WARNING = ("box: not meant for hostile code: sandboxes share this machine's "
           "kernel")


def _parser():
    parser = argparse.ArgumentParser(
        prog="box", description="The sandbox server's protocol on one "
        "machine, for development and tests.")
    sub = parser.add_subparsers(dest="command", required=True)
    serve = sub.add_parser("serve", help="serve until SIGTERM")
    add = serve.add_argument
    add("--listen", default="127.0.0.1:8080", metavar="HOST:PORT",
        help="port 0 takes a free one")
    add("--data", required=True, metavar="DIR",
        help="where sandboxes keep their files; made when missing")
    add("--egress", action="store_true",
        help="give sandboxes a way out (by pasta)")
    add("--max-streams-per-sandbox", type=int, default=16, metavar="N")
    add("--max-exec-timeout-seconds", type=int, default=86400, metavar="N")
    add("--max-pids", type=int, default=512, metavar="N",
        help="processes and threads of one sandbox")
    add("--max-memory-mib", type=int, default=2048, metavar="N",
        help="memory of one sandbox")
    add("--preview-domain", default="", metavar="D",
        help="enable POST /v1/preview; needs MITOS_PREVIEW_SECRET")
    add("--preview-ttl-seconds", type=int, default=3600, metavar="N")
    add("--pid-file", default="", metavar="F")
    test = serve.add_argument_group("for tests of clients")
    add = test.add_argument
    add("--latency", type=int, default=0, metavar="MS")
    add("--cut-after", type=int, default=0, metavar="BYTES")
    add("--refuse-fork", action="store_true")
    add("--garbage", action="store_true")
    add("--split-chunks", action="store_true")
    add("--test-hooks", action="store_true",
        help="the switches by POST /box/test, too")
    return parser


def _fail(text):
    sys.stderr.write(NEEDS.format(text))
    return 1


def _has_sys_admin():
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16) >> 21 & 1
    return False


def _overlay_known():
    with open("/proc/filesystems", encoding="ascii") as file:
        if any(line.split()[-1] == "overlay" for line in file):
            return True
    return os.path.isdir("/lib/modules/" + os.uname().release)


def _check(options):
    """What is missing, or None."""
    if os.geteuid() != 0:
        return "must run as root"
    if not _has_sys_admin():
        return "root here has no CAP_SYS_ADMIN"
    if not _overlay_known():
        return "this kernel has no overlayfs"
    if set(options.data) & set(",:\\"):
        return "--data: a path with , : or \\ cannot be given to overlayfs"
    if options.egress and shutil.which("pasta") is None:
        return "--egress needs pasta (Debian package passt)"
    if options.preview_domain:
        secret = os.environ.get("MITOS_PREVIEW_SECRET", "").encode()
        if len(secret) < 16:
            return ("--preview-domain needs MITOS_PREVIEW_SECRET of at least "
                    "16 bytes")
        options.preview_secret = secret
    return None


def _lock(data):
    """Keep the directory for one box; the descriptor, or None."""
    fd = os.open(f"{data}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _raise_nofile():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _listen_address(text):
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit() or int(port) > 65535:
        return None
    return host, int(port)


async def _serve(options, address):
    from box import cgroup, faults, http, rest, sandbox
    loop = asyncio.get_running_loop()
    stop = loop.create_future()

    def on_signal():
        if not stop.done():
            stop.set_result(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    limits = cgroup.Limits(options.max_pids, options.max_memory_mib << 20)
    switches = faults.Faults(options.latency, options.cut_after,
                             options.refuse_fork, options.garbage,
                             options.split_chunks)
    nursery = None
    server = None
    everybody = set()
    try:
        nursery = sandbox.Nursery(options.data, limits, options.egress)
        # The first sandbox shows whether this machine can hold any.
        await nursery.remove(await nursery.make("probe"))
        app = rest.App(options, nursery, switches)
        server = await loop.create_server(
            lambda: http.Connection(app.handle, switches, everybody),
            *address, backlog=1024)
        _announce(options, server, limits)
        await asyncio.wait((stop, nursery.lost),
                           return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            sys.stderr.write("box: the spawner has ended; so does box\n")
            return 1
        return 0
    except sandbox.Unable as problem:
        return _fail(f"cannot make a sandbox: {problem}")
    except OSError as problem:
        return _fail(str(problem))
    finally:
        # A second signal must not interrupt the cleaning up.
        signal.pthread_sigmask(signal.SIG_BLOCK,
                               (signal.SIGTERM, signal.SIGINT))
        if server is not None:
            server.close()
        for connection in list(everybody):
            connection.cut()
        if nursery is not None:
            nursery.close()
        else:
            limits.close()


def _announce(options, server, limits):
    print(WARNING, file=sys.stderr)
    missing = {"pids", "memory"} - limits.controllers
    if missing:
        print(f"box: no limit on {' and '.join(sorted(missing))}: no cgroup "
              "controller can be written here", file=sys.stderr)
    host, port = server.sockets[0].getsockname()[:2]
    if options.pid_file:
        with open(options.pid_file, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    shown = f"[{host}]" if ":" in host else host
    print(f"box: listening on {shown}:{port}", flush=True)


def main(arguments):
    """Run; gives the exit status."""
    options = _parser().parse_args(arguments)
    options.preview_secret = b""
    options.data = os.path.abspath(options.data)
    address = _listen_address(options.listen)
    if address is None:
        sys.stderr.write("box: --listen wants HOST:PORT\n")
        return 2
    missing = _check(options)
    if missing:
        return _fail(missing)
    ctypes.CDLL(None).prctl(15, b"box", 0, 0, 0)
    os.umask(0o022)
    try:
        os.makedirs(options.data, 0o700, exist_ok=True)
        lock = _lock(options.data)
        if lock is None:
            return _fail(f"--data {options.data}: another box uses it")
        _raise_nofile()
        if options.egress:
            # Mounts made for pasta are to be nobody else's, and to go with
            # this process.
            world.unshare(world.CLONE_NEWNS)
            world.make_private()
        return asyncio.run(_serve(options, address))
    except OSError as problem:
        return _fail(str(problem))
    finally:
        if options.pid_file and os.path.exists(options.pid_file):
            os.unlink(options.pid_file)
