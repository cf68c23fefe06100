"""Request targets and their one normalisation (ARCHITECTURE.md, "1. Target"; RFC 9112 section 3.2)."""

from __future__ import annotations

import re

from msgspec import Struct

from .contract import BadRequest

#: Printable ASCII without `#`: a fragment never travels (RFC 9112 section 3.2).
_TARGET = re.compile(r"[!\"$-~]*")
_ABSOLUTE = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
#: A dot segment that we do not resolve and a backend may: with `;` behind it, or next to an escaped separator.
_HIDDEN_DOTS = re.compile(r"/\.\.?(?:;|%3B|%2F|%5C)|(?:%2F|%5C)\.\.?(?:[;/]|%3B|%2F|%5C|\Z)")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Target(Struct, frozen=True):
    """A target taken apart.

    Attributes:
        path: normalised.
        query: as it came, without the `?`; None where there is no `?`.
        authority: of an absolute-form target, replaces `Host` (RFC 9112 section 3.2.2).
    """

    path: str
    query: str | None = None
    authority: str | None = None


def parse_target(method: str, target: str, *, is_strict: bool = True) -> Target:
    """Take a target apart and normalise its path; not `is_strict`: leave that as it came.

    Raises:
        BadRequest: it has none of the three forms, or its bytes or its path are not allowed.
    """
    if not _TARGET.fullmatch(target):
        raise BadRequest
    if target.startswith("/"):
        path, query = _split(target)
        return Target(normalise_path(path) if is_strict else checked_path(path), query)
    if target == "*" and method == "OPTIONS":
        return Target("*")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise BadRequest
    path, query = _split(absolute[2])
    path = path or "/"
    return Target(normalise_path(path) if is_strict else checked_path(path), query, absolute[1])


def checked_path(path: str) -> str:
    """The path as it came.

    Raises:
        BadRequest: a backslash, or a broken escape: it is none (RFC 3986 section 3.3).
    """
    if "\\" in path or any(escape[1] is None for escape in _ESCAPE.finditer(path)):
        raise BadRequest
    return path


def normalise_path(path: str) -> str:
    """Decode unreserved escapes, merge slashes, remove dot segments.

    Raises:
        BadRequest: a backslash, a broken escape, an escaped NUL, a hidden dot segment, or `..` above the root.
    """
    if "\\" in path:
        raise BadRequest
    if "%" in path:
        path = _ESCAPE.sub(_decode_unreserved, path)
    if _HIDDEN_DOTS.search(path):
        raise BadRequest
    if "//" not in path and "/." not in path:
        return path
    return _remove_dot_segments(path)


def _split(target: str) -> tuple[str, str | None]:
    path, question_mark, query = target.partition("?")
    return path, query if question_mark else None


def _decode_unreserved(escape: re.Match[str]) -> str:
    """`%61` to `a`, `%2f` to `%2F` (RFC 3986 section 6.2.2)."""
    digits = escape[1]
    if digits is None or digits == "00":
        raise BadRequest
    value = int(digits, 16)
    return chr(value) if value in _UNRESERVED else "%" + digits.upper()


def _remove_dot_segments(path: str) -> str:
    """RFC 3986 section 5.2.4, with runs of `/` taken as one."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if not kept:
                raise BadRequest
            kept.pop()
        elif segment not in {"", "."}:
            kept.append(segment)
    # A dot segment at the end names a directory, as a trailing slash does.
    is_directory = segments[-1] in {"", ".", ".."}
    return "/" + "/".join(kept) + ("/" if is_directory and kept else "")
