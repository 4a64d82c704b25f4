"""service - the calls about files and processes."""

import asyncio
import os
import time

from box import connect, guest, jsontext, message, status
from box.jsontext import quote
from box.status import RpcError, Status

FRAME_BYTES = 32768
READ_BYTES = 1 << 20
# A data frame and its five bytes of protobuf fill the hop's 4 MiB.
DATA_BYTES_MAX = status.MESSAGE_MAX - 5
# Up to here the agent loses a write error (it does not flush its file).
LOST_ERROR_BYTES = 2 << 20
SPOOL_MEMORY_BYTES = 1 << 20

UNIMPLEMENTED = (
    "sandbox.v1.Sandbox/{} is not implemented yet: it is a tracked follow-up "
    "of issue #24 (Connect runtime protocol). The streaming Exec and RunCode,"
    " the unary Budget, the file RPCs (ReadFile, WriteFile, List, Stat, Mkdir"
    ", Remove), and the runtime RPCs (Watch, Processes, Signal, PortForward, "
    "Vitals) are live on this transport when a GuestConn is wired; the "
    "remaining surface (archive, fork/checkpoint/extend) still rides the "
    "current JSON-over-HTTP sandbox API and the JSON-lines vsock protocol. "
    "See docs/api/runtime-protocol.md")


async def _unary(call, op, prefix, text, hint, **fields):
    """Ask; a failure becomes `text: guest ...: status; hint`."""
    try:
        return (await call.ask(op, **fields))[0]
    except Status as problem:
        told = problem
    except (guest.Failed, guest.Lost) as problem:
        told = status.of(problem, prefix)
    raise RpcError("internal", f"{text}: {told}; {hint}")


def _file_info(row):
    name, path, is_dir, size, mode, modified = row
    out = {"name": name, "path": path}
    if is_dir:
        out["isDir"] = True
    if size:
        out["size"] = str(size)
    if mode:
        out["mode"] = mode
    if modified > 0:
        out["modifiedAtUnix"] = str(modified)
    return out


