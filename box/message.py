"""message - protocol messages in JSON, decoded and explained as protojson.

A schema maps a field's JSON name to its kind: "string", "bytes", "bool",
"int32", "int64", an enum (tuple of names), another schema (dict), or a list
of one of these for a repeated field. A key "" holds the name of the oneof that
"|" marked fields belong to. Fields may also be given in snake case.
"""

import base64
import binascii
import random
import re

SIZE = {"cols": "int32", "rows": "int32"}
ENV = {"key": "string", "value": "string"}
EXEC_STREAM = {"command": "string", "args": ["string"], "env": [ENV],
               "cwd": "string", "timeoutSeconds": "int32"}
EXEC_OPEN = dict(EXEC_STREAM, pty={"term": "string", "size": SIZE})
SCHEMAS = {
    "ExecStreamRequest": EXEC_STREAM,
    "ExecRequest": {"": "sandbox.v1.ExecRequest.msg", "open|": EXEC_OPEN,
                    "stdin|": "bytes", "resize|": SIZE,
                    "stdinClose|": "bool"},
    "ReadFileRequest": {"path": "string"},
    "WriteFileRequest": {"": "sandbox.v1.WriteFileRequest.msg",
                         "open|": {"path": "string", "mode": "uint32"},
                         "data|": "bytes"},
    "ListRequest": {"parent": "string", "pageSize": "int32",
                    "pageToken": "string", "filter": "string"},
    "StatRequest": {"path": "string"},
    "MkdirRequest": {"path": "string"},
    "RemoveRequest": {"path": "string", "recursive": "bool"},
    "ArchiveRequest": {"path": "string",
                       "direction": ("DIRECTION_UNSPECIFIED", "DOWNLOAD",
                                     "UNTAR")},
    "UploadRequest": {"": "sandbox.v1.UploadRequest.msg",
                      "open|": {"dest": "string"}, "chunk|": "bytes"},
    "WatchRequest": {"path": "string", "recursive": "bool"},
    "ProcessesRequest": {},
    "SignalRequest": {"pid": "int32", "signal": "int32"},
    "VitalsRequest": {"intervalSeconds": "int32"},
    "RunCodeStreamRequest": {"code": "string", "language": "string",
                             "timeoutSeconds": "int64"},
    "ForkRequest": {}, "CheckpointRequest": {},
    "ExtendLifetimeRequest": {}, "BudgetRequest": {},
}

_RANGES = {"int32": (-(1 << 31), (1 << 31) - 1),
           "uint32": (0, (1 << 32) - 1),
           "int64": (-(1 << 63), (1 << 63) - 1)}

# The library mixes U+00A0 into its texts at random, by build.
PREFIX = "proto:" + random.choice((" ", "\u00a0"))

_BLANK = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[-+.a-zA-Z0-9_]{1,32}|.", re.S)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f",
            "n": "\n", "r": "\r", "t": "\t"}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
                      r"(?:[eE][-+]?[0-9]+)?\Z")
DEPTH_MAX = 100


class Wrong(Exception):
    """Not a message of that schema; the text is the library's."""


def _camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


