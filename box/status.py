"""status - how a guest's failure is told: in the text of a fixed code."""

import errno
import os

from box import guest

# grpc's own code for an errno; every other one is Internal.
_CODES = {errno.ENOENT: "NotFound", errno.EACCES: "PermissionDenied",
          errno.EPERM: "PermissionDenied", -1: "ResourceExhausted",
          -2: "InvalidArgument"}
MESSAGE_MAX = 4 << 20


class Status(Exception):
    """A gRPC status of the hop between host and guest."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text

    def __str__(self):
        return f"rpc error: code = {self.code} desc = {self.text}"


class RpcError(Exception):
    """What the client is told: a Connect code and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


def no_stream_path(name):
    """The status for a sandbox that is not there."""
    return Status("Unavailable", 'connection error: desc = "transport: Error '
                  f'while dialing: sandbox {name} has no stream path"')


def os_text(code):
    """An errno as the agent shows it."""
    return f"{os.strerror(code)} (os error {code})"


def of(problem, prefix):
    """The status of a guest.Failed or guest.Lost."""
    if isinstance(problem, guest.Lost):
        return Status("Unavailable", "error reading from server: EOF")
    code = _CODES.get(problem.code, "Internal")
    if problem.text.startswith("file name"):
        return Status(code, prefix + problem.step + problem.text)
    if problem.text:
        return Status(code, problem.text)
    return Status(code, prefix + problem.step + os_text(problem.code))


def too_long(found, what):
    """The status of a message over the hop's 4 MiB."""
    return Status("Aborted", out_of_range(found, what))


def out_of_range(found, what):
    """The text of a message over the hop's 4 MiB."""
    return (f'{what}: status: OutOfRange, message: "Error, decoded message '
            f"length too large: found {found} bytes, the limit is: "
            f'{MESSAGE_MAX} bytes", details: [], metadata: MetadataMap '
            "{ headers: {} }")