def _varint_size(number):
    return max(1, (number.bit_length() + 6) // 7)


def _string_size(text):
    size = len(text.encode("utf-8", "replace"))
    return 1 + _varint_size(size) + size if size else 0


def _list_size(rows):
    """The bytes of the answer on the hop from the agent."""
    total = 0
    for name, path, is_dir, size, mode, modified in rows:
        one = _string_size(name) + _string_size(path) + 2 * bool(is_dir)
        for number in (size, mode, max(modified, 0)):
            one += 1 + _varint_size(number) if number else 0
        total += 1 + _varint_size(one) + one
    return total


async def list_directory(call, asked):
    """List."""
    parent = asked.get("parent", "")
    text = f"list {quote(parent)}: guest List"
    hint = "check the path exists and is a directory inside the sandbox"
    rows = await _unary(call, "list", "list: ", text, hint, path=parent)
    size = _list_size(rows)
    if size > status.MESSAGE_MAX:
        told = Status("ResourceExhausted", "grpc: received message larger "
                      f"than max ({size} vs. {status.MESSAGE_MAX})")
        raise RpcError("internal", f"{text}: {told}; {hint}")
    return {"entries": [_file_info(row) for row in rows]} if rows else {}


async def stat(call, asked):
    """Stat."""
    path = asked.get("path", "")
    return _file_info(await _unary(
        call, "stat", "stat: ", f"stat {quote(path)}: guest Stat",
        "check the path exists inside the sandbox", path=path))


async def mkdir(call, asked):
    """Mkdir."""
    path = asked.get("path", "")
    await _unary(call, "mkdir", "mkdir: ",
                 f"mkdir {quote(path)}: guest Mkdir",
                 "check the parent path is writable inside the sandbox",
                 path=path)
    return {}


async def remove(call, asked):
    """Remove."""
    path = asked.get("path", "")
    await _unary(call, "remove", "remove: ",
                 f"remove {quote(path)}: guest Remove",
                 "check the path exists and is removable inside the sandbox",
                 path=path)
    return {}


async def processes(call, _):
    """Processes."""
    rows = await _unary(call, "processes", "processes: ",
                        "read process list: guest Processes",
                        "check that the guest agent is healthy")
    out = []
    for pid, ppid, comm, state, percent, rss in rows:
        row = {"pid": pid}
        if ppid:
            row["ppid"] = ppid
        row["command"] = comm
        row["state"] = state
        if percent:
            row["cpuPercent"] = percent
        if rss:
            row["rssBytes"] = str(rss)
        out.append(row)
    return {"processes": out}


def _check_signal(pid, number):
    if pid <= 1:
        raise Status("InvalidArgument", f"signal: refusing to signal pid "
                     f"{pid}: pid 1 is the guest control plane and pids <= 1"
                     " are not addressable")
    if not 1 <= number <= 64:
        raise Status("InvalidArgument", f"signal: signal number {number} out "
                     "of range 1..64")


async def signal(call, asked):
    """Signal."""
    pid, number = asked.get("pid", 0), asked.get("signal", 0)
    try:
        call.require()
        _check_signal(pid, number)
        await call.ask("signal", pid=pid, signal=number)
        return {}
    except Status as problem:
        told = problem
    except guest.Failed as problem:
        if problem.code == 3:     # ESRCH
            told = Status("NotFound", f"signal: no such process {pid}")
        else:
            told = status.of(problem, "signal: ")
    except guest.Lost as problem:
        told = status.of(problem, "")
    raise RpcError("internal", f"deliver signal {number} to pid {pid}: guest "
                   f"Signal: {told}; check that the process is running "
                   "inside the sandbox")


async def unimplemented(call, _):
    """Fork, Checkpoint, ExtendLifetime, Budget."""
    name = call.request.target.partition("?")[0].rpartition("/")[2]
    raise RpcError("unimplemented", UNIMPLEMENTED.format(name))


async def vitals(call, asked, stream):
    """Vitals, until the client leaves."""
    interval = asked.get("intervalSeconds", 0)
    if interval <= 0:
        interval = 1
    try:
        call.require()
    except Status as problem:
        raise RpcError("unavailable", "guest Vitals open failed: open guest "
                       f"Vitals stream: {problem}; check that the guest "
                       "agent is healthy") from None
    wait_s = 0.1
    try:
        while True:
            await call.until_over(asyncio.sleep(wait_s))
            (used, total, count), _ = await call.ask("vitals")
            stream.tell({"sampledAtUnix": str(int(time.time())),
                         "memUsedBytes": str(used),
                         "memTotalBytes": str(total),
                         "processCount": count})
            await stream.drain()
            wait_s = interval
    except (Status, guest.Failed, guest.Lost) as problem:
        told = (problem if isinstance(problem, Status)
                else status.of(problem, "vitals: "))
        raise RpcError("internal", f"read vitals stream: {told}; the guest "
                       "agent may have crashed or the vsock connection was "
                       "lost") from None


def data_frame(data, last=False):
    """A ReadFile or Archive message."""
    if last:
        tail = b'", "eof":true}' if jsontext.random.random() < 0.5 else \
            b'","eof":true}'
        if not data:
            return b'{"eof":true}'
    else:
        tail = b'"}'
    return b'{"data":"' + message.base64.b64encode(data) + tail


async def _read_piece(call, fd, regular):
    """Up to 1 MiB, b"" at the end."""
    if call.over.done():
        raise call.over.result()
    if regular:
        # Waited for in any case: the descriptor must outlive the read.
        return await call.loop.run_in_executor(None, os.read, fd, READ_BYTES)
    os.set_blocking(fd, False)
    while True:
        try:
            return os.read(fd, FRAME_BYTES)
        except BlockingIOError:
            ready = call.loop.create_future()
            call.loop.add_reader(fd, lambda: ready.done()
                                 or ready.set_result(None))
            try:
                await call.until_over(ready)
            finally:
                call.loop.remove_reader(fd)


async def _send_file(call, stream, fd, regular, size):
    """Frames of 32 KiB; the last one with data says eof."""
    held = None
    small = regular and size <= FRAME_BYTES
    while True:
        piece = (os.read(fd, READ_BYTES) if small
                 else await _read_piece(call, fd, regular))
        if not piece:
            break
        parts = [piece[i:i + FRAME_BYTES]
                 for i in range(0, len(piece), FRAME_BYTES)]
        if held is not None:
            parts.insert(0, held)
        held = parts.pop()
        stream.send_many([data_frame(part) for part in parts])
        await stream.drain()
    stream.send(data_frame(held or b"", last=True))


async def read_file(call, asked, stream):
    """ReadFile."""
    path = asked.get("path", "")
    text = f"read file {quote(path)}"
    hint = "check the path exists and is readable inside the sandbox"
    fds = []
    try:
        try:
            call.require()
        except Status as problem:
            raise RpcError("internal", f"{text}: open guest ReadFile stream: "
                           f"{problem}; {hint}") from None
        (regular, size), fds = await call.ask("open_read", path=path)
        await _send_file(call, stream, fds[0], regular, size)
    except (Status, guest.Failed, guest.Lost, OSError) as problem:
        told = problem
        if isinstance(problem, OSError):
            told = Status("Internal", "read_file: read: "
                          + status.os_text(problem.errno or 5))
        elif not isinstance(problem, Status):
            told = status.of(problem, "read_file: ")
        raise RpcError("internal", f"{text}: recv read_file chunk: {told}; "
                       f"{hint}") from None
    finally:
        for fd in fds:
            os.close(fd)


class Spool:
    """What a client sends, kept until all of it has come."""

    def __init__(self, directory):
        self.directory = directory
        self.memory = []
        self.size = 0
        self.fd = None

    def _to_disk(self):
        self.fd = os.open(self.directory, os.O_TMPFILE | os.O_RDWR
                          | os.O_CLOEXEC, 0o600)
        self._write(b"".join(self.memory))
        self.memory = []

    def _write(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view):]

    async def add(self, data, loop):
        """Keep some bytes."""
        self.size += len(data)
        if self.fd is None:
            self.memory.append(data)
            if self.size > SPOOL_MEMORY_BYTES:
                self._to_disk()
        else:
            await loop.run_in_executor(None, self._write, data)

    def part(self, offset):
        """Some of it."""
        if self.fd is None:
            return b"".join(self.memory)[offset:]
        return os.pread(self.fd, FRAME_BYTES, offset)

    def copy_to(self, fd):
        """Write all of it to a regular file, at its beginning."""
        if self.fd is None:
            view = memoryview(b"".join(self.memory))
            while view:
                view = view[os.write(fd, view):]
            return
        offset = 0
        while offset < self.size:
            try:
                done = os.sendfile(fd, self.fd, offset,
                                   min(self.size - offset, 8 << 20))
            except OSError as problem:
                if problem.errno != 22:   # EINVAL: not every target can
                    raise
                done = os.write(fd, os.pread(self.fd, READ_BYTES, offset))
            if done == 0:
                raise OSError(5, os.strerror(5))
            offset += done

    def close(self):
        """Drop it."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


async def _first_frame(frames, name, what, fields, other):
    """The opening message of a client stream."""
    data = await frames.next()
    if data is None:
        raise RpcError("invalid_argument", f"{what} stream closed before the "
                       f"opening message: the first {name} must carry the "
                       f"open oneof ({fields})")
    first = connect.decode_frame(data, name)
    if "open" not in first:
        raise RpcError("invalid_argument", f"first {name} must carry the open"
                       f" oneof ({fields}), got a {other} frame")
    return first["open"]


async def _collect(frames, spool, loop, name, what, field):
    """The data frames into the spool; the size of one too large, or 0."""
    too_large = 0
    while True:
        try:
            data = await frames.next()
            if data is None:
                return too_large
            part = (message.decode_write(data) if field == "data"
                    else connect.decode_frame(data, name)) if data else {}
        except message.Wrong as wrong:
            raise RpcError("internal", f"read {what} stream: invalid_argument"
                           ": unmarshal message: unmarshal into *sandboxv1."
                           f"{name}: {wrong}") from None
        except RpcError as error:
            raise RpcError("internal", f"read {what} stream: {error.code}: "
                           f"{error.message}") from None
        raw = part.get(field, b"")
        if len(raw) > DATA_BYTES_MAX:
            too_large = too_large or len(raw) + 5
        if raw and not too_large:
            await spool.add(raw, loop)


async def _feed(call, spool, fd):
    """Write to a FIFO or a device, which may not take it at once."""
    os.set_blocking(fd, False)
    offset = 0
    while offset < spool.size:
        try:
            offset += os.write(fd, spool.part(offset))
        except BlockingIOError:
            ready = call.loop.create_future()
            call.loop.add_writer(fd, lambda: ready.done()
                                 or ready.set_result(None))
            try:
                await call.until_over(ready)
            finally:
                call.loop.remove_writer(fd)


async def _store(call, spool, opened):
    """Put the spooled bytes into the guest's file."""
    regular, fds = await call.ask("open_write", path=opened.get("path", ""),
                            mode=opened.get("mode", 0))
    try:
        if not regular:
            await _feed(call, spool, fds[0])
        elif spool.fd is None:
            spool.copy_to(fds[0])
        else:
            await asyncio.shield(call.loop.run_in_executor(
                None, spool.copy_to, fds[0]))
    except OSError as problem:
        if spool.size > LOST_ERROR_BYTES:
            raise Status("Internal", "write_file: write: "
                         + status.os_text(problem.errno)) from None
    finally:
        for fd in fds:
            os.close(fd)