class _Reader:
    """A cursor over the text."""

    def __init__(self, data, strict):
        self.text = data.decode("utf-8", "surrogateescape")
        self.at = 0
        self.strict = strict

    def place(self, at):
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return f"(line {line}:{column})"

    def fail(self, at, what):
        raise Wrong(f"{self.place(at)}: {what}")

    def syntax(self, at, what):
        raise Wrong(f"syntax error {self.place(at)}: {what}")

    def blank(self):
        self.at = _BLANK.match(self.text, self.at).end()

    def peek(self):
        self.blank()
        if self.at >= len(self.text):
            raise Wrong("unexpected EOF")
        return self.text[self.at]

    def unexpected(self, at=None):
        """The next token stands where it must not."""
        at = self.at if at is None else at
        char = self.text[at]
        if char in "{}[],:":
            self.syntax(at, f"unexpected token {char}")
        raw = self.token(at)
        self.syntax(at, f"unexpected token {raw}")

    def token(self, at):
        """The raw scalar at a place, checked."""
        end = self.skip_scalar(at)
        return self.text[at:end]

    def skip_scalar(self, at):
        char = self.text[at]
        if char == '"':
            return self.string(at)[1]
        for word in ("null", "true", "false"):
            if self.text.startswith(word, at):
                return at + len(word)
        number = _NUMBER.match(self.text, at)
        if number and number.end() > at:
            return number.end()
        bad = _WORD.match(self.text, at)
        self.syntax(at, f"invalid value {bad.group()}")
        return None

    def _escape(self, at, start):
        """The character at a backslash and where it ends."""
        text = self.text
        if at + 1 >= len(text):
            raise Wrong("unexpected EOF")
        char = text[at + 1]
        if char in _ESCAPES:
            return _ESCAPES[char], at + 2
        if char != "u":
            self.syntax(start, f'invalid escape code "\\{char}" in string')
        if len(text) < at + 6:
            raise Wrong("unexpected EOF")
        code = self._hex(text[at + 2:at + 6], start)
        at += 6
        if not 0xD800 <= code < 0xE000:
            return chr(code), at
        if len(text) < at + 6:
            raise Wrong("unexpected EOF")
        low = (self._hex(text[at + 2:at + 6], start)
               if text.startswith("\\u", at) else 0)
        if code >= 0xDC00 or not 0xDC00 <= low < 0xE000:
            self.syntax(start, "invalid escape code "
                        f'"{text[at:at + 6]}" in string')
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code), at + 6

    def _hex(self, digits, start):
        try:
            return int(digits, 16)
        except ValueError:
            self.syntax(start, f'invalid escape code "\\u{digits}" in string')

    def string(self, start):
        """(value, end) of the string at a place."""
        parts = []
        at = start + 1
        while True:
            plain = _PLAIN.match(self.text, at)
            parts.append(plain.group())
            at = plain.end()
            if at >= len(self.text):
                raise Wrong("unexpected EOF")
            char = self.text[at]
            if char == '"':
                break
            if char != "\\":
                self.syntax(start, f"invalid character {ascii(char)} in "
                            "string")
            piece, at = self._escape(at, start)
            parts.append(piece)
        value = "".join(parts)
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            self.syntax(start, "invalid UTF-8 in string")
        return value, at + 1

    def skip_value(self, depth=0):
        """Step over any value."""
        if depth > DEPTH_MAX:
            raise Wrong("exceeded max recursion depth")
        char = self.peek()
        if char not in "{[":
            if char in "}],:":
                self.unexpected()
            self.at = self.skip_scalar(self.at)
            return
        close = "}" if char == "{" else "]"
        self.at += 1
        if self.peek() == close:
            self.at += 1
            return
        while True:
            if char == "{":
                self.name()
            self.skip_value(depth + 1)
            if self.comma(close):
                return

    def name(self):
        """A member's name and its colon; (name, place)."""
        if self.peek() != '"':
            self.unexpected()
        start = self.at
        name, self.at = self.string(start)
        if self.peek() != ":":
            self.unexpected()
        self.at += 1
        return name, start

    def comma(self, close):
        """After a member: whether the closing sign came."""
        char = self.peek()
        self.at += 1
        if char == close:
            return True
        if char != ",":
            self.unexpected(self.at - 1)
        return False

    def record(self, schema):
        """A message."""
        if self.peek() != "{":
            self.unexpected()
        self.at += 1
        out = {}
        if self.peek() == "}":
            self.at += 1
            return out
        seen = set()
        while True:
            name, start = self.name()
            self.member(schema, name, start, out, seen)
            if self.comma("}"):
                return out

    def member(self, schema, name, start, out, seen):
        kind, camel = schema.get(name), name
        if kind is None and name:
            camel = _camel(name)
            kind = schema.get(camel)
        oneof = False
        if kind is None and "" in schema:
            kind = schema.get(camel + "|")
            oneof = kind is not None
        if kind is None or not name:
            if self.strict:
                self.fail(start, f'unknown field "{name}"')
            self.skip_value()
            return
        if camel in seen:
            self.fail(start, f'duplicate field "{name}"')
        seen.add(camel)
        self.peek()
        if self.text.startswith("null", self.at):
            self.at += 4
            return
        if oneof:
            if "" in seen:
                self.fail(start, f'error parsing "{name}", oneof '
                          f"{schema['']} is already set")
            seen.add("")
        out[camel] = self.value(kind, camel)

    def value(self, kind, name):
        if isinstance(kind, dict):
            return self.record(kind)
        if isinstance(kind, list):
            return self.repeated(kind[0], name)
        char = self.peek()
        if char in "{}[],:":
            self.unexpected()
        start = self.at
        self.at = self.skip_scalar(start)
        raw = self.text[start:self.at]
        done, value = _scalar(kind, raw,
                              self.string(start)[0] if char == '"' else None)
        if not done:
            label = "enum" if isinstance(kind, tuple) else kind
            self.fail(start, f"invalid value for {label} field {name}: {raw}")
        return value

    def repeated(self, kind, name):
        if self.peek() != "[":
            self.unexpected()
        self.at += 1
        out = []
        if self.peek() == "]":
            self.at += 1
            return out
        while True:
            out.append(self.value(kind, name))
            if self.comma("]"):
                return out


