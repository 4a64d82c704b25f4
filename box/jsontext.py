"""jsontext - JSON as the sandbox server writes and reads it.

Two encoders are imitated: the plain one of REST bodies and errors, which
escapes < > &, and the one of protocol messages, which puts a blank after some
commas: never the same ones, so that nobody comes to rely on them.
"""

import json
import random

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026",
                       "\u2028": "\\u2028", "\u2029": "\\u2029"})


def plain(value):
    """REST and error JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_HTML).encode("utf-8", "replace")


def message(value):
    """A protocol message."""
    comma = random.choice((",", ", "))
    return json.dumps(value, ensure_ascii=False,
                      separators=(comma, ":")).encode("utf-8", "replace")


def quote(text):
    """A string as strconv.Quote shows it."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in _SHORT:
            out.append(_SHORT[char])
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif char.isprintable() or code > 0xFFFF:
            out.append(char)
        else:
            out.append(f"\\u{code:04x}")
    out.append('"')
    return "".join(out)


_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
          "\t": "\\t", "\v": "\\v"}


class Wrong(Exception):
    """A REST body that is no JSON, or not of the types wanted."""


def _refuse(_):
    raise ValueError


_decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: ("object", pairs),
                            parse_constant=_refuse)


def fields(body, wanted):
    """Read a REST body: {name: value} of the wanted names.

    wanted maps a name to its type (str, int, bool, dict: another such map).
    As the server's decoder does it: keys match without case, the last one
    counts, unknown ones and what follows the value are ignored, null is an
    empty object.
    """
    try:
        text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
        value, _ = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as problem:
        raise Wrong() from problem
    return _typed(value, wanted)


def _typed(value, kind):
    if isinstance(kind, dict):
        if value is None:
            return {}
        if not (isinstance(value, tuple) and value[0] == "object"):
            raise Wrong()
        names = {name.lower(): name for name in kind}
        out = {}
        for key, inner in value[1]:
            name = names.get(key.lower())
            if name is not None and inner is not None:
                out[name] = _typed(inner, kind[name])
        return out
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise Wrong()
        return [_typed(inner, kind[0]) for inner in value]
    if kind is object:
        return value
    if type(value) is not kind:
        raise Wrong()
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        raise Wrong()
    return value