async def write_file(call, frames, stream):
    """WriteFile."""
    opened = await _first_frame(frames, "WriteFileRequest", "WriteFile",
                                "path, mode", "data")
    path = opened.get("path", "")
    text = f"write file {quote(path)}"
    hint = "check the path is writable inside the sandbox"
    try:
        sandbox = call.require()
    except Status as problem:
        while await frames.request.piece():
            pass
        raise RpcError("internal", f"{text}: open guest WriteFile stream: "
                       f"{problem}; {hint}") from None
    spool = Spool(sandbox.directory)
    try:
        too_large = await _collect(frames, spool, call.loop,
                                   "WriteFileRequest", "WriteFile", "data")
        if too_large:
            raise status.too_long(too_large, "write_file: recv")
        await _store(call, spool, opened)
    except (Status, guest.Failed, guest.Lost) as problem:
        told = (problem if isinstance(problem, Status)
                else status.of(problem, "write_file: "))
        raise RpcError("internal", f"{text}: close write_file stream: {told};"
                       f" {hint}") from None
    finally:
        spool.close()
    stream.tell({"bytesWritten": str(spool.size)} if spool.size else {})


async def archive(call, asked, stream):
    """Archive."""
    path = asked.get("path", "")
    direction = asked.get("direction", "DIRECTION_UNSPECIFIED")
    if direction != "DOWNLOAD":
        raise RpcError("invalid_argument", f"Archive direction {direction} is"
                       " not supported on this RPC: use the Upload RPC for "
                       "untarring (UNTAR direction); Archive only accepts "
                       "DOWNLOAD to stream a tar of the given path")
    try:
        call.require()
    except Status as problem:
        raise RpcError("internal", f"archive {quote(path)}: open guest "
                       f"Archive stream: {problem}; check the path exists "
                       "and is readable inside the sandbox") from None
    try:
        _, fds = await call.ask("archive", path=path)
        try:
            while True:
                piece = os.read(fds[0], FRAME_BYTES)
                if not piece:
                    break
                stream.send(data_frame(piece))
                await stream.drain()
        finally:
            os.close(fds[0])
    except (Status, guest.Failed, guest.Lost) as problem:
        told = (problem if isinstance(problem, Status)
                else status.of(problem, "archive: "))
        raise RpcError("internal", "read archive stream: recv archive chunk: "
                       f"{told}; the guest agent may have crashed or the "
                       "vsock connection was lost") from None
    stream.send(data_frame(b"", last=True))


