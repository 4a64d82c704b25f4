"""world - what a sandbox sees: namespaces, mounts, devices, capabilities.

Runs in the process that is to be the sandbox's process 1, before anything of
the sandbox's owner runs. There is no user namespace: owners on disk stay
right and uid 1000 is real. What root may do inside is bounded instead.
"""

import ctypes
import fcntl
import os
import platform
import resource
import socket
import stat
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# linux/capability.h. No SYS_ADMIN (mounts), MKNOD (disks of the machine),
# DAC_READ_SEARCH (open_by_handle_at), SYS_PTRACE, NET_ADMIN.
CAPABILITIES = {
    "chown": 0, "dac_override": 1, "fowner": 3, "fsetid": 4, "kill": 5,
    "setgid": 6, "setuid": 7, "setpcap": 8, "net_bind_service": 10,
    "net_raw": 13, "sys_chroot": 18, "audit_write": 29, "setfcap": 31,
}
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

# pivot_root has no wrapper in libc (asm/unistd.h of each machine).
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "i686": 217,
               "armv7l": 218, "ppc64le": 203, "s390x": 217}

_DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7),
            ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))

# Parts of /proc that speak to the whole machine.
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs")
_PROC_HIDDEN = ("kcore", "keys", "timer_list", "latency_stats")

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


class Unable(Exception):
    """A step of building the world failed; the text says which and why."""


def _check(result, what):
    if result < 0:
        code = ctypes.get_errno()
        raise Unable(f"{what}: {os.strerror(code)}")


def unshare(flags, what="unshare"):
    """Leave the namespaces named by flags."""
    _check(libc.unshare(flags), what)


def setns(fd, flags):
    """Join a namespace."""
    _check(libc.setns(fd, flags), "setns")


def prctl(option, value):
    """prctl with one argument."""
    _check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0),
           f"prctl {option}")


def set_name(name):
    """The 15 characters that process lists show."""
    libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def hide_arguments(title):
    """Put a title where process lists read the command line."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])    # arg_start, arg_end
    text = title.encode()[:end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def mount(source, target, kind, flags=0, options=""):
    """mount(2)."""
    _check(libc.mount(source.encode(), target.encode(),
                      kind.encode() if kind else None,
                      ctypes.c_ulong(flags), options.encode()),
           f"mount {kind or 'bind'} on {target}")


def bind(source, target, read_only=False):
    """Show source at target."""
    mount(source, target, "", MS_BIND)
    if read_only:
        mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY
              | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def unmount(target):
    """Take a mount away, as soon as nobody uses it."""
    libc.umount2(target.encode(), MNT_DETACH)


def make_private():
    """Stop mounts of this namespace from reaching any other."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)


def overlay(lowers, upper, work, target):
    """Mount a writable union; plain file names, no commas or colons."""
    mount("overlay", target, "overlay", 0,
          f"lowerdir={':'.join(lowers)},upperdir={upper},workdir={work}")


def _loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh14x", answer)[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS,
                    struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def _make_dev(dev):
    mount("dev", dev, "tmpfs", MS_NOSUID, "mode=0755,size=64k")
    old_mask = os.umask(0)
    for name, major, minor in _DEVICES:
        os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666,
                 os.makedev(major, minor))
    os.umask(old_mask)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"),
                         ("stdout", "fd/1"), ("stderr", "fd/2"),
                         ("ptmx", "pts/ptmx")):
        os.symlink(target, f"{dev}/{name}")
    for name in ("pts", "shm"):
        os.mkdir(f"{dev}/{name}")
    mount("devpts", f"{dev}/pts", "devpts", MS_NOSUID | MS_NOEXEC,
          "newinstance,ptmxmode=0666,mode=0620,gid=5")
    mount("shm", f"{dev}/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")


def _make_proc(proc):
    mount("proc", proc, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name in _PROC_READ_ONLY:
        if os.path.exists(f"{proc}/{name}"):
            bind(f"{proc}/{name}", f"{proc}/{name}", read_only=True)
    for name in _PROC_HIDDEN:
        if os.path.exists(f"{proc}/{name}"):
            bind("/dev/null", f"{proc}/{name}")


def _enter(root):
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise Unable(f"pivot_root: no number for {platform.machine()}")
    os.chdir(root)
    _check(libc.syscall(number, b".", b"."), "pivot_root")
    _check(libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def drop_capabilities():
    """Bound what root can do, now and after any execve."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        last = int(file.read())
    keep = 0
    for number in CAPABILITIES.values():
        keep |= 1 << number
    for number in range(last + 1):
        if not keep >> number & 1:
            _check(libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number),
                              0, 0, 0), "drop from the bounding set")
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    low, high = keep & 0xFFFFFFFF, keep >> 32
    header = struct.pack("Ii", _LINUX_CAPABILITY_VERSION_3, 0)
    sets = struct.pack("6I", low, low, 0, high, high, 0)
    _check(libc.capset(header, sets), "capset")


def _raise_nofile():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(65536, hard), hard))


def build(plan):
    """Make the calling process live in its own world.

    plan: root, lowers, upper, work (for /); usr_lowers, usr_upper, usr_work
    (for /usr); tmp (a directory); hostname; share_net. Raises Unable.
    """
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET
    unshare(flags)
    make_private()
    root = plan["root"]
    overlay(plan["lowers"], plan["upper"], plan["work"], root)
    overlay(plan["usr_lowers"], plan["usr_upper"], plan["usr_work"],
            f"{root}/usr")
    # A mount of its own: a rename between /tmp and the rest is a copy, as
    # where /tmp is another file system.
    bind(plan["tmp"], f"{root}/tmp")
    _make_dev(f"{root}/dev")
    _make_proc(f"{root}/proc")
    mount("sysfs", f"{root}/sys", "sysfs",
          MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _enter(root)
    socket.sethostname(plan["hostname"])
    _loopback_up()
    _raise_nofile()
    os.umask(0o022)
    drop_capabilities()
