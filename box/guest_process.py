"""guest_process - the agent's programs: start them, list them, weigh them."""

import errno
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time

SHELL = "/bin/sh"
DEFAULT_DIRECTORY = "/workspace"
BASE_ENVIRONMENT = {"HOME": "/", "TERM": "linux"}
DEFAULT_TERM = "xterm-256color"
DEFAULT_SIZE = (24, 80)

# Of the sandbox's processes the agent is to die last when memory is short.
_OOM_SCORE = b"300"
_SNAPSHOT_GAP_S = 0.1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _environment(request):
    env = dict(BASE_ENVIRONMENT)
    if request.get("pty"):
        env.pop("TERM")
    for key, value in request["env"]:
        if request.get("pty") and key == "TERM":
            continue
        if key:
            env[key] = value
    if request.get("pty"):
        env["TERM"] = request["pty"].get("term") or DEFAULT_TERM
    return {os.fsencode(k): os.fsencode(v) for k, v in env.items()}


def _check_no_nul(request):
    texts = [*request["argv"], request["cwd"]]
    for pair in request["env"]:
        texts += pair
    if any("\0" in text for text in texts):
        raise ValueError("nul byte found in provided data")


def _exec(request, argv, env, report):
    """In the child, descriptors 0 to 2 set: become the program."""
    try:
        os.chdir(request["cwd"] or DEFAULT_DIRECTORY)
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, _OOM_SCORE)
        os.close(score)
        # What box was started with (nohup, a shell's &) is not the guest's.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD,
                       signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        os.execve(argv[0], argv, env)
    except OSError as problem:
        os.write(report, struct.pack("i", problem.errno or errno.EIO))
    finally:
        os._exit(127)


def _fork(request, prepare):
    """Fork, run prepare() in the child, exec; the pid, or OSError."""
    _check_no_nul(request)
    env = _environment(request)
    argv = [os.fsencode(part) for part in request["argv"]]
    report_out, report_in = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                prepare()
                _exec(request, argv, env, report_in)
            finally:
                os._exit(127)
        os.close(report_in)
        report_in = -1
        told = os.read(report_out, 4)
    finally:
        os.close(report_out)
        if report_in >= 0:
            os.close(report_in)
    if told:
        os.waitpid(pid, 0)
        code = struct.unpack("i", told)[0]
        raise OSError(code, os.strerror(code))
    return pid


def start(request, fds):
    """Start a program in a group of its own on three descriptors.

    By the library's vfork: a fork of the agent would cost four times as
    much, for page tables that an exec throws away.
    """
    _check_no_nul(request)
    argv = [os.fsencode(part) for part in request["argv"]]
    program = subprocess.Popen(
        argv, env=_environment(request),
        cwd=request["cwd"] or DEFAULT_DIRECTORY, stdin=fds[0], stdout=fds[1],
        stderr=fds[2], process_group=0)
    program.returncode = 0     # the agent's own loop reaps it
    try:
        with open(f"/proc/{program.pid}/oom_score_adj", "wb") as file:
            file.write(_OOM_SCORE)
    except OSError:
        pass                   # it has ended
    return program.pid


def start_on_terminal(request):
    """Start a program as leader of a session on a new terminal.

    Gives (pid, master); the master is not blocking.
    """
    master, slave = os.openpty()
    size = request["pty"].get("size") or {}
    rows = size.get("rows", 0) & 0xFFFF or DEFAULT_SIZE[0]
    cols = size.get("cols", 0) & 0xFFFF or DEFAULT_SIZE[1]
    fcntl.ioctl(slave, termios.TIOCSWINSZ,
                struct.pack("HHHH", rows, cols, 0, 0))

    def prepare():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for target in range(3):
            os.dup2(slave, target)
    try:
        pid = _fork(request, prepare)
    except (OSError, ValueError):
        os.close(master)
        raise
    finally:
        os.close(slave)
    os.set_blocking(master, False)
    return pid, master


def _snapshot():
    """pid -> (ppid, comm, state, ticks, rss)."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue
        left, right = text.index(b"("), text.rindex(b")")
        fields = text[right + 2:].split()
        found[int(name)] = (
            int(fields[1]), text[left + 1:right].decode("utf-8", "replace"),
            fields[0].decode(), int(fields[11]) + int(fields[12]),
            int(fields[21]) * _PAGE_BYTES)
    return found


def _total_ticks():
    with open("/proc/stat", "rb") as file:
        return sum(int(n) for n in file.readline().split()[1:])


def processes(_request, _fds):
    """Every process: [pid, ppid, comm, state, cpu percent, rss bytes]."""
    before, ticks_before = _snapshot(), _total_ticks()
    time.sleep(_SNAPSHOT_GAP_S)
    after, ticks_after = _snapshot(), _total_ticks()
    total = max(1, ticks_after - ticks_before)
    rows = []
    for pid, (ppid, comm, state, ticks, rss) in after.items():
        used = ticks - before.get(pid, (0, 0, 0, ticks, 0))[3]
        rows.append([pid, ppid, comm, state, 100.0 * used / total, rss])
    return rows, []


def vitals(_request, _fds):
    """[memory used, memory in all, count of processes, steal percent]."""
    with open("/proc/meminfo", "rb") as file:
        memory = {line.split(b":")[0]: int(line.split()[1]) * 1024
                  for line in file}
    count = sum(1 for name in os.listdir("/proc") if name.isdigit())
    total = memory[b"MemTotal"]
    return [total - memory[b"MemAvailable"], total, count], []


def freeze(_request, _fds):
    """Stop every process that runs: their pids."""
    frozen = []
    for pid, row in _snapshot().items():
        if pid != 1 and row[2] not in "TZ":
            try:
                os.kill(pid, signal.SIGSTOP)
                frozen.append(pid)
            except ProcessLookupError:
                pass
    return frozen, []


def thaw(request, _fds):
    """Let those go on."""
    for pid in request["pids"]:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    return None, []
