"""guest_files - the agent's file work, done inside the sandbox.

Each function takes (request, fds) and gives (result, fds to pass on); a
failure is an OSError, or a Step that also says at which step it happened.
"""

import ctypes
import errno
import os
import stat
import tarfile

WORKSPACE = "/workspace"
TAR_BYTES_MAX = 64 * 1024 * 1024

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_CLOSE_NOWRITE = 0x10
IN_OPEN = 0x20
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
WATCH_MASK = (IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_OPEN
              | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
              | IN_DELETE_SELF | IN_MOVE_SELF)


class Step(Exception):
    """A failure at a named step; code 0 with a text stands for itself."""

    def __init__(self, code, step, text=""):
        super().__init__(text or step)
        self.code = code
        self.step = step
        self.text = text


def _path(request, key="path", step=""):
    path = request[key]
    if "\0" in path:
        raise Step(0, step, "file name contained an unexpected NUL byte")
    return os.fsencode(path)


def _facts(name, path, found):
    return [name.decode("utf-8", "replace"), path.decode("utf-8", "replace"),
            stat.S_ISDIR(found.st_mode), found.st_size, found.st_mode,
            int(found.st_mtime // 1)]


def stat_path(request, _fds):
    """lstat: [name, path, is a directory, size, mode, mtime]."""
    path = _path(request)
    found = os.lstat(path)
    name = os.path.basename(os.path.normpath(path))
    if path.rstrip(b"/").endswith(b".."):
        name = path
    return _facts(name or b"/", path, found), []


def list_directory(request, _fds):
    """One level, in the order of the file system."""
    parent = _path(request)
    rows = []
    with os.scandir(parent) as entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            rows.append(_facts(entry.name, os.path.join(parent, entry.name),
                               found))
    return rows, []


def make_parents(path, mode=0o755):
    """mkdir -p, with the errors of the real agent."""
    if not path or path == b"/":
        return
    try:
        os.mkdir(path, mode)
        return
    except FileNotFoundError:
        pass
    except OSError:
        if os.path.isdir(path):
            return
        raise
    make_parents(os.path.dirname(path.rstrip(b"/")), mode)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise


def make_directory(request, _fds):
    """mkdir -p; an existing directory and an empty path are success."""
    make_parents(_path(request))
    return None, []


def _remove_tree(path):
    """rm -rf of a directory that is not a link."""
    with os.scandir(path) as entries:
        found = list(entries)
    for entry in found:
        try:
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(entry.path)
            else:
                os.unlink(entry.path)
        except FileNotFoundError:
            pass
    os.rmdir(path)


def remove(request, _fds):
    """rm -rf; a missing path is success."""
    path = _path(request)
    if not path:
        return None, []
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None, []
    except OSError as problem:
        raise Step(problem.errno, "stat: ") from problem
    try:
        if stat.S_ISDIR(found.st_mode):
            _remove_tree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass
    return None, []


def is_fifo(request):
    """Whether opening may wait for somebody at the other end."""
    try:
        return stat.S_ISFIFO(os.stat(_path(request)).st_mode)
    except (OSError, Step):
        return False


def open_read(request, _fds):
    """Open for reading; waits where open(2) waits (a FIFO)."""
    fd = os.open(_path(request), os.O_RDONLY | os.O_CLOEXEC)
    found = os.fstat(fd)
    if stat.S_ISDIR(found.st_mode):
        os.close(fd)
        raise Step(errno.EISDIR, "read: ")
    return [stat.S_ISREG(found.st_mode), found.st_size], [fd]


def open_write(request, _fds):
    """Make the parents, then open and truncate.

    The mode counts for a new file only, less the umask; so does the owner.
    """
    path = _path(request, step="open: ")
    parent = os.path.dirname(path.rstrip(b"/"))
    try:
        make_parents(parent)
    except OSError as problem:
        raise Step(problem.errno, "create parent dirs: ") from problem
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, request["mode"] or 0o644)
    except OSError as problem:
        raise Step(problem.errno, "open: ") from problem
    return stat.S_ISREG(os.fstat(fd).st_mode), [fd]


def _inside_workspace(path):
    text = os.path.normpath(os.fsdecode(path))
    return text == WORKSPACE or text.startswith(WORKSPACE + "/")


def _require_workspace(path, what, which="transfer allowlist"):
    if not _inside_workspace(path):
        raise Step(errno.EACCES, "", f'{what} "{os.fsdecode(path)}" is '
                   f"outside the workspace {which}")


class _TarWriter:
    """Writes members as the real agent does: no owner, no time.

    tarfile's headers differ in fields that carry nothing, and it pads the
    end to 10 KiB.
    """

    def __init__(self, fd):
        self.fd = fd
        self.size = 0

    def write(self, data):
        self.size += len(data)
        if self.size > TAR_BYTES_MAX:
            raise Step(-1, "", f"tar size exceeded max {TAR_BYTES_MAX} bytes "
                       "while building archive")
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view):]

    def pad(self, size):
        self.write(b"\0" * (-size % 512))

    def _header(self, name, mode, size, kind):
        head = bytearray(512)
        head[0:len(name)] = name
        head[100:108] = b"%07o\0" % mode
        head[124:136] = b"%011o\0" % size
        head[136:148] = b"%011o\0" % 0
        head[148:156] = b" " * 8
        head[156:157] = kind
        head[257:265] = b"ustar  \0"
        head[148:156] = b"%07o\0" % sum(head)
        self.write(head)

    def member(self, name, mode, size, kind):
        """A header; a name over 100 bytes goes before it."""
        if len(name) > 100:
            self._header(b"././@LongLink", 0o644, len(name) + 1, b"L")
            self.write(name + b"\0")
            self.pad(len(name) + 1)
        self._header(name[:100], mode, size, kind)