def _integer(text, low, high):
    if not _INTEGER.match(text) or len(text) > 64:
        return False, None
    mantissa, _, power = text.lower().partition("e")
    if power and abs(int(power)) > 40:
        return False, None
    whole, _, fraction = mantissa.partition(".")
    shift = int(power or 0)
    digits = whole + fraction
    shift -= len(fraction)
    number = int(digits)
    if shift < 0:
        if number % 10 ** -shift:
            return False, None
        number //= 10 ** -shift
    else:
        number *= 10 ** shift
    return low <= number <= high, number


def decode_bytes(text):
    """base64 of either alphabet, padded or not; None when it is neither."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        pass
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4),
                                   strict_mode=True)
    except (binascii.Error, ValueError):
        return None


def _scalar(kind, raw, text):
    """(whether it fits, value); text is given for strings."""
    if kind == "string":
        return text is not None, text
    if kind == "bytes":
        value = decode_bytes(text) if text is not None else None
        return value is not None, value
    if kind == "bool":
        return raw in ("true", "false"), raw == "true"
    if isinstance(kind, tuple):
        if text is not None:
            # An unknown name is the zero value, over this transport.
            return True, text if text in kind else kind[0]
        done, number = _integer(raw, -(1 << 31), (1 << 31) - 1)
        if not done:
            return False, None
        return True, (kind[number] if 0 <= number < len(kind) else kind[0])
    if raw in ("true", "false"):
        return False, None
    low, high = _RANGES[kind]
    return _integer(raw if text is None else text, low, high)


def decode(data, name, strict=False):
    """A message of the schema of that name; Wrong with protojson's text."""
    reader = _Reader(data, strict)
    try:
        out = reader.record(SCHEMAS[name])
        reader.blank()
        if reader.at < len(reader.text):
            reader.unexpected()
    except Wrong as wrong:
        text = str(wrong).encode("utf-8", "surrogateescape")
        raise Wrong(PREFIX + text.decode("utf-8", "replace")) from None
    except RecursionError:
        raise Wrong(PREFIX + "exceeded max recursion depth") from None
    return out


_DATA_FRAME = b'{"data":"'


def decode_write(data):
    """A WriteFile frame; one of plain data, the usual one, takes no detour."""
    if data.startswith(_DATA_FRAME) and data.endswith(b'"}'):
        try:
            return {"data": binascii.a2b_base64(
                memoryview(data)[len(_DATA_FRAME):-2], strict_mode=True)}
        except (binascii.Error, ValueError):
            pass
    return decode(data, "WriteFileRequest")


def encode_bytes(data):
    """Standard base64 as text."""
    return base64.b64encode(data).decode()
