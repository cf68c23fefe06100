"""Targets of requests, as nginx reads and writes them.

Source: `ngx_http_parse_complex_uri`, `ngx_escape_uri` (NGX_ESCAPE_URI); `merge_slashes` is on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})?")
#: What stays as it is when a path is written (`uri` of `ngx_escape_uri`).
_WRITTEN = re.compile(r"[\x00-\x20\"#%<>?\\^`{|}\x7f-\U0010ffff]")


class Uri(NamedTuple):
    """A target in parts.

    Attributes:
        path: decoded, without `//`, `.` and `..`: `$uri`.
        query: as it is written, without `?`: `$args`.
    """

    path: str
    query: str


def read(target: str) -> Uri | None:
    """Read a target; None: nginx answers 400. Octets beyond ASCII stand for themselves (Latin-1)."""
    path, _, query = target.partition("?")
    path = path.partition("#")[0]
    if not path.startswith("/"):
        return None
    bad = False

    def decode(found: re.Match[str]) -> str:
        nonlocal bad
        if found[1] is None or found[1] == "00":
            bad = True
            return ""
        return chr(int(found[1], 16))

    decoded = _ESCAPE.sub(decode, path)
    if bad:
        return None
    segments: list[str] = []
    parts = decoded.split("/")[1:]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "..":
            if not segments:
                return None
            segments.pop()
        elif part not in {"", "."}:
            segments.append(part)
            continue
        if last:
            segments.append("")
    return Uri("/" + "/".join(segments), query)


def write(path: str) -> str:
    """Write a path for a backend: what has no place in one is escaped."""
    return _WRITTEN.sub(lambda found: "".join(f"%{octet:02X}" for octet in found[0].encode("latin-1", "replace")), path)