def _add_file(tar, full, name):
    with open(full, "rb") as file:
        found = os.fstat(file.fileno())
        size = found.st_size
        tar.member(name, stat.S_IMODE(found.st_mode), size, b"0")
        left = size
        while left:
            piece = file.read(min(left, 1 << 20)) or b"\0" * left
            tar.write(piece)
            left -= len(piece)
        tar.pad(size)


def _add_members(tar, top, relative):
    directory = os.path.join(top, relative) if relative else top
    for name in sorted(os.listdir(directory)):
        inner = os.path.join(relative, name)
        full = os.path.join(top, inner)
        try:
            found = os.lstat(full)
            if stat.S_ISDIR(found.st_mode):
                tar.member(inner + b"/", stat.S_IMODE(found.st_mode), 0,
                           b"5")
                _add_members(tar, top, inner)
            elif stat.S_ISREG(found.st_mode):
                _add_file(tar, full, inner)
        except FileNotFoundError:
            continue


def archive(request, _fds):
    """A tar of a directory in a memory file: regular files, directories."""
    path = _path(request)
    _require_workspace(path, "archive: path")
    if os.path.lexists(path) and not os.path.isdir(path):
        raise Step(-2, "", f"{os.fsdecode(path)} is not a directory")
    fd = os.memfd_create("archive", os.MFD_CLOEXEC)
    try:
        tar = _TarWriter(fd)
        if os.path.isdir(path):
            _add_members(tar, path, b"")
        tar.write(b"\0" * 1024)
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return None, [fd]


_TYPE_NAMES = {tarfile.SYMTYPE: "Symlink", tarfile.LNKTYPE: "Link",
               tarfile.CHRTYPE: "Char", tarfile.BLKTYPE: "Block",
               tarfile.FIFOTYPE: "Fifo"}


def _check_member(member):
    name = member.name
    if name.startswith("/"):
        raise Step(errno.EACCES, "",
                   f'refusing absolute tar member "{name}"')
    if ".." in name.split("/"):
        raise Step(errno.EACCES, "",
                   f'refusing traversing tar member "{name}"')
    if not member.isfile() and not member.isdir():
        kind = _TYPE_NAMES.get(member.type, "Other")
        raise Step(errno.EACCES, "", f'refusing tar member "{name}" with '
                   f"unsupported type {kind}")


def _extract(tar, member, dest):
    target = os.path.join(dest, member.name)
    if member.isdir():
        make_parents(os.fsencode(target))
        os.chmod(target, member.mode & 0o7777)
        return
    make_parents(os.fsencode(os.path.dirname(target)))
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                 | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        source = tar.extractfile(member)
        left = member.size
        while left:
            piece = source.read(min(left, 1 << 20))
            if not piece:
                os.fchmod(fd, member.mode & 0o7777)
                raise Step(0, "", "unexpected EOF during skip")
            out.write(piece)
            left -= len(piece)
        os.fchmod(fd, member.mode & 0o7777)


def upload(request, fds):
    """Unpack a tar (descriptor 0); the first refused member ends it."""
    dest = _path(request, "dest")
    _require_workspace(dest, "upload: dest")
    make_parents(dest)
    size = os.fstat(fds[0]).st_size
    if 0 < size < 512:
        raise Step(0, "", "failed to read entire block")
    with os.fdopen(os.dup(fds[0]), "rb") as file:
        try:
            tar = tarfile.TarFile(fileobj=file, mode="r")
            for member in tar:
                _check_member(member)
                _extract(tar, member, os.fsdecode(dest))
        except tarfile.EmptyHeaderError:
            pass
        except tarfile.ReadError as problem:
            if size == 0:
                return None, []
            text = ("unexpected EOF during skip"
                    if "unexpected end" in str(problem)
                    else "numeric field was not a number")
            raise Step(0, "", text) from problem
    return None, []


def watch(request, _fds):
    """An inotify descriptor that watches one directory."""
    path = _path(request)
    _require_workspace(path, "watch: path", "allowlist")
    found = os.lstat(path.rstrip(b"/") or b"/")
    if not stat.S_ISDIR(found.st_mode):
        raise Step(-2, "", f'watch: path "{os.fsdecode(path)}" is not a '
                   "directory")
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    if libc.inotify_add_watch(fd, path, WATCH_MASK) < 0:
        code = ctypes.get_errno()
        os.close(fd)
        raise OSError(code, "inotify_add_watch")
    return None, [fd]