async def upload(call, frames, stream):
    """Upload."""
    opened = await _first_frame(frames, "UploadRequest", "Upload", "dest",
                                "chunk")
    dest = opened.get("dest", "")
    text = f"upload to {quote(dest)}"
    hint = "check the destination path is writable inside the sandbox"
    try:
        sandbox = call.require()
    except Status as problem:
        raise RpcError("internal", f"{text}: open guest Upload stream: "
                       f"{problem}; {hint}") from None
    spool = Spool(sandbox.directory)
    try:
        too_large = await _collect(frames, spool, call.loop, "UploadRequest",
                                   "Upload", "chunk")
        if too_large:
            raise status.too_long(too_large, "upload: recv")
        if spool.size > 64 << 20:
            raise Status("ResourceExhausted", "tar size exceeded max "
                         f"{64 << 20} bytes")
        file = os.memfd_create("upload", os.MFD_CLOEXEC)
        try:
            spool.copy_to(file)
            os.lseek(file, 0, os.SEEK_SET)
            await call.ask("upload", [file], dest=dest)
        finally:
            os.close(file)
    except (Status, guest.Failed, guest.Lost) as problem:
        told = (problem if isinstance(problem, Status)
                else status.of(problem, ""))
        raise RpcError("internal", f"{text}: close upload stream: {told}; "
                       f"{hint}") from None
    finally:
        spool.close()
    stream.tell({"bytesWritten": str(spool.size)} if spool.size else {})


RPCS = {
    "List": ("unary", list_directory), "Stat": ("unary", stat),
    "Mkdir": ("unary", mkdir), "Remove": ("unary", remove),
    "Processes": ("unary", processes), "Signal": ("unary", signal),
    "Fork": ("unary", unimplemented),
    "Checkpoint": ("unary", unimplemented),
    "ExtendLifetime": ("unary", unimplemented),
    "Budget": ("unary", unimplemented),
    "Vitals": ("server-stream", vitals),
    "ReadFile": ("server-stream", read_file),
    "WriteFile": ("client-stream", write_file),
    "Archive": ("server-stream", archive),
    "Upload": ("client-stream", upload),
}
