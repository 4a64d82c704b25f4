"""replay - a recorded exchange sent again, and what is compared.

A record is compared in status, in the headers that mean something, and in its
body: JSON by value less the volatile keys, streams by what they carry. What
varies between runs of the real server too is left out on purpose: how output
is split into frames, the order of stdout against stderr, the order of lists,
times, blanks in JSON, U+00A0 in texts of the protobuf library.
"""

import base64
import hashlib
import json
import re
import struct
import time

from wire import Answer, Cut, Wire, request_bytes

# Not compared: those that change, and whether an absent type was guessed.
HEADERS_IGNORED = {"date", "content-length", "accept-encoding",
                   "connect-accept-encoding", "transfer-encoding",
                   "sec-websocket-version"}
# Keys whose values belong to the machine, not to the protocol.
NOISE_KEYS = {"created_at", "creation_time_ms", "fork_time_ms", "execTimeMs",
              "modifiedAtUnix"}
OPCODES = {"cont": 0, "text": 1, "binary": 2, "close": 8, "ping": 9,
           "pong": 10}


class Difference(Exception):
    """The answers differ."""


class Unreadable(Exception):
    """The record does not hold what would have to be sent."""


def plain(value):
    """Bytes of a recorded value."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if "base64" in value and "truncated" not in value:
        return base64.b64decode(value["base64"])
    return _refill(value)


def _refill(value):
    """A cut value whose middle repeats one byte."""
    head, tail = plain(value["head"]), plain(value["tail"])
    size = value["len"]
    for byte in {head[-1:], tail[:1]}:
        middle = byte * (size - len(head) - len(tail))
        for data in (head + middle + tail, (head + middle + tail)[:size]):
            if hashlib.sha256(data).hexdigest() == value["sha256"]:
                return data
    raise Unreadable("cut in the record")


# The wrappers' line with a pid.
_PID_LINE = re.compile(rb"\x1e[0-9]+\n")

# How far a call had come when its deadline passed.
_STAGE = " while waiting for connections to become ready"


def _clean(text):
    return text.replace("\u00a0", " ").replace(_STAGE, "")


def normal(value, noise):
    """A JSON value without what varies."""
    if isinstance(value, dict):
        return {key: normal(inner, noise) for key, inner in value.items()
                if key not in noise}
    if isinstance(value, list):
        rows = [normal(inner, noise) for inner in value]
        if rows and all(isinstance(row, dict) for row in rows):
            rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
        return rows
    if isinstance(value, str):
        return _clean(value)
    return value


def body_bytes(request):
    """What to send as a body: a list of (delay, bytes)."""
    if "connect_frames" in request:
        out = b""
        for frame in request["connect_frames"]:
            text = frame.get("text", frame)
            if isinstance(text, str) and "...cut" in text:
                raise Unreadable("cut in the record")
            data = plain(text)
            out += struct.pack(">BI", frame["flags"], len(data)) + data
        return [(0, out)]
    if request.get("body_note"):
        raise Unreadable("body only described in the record")
    body = request.get("body", "")
    if isinstance(body, list):
        return [(part["delay_s"], plain(part["data"])) for part in body]
    return [(0, plain(body))]


class Replay:
    """Sends records to one server; names map recorded ids to ours."""

    def __init__(self, address, names, noise=()):
        self.address = address
        self.names = names
        self.noise = NOISE_KEYS | set(noise)

    # -- sending --------------------------------------------------------

    def _rename(self, text):
        for old, new in self.names.items():
            text = text.replace(old, new)
        return text

    def _head(self, request, parts, chunked):
        headers = []
        for name, value in request.get("headers", []):
            if name.lower() in ("content-length",):
                continue
            if name.lower() == "x-sandbox-id":
                value = self.names.get(value, value)
            headers.append((name, value))
        size = sum(len(data) for _, data in parts)
        if chunked:
            pass
        elif size or request["method"] in ("POST", "PUT", "PATCH"):
            headers.append(("Content-Length", size))
        return request_bytes(request["method"], self._rename(request["path"]),
                             headers)

    def send(self, wire, request):
        """Send the request of a record."""
        parts = body_bytes(request)
        chunked = any(name.lower() == "transfer-encoding"
                      for name, _ in request.get("headers", []))
        wire.send(self._head(request, parts, chunked))
        for delay, data in parts:
            if delay:
                time.sleep(delay)
            if chunked:
                wire.send(b"%x\r\n%b\r\n" % (len(data), data))
            elif data:
                try:
                    wire.send(data)
                except ConnectionError:
                    break        # refused early; the answer is there
        if chunked:
            wire.send(b"0\r\n\r\n")

    # -- comparing ------------------------------------------------------

    def same(self, what, ours, theirs):
        if ours != theirs:
            raise Difference(f"{what}: {_short(ours)} is not "
                             f"{_short(theirs)}")

    def noise_of(self, record):
        return self.noise | set(record.get("volatile", []))

    def headers(self, answer, response):
        theirs = sorted((name.lower(), value) for name, value
                        in response.get("headers", []))
        ours = sorted((name.lower(), value) for name, value
                      in answer.headers)

        def kept(headers):
            return [item for item in headers
                    if item[0] not in HEADERS_IGNORED]
        ours, theirs = kept(ours), kept(theirs)
        names = {name for name, _ in ours} & {name for name, _ in theirs}
        if "content-type" not in names:
            # Guessed or not: a race in the real server.
            ours = [item for item in ours if item[0] != "content-type"]
            theirs = [item for item in theirs if item[0] != "content-type"]
        self.same("headers", ours, theirs)

    def body(self, answer, record):
        theirs = record["response"].get("body")
        if theirs is None:
            return
        if isinstance(theirs, dict) and "truncated" in theirs:
            if set(record.get("volatile", [])) - {"Date"}:
                return
            self.same("sha256 of the body",
                      hashlib.sha256(answer.body).hexdigest(),
                      theirs["sha256"])
            return
        theirs = plain(theirs)
        noise = self.noise_of(record)
        try:
            left, right = json.loads(answer.body), json.loads(theirs)
        except ValueError:
            self.same("body", answer.body, theirs)
            return
        self.same("newline at the end", answer.body.endswith(b"\n"),
                  theirs.endswith(b"\n"))
        self.same("body", normal(left, noise), normal(right, noise))

    def exchange(self, record):
        """Send a plain record and compare the whole answer."""
        request, response = record["request"], record["response"]
        wire = Wire(self.address)
        try:
            if str(response.get("end", "")).startswith("stopped"):
                self._stopped(wire, record)
                return
            self.send(wire, request)
            if "half-close" in record["name"]:
                wire.sock.shutdown(1)
            answer = wire.answer(request["method"])
        except (Cut, ConnectionError) as problem:
            raise Difference(f"cut: {problem!r}") from problem
        finally:
            wire.close()
        self.compare(answer, record)

    def _stopped(self, wire, record):
        """The recording client left; what came until then is compared."""
        request, response = record["request"], record["response"]
        self.send(wire, request)
        if response.get("status") is None:
            wire.sock.settimeout(1.0)
            try:
                got = wire.sock.recv(100)
            except TimeoutError:
                return
            raise Difference(f"an answer: {got!r}")
        answer = Answer()
        wire.head(answer)
        self.same("status", answer.status, response["status"])
        frames = response.get("frames") or []
        for frame in frames:
            size = int(wire.line(), 16)
            data = wire.exactly(size)
            wire.exactly(2)
            left = json.loads(data[5:])
            right = json.loads(frame["text"])
            noise = self.noise_of(record)
            self.same("frame", normal(left, noise), normal(right, noise))

    def compare(self, answer, record):
        """Status, headers, body or frames."""
        response = record["response"]
        self.same("status", answer.status, response["status"])
        self.headers(answer, response)
        self.same("interim answers", answer.interim,
                  [i["status"] for i in response.get("interim", [])])
        end = response.get("end", "")
        if end == "chunked-complete" and "frames" in response:
            self.same("end", answer.end, "chunked")
        elif end == "eof-short":
            self.same("end", answer.end, "short")
        if response.get("trailers"):
            self.same("trailers", answer.trailers, response["trailers"])
        if "frames" in response:
            self.frames(answer.frames(), record)
        else:
            self.body(answer, record)

    def frames(self, ours, record):
        """Connect frames, output joined."""
        theirs = record["response"]["frames"]
        if any("omitted" in frame for frame in theirs):
            raise Unreadable("frames left out of the record")
        if any(frame["flags"] & 1 for frame in theirs):
            ours = [(flags & 2, _gunzip(data) if flags & 1 else data)
                    for flags, data in ours]
            theirs = [dict(frame, flags=frame["flags"] & 2,
                           text=_text_of(frame)) for frame in theirs]
        ours = [(flags, data.decode("utf-8")) for flags, data in ours]
        if len(ours) == len(theirs):
            ours = [(left[0], _hashed(left[1], right.get("text")))
                    for left, right in zip(ours, theirs)]
        left = digest(ours, self.noise_of(record))
        right = digest([(frame["flags"], frame.get("text"))
                        for frame in theirs], self.noise_of(record))
        if "stdout" in record.get("volatile", []):
            left.pop("stdout"), right.pop("stdout")
        for key in sorted(set(left) | set(right)):
            if right.get(key) is None and key in ("stdout", "stderr"):
                continue         # cut in the record
            self.same(key, left.get(key), right.get(key))


def _same_pids(data):
    return _PID_LINE.sub(b"\x1epid\n", data)


def _hashed(ours, theirs):
    """Our text in the form of a recorded one that was cut."""
    if not isinstance(theirs, dict):
        return ours
    text = ours.replace('","eof"', '", "eof"').replace('","data"',
                                                       '", "data"')
    return {"truncated": True, "head": text[:100],
            "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _gunzip(data):
    import zlib
    return zlib.decompress(data, 31)


def _text_of(frame):
    """The text of a packed frame; a cut one as it is."""
    value = frame.get("text", frame)
    if isinstance(value, dict) and "truncated" in value:
        return value
    return _gunzip(plain(value)).decode()


def digest(frames, noise):
    """What a stream carried: joined output, and the other messages."""
    out = {"stdout": b"", "stderr": b"", "messages": []}
    for flags, text in frames:
        if isinstance(text, dict):       # cut in the record
            kind = str(text["head"])[2:8]
            if kind in ("stdout", "stderr"):
                out[kind] = None
            else:
                out["messages"].append(
                    (flags, "sha256", text["sha256"]))
            continue
        message = json.loads(text)
        plain_output = False
        for kind in ("stdout", "stderr"):
            if set(message) == {kind}:
                plain_output = True
                if out[kind] is not None:
                    out[kind] += base64.b64decode(message[kind])
        if not plain_output:
            out["messages"].append((flags, normal(message, noise)))
    for kind in ("stdout", "stderr"):
        if out[kind]:
            out[kind] = _same_pids(out[kind])
    return out


def _short(value):
    text = repr(value)
    return text if len(text) < 700 else text[:340] + " ... " + text[-340:]


class SocketReplay(Replay):
    """Records of WebSockets: send in turn, join what comes."""

    def exchange(self, record):
        request = record["request"]
        wire = Wire(self.address)
        try:
            self.send(wire, request)
            answer = wire.answer(request["method"])
            self.same("status", answer.status, record["response"]["status"])
            self.headers(answer, record["response"])
            if answer.status == 101:
                self._talk(wire, record)
            else:
                self.body(answer, record)
        finally:
            wire.close()

    def _talk(self, wire, record):
        script = record["response"].get("ws", [])
        if isinstance(script, str) or any("omitted" in item
                                          for item in script):
            raise Unreadable("messages left out of the record")
        received = Received()
        expected = Received()
        wait_s = 34 if "30s" in record["name"] else 7
        for item, after in zip(script, script[1:] + [{}]):
            if item.get("dir") == "recv":
                expected.take_recorded(item)
                continue
            self._catch_up(wire, received, expected, wait_s)
            if record["name"].startswith("pty-ctrl"):
                # dash loses a SIGINT that comes between its fork and exec.
                time.sleep(0.15)
            self._send_item(wire, item, received,
                            fin=after.get("op") != "cont",
                            mask="unmasked" not in record["name"])
        self._catch_up(wire, received, expected, wait_s)
        noise = self.noise_of(record)
        loose = "stdout" in record.get("volatile", [])
        left, right = received.shown(noise, loose), expected.shown(noise,
                                                                   loose)
        for key in right:
            if right[key] is not None:
                self.same(key, left[key], right[key])

    def _catch_up(self, wire, received, expected, wait_s):
        """Read until as much has come as was recorded by now."""
        stop = time.monotonic() + wait_s
        while not received.covers(expected):
            got = wire.message(stop)
            if got is None:
                return
            received.take(*got)

    def _send_item(self, wire, item, received, fin, mask):
        if item.get("op") not in OPCODES:
            raise Unreadable("a step that is no message")
        opcode = OPCODES[item["op"]]
        if item["op"] == "close":
            if "client" in item or not received.closed:
                wire.frame(8, struct.pack(">H", item["close_code"])
                           + item.get("reason", "").encode())
            return
        if "connect" in item:
            data = plain(item["connect"]["text"])
            data = struct.pack(">BI", item["connect"]["flags"],
                               len(data)) + data
        else:
            data = plain(item["data"])
        try:
            wire.frame(opcode, data, fin, mask)
        except ConnectionError:
            pass                 # it has closed, as a close frame will say


class Received:
    """What came over a socket, joined."""

    def __init__(self):
        self.output = {"stdout": b"", "stderr": b""}
        self.cut = set()
        self.others = []
        self.closed = None
        self.silent = False

    def _message(self, flags, text):
        message = json.loads(text)
        for kind in self.output:
            if set(message) == {kind}:
                self.output[kind] += base64.b64decode(message[kind])
                return
        self.others.append((flags, message))

    def take(self, opcode, data):
        """A frame that came."""
        if opcode == 8:
            code = struct.unpack(">H", data[:2])[0] if data else None
            self.closed = (code, data[2:].decode())
        elif opcode == 2 and len(data) >= 5 and data[5:6] == b"{":
            self._message(data[0], data[5:].decode())
        else:
            self.others.append((opcode, data))

    def take_recorded(self, item):
        """A frame that was recorded."""
        if item.get("op") is None:
            return               # silence, or the end of the connection
        if item["op"] == "close":
            self.closed = (item["close_code"], item.get("reason", ""))
        elif "connect" in item:
            text = item["connect"]["text"]
            if isinstance(text, dict):
                self.cut.add(str(text["head"])[2:8])
                return
            self._message(item["connect"]["flags"], text)
        else:
            self.others.append((OPCODES[item["op"]], plain(item["data"])))

    def covers(self, other):
        """Whether everything of the other has come."""
        for kind, data in other.output.items():
            if kind not in other.cut and \
                    len(_same_pids(self.output[kind])) < \
                    len(_same_pids(data)):
                return False
        if len(self.others) < len(other.others):
            return False
        return other.closed is None or self.closed is not None

    def shown(self, noise, loose):
        others = [(a, normal(b, noise) if isinstance(b, dict) else b)
                  for a, b in self.others]
        # Cut at 123 bytes, of which U+00A0 takes two.
        closed = self.closed and (self.closed[0],
                                  _clean(self.closed[1])[:115])
        out = {"others": others, "closed": closed}
        for kind, data in self.output.items():
            out[kind] = (None if kind in self.cut or loose
                         else _same_pids(data))
        return out
